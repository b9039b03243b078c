# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""RobotProfile: frames, limits, gripper and topics of one robot, from ``config/robots``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from wm_planner.core.calibration import CameraCalibration
from wm_planner.core.config import REQUIRED, from_mapping, parameter, validate
from wm_planner.core.errors import InvalidParameterError
from wm_planner.core.geometry import Array
from wm_planner.core.robot_parts import (
    GripperConfig,
    JointLimitsConfig,
    KinematicsConfig,
    ServoConfig,
)

STATE_SOURCES = ('topic', 'tf', 'joints')


@dataclass(frozen=True, kw_only=True)
class Topics:
    """Where a robot's streams are; names as ROS resolves them."""

    image: str = parameter('/camera/exterior/image_raw', 'camera frames the planner looks at')
    wrist_image: str = parameter('', 'frames of a wrist camera, for policies that want one')
    joint_states: str = parameter('/joint_states', 'sensor_msgs/JointState of arm and fingers')
    tool_pose: str = parameter('/tool_pose', 'geometry_msgs/PoseStamped of the tool in base_frame')
    target_pose: str = parameter(
        '/target_pose', 'tool targets: geometry_msgs/PoseStamped, absolute (servo_twist: twists)'
    )
    gripper_target: str = parameter(
        '/gripper_target',
        'gripper commands: a std_msgs/Float64MultiArray topic, or the name of an action, by '
        "the profile's gripper",
    )
    gripper_joint_states: str = parameter(
        '', 'sensor_msgs/JointState of the fingers where apart from joint_states; empty = there'
    )
    target_joints: str = parameter('/target_joints', 'targets of the sinks that command joints')
    servo: str = parameter('/servo_node', 'node of MoveIt Servo; its topics are below this name')
    robot_description: str = parameter(
        '/robot_description', 'std_msgs/String (latched) with the URDF, where it is needed'
    )

    @property
    def recorded(self) -> tuple[str, ...]:
        """Return the topics that belong into a bag of this robot; an empty name is no topic."""
        seen = (self.image, self.wrist_image, self.joint_states, self.gripper_joint_states)
        told = (self.target_pose, self.target_joints, self.gripper_target)
        return (*seen, self.tool_pose, *told, self.robot_description)


@dataclass(frozen=True, kw_only=True)
class StopInputs:
    """What else of a robot may stop it; an empty topic: the robot has none."""

    estop_topic: str = parameter(
        '', 'std_msgs/Bool: true stops and latches, false does not release; empty = none'
    )
    estop_heartbeat_s: float = parameter(
        0.0,
        'wall time between two messages of estop_topic at most, else that stops too [s]; '
        '0 = silence is allowed',
        low=0.0,
        high=10.0,
    )
    wrench_topic: str = parameter(
        '', 'geometry_msgs/WrenchStamped of what the tool feels; empty = none'
    )
    max_force_n: float = parameter(
        30.0, 'norm of the force at which the arm stops [N]', low=0.1, high=1000.0
    )
    max_torque_nm: float = parameter(
        10.0, 'norm of the torque at which the arm stops [Nm]', low=0.01, high=1000.0
    )
    wrench_debounce_s: float = parameter(
        0.03,
        'how long force or torque must stay above the limit [s]; twice the limit stops at once',
        low=0.0,
        high=1.0,
    )
    wrench_timeout_s: float = parameter(
        0.2, 'wall time without a wrench at which the arm stops [s]', low=0.01, high=5.0
    )

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True, kw_only=True)
class RobotProfile:
    """What the package must know of a robot before it may move it.

    Positions and the workspace box are in ``base_frame``. ``from_yaml`` is the usual way in.
    """

    name: str = parameter(REQUIRED, 'name of the profile')
    base_frame: str = parameter(REQUIRED, 'frame that poses and targets are in')
    tool_frame: str = parameter(REQUIRED, 'frame of the tool centre point')
    camera_frame: str = parameter('', 'expected frame_id of the images; empty accepts any')
    workspace_low_m: tuple[float, ...] = parameter(
        (0.28, -0.45, 0.0), 'lower corner of the box the tool may be in [m]'
    )
    workspace_high_m: tuple[float, ...] = parameter(
        (0.80, 0.45, 0.70), 'upper corner of that box [m]'
    )
    max_step_m: float = parameter(
        0.14, 'largest displacement of one action [m]', low=0.001, high=0.5
    )
    max_step_rad: float = parameter(
        0.6, 'largest rotation of one action [rad]', low=0.001, high=3.2
    )
    max_speed_m_s: float = parameter(0.5, 'speed limit of the target [m/s]', low=0.001, high=5.0)
    max_rotation_speed_rad_s: float = parameter(
        2.0, 'rotation speed limit of the target [rad/s]', low=0.001, high=40.0
    )
    max_gripper_rate_1_s: float = parameter(
        5.0, 'largest change of closedness per second [1/s]', low=0.01, high=100.0
    )
    gripper_max_width_m: float = parameter(
        0.08, 'opening of the gripper at closedness 0 [m]', low=0.001
    )
    arm_joint_names: tuple[str, ...] = parameter(
        (), 'joints that a JointState must hold, base to tip'
    )
    gripper_joint_names: tuple[str, ...] = parameter(
        (), 'finger joints; their positions add up to the opening [m]'
    )
    sink: str = parameter('tool_pose', 'how commands leave: a name of the sink registry')
    gripper: str = parameter(
        'closedness', 'how gripper commands leave: a name of the gripper registry'
    )
    state_source: str = parameter(
        'topic',
        'where the tool pose comes from: topics.tool_pose, tf, or joints by forward kinematics',
        choices=STATE_SOURCES,
    )
    topics: Topics = field(default_factory=Topics)
    kinematics: KinematicsConfig = field(default_factory=KinematicsConfig)
    joint_limits: JointLimitsConfig = field(default_factory=JointLimitsConfig)
    gripper_settings: GripperConfig = field(default_factory=GripperConfig)
    servo: ServoConfig = field(default_factory=ServoConfig)
    stops: StopInputs = field(default_factory=StopInputs)
    calibration: CameraCalibration = field(default_factory=CameraCalibration)

    def __post_init__(self) -> None:
        validate(self)
        low, high = np.asarray(self.workspace_low_m), np.asarray(self.workspace_high_m)
        if low.shape != (3,) or high.shape != (3,) or not np.all(low < high):
            raise InvalidParameterError(
                f'workspace {self.workspace_low_m} .. {self.workspace_high_m} of profile '
                f'{self.name!r}; valid: three numbers each, low < high on every axis.'
            )

        joints = self.joint_limits
        for name in ('low_rad', 'high_rad', 'max_speed_rad_s'):
            values = getattr(joints, name)
            if values and len(values) != len(self.arm_joint_names):
                raise InvalidParameterError(
                    f'joint_limits.{name} of profile {self.name!r} has {len(values)} values; '
                    f'valid: one for each of the {len(self.arm_joint_names)} arm_joint_names.'
                )

    @property
    def gripper_joint_range(self) -> tuple[float, float]:
        """Return what the finger joints add up to, open and closed [m or rad]."""
        found = self.gripper_settings.joint_range
        return (found[0], found[1]) if found else (self.gripper_max_width_m, 0.0)

    @property
    def workspace(self) -> tuple[Array, Array]:
        """Return the corners of the workspace box in base_frame [m]."""
        return np.asarray(self.workspace_low_m, float), np.asarray(self.workspace_high_m, float)

    @classmethod
    def from_yaml(cls, path: str | Path) -> RobotProfile:
        """Load a profile.

        Raises InvalidParameterError naming the file, the key and what is valid.
        """
        file = Path(path)
        try:
            values: Any = yaml.safe_load(file.read_text())
        except OSError as error:
            raise InvalidParameterError(f'robot profile {file}: {error.strerror}.') from error
        except yaml.YAMLError as error:
            raise InvalidParameterError(f'robot profile {file} is not YAML: {error}') from error
        if not isinstance(values, dict):
            raise InvalidParameterError(f'robot profile {file}: valid: a YAML mapping.')
        return from_mapping(cls, values, where=str(file))
