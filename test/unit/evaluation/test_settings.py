# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""``--set NAME=VALUE``: read as typed values, sorted into groups, refused with what is valid."""

from __future__ import annotations

import pytest

from wm_planner.control.chain import ChainConfig
from wm_planner.core.errors import InvalidParameterError, UnknownNameError
from wm_planner.evaluation.settings import PlannerChoice, parse_values
from wm_planner.factory import PlannerSettings


def test_values_are_read_with_their_types() -> None:
    texts = ['cem.num_samples=64', 'objective.step_weight=0.3', 'planning.warm_start=false']
    assert parse_values([*texts, 'world_model.weights=/some/file']) == {
        'cem.num_samples': 64,
        'objective.step_weight': 0.3,
        'planning.warm_start': False,
        'world_model.weights': '/some/file',
    }


@pytest.mark.parametrize('text', ['cem.num_samples', '=3', 'a=', 'a=[1, 2]', 'a={b: 1}', 'a=: :'])
def test_text_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameterError, match='NAME=VALUE'):
        parse_values([text])


def test_values_go_to_the_groups_of_the_factory() -> None:
    choice = PlannerChoice(
        model='point_mass',
        values={
            'cem.num_samples': 64,
            'objective.name': 'l1',
            'planning.seed': 3,
            'world_model.max_delta_m': 0.05,
        },
    )
    assert choice.settings() == PlannerSettings(
        model={'max_delta_m': 0.05},
        optimizer={'num_samples': 64},
        objective={'name': 'l1'},
        planner={'seed': 3},
    )


def test_values_of_chains_are_their_own() -> None:
    choice = PlannerChoice(values={'controller.chain_within': 0.2, 'cem.num_samples': 64})
    assert choice.settings() == PlannerSettings(optimizer={'num_samples': 64})
    assert choice.chain_config() == ChainConfig(chain_within=0.2)


@pytest.mark.parametrize('name', ['chain_with', 'chain_'])
def test_value_that_chains_do_not_have_is_refused(name: str) -> None:
    with pytest.raises(InvalidParameterError, match='chain_within'):
        PlannerChoice(values={f'controller.{name}': 0.2}).chain_config()


def test_preset_is_passed_on_and_described_with_what_it_makes() -> None:
    choice = PlannerChoice(planner='icem', model='point_mass', preset='realtime')
    assert choice.settings() == PlannerSettings(preset='realtime')
    described = choice.describe()
    assert described['preset'] == 'realtime'
    assert described['icem']['num_samples'] == 64
    assert described['planning']['deadline_s'] == 0.1


def test_unknown_preset_is_answered_with_those_there_are() -> None:
    with pytest.raises(UnknownNameError, match='long, paper, realtime'):
        PlannerChoice(preset='fast')


@pytest.mark.parametrize(
    'name', ['mppi.num_samples', 'num_samples', 'cem', 'safety.max_step_m', 'controller.tick_s']
)
def test_setting_of_an_unknown_group_is_refused(name: str) -> None:
    with pytest.raises(UnknownNameError, match=r'cem\.NAME'):
        PlannerChoice(values={name: 1}).settings()


def test_optimizer_settings_are_unknown_to_a_policy() -> None:
    with pytest.raises(UnknownNameError, match=r'planning\.NAME'):
        PlannerChoice(planner='random', values={'cem.num_samples': 1}).settings()


def test_unknown_planner_is_answered_with_those_there_are() -> None:
    with pytest.raises(UnknownNameError, match='cem.*noop.*random'):
        PlannerChoice(planner='cemm')


def test_description_holds_settings_in_force_and_not_only_those_given() -> None:
    described = PlannerChoice(model='point_mass', values={'cem.num_samples': 64}).describe()
    assert described['cem']['num_samples'] == 64
    assert described['cem']['horizon'] >= 1
    assert described['objective']['name'] == 'mse'


def test_description_holds_no_secrets() -> None:
    values = {'planning.api_key': 'k3y', 'planning.port': 8001}
    described = PlannerChoice(planner='openpi', values=values).describe()
    assert described['policy'] == {'api_key': '(not shown)', 'port': 8001}
    bare = PlannerChoice(planner='openpi', values={'planning.api_key': ''}).describe()
    assert bare['policy'] == {'api_key': ''}, 'none is no secret'


def test_description_refuses_a_setting_that_the_group_does_not_have() -> None:
    with pytest.raises(InvalidParameterError, match='num_sample.*valid'):
        PlannerChoice(model='point_mass', values={'cem.num_sample': 64}).describe()
