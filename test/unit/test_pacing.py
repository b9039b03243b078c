# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Pacer and Schedule: simulated against wall time, and rates in whole physics steps."""

from __future__ import annotations

import pytest

from wm_planner_sim.pacing import Pacer, Schedule

MS = 1_000_000
SECOND = 1000 * MS


def test_pacer_waits_until_simulated_time_is_due() -> None:
    pacer = Pacer(1.0)
    pacer.restart(500 * MS, 7 * SECOND)
    assert pacer.wait_s(508 * MS, 7 * SECOND + 3 * MS) == pytest.approx(0.005)
    assert pacer.wait_s(508 * MS, 7 * SECOND + 8 * MS) == 0.0


def test_factor_scales_the_wait_and_zero_never_waits() -> None:
    half, free = Pacer(0.5), Pacer(0.0)
    half.restart(0, 0)
    free.restart(0, 0)
    assert half.wait_s(10 * MS, 0) == pytest.approx(0.020)
    assert free.wait_s(10 * SECOND, 0) == 0.0


def test_short_lag_is_caught_up_and_long_lag_given_up() -> None:
    pacer = Pacer(1.0)
    pacer.restart(0, 0)
    assert pacer.wait_s(8 * MS, 100 * MS) == 0.0
    assert pacer.wait_s(108 * MS, 100 * MS) == pytest.approx(0.008)
    assert pacer.lost_s == 0.0
    assert pacer.wait_s(116 * MS, 600 * MS) == 0.0
    assert pacer.lost_s == pytest.approx(0.484)
    assert pacer.wait_s(124 * MS, 600 * MS) == pytest.approx(
        0.008
    )  # from there on, not from the start


def test_measured_factor_tells_slow_from_fast_enough() -> None:
    pacer = Pacer(1.0)
    pacer.restart(0, 0)
    assert not pacer.is_slow
    pacer.wait_s(500 * MS, SECOND)
    assert pacer.realtime_factor == pytest.approx(0.5)
    assert pacer.is_slow
    pacer.wait_s(1500 * MS, 2 * SECOND)
    assert pacer.realtime_factor == pytest.approx(1.0)
    assert not pacer.is_slow


def test_streams_are_due_at_whole_steps_in_the_order_given() -> None:
    schedule = Schedule({'clock': 125.0, 'state': 50.0, 'wrist': 0.0, 'exterior': 10.0}, 0.004)
    seen: dict[str, list[int]] = {'clock': [], 'state': [], 'exterior': []}
    step = 0
    while step < 50:
        step = schedule.next_due
        due = schedule.pop_due(step)
        assert list(due) == [name for name in seen if name in due]
        for name in due:
            seen[name].append(step)
    assert seen == {
        'clock': list(range(2, 51, 2)),
        'state': list(range(5, 51, 5)),
        'exterior': [25, 50],
    }


def test_restart_makes_everything_due_a_period_later() -> None:
    schedule = Schedule({'clock': 125.0, 'state': 50.0}, 0.004)
    schedule.restart(1003)
    assert schedule.next_due == 1005
    assert schedule.pop_due(1008) == ('clock', 'state')
    assert schedule.next_due == 1010


def test_rate_above_the_physics_rate_is_every_step() -> None:
    schedule = Schedule({'clock': 1000.0}, 0.004)
    assert schedule.next_due == 1
