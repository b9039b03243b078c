# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What an evaluation keeps of an episode's motion: a table that a spreadsheet opens.

The policy ``playback`` follows such a table, which makes any episode a demonstration.
"""

from __future__ import annotations

from collections.abc import Sequence
import csv
import io

import numpy as np

from wm_planner.core.motion import MOTION_COLUMNS, MOTION_FILE
from wm_planner.core.types import ArmCommand, RobotState
from wm_planner.evaluation.pictures import MOTION


class EpisodeMotion:
    """Keeps tool, gripper and targets of one episode at a time, where ``kinds`` asks for them."""

    def __init__(self, kinds: Sequence[str] = ()) -> None:
        self._is_wanted = MOTION in kinds
        self._rows: list[list[float]] = []
        self._begin_ns = 0

    def begin(self, state: RobotState) -> None:
        """Forget the former episode; the next one starts at ``state``."""
        self._rows, self._begin_ns = [], state.stamp_ns
        self.add(ArmCommand.hold_at(state), state)

    def add(self, command: ArmCommand, state: RobotState) -> None:
        """Take a command and the state that it led to."""
        if self._is_wanted:
            self._rows.append(
                [
                    (state.stamp_ns - self._begin_ns) * 1e-9,
                    *state.position_m,
                    *state.quaternion_xyzw,
                    state.gripper_closedness,
                    *command.position_m,
                    *command.quaternion_xyzw,
                    command.gripper_closedness,
                ]
            )

    def files(self) -> dict[str, bytes]:
        """Return the table as CSV, or nothing where none is wanted."""
        if not self._rows:
            return {}
        text = io.StringIO(newline='')
        writer = csv.writer(text)
        writer.writerow(MOTION_COLUMNS)
        writer.writerows([f'{value:.9g}' for value in np.asarray(row)] for row in self._rows)
        return {MOTION_FILE: text.getvalue().encode()}
