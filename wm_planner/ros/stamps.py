# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Stamps as integer nanoseconds, the only form of time inside the package."""

from __future__ import annotations

from builtin_interfaces.msg import Time

_NS_PER_S = 1_000_000_000
_MAX_NS = (2**31 - 1) * _NS_PER_S + _NS_PER_S - 1


def stamp_to_ns(stamp: Time) -> int:
    """Return nanoseconds of a message stamp."""
    return int(stamp.sec) * _NS_PER_S + int(stamp.nanosec)


def stamp_from_ns(stamp_ns: int) -> Time:
    """Return the message stamp of ``stamp_ns``, in [0, 2^31 s)."""
    nanoseconds = min(max(int(stamp_ns), 0), _MAX_NS)
    return Time(sec=nanoseconds // _NS_PER_S, nanosec=nanoseconds % _NS_PER_S)
