# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Time that passes when a test says so."""

from __future__ import annotations


class ManualClock:
    """The Clock protocol, set by hand: the ROS clock and the steady one can part company."""

    def __init__(self, now_ns: int = 1_000_000_000, monotonic_ns: int = 50_000_000_000) -> None:
        self._now_ns = now_ns
        self._monotonic_ns = monotonic_ns

    def now_ns(self) -> int:
        return self._now_ns

    def monotonic_ns(self) -> int:
        return self._monotonic_ns

    def advance(self, seconds: float) -> None:
        """Let both clocks run."""
        self._now_ns += round(seconds * 1e9)
        self._monotonic_ns += round(seconds * 1e9)

    def advance_frozen(self, seconds: float) -> None:
        """Let wall time pass while the ROS clock stands still, as with a killed simulator."""
        self._monotonic_ns += round(seconds * 1e9)

    def jump(self, seconds: float) -> None:
        """Set the ROS clock forward or back."""
        self._now_ns += round(seconds * 1e9)
