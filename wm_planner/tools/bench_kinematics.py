# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Benchmark of inverse kinematics: residuals and times over reachable poses."""

from __future__ import annotations

from dataclasses import dataclass
import time

import numpy as np

from wm_planner.core.errors import SafetyError
from wm_planner.core.geometry import Array, rotation_angle
from wm_planner.core.profile import RobotProfile
from wm_planner.kinematics.arm import ArmKinematics, make_kinematics
from wm_planner.kinematics.description import RobotDescription
from wm_planner.tools.measurement import Measurement

NEAR_RAD = 0.05  # about what an arm covers in one tick of 20 ms at its speed limits


@dataclass(frozen=True, kw_only=True)
class ReachablePose:
    """A tool pose that a posture within limits and margins has, and that posture."""

    position_m: Array
    quaternion_xyzw: Array
    joints_rad: Array


def reachable_poses(
    kinematics: ArmKinematics, count: int, *, seed: int, margin: float
) -> list[ReachablePose]:
    """Return poses of postures drawn evenly within the joint limits, outside of singularities."""
    generator = np.random.default_rng(seed)
    found: list[ReachablePose] = []
    while len(found) < count:
        joints = generator.uniform(kinematics.low_rad, kinematics.high_rad)
        if kinematics.smallest_singular_value(joints) >= margin:
            position, quaternion = kinematics.forward(joints)
            found.append(
                ReachablePose(position_m=position, quaternion_xyzw=quaternion, joints_rad=joints)
            )
    return found


def measure_kinematics(
    profile: RobotProfile,
    description: RobotDescription | None,
    *,
    poses: int,
    seed: int,
) -> tuple[list[Measurement], int]:
    """Solve for each pose from a posture near its own, then from none in particular.

    Returns measurements and how many poses were refused from nearby. Raises RobotDescriptionError.
    """
    kinematics = make_kinematics(profile, description)
    margin = profile.kinematics.singularity_margin
    generator = np.random.default_rng(seed + 1)
    milliseconds, away_mm, turned_deg, refused = [], [], [], 0
    search_ms, not_found = [], 0
    for pose in reachable_poses(kinematics, poses, seed=seed, margin=margin):
        start = pose.joints_rad + generator.uniform(-NEAR_RAD, NEAR_RAD, pose.joints_rad.size)
        begin_ns = time.perf_counter_ns()
        not_found += kinematics.find(pose.position_m, pose.quaternion_xyzw) is None
        search_ms.append((time.perf_counter_ns() - begin_ns) * 1e-6)
        begin_ns = time.perf_counter_ns()
        try:
            joints = kinematics.inverse(pose.position_m, pose.quaternion_xyzw, start)
        except SafetyError:
            refused += 1
            continue
        finally:
            milliseconds.append((time.perf_counter_ns() - begin_ns) * 1e-6)
        position, quaternion = kinematics.forward(joints)
        away_mm.append(float(np.linalg.norm(position - pose.position_m)) * 1e3)
        turned_deg.append(float(np.degrees(rotation_angle(quaternion, pose.quaternion_xyzw))))
    what = f'{poses} reachable poses, from postures within {NEAR_RAD} rad'
    return [
        Measurement(
            name='solve', what=f'inverse kinematics, {what}', unit='ms', values=milliseconds
        ),
        Measurement(name='residual_m', what='residual of position', unit='mm', values=away_mm),
        Measurement(
            name='residual_rad', what='residual of rotation', unit='deg', values=turned_deg
        ),
        Measurement(
            name='find',
            what=f'in whatever posture, from the rest posture on; {not_found} not found',
            unit='ms',
            values=search_ms,
        ),
    ], refused
