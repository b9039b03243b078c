# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""From closedness to what gripper drivers are told; pure functions, any thread.

Inside the package closedness is in [0, 1] and 0 is open. Drivers disagree: see each function.
"""

from __future__ import annotations

from wm_planner.core.profile import RobotProfile

CommandRange = tuple[float, float]
"""What the driver is told to be open and to be closed."""


def command_value(closedness: float, command_range: CommandRange) -> float:
    """Return the value between the two of a range that stands for ``closedness``."""
    opened, closed = command_range
    return float(opened + closedness * (closed - opened))


def width_range(profile: RobotProfile) -> CommandRange:
    """Return the opening [m]: the whole width when open, 0 when closed."""
    return _given(profile) or (profile.gripper_max_width_m, 0.0)


def joint_range(profile: RobotProfile, joints: int) -> CommandRange:
    """Return what each of ``joints`` fingers takes [m]: its share of the width when open."""
    return _given(profile) or (profile.gripper_max_width_m / max(1, joints), 0.0)


def half_width_range(profile: RobotProfile) -> CommandRange:
    """Return what franka_gripper's GripperCommand takes [m]: how far each finger stands out.

    Its result reports the whole width all the same.
    """
    return _given(profile) or (profile.gripper_max_width_m / 2.0, 0.0)


def crisp_range(profile: RobotProfile) -> CommandRange:
    """Return CRISP's: 1 = open, 0 = closed; with ``command_range`` its unnormalised values."""
    return _given(profile) or (1.0, 0.0)


def _given(profile: RobotProfile) -> CommandRange | None:
    found = profile.gripper_settings.command_range
    return (found[0], found[1]) if found else None
