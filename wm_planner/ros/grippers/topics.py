# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Grippers that take a number on a topic, repeated every tick as the arm's target is."""

from __future__ import annotations

from rclpy.node import Node
from std_msgs.msg import Float64MultiArray

from wm_planner.core.profile import RobotProfile
from wm_planner.core.protocols import Clock
from wm_planner.ros import qos
from wm_planner.ros.conversions import closedness_to_message
from wm_planner.ros.grippers.conversions import command_value, crisp_range, joint_range


class NoGripper:
    """For an arm without one. Thread: the executor's, as for all grippers."""

    def __init__(self, node: Node, profile: RobotProfile, clock: Clock) -> None:
        pass

    def begin(self, measured: float) -> None:
        """Do nothing."""

    def send(self, closedness: float) -> None:
        """Do nothing."""

    def publishers(self) -> list[object]:
        """Return none."""
        return []

    def close(self) -> None:
        """Do nothing."""


class ClosednessGripper:
    """Publishes closedness as it is: the simulator's, and the default."""

    def __init__(self, node: Node, profile: RobotProfile, clock: Clock) -> None:
        self._node = node
        self._publisher = node.create_publisher(
            Float64MultiArray, profile.topics.gripper_target, qos.COMMAND
        )

    def begin(self, measured: float) -> None:
        """Do nothing: the value is repeated all the time."""

    def send(self, closedness: float) -> None:
        """Publish one value, closedness in [0, 1]."""
        self._publisher.publish(closedness_to_message(closedness))

    def publishers(self) -> list[object]:
        """Return the publishers, for whoever waits until the driver has the last message."""
        return [self._publisher]

    def close(self) -> None:
        """Drop the publisher."""
        self._node.destroy_publisher(self._publisher)


class ForwardGripper(ClosednessGripper):
    """ros2_control's forward_command_controller: the opening [m] by default.

    One value for each of ``gripper_settings.command_joints``, each its share; one for all where
    there are none. That controller drops a message of another length, or that is not finite.
    """

    def __init__(self, node: Node, profile: RobotProfile, clock: Clock) -> None:
        super().__init__(node, profile, clock)
        self._count = max(1, len(profile.gripper_settings.command_joints))
        self._range = joint_range(profile, self._count)

    def send(self, closedness: float) -> None:
        """Publish the value for each joint."""
        value = command_value(closedness, self._range)
        self._publisher.publish(Float64MultiArray(data=[value] * self._count))


class CrispGripper(ClosednessGripper):
    """CRISP's gripper topic: 1 = open and 0 = closed, the other way round from ours."""

    def __init__(self, node: Node, profile: RobotProfile, clock: Clock) -> None:
        super().__init__(node, profile, clock)
        self._range = crisp_range(profile)

    def send(self, closedness: float) -> None:
        """Publish the openness."""
        self._publisher.publish(Float64MultiArray(data=[command_value(closedness, self._range)]))
