# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The planner node with a driver of joints: description, states and commands as on a real arm."""

from __future__ import annotations

from pathlib import Path
import sys

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('pinocchio', reason="the extra 'arms' is not installed")

from geometry_msgs.msg import PoseStamped  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402

from fakes.live_arm import LiveArm, joint_profile_file  # noqa: E402
from wm_planner.ros import qos  # noqa: E402
from wm_planner_msgs.msg import PlannerStatus  # noqa: E402


def test_planner_drives_joints_to_a_goal_from_a_description_on_the_topic(tmp_path: Path) -> None:
    """Waits for the description and says so, then goes; the trajectory controller takes all."""
    with LiveArm(joint_profile_file(tmp_path)) as live:
        live.wait_for_status(
            lambda s: 'waiting for the robot description on /robot_description' in s.message,
            'the wait for the description',
        )
        live.describe()
        live.client.wait_until_active(30.0)
        live.client.wait_for_data(10.0)
        arm = live.driver.arm
        start = arm.position_m
        goal = start + [0.0, 0.12, -0.06]
        live.client.set_goal_image(live.picture(goal), goal_id='there')
        live.wait_for_status(lambda s: s.state == PlannerStatus.DISABLED, 'the status')
        assert live.driver.received == 0, 'nothing moves before ~/enable'
        live.client.enable()
        live.wait(lambda: np.linalg.norm(arm.position_m - goal) < 0.03, 'the arm at the goal')
        assert live.driver.rejected == [] and live.driver.harm == []
        assert arm.outside == 0
        live.wait(lambda: live.driver.received > 100, 'commands that hold it there')
        assert np.linalg.norm(arm.position_m - goal) < 0.05
        assert live.driver.rejected == [] and live.driver.harm == []


def test_dry_run_shows_what_it_would_send_and_sends_nothing(tmp_path: Path) -> None:
    with LiveArm(joint_profile_file(tmp_path), dry_run=True) as live:
        live.describe()
        node = live.client.node
        poses: list[PoseStamped] = []
        joints: list[JointState] = []
        prefix = '/wm_planner/dry_run'
        node.create_subscription(PoseStamped, f'{prefix}/target_pose', poses.append, qos.STATUS)
        node.create_subscription(JointState, f'{prefix}/target_joints', joints.append, qos.STATUS)
        live.client.wait_until_active(30.0)
        live.client.wait_for_data(10.0)
        start = live.driver.arm.position_m
        live.client.set_goal_image(live.picture(start + [0.0, 0.12, 0.0]), goal_id='there')
        live.client.enable()
        live.wait(lambda: len(poses) > 30 and len(joints) > 30, 'the dry run')
        targets = np.array([[p.pose.position.x, p.pose.position.y] for p in poses])
        assert np.abs(targets - start[:2]).max() > 0.005, 'it would have moved'
        assert live.driver.received == 0
        assert node.count_publishers(live.profile.topics.target_joints) == 0
        assert np.allclose(live.driver.arm.position_m, start)


def test_driver_whose_messages_are_not_installed_is_said_in_the_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ('control_msgs', 'control_msgs.action'):
        monkeypatch.setitem(sys.modules, module, None)
    with LiveArm(joint_profile_file(tmp_path, gripper='franka_gripper')) as live:
        live.describe()
        live.wait_for_status(lambda s: s.error_code == 505, 'the error')
        assert live.statuses[-1].state == PlannerStatus.INACTIVE
        assert 'apt install ros-' in live.statuses[-1].message


def test_description_of_another_robot_is_said_in_the_status(tmp_path: Path) -> None:
    names = [f'fr3_joint{i}' for i in range(1, 8)]
    with LiveArm(joint_profile_file(tmp_path, arm_joint_names=names)) as live:
        live.describe()
        live.wait_for_status(lambda s: s.error_code == 506, 'the error')
        assert 'has no joint fr3_joint1' in live.statuses[-1].message
