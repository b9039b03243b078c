# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Forward kinematics of the Franka Panda, for policies that answer with joint positions."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from wm_planner.core.geometry import (
    Array,
    conjugate_quaternion,
    multiply_quaternions,
    normalise_quaternion,
    rotate_vector,
)

ARM_JOINTS = 7
_FLANGE_M = 0.107
# Craig's convention, from Franka's documentation: link length a [m], offset d [m], twist [rad].
_DH = (
    (0.0, 0.333, 0.0),
    (0.0, 0.0, -math.pi / 2),
    (0.0, 0.316, math.pi / 2),
    (0.0825, 0.0, math.pi / 2),
    (-0.0825, 0.384, -math.pi / 2),
    (0.0, 0.0, math.pi / 2),
    (0.088, 0.0, math.pi / 2),
)

Pose = tuple[Array, Array]
"""Position [3] in metres and quaternion xyzw [4]."""


def flange_pose(joints_rad: npt.ArrayLike) -> Pose:
    """Return the pose of the flange in the frame of link 0 for joint positions [7]."""
    position, quaternion = np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0])
    for angle, (a, d, twist) in zip(np.asarray(joints_rad, np.float64), _DH, strict=True):
        link = _about(0, twist), _about(2, float(angle))
        # Rot_x(twist) Trans_x(a) Rot_z(angle) Trans_z(d)
        step = np.array([a, 0.0, 0.0]) + rotate_vector(link[0], [0.0, 0.0, d])
        position, quaternion = compose(
            (position, quaternion), (step, multiply_quaternions(link[0], link[1]))
        )
    return compose((position, quaternion), (np.array([0.0, 0.0, _FLANGE_M]), _about(2, 0.0)))


def compose(first: Pose, second: Pose) -> Pose:
    """Return ``first * second``: a pose in the frame of ``first``, seen from where that is."""
    return (
        first[0] + rotate_vector(first[1], second[0]),
        normalise_quaternion(multiply_quaternions(first[1], second[1])),
    )


def inverse(pose: Pose) -> Pose:
    """Return the pose that undoes another."""
    back = conjugate_quaternion(pose[1])
    return -rotate_vector(back, pose[0]), back


def _about(axis: int, angle_rad: float) -> Array:
    quaternion = np.zeros(4)
    quaternion[axis], quaternion[3] = math.sin(angle_rad / 2), math.cos(angle_rad / 2)
    return quaternion
