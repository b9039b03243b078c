# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The robot description and tf, where a profile needs them."""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.time import Time
from std_msgs.msg import String

from wm_planner.core.errors import NoDataError
from wm_planner.core.profile import RobotProfile
from wm_planner.core.protocols import Kinematics
from wm_planner.kinematics.description import RobotDescription, check_description
from wm_planner.ros import qos
from wm_planner.ros.optional import require
from wm_planner.ros.sinks import commands_joints
from wm_planner.ros.spinning import CallbackGuard


def needs_kinematics(profile: RobotProfile) -> bool:
    """Return whether states or commands of this profile take kinematics."""
    return profile.state_source == 'joints' or commands_joints(profile)


def build_kinematics(
    profile: RobotProfile, description: RobotDescription | None = None
) -> Kinematics | None:
    """Return the kinematics of a profile, None where it needs none.

    Pinocchio is imported here and nowhere else on the way of a profile that does. Raises
    MissingPackageError and RobotDescriptionError.
    """
    if not needs_kinematics(profile):
        return None
    from wm_planner.kinematics.arm import make_kinematics

    return make_kinematics(profile, description)


class DescriptionListener:
    """Takes the URDF that robot_state_publisher latches, where the profile names no file.

    ``guard`` keeps what its callback raises out of spin(). Thread: the executor's.
    """

    def __init__(self, node: Node, profile: RobotProfile, guard: CallbackGuard) -> None:
        self._found: RobotDescription | None = None
        self._topic = profile.topics.robot_description
        self._is_needed = needs_kinematics(profile) and not profile.kinematics.description
        if self._is_needed:
            take = guard.wrap('robot_description', self._on_description)
            node.create_subscription(String, self._topic, take, qos.LATCHED)

    @property
    def is_ready(self) -> bool:
        """Return whether there is nothing left to wait for."""
        return not self._is_needed or self._found is not None

    @property
    def description(self) -> RobotDescription | None:
        """Return the newest description, None where none came or none is needed."""
        return self._found

    @property
    def waits_for(self) -> str:
        """Return what is missing, in words."""
        return f'the robot description on {self._topic} (robot_state_publisher publishes it)'

    def _on_description(self, message: String) -> None:
        self._found = check_description(RobotDescription(text=message.data, origin=self._topic))


class ToolTransform:
    """The tool's transform in base_frame, from tf.

    Raises MissingPackageError where tf2_ros, which only a distribution has, is not installed.
    Thread: the executor's.
    """

    def __init__(self, node: Node, profile: RobotProfile) -> None:
        self._tf2: Any = require('tf2_ros', 'state_source: tf')
        self._profile = profile
        self._buffer = self._tf2.Buffer()
        self._listener = self._tf2.TransformListener(self._buffer, node)

    def newest(self) -> TransformStamped:
        """Return the newest transform. Raises NoDataError."""
        base, tool = self._profile.base_frame, self._profile.tool_frame
        try:
            found: TransformStamped = self._buffer.lookup_transform(base, tool, Time())
        except self._tf2.TransformException as error:
            raise NoDataError(
                f'tf has no transform from {base} to {tool} ({error}); valid: '
                'robot_state_publisher running, frames as in the robot profile.'
            ) from error
        return found

    def close(self) -> None:
        """Unsubscribe from tf."""
        self._listener.unregister()
