# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Time inside a plan: where it went, and whether there is enough left for more."""

from __future__ import annotations

from collections.abc import Callable

from wm_planner.core.types import StopReason


class Stopwatch:
    """Milliseconds per stage since it was made."""

    def __init__(self, monotonic_ns: Callable[[], int]) -> None:
        self._monotonic_ns = monotonic_ns
        self._start_ns = self._lap_ns = monotonic_ns()
        self._stages: dict[str, float] = {}

    def elapsed_ms(self) -> float:
        """Return the time since the start [ms]."""
        return (self._monotonic_ns() - self._start_ns) * 1e-6

    def lap(self, stage: str) -> None:
        """Note the time since the last lap as that of ``stage``."""
        now_ns = self._monotonic_ns()
        self._stages[stage] = (now_ns - self._lap_ns) * 1e-6
        self._lap_ns = now_ns

    def finish(self) -> dict[str, float]:
        """Return the time of each stage and the ``total`` [ms]."""
        return {**self._stages, 'total': self.elapsed_ms()}


class TimeBudget:
    """Decides between chunks of rollouts whether a plan goes on.

    It does if the next chunk, going by the slowest of this plan so far, and after it the score of a
    single sequence (what optimizers end with: the energy of their final mean) can be expected to
    end by ``limit_ms``. ``reserve_ms`` is what that last score took in earlier plans; None: not
    known yet, and taken to be as slow as a chunk.
    """

    def __init__(
        self,
        limit_ms: float,
        elapsed_ms: Callable[[], float],
        is_canceled: Callable[[], bool],
        *,
        reserve_ms: float | None,
    ) -> None:
        self._limit_ms = limit_ms
        self._elapsed_ms = elapsed_ms
        self._is_canceled = is_canceled
        self._reserve_ms = reserve_ms
        self._before_ms = elapsed_ms()
        self._slowest_ms = 0.0
        self._single_ms = 0.0

    def chunk_done(self, samples: int) -> bool:
        """Note that a chunk of ``samples`` was scored; return whether to go on with another."""
        now_ms = self._elapsed_ms()
        took_ms, self._before_ms = now_ms - self._before_ms, now_ms
        self._slowest_ms = max(self._slowest_ms, took_ms)
        if samples == 1:
            self._single_ms = took_ms
        return self.stop_reason() is None

    def stop_reason(self) -> StopReason | None:
        """Return why to stop now, or None."""
        if self._is_canceled():
            return StopReason.CANCELED
        reserve_ms = self._slowest_ms if self._reserve_ms is None else self._reserve_ms
        end_ms = self._elapsed_ms() + self._slowest_ms + reserve_ms
        return StopReason.DEADLINE if end_ms > self._limit_ms else None

    def next_reserve_ms(self) -> float:
        """Return what to reserve in the next plan; a slow moment is forgotten over a few plans.

        0 where the optimizer has scored no single sequence, e.g. because it returns its best.
        """
        if self._reserve_ms is None:
            return self._single_ms
        return max(self._single_ms, (self._single_ms + self._reserve_ms) / 2.0)
