# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Tying simulated time to the wall clock, and which stream is due at which physics step."""

from __future__ import annotations

from collections.abc import Mapping

_WINDOW_NS = 1_000_000_000
_MAX_LAG_NS = 250_000_000


class Pacer:
    """How long to wait so that simulated time runs ``factor`` times as fast as the wall clock.

    Factor 0 never waits. A lag of up to a quarter of a second (a slow frame) is caught up; beyond
    that the lost time is given up, because racing after it would show the planner a world that
    moves faster than the arm's limits. All times in nanoseconds; ``wall_ns`` is the monotonic
    clock. One thread at a time.
    """

    def __init__(self, factor: float) -> None:
        self._factor = factor
        self._start_sim_ns = self._start_wall_ns = 0
        self._window_sim_ns = self._window_wall_ns = 0
        self._measured = factor
        self._lost_ns = 0

    def restart(self, sim_ns: int, wall_ns: int) -> None:
        """Begin here: at the start, after a pause and after a reset."""
        self._start_sim_ns = self._window_sim_ns = sim_ns
        self._start_wall_ns = self._window_wall_ns = wall_ns

    def wait_s(self, sim_ns: int, wall_ns: int) -> float:
        """Return how long to wait now [s], 0 when simulated time is due or late."""
        self._measure(sim_ns, wall_ns)
        if self._factor <= 0.0:
            return 0.0
        due_ns = self._start_wall_ns + round((sim_ns - self._start_sim_ns) / self._factor)
        lag_ns = wall_ns - due_ns
        if lag_ns > _MAX_LAG_NS:
            self._lost_ns += lag_ns
            self._start_sim_ns, self._start_wall_ns = sim_ns, wall_ns
        return max(0.0, -lag_ns / 1e9)

    @property
    def realtime_factor(self) -> float:
        """Return simulated over wall time in the last whole second."""
        return self._measured

    @property
    def lost_s(self) -> float:
        """Return the wall time given up since construction [s]."""
        return self._lost_ns / 1e9

    @property
    def is_slow(self) -> bool:
        """Return True if the last second fell short of the factor asked for by more than 5 %."""
        return self._factor > 0.0 and self._measured < 0.95 * self._factor

    def _measure(self, sim_ns: int, wall_ns: int) -> None:
        elapsed = wall_ns - self._window_wall_ns
        if elapsed >= _WINDOW_NS:
            self._measured = (sim_ns - self._window_sim_ns) / elapsed
            self._window_sim_ns, self._window_wall_ns = sim_ns, wall_ns


class Schedule:
    """Streams with a period in whole physics steps, so that simulated rates are exact.

    A rate becomes the nearest whole number of steps; rate 0 is never due.
    """

    def __init__(self, rates_hz: Mapping[str, float], timestep_s: float) -> None:
        self._period = {
            name: max(1, round(1.0 / (rate * timestep_s)))
            for name, rate in rates_hz.items()
            if rate > 0.0
        }
        self._due: dict[str, int] = {}
        self.restart(0)

    def restart(self, step: int) -> None:
        """Make every stream due one period after ``step``."""
        self._due = {name: step + period for name, period in self._period.items()}

    @property
    def next_due(self) -> int:
        """Return the step at which something is due next."""
        return min(self._due.values())

    def pop_due(self, step: int) -> tuple[str, ...]:
        """Return the streams due at ``step``, in the order they were given, and reschedule them."""
        names = tuple(name for name, due in self._due.items() if due <= step)
        for name in names:
            self._due[name] = step + self._period[name]
        return names
