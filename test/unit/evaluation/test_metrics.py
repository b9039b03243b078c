# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Success rate, Wilson interval and percentiles against values worked out by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
import pytest

from wm_planner.core.errors import InvalidParameterError
from wm_planner.evaluation.metrics import (
    percentile,
    success_rate,
    summarise_times,
    wilson_interval,
)


def test_success_rate_is_the_fraction_of_successes() -> None:
    assert success_rate([True, False, True, True]) == 0.75


def test_success_rate_is_none_when_nothing_ran() -> None:
    assert success_rate([]) is None


@pytest.mark.parametrize(
    ('successes', 'trials', 'low', 'high'),
    [
        # p = 1/2, n = 10, z^2 = 3.841459: centre 0.5; half = 1.959964 / 1.3841459 *
        # sqrt(0.025 + 3.841459 / 400) = 1.416010 * sqrt(0.0346036) = 0.263406
        (5, 10, 0.236594, 0.763406),
        # p = 0: high = (z^2 / n) / (1 + z^2 / n) = 0.3841459 / 1.3841459
        (0, 10, 0.0, 0.277533),
        # the mirror image of 0 of 10
        (10, 10, 0.722467, 1.0),
        # p = 1, n = 40: low = 1 / (1 + 3.841459 / 40)
        (40, 40, 0.912378, 1.0),
        # p = 0.95, n = 40: (0.95 + 0.0480182) / 1.0960365 -+ 1.959964 / 1.0960365 *
        # sqrt(0.0011875 + 0.00060023) = 0.910570 -+ 0.075610
        (38, 40, 0.834960, 0.986179),
    ],
)
def test_wilson_interval_has_the_values_worked_out_by_hand(
    successes: int, trials: int, low: float, high: float
) -> None:
    interval = wilson_interval(successes, trials)
    assert interval is not None
    assert interval.low == pytest.approx(low, abs=2e-6)
    assert interval.high == pytest.approx(high, abs=2e-6)


def test_wilson_interval_is_none_when_nothing_ran() -> None:
    assert wilson_interval(0, 0) is None


@pytest.mark.parametrize(('successes', 'trials'), [(3, 2), (-1, 2), (1, 0)])
def test_wilson_interval_refuses_impossible_counts(successes: int, trials: int) -> None:
    with pytest.raises(InvalidParameterError, match='0 <= successes <= trials'):
        wilson_interval(successes, trials)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_lies_in_the_unit_range_and_holds_the_rate(counts: tuple[int, int]) -> None:
    successes, trials = counts
    interval = wilson_interval(successes, trials)
    assert interval is not None
    assert 0.0 <= interval.low < interval.high <= 1.0
    assert successes / trials in interval


@pytest.mark.parametrize(
    ('percent', 'value'), [(0, 1.0), (50, 3.0), (25, 2.0), (90, 4.6), (99, 4.96), (100, 5.0)]
)
def test_percentile_interpolates_between_order_statistics(percent: float, value: float) -> None:
    # five values lie at 0, 25, 50, 75 and 100 %, so 90 % is 0.6 of the way from the 4th to the 5th
    assert percentile([5.0, 1.0, 4.0, 2.0, 3.0], percent) == pytest.approx(value)


def test_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 99) == 7.0


def test_percentile_is_none_without_values() -> None:
    assert percentile([], 50) is None


@pytest.mark.parametrize('percent', [-0.1, 100.1, float('nan')])
def test_percentile_refuses_a_percent_out_of_range(percent: float) -> None:
    with pytest.raises(InvalidParameterError, match='100'):
        percentile([1.0], percent)


def test_times_are_summarised_with_median_tail_mean_and_count() -> None:
    times = summarise_times([10.0, 20.0, 30.0, 60.0])
    assert times is not None
    assert (times.p50, times.mean, times.count) == (25.0, 30.0, 4)
    assert times.p99 == pytest.approx(30.0 + 0.97 * 30.0)


def test_times_are_none_when_nothing_was_timed() -> None:
    assert summarise_times([]) is None
