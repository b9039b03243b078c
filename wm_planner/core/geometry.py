# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Rotations and poses in numpy: quaternions, Euler angles, deltas applied in the base frame.

Conventions, once for the whole package:

* quaternions are ``xyzw``, unit length, and ``q`` and ``-q`` are the same rotation;
* Euler angles are *extrinsic* xyz in radians, ``R = Rz(c) Ry(b) Rx(a)`` (SciPy's lower-case
  ``'xyz'``), the convention of DROID and V-JEPA 2-AC (facebookresearch/vjepa2
  app/vjepa_droid/droid.py);
* a rotation delta is *left-multiplied*: ``R_next = R_delta R_now``, so it is expressed in the base
  frame.

All functions accept leading batch dimensions and are pure; they may be called from any thread.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from wm_planner.core.errors import InvalidStateError

Array = npt.NDArray[np.float64]

UNIT_TOLERANCE = 1e-3
"""How far a quaternion's norm may be from 1 before it is refused.

nav2 validates to 1e-4 in double; drivers publish single precision and rounded values, so this is a
little wider.
"""


def normalise_quaternion(quaternion_xyzw: npt.ArrayLike) -> Array:
    """Return unit quaternions [..., 4] with w >= 0.

    Raises InvalidStateError where the norm differs from 1 by more than UNIT_TOLERANCE or is not
    finite: a zero or unscaled quaternion is a mistake upstream, and normalising it away would hide
    it.
    """
    q = np.asarray(quaternion_xyzw, dtype=np.float64)
    norm = np.linalg.norm(q, axis=-1, keepdims=True)
    if not np.all(np.abs(norm - 1.0) <= UNIT_TOLERANCE):  # written so that NaN fails
        raise InvalidStateError(
            f'quaternion {np.array2string(q, precision=4)} has norm '
            f'{np.array2string(norm.squeeze(-1), precision=4)}; '
            f'valid: xyzw of unit length within {UNIT_TOLERANCE:g}.'
        )
    q = q / norm
    flipped: Array = np.where(q[..., 3:] < 0.0, -q, q)
    return flipped


def multiply_quaternions(a_xyzw: npt.ArrayLike, b_xyzw: npt.ArrayLike) -> Array:
    """Return the Hamilton product ``a b`` [..., 4]: the rotation ``b`` followed by ``a``."""
    ax, ay, az, aw = np.moveaxis(np.asarray(a_xyzw, dtype=np.float64), -1, 0)
    bx, by, bz, bw = np.moveaxis(np.asarray(b_xyzw, dtype=np.float64), -1, 0)
    return np.stack(
        [
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        ],
        axis=-1,
    )


def conjugate_quaternion(quaternion_xyzw: npt.ArrayLike) -> Array:
    """Return the inverse rotation of unit quaternions [..., 4]."""
    conjugate: Array = np.asarray(quaternion_xyzw, np.float64) * np.array([-1.0, -1.0, -1.0, 1.0])
    return conjugate


def euler_to_quaternion(euler_xyz_rad: npt.ArrayLike) -> Array:
    """Return xyzw quaternions [..., 4] of extrinsic-xyz Euler angles [..., 3] in radians."""
    half = 0.5 * np.asarray(euler_xyz_rad, dtype=np.float64)
    (sx, sy, sz), (cx, cy, cz) = np.moveaxis(np.sin(half), -1, 0), np.moveaxis(np.cos(half), -1, 0)
    q = np.stack(
        [
            sx * cy * cz - cx * sy * sz,
            cx * sy * cz + sx * cy * sz,
            cx * cy * sz - sx * sy * cz,
            cx * cy * cz + sx * sy * sz,
        ],
        axis=-1,
    )
    flipped: Array = np.where(q[..., 3:] < 0.0, -q, q)
    return flipped


def quaternion_to_euler(quaternion_xyzw: npt.ArrayLike) -> Array:
    """Return extrinsic-xyz Euler angles [..., 3] in radians.

    Roll and yaw lie in [-pi, pi], pitch in [-pi/2, pi/2].
    """
    x, y, z, w = np.moveaxis(normalise_quaternion(quaternion_xyzw), -1, 0)
    roll = np.arctan2(2.0 * (w * x + y * z), 1.0 - 2.0 * (x * x + y * y))
    pitch = np.arcsin(np.clip(2.0 * (w * y - z * x), -1.0, 1.0))
    yaw = np.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
    return np.stack([roll, pitch, yaw], axis=-1)


def quaternion_to_matrix(quaternion_xyzw: npt.ArrayLike) -> Array:
    """Return rotation matrices [..., 3, 3] of unit quaternions [..., 4]."""
    x, y, z, w = np.moveaxis(normalise_quaternion(quaternion_xyzw), -1, 0)
    rows = [
        np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)], axis=-1),
        np.stack([2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)], axis=-1),
        np.stack([2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)], axis=-1),
    ]
    return np.stack(rows, axis=-2)


def rotate_vector(quaternion_xyzw: npt.ArrayLike, vector: npt.ArrayLike) -> Array:
    """Return vectors [..., 3] rotated by unit quaternions [..., 4]."""
    matrix = quaternion_to_matrix(quaternion_xyzw)
    rotated: Array = np.einsum('...ij,...j->...i', matrix, np.asarray(vector, np.float64))
    return rotated


def rotation_vector_to_quaternion(vector_rad: npt.ArrayLike) -> Array:
    """Return xyzw quaternions [..., 4] of rotation vectors [..., 3], axis times angle [rad]."""
    vector = np.asarray(vector_rad, dtype=np.float64)
    half = 0.5 * np.linalg.norm(vector, axis=-1, keepdims=True)
    # sin(h)/h stays finite at no rotation.
    return normalise_quaternion(
        np.concatenate([0.5 * vector * np.sinc(half / math.pi), np.cos(half)], axis=-1)
    )


def quaternion_to_rotation_vector(quaternion_xyzw: npt.ArrayLike) -> Array:
    """Return rotation vectors [..., 3], axis times angle in [0, pi] (rad), of quaternions [..., 4].

    Of the two ways round, the shorter: q and -q are the same rotation.
    """
    quaternion = normalise_quaternion(quaternion_xyzw)
    sine = np.linalg.norm(quaternion[..., :3], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, quaternion[..., 3:])
    ratio = np.where(sine > 1e-12, angle / np.maximum(sine, 1e-12), 2.0)
    vector: Array = quaternion[..., :3] * ratio
    return vector


def rotation_between(from_xyzw: npt.ArrayLike, to_xyzw: npt.ArrayLike) -> Array:
    """Return rotation vectors [..., 3] (rad) that, left-multiplied, lead from one to the other."""
    turn = multiply_quaternions(
        normalise_quaternion(to_xyzw), conjugate_quaternion(normalise_quaternion(from_xyzw))
    )
    return quaternion_to_rotation_vector(turn)


def rotation_angle(a_xyzw: npt.ArrayLike, b_xyzw: npt.ArrayLike) -> Array:
    """Return the angle [...] in radians, in [0, pi], between two rotations [..., 4]."""
    relative = multiply_quaternions(b_xyzw, conjugate_quaternion(a_xyzw))
    sine = np.linalg.norm(relative[..., :3], axis=-1)
    angle: Array = 2.0 * np.arctan2(sine, np.abs(relative[..., 3]))
    return angle


def slerp(a_xyzw: npt.ArrayLike, b_xyzw: npt.ArrayLike, fraction: float) -> Array:
    """Return the rotation [4] at ``fraction`` of the shorter arc from ``a`` to ``b``."""
    a, b = normalise_quaternion(a_xyzw), normalise_quaternion(b_xyzw)
    dot = float(a @ b)
    if dot < 0.0:
        b, dot = -b, -dot
    angle = math.acos(min(dot, 1.0))
    if angle < 1e-9:
        return a
    blended = (math.sin((1.0 - fraction) * angle) * a + math.sin(fraction * angle) * b) / math.sin(
        angle
    )
    return normalise_quaternion(blended)


def apply_delta(
    position_m: npt.ArrayLike,
    quaternion_xyzw: npt.ArrayLike,
    delta_position_m: npt.ArrayLike,
    delta_euler_xyz_rad: npt.ArrayLike,
) -> tuple[Array, Array]:
    """Return position and quaternion after a base-frame delta: ``p + dp`` and ``R_delta R``."""
    position = np.asarray(position_m, np.float64) + np.asarray(delta_position_m, np.float64)
    rotation = multiply_quaternions(
        euler_to_quaternion(delta_euler_xyz_rad), normalise_quaternion(quaternion_xyzw)
    )
    return position, normalise_quaternion(rotation)


def pose_delta(
    from_position_m: npt.ArrayLike,
    from_quaternion_xyzw: npt.ArrayLike,
    to_position_m: npt.ArrayLike,
    to_quaternion_xyzw: npt.ArrayLike,
) -> tuple[Array, Array]:
    """Return the delta position [m] and extrinsic-xyz Euler delta [rad] from one pose to another.

    ``apply_delta`` with them leads from the first pose exactly to the second.
    """
    delta_position = np.asarray(to_position_m, np.float64) - np.asarray(from_position_m, np.float64)
    relative = multiply_quaternions(
        normalise_quaternion(to_quaternion_xyzw),
        conjugate_quaternion(normalise_quaternion(from_quaternion_xyzw)),
    )
    return delta_position, quaternion_to_euler(relative)
