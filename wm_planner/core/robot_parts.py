# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The parts of a robot profile that only some robots need: kinematics, joints, gripper, servo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wm_planner.core.config import parameter, validate
from wm_planner.core.errors import InvalidParameterError
from wm_planner.core.geometry import UNIT_TOLERANCE


@dataclass(frozen=True, kw_only=True)
class KinematicsConfig:
    """Where the robot description is, and how inverse kinematics is done from it.

    Needed by sinks that command joints and by ``state_source: joints``; the others never look.
    """

    description: str = parameter(
        '',
        'URDF or MJCF: a path, package://NAME/FILE, or wheel://DISTRIBUTION/FILE; '
        'empty = topics.robot_description',
    )
    base_link: str = parameter('', "the description's name of base_frame; empty = the same")
    tool_link: str = parameter('', "the description's link that holds the tool; empty = tool_frame")
    tool_offset_m: tuple[float, ...] = parameter(
        (0.0, 0.0, 0.0), 'tool centre point in tool_link [m]'
    )
    tool_offset_xyzw: tuple[float, ...] = parameter(
        (0.0, 0.0, 0.0, 1.0), 'rotation from tool_link to the tool, quaternion xyzw'
    )
    rest_rad: tuple[float, ...] = parameter(
        (), 'posture that redundant joints are drawn to, slowly; empty = none'
    )
    position_tolerance_m: float = parameter(
        0.0002, 'residual at which a solution is accepted [m]', low=1e-6, high=0.001
    )
    rotation_tolerance_rad: float = parameter(
        0.001, 'residual at which a solution is accepted [rad]', low=1e-6, high=0.0087
    )
    singularity_margin: float = parameter(
        0.02,
        'smallest singular value of the Jacobian [m/rad, 1] that a motion may lead below',
        low=0.0,
        high=1.0,
    )
    max_jump_rad: float = parameter(
        0.8,
        'largest difference of a joint to the posture it set out from; more is another branch',
        low=0.01,
        high=6.3,
    )
    max_iterations: int = parameter(30, 'Newton steps until a pose counts as out of reach', low=1)

    def __post_init__(self) -> None:
        validate(self)
        norm = float(np.linalg.norm(self.tool_offset_xyzw))
        if len(self.tool_offset_m) != 3 or len(self.tool_offset_xyzw) != 4:
            raise InvalidParameterError(
                f'tool offset {self.tool_offset_m}, {self.tool_offset_xyzw}; valid: three numbers '
                'and four.'
            )
        if abs(norm - 1.0) > UNIT_TOLERANCE:
            raise InvalidParameterError(
                f'tool_offset_xyzw {self.tool_offset_xyzw} has norm {norm:.4g}; valid: 1.'
            )


@dataclass(frozen=True, kw_only=True)
class JointLimitsConfig:
    """Limits of the arm's joints, in the order of ``arm_joint_names``, for sinks that command them.

    Where the description has limits too, the narrower counts. Prismatic joints: m for rad.
    """

    low_rad: tuple[float, ...] = parameter((), "lower limits; empty = the description's")
    high_rad: tuple[float, ...] = parameter((), "upper limits; empty = the description's")
    max_speed_rad_s: tuple[float, ...] = parameter(
        (), "speed limits of the targets; empty = the description's", low=0.001, high=50.0
    )
    margin_rad: float = parameter(
        0.02, 'how far from a position limit targets stay', low=0.0, high=0.5
    )
    max_lead_rad: float = parameter(
        0.35, 'how far a joint target may lead the measured joint', low=0.001, high=3.2
    )

    def __post_init__(self) -> None:
        validate(self)
        if self.low_rad and self.high_rad:
            low, high = np.asarray(self.low_rad), np.asarray(self.high_rad)
            if low.shape != high.shape or not np.all(low + 2 * self.margin_rad < high):
                raise InvalidParameterError(
                    f'joint limits {self.low_rad} .. {self.high_rad}; valid: as many of each, '
                    f'low < high by more than twice margin_rad ({self.margin_rad:g}).'
                )


@dataclass(frozen=True, kw_only=True)
class GripperConfig:
    """What a gripper's joints show and what its driver is told. Ours is closedness: 0 = open."""

    joint_range: tuple[float, ...] = parameter(
        (),
        'sum of the positions of gripper_joint_names when open and when closed [m or rad]; '
        'empty = gripper_max_width_m and 0',
    )
    command_range: tuple[float, ...] = parameter(
        (), "what the driver is told to open and to close, in its units; empty = the adapter's own"
    )
    command_joints: tuple[str, ...] = parameter(
        (),
        'joints named in a ParallelGripperCommand, or how many values a forward command has; '
        'empty = gripper_joint_names, or one value',
    )
    max_effort: float = parameter(
        20.0, 'force or torque limit of action goals [N or Nm]', low=0.0, high=1000.0
    )
    speed_m_s: float = parameter(0.1, 'finger speed of franka_grasp [m/s]', low=0.001, high=1.0)
    min_change: float = parameter(
        0.05, 'change of closedness that is worth an action goal', low=0.001, high=1.0
    )

    def __post_init__(self) -> None:
        validate(self)
        for name in ('joint_range', 'command_range'):
            values = getattr(self, name)
            if values and (len(values) != 2 or values[0] == values[1]):
                raise InvalidParameterError(
                    f'gripper {name} is {values}; valid: two different numbers, open and closed, '
                    'or none.'
                )


@dataclass(frozen=True, kw_only=True)
class ServoConfig:
    """Settings of the sinks that are not plain poses."""

    switch_command_type: bool = parameter(
        True, 'tell MoveIt Servo which command type comes (needs moveit_msgs)'
    )
    twist_gain_1_s: float = parameter(
        4.0, 'servo_twist: speed for each metre or radian of distance [1/s]', low=0.1, high=20.0
    )
    trajectory_s: float = parameter(
        0.1, 'joint_trajectory: time from now to the point sent [s]', low=0.02, high=1.0
    )

    def __post_init__(self) -> None:
        validate(self)
