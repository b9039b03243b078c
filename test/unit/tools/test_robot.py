# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""``wm_planner robot``: the report on a profile, its verdict and the exit status."""

from __future__ import annotations

from dataclasses import replace
import json
from pathlib import Path

import pytest
import yaml

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('pinocchio', reason="the extra 'arms' is not installed")

from fakes.kinematic_arm import panda_profile  # noqa: E402
from fakes.panda_urdf import panda_urdf  # noqa: E402
from wm_planner.core.paths import robot_profile_file  # noqa: E402
from wm_planner.kinematics.description import RobotDescription  # noqa: E402
from wm_planner.ros import optional  # noqa: E402
from wm_planner.tools import robot_check  # noqa: E402
from wm_planner.tools.cli import main  # noqa: E402
from wm_planner.tools.robot_check import Level, check_robot  # noqa: E402


@pytest.fixture
def without_driver_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand for a machine with ROS and no driver's messages."""
    missing = ('control_msgs', 'franka_msgs', 'moveit_msgs', 'tf2_ros', 'tf2_msgs')
    monkeypatch.setattr(
        robot_check,
        'is_installed',
        lambda name: name not in missing and optional.is_installed(name),
    )


def test_list_has_every_profile_that_ships(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['robot', 'list']) == 0
    shown = ''.join(capsys.readouterr().out.split())
    for word in ('joint_trajectory', 'servo_pose', 'crisp', 'panda_link0'):
        assert word[:9] in shown


def test_profile_that_can_run_here_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['robot', 'check', 'panda_sim', '--json']) == 0
    report = json.loads(capsys.readouterr().out)
    assert report['verdict'] == 'note'
    assert {
        'name': '/target_pose',
        'type': 'geometry_msgs/msg/PoseStamped',
        'kind': 'publisher',
    } in (report['streams'])
    assert any('every corner' in f['text'] for f in report['findings'])


def test_missing_packages_are_named_with_their_command(
    without_driver_packages: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['robot', 'check', 'ur5e_servo']) == 1
    shown = ' '.join(capsys.readouterr().out.split())
    for package in ('control-msgs', 'moveit-msgs'):
        assert package in shown
    assert 'ur5e_servo cannot run here' in shown


def test_streams_are_those_of_sink_gripper_and_state_source() -> None:
    profile = panda_profile()
    names = {s.name: (s.kind, s.type_name) for s in robot_check.streams_of(profile)}
    assert names['/tool_pose'] == ('subscription', 'geometry_msgs/msg/PoseStamped')
    joints = replace(
        profile,
        sink='joint_trajectory',
        state_source='tf',
        gripper='franka_grasp',
        topics=replace(
            profile.topics, gripper_target='/hand', image='/cam/compressed', target_joints='/jtc'
        ),
    )
    names = {s.name: (s.kind, s.type_name) for s in robot_check.streams_of(joints)}
    assert '/tool_pose' not in names
    assert names['/tf'][1] == 'tf2_msgs/msg/TFMessage'
    assert names['/hand/grasp'] == ('action client', 'franka_msgs/action/Grasp')
    assert names['/cam/compressed'][1] == 'sensor_msgs/msg/CompressedImage'
    assert names['/jtc'] == ('publisher', 'trajectory_msgs/msg/JointTrajectory')


def test_limits_wider_than_the_description_are_a_warning() -> None:
    profile = panda_profile()
    wide = replace(profile.joint_limits, high_rad=(9.0,) * 7, max_speed_rad_s=(5.0,) * 7)
    report = check_robot(
        replace(profile, joint_limits=wide),
        RobotDescription(text=panda_urdf(), origin='panda.urdf'),
    )
    texts = [f.text for f in report.findings if f.level is Level.WARNING]
    assert any(
        'high_rad is wider' in t and 'panda_joint1 (9, description 2.897)' in t for t in texts
    )
    assert any('max_speed_rad_s is wider' in t for t in texts)
    assert report.level is Level.WARNING


def test_workspace_out_of_reach_is_found() -> None:
    profile = panda_profile()
    partly = replace(profile, workspace_high_m=(0.95, 0.24, 0.32))
    assert any('out of reach' in f.text for f in check_robot(partly).findings)
    away = replace(
        profile,
        sink='joint_state',
        workspace_low_m=(3.0, 0.0, 0.0),
        workspace_high_m=(4.0, 1.0, 1.0),
    )
    report = check_robot(away)
    assert report.level is Level.ERROR and 'cannot run here' in report.verdict


def test_description_without_the_joints_of_the_profile_is_an_error() -> None:
    profile = replace(panda_profile(), sink='joint_state', base_frame='base_link')
    report = check_robot(profile)
    assert report.level is Level.ERROR
    assert any("no link 'base_link'" in f.text for f in report.findings)


def test_invalid_profile_is_wrong_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = yaml.safe_load(robot_profile_file('panda_sim').read_text())
    path = tmp_path / 'mine.yaml'
    path.write_text(yaml.safe_dump({**values, 'max_step_m': -1.0}))
    assert main(['robot', 'check', str(path)]) == 2
    assert 'max_step_m' in capsys.readouterr().err
    path.write_text(yaml.safe_dump({**values, 'sink': 'crips'}))
    assert main(['robot', 'check', str(path)]) == 2
    assert "Did you mean 'crisp'" in capsys.readouterr().err


def test_first_motion_at_full_speed_is_a_warning() -> None:
    report = check_robot(replace(panda_profile(), max_speed_m_s=2.0))
    assert any('first motion' in f.text for f in report.findings)
