# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Ingest: camera frames and robot states from messages into the frame buffer."""

from __future__ import annotations

from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import CompressedImage, JointState
from sensor_msgs.msg import Image as ImageMessage

from wm_planner.control.frame_buffer import FrameBuffer, FrameBufferConfig
from wm_planner.control.guards import SpeedGuard
from wm_planner.control.plausibility import FrameWatch, PlausibilityConfig, StateWatch
from wm_planner.core.errors import (
    DataError,
    FutureStampError,
    ImplausibleJointsError,
    InvalidStateError,
    NoDataError,
    StaleDataError,
    StateJumpError,
    WmPlannerError,
)
from wm_planner.core.profile import RobotProfile
from wm_planner.core.protocols import Clock, Kinematics
from wm_planner.core.types import Image, JointPositions, RobotState
from wm_planner.ros.conversions import (
    arm_joints_from_message,
    check_frame,
    closedness_from_joints,
    image_from_compressed,
    image_from_message,
    state_from_message,
    state_from_transform,
)
from wm_planner.ros.robot_description import ToolTransform
from wm_planner.ros.stamps import stamp_to_ns


def inputs_of(profile: RobotProfile) -> tuple[str, ...]:
    """Return which of ``topics`` a planner of this profile subscribes to."""
    inputs = ['image', 'joint_states']
    if profile.state_source == 'topic':
        inputs.append('tool_pose')
    if profile.topics.gripper_joint_states not in ('', profile.topics.joint_states):
        inputs.append('gripper_joint_states')
    return tuple(inputs)


_UNBELIEVABLE = (InvalidStateError, StateJumpError, ImplausibleJointsError)


class Ingest:
    """The subscription callbacks of the planner node: check, convert, push, nothing else.

    Each raises a WmPlannerError for a message that cannot be used; then nothing reaches the buffer,
    and what is there grows old. Where a message says that the stream cannot be believed at all (a
    NaN, a jump, degrees, a frozen picture) the buffer is told, so that the arm holds at once.

    The gripper comes with the joints, or on a topic of its own. The pose comes by the profile's
    ``state_source``: on its own topic, from tf or from the joints by ``kinematics``; the latter two
    are looked at when joints arrive. A robot state is made at each pose with the newest gripper,
    and none is made while that is missing, wrong or older than robot states may be. ``speed_guard``
    hears how fast the tool moves. Thread: the executor's.
    """

    def __init__(
        self,
        buffer: FrameBuffer,
        profile: RobotProfile,
        clock: Clock,
        config: FrameBufferConfig,
        *,
        kinematics: Kinematics | None = None,
        transform: ToolTransform | None = None,
        plausibility: PlausibilityConfig | None = None,
        speed_guard: SpeedGuard | None = None,
    ) -> None:
        self._buffer = buffer
        self._profile = profile
        self._clock = clock
        self._config = config
        self._kinematics = kinematics
        self._transform = transform
        self._gripper: tuple[int, float] | None = None  # stamp [ns], closedness
        self._joints: JointPositions | None = None
        self._speed_guard = speed_guard
        self._frames = FrameWatch(plausibility or PlausibilityConfig(), buffer.state_near)
        self._wrist_frames = FrameWatch(plausibility or PlausibilityConfig(), buffer.state_near)
        self._states = StateWatch(
            plausibility or PlausibilityConfig(),
            max_speed_m_s=profile.max_speed_m_s,
            max_rotation_speed_rad_s=profile.max_rotation_speed_rad_s,
        )
        self._epoch = buffer.epoch

    def forget(self) -> None:
        """Forget everything that arrived: the node is no longer active."""
        self._gripper = self._joints = None
        self._frames.reset()
        self._wrist_frames.reset()
        self._states.reset()
        self._tell_speed()

    def latest_joints(self) -> JointPositions | None:
        """Return the newest joints of the arm, None before the first."""
        return self._joints

    def on_image(self, message: ImageMessage) -> None:
        """Take a camera frame."""
        self._push_image(message, image_from_message(message))

    def on_compressed_image(self, message: CompressedImage) -> None:
        """Take a compressed camera frame."""
        self._push_image(message, image_from_compressed(message))

    def on_wrist_image(self, message: ImageMessage) -> None:
        """Take a frame of the wrist camera; it is watched as the other camera is."""
        image, stamp_ns = image_from_message(message), stamp_to_ns(message.header.stamp)
        self._follow_clock()
        try:
            self._wrist_frames.look(stamp_ns, image)
        except DataError as error:
            if self._wrist_frames.is_bad:
                self._buffer.doubt_wrist_images(error, monotonic_ns=self._clock.monotonic_ns())
            raise
        self._buffer.push_wrist_image(
            stamp_ns, image, now_ns=self._now_ns(), monotonic_ns=self._clock.monotonic_ns()
        )

    def on_joint_states(self, message: JointState) -> None:
        """Take the joints of the arm, and the gripper's unless they have their own topic."""
        profile, topics = self._profile, self._profile.topics
        is_shared = topics.gripper_joint_states == topics.joint_states
        if is_shared and set(profile.gripper_joint_names) <= set(message.name):
            self.on_gripper_joint_states(message)
            if not set(profile.arm_joint_names) <= set(message.name):
                return  # two broadcasters on one topic: the other's turn
        fingers = () if topics.gripper_joint_states else profile.gripper_joint_names
        if self._joints is not None and not {*profile.arm_joint_names, *fingers} & {*message.name}:
            return  # another part of the robot, on a topic that has brought the arm before
        gripper = None
        try:
            if not topics.gripper_joint_states:
                gripper = closedness_from_joints(message, profile)
            joints = arm_joints_from_message(message, profile)
            stamp_ns = self._stamp_ns(message, topics.joint_states)
            self._follow_clock()
            is_new_place = self._states.look_at_joints(
                stamp_ns, profile.arm_joint_names, joints, topics.joint_states
            )
        except _UNBELIEVABLE as error:
            if {*profile.arm_joint_names, *fingers} <= set(message.name):
                self._doubt(error)  # not joints of another part of the robot on the same topic
            raise
        if is_new_place:
            self._forget_places()
        if gripper is not None:
            self._keep_gripper(stamp_ns, gripper)
        sample = JointPositions(stamp_ns=stamp_ns, positions_rad=joints)
        if self._joints is None or stamp_ns > self._joints.stamp_ns:
            self._joints = sample  # late ones, or a bag's, are not where the arm is
        self._buffer.push_joints(
            stamp_ns, joints, now_ns=self._now_ns(), monotonic_ns=self._clock.monotonic_ns()
        )
        self._make_state(sample)

    def on_gripper_joint_states(self, message: JointState) -> None:
        """Take the joints of the fingers where they come apart from the arm's."""
        closedness = closedness_from_joints(message, self._profile)
        topic = self._profile.topics.gripper_joint_states
        self._follow_clock()
        self._keep_gripper(self._stamp_ns(message, topic), closedness)

    def _keep_gripper(self, stamp_ns: int, closedness: float) -> None:
        if self._gripper is None or stamp_ns > self._gripper[0]:
            self._gripper = (stamp_ns, closedness)

    def on_tool_pose(self, message: PoseStamped) -> None:
        """Take the tool pose and make a robot state of it and the newest gripper."""
        closedness = self._closedness()
        try:
            state = state_from_message(message, closedness, self._profile)
        except InvalidStateError as error:
            self._doubt(error)
            raise
        self._push_state(state)

    def _make_state(self, joints: JointPositions) -> None:
        """Make a robot state where the pose does not have a topic of its own."""
        if self._transform is not None:
            found = self._transform.newest()
            self._push_state(state_from_transform(found, self._closedness(), self._profile))
        elif self._profile.state_source == 'joints':
            assert self._kinematics is not None
            position, quaternion = self._kinematics.forward(joints.positions_rad)
            self._push_state(
                RobotState(
                    stamp_ns=joints.stamp_ns,
                    position_m=position,
                    quaternion_xyzw=quaternion,
                    gripper_closedness=self._closedness(),
                )
            )

    def _closedness(self) -> float:
        """Return the newest closedness; raises NoDataError or StaleDataError."""
        topics = self._profile.topics
        topic = topics.gripper_joint_states or topics.joint_states
        if self._gripper is None:
            raise NoDataError(
                f'no joint state has arrived on {topic}; valid: arm driver or simulator '
                'publishing there.'
            )
        stamp_ns, closedness = self._gripper
        age_s = abs(self._now_ns() - stamp_ns) * 1e-9  # from before a clock jump: far ahead
        if age_s > self._config.max_state_age_s:
            error = StaleDataError(
                f'the newest usable joint state on {topic} is {age_s:.2f} s old; '
                f'valid: at most {self._config.max_state_age_s:g} s.'
            )
            self._doubt(error)
            raise error
        return closedness

    def _push_state(self, state: RobotState) -> None:
        self._follow_clock()
        try:
            is_new_place = self._states.look(state)
        except _UNBELIEVABLE as error:
            self._doubt(error)
            raise
        finally:
            self._tell_speed()
        if is_new_place:
            self._forget_places()
        self._buffer.push_state(
            state, now_ns=self._now_ns(), monotonic_ns=self._clock.monotonic_ns()
        )

    def _doubt(self, error: WmPlannerError) -> None:
        self._buffer.doubt_states(error, monotonic_ns=self._clock.monotonic_ns())

    def _forget_places(self) -> None:
        """Forget where the arm was, and with it what the frames so far were of."""
        self._buffer.forget_states()
        self._frames.reset()
        self._wrist_frames.reset()

    def _follow_clock(self) -> None:
        """Forget what was seen before the clock jumped."""
        if self._buffer.epoch != self._epoch:
            self._epoch = self._buffer.epoch
            self._gripper = self._joints = None
            self._frames.reset()
            self._wrist_frames.reset()
            self._states.reset()

    def _tell_speed(self) -> None:
        if self._speed_guard is not None:
            self._speed_guard.heard(*self._states.speeds())

    def _stamp_ns(self, message: JointState, topic: str) -> int:
        """Return the stamp of joints, now where it is empty; raises FutureStampError."""
        now_ns = self._now_ns()
        stamp_ns = stamp_to_ns(message.header.stamp) or now_ns  # some drivers leave it empty
        ahead_s = (stamp_ns - now_ns) * 1e-9
        if ahead_s > self._config.max_future_s:
            raise FutureStampError(
                f'{topic} is stamped {ahead_s:.3f} s ahead of the clock; valid: at most '
                f'{self._config.max_future_s:g} s.'
            )
        return stamp_ns

    def _push_image(self, message: ImageMessage | CompressedImage, image: Image) -> None:
        if self._profile.camera_frame:
            check_frame(
                message.header.frame_id, self._profile.camera_frame, self._profile.topics.image
            )
        self._follow_clock()
        stamp_ns = stamp_to_ns(message.header.stamp)
        try:
            self._frames.look(stamp_ns, image)
        except DataError as error:
            if self._frames.is_bad:
                self._buffer.doubt_images(error, monotonic_ns=self._clock.monotonic_ns())
            raise
        self._buffer.push_image(
            stamp_ns,
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
