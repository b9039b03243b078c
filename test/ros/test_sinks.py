# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What leaves for the driver: absolute targets, holds, and nothing in a dry run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')

from geometry_msgs.msg import PoseStamped  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from std_msgs.msg import Float64MultiArray  # noqa: E402

from fakes.waiting import wait_for  # noqa: E402
from wm_planner.core.errors import UnknownNameError  # noqa: E402
from wm_planner.core.paths import robot_profile_file  # noqa: E402
from wm_planner.core.profile import RobotProfile  # noqa: E402
from wm_planner.core.protocols import CommandSink  # noqa: E402
from wm_planner.core.types import ArmCommand, RobotState  # noqa: E402
from wm_planner.ros import qos  # noqa: E402
from wm_planner.ros.clock import RosClock  # noqa: E402
from wm_planner.ros.sinks import SINKS, make_sink  # noqa: E402
from wm_planner.ros.stamps import stamp_to_ns  # noqa: E402

PROFILE = RobotProfile.from_yaml(robot_profile_file('panda_sim'))


@dataclass
class Driver:
    """A driver that keeps what it was told, and a node for the sink."""

    node: Any
    executor: SingleThreadedExecutor
    poses: list[PoseStamped] = field(default_factory=list)
    grips: list[float] = field(default_factory=list)
    state: RobotState | None = None

    def make(self, name: str) -> CommandSink:
        sink = make_sink(name, self.node, PROFILE, RosClock(self.node), lambda: self.state)
        if name != 'null':
            topics = PROFILE.topics
            wait_for(
                lambda: all(
                    self.node.count_publishers(t)
                    for t in (topics.target_pose, topics.gripper_target)
                ),
                what='discovery',
                poll=self.spin,
            )
        return sink

    def spin(self) -> None:
        self.executor.spin_once(timeout_sec=0.02)

    def wait_for_poses(self, number: int) -> None:
        wait_for(lambda: len(self.poses) >= number, what=f'{number} poses', poll=self.spin)

    def xyz(self, index: int) -> list[float]:
        point = self.poses[index].pose.position
        return [point.x, point.y, point.z]


@pytest.fixture
def driver() -> Iterator[Driver]:
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node('driver', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    found = Driver(node, executor)
    node.create_subscription(
        PoseStamped, PROFILE.topics.target_pose, found.poses.append, qos.STATUS
    )
    node.create_subscription(
        Float64MultiArray,
        PROFILE.topics.gripper_target,
        lambda message: found.grips.extend(message.data),
        qos.STATUS,
    )
    yield found
    executor.shutdown()
    node.destroy_node()
    rclpy.try_shutdown(context=context)


def command(x: float, closedness: float = 0.5) -> ArmCommand:
    return ArmCommand(
        stamp_ns=1_000_000_007,
        position_m=[x, 0.1, 0.2],
        quaternion_xyzw=[1, 0, 0, 0],
        gripper_closedness=closedness,
    )


def test_every_sink_keeps_the_protocol(driver: Driver) -> None:
    for name in SINKS.names():
        sink = driver.make(name)
        assert isinstance(sink, CommandSink)
        target = command(0.4)
        assert sink.send(target) is target
        sink.hold()
        sink.close()
        sink.close()


def test_target_goes_out_as_it_is(driver: Driver) -> None:
    driver.make('tool_pose').send(command(0.4, 0.25))
    driver.wait_for_poses(1)
    wait_for(lambda: driver.grips, what='the gripper target', poll=driver.spin)
    message = driver.poses[0]
    assert message.header.frame_id == PROFILE.base_frame
    assert stamp_to_ns(message.header.stamp) == 1_000_000_007
    assert driver.xyz(0) == [0.4, 0.1, 0.2]
    assert (message.pose.orientation.x, message.pose.orientation.w) == (1.0, 0.0)
    assert driver.grips == [0.25]


def test_hold_is_where_the_tool_is_with_the_grip_last_commanded(driver: Driver) -> None:
    """Fingers stopped by an object must not be told the width at which they stopped."""
    sink = driver.make('tool_pose')
    sink.send(command(0.4, closedness=1.0))
    driver.wait_for_poses(1)
    driver.state = RobotState(
        stamp_ns=5, position_m=[0.37, 0, 0.3], quaternion_xyzw=[1, 0, 0, 0], gripper_closedness=0.5
    )
    sink.hold()
    driver.wait_for_poses(2)
    assert driver.xyz(1) == [0.37, 0.0, 0.3]
    wait_for(lambda: len(driver.grips) == 2, what='both gripper targets', poll=driver.spin)
    assert driver.grips == [1.0, 1.0]
    assert stamp_to_ns(driver.poses[1].header.stamp) > 10**18, 'a fresh stamp'


def test_hold_repeats_the_last_target_when_the_tool_was_never_seen(driver: Driver) -> None:
    sink = driver.make('tool_pose')
    sink.send(command(0.4))
    driver.wait_for_poses(1)
    sink.hold()
    driver.wait_for_poses(2)
    assert driver.xyz(1) == [0.4, 0.1, 0.2]


def test_nothing_goes_out_at_a_hold_when_nothing_was_sent_since_the_last(driver: Driver) -> None:
    """Somebody else may be moving the arm by then."""
    sink = driver.make('tool_pose')
    sink.hold()
    sink.send(command(0.4))
    driver.wait_for_poses(1)
    sink.hold()
    driver.wait_for_poses(2)
    sink.hold()
    sink.hold()
    sink.send(command(0.6))  # the sentinel
    wait_for(
        lambda: driver.poses and driver.xyz(-1) == [0.6, 0.1, 0.2], what='it', poll=driver.spin
    )
    assert [driver.xyz(i)[0] for i in range(len(driver.poses))] == [0.4, 0.4, 0.6]


def test_close_holds_last_and_hold_never_raises(driver: Driver) -> None:
    sink = driver.make('tool_pose')
    sink.send(command(0.4))
    driver.wait_for_poses(1)
    driver.state = RobotState(
        stamp_ns=5, position_m=[0.39, 0, 0.3], quaternion_xyzw=[1, 0, 0, 0], gripper_closedness=0.5
    )
    sink.close()
    driver.wait_for_poses(2)
    assert driver.xyz(-1) == [0.39, 0.0, 0.3]
    sink.hold()
    sink.close()


def test_hold_does_not_raise_when_the_context_is_gone(driver: Driver) -> None:
    sink = driver.make('tool_pose')
    sink.send(command(0.4))
    rclpy.try_shutdown(context=driver.node.context)
    sink.hold()
    sink.close()


def test_nothing_goes_out_in_a_dry_run(driver: Driver) -> None:
    dry, real = driver.make('null'), driver.make('tool_pose')
    dry.send(command(0.4))
    dry.hold()
    dry.close()
    real.send(command(0.6))  # the sentinel
    driver.wait_for_poses(1)
    assert [driver.xyz(i)[0] for i in range(len(driver.poses))] == [0.6]


def test_unknown_sink_names_the_ones_there_are(driver: Driver) -> None:
    with pytest.raises(UnknownNameError, match='Valid: null, tool_pose'):
        driver.make('tool_poes')


def test_profile_that_ships_names_a_sink() -> None:
    assert PROFILE.sink in SINKS.names()
