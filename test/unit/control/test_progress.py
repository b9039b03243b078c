# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""ProgressWatch: each signal at its limit, and what a lasting doubt says."""

from __future__ import annotations

from dataclasses import replace
import math
from typing import Any

import numpy as np
import pytest

from fakes.control_rig import ControlRig
from fakes.values import a_plan
from wm_planner.control.progress import ProgressConfig, ProgressWatch, Signals
from wm_planner.control.status import Termination
from wm_planner.core.errors import NoProgressError, SurpriseError, UncertainPlanError
from wm_planner.core.types import UncertaintyLimits

LIMITS = UncertaintyLimits(min_relief=0.1, max_spread=0.8, max_surprise=1.5)


def a_watch(**config: Any) -> ProgressWatch:
    return ProgressWatch(ProgressConfig(**{'uncertain_plans': 3, **config}), LIMITS)


@pytest.mark.parametrize(
    ('signal', 'good', 'bad', 'error'),
    [
        ('relief', 0.1, 0.09, UncertainPlanError),
        ('spread', 0.8, 0.81, UncertainPlanError),
        ('surprise', 1.5, 1.51, SurpriseError),
    ],
)
def test_doubt_that_lasts_is_a_stall(signal: str, good: float, bad: float, error: type) -> None:
    watch = a_watch()
    for value in (bad, bad, good, math.nan, bad, bad):  # never three in a row
        assert watch.look(Signals(**{signal: value})) is None
    stall = watch.look(Signals(**{signal: bad}))
    assert isinstance(stall, error)
    assert 'Try' in stall.message or 'try' in stall.message, 'it says what to try'
    watch.begin()
    assert watch.look(Signals(**{signal: bad})) is None, 'another goal'


def test_energy_that_does_not_fall_is_counted_and_stalls() -> None:
    watch = a_watch(stall_plans=2, stall_fraction=0.1)
    found = [watch.look(Signals(energy=energy)) for energy in (1.0, 0.95, 0.8, 0.75)]
    assert found == [None] * 4, 'the fall to 0.8 begins the count anew'
    assert isinstance(watch.look(Signals(energy=0.73)), NoProgressError)


def test_limits_given_replace_the_calibrated_ones_and_none_never_doubts() -> None:
    watch = a_watch(max_surprise=3.0, uncertain_plans=1)
    assert watch.look(Signals(surprise=2.0)) is None
    assert isinstance(watch.look(Signals(surprise=2.0, relief=0.05)), UncertainPlanError)
    assert isinstance(watch.look(Signals(surprise=3.1)), SurpriseError)
    free = ProgressWatch(ProgressConfig(uncertain_plans=1))
    assert free.look(Signals(surprise=1e9, relief=-5.0, spread=1e9)) is None


def test_without_uncertain_plans_doubts_stop_nothing() -> None:
    watch = a_watch(uncertain_plans=0)
    for _ in range(50):
        assert watch.look(Signals(surprise=9.0)) is None


def test_spread_is_that_of_what_is_free() -> None:
    plan = a_plan([0.0] * 5)
    std = tuple(0.5 * (plan.action_spec.high - plan.action_spec.low) / 2.0)
    diagnostics = replace(plan.diagnostics, std=(*std[:-1], 0.0), relief=0.3, surprise=0.2)
    signals = Signals.of(replace(plan, diagnostics=diagnostics))
    assert signals.spread == pytest.approx(0.5), 'the pinned gripper does not count'
    assert (signals.relief, signals.surprise) == (0.3, 0.2)
    assert math.isnan(Signals.of(plan).spread)


def test_controller_ends_the_goals_stalled_with_what_to_try() -> None:
    rig = ControlRig(uncertain_plans=2, max_surprise=0.5)
    plain = rig.planner.answer

    def surprised(observation: Any, goal: Any) -> Any:
        plan = plain(observation, goal)
        return replace(plan, diagnostics=replace(plan.diagnostics, surprise=2.0))

    rig.planner.answer = surprised
    rig.pursue()
    status = rig.tick_until(lambda s: s.termination is not None)
    assert status.termination is Termination.STALLED and status.error_code == 309
    assert 'arm blocked' in status.message
    place = rig.sent[-1].position_m
    rig.tick(20)
    assert np.array_equal(rig.sent[-1].position_m, place), 'it holds'
