# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Measurement: many values of one quantity, summed up for the table of a benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from wm_planner.core.errors import NoDataError
from wm_planner.evaluation.metrics import percentile


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Values of a quantity under stated conditions; at least one."""

    name: str  # key in the JSON file
    what: str  # for people, with the conditions
    unit: str
    values: Sequence[float] = field(repr=False)

    def __post_init__(self) -> None:
        if not self.values:
            raise NoDataError(f'nothing was measured for {self.what!r}; valid: at least one value.')

    def at(self, percent: float) -> float:
        """Return a percentile."""
        value = percentile(self.values, percent)
        assert value is not None, 'there are values'
        return value

    def as_json(self) -> dict[str, Any]:
        """Return the summary: median, quartiles, tail, mean and count."""
        return {
            'what': self.what,
            'unit': self.unit,
            'p50': self.at(50.0),
            'p25': self.at(25.0),
            'p75': self.at(75.0),
            'p99': self.at(99.0),
            'max': max(self.values),
            'mean': sum(self.values) / len(self.values),
            'count': len(self.values),
        }
