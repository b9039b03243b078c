# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Between the conventions of robosuite, in which VLA-Arena speaks, and those of this package.

| what | robosuite | here |
|---|---|---|
| picture | OpenGL, bottom row first | upright, top row first |
| gripper input | direction: -1 opens, +1 closes | closedness to reach in [0, 1], 0 = open |
| finger joints | +0.04 and -0.04 m when open | closedness |
| position | world frame | base frame; the axes of both are parallel |
| rotation input | rotation vector, left-multiplied | quaternion xyzw of an absolute target |
| pose input | -1 .. 1 of 0.05 m and 0.5 rad from where the tool is | absolute target |

Pure functions, any thread.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wm_planner.core.geometry import Array

OSC_SCALE_M = 0.05
"""Displacement that an input of 1 asks the operational-space controller for [m]."""

OSC_SCALE_RAD = 0.5
"""Rotation that an input of 1 asks the operational-space controller for [rad]."""

FINGER_TRAVEL_M = 0.04
"""Travel of one finger from closed to open [m]."""

GRIPPER_OPEN, GRIPPER_CLOSE = -1.0, 1.0


def closedness_of_fingers(finger_qpos_m: npt.ArrayLike) -> float:
    """Return closedness in [0, 1] of the joints of both fingers [2] in metres."""
    left, right = np.asarray(finger_qpos_m, dtype=np.float64)
    opening = (left - right) / (2.0 * FINGER_TRAVEL_M)
    return float(min(max(1.0 - opening, 0.0), 1.0))


def gripper_direction(
    target_closedness: float, closedness: float, before: float, deadband: float
) -> float:
    """Return the gripper input, +1 or -1, that brings the fingers to ``target_closedness``.

    Within ``deadband`` of the target the input stays as it was ``before``: fingers that an object
    stops keep pressing on it when they are told to stay where they are.
    """
    if target_closedness > closedness + deadband:
        return GRIPPER_CLOSE
    if target_closedness < closedness - deadband:
        return GRIPPER_OPEN
    if target_closedness >= 1.0 - 1e-9:
        return GRIPPER_CLOSE
    if target_closedness <= 1e-9:
        return GRIPPER_OPEN
    return before


def base_from_world(position_world_m: npt.ArrayLike, base_world_m: npt.ArrayLike) -> Array:
    """Return a position [3] in the base frame, whose axes are parallel to the world's."""
    position: Array = np.asarray(position_world_m, np.float64) - np.asarray(
        base_world_m, np.float64
    )
    return position


def osc_input(
    offset_m: Array, rotation_rad: Array, *, gain: float, tolerance_m: float, tolerance_rad: float
) -> Array:
    """Return the controller input [6] in [-1, 1] that goes toward a target.

    ``offset_m`` [3] and ``rotation_rad`` [3] lead from the tool to the target, in the base frame.
    One step at gain 1 delivers about a quarter of what it asks for, so a gain above 1 gets there
    sooner. Too large an offset is shortened, not bent; one within its tolerance asks for nothing.
    """
    pieces = []
    for vector, scale, tolerance in (
        (offset_m, OSC_SCALE_M, tolerance_m),
        (rotation_rad, OSC_SCALE_RAD, tolerance_rad),
    ):
        wanted = gain * vector / scale
        if np.linalg.norm(vector) <= tolerance:
            wanted = np.zeros(3)
        pieces.append(wanted / max(1.0, float(np.abs(wanted).max())))
    return np.concatenate(pieces)
