# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Pursuit: when a goal is reached, used up, stalled or given up."""

from __future__ import annotations

import math

import pytest

from fakes.values import a_goal
from wm_planner.control.progress import Signals
from wm_planner.control.pursuit import Next, Pursuit, PursuitConfig
from wm_planner.control.status import Termination
from wm_planner.core.errors import InvalidGoalError

TOLERANCE = 0.1


def pursuit(goals=1, *, steps=(), tolerance=TOLERANCE, **config):
    return Pursuit(
        [a_goal(name) for name in 'abcdef'[:goals]],
        steps_per_goal=steps,
        tolerance=tolerance,
        config=PursuitConfig(**config),
        list_id=1,
    )


def feed(subject, *energies, steps=1):
    """Give plans with these energies, executing steps after each as long as that is asked."""
    answers = []
    for energy in energies:
        answers.append(subject.on_plan(Signals(energy=energy)))
        if answers[-1] is Next.EXECUTE:
            answers.append(subject.on_steps(steps))
    return answers


def test_goal_is_reached_after_enough_plans_in_a_row_below_the_tolerance() -> None:
    subject = pursuit(reached_plans=2)
    feed(subject, 0.5, 0.09, 0.2, 0.09)
    assert subject.termination is None
    assert subject.on_plan(Signals(energy=0.09)) is Next.END
    assert subject.termination is Termination.REACHED
    assert subject.energies == [0.09]
    assert (subject.plans, subject.steps_executed) == (5, 4)


@pytest.mark.parametrize(('energy', 'reached'), [(0.0999, True), (0.1, False), (math.nan, False)])
def test_energy_must_be_below_the_tolerance(energy, reached) -> None:
    subject = pursuit(reached_plans=1)
    feed(subject, energy)
    assert (subject.termination is Termination.REACHED) is reached


def test_next_goal_begins_when_one_is_reached() -> None:
    subject = pursuit(2, reached_plans=1)
    assert subject.on_plan(Signals(energy=0.01)) is Next.OBSERVE
    assert subject.goal.goal_id == 'b'
    assert math.isnan(subject.energy)
    assert subject.energies[0] == 0.01
    assert subject.on_plan(Signals(energy=0.02)) is Next.END
    assert subject.energies == [0.01, 0.02]


def test_counts_in_a_row_start_anew_with_the_next_goal() -> None:
    subject = pursuit(2, reached_plans=2)
    feed(subject, 0.01, 0.01)
    assert subject.goal.goal_id == 'b'
    assert subject.on_plan(Signals(energy=0.01)) is Next.EXECUTE


def test_next_goal_begins_when_the_steps_of_one_are_used_up() -> None:
    subject = pursuit(3, steps=(2, 1, 0))
    feed(subject, 1.0, 1.0)
    assert (subject.index, subject.steps) == (1, [2, 0])
    feed(subject, 1.0)
    assert (subject.index, subject.steps) == (2, [2, 1, 0])
    assert subject.steps_left is None  # 0 = no limit
    feed(subject, *[1.0] * 50)
    assert subject.termination is None


def test_steps_left_limit_what_may_be_executed() -> None:
    subject = pursuit(steps=(3,))
    assert subject.steps_left == 3
    feed(subject, 1.0)
    assert subject.steps_left == 2


@pytest.mark.parametrize(
    ('last', 'termination'), [(0.05, Termination.REACHED), (0.5, Termination.TIMEOUT)]
)
def test_last_goal_is_judged_by_one_more_look_when_its_steps_are_used_up(last, termination) -> None:
    """The energy of the last plan is that from before its step; the arm has moved since."""
    subject = pursuit(steps=(2,))
    assert feed(subject, 1.0, 0.6)[-1] is Next.OBSERVE
    assert subject.on_plan(Signals(energy=last)) is Next.END
    assert subject.termination is termination
    assert subject.energies == [last]
    assert subject.steps_executed == 2


@pytest.mark.parametrize('tolerance', [-1.0, math.nan])
def test_without_a_tolerance_the_steps_are_used_up_and_no_more_is_planned(tolerance) -> None:
    subject = pursuit(steps=(2,), tolerance=tolerance, reached_plans=1)
    assert feed(subject, 0.0, 0.0)[-1] is Next.END
    assert subject.termination is Termination.TIMEOUT


def test_policy_without_energies_uses_up_its_steps() -> None:
    subject = pursuit(steps=(2,))
    assert feed(subject, math.nan, math.nan)[-1] is Next.END
    assert subject.termination is Termination.TIMEOUT


def test_goals_stall_when_the_energy_no_longer_falls() -> None:
    subject = pursuit(stall_plans=2, stall_fraction=0.1)
    feed(subject, 1.0, 0.95, 0.8, 0.75)
    assert subject.termination is None
    assert subject.on_plan(Signals(energy=0.73)) is Next.END
    assert subject.termination is Termination.STALLED


def test_goals_never_stall_unless_that_is_configured() -> None:
    subject = pursuit()
    feed(subject, *[1.0] * 100)
    assert subject.termination is None


def test_plans_that_keep_coming_too_late_end_the_goals() -> None:
    subject = pursuit(max_dropped_plans=2)
    assert subject.on_drop() is Next.OBSERVE
    subject.on_steps(1)
    assert subject.on_drop() is Next.OBSERVE  # not in a row
    assert subject.on_drop() is Next.END
    assert subject.termination is Termination.PLANNER_FAILED
    assert subject.plans_dropped == 3


@pytest.mark.parametrize(
    ('goals', 'steps', 'message'),
    [(0, (), 'at least one'), (2, (1,), '1 values for 2 goals'), (1, (-1,), '>= 0')],
)
def test_lists_that_make_no_sense_are_refused(goals, steps, message) -> None:
    with pytest.raises(InvalidGoalError, match=message):
        pursuit(goals, steps=steps)
