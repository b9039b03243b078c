# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Ingest: camera frames and robot states from messages into the frame buffer."""

from __future__ import annotations

from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import CompressedImage, JointState
from sensor_msgs.msg import Image as ImageMessage

from wm_planner.control.frame_buffer import FrameBuffer, FrameBufferConfig
from wm_planner.core.errors import FutureStampError, NoDataError, StaleDataError
from wm_planner.core.profile import RobotProfile
from wm_planner.core.protocols import Clock
from wm_planner.core.types import Image
from wm_planner.ros.conversions import (
    arm_joints_from_message,
    check_frame,
    closedness_from_joints,
    image_from_compressed,
    image_from_message,
    state_from_message,
)
from wm_planner.ros.stamps import stamp_to_ns


class Ingest:
    """The subscription callbacks of the planner node: check, convert, push, nothing else.

    Each raises a WmPlannerError for a message that cannot be used; then nothing reaches the buffer,
    and what is there grows old. The gripper comes with the joints, the pose with its own topic: a
    robot state is made at each pose with the newest joints, and none is made while joints are
    missing, wrong or older than robot states may be. Thread: the executor's.
    """

    def __init__(
        self, buffer: FrameBuffer, profile: RobotProfile, clock: Clock, config: FrameBufferConfig
    ) -> None:
        self._buffer = buffer
        self._profile = profile
        self._clock = clock
        self._config = config
        self._joints: tuple[int, float] | None = None  # stamp [ns], closedness

    def on_image(self, message: ImageMessage) -> None:
        """Take a camera frame."""
        self._push_image(message, image_from_message(message))

    def on_compressed_image(self, message: CompressedImage) -> None:
        """Take a compressed camera frame."""
        self._push_image(message, image_from_compressed(message))

    def on_wrist_image(self, message: ImageMessage) -> None:
        """Take a frame of the wrist camera."""
        self._buffer.push_wrist_image(
            stamp_to_ns(message.header.stamp),
            image_from_message(message),
            now_ns=self._now_ns(),
            monotonic_ns=self._clock.monotonic_ns(),
        )

    def on_joint_states(self, message: JointState) -> None:
        """Take the joints; the gripper is read from them."""
        closedness = closedness_from_joints(message, self._profile)
        now_ns = self._now_ns()
        stamp_ns = stamp_to_ns(message.header.stamp) or now_ns  # some drivers leave it empty
        ahead_s = (stamp_ns - now_ns) * 1e-9
        if ahead_s > self._config.max_future_s:
            raise FutureStampError(
                f'{self._profile.topics.joint_states} is stamped {ahead_s:.3f} s ahead of the '
                f'clock; valid: at most {self._config.max_future_s:g} s.'
            )
        self._joints = (stamp_ns, closedness)
        self._buffer.push_joints(
            stamp_ns,
            arm_joints_from_message(message, self._profile),
            now_ns=now_ns,
            monotonic_ns=self._clock.monotonic_ns(),
        )

    def on_tool_pose(self, message: PoseStamped) -> None:
        """Take the tool pose and make a robot state of it and the newest joints."""
        topics = self._profile.topics
        if self._joints is None:
            raise NoDataError(
                f'no joint state has arrived on {topics.joint_states}; valid: arm driver or '
                'simulator publishing there.'
            )
        joints_ns, closedness = self._joints
        state = state_from_message(message, closedness, self._profile)
        now_ns = self._now_ns()
        age_s = abs(now_ns - joints_ns) * 1e-9  # from before a clock jump it may be far ahead
        if age_s > self._config.max_state_age_s:
            raise StaleDataError(
                f'the newest usable joint state on {topics.joint_states} is {age_s:.2f} s old; '
                f'valid: at most {self._config.max_state_age_s:g} s.'
            )
        self._buffer.push_state(state, now_ns=now_ns, monotonic_ns=self._clock.monotonic_ns())

    def _push_image(self, message: ImageMessage | CompressedImage, image: Image) -> None:
        if self._profile.camera_frame:
            check_frame(
                message.header.frame_id, self._profile.camera_frame, self._profile.topics.image
            )
        self._buffer.push_image(
            stamp_to_ns(message.header.stamp),
            image,
            now_ns=self._now_ns(),
            monotonic_ns=self._clock.monotonic_ns(),
        )

    def _now_ns(self) -> int:
        """Return ROS time; raises NoDataError while simulated time has not begun."""
        now_ns = self._clock.now_ns()
        if now_ns == 0:
            raise NoDataError(
                'no time has arrived on /clock; valid: a simulator that publishes it.'
            )
        return now_ns
