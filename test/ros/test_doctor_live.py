# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""``wm_planner doctor`` names the cause of each broken set-up, on real messages of a live graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
import json
from pathlib import Path
import subprocess
import sys
from typing import Any

from geometry_msgs.msg import PoseStamped
import numpy as np
import pytest
import rclpy

from fakes.doctor_robot import DoctorRobot, scene_picture
from fakes.loopback_robot import Spinner
from fakes.planner_harness import QUICK, PlannerHarness
from fakes.profile_robot import ProfileRobot
from wm_planner.core.paths import robot_profile_file
from wm_planner.core.profile import RobotProfile
from wm_planner.core.types import Image
from wm_planner.evaluation.doctor.findings import Check, Finding, Severity
from wm_planner.evaluation.doctor.motion_checks import check_driver, check_gripper
from wm_planner.evaluation.doctor.picture_checks import check_orientation
from wm_planner.evaluation.doctor.samples import SetupSample
from wm_planner.evaluation.settings import PlannerChoice
from wm_planner.models.tabletop.checkpoint import SHIPPED_WEIGHTS
from wm_planner.policies.calibration_moves import AXES, AXES_STEPS
from wm_planner.ros import qos
from wm_planner.ros.conversions import image_to_message, stamp_from_ns, stamp_to_ns
from wm_planner.ros.doctor_sampler import DoctorSampler
from wm_planner.ros.goal_store import write_picture
from wm_planner.ros.move_recorder import MoveRecorder
from wm_planner.tools.arm_moves import drive
from wm_planner.tools.doctor import (
    DoctorRequest,
    examine,
    planning_findings,
    samples_from_moments,
    stream_findings,
)

Break = Callable[[DoctorRobot], None]


@pytest.fixture
def robot() -> Iterator[DoctorRobot]:
    context = rclpy.Context()
    rclpy.init(context=context)
    robot = DoctorRobot(context)
    spinner = Spinner(context, robot.node)
    yield robot
    spinner.stop()
    robot.node.destroy_node()
    rclpy.try_shutdown(context=context)


def listen(robot: DoctorRobot, seconds: float = 0.6) -> SetupSample:
    with DoctorSampler(robot.profile) as sampler:
        return sampler.sample(seconds)


def worst(findings: list[Finding], check: Check) -> Finding:
    mine = [finding for finding in findings if finding.check is check]
    order = list(Severity)
    assert mine, f'nothing about {check.title} in {findings}'
    return max(mine, key=lambda finding: order.index(finding.severity))


def causes(findings: list[Finding]) -> set[Check]:
    return {finding.check for finding in findings if finding.severity is Severity.ERROR}


def test_a_healthy_set_up_is_well(robot: DoctorRobot, tmp_path: Path) -> None:
    setup = listen(robot, 1.0)
    request = DoctorRequest(preview=str(tmp_path / 'preview.png'))
    findings = stream_findings(setup, robot.profile)
    findings += planning_findings(request, setup, scene_picture(robot.position_m, noise=99))
    assert not causes(findings), findings
    assert {f.check for f in findings} >= set(list(Check)[:6]) | {Check.CROP, Check.GOAL}
    assert worst(findings, Check.GOAL).severity is Severity.OK
    assert (tmp_path / 'preview.png').stat().st_size > 1000
    assert setup.commands.listeners == ('/loopback_robot',)


@pytest.mark.parametrize('name', ['franka_fr3_crisp', 'franka_fr3_jtc', 'ur5e_servo'])
def test_a_healthy_arm_of_each_shipped_profile_is_well(name: str) -> None:
    """Poses on a topic or by kinematics, grippers apart or on a shared topic, joints out."""
    profile = RobotProfile.from_yaml(robot_profile_file(name))
    context = rclpy.Context()
    rclpy.init(context=context)
    arm = ProfileRobot(rclpy.create_node('arm', context=context), profile)
    spinner = Spinner(context, arm.node)
    try:
        with DoctorSampler(profile) as sampler:
            setup = sampler.sample(1.0)
    finally:
        spinner.stop()
        arm.node.destroy_node()
        rclpy.try_shutdown(context=context)
    assert not spinner.errors
    findings = [
        *stream_findings(setup, profile),
        *check_gripper(setup.gripper, profile, []),
        *check_driver(setup.commands, []),
    ]
    assert not causes(findings), findings
    for check in (Check.TOPICS, Check.STAMPS):  # two broadcasters on one topic are no fault
        assert worst(findings, check).severity is Severity.OK, findings
    assert setup.joints.rate_hz == pytest.approx(25.0, rel=0.3)
    assert setup.commands.listeners == ('/arm',)
    assert len(setup.pose.positions) > 10 and not setup.pose.trouble
    assert worst(findings, Check.GRIPPER).sentence.startswith('closed to 0%')


def test_names_a_robot_without_a_description() -> None:
    profile = RobotProfile.from_yaml(robot_profile_file('franka_fr3_jtc'))
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node('arm', context=context)
    arm = ProfileRobot(
        node, replace(profile, topics=replace(profile.topics, robot_description='/elsewhere'))
    )
    spinner = Spinner(context, arm.node)
    try:
        with DoctorSampler(profile) as sampler:
            setup = sampler.sample(0.6)
    finally:
        spinner.stop()
        node.destroy_node()
        rclpy.try_shutdown(context=context)
    finding = worst(stream_findings(setup, profile), Check.FRAMES)
    assert finding.severity is Severity.ERROR
    assert 'no robot description came on /robot_description' in finding.sentence


# What the streams tell ----------------------------------------------------------------------------


def _change(stream: str, change: Callable[[Any], Any]) -> Break:
    def apply(robot: DoctorRobot) -> None:
        robot.change[stream] = change

    return apply


def _late(message: Any, by_ns: int = 10_000_000_000) -> Any:
    message.header.stamp = stamp_from_ns(stamp_to_ns(message.header.stamp) + by_ns)
    return message


def _set(message: Any, **fields: Any) -> Any:
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def _in_millimetres(message: PoseStamped) -> PoseStamped:
    p = message.pose.position
    p.x, p.y, p.z = p.x * 1000.0, p.y * 1000.0, p.z * 1000.0
    return message


def _in_frame(name: str) -> Callable[[Any], Any]:
    def change(message: Any) -> Any:
        message.header.frame_id = name
        return message

    return change


def _picture(image: Image) -> Break:
    def apply(robot: DoctorRobot) -> None:
        robot.picture = lambda *_, **__: image  # type: ignore[method-assign]

    return apply


BROKEN_STREAMS: list[tuple[str, Break, Check, str]] = [
    ('no camera', _change('image', lambda message: None), Check.TOPICS, 'no message came'),
    ('clock skew', _change('pose', _late), Check.STAMPS, 'ahead of the clock'),
    (
        'clock behind',
        _change('image', lambda m: _late(m, -8_000_000_000)),
        Check.STAMPS,
        'before it arrives',
    ),
    (
        'no stamps',
        _change('joints', lambda m: _late(m, -stamp_to_ns(m.header.stamp))),
        Check.STAMPS,
        'not stamped',
    ),
    (
        'unknown encoding',
        _change('image', lambda m: _set(m, encoding='infrared17')),
        Check.ENCODING,
        'infrared17',
    ),
    ('black', _picture(np.zeros((128, 128, 3), np.uint8)), Check.CAMERA, 'black'),
    ('frozen', _picture(scene_picture([0.5, 0.0, 0.2])), Check.CAMERA, 'frozen'),
    (
        'degrees',
        _change('joints', lambda m: _set(m, position=[-135.0, *list(m.position)[1:]])),
        Check.UNITS,
        'degrees',
    ),
    ('millimetres', _change('pose', _in_millimetres), Check.UNITS, 'millimetres'),
    ('other frame', _change('pose', _in_frame('world')), Check.FRAMES, "'world'"),
    ('other camera', _change('image', _in_frame('wrist')), Check.FRAMES, "'wrist'"),
]


@pytest.mark.parametrize(
    ('spoil', 'check', 'words'),
    [pytest.param(*case[1:], id=case[0].replace(' ', '_')) for case in BROKEN_STREAMS],
)
def test_names_what_is_wrong_with_a_stream(
    robot: DoctorRobot, spoil: Break, check: Check, words: str
) -> None:
    spoil(robot)
    findings = stream_findings(listen(robot), robot.profile)
    assert causes(findings) == {check}, findings  # the cause, and nothing else
    finding = worst(findings, check)
    assert words in finding.sentence
    assert finding.advice


def test_names_the_topic_that_would_do(robot: DoctorRobot) -> None:
    topics = replace(robot.profile.topics, tool_pose='/elsewhere')
    robot.profile = replace(robot.profile, topics=topics)
    finding = worst(stream_findings(listen(robot), robot.profile), Check.TOPICS)
    assert finding.severity is Severity.ERROR and '/elsewhere' in finding.sentence
    assert '/tool_pose' in finding.advice


def test_names_a_topic_of_another_type(robot: DoctorRobot) -> None:
    topics = replace(robot.profile.topics, image='/tool_pose')
    finding = worst(
        stream_findings(listen(robot), replace(robot.profile, topics=topics)), Check.TOPICS
    )
    assert finding.severity is Severity.OK  # it listened to the right one; now to the wrong one
    robot.profile = replace(robot.profile, topics=topics)
    finding = worst(stream_findings(listen(robot), robot.profile), Check.TOPICS)
    assert 'PoseStamped' in finding.sentence and 'sensor_msgs/msg/Image' in finding.sentence


# What the pictures and the model tell -------------------------------------------------------------


def test_names_a_picture_that_is_mostly_cut_off(robot: DoctorRobot, tmp_path: Path) -> None:
    wide = np.concatenate([scene_picture(robot.position_m)] * 3, axis=1)
    _picture(wide)(robot)
    request = DoctorRequest(preview=str(tmp_path / 'crop.png'))
    finding = worst(planning_findings(request, listen(robot), None), Check.CROP)
    assert finding.severity is Severity.ERROR and '67%' in finding.sentence
    assert 'crop.png' in finding.sentence and (tmp_path / 'crop.png').is_file()


GOALS: list[tuple[str, Callable[[Image], Image], str]] = [
    ('aspect', lambda image: image[:64], 'another aspect'),
    ('swapped', lambda image: image[..., ::-1], 'red and blue'),
    ('blank', lambda image: np.full_like(image, 90), 'single colour'),
    (
        'elsewhere',
        lambda image: (
            np.random.default_rng(0).permutation(image.reshape(-1, 3)).reshape(image.shape)
        ),
        'does not look like',
    ),
]


@pytest.mark.parametrize(
    ('spoil', 'words'), [pytest.param(*case[1:], id=case[0]) for case in GOALS]
)
def test_names_what_is_wrong_with_a_goal(
    robot: DoctorRobot, spoil: Callable[[Image], Image], words: str
) -> None:
    goal = np.ascontiguousarray(spoil(scene_picture(robot.position_m)))
    choice = PlannerChoice(model='point_mass')
    request = DoctorRequest(choice=choice)
    finding = worst(planning_findings(request, listen(robot), goal), Check.GOAL)
    assert finding.severity in (Severity.ERROR, Severity.WARNING)
    assert words in finding.sentence and finding.advice


def test_names_a_checkpoint_that_is_damaged(robot: DoctorRobot, tmp_path: Path) -> None:
    file = tmp_path / 'half.safetensors'
    file.write_bytes(SHIPPED_WEIGHTS.read_bytes()[:100_000])
    file.with_suffix('.json').write_text(SHIPPED_WEIGHTS.with_suffix('.json').read_text())
    choice = PlannerChoice(values={'world_model.weights': str(file)})
    finding = worst(
        planning_findings(DoctorRequest(choice=choice), listen(robot), None), Check.CHECKPOINT
    )
    assert finding.severity is Severity.ERROR and 'SHA-256' in finding.sentence


def test_names_plans_that_come_too_late(robot: DoctorRobot) -> None:
    choice = PlannerChoice(values={'cem.num_samples': 100_000, 'cem.num_iterations': 100})
    finding = worst(
        planning_findings(DoctorRequest(choice=choice), listen(robot), None), Check.PLAN_TIME
    )
    assert finding.severity is Severity.ERROR
    assert 'about' in finding.sentence and 'too old' in finding.sentence


def test_names_a_second_commander_and_a_missing_driver(robot: DoctorRobot) -> None:
    other = rclpy.create_node('other_controller', context=robot.node.context)
    topic = robot.profile.topics.target_pose
    other.create_publisher(PoseStamped, topic, qos.COMMAND)
    finding = check_driver(listen(robot).commands, [])[0]
    assert finding.severity is Severity.ERROR and '/other_controller' in finding.sentence
    other.destroy_node()
    topics = replace(robot.profile.topics, target_pose='/nobody_listens')
    robot.profile = replace(robot.profile, topics=topics)
    finding = check_driver(listen(robot).commands, [])[0]
    assert finding.severity is Severity.ERROR and 'nobody listens' in finding.sentence


# What moving tells --------------------------------------------------------------------------------


@contextmanager
def moving() -> Iterator[PlannerHarness]:
    """Yield a planner node with the script of the doctor, before a robot that can be broken."""
    parameters = {
        **QUICK,
        'planner': 'calibration_moves',
        'planning.script': AXES,
        'planning.move_m': 0.03,
        'planning.step_duration_s': 0.1,
        'executor.settle_s': 0.2,
    }
    with PlannerHarness(parameters, robot=DoctorRobot) as harness:
        yield harness


def findings_of_moves(harness: PlannerHarness) -> dict[Check, Finding]:
    """Make the moves through the live node; return what they say of gripper, driver and camera."""
    robot = harness.robot
    recorder = MoveRecorder(robot.profile)
    recorder.listen(harness.client)
    moments = drive(harness.client, recorder, AXES_STEPS)
    moves, changes = samples_from_moments(moments)
    with DoctorSampler(robot.profile) as sampler:
        setup = sampler.sample(0.4)
    commands = replace(setup.commands, senders=())  # the planner node is the harness's own
    findings = [
        *check_gripper(setup.gripper, robot.profile, changes),
        *check_driver(commands, moves, is_moving=True),
        *check_orientation(None, None, moves),
    ]
    return {finding.check: finding for finding in findings}


def test_moves_of_a_healthy_robot_are_well() -> None:
    with moving() as harness:
        begin = harness.robot.position_m.copy()
        found = findings_of_moves(harness)
        assert {f.severity for f in found.values()} == {Severity.OK}, found
        assert np.linalg.norm(harness.robot.position_m - begin) < 0.005  # back where it was


def test_names_a_reversed_gripper_and_a_mirrored_camera() -> None:
    with moving() as harness:
        robot = harness.robot
        robot.gripper_is_reversed = True

        def mirrored(message: Any) -> Any:
            image = scene_picture(robot.position_m, noise=len(robot.targets))
            return image_to_message(
                np.ascontiguousarray(image[:, ::-1]),
                stamp_ns=stamp_to_ns(message.header.stamp),
                frame_id=message.header.frame_id,
            )

        robot.change['image'] = mirrored
        found = findings_of_moves(harness)
    assert found[Check.GRIPPER].severity is Severity.ERROR
    assert 'opens when it is told to close' in found[Check.GRIPPER].sentence
    assert found[Check.ORIENTATION].severity is Severity.ERROR
    assert 'is mirrored' in found[Check.ORIENTATION].sentence
    assert found[Check.DRIVER].severity is Severity.OK


def test_names_a_driver_that_does_not_follow() -> None:
    with moving() as harness:
        harness.robot.is_frozen = True
        found = findings_of_moves(harness)
    assert found[Check.DRIVER].severity is Severity.ERROR
    assert 'does not follow' in found[Check.DRIVER].sentence


def test_nothing_is_moved_while_the_streams_have_errors(robot: DoctorRobot) -> None:
    robot.change['pose'] = _in_millimetres
    begin = robot.position_m.copy()
    request = DoctorRequest(
        choice=PlannerChoice(model='point_mass'), seconds=0.6, is_moving=True, preview=''
    )
    findings = examine(request)
    assert Check.UNITS in causes(findings)
    assert any('nothing was moved' in finding.sentence for finding in findings)
    assert robot.targets == [] and np.array_equal(robot.position_m, begin)


# The command --------------------------------------------------------------------------------------


def test_command_reports_and_exits_by_severity(robot: DoctorRobot, tmp_path: Path) -> None:
    goal, report = tmp_path / 'goal.png', tmp_path / 'doctor.json'
    write_picture(goal, np.ascontiguousarray(scene_picture(robot.position_m)[:, ::-1]))
    done = subprocess.run(
        [
            *(sys.executable, '-m', 'wm_planner.tools.cli', 'doctor', '--goal', str(goal)),
            *('--seconds', '0.8', '--json', str(report)),
            *('--preview', str(tmp_path / 'preview.png')),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    content = json.loads(report.read_text())
    by_check = {finding['check']: finding for finding in content['findings']}
    assert [f['number'] for f in content['findings']] == sorted(
        f['number'] for f in content['findings']
    )
    assert set(by_check) == {check.title for check in Check}
    assert by_check['orientation']['severity'] == 'error'
    assert 'mirrored against the goal' in by_check['orientation']['sentence']
    assert {f['check'] for f in content['findings'] if f['severity'] == 'error'} == {'orientation'}
    assert 'mirrored' in done.stdout
    assert (tmp_path / 'preview.png').is_file()
