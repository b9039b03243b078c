# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The loopback environment against the Environment protocol, and a policy that fails in it."""

from __future__ import annotations

import numpy as np
import pytest

from fakes.loopback_env import LoopbackEnv
from wm_planner.core.actions import action_to_command
from wm_planner.core.protocols import Environment
from wm_planner.factory import make_planner


def run(planner_name: str, episode: int) -> bool:
    env, planner = LoopbackEnv(), make_planner(planner_name, 'point_mass', device='cpu')
    start = env.reset('reach', seed=1, episode=episode)
    observation, success = start.observation, False
    for _ in range(start.steps_per_goal[0]):
        plan = planner.plan(observation, start.goals[0], executed_steps=1)
        command = action_to_command(plan.actions[0], plan.action_spec, observation.state, 0)
        result = env.step(command, plan.action_spec.step_duration_s)
        observation, success = result.observation, result.success
    return success


def test_follows_the_protocol() -> None:
    assert isinstance(LoopbackEnv(), Environment)


def test_episode_is_fixed_by_its_numbers() -> None:
    first, second = (LoopbackEnv().reset('reach', seed=3, episode=4) for _ in range(2))
    assert np.array_equal(first.goals[0].image, second.goals[0].image)
    assert np.array_equal(first.observation.images, second.observation.images)
    other = LoopbackEnv().reset('reach', seed=3, episode=5)
    assert not np.array_equal(first.goals[0].image, other.goals[0].image)


@pytest.mark.parametrize(('planner', 'expected'), [('cem', True), ('noop', False)])
def test_goal_is_reached_by_planning_and_not_by_waiting(planner: str, expected: bool) -> None:
    assert [run(planner, episode) for episode in range(3)] == [expected] * 3
