# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What is planned with beside a recording."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from wm_planner.core.calibration import CameraCalibration
from wm_planner.core.config import HIDDEN
from wm_planner.core.errors import InvalidParameterError
from wm_planner.core.paths import robot_profile_file
from wm_planner.core.profile import RobotProfile
from wm_planner.tools.recorded_choice import choose

RECORDED_TURN = CameraCalibration(quaternion_xyzw=(0.0, 0.0, 0.5**0.5, 0.5**0.5), moves=8)
PROFILE_TURN = CameraCalibration(quaternion_xyzw=(0.0, 0.0, 1.0, 0.0), moves=9)
PROFILE = replace(RobotProfile.from_yaml(robot_profile_file('panda_sim')), calibration=PROFILE_TURN)


def recorded(**more: Any) -> dict[str, Any]:
    """Return settings as ~/planner_settings has them, i.e. after a way through JSON."""
    turn = {**asdict(RECORDED_TURN), 'quaternion_xyzw': list(RECORDED_TURN.quaternion_xyzw)}
    values = {'cem.num_samples': 32, 'planning.seed': 5}
    names = {'planner': 'cem', 'model': 'point_mass', 'device': 'cpu'}
    return {**names, 'values': values, 'calibration': turn, **more}


def test_what_was_recorded_is_made_again_with_its_calibration() -> None:
    choice = choose(recorded(), PROFILE, {})
    assert choice.settings.calibration == RECORDED_TURN
    assert (choice.seed, choice.settings.optimizer['num_samples']) == (5, 32)
    assert choice.make().action_spec.names[0] == 'dx'


def test_another_model_has_the_calibration_of_the_robot_and_its_own_settings() -> None:
    choice = choose(recorded(), PROFILE, {}, model='tabletop')
    assert choice.settings.calibration == PROFILE_TURN
    assert choice.values == {}
    assert choice.seed == 5, 'the draws are those of the recording all the same'


def test_recording_of_before_calibrations_were_kept_has_that_of_the_robot() -> None:
    settings = recorded()
    del settings['calibration']
    assert choose(settings, PROFILE, {}).settings.calibration == PROFILE_TURN


def test_nothing_recorded_is_the_default_planner() -> None:
    choice = choose({}, PROFILE, {'planning.seed': 3})
    assert (choice.planner, choice.model, choice.device) == ('cem', 'tabletop', 'cpu')
    assert (choice.seed, choice.settings.calibration) == (3, PROFILE_TURN)


def test_secret_of_a_policy_is_used_and_not_shown() -> None:
    settings = recorded(planner='openpi', values={'planning.port': 9})
    given = choose(settings, PROFILE, {'planning.api_key': 'k3y'})
    assert given.settings.planner == {'port': 9, 'api_key': 'k3y'}
    assert given.shown_values == {'planning.port': 9, 'planning.api_key': HIDDEN}


def test_value_of_no_group_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match='--set safety.max_step_m; valid'):
        choose(recorded(), PROFILE, {'safety.max_step_m': 1})
