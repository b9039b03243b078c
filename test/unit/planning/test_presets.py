# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Presets: what they set, over what, under what."""

from __future__ import annotations

import pytest

from wm_planner.core.errors import InvalidParameterError, UnknownNameError
from wm_planner.factory import PlannerSettings, make_planner, model_names, resolve_planning_config
from wm_planner.models import point_mass
from wm_planner.planning.presets import PRESETS, preset_settings
from wm_planner.planning.registry import OPTIMIZERS, planning_config


@pytest.mark.parametrize('model', model_names())
@pytest.mark.parametrize('optimizer', OPTIMIZERS.names())
@pytest.mark.parametrize('preset', PRESETS)
def test_preset_fits_every_optimizer_and_model(preset, optimizer, model) -> None:
    config = resolve_planning_config(optimizer, model, PlannerSettings(preset=preset))
    assert config.objective.weights(config.optimizer.horizon)
    assert optimizer in PRESETS[preset].settings  # and was not passed over


def test_preset_lies_over_the_model_and_under_the_user() -> None:
    settings = PlannerSettings(preset='realtime', optimizer={'num_iterations': 7})
    config = resolve_planning_config('cem', 'point_mass', settings)
    own = point_mass.PLANNING_DEFAULTS
    assert config.optimizer.num_samples == 64 != own['cem']['num_samples']  # the preset's
    assert config.optimizer.num_iterations == 7  # the user's
    assert config.optimizer.horizon == own['cem']['horizon']  # the model's
    assert config.objective.step_weight == own['objective']['step_weight']
    assert config.planner.deadline_s == 0.1


def test_weights_that_a_model_sets_for_its_own_horizon_do_not_trip_a_preset() -> None:
    defaults = {'cem': {'horizon': 3}, 'objective': {'step_weights': (0.1, 0.2)}}
    for preset in ('paper', 'long'):
        config = planning_config('cem', defaults=defaults, preset=preset)
        assert config.objective.weights(config.optimizer.horizon)


def test_paper_is_the_reference_and_looks_at_the_last_step_alone() -> None:
    config = planning_config('cem', preset='paper')
    optimizer = config.optimizer
    assert (optimizer.num_samples, optimizer.num_elites, optimizer.num_iterations) == (800, 10, 10)
    assert (optimizer.horizon, optimizer.reference) == (1, True)
    assert config.objective.name == 'l1'
    assert config.objective.weights(1) == (1.0,)
    assert not config.planner.warm_start


def test_long_looks_far_ahead() -> None:
    optimizer = planning_config('cem', preset='long').optimizer
    assert (optimizer.num_samples, optimizer.num_elites, optimizer.horizon) == (800, 80, 16)


def test_realtime_starts_warm_and_has_a_deadline() -> None:
    config = planning_config('icem', preset='realtime')
    assert config.planner.warm_start
    assert 0.0 < config.planner.deadline_s <= 0.2


def test_no_preset_changes_nothing() -> None:
    assert preset_settings('') == {}
    assert planning_config('cem', preset='') == planning_config('cem')


@pytest.mark.parametrize('planner', ['cem', 'noop'])
def test_unknown_preset_is_refused_with_the_valid_ones(planner) -> None:
    settings = PlannerSettings(preset='papre')
    with pytest.raises(UnknownNameError, match="'papre'. Did you mean 'paper'.*long, paper, real"):
        make_planner(planner, 'point_mass', settings, device='cpu')


def test_policy_takes_no_preset() -> None:
    with pytest.raises(InvalidParameterError, match="'noop' is a policy.*valid: no preset.*icem"):
        make_planner('noop', 'point_mass', PlannerSettings(preset='paper'), device='cpu')
