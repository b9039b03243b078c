# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Chain: every decision, from energies that a test gives."""

from __future__ import annotations

import math
from typing import Any

import pytest

from fakes.values import a_goal
from wm_planner.control.chain import Chain, ChainConfig, ChainKind, Decision
from wm_planner.control.progress import Signals
from wm_planner.control.pursuit import Next, Pursuit, PursuitConfig
from wm_planner.control.status import Termination
from wm_planner.core.errors import InvalidGoalError, NoProgressError

CONFIG = {
    'chain_within': 0.5,
    'chain_near': 2.0,
    'chain_plans': 1,
    'chain_flat_plans': 2,
    'chain_stall_plans': 3,
    'chain_gain': 0.1,
}
FAR = 5.0  # tolerance 1


def chain(
    goals: int = 2, *, budget: int | None = None, grippers: Any = None, **config: Any
) -> Chain:
    closedness = grippers or [None] * goals
    return Chain(
        [
            a_goal(name, gripper_closedness=value)
            for name, value in zip('abcdef'[:goals], closedness, strict=True)
        ],
        tolerance=1.0,
        config=ChainConfig(**{**CONFIG, **config}),
        budget=budget,
    )


def feed(subject: Chain, *energies: float, closedness: float = 0.0) -> list[Decision]:
    """Give plans with these energies, executing a step after each that is to be executed."""
    found = []
    for energy in energies:
        found.append(subject.on_plan(energy, closedness))
        if found[-1] is Decision.GO_ON:
            subject.on_steps(1)
    return found


def test_goal_within_part_of_the_tolerance_is_left_at_once() -> None:
    subject = chain()
    assert feed(subject, FAR, 0.49) == [Decision.GO_ON, Decision.ADVANCE]
    assert subject.index == 1
    assert feed(subject, FAR, 0.49) == [Decision.GO_ON, Decision.REACHED]
    assert subject.best_energies == [0.49, 0.49]
    assert [sentence.split()[:2] for sentence in subject.decisions] == [
        ['1', 'advance:'],
        ['2', 'reached:'],
    ]


def test_as_many_plans_in_a_row_as_asked_must_be_within() -> None:
    subject = chain(chain_plans=2)
    assert feed(subject, FAR, 0.4, 0.7, 0.3) == [Decision.GO_ON] * 4
    assert feed(subject, 0.2) == [Decision.ADVANCE]


def test_goal_whose_energy_flattens_near_the_tolerance_is_left() -> None:
    subject = chain()
    assert feed(subject, FAR, 1.9, 1.9, 1.85) == [*[Decision.GO_ON] * 3, Decision.FLATTENED]
    assert subject.index == 1


def test_last_goal_must_flatten_within_the_tolerance_itself() -> None:
    subject = chain(1, chain_stall_plans=9)
    assert feed(subject, FAR, 1.1, 1.1, 1.1) == [Decision.GO_ON] * 4
    assert feed(subject, 0.95, 0.95, 0.95)[-1] is Decision.REACHED


def test_satisfied_goal_is_skipped_without_a_step() -> None:
    subject = chain(chain_plans=2)
    assert feed(subject, 0.4) == [Decision.SKIP]
    assert (subject.index, subject.steps) == (1, 0)


def test_chain_whose_goals_are_all_satisfied_ends_at_once_and_says_so() -> None:
    subject = chain(3, chain_plans=2)
    assert feed(subject, 0.1, 0.1, 0.1) == [Decision.SKIP, Decision.SKIP, Decision.SATISFIED]
    assert subject.steps == 0 and subject.decision.is_end


def test_stall_widens_the_search_and_a_gain_narrows_it_again() -> None:
    subject = chain()
    assert feed(subject, FAR, FAR, FAR)[-1] is Decision.GO_ON and not subject.is_wide
    assert feed(subject, FAR) == [Decision.WIDEN] and subject.is_wide
    assert feed(subject, FAR) == [Decision.GO_ON] and subject.is_wide
    assert feed(subject, 0.8 * FAR) == [Decision.GO_ON] and not subject.is_wide


def test_stall_goes_back_once_and_then_ends_with_the_best() -> None:
    subject = chain()
    feed(subject, FAR, 0.1)
    stalled = [4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0]
    decisions = feed(subject, *stalled)
    assert [d for d in decisions if d is not Decision.GO_ON] == [Decision.WIDEN, Decision.GO_BACK]
    assert subject.index == 0 and not subject.is_wide
    assert feed(subject, FAR, 0.1) == [Decision.GO_ON, Decision.ADVANCE]
    decisions = feed(subject, 3.0, *stalled[1:])
    assert [d for d in decisions if d is not Decision.GO_ON] == [Decision.WIDEN, Decision.STALLED]
    assert isinstance(subject.stall, NoProgressError)
    assert subject.best_energies == [0.1, 3.0]


def test_goal_gone_back_to_is_left_where_it_no_longer_gets_nearer() -> None:
    """An object that has been moved since keeps its energy high for good."""
    subject = chain()
    feed(subject, FAR, 0.1, *[4.0] * 7)
    assert subject.index == 0
    assert feed(subject, FAR, FAR, FAR) == [Decision.GO_ON, Decision.GO_ON, Decision.FLATTENED]
    assert subject.index == 1
    assert feed(subject, 0.1) == [Decision.REACHED]


def test_first_goal_has_none_to_go_back_to() -> None:
    subject = chain()
    assert feed(subject, *[FAR] * 7)[-1] is Decision.STALLED


def test_goals_share_the_budget_and_end_in_timeout() -> None:
    subject = chain(budget=3)
    assert feed(subject, FAR, 0.1, FAR, FAR) == [
        Decision.GO_ON,
        Decision.ADVANCE,
        Decision.GO_ON,
        Decision.GO_ON,
    ]
    assert subject.steps_left == 0
    assert feed(subject, 1.1) == [Decision.TIMEOUT]


def test_last_goal_within_the_tolerance_when_the_steps_are_used_up_is_reached() -> None:
    subject = chain(1, budget=1)
    assert feed(subject, FAR, 0.9) == [Decision.GO_ON, Decision.REACHED]


def test_goal_is_not_satisfied_before_its_gripper_is_there() -> None:
    subject = chain(1, grippers=[0.45], chain_stall_plans=9)
    assert feed(subject, 0.1, closedness=0.0) == [Decision.GO_ON]
    assert feed(subject, 0.1, closedness=0.3) == [Decision.GO_ON]  # still closing
    assert feed(subject, 0.1, closedness=0.42) == [Decision.REACHED]


def test_fingers_that_a_thicker_object_stops_are_there() -> None:
    subject = chain(1, grippers=[0.6], chain_stall_plans=9)
    assert feed(subject, 0.1, closedness=0.4) == [Decision.GO_ON]
    assert feed(subject, 0.1, closedness=0.41) == [Decision.REACHED]


def test_goal_with_an_open_gripper_waits_for_it_to_open() -> None:
    subject = chain(1, grippers=[0.0], chain_stall_plans=9)
    assert feed(subject, 0.1, closedness=0.4) == [Decision.GO_ON]
    assert feed(subject, 0.1, closedness=0.0) == [Decision.REACHED]


def test_energies_that_are_not_known_stall_nothing_into_success() -> None:
    subject = chain(1)
    decisions = feed(subject, *[math.nan] * 7)
    assert decisions[-1] is Decision.STALLED
    assert math.isnan(subject.best_energies[0])


@pytest.mark.parametrize('tolerance', [math.nan, 0.0, -1.0])
def test_chain_needs_a_tolerance(tolerance: float) -> None:
    with pytest.raises(InvalidGoalError, match='fixed schedule'):
        Chain([a_goal('a')], tolerance=tolerance, config=ChainConfig())


class TestPursuit:
    """A pursuit that a chain decides."""

    def pursuit(self, goals: int = 2, *, steps: Any = (), **config: Any) -> Pursuit:
        return Pursuit(
            [a_goal(name) for name in 'abc'[:goals]],
            steps_per_goal=steps,
            tolerance=1.0,
            config=PursuitConfig(**{**CONFIG, **config}),
            list_id=1,
            kind=ChainKind.PROGRESS,
        )

    def feed(self, subject: Pursuit, *energies: float) -> list[Next]:
        found = []
        for energy in energies:
            found.append(subject.on_plan(Signals(energy=energy), 0.0))
            if found[-1] is Next.EXECUTE:
                assert subject.on_steps(1) is Next.OBSERVE
        return found

    def test_goals_that_are_satisfied_end_reached_without_a_step(self) -> None:
        subject = self.pursuit()
        assert self.feed(subject, 0.1, 0.1) == [Next.OBSERVE, Next.END]
        assert subject.termination is Termination.REACHED
        assert (subject.steps_executed, subject.plans) == (0, 2)
        assert subject.decision.startswith('2 satisfied')

    def test_energies_and_steps_stay_with_their_goal_when_it_goes_back(self) -> None:
        subject = self.pursuit()
        self.feed(subject, FAR, 0.1, *[4.0] * 7)
        assert subject.goal.goal_id == 'a'
        assert (subject.energies, subject.best_energies) == ([0.1, 4.0], [0.1, 4.0])
        self.feed(subject, 3.0)
        assert subject.energies == [3.0, 4.0] and subject.energy == 3.0
        assert subject.steps == [2, 5]

    def test_wider_plan_is_asked_for_from_the_same_place(self) -> None:
        subject = self.pursuit()
        assert self.feed(subject, *[FAR] * 4)[-1] is Next.OBSERVE
        assert subject.is_wide and subject.goal.goal_id == 'a'

    def test_stall_ends_with_the_reason(self) -> None:
        subject = self.pursuit(1)
        assert self.feed(subject, *[FAR] * 7)[-1] is Next.END
        assert subject.termination is Termination.STALLED
        assert subject.stall is not None and subject.stall.code == NoProgressError.code

    def test_steps_are_shared(self) -> None:
        subject = self.pursuit(steps=(1, 2))
        self.feed(subject, FAR, FAR, FAR)
        assert subject.steps_left == 0
        self.feed(subject, 1.9)
        assert subject.termination is Termination.TIMEOUT

    def test_one_goal_without_a_limit_leaves_the_list_without(self) -> None:
        assert self.pursuit(steps=(1, 0)).steps_left is None
