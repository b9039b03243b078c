# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What plans imagine, landscapes and records of a live planner node."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from nav_msgs.msg import Path as PathMessage
from sensor_msgs.msg import Image as ImageMessage
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import String
from visualization_msgs.msg import MarkerArray

from fakes.planner_harness import QUICK, PlannerHarness
from wm_planner.core.errors import InvalidGoalError, PlannerFailedError, WmPlannerError
from wm_planner.ros import qos
from wm_planner.ros.goal_store import write_picture
from wm_planner.ros.images import image_from_message
from wm_planner.ros.plan_record import goal_from_record, start_from_message
from wm_planner.ros.point_cloud import cloud_from_message
from wm_planner.ros.stamps import stamp_to_ns
from wm_planner_msgs.msg import GoalRecord, PlanDiagnostics, PlanStart


class Ears:
    """Everything that comes on the topics of a planner, by name."""

    def __init__(self, harness: PlannerHarness, **topics: tuple[type, Any]) -> None:
        self.heard: dict[str, list[Any]] = {name: [] for name in topics}
        for name, (kind, profile) in topics.items():
            take = self.heard[name].append
            harness.client.node.create_subscription(kind, f'/wm_planner/{name}', take, profile)


def set_off(harness: PlannerHarness) -> None:
    goal = harness.goal((0.62, 0.2, 0.45), 0.0)
    harness.client.enable()
    harness.client.set_goal_image(goal.image, goal_id='far', gripper_closedness=0.0)


def test_path_and_markers_follow_the_plan_and_a_record_goes_with_it() -> None:
    with PlannerHarness(QUICK) as harness:
        ears = Ears(
            harness,
            imagined_path=(PathMessage, qos.IMAGE),
            imagined_markers=(MarkerArray, qos.IMAGE),
            plan_start=(PlanStart, qos.STATUS),
            plan_diagnostics=(PlanDiagnostics, qos.STATUS),
            goal_record=(GoalRecord, qos.LATCHED),
            planner_settings=(String, qos.LATCHED),
        )
        set_off(harness)
        heard = ears.heard
        harness.wait(lambda: heard['imagined_path'] and heard['imagined_markers'], 'a path')
        harness.wait(lambda: len(heard['plan_start']) >= 2, 'two plans')
        harness.wait(lambda: heard['goal_record'] and heard['planner_settings'], 'the records')
    path = heard['imagined_path'][0]
    assert path.header.frame_id == 'panda_link0' and len(path.poses) == 3  # horizon 2
    first, last = path.poses[0].pose.position, path.poses[-1].pose.position
    assert np.hypot(last.x - 0.62, last.y - 0.2) < np.hypot(first.x - 0.62, first.y - 0.2)
    line, spheres = heard['imagined_markers'][0].markers
    assert len(line.points) == len(line.colors) == len(spheres.points) == 3
    assert line.colors[0].r > line.colors[-1].r  # the energy falls on the way
    start, diagnostics = heard['plan_start'][0], heard['plan_diagnostics'][0]
    assert start.header == diagnostics.header and start.goal_id == 'far'
    read = start_from_message(heard['plan_start'][1], len(diagnostics.action_names))
    assert read.mean is not None and read.mean.shape == (2, 5)
    goal = goal_from_record(heard['goal_record'][0])
    assert (goal.goal_id, goal.gripper_closedness) == ('far', 0.0)
    settings = json.loads(heard['planner_settings'][0].data)
    assert settings['planner'] == 'cem' and settings['model'] == 'point_mass'
    assert settings['values']['world_model.step_duration_s'] == 0.1
    newest_ns = stamp_to_ns(heard['plan_start'][1].header.stamp)
    assert newest_ns == read.image_stamps_ns[-1] and len(read.states) == 1


def test_nothing_is_drawn_where_it_is_switched_off() -> None:
    with PlannerHarness({**QUICK, 'imagination.enabled': False}) as harness:
        ears = Ears(
            harness,
            imagined_path=(PathMessage, qos.IMAGE),
            plan_start=(PlanStart, qos.STATUS),
        )
        set_off(harness)
        harness.wait(lambda: len(ears.heard['plan_start']) >= 3, 'three plans')
    assert not ears.heard['imagined_path']


def test_landscape_comes_on_request_and_says_where_it_is_lowest() -> None:
    with PlannerHarness(QUICK) as harness:
        ears = Ears(harness, energy_landscape=(PointCloud2, qos.LATCHED))
        with pytest.raises(InvalidGoalError, match='there is no goal'):
            harness.client.compute_landscape()
        place = np.array(harness.robot.position_m)
        goal = harness.goal(place + [0.03, -0.03, 0.0], 0.0)
        harness.client.set_goal_image(goal.image, goal_id='near', gripper_closedness=0.0)
        harness.wait_for_status(lambda s: s.goal_id == 'near', 'the goal')  # not enabled: it stays
        text = harness.client.compute_landscape()
        harness.wait(lambda: ears.heard['energy_landscape'], 'the cloud')
    assert "882 points toward goal 'near'; lowest at x +0.030 m, y -0.030 m" in text
    cloud = ears.heard['energy_landscape'][0]
    assert cloud.header.frame_id == 'panda_link0'
    points = cloud_from_message(cloud)[:441]
    assert points[points[:, 3].argmin(), :3] == pytest.approx(place + [0.03, -0.03, 0.0], abs=4e-3)


def test_landscape_comes_by_itself_while_the_planner_is_idle() -> None:
    with PlannerHarness({**QUICK, 'landscape.period_s': 0.2}) as harness:
        ears = Ears(harness, energy_landscape=(PointCloud2, qos.LATCHED))
        goal = harness.goal((0.5, 0.0, 0.3), 0.0)
        harness.client.set_goal_image(goal.image, goal_id='near', gripper_closedness=0.0)
        harness.wait(lambda: len(ears.heard['energy_landscape']) >= 2, 'two landscapes')


def test_policy_has_no_landscape() -> None:
    parameters = {key: value for key, value in QUICK.items() if not key.startswith('world_model')}
    with PlannerHarness({**parameters, 'planner': 'noop'}) as harness:
        goal = harness.goal((0.5, 0.0, 0.3), 0.0)
        harness.client.set_goal_image(goal.image, goal_id='near')
        harness.wait_for_status(lambda s: s.goal_id == 'near', 'the goal')
        with pytest.raises(PlannerFailedError, match='has no energies'):
            harness.client.compute_landscape()


def test_bank_of_another_camera_is_an_error_that_stops_nothing(tmp_path: Path) -> None:
    from wm_planner.core.profile import RobotProfile
    from wm_planner.ros.frame_source import bank_frames

    wide = np.zeros((48, 64, 3), np.uint8)
    wide[10:20, 10:20] = 200
    write_picture(tmp_path / 'a.png', wide)
    profile = RobotProfile(name='t', base_frame='b', tool_frame='t')
    with pytest.raises(WmPlannerError, match=r'\[113\].*64x48 px and the camera gives 128x128'):
        bank_frames(tmp_path, profile, 4).check_camera('', 128, 128)
    with PlannerHarness({**QUICK, 'imagination.frame_bank': str(tmp_path)}) as harness:
        ears = Ears(harness, imagined_path=(PathMessage, qos.IMAGE))
        set_off(harness)
        harness.wait(lambda: ears.heard['imagined_path'], 'a path all the same')
        harness.wait_for_status(lambda s: s.plans >= 3, 'plans go on')


def test_strip_of_the_tabletop_model_is_published() -> None:
    pytest.importorskip('mujoco', reason='mujoco is not installed')
    from wm_planner.tools.live_graph import GraphConfig, LiveGraph

    with LiveGraph(GraphConfig(arguments={'seed': '0'})) as graph:
        graph.wait_until_ready()
        heard: dict[str, list[Any]] = {'imagined': [], 'imagined_outcome': []}
        for name, messages in heard.items():
            graph.client.node.create_subscription(
                ImageMessage, f'/wm_planner/{name}', messages.append, qos.IMAGE
            )
        goals = graph.begin_episode('reach', seed=3, episode=0).goals
        graph.client.enable()
        graph.client.reach_goal(goals, steps_per_goal=[8], tolerance=-1.0, timeout_s=120.0)
    assert len(heard['imagined']) >= 3 and len(heard['imagined_outcome']) >= 2
    strip = image_from_message(heard['imagined'][0])
    assert strip.shape == (96 + 18 + 6, 5 * 99 + 3, 3)
    assert strip[10:90, 110:190].std() > 10.0  # a picture, not a plain colour
