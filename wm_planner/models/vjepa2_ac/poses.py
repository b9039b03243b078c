# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Tool poses under actions, for all samples at once, on the device.

A state is [x, y, z (m), roll, pitch, yaw (rad), closedness] in the robot's base frame, Euler angles
extrinsic xyz (``R = Rz(yaw) Ry(pitch) Rx(roll)``); an action is [dx, dy, dz, droll, dpitch, dyaw,
dclosedness], its rotation left-multiplied: the layout of DROID (facebookresearch/vjepa2
app/vjepa_droid/droid.py). Computed in double precision: a thousand poses cost nothing, and an
arctangent near its branch cut is better off.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from wm_planner.core.errors import InvalidStateError

_SLACK_RAD = 1e-3  # what rounding may add to pi


def check_states(states: Tensor) -> None:
    """Raise InvalidStateError for states [..., 7] that are not finite or hold degrees.

    Euler angles in degrees are a mistake users really make (facebookresearch/vjepa2 issue 110), and
    the network answers to them with plausible nonsense.
    """
    if not bool(torch.isfinite(states).all()):
        raise InvalidStateError('robot states hold NaN or infinity; valid: finite numbers.')
    largest = float(states[..., 3:6].abs().max()) if states.numel() else 0.0
    if largest > math.pi + _SLACK_RAD:
        raise InvalidStateError(
            f'a state has an Euler angle of {largest:g}; valid: radians in [-pi, pi]. These look '
            'like degrees: multiply by pi / 180.'
        )


def integrate(start: Tensor, actions: Tensor) -> Tensor:
    """Return states [S, H, 7] after each of ``actions`` [S, H, 7] from ``start`` [7], float64."""
    state = start.double().expand(actions.shape[0], -1)
    states = []
    for step in range(actions.shape[1]):
        state = next_states(state, actions[:, step].double())
        states.append(state)
    return torch.stack(states, dim=1)


def next_states(states: Tensor, actions: Tensor) -> Tensor:
    """Return states [..., 7] after one action [..., 7] each; closedness stays in [0, 1].

    Angles whose rotation delta is zero are copied, not converted to a matrix and back: a gripper
    that points down has a roll of pi, which would come back as -pi.
    """
    turned = matrix_to_euler(euler_to_matrix(actions[..., 3:6]) @ euler_to_matrix(states[..., 3:6]))
    is_still = (actions[..., 3:6] == 0.0).all(dim=-1, keepdim=True)
    return torch.cat(
        [
            states[..., :3] + actions[..., :3],
            torch.where(is_still, states[..., 3:6], turned),
            (states[..., 6:] + actions[..., 6:]).clamp(0.0, 1.0),
        ],
        dim=-1,
    )


def actions_between(states: Tensor, next_states: Tensor) -> Tensor:
    """Return the actions [..., 7] that lead from ``states`` to ``next_states`` [..., 7]."""
    before, after = euler_to_matrix(states[..., 3:6]), euler_to_matrix(next_states[..., 3:6])
    return torch.cat(
        [
            next_states[..., :3] - states[..., :3],
            matrix_to_euler(after @ before.mT),
            next_states[..., 6:] - states[..., 6:],
        ],
        dim=-1,
    )


def euler_to_matrix(euler_xyz_rad: Tensor) -> Tensor:
    """Return rotation matrices [..., 3, 3] of extrinsic-xyz Euler angles [..., 3]."""
    (sa, sb, sc), (ca, cb, cc) = euler_xyz_rad.sin().unbind(-1), euler_xyz_rad.cos().unbind(-1)
    rows = [
        torch.stack([cc * cb, cc * sb * sa - sc * ca, cc * sb * ca + sc * sa], dim=-1),
        torch.stack([sc * cb, sc * sb * sa + cc * ca, sc * sb * ca - cc * sa], dim=-1),
        torch.stack([-sb, cb * sa, cb * ca], dim=-1),
    ]
    return torch.stack(rows, dim=-2)


def matrix_to_euler(matrix: Tensor) -> Tensor:
    """Return extrinsic-xyz Euler angles [..., 3] of rotation matrices [..., 3, 3]."""
    roll = torch.atan2(matrix[..., 2, 1], matrix[..., 2, 2])
    pitch = torch.asin((-matrix[..., 2, 0]).clamp(-1.0, 1.0))
    yaw = torch.atan2(matrix[..., 1, 0], matrix[..., 0, 0])
    return torch.stack([roll, pitch, yaw], dim=-1)
