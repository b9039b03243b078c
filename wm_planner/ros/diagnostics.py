# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Entries for /diagnostics."""

from __future__ import annotations

from collections.abc import Mapping
import enum

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from wm_planner.ros.stamps import stamp_from_ns

DIAGNOSTICS_TOPIC = '/diagnostics'


class Level(enum.Enum):
    """How bad it is; the values are those of DiagnosticStatus."""

    OK = DiagnosticStatus.OK
    WARN = DiagnosticStatus.WARN
    ERROR = DiagnosticStatus.ERROR


def diagnostics_message(
    name: str, level: Level, message: str, values: Mapping[str, object], *, stamp_ns: int
) -> DiagnosticArray:
    """Return one entry; ``name`` is ``node: component``, ``values`` become text."""
    status = DiagnosticStatus(
        level=level.value,
        name=name,
        message=message,
        values=[KeyValue(key=str(key), value=_text(value)) for key, value in values.items()],
    )
    array = DiagnosticArray(status=[status])
    array.header.stamp = stamp_from_ns(stamp_ns)
    return array


def _text(value: object) -> str:
    return f'{value:.6g}' if isinstance(value, float) else str(value)
