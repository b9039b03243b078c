# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Each sink against a stand-in of its driver: 10 s of motion, and what the driver refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')

from geometry_msgs.msg import PoseStamped  # noqa: E402
from rclpy.duration import Duration  # noqa: E402
from std_msgs.msg import Float64MultiArray  # noqa: E402
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint  # noqa: E402

from fakes.controllers import CONTROLLERS, JtcController  # noqa: E402
from fakes.driver_msgs import use_driver_msgs  # noqa: E402
from fakes.driver_rig import TICK_S, DriverRig, rig_profile  # noqa: E402
from wm_planner.control.status import ControllerState, Termination  # noqa: E402
from wm_planner.core.errors import SafetyError, StaleCommandError, UnreachablePoseError  # noqa: E402
from wm_planner.core.types import ArmCommand  # noqa: E402
from wm_planner.ros import qos  # noqa: E402
from wm_planner.ros.conversions import command_to_message  # noqa: E402
from wm_planner.ros.sinks import NULL_SINK, SINKS, make_sink  # noqa: E402
from wm_planner.ros.stamps import stamp_from_ns  # noqa: E402

TEN_SECONDS = round(10.0 / TICK_S)


@pytest.fixture
def rig(request: pytest.FixtureRequest) -> Iterator[DriverRig]:
    if request.param.startswith('servo'):
        use_driver_msgs()
    with DriverRig(rig_profile(request.param)) as found:
        yield found


def on(*sinks: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize('rig', sinks or list(CONTROLLERS), indirect=True)


def test_every_sink_has_a_stand_in() -> None:
    assert set(CONTROLLERS) == set(SINKS.names()) - {NULL_SINK}


@on()
def test_ten_seconds_of_motion_without_one_rejected_command(rig: DriverRig) -> None:
    """The tool goes round its waypoints; the driver takes everything and nothing does harm."""
    arm = rig.driver.arm
    rig.set_off()
    places = []
    for _ in range(TEN_SECONDS):
        rig.tick()
        places.append(arm.position_m)
    assert rig.driver.received >= TEN_SECONDS
    assert rig.driver.rejected == []
    assert rig.driver.harm == []
    assert rig.driver.halts == 0
    travelled_m = float(np.linalg.norm(np.diff(places, axis=0), axis=1).sum())
    assert travelled_m > 0.8, 'the arm has to have moved'
    low, high = rig.profile.workspace
    assert np.all(places >= low - 0.01) and np.all(places <= high + 0.01)
    assert rig.status.commands_refused == 0, rig.status.message
    assert arm.outside == 0
    assert arm.fastest <= 1.0 + 1e-6


# What happens when the arm is not to go on --------------------------------------------------------


@on('servo_pose', 'servo_twist', 'joint_trajectory', 'joint_forward', 'crisp')
def test_arm_stays_where_it_is_after_a_hold(rig: DriverRig) -> None:
    """CRISP and position controllers are told to; Servo halts when nothing more comes."""
    rig.set_off()
    rig.tick(60)
    moving = rig.driver.arm.position_m
    rig.controller.enable(False)  # holds, and nothing is sent after it
    rig.settle(40)
    for _ in range(50):
        rig.clock.advance(TICK_S)
        rig.driver.advance(TICK_S)
    stopped = rig.driver.arm.position_m
    assert np.linalg.norm(stopped - moving) < 0.03
    if rig.profile.sink.startswith('servo'):
        assert rig.driver.halts == 1
    for _ in range(50):
        rig.clock.advance(TICK_S)
        rig.driver.advance(TICK_S)
    assert np.allclose(rig.driver.arm.position_m, stopped, atol=1e-6)
    assert rig.driver.rejected == [], 'and the hold itself was taken'
    assert rig.driver.harm == []


@on('joint_trajectory', 'joint_state')
def test_pose_out_of_reach_is_a_refusal_and_no_fault(rig: DriverRig) -> None:
    """The goals end, the arm holds, and it can be sent elsewhere without a reset."""
    rig.set_off()
    rig.tick(20)
    reach = rig.driver.arm.kinematics
    broken = UnreachablePoseError('no joint angles')
    real, calls = reach.inverse, []

    def refuse_once(*arguments: object) -> np.ndarray:
        calls.append(arguments)
        if len(calls) == 1:
            raise broken
        return real(*arguments)

    reach.inverse = refuse_once  # type: ignore[method-assign]
    try:
        rig.tick()
        assert rig.status.state is ControllerState.EXECUTING or rig.status.termination
        rig.tick(3)
    finally:
        del reach.inverse  # type: ignore[attr-defined]
    ended = [s for s in rig.statuses if s.termination is not None]
    assert [s.termination for s in ended] == [Termination.SAFETY_STOP]
    assert ended[0].error_code == 409
    assert rig.status.state is ControllerState.HOLDING
    rig.set_off()
    rig.tick(40)
    assert rig.status.state is not ControllerState.FAULT
    assert rig.status.sent is not None
    assert rig.driver.arm.outside == 0


@on('servo_pose')
def test_halt_of_servo_ends_the_goals_with_its_reason_once(rig: DriverRig) -> None:
    rig.set_off()
    rig.tick(20)
    seen = len(rig.statuses)
    rig.driver.servo.say(2)  # type: ignore[attr-defined]
    rig.settle(30)
    rig.tick(10)
    ended = [s for s in rig.statuses[seen:] if s.termination is not None]
    assert [(s.termination, s.error_code) for s in ended] == [(Termination.SAFETY_STOP, 409)]
    assert 'singularity' in ended[0].message
    rig.set_off()
    rig.tick(10)
    assert rig.status.sent is not None, 'the same halt does not refuse the way out of it'


@on('servo_pose')
def test_nothing_is_sent_to_a_servo_that_has_not_taken_the_command_type(rig: DriverRig) -> None:
    sink = make_sink(
        'servo_pose',
        rig.nodes[0],
        replace(rig.profile, topics=replace(rig.profile.topics, servo='/elsewhere')),
        rig.clock,
        rig.buffer.latest_state,
    )
    with pytest.raises(SafetyError, match='has not confirmed command type 2'):
        sink.send(ArmCommand.hold_at(rig.buffer.latest_state(), rig.clock.now_ns()))
    sink.close()


@on('servo_pose', 'servo_twist')
def test_servo_that_somebody_else_has_switched_meanwhile_is_switched_back(rig: DriverRig) -> None:
    """Teleoperation in twists while motion is disabled: pose targets were ignored ever after."""
    servo = rig.driver.servo  # type: ignore[attr-defined]
    rig.set_off()
    rig.tick(20)
    rig.controller.enable(False)
    rig.settle(20)
    servo.command_type = 7 - servo.wanted_type
    rig.controller.enable(True)
    rig.tick()
    rig.wait(lambda: servo.command_type == servo.wanted_type, 'the command type')
    refused = len(rig.driver.rejected)
    place = rig.driver.arm.position_m
    rig.tick(60)
    assert len(rig.driver.rejected) == refused
    assert np.linalg.norm(rig.driver.arm.position_m - place) > 0.01, 'it goes on with its goals'


@on('joint_trajectory')
def test_old_joints_stop_the_commands(rig: DriverRig) -> None:
    rig.set_off()
    rig.tick(10)
    sample = rig.ingest.latest_joints()
    assert sample is not None
    rig.clock.advance(0.6)
    with pytest.raises(StaleCommandError, match='joints are 0.6. s old'):
        rig.sink.send(rig.statuses[-1].sent.restamped(rig.clock.now_ns()))  # type: ignore[union-attr]


# The stand-ins themselves -------------------------------------------------------------------------


def pose(rig: DriverRig, **changes: object) -> PoseStamped:
    """Return what the driver takes, but for the changes."""
    arm = rig.driver.arm
    command = ArmCommand(
        stamp_ns=rig.clock.now_ns(),
        position_m=arm.position_m,
        quaternion_xyzw=arm.quaternion_xyzw,
        gripper_closedness=0.0,
    )
    message = command_to_message(command, str(changes.get('frame', rig.profile.base_frame)))
    if 'age_s' in changes:
        age_ns = int(float(changes['age_s']) * 1e9)  # type: ignore[arg-type]
        message.header.stamp = stamp_from_ns(rig.clock.now_ns() - age_ns)
    if 'x' in changes:
        message.pose.position.x = float(changes['x'])  # type: ignore[arg-type]
    return message


def send_by_hand(rig: DriverRig, message: object, topic: str) -> None:
    """Publish beside the sink, which has made its own publisher already."""
    publisher = rig.nodes[0].create_publisher(type(message), topic, qos.COMMAND)
    rig.wait(lambda: publisher.get_subscription_count(), 'the driver')
    rig.wait(lambda: rig.nodes[1].count_publishers(topic) == 2, 'the second publisher')
    received = rig.driver.received
    publisher.publish(message)
    rig.wait(lambda: rig.driver.received > received, 'the message')
    rig.nodes[0].destroy_publisher(publisher)


@pytest.mark.parametrize(
    ('rig', 'changes', 'reason'),
    [
        ('servo_pose', {'age_s': 0.15}, 'stamp is 0.150 s old'),
        ('servo_pose', {'frame': ''}, 'empty frame'),
        ('servo_pose', {'x': np.nan}, 'not finite'),
        ('fzi', {'frame': 'world'}, 'is not robot_base_link'),
        ('fzi', {'x': np.inf}, 'not finite'),
        ('crisp', {}, 'second publisher'),
        ('tool_pose', {'frame': 'world'}, "frame 'world'"),
    ],
    indirect=['rig'],
)
def test_stand_in_refuses_what_the_real_driver_refuses(
    rig: DriverRig, changes: dict[str, object], reason: str
) -> None:
    send_by_hand(rig, pose(rig, **changes), rig.profile.topics.target_pose)
    assert len(rig.driver.rejected) == 1
    assert reason in rig.driver.rejected[0]


def trajectory(rig: DriverRig) -> JointTrajectory:
    first, second = (
        JointTrajectoryPoint(
            positions=rig.driver.arm.joints_rad.tolist(),
            velocities=[0.0] * 7,
            time_from_start=Duration(seconds=seconds).to_msg(),
        )
        for seconds in (0.1, 0.2)
    )
    names = list(rig.profile.arm_joint_names)
    return JointTrajectory(joint_names=names, points=[first, second])


def _rename(message: JointTrajectory) -> None:
    message.joint_names[0] = 'elbow'


def _shorten(message: JointTrajectory) -> None:
    message.points[0].positions = [0.0] * 6


def _turn_back(message: JointTrajectory) -> None:
    message.points[1].time_from_start = Duration(seconds=0.05).to_msg()


def _end_moving(message: JointTrajectory) -> None:
    message.points[1].velocities = [0.1] * 7


@on('joint_trajectory')
@pytest.mark.parametrize(
    ('spoil', 'reason'),
    [
        (_rename, 'joint names'),
        (_shorten, '6 positions'),
        (_turn_back, 'times that do not rise'),
        (_end_moving, 'last velocity'),
    ],
)
def test_stand_in_of_jtc_refuses_what_it_refuses(
    rig: DriverRig, spoil: Callable[[JointTrajectory], None], reason: str
) -> None:
    driver = rig.driver
    assert isinstance(driver, JtcController)
    message = trajectory(rig)
    assert driver.refusal(message) == ''
    spoil(message)
    assert reason in driver.refusal(message)


@on('joint_forward')
def test_stand_in_of_forward_controller_drops_what_is_not_finite(rig: DriverRig) -> None:
    topic = rig.profile.topics.target_joints
    send_by_hand(rig, Float64MultiArray(data=[0.0] * 6 + [np.nan]), topic)
    send_by_hand(rig, Float64MultiArray(data=[0.0] * 3), topic)
    assert rig.driver.rejected == ['not finite', '3 values']
