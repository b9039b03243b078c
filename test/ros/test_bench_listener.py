# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What the benchmark makes of the times at which messages were published, against hand counts."""

from __future__ import annotations

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from wm_planner.core.errors import NoDataError  # noqa: E402
from wm_planner.tools.bench_live import Listener  # noqa: E402
from wm_planner.tools.measurement import Measurement  # noqa: E402

MS = 1_000_000


def test_jitter_is_how_far_each_interval_is_from_the_period() -> None:
    listener = Listener(targets_ns=[0, 20 * MS, 45 * MS, 60 * MS])
    assert listener.jitter_ms() == pytest.approx([0.0, 5.0, 5.0])


def test_rate_is_counted_in_whole_seconds() -> None:
    times = [*range(0, 1000, 20), *range(1000, 2000, 25), 2000]
    listener = Listener(targets_ns=[t * MS for t in times])
    assert listener.target_rates_hz() == [50.0, 40.0]


def test_capture_to_command_joins_the_frame_with_the_first_target_of_its_plan() -> None:
    listener = Listener(targets_ns=[100 * MS, 120 * MS, 140 * MS])
    # simulated time 5 s was published at 10 ms, 6 s at 90 ms of wall time
    listener.clock.extend([(5_000 * MS, 10 * MS), (6_000 * MS, 90 * MS)])
    # plans of those frames left right after the targets at 120 and 140 ms; one frame is unknown
    listener.plans += [(5_000 * MS, 121 * MS), (6_000 * MS, 141 * MS), (7_000 * MS, 141 * MS)]
    assert listener.capture_to_command_ms() == pytest.approx([110.0, 50.0])


def test_plan_before_any_target_counts_for_nothing() -> None:
    listener = Listener(targets_ns=[200 * MS], plans=[(5 * MS, 100 * MS)])
    listener.clock.append((5 * MS, 50 * MS))
    assert listener.capture_to_command_ms() == []


def test_realtime_factor_compares_the_clocks_over_each_second() -> None:
    listener = Listener()
    listener.clock.extend((2 * t * MS, t * MS) for t in range(0, 2001, 100))
    assert listener.realtime_factors() == pytest.approx([2.0, 2.0])


def test_silence_gives_no_value_and_a_measurement_of_none_is_refused() -> None:
    listener = Listener()
    assert listener.jitter_ms() == listener.target_rates_hz() == listener.realtime_factors() == []
    with pytest.raises(NoDataError, match='nothing was measured'):
        Measurement(name='x', what='the thing', unit='ms', values=[])


def test_measurement_sums_up_median_quartiles_and_tail() -> None:
    summary = Measurement(name='x', what='x', unit='ms', values=[4.0, 1.0, 3.0, 2.0, 5.0]).as_json()
    assert (summary['p25'], summary['p50'], summary['p75']) == (2.0, 3.0, 4.0)
    assert (summary['mean'], summary['count']) == (3.0, 5)
