# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""NullSink: a dry run; everything happens but the motion, and what would be sent can be seen."""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from wm_planner.core.types import ArmCommand
from wm_planner.ros import qos
from wm_planner.ros.conversions import closedness_to_message, command_to_message, joints_to_message
from wm_planner.ros.sinks.arm_sink import SinkContext
from wm_planner.ros.sinks.joint_targets import JointTargets

DRY_RUN_POSE = '~/dry_run/target_pose'
DRY_RUN_GRIPPER = '~/dry_run/gripper_target'
DRY_RUN_JOINTS = '~/dry_run/target_joints'
_LOG_PERIOD_S = 2.0


class NullSink:
    """Publishes what it would send, on topics of its own that no driver listens to.

    The tool target is on ``~/dry_run/target_pose`` (PoseStamped), the closedness (0 = open) on
    ``~/dry_run/gripper_target``, and for a profile whose sink commands joints these are solved for,
    checked and on ``~/dry_run/target_joints`` (JointState): what would be refused is refused here.
    Thread: the executor's.
    """

    def __init__(self, context: SinkContext) -> None:
        self._node = context.node
        self._log = context.node.get_logger()
        self._profile = context.profile
        create = context.node.create_publisher
        self._pose = create(PoseStamped, DRY_RUN_POSE, qos.COMMAND)
        self._gripper = create(Float64MultiArray, DRY_RUN_GRIPPER, qos.COMMAND)
        self._publishers: list[Any] = [self._pose, self._gripper]
        self._targets: JointTargets | None = None
        if context.kinematics is not None:
            self._targets = JointTargets(context)
            self._joints = create(JointState, DRY_RUN_JOINTS, qos.COMMAND)
            self._publishers.append(self._joints)

    def send(self, command: ArmCommand) -> ArmCommand:
        """Return ``command`` as if it had gone out. Raises SafetyError as the real sink would."""
        if self._targets is not None:
            joints, command = self._targets.solve(command)
            names = self._profile.arm_joint_names
            self._joints.publish(joints_to_message(names, joints, stamp_ns=command.stamp_ns))
        self._gripper.publish(closedness_to_message(command.gripper_closedness))
        self._pose.publish(command_to_message(command, self._profile.base_frame))
        x, y, z = command.position_m
        self._log.info(
            f'dry run: target ({x:.3f}, {y:.3f}, {z:.3f}) m in {self._profile.base_frame}, '
            f'closedness {command.gripper_closedness:.2f}',
            throttle_duration_sec=_LOG_PERIOD_S,
        )
        return command

    def hold(self) -> None:
        """Do nothing: nothing moves."""

    def stay(self) -> None:
        """Do nothing: nothing moves."""

    def forget(self) -> None:
        """Do nothing: a hold says nothing."""

    def close(self) -> None:
        """Drop the topics. Safe to call twice."""
        for publisher in self._publishers:
            self._node.destroy_publisher(publisher)
        self._publishers.clear()
