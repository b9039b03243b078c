# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The tabletop with its camera turned by known angles: the scene, the data, the calibration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
import math
from pathlib import Path

import numpy as np
import pytest

from wm_planner.control.safety import SafetyConfig, SafetyFilter
from wm_planner.core.calibration import CameraCalibration
from wm_planner.core.errors import InvalidParameterError
from wm_planner.core.geometry import rotate_vector
from wm_planner.core.paths import robot_profile_file
from wm_planner.core.profile import RobotProfile
from wm_planner.evaluation.calibration import (
    CalibrationConfig,
    CalibrationResult,
    calibrate,
    calibration_planner,
    moves_in_environment,
)
from wm_planner.evaluation.direct import DirectRunner
from wm_planner.evaluation.doctor.findings import Severity
from wm_planner.evaluation.doctor.picture_checks import check_orientation
from wm_planner.evaluation.doctor.samples import MoveSample
from wm_planner.evaluation.environments import SuiteName
from wm_planner.evaluation.runner import EpisodeSpec, EvaluationConfig
from wm_planner.evaluation.settings import PlannerChoice
from wm_planner.factory import make_planner
from wm_planner.models.tabletop.checkpoint import SHIPPED_WEIGHTS, ModelCard, card_path
from wm_planner.policies.calibration_moves import CalibrationMovesConfig
from wm_planner.training.episode import Episode
from wm_planner.training.model_card import model_card_text
from wm_planner_sim.collect import (
    CAMERA_AZIMUTH_RAD,
    TabletopCamerasCollector,
    TabletopCollector,
    azimuth_of,
    turned_episode,
)
from wm_planner_sim.scene import EXTERIOR_TARGET_M
from wm_planner_sim.suites import TabletopEnvironment
from wm_planner_sim.tabletop import TabletopConfig, TabletopSim

CONFIG = CalibrationConfig(num_samples=192, num_iterations=5)
CAMERAS = PlannerChoice(model='tabletop', values={'world_model.weights': 'tabletop_cameras'})
ONE_CAMERA = PlannerChoice(model='tabletop')


@pytest.fixture(scope='module')
def environment() -> Iterator[TabletopEnvironment]:
    environment = TabletopEnvironment()
    yield environment
    environment.close()


def panda() -> RobotProfile:
    return RobotProfile.from_yaml(robot_profile_file('panda_sim'))


def calibrated(
    environment: TabletopEnvironment, choice: PlannerChoice, azimuth_deg: float
) -> CalibrationResult:
    environment.sim.turn_exterior(math.radians(azimuth_deg))
    moves = moves_in_environment(
        environment,
        'reach',
        panda(),
        CONFIG,
        context_frames=1,
        script=CalibrationMovesConfig(step_duration_s=0.25),
        seed=11,
    )
    assert len(moves) == CONFIG.moves
    return calibrate(calibration_planner(choice, CONFIG), moves, CONFIG)


def error_deg(found: CalibrationResult, azimuth_deg: float) -> float:
    return abs((found.fit.yaw_deg - azimuth_deg + 180.0) % 360.0 - 180.0)


@pytest.mark.parametrize('azimuth_deg', [-60, -40, -20, 0, 20, 40, 60])
def test_calibration_recovers_the_azimuth(
    environment: TabletopEnvironment, azimuth_deg: float
) -> None:
    found = calibrated(environment, CAMERAS, azimuth_deg)
    assert found.fit.is_trusted, found.fit.verdict
    assert error_deg(found, azimuth_deg) <= 8.0


@pytest.mark.parametrize('azimuth_deg', [-50, 40])
def test_a_model_of_one_camera_is_not_trusted_where_it_is_wrong(
    environment: TabletopEnvironment, azimuth_deg: float
) -> None:
    found = calibrated(environment, ONE_CAMERA, azimuth_deg)
    assert not found.fit.is_trusted or error_deg(found, azimuth_deg) <= 8.0
    assert found.fit.residual > 0.42  # it is lost there, and that is what says so


def test_a_model_of_one_camera_is_trusted_at_its_own(environment: TabletopEnvironment) -> None:
    found = calibrated(environment, ONE_CAMERA, 0.0)
    assert found.fit.is_trusted and error_deg(found, 0.0) <= 8.0


# The scene ----------------------------------------------------------------------------------------


def test_camera_turns_about_what_it_looks_at(environment: TabletopEnvironment) -> None:
    sim, target = environment.sim, np.array(EXTERIOR_TARGET_M)
    sim.turn_exterior(0.0)
    at_zero, _ = sim.camera_pose('exterior')
    for azimuth in (-1.0, 0.4):
        sim.turn_exterior(azimuth)
        position, quaternion = sim.camera_pose('exterior')
        cosine, sine = math.cos(azimuth), math.sin(azimuth)
        x, y, z = at_zero - target
        expected = [cosine * x - sine * y, sine * x + cosine * y, z]
        np.testing.assert_allclose(position - target, expected, atol=1e-9)
        forward = rotate_vector(quaternion, [0.0, 0.0, 1.0])
        toward = (target - position) / np.linalg.norm(target - position)
        np.testing.assert_allclose(forward, toward, atol=1e-6)
        sim.reset(seed=0)
        np.testing.assert_allclose(sim.camera_pose('exterior')[0], position, atol=1e-9)


def test_azimuth_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('WM_PLANNER_TABLETOP_EXTERIOR_AZIMUTH_DEG', '30')
    sim = TabletopSim(TabletopConfig.from_variables())
    turned, _ = sim.camera_pose('exterior')
    sim.turn_exterior(math.radians(30.0))
    np.testing.assert_allclose(sim.camera_pose('exterior')[0], turned, atol=1e-9)
    for wrong in ('left', '700'):
        monkeypatch.setenv('WM_PLANNER_TABLETOP_EXTERIOR_AZIMUTH_DEG', wrong)
        with pytest.raises(InvalidParameterError, match='valid'):
            TabletopConfig.from_variables()


# The data -----------------------------------------------------------------------------------------


def test_turned_episode_by_hand() -> None:
    pivot = np.array(EXTERIOR_TARGET_M[:2])
    readouts = np.array([[*(pivot + [0.1, 0.0]), 0.2, 0.3, 0.0]] * 2, np.float32)
    objects = np.array([[*(pivot + [0.0, 0.1]), 0.02, *pivot, 0.02]] * 2, np.float32)
    episode = Episode(
        images=np.zeros((2, 16, 16, 3), np.uint8),
        actions=np.array([[0.05, 0.0, 0.01, 0.2, 1.0]], np.float32),
        readouts=readouts,
        objects=objects,
    )
    turned = turned_episode(episode, math.pi / 2)  # base x is to the right of the turned camera's x
    np.testing.assert_allclose(turned.actions[0], [0.0, -0.05, 0.01, 0.2, 1.0], atol=1e-6)
    expected = [*(pivot + [0.0, -0.1]), 0.2, 0.3 - math.pi / 2, 0.0]
    np.testing.assert_allclose(turned.readouts[0], expected, atol=1e-6)
    np.testing.assert_allclose(turned.objects[0, :2], pivot + [0.1, 0.0], atol=1e-6)
    np.testing.assert_allclose(turned.objects[0, 3:5], pivot, atol=1e-6)


def test_collected_actions_lead_where_the_readouts_go() -> None:
    collector = TabletopCamerasCollector()
    try:
        episode = collector.collect(seed=3, episode=5, steps=6)
        again = collector.collect(seed=3, episode=5, steps=6)
    finally:
        collector.close()
    assert np.array_equal(episode.images, again.images)
    assert abs(azimuth_of(3, 5)) > math.radians(5.0), 'an episode that shows something'
    moved = np.diff(episode.readouts[:, :3], axis=0)
    far = np.linalg.norm(episode.actions[:, :3], axis=1) > 0.03
    cosine = (
        np.sum(moved * episode.actions[:, :3], axis=1)[far]
        / (np.linalg.norm(moved, axis=1) * np.linalg.norm(episode.actions[:, :3], axis=1))[far]
    )
    assert far.any() and cosine.min() > 0.8


def test_azimuths_cover_what_is_promised() -> None:
    azimuths = np.degrees([azimuth_of(0, n) for n in range(400)])
    assert azimuths.min() < -65.0 and azimuths.max() > 65.0
    assert np.abs(azimuths).max() <= math.degrees(CAMERA_AZIMUTH_RAD)
    assert TabletopCamerasCollector.action_spec is TabletopCollector.action_spec


def test_card_of_the_shipped_model_says_whose_axes_it_acts_in() -> None:
    file: Path = SHIPPED_WEIGHTS.parent / 'tabletop_cameras.safetensors'
    card = ModelCard.load(card_path(file))
    assert card.training['data']['collector'] == 'tabletop_cameras'
    text = (SHIPPED_WEIGHTS.parent / 'MODEL_CARD_CAMERAS.md').read_text()
    assert text == model_card_text(card)
    assert "in the camera's axes" in text


# The doctor's eye for a mirrored camera, on pictures of the scene ---------------------------------


@pytest.mark.parametrize('azimuth_deg', [-60, 0, 50])
@pytest.mark.parametrize('is_mirrored', [False, True])
def test_small_moves_tell_a_mirrored_camera_from_a_true_one(
    environment: TabletopEnvironment, azimuth_deg: float, is_mirrored: bool
) -> None:
    sim, moves = environment.sim, []
    sim.turn_exterior(math.radians(azimuth_deg))
    sim.reset(seed=2, tool_position_m=np.array([0.48, 0.02, 0.14]))
    for axis in (2, 0, 1):
        for sign in (1.0, -1.0):
            begin, before = sim.robot_state().position_m, sim.render('exterior')
            step = np.zeros(3)
            step[axis] = 0.03 * sign
            target = replace(sim.target, position_m=begin + step)
            sim.set_target(target)
            sim.advance(0.6)
            done, after = sim.robot_state().position_m - begin, sim.render('exterior')
            if is_mirrored:
                before, after = before[:, ::-1], after[:, ::-1]
            moves.append(
                MoveSample(
                    commanded_m=step,
                    done_m=done,
                    before=np.ascontiguousarray(before),
                    after=np.ascontiguousarray(after),
                )
            )
    (finding,) = check_orientation(None, None, moves)
    if is_mirrored:
        assert finding.severity is Severity.ERROR and 'is mirrored' in finding.sentence
    else:
        assert finding.severity is Severity.OK, finding


# Reach with it ------------------------------------------------------------------------------------


def test_reach_before_a_turned_camera_improves_with_the_calibration(
    environment: TabletopEnvironment,
) -> None:
    """Four episodes at -60 degrees; docs/calibration.md has twenty at three azimuths."""
    found = calibrated(environment, CAMERAS, -60.0)
    block = found.block(model='tabletop', weights='tabletop_cameras', camera='', date='')
    left_m = {}
    for name, calibration in (('without', CameraCalibration()), ('with', block)):
        settings = replace(CAMERAS.settings(), calibration=calibration)
        runner = DirectRunner(
            environment=environment,
            planner=make_planner('cem', 'tabletop', settings, device='cpu'),
            safety=SafetyFilter(panda(), SafetyConfig()),
            planner_name='cem',
            model_name='tabletop',
            config=EvaluationConfig(episodes=4),
        )
        suite = SuiteName('tabletop', 'reach')
        records = [runner.run(EpisodeSpec(suite=suite, seed=7, episode=n)) for n in range(4)]
        left_m[name] = [record.final_distance_m or 0.0 for record in records]
    assert max(left_m['with']) < 0.04, left_m
    assert np.mean(left_m['with']) < 0.6 * np.mean(left_m['without']), left_m
