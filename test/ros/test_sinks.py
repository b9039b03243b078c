# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What leaves for the driver: absolute targets, holds, and nothing in a dry run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
import sys
from typing import Any

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')

from geometry_msgs.msg import PoseStamped, TwistStamped  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import Float64MultiArray  # noqa: E402

from fakes.driver_msgs import use_driver_msgs  # noqa: E402
from fakes.kinematic_arm import HOME_RAD, panda_kinematics  # noqa: E402
from fakes.waiting import wait_for  # noqa: E402
from wm_planner.control.safety import SafetyConfig  # noqa: E402
from wm_planner.core.errors import (  # noqa: E402
    InvalidParameterError,
    MissingPackageError,
    RobotDescriptionError,
    UnknownNameError,
    UnreachablePoseError,
)
from wm_planner.core.paths import robot_profile_file  # noqa: E402
from wm_planner.core.profile import RobotProfile  # noqa: E402
from wm_planner.core.protocols import CommandSink  # noqa: E402
from wm_planner.core.robot_parts import ServoConfig  # noqa: E402
from wm_planner.core.types import ArmCommand, JointPositions, RobotState  # noqa: E402
from wm_planner.ros import qos  # noqa: E402
from wm_planner.ros.clock import RosClock  # noqa: E402
from wm_planner.ros.sinks import SINKS, make_sink  # noqa: E402
from wm_planner.ros.sinks.null import (  # noqa: E402
    DRY_RUN_GRIPPER,
    DRY_RUN_JOINTS,
    DRY_RUN_POSE,
)
from wm_planner.ros.stamps import stamp_to_ns  # noqa: E402

PROFILE = RobotProfile.from_yaml(robot_profile_file('panda_sim'))


@dataclass
class Driver:
    """A driver that keeps what it was told, and a node for the sink."""

    node: Any
    executor: SingleThreadedExecutor
    poses: list[PoseStamped] = field(default_factory=list)
    grips: list[float] = field(default_factory=list)
    state: RobotState | None = None

    def make(self, name: str, *, needs_servo: bool = False) -> CommandSink:
        clock = RosClock(self.node)
        needs = getattr(SINKS.get(name), 'needs_kinematics', False)
        profile = replace(PROFILE, servo=ServoConfig(switch_command_type=needs_servo))
        if name == 'servo_twist':  # a topic has one type
            profile = replace(profile, topics=replace(PROFILE.topics, target_pose='/twists'))
        sink = make_sink(
            name,
            self.node,
            profile,
            clock,
            lambda: self.state,
            latest_joints=lambda: JointPositions(stamp_ns=clock.now_ns(), positions_rad=HOME_RAD),
            kinematics=panda_kinematics() if needs else None,
        )
        if name == 'tool_pose':
            topics = PROFILE.topics
            wait_for(
                lambda: all(
                    self.node.count_publishers(t)
                    for t in (topics.target_pose, topics.gripper_target)
                ),
                what='discovery',
                poll=self.spin,
            )
        return sink

    def seen_at(self, position_m: Any, age_s: float = 0.0) -> RobotState:
        """Return a half open tool of some seconds ago."""
        return RobotState(
            stamp_ns=RosClock(self.node).now_ns() - round(age_s * 1e9),
            position_m=position_m,
            quaternion_xyzw=[1, 0, 0, 0],
            gripper_closedness=0.5,
        )

    def spin(self) -> None:
        self.executor.spin_once(timeout_sec=0.02)

    def wait_for_poses(self, number: int) -> None:
        wait_for(lambda: len(self.poses) >= number, what=f'{number} poses', poll=self.spin)

    def xyz(self, index: int) -> list[float]:
        point = self.poses[index].pose.position
        return [point.x, point.y, point.z]


@pytest.fixture
def driver() -> Iterator[Driver]:
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node('driver', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    found = Driver(node, executor)
    node.create_subscription(
        PoseStamped, PROFILE.topics.target_pose, found.poses.append, qos.STATUS
    )
    node.create_subscription(
        Float64MultiArray,
        PROFILE.topics.gripper_target,
        lambda message: found.grips.extend(message.data),
        qos.STATUS,
    )
    yield found
    executor.shutdown()
    node.destroy_node()
    rclpy.try_shutdown(context=context)


def command(x: float, closedness: float = 0.5) -> ArmCommand:
    return ArmCommand(
        stamp_ns=1_000_000_007,
        position_m=[x, 0.1, 0.2],
        quaternion_xyzw=[1, 0, 0, 0],
        gripper_closedness=closedness,
    )


def test_every_sink_keeps_the_protocol(driver: Driver) -> None:
    position, quaternion = panda_kinematics().forward(HOME_RAD)
    driver.state = RobotState(
        stamp_ns=5, position_m=position, quaternion_xyzw=quaternion, gripper_closedness=0.5
    )
    for name in SINKS.names():
        sink = driver.make(name)
        assert isinstance(sink, CommandSink)
        target = ArmCommand.hold_at(driver.state)
        assert sink.send(target) is target
        sink.hold()
        sink.close()
        sink.close()


def test_target_goes_out_as_it_is(driver: Driver) -> None:
    driver.make('tool_pose').send(command(0.4, 0.25))
    driver.wait_for_poses(1)
    wait_for(lambda: driver.grips, what='the gripper target', poll=driver.spin)
    message = driver.poses[0]
    assert message.header.frame_id == PROFILE.base_frame
    assert stamp_to_ns(message.header.stamp) == 1_000_000_007
    assert driver.xyz(0) == [0.4, 0.1, 0.2]
    assert (message.pose.orientation.x, message.pose.orientation.w) == (1.0, 0.0)
    assert driver.grips == [0.25]


def test_hold_is_where_the_tool_is_with_the_grip_last_commanded(driver: Driver) -> None:
    """Fingers stopped by an object must not be told the width at which they stopped."""
    sink = driver.make('tool_pose')
    sink.send(command(0.4, closedness=1.0))
    driver.wait_for_poses(1)
    driver.state = driver.seen_at([0.37, 0, 0.3])
    sink.hold()
    driver.wait_for_poses(2)
    assert driver.xyz(1) == [0.37, 0.0, 0.3]
    wait_for(lambda: len(driver.grips) == 2, what='both gripper targets', poll=driver.spin)
    assert driver.grips == [1.0, 1.0]
    assert stamp_to_ns(driver.poses[1].header.stamp) > 10**18, 'a fresh stamp'


def test_hold_repeats_the_last_target_when_the_tool_was_never_seen(driver: Driver) -> None:
    sink = driver.make('tool_pose')
    sink.send(command(0.4))
    driver.wait_for_poses(1)
    sink.hold()
    driver.wait_for_poses(2)
    assert driver.xyz(1) == [0.4, 0.1, 0.2]


def test_hold_is_not_where_the_tool_was_a_moment_ago(driver: Driver) -> None:
    sink = driver.make('tool_pose')
    for number, stop in ((1, sink.hold), (3, sink.stay)):
        sink.send(command(0.4))
        driver.wait_for_poses(number)
        driver.state = driver.seen_at([0.37, 0, 0.3], age_s=0.15 if number == 1 else 0.0)
        stop()
        driver.wait_for_poses(number + 1)
        assert driver.xyz(number) == [0.4, 0.1, 0.2]


def test_nothing_goes_out_once_told_to_forget(driver: Driver) -> None:
    """The pose is in doubt: a hold there would be a motion, also at the end."""
    sink = driver.make('tool_pose')
    sink.send(command(0.4))
    sink.forget()
    driver.state = driver.seen_at([0.37, 0, 0.3])
    sink.hold()
    sink.stay()
    sink.send(command(0.6))  # the sentinel
    wait_for(
        lambda: driver.poses and driver.xyz(-1) == [0.6, 0.1, 0.2], what='it', poll=driver.spin
    )
    assert [driver.xyz(i)[0] for i in range(len(driver.poses))] == [0.4, 0.6]
    sink.close()


def test_nothing_goes_out_at_a_hold_when_nothing_was_sent_since_the_last(driver: Driver) -> None:
    """Somebody else may be moving the arm by then."""
    sink = driver.make('tool_pose')
    sink.hold()
    sink.send(command(0.4))
    driver.wait_for_poses(1)
    sink.hold()
    driver.wait_for_poses(2)
    sink.hold()
    sink.hold()
    sink.send(command(0.6))  # the sentinel
    wait_for(
        lambda: driver.poses and driver.xyz(-1) == [0.6, 0.1, 0.2], what='it', poll=driver.spin
    )
    assert [driver.xyz(i)[0] for i in range(len(driver.poses))] == [0.4, 0.4, 0.6]


def test_close_holds_last_and_hold_never_raises(driver: Driver) -> None:
    sink = driver.make('tool_pose')
    sink.send(command(0.4))
    driver.wait_for_poses(1)
    driver.state = driver.seen_at([0.39, 0, 0.3])
    sink.close()
    driver.wait_for_poses(2)
    assert driver.xyz(-1) == [0.39, 0.0, 0.3]
    sink.hold()
    sink.close()


def test_hold_does_not_raise_when_the_context_is_gone(driver: Driver) -> None:
    sink = driver.make('tool_pose')
    sink.send(command(0.4))
    rclpy.try_shutdown(context=driver.node.context)
    sink.hold()
    sink.close()


def test_nothing_goes_out_in_a_dry_run(driver: Driver) -> None:
    dry, real = driver.make('null'), driver.make('tool_pose')
    dry.send(command(0.4))
    dry.hold()
    dry.close()
    real.send(command(0.6))  # the sentinel
    driver.wait_for_poses(1)
    assert [driver.xyz(i)[0] for i in range(len(driver.poses))] == [0.6]


def test_what_would_be_sent_can_be_seen_in_a_dry_run(driver: Driver) -> None:
    """Tool target, gripper and, for a sink of joints, the joints that would go out."""
    poses: list[PoseStamped] = []
    grips: list[float] = []
    joints: list[JointState] = []
    node = driver.node
    node.create_subscription(PoseStamped, DRY_RUN_POSE, poses.append, qos.STATUS)
    node.create_subscription(
        Float64MultiArray, DRY_RUN_GRIPPER, lambda m: grips.extend(m.data), qos.STATUS
    )
    node.create_subscription(JointState, DRY_RUN_JOINTS, joints.append, qos.STATUS)
    clock = RosClock(node)
    sample = JointPositions(stamp_ns=clock.now_ns(), positions_rad=HOME_RAD)
    sink = make_sink(
        'null',
        node,
        replace(PROFILE, sink='joint_trajectory'),
        clock,
        lambda: None,
        latest_joints=lambda: sample,
        kinematics=panda_kinematics(),
    )
    wait_for(lambda: node.count_publishers(DRY_RUN_JOINTS), what='discovery', poll=driver.spin)
    position, quaternion = panda_kinematics().forward(HOME_RAD)
    target = ArmCommand(
        stamp_ns=clock.now_ns(),
        position_m=position + [0.01, 0.0, 0.0],
        quaternion_xyzw=quaternion,
        gripper_closedness=0.25,
    )
    sink.send(target)
    wait_for(lambda: poses and grips and joints, what='the dry run', poll=driver.spin)
    assert poses[0].header.frame_id == PROFILE.base_frame
    assert poses[0].pose.position.x == pytest.approx(position[0] + 0.01, abs=1e-3)
    assert grips == [0.25]
    assert tuple(joints[0].name) == PROFILE.arm_joint_names
    reached, _ = panda_kinematics().forward(np.array(joints[0].position))
    assert np.allclose(reached, target.position_m, atol=1e-3)
    assert driver.poses == []
    with pytest.raises(UnreachablePoseError):  # as the real sink would
        sink.send(replace(target, position_m=[2.0, 0.0, 0.3]))
    sink.close()


def test_missing_package_is_named_with_the_command_that_installs_it(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ('moveit_msgs', 'moveit_msgs.srv', 'control_msgs', 'control_msgs.action'):
        monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    monkeypatch.setenv('ROS_DISTRO', 'jazzy')
    publishers = list(driver.node.publishers)
    for name in ('servo_pose', 'servo_twist'):
        with pytest.raises(MissingPackageError, match='apt install ros-jazzy-moveit-msgs'):
            driver.make(name, needs_servo=True)
    assert list(driver.node.publishers) == publishers, 'it would count as another sender'
    profile = replace(PROFILE, gripper='franka_gripper')
    with pytest.raises(MissingPackageError, match='apt install ros-jazzy-control-msgs') as caught:
        make_sink('tool_pose', driver.node, profile, RosClock(driver.node), lambda: None)
    assert caught.value.code == 505


def test_servo_needs_no_package_where_somebody_else_switches_it(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'moveit_msgs', None)
    monkeypatch.setitem(sys.modules, 'moveit_msgs.srv', None)
    profile = replace(PROFILE, servo=ServoConfig(switch_command_type=False))
    sink = make_sink('servo_pose', driver.node, profile, RosClock(driver.node), lambda: None)
    sink.send(command(0.4))
    driver.wait_for_poses(1)
    sink.close()


def test_control_rate_below_what_servo_takes_is_refused(driver: Driver) -> None:
    use_driver_msgs()
    clock = RosClock(driver.node)
    with pytest.raises(InvalidParameterError, match='at least 20'):
        make_sink('servo_pose', driver.node, PROFILE, clock, lambda: None, control_rate_hz=10.0)


def test_twist_is_no_faster_than_the_scaled_limit(driver: Driver) -> None:
    """What the target allows is scaled, and lag times gain went out at the whole speed."""
    topics = replace(PROFILE.topics, target_pose='/scaled_twists')
    servo = ServoConfig(switch_command_type=False)
    profile = replace(PROFILE, sink='servo_twist', servo=servo, topics=topics)
    twists: list[TwistStamped] = []
    driver.node.create_subscription(TwistStamped, topics.target_pose, twists.append, qos.STATUS)
    state = driver.seen_at([0.3, 0.0, 0.3])
    sink = make_sink(
        'servo_twist',
        driver.node,
        profile,
        RosClock(driver.node),
        lambda: state,
        safety=SafetyConfig(limit_scale=0.2),
    )
    wait_for(
        lambda: driver.node.count_publishers(topics.target_pose),
        what='discovery',
        poll=driver.spin,
    )
    sink.send(command(0.6))
    wait_for(lambda: twists, what='the twist', poll=driver.spin)
    linear = twists[0].twist.linear
    speed = np.linalg.norm([linear.x, linear.y, linear.z])
    assert speed == pytest.approx(0.2 * profile.max_speed_m_s)
    sink.close()


def test_sink_of_joints_needs_a_description(driver: Driver) -> None:
    with pytest.raises(RobotDescriptionError, match='kinematics.description'):
        make_sink('joint_state', driver.node, PROFILE, RosClock(driver.node), lambda: None)


def test_unknown_sink_names_the_ones_there_are(driver: Driver) -> None:
    with pytest.raises(
        UnknownNameError, match='Valid: crisp, fzi, .*null, servo_pose.*, tool_pose'
    ):
        driver.make('tool_poes')


def test_profile_that_ships_names_a_sink() -> None:
    assert PROFILE.sink in SINKS.names()
