# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The planner node with a policy on a server: it moves the arm, and holds when the server fails."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')

from std_msgs.msg import String  # noqa: E402

from fakes.planner_harness import QUICK, PlannerHarness, held_still  # noqa: E402
from fakes.policy_servers import Fail  # noqa: E402
from fakes.policy_servers_rigs import KINDS  # noqa: E402
from wm_planner.ros import qos  # noqa: E402

PARAMETERS = {
    name: value
    for name, value in QUICK.items()
    if not name.startswith('buffer.interval') and not name.startswith('world_model.step')
}


def test_node_follows_an_openpi_server_and_holds_when_it_fails() -> None:
    """A step of 0.05 s used to be refused beside the frame buffer's default tolerance."""
    kind = KINDS['openpi']
    downwards = np.zeros((10, 7), np.float32)
    downwards[:, 2] = -0.2
    is_broken = False

    def answer(request: Any) -> Any:
        assert request['prompt'] == 'go down'
        if is_broken:
            raise Fail('RuntimeError: out of memory')
        return kind.put(downwards)

    with kind.serve(answer) as server:
        parameters = {
            **PARAMETERS,
            'planner': 'openpi',
            'planning.port': server.port,
            'planning.instruction': 'go down',
            'planning.use_wrist_image': False,
            'planning.connect_attempts': 1,
            'planning.api_key': 'k3y',
        }
        with PlannerHarness(parameters) as harness:
            settings: list[String] = []
            harness.client.node.create_subscription(
                String, '/wm_planner/planner_settings', settings.append, qos.LATCHED
            )
            harness.wait(lambda: settings, 'the settings')
            assert '"planning.port"' in settings[0].data
            assert 'api_key' not in settings[0].data and 'k3y' not in settings[0].data
            assert harness.planner.get_parameter('planning.execute_steps').value == 5
            begin_m = harness.robot.position_m[2]
            harness.client.enable()
            harness.client.set_goal_image(harness.goal([0.5, 0.0, 0.3]).image, goal_id='any')
            harness.wait(lambda: harness.robot.position_m[2] < begin_m - 0.03, 'the arm goes down')
            assert len(server.requests) >= 1
            is_broken = True
            status = harness.wait_for_status(lambda s: s.error_code != 0, 'the error')
            assert status.error_code == 304
            assert 'out of memory' in status.message
            assert held_still(harness) < 0.009


def test_words_and_steps_of_the_action_reach_the_policy() -> None:
    """The instruction used to be a parameter alone; steps of a benchmark had no duration."""
    kind = KINDS['openpi']
    prompts: list[str] = []

    def answer(request: Any) -> Any:
        prompts.append(request['prompt'])
        return kind.put(np.zeros((10, 7), np.float32))

    with kind.serve(answer) as server:
        parameters = {
            **PARAMETERS,
            'planner': 'openpi',
            'planning.port': server.port,
            'planning.use_wrist_image': False,
        }
        with PlannerHarness(parameters) as harness:
            harness.client.enable()
            goal = harness.goal([0.5, 0.0, 0.3])
            for words in ('pick the lemon', 'open the drawer'):
                result = harness.client.reach_goal(
                    [goal], steps_per_goal=[3], goal_step_s=0.1, instruction=words, tolerance=-1.0
                )
                assert result.goal_steps == (6,), 'steps of 0.05 s that fill 3 of 0.1 s'
            assert list(dict.fromkeys(prompts)) == ['pick the lemon', 'open the drawer']
            for wrong in (-0.1, float('nan'), 1e9):
                refused = harness.client.reach_goal([goal], steps_per_goal=[3], goal_step_s=wrong)
                assert refused.error_code == 102 and 'goal_step_s' in refused.message


def test_policy_that_wants_a_wrist_camera_gets_its_frames() -> None:
    kind = KINDS['openpi']
    wrists: list[Any] = []

    def answer(request: Any) -> Any:
        wrists.append(request['observation/wrist_image'])
        return kind.put(np.zeros((10, 7), np.float32))

    with kind.serve(answer) as server:
        parameters = {
            **PARAMETERS,
            'planner': 'openpi',
            'planning.port': server.port,
            'planning.instruction': 'look',
        }
        with PlannerHarness(parameters) as harness:
            harness.client.enable()
            goal = harness.goal([0.5, 0.0, 0.3])
            late = harness.client.reach_goal([goal], steps_per_goal=[1], max_duration_s=1.0)
            assert not wrists, late
            harness.robot.show_wrist(200)
            done = harness.client.reach_goal([goal], steps_per_goal=[1], tolerance=-1.0)
            assert done.goal_steps == (1,), done
            seen = np.asarray(wrists[0])
            assert np.all(seen[:8] == 200) and np.all(seen[-8:] == 40)
