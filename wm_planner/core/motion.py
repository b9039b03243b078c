# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""A recorded motion of the arm: the table that an evaluation writes and a policy can follow."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wm_planner.core.errors import InvalidParameterError
from wm_planner.core.geometry import Array, normalise_quaternion, slerp

MOTION_FILE = 'motion.csv'
_POSE = ('x_m', 'y_m', 'z_m', 'qx', 'qy', 'qz', 'qw', 'closedness')
MOTION_COLUMNS = ('t_s', *_POSE, *(f'target_{name}' for name in _POSE))
"""Time since the start, the tool where it was, and the target it had been given; base frame."""


@dataclass(frozen=True, kw_only=True)
class Waypoint:
    """Where the tool is to be, in the base frame, and what the gripper is commanded."""

    position_m: Array  # [3]
    quaternion_xyzw: Array  # [4]
    gripper_closedness: float


class RecordedMotion:
    """Where the tool was at every time of a recording, and what its gripper was commanded."""

    def __init__(self, table: Array) -> None:
        """Take rows of MOTION_COLUMNS [n >= 2, 17] in the order of time."""
        self._times_s = table[:, 0]
        self._positions_m = table[:, 1:4]
        self._quaternions = np.array([normalise_quaternion(row) for row in table[:, 4:8]])
        self._closedness = np.clip(table[:, 16], 0.0, 1.0)

    @classmethod
    def from_csv(cls, path: str | Path) -> RecordedMotion:
        """Read a table; raises InvalidParameterError naming the file and what is valid."""
        try:
            with Path(path).open(newline='') as file:
                rows = list(csv.reader(file))
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidParameterError(
                f'recorded motion {path} cannot be read ({error}); valid: a {MOTION_FILE} of '
                'wm_planner evaluate --save-motion.'
            ) from error
        if not rows or tuple(rows[0]) != MOTION_COLUMNS:
            raise InvalidParameterError(
                f'recorded motion {path} begins with {rows[0] if rows else "nothing"}; valid: '
                f'the columns {", ".join(MOTION_COLUMNS)}.'
            )
        try:
            table = np.array([[float(text) for text in row] for row in rows[1:]], np.float64)
        except ValueError as error:
            raise InvalidParameterError(
                f'recorded motion {path}: {error}; valid: numbers.'
            ) from error
        is_table = table.ndim == 2 and table.shape[0] >= 2 and table.shape[1] == len(MOTION_COLUMNS)
        if not is_table or not np.all(np.isfinite(table)) or not np.all(np.diff(table[:, 0]) > 0.0):
            raise InvalidParameterError(
                f'recorded motion {path} has shape {list(table.shape)}; valid: two rows or more of '
                f'{len(MOTION_COLUMNS)} finite numbers, each later than the one before.'
            )
        return cls(table)

    @property
    def duration_s(self) -> float:
        """Return how long it takes."""
        return float(self._times_s[-1])

    def at(self, time_s: float) -> Waypoint:
        """Return the waypoint at a time since the start, the last one after the end."""
        time_s = min(max(time_s, float(self._times_s[0])), self.duration_s)
        after = min(int(np.searchsorted(self._times_s, time_s)), len(self._times_s) - 1)
        before = max(after - 1, 0)
        span_s = float(self._times_s[after] - self._times_s[before])
        part = 0.0 if span_s == 0.0 else (time_s - float(self._times_s[before])) / span_s
        way = self._positions_m[after] - self._positions_m[before]
        return Waypoint(
            position_m=self._positions_m[before] + part * way,
            quaternion_xyzw=slerp(self._quaternions[before], self._quaternions[after], part),
            gripper_closedness=float(self._closedness[after]),
        )
