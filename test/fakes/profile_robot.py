# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""An arm at rest that publishes what the drivers of a robot profile do, and listens to its sink."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import Image as ImageMessage
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from fakes.doctor_robot import START_M, scene_picture
from wm_planner.core.profile import RobotProfile
from wm_planner.core.types import RobotState
from wm_planner.ros import qos
from wm_planner.ros.conversions import image_to_message, joints_to_message, state_to_message
from wm_planner.ros.interfaces import message_class
from wm_planner.ros.sinks import SINKS

PERIOD_S = 0.04
BEHIND_NS = 8_000_000  # of the gripper's stamps
BEND_RAD = 0.4
"""Where every joint is, inside the limits of the profiles or not: a picture of a pose suffices."""


def chain_urdf(profile: RobotProfile) -> str:
    """Return a URDF of the profile's joints, one above the other, about z and y by turns."""
    parts = ['<robot name="chain">', f'<link name="{profile.base_frame}"/>']
    parent = profile.base_frame
    for number, name in enumerate(profile.arm_joint_names):
        axis = '0 0 1' if number % 2 == 0 else '0 1 0'
        parts += [
            f'<link name="link{number}"/><joint name="{name}" type="revolute">',
            f'<parent link="{parent}"/><child link="link{number}"/>',
            f'<origin xyz="0 0 0.15"/><axis xyz="{axis}"/>',
            '<limit lower="-6" upper="6" velocity="2" effort="80"/></joint>',
        ]
        parent = f'link{number}'
    parts += [
        f'<link name="{profile.tool_frame}"/><joint name="to_tool" type="fixed">',
        f'<parent link="{parent}"/><child link="{profile.tool_frame}"/>',
        '<origin xyz="0 0 0.1"/></joint></robot>',
    ]
    return '\n'.join(parts)


class ProfileRobot:
    """Publishes camera, joints, gripper, pose or description at 25 Hz, each where it belongs."""

    def __init__(self, node: Node, profile: RobotProfile) -> None:
        self.node, self.profile = node, profile
        topics = profile.topics
        self._pictures = itertools.cycle([scene_picture(START_M, noise=n) for n in range(8)])
        self._image = node.create_publisher(ImageMessage, topics.image, qos.IMAGE)
        self._joints = node.create_publisher(JointState, topics.joint_states, qos.STATE)
        self._gripper = self._joints
        if topics.gripper_joint_states not in ('', topics.joint_states):
            self._gripper = node.create_publisher(
                JointState, topics.gripper_joint_states, qos.STATE
            )
        self._pose = None
        if profile.state_source == 'topic':
            kind = message_class('geometry_msgs/msg/PoseStamped')
            self._pose = node.create_publisher(kind, topics.tool_pose, qos.STATE)
        else:
            description = node.create_publisher(String, topics.robot_description, qos.LATCHED)
            description.publish(String(data=chain_urdf(profile)))
        for stream in SINKS.get(profile.sink).streams(profile):
            if stream.kind == 'publisher':
                kind = message_class(stream.type_name)
                node.create_subscription(kind, stream.name, self._take, qos.COMMAND)
        self.commands: list[Any] = []
        node.create_timer(PERIOD_S, self._publish)

    def _take(self, message: Any) -> None:
        self.commands.append(message)

    def _publish(self) -> None:
        profile, stamp_ns = self.profile, int(self.node.get_clock().now().nanoseconds)
        image = next(self._pictures)
        frame = profile.camera_frame or 'camera'
        self._image.publish(image_to_message(image, stamp_ns=stamp_ns, frame_id=frame))
        arm = [BEND_RAD] * len(profile.arm_joint_names)
        fingers = [profile.gripper_joint_range[0] / max(1, len(profile.gripper_joint_names))]
        fingers *= len(profile.gripper_joint_names)
        # A gripper's broadcaster sends messages of its own, and the two do not keep in step.
        self._joints.publish(joints_to_message(profile.arm_joint_names, arm, stamp_ns=stamp_ns))
        hand = (profile.gripper_joint_names, fingers)
        self._gripper.publish(joints_to_message(*hand, stamp_ns=stamp_ns - BEHIND_NS))
        if self._pose is not None:
            state = RobotState(
                stamp_ns=stamp_ns,
                position_m=START_M,
                quaternion_xyzw=np.array([1.0, 0.0, 0.0, 0.0]),
                gripper_closedness=0.0,
            )
            self._pose.publish(state_to_message(state, profile.base_frame))
