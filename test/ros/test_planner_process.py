# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The planner node as a process of its own: closed loop, last command, exit codes."""

from __future__ import annotations

from collections.abc import Iterator
import math
import signal
from typing import Any

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')

from fakes.loopback_robot import LoopbackRobot, Spinner  # noqa: E402
from fakes.node_process import NodeProcess  # noqa: E402
from fakes.planner_harness import QUICK, SLOW_ARM  # noqa: E402
from fakes.waiting import wait_for  # noqa: E402
from wm_planner.core.types import Goal  # noqa: E402
from wm_planner.ros.client import PlannerClient  # noqa: E402
from wm_planner.ros.stamps import stamp_to_ns  # noqa: E402

MODULE = 'wm_planner.ros.planner_node'


def planner(**parameters: Any) -> NodeProcess:
    return NodeProcess(MODULE, 'wm_planner', **parameters)


@pytest.fixture
def robot() -> Iterator[LoopbackRobot]:
    context = rclpy.Context()
    rclpy.init(context=context)
    found = LoopbackRobot(context)
    spinner = Spinner(context, found.node)
    yield found
    spinner.stop()
    found.node.destroy_node()
    rclpy.try_shutdown(context=context)
    assert spinner.errors == []


@pytest.fixture
def client() -> Iterator[PlannerClient]:
    with PlannerClient(timeout_s=30.0) as found:
        yield found


def goal_at(robot: LoopbackRobot, *position_m: float) -> Goal:
    return Goal(goal_id='goal', image=robot.picture(position_m))


def newest_state_ns(client: PlannerClient) -> int:
    """Return the stamp of the newest robot state the planner has, as its status tells; or 0."""
    status = client.status
    if status is None or math.isnan(status.state_age_s):
        return 0
    return stamp_to_ns(status.header.stamp) - round(status.state_age_s * 1e9)


def test_separate_process_drives_the_arm_to_a_goal_image_and_exits_0(
    robot: LoopbackRobot, client: PlannerClient
) -> None:
    with planner(**QUICK) as process:
        client.wait_until_active()
        client.wait_for_data()
        client.enable()
        result = client.reach_goal([goal_at(robot, 0.55, -0.1, 0.2)], timeout_s=60.0)
        assert result.is_reached
        assert np.linalg.norm(robot.position_m - [0.55, -0.1, 0.2]) < 0.04
        assert process.stop(signal.SIGINT) == 0
        assert 'Traceback' not in process.output


def test_last_command_is_a_hold_when_stopped_under_way(
    robot: LoopbackRobot, client: PlannerClient
) -> None:
    """It used to wait for poses that were sent; a busy node holds where it last saw the tool."""
    with planner(**SLOW_ARM) as process:
        client.wait_until_active()
        client.wait_for_data()
        client.enable()
        goal = goal_at(robot, 0.6, 0.2, 0.2)
        client.set_goal_image(goal.image)
        client.spin_until(
            lambda: client.status is not None and client.status.steps_executed >= 2,
            lambda: AssertionError('the arm does not move'),  # type: ignore[arg-type,return-value]
            30.0,
        )
        # The arm is pushed a little aside: a hold is where the tool is, not where it should go.
        here = robot.position_m + [0.0, 0.0, -0.03]
        number_before = len(robot.targets)
        robot.freeze_at(here)
        frozen_ns = robot.now_ns()
        wait_for(
            lambda: newest_state_ns(client) > frozen_ns,
            what='a pose of the frozen arm in the planner',
            poll=client.spin_once,
            timeout_s=30,
        )
        assert process.stop(signal.SIGTERM) == 0
        before = [place for _, place, _ in robot.targets[number_before:-1]]
        assert not any(np.allclose(place, here, atol=1e-6) for place in before)
        wait_for(
            lambda: np.allclose(robot.targets[-1][1], here, atol=1e-6),
            what='the hold',
            timeout_s=10,
        )


def test_exit_code_is_2_with_the_valid_names_when_a_parameter_is_unknown() -> None:
    with planner(**{**QUICK, 'cem.samples': 64}) as process:
        assert process.wait(60) == 2
        assert "error: [104] unknown parameter 'cem.samples'" in process.output
        assert "Did you mean 'cem.num_samples'" in process.output
        assert 'Traceback' not in process.output


@pytest.mark.parametrize(
    ('name', 'value', 'words'),
    [
        ('safety.limit_scale', 1000.0, 'safety.limit_scale is 1000.0; valid'),
        ('robot', 'pandas', "[103] unknown robot 'pandas'. Did you mean 'panda_sim'?"),
    ],
)
def test_exit_code_is_2_with_what_is_valid_when_a_value_is_wrong(
    name: str, value: Any, words: str
) -> None:
    with planner(**{**QUICK, name: value}) as process:
        assert process.wait(60) == 2
        assert words in process.output


def test_process_stops_at_once_while_the_model_loads() -> None:
    prelude = """
import time
import wm_planner.ros.planner_node as node
load = node.load_planner
def slow(config, settings):
    print('loading now', flush=True)
    time.sleep(600)
node.PlannerNode.__init__.__kwdefaults__['load'] = slow
"""
    parameters = {**QUICK, 'stop_timeout_s': 1.0}
    with NodeProcess(MODULE, 'wm_planner', prelude=prelude, **parameters) as process:
        process.wait_for_output('loading now', timeout_s=60)
        assert process.stop(signal.SIGINT, timeout_s=60) == 0


def test_killed_planner_can_be_started_again(robot: LoopbackRobot, client: PlannerClient) -> None:
    with planner(**SLOW_ARM) as process:
        client.wait_until_active()
        client.wait_for_data()
        client.enable()
        client.set_goal_image(goal_at(robot, 0.6, 0.2, 0.2).image)
        wait_for(lambda: robot.targets, what='motion', poll=client.spin_once, timeout_s=30)
        process.process.kill()
        process.wait()
    client.status = None
    with planner(**QUICK) as process:
        client.wait_until_active()
        client.wait_for_data()
        client.enable()
        assert client.reach_goal([goal_at(robot, 0.5, 0.0, 0.2)], timeout_s=60.0).is_reached
        assert process.stop() == 0
