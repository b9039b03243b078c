# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""TimeBudget by hand: what is foreseen, what is kept back, what is forgotten."""

from __future__ import annotations

import math

from fakes.clock import ManualClock
from wm_planner.core.types import StopReason
from wm_planner.planning.deadline import Stopwatch, TimeBudget


def budget(clock, limit_ms, *, reserve_ms=0.0, is_canceled=lambda: False):
    watch = Stopwatch(clock.monotonic_ns)
    return TimeBudget(limit_ms, watch.elapsed_ms, is_canceled, reserve_ms=reserve_ms)


def chunks(clock, times, *durations_ms, samples=8):
    """Return what the budget says after each chunk."""
    said = []
    for duration_ms in durations_ms:
        clock.advance(duration_ms * 1e-3)
        said.append(times.chunk_done(samples))
    return said


def test_goes_on_while_a_chunk_as_slow_as_the_slowest_would_end_in_time() -> None:
    clock = ManualClock()
    assert chunks(clock, budget(clock, 50.5), 10, 20, 10) == [True, True, False]  # 40 + 20 > 50.5


def test_time_for_the_last_single_sequence_is_kept_back() -> None:
    clock = ManualClock()
    assert chunks(clock, budget(clock, 40.5, reserve_ms=0.0), 10, 10, 10) == [True, True, True]
    assert chunks(clock, budget(clock, 40.5, reserve_ms=2.0), 10, 10, 10) == [True, True, False]


def test_unknown_reserve_is_taken_to_be_a_chunk() -> None:
    clock = ManualClock()
    assert chunks(clock, budget(clock, 40.5, reserve_ms=None), 10, 10, 10) == [True, True, False]


def test_reserve_is_learned_from_the_single_sequence_and_slowly_forgotten() -> None:
    clock = ManualClock()
    reserve_ms, learned = None, []
    for single_ms in (8, 2, 2, 4):
        times = budget(clock, math.inf, reserve_ms=reserve_ms)
        chunks(clock, times, 30)
        chunks(clock, times, single_ms, samples=1)
        reserve_ms = times.next_reserve_ms()
        learned.append(round(reserve_ms, 3))
    assert learned == [8.0, 5.0, 3.5, 4.0]


def test_nothing_is_reserved_where_no_single_sequence_is_scored() -> None:
    clock = ManualClock()
    times = budget(clock, math.inf, reserve_ms=None)
    chunks(clock, times, 30)
    assert times.next_reserve_ms() == 0.0


def test_cancelling_comes_before_the_deadline() -> None:
    clock = ManualClock()
    times = budget(clock, 1.0, is_canceled=lambda: True)
    assert chunks(clock, times, 5) == [False]
    assert times.stop_reason() is StopReason.CANCELED
