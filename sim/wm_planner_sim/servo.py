# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""From an absolute tool target to joint targets: a ramped setpoint and inverse kinematics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wm_planner.core.geometry import Array, rotation_angle, slerp
from wm_planner.core.types import ArmCommand
from wm_planner_sim.scene import ARM_JOINTS, HOME_QPOS, TOOL_SITE, mujoco

_DAMPING = 1e-4
_NULL_SPACE_GAIN = 0.05
_JOINT_MARGIN_RAD = 0.02
_WXYZ_TO_XYZW = [1, 2, 3, 0]


@dataclass(frozen=True)
class ServoState:
    """Where the servo's setpoint is; what a snapshot has to keep of it."""

    position_m: Array
    quaternion_xyzw: Array
    joints_rad: Array


class ToolServo:
    """Moves a setpoint to the target in a straight line at bounded speed, and solves for joints.

    Inverse kinematics is damped least squares with the redundant joint drawn to the home posture;
    it runs on its own MjData, so the simulation's is never touched. Not thread-safe.
    """

    def __init__(
        self, model: mujoco.MjModel, *, speed_m_s: float, rotation_speed_rad_s: float
    ) -> None:
        self._model = model
        self._data = mujoco.MjData(model)
        self._speed_m_s = speed_m_s
        self._rotation_speed_rad_s = rotation_speed_rad_s
        self._site = model.site(f'hand/{TOOL_SITE}').id
        joints = [model.joint(name) for name in ARM_JOINTS]
        self._qpos = np.array([j.qposadr[0] for j in joints])
        self._dof = np.array([j.dofadr[0] for j in joints])
        low, high = model.jnt_range[[j.id for j in joints]].T
        self._low, self._high = low + _JOINT_MARGIN_RAD, high - _JOINT_MARGIN_RAD
        self.state = ServoState(np.zeros(3), np.array([1.0, 0.0, 0.0, 0.0]), np.array(HOME_QPOS))

    def start_at(self, position_m: Array, quaternion_xyzw: Array, joints_rad: Array) -> None:
        """Put the setpoint where the arm is."""
        self.state = ServoState(position_m.copy(), quaternion_xyzw.copy(), joints_rad.copy())

    def step(self, target: ArmCommand, period_s: float) -> Array:
        """Move the setpoint toward ``target`` for ``period_s``; return the joint targets [7]."""
        now = self.state
        offset = target.position_m - now.position_m
        distance = float(np.linalg.norm(offset))
        angle = float(rotation_angle(now.quaternion_xyzw, target.quaternion_xyzw))
        if distance < 1e-9 and angle < 1e-9:
            return now.joints_rad
        fraction = min(
            1.0,
            self._speed_m_s * period_s / max(distance, 1e-9),
            self._rotation_speed_rad_s * period_s / max(angle, 1e-9),
        )
        position = now.position_m + fraction * offset
        quaternion = slerp(now.quaternion_xyzw, target.quaternion_xyzw, fraction)
        joints = self.solve(now.joints_rad, position, quaternion, iterations=4)
        self.state = ServoState(position, quaternion, joints)
        return joints

    def solve(
        self, start_rad: Array, position_m: Array, quaternion_xyzw: Array, *, iterations: int
    ) -> Array:
        """Return joint angles [7] that bring the tool to a pose, from ``start_rad`` on.

        Within the joint limits; where the pose is out of reach, as near as the iterations get.
        """
        data, model = self._data, self._model
        joints, home = np.array(start_rad, float), np.array(HOME_QPOS)
        jacobian, twist = np.zeros((6, model.nv)), np.zeros(6)
        goal_wxyz = np.roll(quaternion_xyzw, 1)
        site_wxyz, negated = np.zeros(4), np.zeros(4)
        for _ in range(iterations):
            data.qpos[self._qpos] = joints
            mujoco.mj_kinematics(model, data)
            mujoco.mj_comPos(model, data)
            twist[:3] = position_m - data.site_xpos[self._site]
            mujoco.mju_mat2Quat(site_wxyz, data.site_xmat[self._site])
            mujoco.mju_negQuat(negated, site_wxyz)
            mujoco.mju_mulQuat(site_wxyz, goal_wxyz, negated)
            mujoco.mju_quat2Vel(twist[3:], site_wxyz, 1.0)
            mujoco.mj_jacSite(model, data, jacobian[:3], jacobian[3:], self._site)
            arm = jacobian[:, self._dof]
            inverse = arm.T @ np.linalg.inv(arm @ arm.T + _DAMPING * np.eye(6))
            step = inverse @ twist
            step += (np.eye(7) - inverse @ arm) @ (_NULL_SPACE_GAIN * (home - joints))
            joints = np.clip(joints + step, self._low, self._high)
            if np.abs(twist).max() < 1e-5:
                break
        return joints

    def tool_pose(self, data: mujoco.MjData) -> tuple[Array, Array]:
        """Return the tool's position [3] and quaternion xyzw [4] in ``data``."""
        wxyz = np.zeros(4)
        mujoco.mju_mat2Quat(wxyz, data.site_xmat[self._site])
        return data.site_xpos[self._site].copy(), wxyz[_WXYZ_TO_XYZW]
