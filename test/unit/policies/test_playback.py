# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""PlaybackPolicy: it ends where the recording ended, also where the arm lags behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fakes.motion import motion_file
from fakes.values import a_goal, a_state, an_image
from wm_planner.core.actions import action_to_command
from wm_planner.core.types import Observation, RobotState
from wm_planner.policies.playback import PlaybackConfig, PlaybackPolicy


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return motion_file(tmp_path)


def follow(policy: PlaybackPolicy, steps: int, part: float = 1.0) -> list[RobotState]:
    """Let an arm that gets ``part`` of the way in each step follow the policy."""
    state = a_state(stamp_ns=0, position_m=(0.4, 0.1, 0.3), quaternion_xyzw=(0.0, 0.0, 0.0, 1.0))
    states = [state]
    for number in range(steps):
        observation = Observation(
            images=an_image()[None], image_stamps_ns=(state.stamp_ns,), states=(state,)
        )
        plan = policy.plan(observation, a_goal(), executed_steps=min(number, 1))
        command = action_to_command(plan.actions[0], plan.action_spec, state, state.stamp_ns)
        way = part * (command.position_m - state.position_m)
        state = RobotState(
            stamp_ns=state.stamp_ns + 250_000_000,
            position_m=state.position_m + way,
            quaternion_xyzw=command.quaternion_xyzw,
            gripper_closedness=command.gripper_closedness,
        )
        states.append(state)
    return states


def test_follows_pose_and_gripper(file: Path) -> None:
    states = follow(PlaybackPolicy(PlaybackConfig(file=str(file))), 10)
    np.testing.assert_allclose([s.position_m[0] for s in states], 0.4 + 0.02 * np.arange(11))
    np.testing.assert_allclose(
        states[-1].quaternion_xyzw, [0.0, 0.0, np.sin(0.5), np.cos(0.5)], atol=1e-9
    )
    assert [s.gripper_closedness for s in states[1:]] == [0.0] * 5 + [1.0] * 5


def test_an_arm_that_lags_comes_there_as_well(file: Path) -> None:
    states = follow(PlaybackPolicy(PlaybackConfig(file=str(file))), 20, part=0.5)
    assert states[-1].position_m[0] == pytest.approx(0.6, abs=1e-3)


def test_half_speed_takes_twice_as_long_and_reset_begins_anew(file: Path) -> None:
    policy = PlaybackPolicy(PlaybackConfig(file=str(file), speed=0.5))
    assert follow(policy, 10)[-1].position_m[0] == pytest.approx(0.5)
    policy.reset()
    assert follow(policy, 20)[-1].position_m[0] == pytest.approx(0.6)
    policy.set_instruction('anything')
    assert follow(policy, 1)[-1].position_m[0] == pytest.approx(0.41)
