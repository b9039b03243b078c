# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Grippers against action servers and topics of the types that the drivers have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
import itertools
from typing import Any

import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')

from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from std_msgs.msg import Float64MultiArray  # noqa: E402

from fakes.clock import ManualClock  # noqa: E402
from fakes.driver_msgs import use_driver_msgs  # noqa: E402
from fakes.gripper_servers import GripperServer  # noqa: E402
from fakes.kinematic_arm import panda_profile  # noqa: E402
from fakes.values import a_command, a_state  # noqa: E402
from fakes.waiting import wait_for  # noqa: E402
from wm_planner.core.errors import UnknownNameError  # noqa: E402
from wm_planner.core.profile import RobotProfile, Topics  # noqa: E402
from wm_planner.core.robot_parts import GripperConfig  # noqa: E402
from wm_planner.ros import qos  # noqa: E402
from wm_planner.ros.grippers import GRIPPERS, make_gripper  # noqa: E402
from wm_planner.ros.sinks import make_sink  # noqa: E402

_numbers = itertools.count()


class Bench:
    """A planner's node and a driver's, one executor, and a clock that the test moves."""

    def __init__(self) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.nodes = [rclpy.create_node(n, context=self.context) for n in ('planner', 'hand')]
        self.executor = SingleThreadedExecutor(context=self.context)
        for node in self.nodes:
            self.executor.add_node(node)
        self.clock = ManualClock()
        self.gripper: Any = None
        self.servers: list[GripperServer] = []
        # Its own in each test: what the last one had may be seen for a moment.
        self.name = f'/hand_{next(_numbers)}/gripper_action'

    def make(self, kind: str, **settings: Any) -> Any:
        self.gripper = make_gripper(self.nodes[0], profile(kind, self.name, **settings), self.clock)
        return self.gripper

    def serve(self, action: type, name: str, position: Any, limits: tuple) -> GripperServer:
        """Return a driver's action server on the second node."""
        self.servers.append(GripperServer(self.nodes[1], action, name, position, limits))
        return self.servers[-1]

    def spin(self) -> None:
        self.executor.spin_once(timeout_sec=0.01)

    def wait(self, claim: Callable[[], object], what: str) -> None:
        wait_for(claim, what=what, poll=self.spin)

    def send(self, closedness: float, ticks: int = 10) -> None:
        """Command it for a while, at 50 Hz of the clock."""
        for _ in range(ticks):
            self.clock.advance(0.02)
            self.gripper.send(closedness)
            self.executor.spin_once(timeout_sec=0)

    def close(self) -> None:
        if self.gripper is not None:
            self.gripper.close()
        for server in self.servers:
            server.close()
        self.executor.shutdown()
        for node in self.nodes:
            node.destroy_node()
        rclpy.try_shutdown(context=self.context)


def profile(kind: str, name: str, **settings: Any) -> RobotProfile:
    return replace(
        panda_profile(),
        gripper=kind,
        topics=replace(Topics(), gripper_target=name),
        gripper_settings=GripperConfig(**settings),
    )


@pytest.fixture
def bench() -> Iterator[Bench]:
    found = Bench()
    yield found
    found.close()


def server_for(bench: Bench, kind: str) -> GripperServer:
    use_driver_msgs()
    from control_msgs.action import GripperCommand, ParallelGripperCommand

    if kind == 'parallel_gripper_command':
        return bench.serve(
            ParallelGripperCommand, bench.name, lambda g: g.command.position[0], (0.0, 0.04)
        )
    widest = 0.04 if kind == 'franka_gripper' else 0.08
    return bench.serve(GripperCommand, bench.name, lambda g: g.command.position, (0.0, widest))


@pytest.mark.parametrize(
    ('kind', 'positions'),
    [
        ('gripper_command', [0.08, 0.0, 0.06]),  # the width
        ('franka_gripper', [0.04, 0.0, 0.03]),  # half of it
        ('parallel_gripper_command', [0.04, 0.0, 0.03]),  # each of two fingers
    ],
)
def test_one_goal_for_each_target_in_the_units_of_the_driver(
    bench: Bench, kind: str, positions: list[float]
) -> None:
    server = server_for(bench, kind)
    gripper = bench.make(kind, max_effort=12.0)
    bench.wait(lambda: gripper._only.server_is_ready(), 'the server')
    for i, closedness in enumerate((0.0, 1.0, 0.25)):
        bench.send(closedness, ticks=40)
        bench.wait(lambda i=i: len(server.goals) == i + 1, f'goal {i + 1}')
    assert server.positions == pytest.approx(positions)
    assert (gripper.goals, gripper.refused, server.refused) == (3, 0, [])
    if kind == 'parallel_gripper_command':
        command = server.goals[0].command
        assert tuple(command.name) == panda_profile().gripper_joint_names
        assert list(command.effort) == [12.0, 12.0]
    else:
        assert server.goals[0].command.max_effort == 12.0


def test_goal_that_is_refused_is_tried_again_while_its_target_stays(bench: Bench) -> None:
    server = server_for(bench, 'gripper_command')
    server.is_refusing = True
    gripper = bench.make('gripper_command')
    bench.wait(lambda: gripper._only.server_is_ready(), 'the server')
    bench.send(1.0)
    bench.wait(lambda: gripper.refused == 1, 'the refusal')
    bench.send(1.0, ticks=30)  # 0.6 s: too early
    assert gripper.goals == 1
    server.is_refusing = False
    bench.send(1.0, ticks=40)
    bench.wait(lambda: server.positions == [0.0], 'the goal')


def test_motion_that_begins_sends_no_goal_for_a_grip_that_is_there(bench: Bench) -> None:
    """The sink, enabled with an object between the fingers; then the grip is to open."""
    server = server_for(bench, 'gripper_command')
    state = a_state(closedness=0.6)
    sink = make_sink(
        'tool_pose',
        bench.nodes[0],
        profile('gripper_command', bench.name),
        bench.clock,
        lambda: state,
    )
    gripper = sink._gripper  # type: ignore[attr-defined]
    bench.wait(lambda: gripper._only.server_is_ready(), 'the server')

    def stay(closedness: float) -> None:
        for _ in range(20):
            bench.clock.advance(0.02)
            sink.send(a_command(stamp_ns=bench.clock.now_ns(), closedness=closedness))
            bench.executor.spin_once(timeout_sec=0)

    stay(0.6)
    assert gripper.goals == 0
    stay(0.0)
    bench.wait(lambda: server.positions == [0.08], 'the goal')
    sink.close()


def test_server_that_comes_late_still_gets_the_target(bench: Bench) -> None:
    gripper = None
    use_driver_msgs()
    gripper = bench.make('gripper_command')
    bench.send(1.0, ticks=20)
    assert gripper.goals == 0
    server = server_for(bench, 'gripper_command')
    bench.wait(lambda: gripper._only.server_is_ready(), 'the server')
    bench.send(1.0, ticks=60)
    bench.wait(lambda: server.positions == [0.0], 'the goal')


def test_franka_grasps_with_force_and_opens_without(bench: Bench) -> None:
    use_driver_msgs()
    from franka_msgs.action import Grasp, Move

    grasp = bench.serve(Grasp, f'{bench.name}/grasp', lambda g: g.width, (0.0, 0.08))
    move = bench.serve(Move, f'{bench.name}/move', lambda g: g.width, (0.0, 0.08))
    gripper = bench.make('franka_grasp', max_effort=30.0, speed_m_s=0.05)
    bench.wait(
        lambda: gripper._move.server_is_ready() and gripper._grasp.server_is_ready(), 'servers'
    )
    bench.send(1.0, ticks=40)
    bench.wait(lambda: grasp.goals, 'the grasp')
    goal = grasp.goals[0]
    assert (goal.width, goal.force, goal.speed) == (0.0, 30.0, 0.05)
    assert (goal.epsilon.inner, goal.epsilon.outer) == (0.08, 0.08)
    bench.send(0.0, ticks=40)
    bench.wait(lambda: move.positions == [0.08], 'the move')
    assert len(grasp.goals) == 1


@pytest.mark.parametrize(
    ('kind', 'settings', 'expected'),
    [
        ('closedness', {}, [0.25]),
        ('crisp', {}, [0.75]),
        ('crisp', {'command_range': (0.9, 0.1)}, [0.7]),
        ('forward', {}, [0.06]),
        ('forward', {'command_joints': ('a', 'b')}, [0.03, 0.03]),
        ('forward', {'command_range': (0.04, 0.0), 'command_joints': ('a', 'b')}, [0.03, 0.03]),
    ],
)
def test_topics_carry_the_drivers_numbers_every_tick(
    bench: Bench, kind: str, settings: dict[str, Any], expected: list[float]
) -> None:
    got: list[list[float]] = []
    bench.nodes[1].create_subscription(
        Float64MultiArray, bench.name, lambda m: got.append(list(m.data)), qos.STATUS
    )
    bench.make(kind, **settings)
    bench.wait(lambda: bench.nodes[1].count_publishers(bench.name), 'discovery')
    bench.wait(lambda: bench.nodes[0].count_subscribers(bench.name), 'discovery')
    bench.send(0.25, ticks=5)
    bench.wait(lambda: len(got) >= 3, 'messages')
    assert got[-1] == pytest.approx(expected)


def test_arm_without_a_gripper_sends_nothing(bench: Bench) -> None:
    bench.make('none')
    bench.send(1.0)
    assert bench.nodes[0].count_publishers(bench.name) == 0


def test_unknown_gripper_names_the_ones_there_are(bench: Bench) -> None:
    with pytest.raises(UnknownNameError, match='franka_grasp, franka_gripper'):
        bench.make('franka_griper')
    assert 'closedness' in GRIPPERS.names()
