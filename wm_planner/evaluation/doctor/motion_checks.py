# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of the way out: the driver does what it is told, the gripper the right way round."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wm_planner.core.profile import RobotProfile
from wm_planner.evaluation.doctor.findings import Check, Finding, error, fine, skipped
from wm_planner.evaluation.doctor.samples import (
    CommandSample,
    GripperSample,
    JointSample,
    MoveSample,
)

MIN_FOLLOWED = 0.5
_SEEN = 0.1  # change of closedness that counts


def check_gripper(
    joints: JointSample, profile: RobotProfile, changes: Sequence[GripperSample]
) -> list[Finding]:
    """7: whether the gripper reads 0 = open and closes when told to.

    Without motion only what it reads is looked at.
    """
    if not profile.gripper_joint_names:
        return [skipped(Check.GRIPPER, f'profile {profile.name!r} has no gripper_joint_names')]
    if joints.positions.size == 0:
        return []
    missing = [name for name in profile.gripper_joint_names if name not in joints.names]
    if missing:
        return [
            error(
                Check.GRIPPER,
                f'{joints.topic} lacks {", ".join(missing)}.',
                'publish the finger joints too, or correct gripper_joint_names of the profile.',
            )
        ]
    columns = [joints.names.index(name) for name in profile.gripper_joint_names]
    sums = joints.positions[:, columns].sum(axis=1)
    opened, closed = profile.gripper_joint_range
    closedness = (sums - opened) / (closed - opened)
    if closedness.min() < -0.1 or closedness.max() > 1.1:
        return [_gripper_out_of_range(sums, profile)]
    if not changes:
        reads = f'closed to {abs(closedness[-1]):.0%}; the sign was not looked at: pass --move'
        return [skipped(Check.GRIPPER, reads)]
    return [_gripper_from_changes(changes)]


def _gripper_out_of_range(sums: np.ndarray, profile: RobotProfile) -> Finding:
    """Return what is wrong with finger joints whose sums [N] the profile does not allow."""
    opened, closed = profile.gripper_joint_range
    if closed == 0.0:
        return error(
            Check.GRIPPER,
            f'the fingers are {sums.max():.4g} m apart; the profile says at most {opened:g} m.',
            'publish finger positions in metres whose sum is the opening, or correct '
            'gripper_max_width_m.',
        )
    worst = sums.max() if abs(sums.max()) > abs(sums.min()) else sums.min()
    return error(
        Check.GRIPPER,
        f'the finger joints add up to {worst:.4g}; the profile says {opened:g} (open) to '
        f'{closed:g} (closed).',
        'correct gripper_settings.joint_range, or gripper_joint_names, of the profile.',
    )


def _gripper_from_changes(changes: Sequence[GripperSample]) -> Finding:
    wanted = np.array([c.commanded_after - c.commanded_before for c in changes])
    done = np.array([c.measured_after - c.measured_before for c in changes])
    gain = float(wanted @ done / max(wanted @ wanted, 1e-9))
    if gain < -_SEEN:
        return error(
            Check.GRIPPER,
            'the gripper opens when it is told to close.',
            'its driver has 1 = open: invert the command (or the reading) in the profile.',
        )
    if gain < _SEEN:
        return error(
            Check.GRIPPER,
            'the gripper does not move when it is told to.',
            'look at its driver and at topics.gripper_target of the profile.',
        )
    return fine(Check.GRIPPER, f'closes when told to ({gain:.0%} of the way)')


def check_driver(
    commands: CommandSample, moves: Sequence[MoveSample], *, is_moving: bool = False
) -> list[Finding]:
    """12: whether a driver listens, alone commanded, and the tool goes where it is told.

    A planner node of this package may run while nothing is to be moved here.
    """
    others = [name for name in commands.senders if name not in commands.planners]
    if others or (commands.senders and is_moving):
        return [
            error(
                Check.DRIVER,
                f'{", ".join(others or commands.senders)} already publishes {commands.topic}.',
                'stop it: two nodes must not command one arm.',
            )
        ]
    if not commands.listeners:
        return [
            error(
                Check.DRIVER,
                f'nobody listens to {commands.topic}.',
                'start the arm driver or its controller, or correct sink and topics of the '
                'profile.',
            )
        ]
    if not moves:
        listeners = ', '.join(commands.listeners)
        return [skipped(Check.DRIVER, f'{listeners} listens; whether it moves: pass --move')]
    wanted = np.stack([move.commanded_m for move in moves])
    done = np.stack([move.done_m for move in moves])
    gain = float(np.sum(wanted * done) / max(float(np.sum(wanted**2)), 1e-12))
    if gain < MIN_FOLLOWED:
        far, real = (float(np.linalg.norm(v, axis=1).mean()) * 100 for v in (wanted, done))
        return [
            error(
                Check.DRIVER,
                f'the driver does not follow: told to move {far:.1f} cm, the tool moved '
                f'{real:.1f} cm ({gain:.0%} of the way asked for).',
                'is the controller active, the arm unlocked, the frame of the targets right? '
                'See the log of the driver.',
            )
        ]
    return [fine(Check.DRIVER, f'{len(moves)} moves, {gain:.0%} of the way asked for')]
