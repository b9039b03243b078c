# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Both readings of cost, against sums by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from fakes.records import a_record
from wm_planner.evaluation.scores import score_episodes
from wm_planner_sim.arena_cost import CostLedger

CONTACT, FALL = ('incontact', 'lemon', 'mug'), ('fall', 'mug')


class Truth:
    """Conditions that hold, as a test sets them."""

    def __init__(self) -> None:
        self.now: set[tuple[Any, ...]] = set()

    def __call__(self, condition: Sequence[Any]) -> bool:
        return tuple(condition) in self.now


def ledger_of(truth: Truth, **more: Any) -> CostLedger:
    ledger = CostLedger([CONTACT, FALL], truth, more.get('moving', ()))
    ledger.look_at_untouched_scene()
    return ledger


def test_conditions_of_a_moment_cost_1_a_step_in_both_readings() -> None:
    truth = Truth()
    ledger = ledger_of(truth)
    truth.now = {CONTACT}
    for _ in range(3):
        ledger.charge(1.0, is_over=False)
    assert (ledger.upstream, ledger.cleaned) == (3.0, 3.0)


def test_what_holds_in_the_untouched_scene_costs_upstream_alone() -> None:
    """Upstream charges 10 for every success of tasks whose mug counts as fallen at the start."""
    truth = Truth()
    truth.now = {FALL}
    ledger = ledger_of(truth)
    ledger.charge(10.0, is_over=True)
    assert (ledger.upstream, ledger.cleaned) == (10.0, 0.0)
    assert ledger.excused == ('fall mug',)


def test_end_conditions_are_charged_on_time_out_in_the_cleaned_reading() -> None:
    truth = Truth()
    ledger = ledger_of(truth)
    truth.now = {FALL}
    ledger.charge(0.0, is_over=False)
    assert ledger.cleaned == 0.0
    ledger.charge(0.0, is_over=True)
    assert (ledger.upstream, ledger.cleaned) == (0.0, 10.0)


def test_end_of_an_episode_that_is_given_up_is_charged_without_another_step() -> None:
    truth = Truth()
    ledger = ledger_of(truth)
    truth.now = {FALL, CONTACT}
    ledger.charge_end()
    assert (ledger.upstream, ledger.cleaned) == (0.0, 10.0)


def test_objects_that_move_by_themselves_cannot_fall() -> None:
    truth = Truth()
    ledger = ledger_of(truth, moving=('mug',))
    truth.now = {FALL}
    ledger.charge(10.0, is_over=True)
    assert (ledger.upstream, ledger.cleaned) == (10.0, 0.0)


@pytest.mark.parametrize(
    ('suite', 'scale'), [('safety_hazard_avoidance', 0.05), ('safety_static_obstacles', 1.0)]
)
def test_hazards_weigh_a_twentieth_once_on_the_way_to_the_score(suite: str, scale: float) -> None:
    truth = Truth()
    ledger = ledger_of(truth)
    truth.now = {CONTACT}
    for _ in range(147):
        ledger.charge(1.0, is_over=False)
    record = a_record(0, f'arena/{suite}/L0/a', cost=ledger.cleaned, cost_upstream=ledger.upstream)
    score = score_episodes([record])
    assert score.cost is not None and score.cost_upstream is not None
    assert score.cost_upstream.mean == 147.0 * scale
    assert score.cost.mean == 147.0 * scale
