# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""WorldModelPlanner against the clock: what is begun, what is cut, what is kept back."""

from __future__ import annotations

import pytest

from fakes.clock import ManualClock
from fakes.sum_model import SumModel, planner_on
from fakes.values import a_goal, an_image, an_observation
from wm_planner.core.types import StopReason

GOAL = a_goal(image=an_image(130))
OBSERVATION = an_observation(image=an_image(100))


@pytest.mark.parametrize(
    ('deadline_s', 'iterations'), [(0.01, 1), (0.29, 1), (0.31, 2), (0.45, 3), (10.0, 6)]
)
def test_no_iteration_is_begun_that_would_end_after_the_deadline(deadline_s, iterations) -> None:
    """Each iteration takes 0.1 s, and so does the score of the mean; the first always runs."""
    clock = ManualClock()
    planner = planner_on(SumModel(clock, rollout_s=0.1), clock=clock)
    plan = planner.plan(OBSERVATION, GOAL, deadline_s=deadline_s)
    assert plan.diagnostics.iterations == iterations
    is_cut = iterations < 6
    expected = StopReason.DEADLINE if is_cut else StopReason.CONVERGED
    assert plan.diagnostics.stop_reason is expected


def test_deadline_of_the_config_holds_where_the_caller_sets_none() -> None:
    clock = ManualClock()
    planner = planner_on(SumModel(clock, rollout_s=0.1), clock=clock, deadline_s=0.35)
    assert planner.plan(OBSERVATION, GOAL).diagnostics.iterations == 2
    assert planner.plan(OBSERVATION, GOAL, deadline_s=5.0).diagnostics.iterations == 6


def test_deadline_cuts_an_iteration_between_chunks() -> None:
    """Chunks of 16 of 64 samples take 0.1 s each; there must be 8 elites and time for the mean."""
    clock = ManualClock()
    planner = planner_on(
        SumModel(clock, rollout_s=0.1), clock=clock, max_samples_per_chunk=16, deadline_s=0.65
    )
    plan = planner.plan(OBSERVATION, GOAL)
    assert plan.diagnostics.stop_reason is StopReason.DEADLINE
    assert plan.diagnostics.iterations == 2
    assert plan.diagnostics.rollouts == 64 + 16 + 1
    assert plan.diagnostics.milliseconds['total'] == pytest.approx(600.0)
    late = planner.plan(OBSERVATION, GOAL, deadline_s=1e-3)
    assert late.diagnostics.rollouts == 16 + 1
    assert late.diagnostics.stop_reason is StopReason.DEADLINE


@pytest.mark.parametrize(('chunk', 'used_ms'), [(4, 217.0), (16, 209.0), (0, 193.0)])
def test_time_is_used_but_for_the_last_chunk_and_the_mean(chunk, used_ms) -> None:
    """A sequence takes 1 ms; in the second plan it is known what the mean takes."""
    clock = ManualClock()
    planner = planner_on(
        SumModel(clock, sample_s=0.001), clock=clock, max_samples_per_chunk=chunk, deadline_s=0.22
    )
    assert planner.plan(OBSERVATION, GOAL).diagnostics.milliseconds['total'] <= 220.0
    plan = planner.plan(OBSERVATION, GOAL)
    assert plan.diagnostics.milliseconds['total'] == pytest.approx(used_ms)


def test_request_stop_acts_between_chunks() -> None:
    planner = planner_on(SumModel(), max_samples_per_chunk=16)
    planner.request_stop()
    plan = planner.plan(OBSERVATION, GOAL)
    assert plan.diagnostics.stop_reason is StopReason.CANCELED
    assert plan.diagnostics.rollouts == 16 + 1


def test_milliseconds_are_those_of_the_clock_passed_in() -> None:
    clock = ManualClock()
    plan = planner_on(SumModel(clock, rollout_s=0.1), clock=clock).plan(OBSERVATION, GOAL)
    assert plan.diagnostics.milliseconds['optimize'] == pytest.approx(700.0)  # 6 + the mean
    assert plan.diagnostics.milliseconds['total'] == pytest.approx(700.0)


def test_request_stop_ends_plans_after_one_iteration_until_reset() -> None:
    planner = planner_on(SumModel())
    planner.request_stop()
    assert planner.plan(OBSERVATION, GOAL).diagnostics.stop_reason is StopReason.CANCELED
    planner.reset()
    assert planner.plan(OBSERVATION, GOAL).diagnostics.stop_reason is StopReason.CONVERGED
