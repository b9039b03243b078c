# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""JointStateSink: joint targets as JointState, e.g. CRISP's ``target_joint``."""

from __future__ import annotations

from rclpy.publisher import Publisher
from sensor_msgs.msg import JointState

from wm_planner.core.geometry import Array
from wm_planner.core.profile import RobotProfile
from wm_planner.ros import qos
from wm_planner.ros.conversions import joints_to_message
from wm_planner.ros.sinks.arm_sink import SinkContext, Stream
from wm_planner.ros.sinks.joint_targets import JointSink


class JointStateSink(JointSink):
    """A JointState with names and positions on ``topics.target_joints``."""

    @classmethod
    def streams(cls, profile: RobotProfile) -> tuple[Stream, ...]:
        """Return the target topic."""
        name = profile.topics.target_joints
        return (Stream(name=name, type_name='sensor_msgs/msg/JointState'),)

    def _make_publisher(self, context: SinkContext) -> Publisher:
        return context.node.create_publisher(
            JointState, context.profile.topics.target_joints, qos.COMMAND
        )

    def _message(self, joints_rad: Array, stamp_ns: int) -> JointState:
        names = self._context.profile.arm_joint_names
        return joints_to_message(names, joints_rad, stamp_ns=stamp_ns)
