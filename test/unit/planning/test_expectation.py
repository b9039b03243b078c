# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Surprise and relief on the point-mass world, where every prediction is exact."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from fakes.values import a_state
from wm_planner.core.types import Goal, Observation
from wm_planner.factory import PlannerSettings, make_planner
from wm_planner.models.point_mass import PointMassConfig, PointMassRenderer
from wm_planner.planning.expectation import relief

RENDERER = PointMassRenderer(PointMassConfig())


def seen(*position_m: float) -> Observation:
    image = RENDERER.draw(position_m)
    return Observation(images=image[None], image_stamps_ns=(0,), states=(a_state(position_m),))


@pytest.fixture
def planner() -> Any:
    return make_planner('cem', 'point_mass', PlannerSettings(), device='cpu')


GOAL = Goal(goal_id='far', image=RENDERER.draw([0.6, 0.15, 0.3]))
START = (0.42, -0.1, 0.25)


def test_surprise_is_zero_when_what_was_planned_happens(planner: Any) -> None:
    first = planner.plan(seen(*START), GOAL)
    assert math.isnan(first.diagnostics.surprise), 'nothing was predicted before'
    reached = [p + d for p, d in zip(START, first.actions[0][:3], strict=True)]
    second = planner.plan(seen(*reached), GOAL, executed_steps=1)
    assert second.diagnostics.surprise < 0.05


def test_surprise_is_one_when_nothing_happens_and_more_when_the_opposite_does(
    planner: Any,
) -> None:
    first = planner.plan(seen(*START), GOAL)
    stuck = planner.plan(seen(*START), GOAL, executed_steps=1)
    # The tolerance keeps it a little below one.
    assert 0.7 < stuck.diagnostics.surprise <= 1.0
    back = [p - d for p, d in zip(START, first.actions[0][:3], strict=True)]
    planner.reset()
    planner.plan(seen(*START), GOAL)
    assert planner.plan(seen(*back), GOAL, executed_steps=1).diagnostics.surprise > 2.0


def test_nothing_is_expected_where_nothing_was_executed_or_after_a_reset(planner: Any) -> None:
    planner.plan(seen(*START), GOAL)
    for steps in (0, 99):
        again = planner.plan(seen(*START), GOAL, executed_steps=steps)
        assert math.isnan(again.diagnostics.surprise)
    planner.reset()
    assert math.isnan(planner.plan(seen(*START), GOAL, executed_steps=1).diagnostics.surprise)


def test_looking_ahead_changes_no_plan(planner: Any) -> None:
    other = make_planner('cem', 'point_mass', PlannerSettings(), device='cpu')
    for _ in range(3):
        plans = [p.plan(seen(*START), GOAL, executed_steps=1) for p in (planner, other)]
        planner.look_ahead()
        assert (plans[0].actions == plans[1].actions).all()
        surprises = [plan.diagnostics.surprise for plan in plans]
        assert surprises[0] == surprises[1] or all(map(math.isnan, surprises))


def test_prediction_that_fails_fails_no_plan(planner: Any, monkeypatch: Any) -> None:
    planner.plan(seen(*START), GOAL)
    rollout, calls = planner._model.rollout, []

    def fail_once(state: Any, actions: Any) -> Any:
        calls.append(actions.shape[0])
        if len(calls) == 1:
            raise RuntimeError('out of something')
        return rollout(state, actions)

    monkeypatch.setattr(planner._model, 'rollout', fail_once)
    plan = planner.plan(seen(*START), GOAL, executed_steps=1)
    assert calls[0] == 1 and math.isnan(plan.diagnostics.surprise)


def test_relief_is_how_far_below_the_median_the_plan_is() -> None:
    first = torch.tensor([1.0, 2.0, 4.0, math.inf, math.nan])
    assert relief(first, 1.0) == pytest.approx(0.5)
    assert relief(torch.full((5,), 3.0), 3.0) == 0.0
    assert math.isnan(relief(None, 1.0))
    assert math.isnan(relief(torch.tensor([math.nan]), 1.0))
