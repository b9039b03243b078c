# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Asking a world model about moves: on the point mass, whose answer is known, and its failures."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from fakes.loopback_env import LoopbackEnv
from fakes.values import a_state
from fakes.vjepa2 import write_tiny_weights
from wm_planner.core.calibration import CameraCalibration, profile_text_with
from wm_planner.core.errors import CalibrationError, CalibrationMismatchError
from wm_planner.core.geometry import euler_to_quaternion, rotate_vector
from wm_planner.core.paths import robot_profile_file
from wm_planner.core.types import Goal, Image, Observation
from wm_planner.evaluation import direct
from wm_planner.evaluation.calibration import (
    CalibrationConfig,
    Move,
    calibrate,
    calibration_planner,
)
from wm_planner.evaluation.doctor.model_probe import model_input, probe_checkpoint
from wm_planner.evaluation.environments import SuiteName
from wm_planner.evaluation.runner import EvaluationConfig, RunRequest
from wm_planner.evaluation.settings import PlannerChoice
from wm_planner.factory import PlannerSettings, make_planner
from wm_planner.models.point_mass import PointMassConfig, PointMassRenderer
from wm_planner.models.vjepa2_ac.checkpoint import read_manifest

RENDERER = PointMassRenderer(PointMassConfig())
CENTRE = np.array([0.54, 0.0, 0.35])
CHOICE = PlannerChoice(planner='cem', model='point_mass')
CONFIG = CalibrationConfig(num_samples=128, num_iterations=6)


def seen_at(position_m: np.ndarray, image: Image) -> Observation:
    state = a_state(position_m)
    return Observation(images=image[None], image_stamps_ns=(state.stamp_ns,), states=(state,))


def moves_seen_turned(yaw_rad: float, count: int = 14, *, is_mirrored: bool = False) -> list[Move]:
    """Return moves in base_frame, pictured by a camera whose axes are turned by ``yaw_rad``."""
    rng, moves = np.random.default_rng(0), []
    back = euler_to_quaternion([0.0, 0.0, -yaw_rad])

    def picture(position_m: np.ndarray) -> Image:
        offset = rotate_vector(back, position_m - CENTRE)
        if is_mirrored:
            offset = offset * [1.0, -1.0, 1.0]
        return RENDERER.draw(CENTRE + offset, gripper_closedness=0.0)

    for _ in range(count):
        begin = CENTRE + rng.uniform(-0.1, 0.1, 3)
        direction = rng.normal(size=3)
        displacement = 0.04 * direction / np.linalg.norm(direction)
        before = seen_at(begin, picture(begin))
        moves.append(
            Move(before=before, after=picture(begin + displacement), displacement_m=displacement)
        )
    return moves


@pytest.mark.parametrize('planner', ['cem', 'icem', 'mppi'])
def test_recovers_how_the_camera_is_turned(planner: str) -> None:
    choice = PlannerChoice(planner=planner, model='point_mass')
    result = calibrate(
        calibration_planner(choice, CONFIG), moves_seen_turned(math.radians(50.0)), CONFIG
    )
    assert result.fit.yaw_deg == pytest.approx(50.0, abs=3.0)
    assert result.fit.is_trusted, result.fit.verdict
    assert np.median(result.gains) > 0.8


def test_the_calibrated_planner_moves_where_the_picture_says() -> None:
    """The whole way: measured, made a block, given to the factory, the arm goes to the goal."""
    yaw = math.radians(-70.0)
    result = calibrate(calibration_planner(CHOICE, CONFIG), moves_seen_turned(yaw), CONFIG)
    block = result.block(model='point_mass', weights='', camera='/image', date='2026-01-01')
    move = moves_seen_turned(yaw, 1)[0]
    goal = Goal(goal_id='there', image=move.after)
    plans = {}
    for name, calibration in (('without', CameraCalibration()), ('with', block)):
        settings = PlannerSettings(calibration=calibration, optimizer={'horizon': 1})
        planner = make_planner('cem', 'point_mass', settings, device='cpu')
        plans[name] = planner.plan(move.before, goal).actions[0][:3]
    assert np.linalg.norm(plans['with'] - move.displacement_m) < 0.006
    assert np.linalg.norm(plans['without'] - move.displacement_m) > 0.02


def test_a_calibrated_plan_is_the_same_plan_in_other_axes() -> None:
    move = moves_seen_turned(0.0, 1)[0]
    goal = Goal(goal_id='there', image=move.after)
    quarter = CameraCalibration(quaternion_xyzw=(0.0, 0.0, math.sqrt(0.5), math.sqrt(0.5)))
    plain = make_planner('cem', 'point_mass', device='cpu')
    turned = make_planner('cem', 'point_mass', PlannerSettings(calibration=quarter), device='cpu')
    a, b = plain.plan(move.before, goal), turned.plan(move.before, goal)
    np.testing.assert_allclose(b.actions[:, 0], -a.actions[:, 1], atol=1e-12)
    np.testing.assert_allclose(b.actions[:, 1], a.actions[:, 0], atol=1e-12)
    np.testing.assert_allclose(b.actions[:, 2:], a.actions[:, 2:], atol=1e-12)
    assert a.energy == b.energy
    assert np.all(b.actions <= turned.action_spec.high + 1e-12)


def test_a_mirrored_picture_cannot_be_calibrated_away() -> None:
    moves = moves_seen_turned(0.3, is_mirrored=True)
    result = calibrate(calibration_planner(CHOICE, CONFIG), moves, CONFIG)
    assert result.fit.is_mirrored
    with pytest.raises(CalibrationError, match='mirrored'):
        result.block(model='point_mass', weights='', camera='', date='')


def test_pictures_that_have_nothing_to_do_with_the_moves_are_not_trusted() -> None:
    moves = moves_seen_turned(0.0)
    shuffled = [
        Move(before=a.before, after=a.after, displacement_m=b.displacement_m)
        for a, b in zip(moves, moves[5:] + moves[:5], strict=True)
    ]
    result = calibrate(calibration_planner(CHOICE, CONFIG), shuffled, CONFIG)
    assert not result.fit.is_trusted
    assert not result.to_dict()['is_trusted']


def test_same_moves_same_answer() -> None:
    moves = moves_seen_turned(0.2)
    planner = calibration_planner(CHOICE, CONFIG)
    first, second = (calibrate(planner, moves, CONFIG) for _ in range(2))
    assert np.array_equal(first.wanted_m, second.wanted_m)


def test_refuses_what_cannot_be_asked() -> None:
    with pytest.raises(CalibrationError, match='policy'):
        calibration_planner(PlannerChoice(planner='random', model='point_mass'), CONFIG)
    with pytest.raises(CalibrationError, match='no move'):
        calibrate(calibration_planner(CHOICE, CONFIG), [], CONFIG)


def test_a_calibration_of_another_model_is_refused_by_the_factory() -> None:
    other = CameraCalibration(
        quaternion_xyzw=(0.0, 0.0, math.sqrt(0.5), math.sqrt(0.5)), model='vjepa2_ac'
    )
    with pytest.raises(CalibrationMismatchError, match='vjepa2_ac'):
        make_planner('cem', 'point_mass', PlannerSettings(calibration=other), device='cpu')
    policy = make_planner('noop', 'point_mass', PlannerSettings(calibration=other), device='cpu')
    assert policy.action_spec.size  # a policy acts in base_frame anyway


def test_the_runner_of_evaluations_takes_the_calibration_of_the_profile(tmp_path: Path) -> None:
    """It is refused for another model, which shows that it is looked at, before anything opens."""
    other = CameraCalibration(
        quaternion_xyzw=(0.0, 0.0, math.sqrt(0.5), math.sqrt(0.5)), model='vjepa2_ac'
    )
    file = tmp_path / 'turned.yaml'
    file.write_text(profile_text_with(robot_profile_file('panda_sim').read_text(), other))
    name = SuiteName('sweep', '')
    request = RunRequest(suite=name, choice=CHOICE, config=EvaluationConfig(), robot=str(file))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(direct, 'open_environment', lambda suite: LoopbackEnv())
        with (
            pytest.raises(CalibrationMismatchError, match='vjepa2_ac'),
            direct.open_direct_runner(request),
        ):
            pass


def test_random_weights_of_v_jepa_are_asked_and_not_trusted(tmp_path: Path) -> None:
    """The whole way on the field's model: context, rollout, energy, fit; only that it is seeded."""
    weights = write_tiny_weights(tmp_path / 'tiny.safetensors')
    choice = PlannerChoice(model='vjepa2_ac', values={'world_model.weights': str(weights)})
    config = CalibrationConfig(num_samples=32, num_iterations=2)
    result = calibrate(calibration_planner(choice, config), moves_seen_turned(0.0, 12), config)
    assert not result.fit.is_trusted, result.fit.verdict
    assert np.abs(result.wanted_m).max() <= 0.075 + 1e-9
    sample, model = probe_checkpoint(choice, torch.device('cpu'))
    assert model is not None and not sample.problem
    counts = read_manifest(weights).counts
    assert sample.need_bytes == 4 * sum(part['parameters'] for part in counts.values())
    assert model_input(choice, RENDERER.draw(CENTRE)).size_px == 64
