# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Robot states by profile: pose from its topic, from joints or from tf; fingers beside or apart."""

from __future__ import annotations

from dataclasses import replace
import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('pinocchio', reason="the extra 'arms' is not installed")

from geometry_msgs.msg import TransformStamped  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402

from fakes.clock import ManualClock  # noqa: E402
from fakes.doctor_robot import scene_picture  # noqa: E402
from fakes.kinematic_arm import HOME_RAD, panda_kinematics, panda_profile  # noqa: E402
from fakes.values import a_state  # noqa: E402
from wm_planner.control.frame_buffer import FrameBuffer, FrameBufferConfig  # noqa: E402
from wm_planner.core.errors import (  # noqa: E402
    ClockJumpError,
    FrameMismatchError,
    InvalidStateError,
    MissingPackageError,
    NoDataError,
    StaleDataError,
    StateJumpError,
    UnusableFrameError,
)
from wm_planner.core.profile import RobotProfile  # noqa: E402
from wm_planner.core.robot_parts import GripperConfig  # noqa: E402
from wm_planner.core.types import NotReady  # noqa: E402
from wm_planner.ros.conversions import (  # noqa: E402
    closedness_from_joints,
    image_to_message,
    joints_to_message,
    state_from_transform,
    state_to_message,
)
from wm_planner.ros.ingest import Ingest, inputs_of  # noqa: E402
from wm_planner.ros.robot_description import ToolTransform  # noqa: E402
from wm_planner.ros.stamps import stamp_from_ns  # noqa: E402

ARM = panda_profile().arm_joint_names
FINGERS = panda_profile().gripper_joint_names
NOW_NS = 10_000_000_000
HALF_OPEN = [0.02, 0.02]


class Feed:
    """An ingest with a buffer, on a clock that the test moves."""

    def __init__(self, transform: Any = None, *, wants_wrist: bool = False, **changes: Any) -> None:
        self.profile = profile(**changes)
        self.clock = ManualClock(now_ns=NOW_NS)
        config = FrameBufferConfig()
        self.buffer = FrameBuffer(config, context_frames=1, wants_wrist=wants_wrist)
        self.ingest = Ingest(
            self.buffer,
            self.profile,
            self.clock,
            config,
            kinematics=panda_kinematics(),
            transform=transform,
        )

    def joints(self, names: tuple[str, ...], values: Any, age_s: float = 0.0) -> JointState:
        stamp_ns = self.clock.now_ns() - round(age_s * 1e9)
        return joints_to_message(names, values, stamp_ns=stamp_ns)


def profile(*, fingers_on: str = '', **changes: Any) -> RobotProfile:
    found = panda_profile()
    topics = replace(found.topics, gripper_joint_states=fingers_on)
    return replace(found, topics=topics, **changes)


def test_state_from_joints_is_their_forward_kinematics() -> None:
    feed = Feed(state_source='joints')
    feed.ingest.on_joint_states(feed.joints(ARM + FINGERS, [*HOME_RAD, *HALF_OPEN]))
    state = feed.buffer.latest_state()
    assert state is not None
    position, quaternion = panda_kinematics().forward(HOME_RAD)
    assert np.allclose(state.position_m, position)
    assert np.allclose(np.abs(state.quaternion_xyzw @ quaternion), 1.0)
    assert state.gripper_closedness == pytest.approx(0.5)
    assert state.stamp_ns == NOW_NS
    sample = feed.ingest.latest_joints()
    assert sample is not None and np.array_equal(sample.positions_rad, HOME_RAD)


def test_joints_are_read_by_name_whatever_their_order() -> None:
    feed = Feed(state_source='joints')
    names, values = (ARM + FINGERS)[::-1], [*HOME_RAD, *HALF_OPEN][::-1]
    feed.ingest.on_joint_states(feed.joints(names, values))
    sample = feed.ingest.latest_joints()
    assert sample is not None and np.array_equal(sample.positions_rad, HOME_RAD)


def test_fingers_on_a_topic_of_their_own() -> None:
    """As with franka_gripper: no state before they have come, and none when they are old."""
    feed = Feed(state_source='joints', fingers_on='/hand/joint_states')
    assert inputs_of(feed.profile) == ('image', 'joint_states', 'gripper_joint_states')
    with pytest.raises(NoDataError, match='/hand/joint_states'):
        feed.ingest.on_joint_states(feed.joints(ARM, HOME_RAD))
    feed.ingest.on_gripper_joint_states(feed.joints(FINGERS, [0.0, 0.0]))
    feed.ingest.on_joint_states(feed.joints(ARM, HOME_RAD))
    state = feed.buffer.latest_state()
    assert state is not None and state.gripper_closedness == 1.0
    feed.clock.advance(1.0)
    with pytest.raises(StaleDataError, match='/hand/joint_states is 1.00 s old'):
        feed.ingest.on_joint_states(feed.joints(ARM, HOME_RAD))


def test_two_broadcasters_on_one_topic() -> None:
    """Messages of the arm alone and of the fingers alone, in turn, as with a UR and a Robotiq."""
    feed = Feed(state_source='joints', fingers_on='/joint_states')
    assert inputs_of(feed.profile) == ('image', 'joint_states')
    feed.ingest.on_joint_states(feed.joints(FINGERS, HALF_OPEN))
    assert feed.buffer.latest_state() is None
    feed.ingest.on_joint_states(feed.joints(ARM, HOME_RAD))
    state = feed.buffer.latest_state()
    assert state is not None and state.gripper_closedness == pytest.approx(0.5)
    with pytest.raises(InvalidStateError, match='lacks the joints panda_joint1'):
        feed.ingest.on_joint_states(feed.joints(ARM[1:], HOME_RAD[1:]))


def test_joints_of_another_part_of_the_robot_are_passed_over() -> None:
    """Once the arm has been heard; before, they are told apart from nothing."""
    feed = Feed(state_source='joints')
    with pytest.raises(InvalidStateError, match='lacks the joints'):
        feed.ingest.on_joint_states(feed.joints(('wheel',), [0.0]))
    feed.ingest.on_joint_states(feed.joints(ARM + FINGERS, [*HOME_RAD, *HALF_OPEN]))
    feed.ingest.on_joint_states(feed.joints(('wheel',), [900.0]))
    assert feed.buffer.latest_state() is not None


def test_pose_topic_is_read_where_the_profile_says_so() -> None:
    feed = Feed()
    assert inputs_of(feed.profile) == ('image', 'joint_states', 'tool_pose')
    feed.ingest.on_joint_states(feed.joints(ARM + FINGERS, [*HOME_RAD, *HALF_OPEN]))
    assert feed.buffer.latest_state() is None
    message = state_to_message(a_state((0.5, 0.1, 0.2), stamp_ns=NOW_NS), 'panda_link0')
    feed.ingest.on_tool_pose(message)
    state = feed.buffer.latest_state()
    assert state is not None and np.allclose(state.position_m, (0.5, 0.1, 0.2))


def a_transform(parent: str = 'panda_link0', child: str = 'panda_tool') -> TransformStamped:
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id = parent
    message.header.stamp = stamp_from_ns(NOW_NS)
    message.transform.translation.x = 0.4
    message.transform.rotation.x, message.transform.rotation.w = 1.0, 0.0
    return message


def test_state_from_tf_is_the_newest_transform_when_joints_arrive() -> None:
    class Newest:
        def newest(self) -> TransformStamped:
            return a_transform()

    feed = Feed(transform=Newest(), state_source='tf')
    assert 'tool_pose' not in inputs_of(feed.profile)
    feed.ingest.on_joint_states(feed.joints(ARM + FINGERS, [*HOME_RAD, *HALF_OPEN]))
    state = feed.buffer.latest_state()
    assert state is not None and np.allclose(state.position_m, (0.4, 0.0, 0.0))


def test_transform_between_other_frames_is_refused() -> None:
    with pytest.raises(FrameMismatchError, match="'world'"):
        state_from_transform(a_transform(parent='world'), 0.0, panda_profile())
    with pytest.raises(FrameMismatchError, match="'flange'"):
        state_from_transform(a_transform(child='flange'), 0.0, panda_profile())


def test_tf_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'tf2_ros', None)
    node: Any = None
    with pytest.raises(MissingPackageError, match='apt install ros-.*-tf2-ros'):
        ToolTransform(node, panda_profile())


@pytest.mark.parametrize(
    ('angle_rad', 'closedness'), [(0.0, 0.0), (0.7929, 1.0), (0.39645, 0.5), (0.80, 1.0)]
)
def test_knuckle_that_turns_to_close(angle_rad: float, closedness: float) -> None:
    robotiq = profile(
        gripper_joint_names=('knuckle',),
        gripper_settings=GripperConfig(joint_range=(0.0, 0.7929)),
    )
    message = joints_to_message((*ARM, 'knuckle'), [*HOME_RAD, angle_rad], stamp_ns=1)
    assert closedness_from_joints(message, robotiq) == pytest.approx(closedness)
    message = joints_to_message((*ARM, 'knuckle'), [*HOME_RAD, 45.0], stamp_ns=1)
    with pytest.raises(InvalidStateError, match='joint_range'):  # degrees
        closedness_from_joints(message, robotiq)


def test_joints_that_are_older_than_those_that_came_are_not_where_the_arm_is() -> None:
    """Those of a bag that is played among the live ones became the arm's, and its gripper's."""
    feed = Feed()
    names = (*ARM, *FINGERS)
    feed.ingest.on_joint_states(feed.joints(names, [*HOME_RAD, *HALF_OPEN]))
    bag = [*(HOME_RAD + 0.4), 0.0, 0.0]
    feed.ingest.on_joint_states(feed.joints(names, bag, age_s=0.15))
    newest = feed.ingest.latest_joints()
    assert newest is not None and newest.stamp_ns == NOW_NS
    assert np.array_equal(newest.positions_rad, HOME_RAD)
    feed.ingest.on_tool_pose(state_to_message(a_state(stamp_ns=NOW_NS), 'panda_link0'))
    state = feed.buffer.latest_state()
    assert state is not None and state.gripper_closedness == pytest.approx(0.5)


def test_late_joints_that_the_arm_cannot_have_had_are_a_jump() -> None:
    feed = Feed()
    feed.ingest.on_joint_states(feed.joints((*ARM, *FINGERS), [*HOME_RAD, *HALF_OPEN]))
    with pytest.raises(StateJumpError, match='rad/s'):
        feed.ingest.on_joint_states(
            feed.joints((*ARM, *FINGERS), [*(HOME_RAD + 1.0), *HALF_OPEN], age_s=0.01)
        )


def test_joints_are_taken_again_after_the_clock_went_back() -> None:
    feed = Feed()
    names = (*ARM, *FINGERS)
    feed.ingest.on_joint_states(feed.joints(names, [*HOME_RAD, *HALF_OPEN]))
    feed.clock.jump(-5.0)
    with pytest.raises(ClockJumpError):
        feed.ingest.on_joint_states(feed.joints(names, [*HOME_RAD, *HALF_OPEN]))
    feed.ingest.on_joint_states(feed.joints(names, [*(HOME_RAD + 0.5), 0.0, 0.0]))
    newest = feed.ingest.latest_joints()
    assert newest is not None and newest.stamp_ns == NOW_NS - 5_000_000_000


def test_a_black_wrist_camera_is_not_planned_from() -> None:
    feed = Feed(wants_wrist=True)

    def wrist(value: np.ndarray) -> None:
        feed.clock.advance(0.05)
        feed.ingest.on_wrist_image(image_to_message(value, stamp_ns=feed.clock.now_ns()))

    def problem() -> NotReady | None:
        now_ns, monotonic_ns = feed.clock.now_ns(), feed.clock.monotonic_ns()
        scene = scene_picture([0.5, 0.0, 0.2])
        feed.buffer.push_image(now_ns, scene, now_ns=now_ns, monotonic_ns=monotonic_ns)
        state = a_state(stamp_ns=now_ns)
        feed.buffer.push_state(state, now_ns=now_ns, monotonic_ns=monotonic_ns)
        return feed.buffer.freshness(now_ns, monotonic_ns)

    wrist(scene_picture([0.5, 0.0, 0.2]))
    assert problem() is None
    for _ in range(3):
        with pytest.raises(UnusableFrameError, match='black'):
            wrist(np.zeros((64, 64, 3), np.uint8))
    found = problem()
    assert found is not None and 'black' in found.error.message
    feed.clock.advance(2.0)
    for _ in range(12):
        wrist(scene_picture([0.5, 0.0, 0.2]))
    assert problem() is None
    feed.clock.advance(1.0)
    found = problem()
    assert found is not None and 'wrist' in found.error.message  # silent
