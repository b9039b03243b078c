# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What is said of many numbers: success rate with its interval, percentiles of times.

Pure functions over plain numbers. Absence is a value: no numbers give None, never 0 and never NaN.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
import math

from wm_planner.core.errors import InvalidParameterError

Z_95 = 1.959963984540054
"""Standard normal quantile of a two-sided 95 % interval."""


@dataclass(frozen=True)
class Interval:
    """A closed interval of a rate, both ends in [0, 1]."""

    low: float
    high: float

    def __iter__(self) -> Iterator[float]:
        return iter((self.low, self.high))

    def __contains__(self, rate: object) -> bool:
        return isinstance(rate, float | int) and self.low <= rate <= self.high


@dataclass(frozen=True, kw_only=True)
class Times:
    """A summary of durations [ms]."""

    p50: float
    p99: float
    mean: float
    count: int


def success_rate(outcomes: Sequence[bool]) -> float | None:
    """Return the fraction of true ``outcomes``, or None when there are none."""
    return sum(map(bool, outcomes)) / len(outcomes) if outcomes else None


def wilson_interval(successes: int, trials: int, *, z: float = Z_95) -> Interval | None:
    """Return the Wilson score interval of a rate, or None without a trial.

    ``(p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)``. Unlike the textbook interval it
    stays inside [0, 1] and does not shrink to a point at 0 or ``trials`` successes, which is where
    success rates of robots like to be. Raises InvalidParameterError for impossible counts.
    """
    if not 0 <= successes <= trials:
        raise InvalidParameterError(
            f'{successes} successes of {trials} trials; valid: 0 <= successes <= trials.'
        )
    if trials == 0:
        return None
    rate, z2_n = successes / trials, z * z / trials
    centre = (rate + z2_n / 2.0) / (1.0 + z2_n)
    half = z / (1.0 + z2_n) * math.sqrt(rate * (1.0 - rate) / trials + z2_n / (4.0 * trials))
    low = 0.0 if successes == 0 else max(0.0, centre - half)  # exact where rounding would not be
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return Interval(low, high)


def percentile(values: Iterable[float], percent: float) -> float | None:
    """Return a percentile by linear interpolation between order statistics, None without values.

    ``percent`` in [0, 100]; 0 is the least value, 50 the median, 100 the greatest.
    """
    if not 0.0 <= percent <= 100.0:
        raise InvalidParameterError(f'percent is {percent}; valid: in [0, 100].')
    ordered = sorted(values)
    if not ordered:
        return None
    place = percent / 100.0 * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def summarise_times(milliseconds: Iterable[float]) -> Times | None:
    """Return p50, p99, mean and count of durations [ms], or None when there are none."""
    values = [float(value) for value in milliseconds]
    p50, p99 = percentile(values, 50.0), percentile(values, 99.0)
    if p50 is None or p99 is None:
        return None
    return Times(p50=p50, p99=p99, mean=math.fsum(values) / len(values), count=len(values))
