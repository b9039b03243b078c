# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The Panda as a kinematic arm: joints that move at bounded speed, and what they show."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from wm_planner.core.geometry import rotation_angle, slerp
from wm_planner.core.paths import robot_profile_file
from wm_planner.core.profile import RobotProfile
from wm_planner.core.types import ArmCommand
from wm_planner.kinematics.arm import ArmKinematics, make_kinematics

HOME_RAD = np.array([0.0, -0.12, 0.0, -2.28, 0.0, 2.16, 0.785])


def panda_profile() -> RobotProfile:
    """Return the profile whose description the arm has."""
    return RobotProfile.from_yaml(robot_profile_file('panda_sim'))


@lru_cache(maxsize=1)
def panda_kinematics() -> ArmKinematics:
    """Return the Panda's kinematics; shared, because a test has one thread."""
    return make_kinematics(panda_profile())


class KinematicArm:
    """Joints and fingers. ``toward_pose`` and ``toward_joints`` move them for a time.

    ``fastest_rad_s`` is the largest joint speed it was ever driven at, against the Panda's limit as
    a fraction; ``outside`` counts joint targets outside the limits.
    """

    def __init__(self) -> None:
        self.kinematics = panda_kinematics()
        self.joints_rad = HOME_RAD.copy()
        self.closedness = 0.0
        self.fastest = 0.0
        self.outside = 0
        self._position_m, self._quaternion = self.kinematics.forward(self.joints_rad)

    @property
    def position_m(self) -> np.ndarray:
        """Return where the tool is."""
        return self.kinematics.forward(self.joints_rad)[0]

    @property
    def quaternion_xyzw(self) -> np.ndarray:
        """Return how the tool is turned."""
        return self.kinematics.forward(self.joints_rad)[1]

    def toward_pose(self, target: ArmCommand, seconds: float, speed_m_s: float = 1.0) -> None:
        """Move the tool in a straight line."""
        position, quaternion = self.kinematics.forward(self.joints_rad)
        way = target.position_m - position
        distance = float(np.linalg.norm(way))
        angle = float(rotation_angle(quaternion, target.quaternion_xyzw))
        share = min(
            1.0,
            speed_m_s * seconds / max(distance, 1e-9),
            4.0 * speed_m_s * seconds / max(angle, 1e-9),
        )
        if distance > 1e-6 or angle > 1e-6:
            turned = slerp(quaternion, target.quaternion_xyzw, share)
            self.joints_rad = self.kinematics.inverse(
                position + share * way, turned, self.joints_rad
            )

    def toward_joints(self, target_rad: np.ndarray, share: float, seconds: float) -> None:
        """Move every joint by a share of its way in ``seconds``; note speed and limits."""
        low, high = self.kinematics.low_rad, self.kinematics.high_rad
        self.outside += int(np.any(target_rad < low - 1e-9) or np.any(target_rad > high + 1e-9))
        step = share * (target_rad - self.joints_rad)
        speeds = np.abs(step) / seconds / self.kinematics.max_speed_rad_s
        self.fastest = max(self.fastest, float(speeds.max()))
        self.joints_rad = self.joints_rad + step
