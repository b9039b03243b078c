# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""A calibration applied to actions, checked against a model, and kept in a profile."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import yaml

from wm_planner.core.calibration import (
    NO_TURN_XYZW,
    CameraCalibration,
    actions_to_base,
    actions_to_model,
    check_camera,
    profile_text_with,
    spec_in_base,
    std_in_base,
    weights_name,
)
from wm_planner.core.errors import (
    CalibrationError,
    CalibrationMismatchError,
    InvalidParameterError,
    InvalidStateError,
)
from wm_planner.core.geometry import (
    conjugate_quaternion,
    euler_to_quaternion,
    multiply_quaternions,
    rotation_angle,
)
from wm_planner.core.paths import robot_profile_file
from wm_planner.core.profile import RobotProfile
from wm_planner.core.types import ActionSpec

QUARTER = tuple(euler_to_quaternion([0.0, 0.0, math.pi / 2]))
TILTED = tuple(euler_to_quaternion([0.2, 0.4, 0.6]))


def a_spec(*names: str, bound: float = 0.06) -> ActionSpec:
    return ActionSpec(
        low=np.full(len(names), -bound),
        high=np.full(len(names), bound),
        names=names,
        step_duration_s=0.25,
    )


TABLETOP = a_spec('dx', 'dy', 'dz', 'dyaw', 'gripper')
DROID = a_spec('dx', 'dy', 'dz', 'droll', 'dpitch', 'dyaw', 'dgripper')


@pytest.mark.parametrize('turn', [QUARTER, TILTED, NO_TURN_XYZW])
def test_actions_come_back_from_base_frame(turn: tuple[float, ...]) -> None:
    actions = np.random.default_rng(1).uniform(-0.05, 0.05, (20, 3, 7))
    back = actions_to_model(actions_to_base(actions, DROID, turn), DROID, turn)
    np.testing.assert_allclose(back, actions, atol=1e-9)


def test_spread_is_that_of_turned_draws() -> None:
    std = np.array([0.03, 0.01, 0.02, 0.001, 0.002, 0.003, 0.5])
    draws = np.random.default_rng(2).normal(0.0, std, (200_000, 7))
    turned = actions_to_base(draws, DROID, TILTED).std(axis=0)
    np.testing.assert_allclose(std_in_base(std, DROID, TILTED), turned, rtol=0.02)
    assert std_in_base(std, DROID, NO_TURN_XYZW).tolist() == std.tolist()


def test_a_quarter_turn_takes_x_to_y_and_leaves_height_yaw_and_gripper() -> None:
    turned = actions_to_base([0.05, 0.0, 0.02, 0.3, 0.7], TABLETOP, QUARTER)
    np.testing.assert_allclose(turned, [0.0, 0.05, 0.02, 0.3, 0.7], atol=1e-12)
    turned = actions_to_base([0.0, 0.05, 0.0, 0.0, 0.0], TABLETOP, QUARTER)
    np.testing.assert_allclose(turned, [-0.05, 0.0, 0.0, 0.0, 0.0], atol=1e-12)


def test_a_quarter_turn_takes_roll_to_pitch() -> None:
    turned = actions_to_base([0, 0, 0, 0.2, 0.0, 0.0, -0.4], DROID, QUARTER)
    np.testing.assert_allclose(turned, [0, 0, 0, 0.0, 0.2, 0.0, -0.4], atol=1e-12)


def test_a_rotation_delta_turns_by_conjugation() -> None:
    action = np.array([0, 0, 0, 0.1, -0.2, 0.3, 0.0])
    turned = actions_to_base(action, DROID, TILTED)
    expected = multiply_quaternions(
        multiply_quaternions(TILTED, euler_to_quaternion(action[3:6])),
        conjugate_quaternion(TILTED),
    )
    assert rotation_angle(euler_to_quaternion(turned[3:6]), expected) < 1e-9


def test_turning_back_and_batches() -> None:
    actions = np.random.default_rng(0).uniform(-0.06, 0.06, (4, 3, 7))
    there = actions_to_base(actions, DROID, TILTED)
    back = actions_to_base(there, DROID, tuple(conjugate_quaternion(TILTED)))
    np.testing.assert_allclose(back, actions, atol=1e-9)
    np.testing.assert_allclose(there[2, 1], actions_to_base(actions[2, 1], DROID, TILTED))
    assert np.array_equal(actions_to_base(actions, DROID, NO_TURN_XYZW), actions)


@pytest.mark.parametrize('quaternion', [QUARTER, tuple(euler_to_quaternion([0, 0, 0.7])), TILTED])
def test_spec_in_base_holds_every_turned_action(quaternion: tuple[float, ...]) -> None:
    spec = spec_in_base(DROID, quaternion)
    actions = np.random.default_rng(1).uniform(DROID.low, DROID.high, (500, 7))
    actions[:, 3:6] *= 0.1  # small rotations, for which the box is exact to second order
    turned = actions_to_base(actions, DROID, quaternion)
    assert np.all(turned >= spec.low - 1e-9) and np.all(turned <= spec.high + 1e-9)
    assert spec.names == DROID.names
    corner = actions_to_base([0.06, 0.06, 0, 0, 0, 0, 0], DROID, QUARTER)
    assert abs(corner[0]) <= spec_in_base(DROID, QUARTER).high[0] + 1e-9


def test_a_tilt_is_refused_for_a_model_that_cannot_roll() -> None:
    with pytest.raises(CalibrationError, match=r'droll, dpitch is missing|dpitch.*missing'):
        actions_to_base(np.zeros(5), TABLETOP, TILTED)
    with pytest.raises(CalibrationError, match='vertical alone'):
        spec_in_base(a_spec('dx', 'dy'), TILTED)
    with pytest.raises(CalibrationError, match='dy is missing'):
        spec_in_base(a_spec('dx', 'dz'), QUARTER)
    assert actions_to_base([0.01, 0.0], a_spec('dx', 'dy'), QUARTER)[1] == pytest.approx(0.01)


def test_belongs_to_one_camera() -> None:
    mine = CameraCalibration(quaternion_xyzw=QUARTER, camera='/left/image')
    check_camera(mine, '/left/image')
    with pytest.raises(CalibrationMismatchError, match=r'with /left/image .* through /right'):
        check_camera(mine, '/right/image')
    check_camera(CameraCalibration(quaternion_xyzw=QUARTER), '/any')
    check_camera(CameraCalibration(camera='/left/image'), '/any')  # turns nothing


def test_belongs_to_one_model() -> None:
    mine = CameraCalibration(quaternion_xyzw=QUARTER, model='tabletop', weights='tabletop_cameras')
    mine.check_fits('tabletop', '/somewhere/tabletop_cameras.safetensors')
    for model, weights in (('tabletop', ''), ('vjepa2_ac', 'x.safetensors')):
        with pytest.raises(CalibrationMismatchError, match='wm_planner calibrate'):
            mine.check_fits(model, weights)
    CameraCalibration(quaternion_xyzw=QUARTER).check_fits('any', '')  # says nothing: fits all
    CameraCalibration(model='tabletop').check_fits('vjepa2_ac', '')  # turns nothing
    assert weights_name('a/b/c.safetensors') == weights_name('c') == 'c'


def test_angles_of_a_calibration() -> None:
    calibration = CameraCalibration(quaternion_xyzw=QUARTER)
    assert calibration.yaw_rad == pytest.approx(math.pi / 2)
    assert calibration.is_about_vertical and not calibration.is_identity
    assert CameraCalibration().is_identity
    assert not CameraCalibration(quaternion_xyzw=TILTED).is_about_vertical


@pytest.mark.parametrize(
    ('values', 'error'),
    [
        ({'quaternion_xyzw': (0.0, 0.0, 1.0)}, CalibrationError),
        ({'quaternion_xyzw': (0.0, 0.0, 0.0, 2.0)}, InvalidStateError),
        ({'residual': math.nan}, InvalidParameterError),
        ({'moves': -1}, InvalidParameterError),
    ],
)
def test_refuses_impossible_values(values: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error, match='valid'):
        CameraCalibration(**values)  # type: ignore[arg-type]


def test_goes_into_a_profile_and_comes_back(tmp_path: Path) -> None:
    text = robot_profile_file('panda_sim').read_text()
    first = CameraCalibration(quaternion_xyzw=QUARTER, moves=3, model='tabletop', date='2026')
    second = CameraCalibration(quaternion_xyzw=NO_TURN_XYZW, moves=24, residual=0.25)
    written = profile_text_with(profile_text_with(text, first), second)
    file = tmp_path / 'arm.yaml'
    file.write_text(written)
    assert RobotProfile.from_yaml(file).calibration == second
    assert '# The box the tool may be in' in written  # comments stay
    assert written.count('calibration:') == 1
    before = {k: v for k, v in yaml.safe_load(text).items() if k != 'calibration'}
    after = {k: v for k, v in yaml.safe_load(written).items() if k != 'calibration'}
    assert before == after
