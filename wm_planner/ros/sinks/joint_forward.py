# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""JointForwardSink: ros2_control's forward_command_controller on position interfaces."""

from __future__ import annotations

from rclpy.publisher import Publisher
from std_msgs.msg import Float64MultiArray

from wm_planner.core.geometry import Array
from wm_planner.core.profile import RobotProfile
from wm_planner.ros import qos
from wm_planner.ros.sinks.arm_sink import SinkContext, Stream
from wm_planner.ros.sinks.joint_targets import JointSink


class JointForwardSink(JointSink):
    """A Float64MultiArray on ``topics.target_joints`` (.../commands).

    One value for each joint, in the order of ``arm_joint_names``, which has to be that of the
    controller's ``joints``: names do not travel. The controller knows no timeout and jumps to
    whatever it gets.
    """

    @classmethod
    def streams(cls, profile: RobotProfile) -> tuple[Stream, ...]:
        """Return the command topic."""
        name = profile.topics.target_joints
        return (Stream(name=name, type_name='std_msgs/msg/Float64MultiArray'),)

    def _make_publisher(self, context: SinkContext) -> Publisher:
        return context.node.create_publisher(
            Float64MultiArray, context.profile.topics.target_joints, qos.COMMAND
        )

    def _message(self, joints_rad: Array, stamp_ns: int) -> Float64MultiArray:
        return Float64MultiArray(data=joints_rad.tolist())
