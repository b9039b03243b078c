# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""JointTrajectorySink: the topic of ros2_control's joint_trajectory_controller."""

from __future__ import annotations

from rclpy.duration import Duration
from rclpy.publisher import Publisher
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from wm_planner.core.geometry import Array
from wm_planner.core.profile import RobotProfile
from wm_planner.ros import qos
from wm_planner.ros.sinks.arm_sink import SinkContext, Stream
from wm_planner.ros.sinks.joint_targets import JointSink


class JointTrajectorySink(JointSink):
    """A JointTrajectory of one point a tick on ``topics.target_joints`` (.../joint_trajectory).

    The point lies ``servo.trajectory_s`` ahead, the stamp is 0 ("from now on"), and there are
    positions alone: the controller interpolates to each from where it is and replaces it by the
    next, so the last velocity is 0 as it demands, and when nothing more comes it stops there. All
    joints are named, in the profile's order; numbers are checked here, because it does not.
    """

    @classmethod
    def streams(cls, profile: RobotProfile) -> tuple[Stream, ...]:
        """Return the trajectory topic."""
        name = profile.topics.target_joints
        return (Stream(name=name, type_name='trajectory_msgs/msg/JointTrajectory'),)

    def _make_publisher(self, context: SinkContext) -> Publisher:
        return context.node.create_publisher(
            JointTrajectory, context.profile.topics.target_joints, qos.COMMAND
        )

    def _message(self, joints_rad: Array, stamp_ns: int) -> JointTrajectory:
        profile = self._context.profile
        point = JointTrajectoryPoint(
            positions=joints_rad.tolist(),
            time_from_start=Duration(seconds=profile.servo.trajectory_s).to_msg(),
        )
        return JointTrajectory(joint_names=list(profile.arm_joint_names), points=[point])
