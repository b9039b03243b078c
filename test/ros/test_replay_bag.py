# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Replay and landscape of a bag whose robot has a calibrated camera, with what was recorded."""

from __future__ import annotations

from dataclasses import asdict, replace
import json
import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip('rclpy', reason='rclpy is not installed')

from rclpy.serialization import serialize_message
from std_msgs.msg import String

from fakes.values import a_state
from wm_planner.core.actions import action_to_command
from wm_planner.core.calibration import CameraCalibration
from wm_planner.core.errors import InvalidParameterError
from wm_planner.core.paths import robot_profile_file
from wm_planner.core.profile import RobotProfile
from wm_planner.core.types import Goal, Observation
from wm_planner.factory import PlannerSettings, make_planner
from wm_planner.models.point_mass import PointMassConfig, PointMassRenderer
from wm_planner.ros import qos
from wm_planner.ros.bag import BagWriter, offered_qos
from wm_planner.ros.conversions import image_to_message, plan_to_message
from wm_planner.ros.plan_record import goal_to_message, start_to_message
from wm_planner.tools.cli import make_app

PROFILE = RobotProfile.from_yaml(robot_profile_file('panda_sim'))
RENDERER = PointMassRenderer(PointMassConfig())
TURN = (0.0, 0.0, 0.5, math.cos(math.pi / 6))  # 60 degrees about the vertical
START_M, GOAL_M = np.array([0.5, 0.0, 0.3]), np.array([0.53, 0.02, 0.3])
STEP_NS = 250_000_000
SEED = 7
TYPES = {
    PROFILE.topics.image: 'sensor_msgs/msg/Image',
    '/wm_planner/planner_settings': 'std_msgs/msg/String',
    '/wm_planner/goal_record': 'wm_planner_msgs/msg/GoalRecord',
    '/wm_planner/plan_start': 'wm_planner_msgs/msg/PlanStart',
    '/wm_planner/plan_diagnostics': 'wm_planner_msgs/msg/PlanDiagnostics',
}


def command(*arguments: str) -> str:
    """Run a command in this process; return what it printed."""
    result = CliRunner().invoke(make_app(arguments), list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope='module')
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bag as the nodes record it: four plans of a point mass seen by a turned camera."""
    calibration = CameraCalibration(quaternion_xyzw=TURN)
    planner = make_planner(
        'cem',
        'point_mass',
        PlannerSettings(planner={'seed': SEED}, calibration=calibration),
        device='cpu',
    )
    goal = Goal(goal_id='there', image=RENDERER.draw(GOAL_M), gripper_closedness=0.0)
    settings = {
        'planner': 'cem',
        'model': 'point_mass',
        'robot': 'panda_sim',
        'device': 'cpu',
        'calibration': asdict(calibration),
        'values': {'planning.seed': SEED},
    }
    folder = tmp_path_factory.mktemp('run') / 'bag'
    writer = BagWriter(folder)
    for topic, kind in TYPES.items():
        writer.add_topic(topic, kind, [offered_qos(qos.STATUS)])

    def write(topic: str, message: object, stamp_ns: int) -> None:
        data = serialize_message(message)
        writer.write(topic, data, log_time_ns=stamp_ns, publish_time_ns=stamp_ns)

    frame, base = PROFILE.camera_frame, PROFILE.base_frame
    write('/wm_planner/planner_settings', String(data=json.dumps(settings)), 0)
    write('/wm_planner/goal_record', goal_to_message(goal, stamp_ns=0, camera_frame=frame), 0)
    state = a_state(tuple(START_M))
    for number in range(4):
        now_ns = (number + 1) * STEP_NS
        state = replace(state, stamp_ns=now_ns)
        image = RENDERER.draw(state.position_m)
        observation = Observation(images=image[None], image_stamps_ns=(now_ns,), states=(state,))
        plan = planner.plan(observation, goal, executed_steps=min(number, 1))
        assert plan.start is not None
        write(
            PROFILE.topics.image, image_to_message(image, stamp_ns=now_ns, frame_id=frame), now_ns
        )
        write('/wm_planner/plan_start', start_to_message(plan, plan.start, base), now_ns)
        told = plan_to_message(plan, base_frame=base, now_ns=now_ns)
        write('/wm_planner/plan_diagnostics', told, now_ns)
        moved = action_to_command(plan.actions[0], plan.action_spec, state, now_ns)
        state = replace(state, position_m=moved.position_m)
    writer.close()
    return folder


def test_plans_of_a_calibrated_robot_are_made_again_exactly(bag: Path, tmp_path: Path) -> None:
    command('replay', str(bag), '--json', str(tmp_path / 'replay.json'))
    found = json.loads((tmp_path / 'replay.json').read_text())
    assert found['is_reproduction'] and found['seed'] == SEED
    assert found['summary']['plans_reproduced'] == found['summary']['plans_compared'] == 4


def test_a_comparison_draws_from_the_recorded_seed_unless_told(bag: Path, tmp_path: Path) -> None:
    for options, seed in ((('--planner', 'icem'), SEED), (('--seed', '0'), 0)):
        command('replay', str(bag), '--json', str(tmp_path / 'replay.json'), *options)
        found = json.loads((tmp_path / 'replay.json').read_text())
        assert not found['is_reproduction'] and found['seed'] == seed


def test_landscape_of_a_bag_is_that_of_its_model_and_calibration(bag: Path, tmp_path: Path) -> None:
    out = ('--out', str(tmp_path / 'l.png'), '--resolution', '31')
    told = json.loads(command('landscape', str(bag), *out))
    turned = GOAL_M - START_M  # in the model's axes; 60 degrees on are those of base_frame
    half, root = 0.5, math.sqrt(0.75)
    expected = [half * turned[0] - root * turned[1], root * turned[0] + half * turned[1], 0.0]
    assert told['lowest_xy_m'] == pytest.approx(expected, abs=0.005)
    assert told['chosen_m'] == pytest.approx(expected, abs=0.03)


def test_live_landscape_refuses_what_the_node_has_of_its_own() -> None:
    for option in (
        ('--extent', '0.1'),
        ('--set', 'cem.num_samples=8'),
        ('--planner', 'cem'),
        ('--at', '1'),
    ):
        with pytest.raises(InvalidParameterError, match=f'{option[0]} with --live.*valid:'):
            command('landscape', '--live', *option)
