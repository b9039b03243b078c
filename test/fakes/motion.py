# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""A recorded motion as a file, for the policy that follows one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wm_planner.core.motion import MOTION_COLUMNS, MOTION_FILE


def motion_file(folder: Path) -> Path:
    """Write ten steps of 0.25 s, 2 cm along x and 0.1 rad about z each; closes after the fifth."""
    rows = [','.join(MOTION_COLUMNS)]
    for step in range(11):
        turn = [0.0, 0.0, np.sin(0.05 * step), np.cos(0.05 * step)]
        pose = [0.4 + 0.02 * step, 0.1, 0.3, *turn, 0.0]
        target = [*pose[:-1], float(step > 5)]
        rows.append(','.join(str(value) for value in [0.25 * step, *pose, *target]))
    path = folder / MOTION_FILE
    path.write_text('\n'.join(rows))
    return path
