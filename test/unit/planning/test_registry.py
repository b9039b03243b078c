# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Names and settings to planners: what is applied over what, and what is refused."""

from __future__ import annotations

from importlib import metadata

import pytest

from fakes.values import SPEC
from wm_planner import factory
from wm_planner.core.errors import InvalidParameterError, ModelLoadError, UnknownNameError
from wm_planner.core.registry import Registry
from wm_planner.factory import PlannerSettings, make_planner, resolve_planning_config
from wm_planner.models import point_mass
from wm_planner.models.registry import MODELS, ModelEntry
from wm_planner.planning.cem import CemConfig
from wm_planner.planning.planner import WorldModelPlanner
from wm_planner.planning.registry import planning_config
from wm_planner.policies.noop import NoopPolicy


def test_defaults_of_the_model_are_over_the_dataclass_and_under_the_user() -> None:
    settings = PlannerSettings(optimizer={'num_samples': 99}, planner={'seed': 4})
    config = resolve_planning_config('cem', 'point_mass', settings)
    own = point_mass.PLANNING_DEFAULTS
    assert config.optimizer.num_samples == 99
    assert config.optimizer.horizon == own['cem']['horizon'] != CemConfig().horizon
    assert config.optimizer.min_std_scale == CemConfig().min_std_scale
    assert config.objective.step_weight == own['objective']['step_weight']
    assert config.planner.seed == 4


def test_defaults_in_an_unknown_section_are_refused() -> None:
    with pytest.raises(InvalidParameterError, match='unknown sections nonsense'):
        planning_config('cem', defaults={'nonsense': {'num_samples': 1}})


@pytest.mark.parametrize('section', ['optimizer', 'objective', 'planner', 'model'])
def test_unknown_setting_is_refused_with_the_valid_ones(section) -> None:
    with pytest.raises(InvalidParameterError, match='unknown parameter tpyo.*valid:'):
        make_planner('cem', 'point_mass', PlannerSettings(**{section: {'tpyo': 1}}), device='cpu')


@pytest.mark.parametrize(
    ('planner', 'model', 'message'),
    [
        ('cme', 'point_mass', "unknown planner 'cme'. Did you mean 'cem'.*noop.*random"),
        ('cem', 'pointmass', "unknown world model 'pointmass'.*point_mass.*tabletop"),
    ],
)
def test_unknown_name_is_refused_with_the_valid_ones(planner, model, message) -> None:
    with pytest.raises(UnknownNameError, match=message):
        make_planner(planner, model, device='cpu')


def test_missing_weights_file_is_a_load_error(tmp_path) -> None:
    settings = PlannerSettings(model={'weights': str(tmp_path / 'none.safetensors')})
    with pytest.raises(ModelLoadError):
        make_planner('cem', 'tabletop', settings, device='cpu')


def test_make_planner_joins_model_and_optimizer() -> None:
    planner = make_planner('cem', 'point_mass', device='cpu')
    assert isinstance(planner, WorldModelPlanner)
    assert planner.action_spec.names == SPEC.names


def test_policy_acts_in_the_spec_it_is_given_and_else_in_that_of_the_model() -> None:
    given = make_planner('noop', 'none needed', device='cpu', action_spec=SPEC)
    assert isinstance(given, NoopPolicy)
    assert given.action_spec is SPEC
    assert make_planner('random', 'point_mass', device='cpu').action_spec.size == 5


def test_names_of_planners_hold_optimizers_and_policies() -> None:
    assert {'cem', 'noop', 'random'} <= set(factory.planner_names())
    assert {'point_mass', 'tabletop'} <= set(factory.model_names())


# entry points of other packages -------------------------------------------------------------------

PLUGIN = ModelEntry(point_mass.PointMassConfig, MODELS.get('point_mass').load)


@pytest.fixture
def plugins(monkeypatch):
    """Entry points as an installed package would bring them, into this module."""
    found: dict[str, str] = {}

    def entry_points(*, group):
        return [metadata.EntryPoint(n, value, group) for n, value in found.items()]

    monkeypatch.setattr('wm_planner.core.registry.metadata.entry_points', entry_points)
    return found


def registry():
    return Registry(
        'model', group='some.group', entry_class=ModelEntry, builtins={'own': lambda: PLUGIN}
    )


def test_entry_point_adds_a_name(plugins) -> None:
    plugins['extra'] = 'wm_planner.models.registry:WeightsConfig'
    assert registry().names() == ('extra', 'own')


def test_entry_point_of_another_kind_is_refused(plugins) -> None:
    plugins['extra'] = 'wm_planner.models.registry:WeightsConfig'
    with pytest.raises(TypeError, match='valid: an instance of ModelEntry'):
        registry().get('extra')


def test_entry_point_cannot_take_over_a_built_in_name(plugins) -> None:
    plugins['own'] = 'wm_planner.models.registry:WeightsConfig'
    assert registry().get('own') is PLUGIN
    assert registry().names() == ('own',)
