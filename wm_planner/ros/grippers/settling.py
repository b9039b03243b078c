# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Settling: when a closedness that is repeated 50 times a second is worth an action goal."""

from __future__ import annotations

_STILL_NS = 60_000_000
_RAMP_NS = 500_000_000
_RETRY_NS = 1_000_000_000
_STILL = 1e-3


class Settling:
    """Says which of a stream of closedness targets to send as a goal; pure, time is an argument.

    A goal replaces the one under way, so goals at the control rate would keep the fingers from ever
    closing. A target is due when it differs from the last goal by ``min_change``, or is fully open
    or fully closed and the last goal was not, and when it has stood still for 60 ms (the end of a
    ramp) or has been changing for half a second. One thread at a time.
    """

    def __init__(self, min_change: float) -> None:
        self._min_change = min_change
        self._sent: float | None = None
        self._seen: float | None = None
        self._still_since_ns = 0
        self._due_since_ns: int | None = None
        self._not_before_ns = 0

    def due(self, closedness: float, now_ns: int) -> float | None:
        """Return ``closedness`` if it is to be sent now, else None; ``sent`` confirms it."""
        if self._seen is None or abs(closedness - self._seen) > _STILL:
            self._seen, self._still_since_ns = closedness, now_ns
        if not self._is_other(closedness):
            self._due_since_ns = None
            return None
        if self._due_since_ns is None or now_ns < self._due_since_ns:  # or the clock went back
            self._due_since_ns = now_ns
        if now_ns < self._still_since_ns:
            self._still_since_ns = now_ns
        if 0 < self._not_before_ns - now_ns <= _RETRY_NS:
            return None
        is_first = self._sent is None
        is_still = now_ns - self._still_since_ns >= _STILL_NS
        is_long = now_ns - self._due_since_ns >= _RAMP_NS
        return closedness if is_first or is_still or is_long else None

    def assume(self, measured: float) -> None:
        """Take the measured closedness for the last goal where there was none.

        Motion begins with a command to stay; as a goal it would make fingers that hold an object go
        to the width at which they are, with no force.
        """
        if self._sent is None:
            self._sent = measured

    def sent(self, closedness: float) -> None:
        """Note that a goal went out."""
        self._sent = closedness
        self._due_since_ns = None

    def failed(self, now_ns: int) -> None:
        """Note that the last goal was not taken; the same target is due again in a second."""
        self._sent = None
        self._not_before_ns = now_ns + _RETRY_NS

    def _is_other(self, closedness: float) -> bool:
        if self._sent is None:
            return True
        change = abs(closedness - self._sent)
        is_end = closedness in (0.0, 1.0) and self._sent != closedness
        return change >= self._min_change or (is_end and change > _STILL)
