# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""A robot over ROS that goes where it is told, in the point-mass world."""

from __future__ import annotations

import threading
from typing import Any

from geometry_msgs.msg import PoseStamped
import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image as ImageMessage
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from wm_planner.core.paths import robot_profile_file
from wm_planner.core.profile import RobotProfile
from wm_planner.core.types import Image, RobotState
from wm_planner.models.point_mass import PointMassConfig, PointMassRenderer
from wm_planner.ros import qos
from wm_planner.ros.conversions import (
    image_to_message,
    joints_to_message,
    stamp_to_ns,
    state_to_message,
)

DOWN = (1.0, 0.0, 0.0, 0.0)
PERIOD_S = 0.04


class Spinner:
    """Spins nodes of one context in a thread, as a process of their own would."""

    def __init__(self, context: rclpy.Context, *nodes: Any) -> None:
        self.executor = SingleThreadedExecutor(context=context)
        for node in nodes:
            self.executor.add_node(node)
        self.errors: list[BaseException] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; the nodes stay."""
        self._stop.set()
        self.executor.wake()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.executor.spin_once(timeout_sec=0.1)
            except BaseException as error:  # what would have ended a process
                self.errors.append(error)


class LoopbackRobot:
    """Publishes frames, joints and tool pose at 25 Hz; moves to the newest target at once.

    ``change`` maps a stream (image, joints, pose) to a function that may spoil a message before it
    goes out, or return None to keep it back. ``targets`` has every pose received, with the
    closedness in force then. ``freeze_at`` puts the arm somewhere and lets it ignore its targets.
    Its callbacks run in the thread that spins ``node``.
    """

    def __init__(self, context: rclpy.Context, **node_arguments: Any) -> None:
        self.profile = RobotProfile.from_yaml(robot_profile_file('panda_sim'))
        self.renderer = PointMassRenderer(PointMassConfig())
        self.node = rclpy.create_node('loopback_robot', context=context, **node_arguments)
        self.position_m = np.array([0.45, 0.0, 0.3])
        self.closedness = 0.0
        self.targets: list[tuple[int, np.ndarray, float]] = []
        self.change: dict[str, Any] = {}
        self.is_running = True
        self._wrist: Image | None = None
        self.is_frozen = False
        topics = self.profile.topics
        create = self.node.create_publisher
        self._publishers = {
            'image': create(ImageMessage, topics.image, qos.IMAGE),
            'joints': create(JointState, topics.joint_states, qos.STATE),
            'wrist': create(ImageMessage, topics.wrist_image, qos.IMAGE),
            'pose': create(PoseStamped, topics.tool_pose, qos.STATE),
        }
        self.node.create_subscription(PoseStamped, topics.target_pose, self._move, qos.COMMAND)
        self.node.create_subscription(
            Float64MultiArray, topics.gripper_target, self._grip, qos.COMMAND
        )
        self.node.create_timer(PERIOD_S, self._publish)

    def show_wrist(self, value: int) -> None:
        """Let a wrist camera show a shade of grey above a dark floor from now on."""
        self._wrist = np.full((32, 32, 3), value, np.uint8)
        self._wrist[24:] = 40

    def picture(self, position_m: Any, closedness: float = 0.0) -> Image:
        """Return what the camera would show with the tool there."""
        return self.renderer.draw(position_m, gripper_closedness=closedness)

    def freeze_at(self, position_m: np.ndarray) -> None:
        """Put the arm there and keep it there."""
        self.is_frozen, self.position_m = True, position_m

    def now_ns(self) -> int:
        return int(self.node.get_clock().now().nanoseconds)

    def _publish(self) -> None:
        if not self.is_running:
            return
        stamp_ns = self.now_ns()
        state = RobotState(
            stamp_ns=stamp_ns,
            position_m=self.position_m,
            quaternion_xyzw=DOWN,
            gripper_closedness=self.closedness,
        )
        finger_m = (1.0 - self.closedness) * self.profile.gripper_max_width_m / 2.0
        names = self.profile.arm_joint_names + self.profile.gripper_joint_names
        messages: dict[str, Any] = {
            'joints': joints_to_message(names, [0.0] * 7 + [finger_m] * 2, stamp_ns=stamp_ns),
            'pose': state_to_message(state, self.profile.base_frame),
            'image': image_to_message(
                self.picture(self.position_m, self.closedness),
                stamp_ns=stamp_ns,
                frame_id=self.profile.camera_frame,
            ),
        }
        if self._wrist is not None:
            messages['wrist'] = image_to_message(self._wrist, stamp_ns=stamp_ns)
        for name, message in messages.items():
            changed = self.change.get(name, lambda same: same)(message)
            if changed is not None:
                self._publishers[name].publish(changed)

    def _move(self, message: PoseStamped) -> None:
        point = message.pose.position
        target = np.array([point.x, point.y, point.z])
        if not self.is_frozen:
            self.position_m = target
        self.targets.append((stamp_to_ns(message.header.stamp), target, self.closedness))

    def _grip(self, message: Float64MultiArray) -> None:
        self.closedness = float(message.data[0])
