# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The baselines that need no model."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fakes.values import SPEC, a_goal, an_observation
from wm_planner.core.errors import InvalidParameterError, UnknownNameError
from wm_planner.core.types import ActionSpec, StopReason
from wm_planner.policies.registry import make_policy


def policy(name, spec=SPEC, **settings):
    return make_policy(name, settings, action_spec=lambda: spec)


def test_noop_asks_for_no_motion_and_keeps_the_gripper() -> None:
    plan = policy('noop').plan(an_observation(closedness=0.7), a_goal())
    assert plan.actions.tolist() == [[0.0, 0.0, 0.0, 0.0, 0.7]]


def test_noop_stays_inside_bounds_that_hold_no_zero() -> None:
    spec = ActionSpec(low=np.array([0.1]), high=np.array([0.2]), names=('dx',), step_duration_s=1)
    assert policy('noop', spec).plan(an_observation(), a_goal()).actions.tolist() == [[0.1]]


def test_random_fills_the_bounds_evenly() -> None:
    chooser = policy('random')
    drawn = np.concatenate([chooser.plan(an_observation(), a_goal()).actions for _ in range(2000)])
    share = (drawn - SPEC.low) / (SPEC.high - SPEC.low)
    assert share.min() >= 0.0
    assert share.max() <= 1.0
    assert share.mean(axis=0) == pytest.approx([0.5] * 5, abs=0.03)
    assert share.std(axis=0) == pytest.approx([math.sqrt(1 / 12)] * 5, abs=0.03)


def test_random_repeats_itself_after_reset_and_with_the_same_seed() -> None:
    chooser, other = policy('random', seed=3), policy('random', seed=3)
    first = [chooser.plan(an_observation(), a_goal()).actions for _ in range(3)]
    chooser.reset()
    again = [chooser.plan(an_observation(), a_goal()).actions for _ in range(3)]
    assert np.array_equal(first, again)
    assert np.array_equal(first[0], other.plan(an_observation(), a_goal()).actions)
    assert not np.array_equal(first[0], first[1])
    other.seed(4)
    assert not np.array_equal(first[0], other.plan(an_observation(), a_goal()).actions)


@pytest.mark.parametrize('name', ['noop', 'random'])
def test_policies_claim_no_energy(name) -> None:
    chooser = policy(name)
    plan = chooser.plan(an_observation(9), a_goal('g'))
    assert math.isnan(plan.energy)
    assert math.isnan(plan.goal_energy)
    assert math.isnan(chooser.goal_tolerance)
    assert plan.diagnostics.stop_reason is StopReason.NOT_OPTIMIZED
    assert (plan.goal_id, plan.observation_stamp_ns) == ('g', 9)


def test_unknown_policy_and_setting_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'noop'.*noop, openpi, .*random"):
        policy('nop')
    with pytest.raises(InvalidParameterError, match='valid: seed'):
        policy('noop', sede=1)
