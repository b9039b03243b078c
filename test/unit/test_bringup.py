# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib.util

import pytest
import yaml

from wm_planner.bringup import PROFILES, NodeStart, parse_arguments, profile
from wm_planner.core.errors import InvalidParameterError, UnknownNameError
from wm_planner.core.paths import share_file


def starts(name: str, *texts: str) -> dict[str, NodeStart]:
    return {node.name: node for node in profile(name).resolve(parse_arguments(texts))}


def test_sim_runs_bridge_and_planner_on_simulated_time() -> None:
    nodes = starts('sim')
    assert list(nodes) == ['sim_bridge', 'wm_planner']
    assert nodes['wm_planner'].parameters['use_sim_time'] is True
    assert 'use_sim_time' not in nodes['sim_bridge'].parameters  # it is the clock


def test_recorder_joins_only_when_asked() -> None:
    assert 'recorder' not in starts('sim', 'record:=false')
    recorder = starts('sim', 'record:=true', 'bag_dir:=/tmp/bags')['recorder']
    assert recorder.parameters == {'bag_dir': '/tmp/bags'}


def test_argument_that_is_not_given_is_not_passed_on() -> None:
    assert starts('sim')['sim_bridge'].parameters == {}


def test_values_reach_the_nodes_with_the_type_of_the_parameter() -> None:
    given = (
        *('seed:=7', 'realtime_factor:=2', 'planner:=icem', 'preset:=realtime'),
        *('weights:=a file.safetensors', 'device:=cpu'),
    )
    nodes = starts('sim', *given, 'namespace:=lab')
    assert nodes['sim_bridge'].parameters == {'seed': 7, 'realtime_factor': 2.0}
    assert isinstance(nodes['sim_bridge'].parameters['realtime_factor'], float)
    assert nodes['wm_planner'].parameters['planner'] == 'icem'
    assert nodes['wm_planner'].parameters['preset'] == 'realtime'
    assert nodes['wm_planner'].parameters['world_model.weights'] == 'a file.safetensors'
    assert nodes['wm_planner'].parameters['device'] == 'cpu'
    assert {node.namespace for node in nodes.values()} == {'/lab'}


def test_ros_arguments_keep_types_through_yaml() -> None:
    nodes = starts('sim', 'seed:=7', 'realtime_factor:=2', 'planner:=123', "model:=it's")
    for node in nodes.values():
        arguments = node.ros_arguments()
        assert arguments[0] == '--ros-args'
        given = dict(
            text.split(':=', 1)
            for flag, text in zip(arguments, arguments[1:], strict=False)
            if flag == '-p'
        )
        assert {key: yaml.safe_load(text) for key, text in given.items()} == dict(node.parameters)


@pytest.mark.parametrize(
    ('text', 'valid'),
    [
        ('record:=perhaps', 'true or false'),
        ('seed:=seven', 'type int'),
        ('realtime_factor:=', None),
        ('seed=7', 'key:=value'),
        (':=7', 'key:=value'),
    ],
)
def test_wrong_value_is_refused_with_what_is_valid(text: str, valid: str | None) -> None:
    if valid is None:  # an empty value means "not given", as in a launch file
        assert 'realtime_factor' not in starts('sim', text)['sim_bridge'].parameters
        return
    with pytest.raises(InvalidParameterError, match=valid):
        starts('sim', text)


def test_unknown_names_are_refused_with_the_valid_ones() -> None:
    with pytest.raises(UnknownNameError, match="mean 'sim'.*planner, real, record, sim"):
        profile('sims')
    with pytest.raises(UnknownNameError, match="mean 'seed'"):
        starts('sim', 'sed:=7')
    with pytest.raises(UnknownNameError, match='panda_sim'):
        starts('planner', 'robot:=panda_simm')


def test_real_is_a_dry_run_of_a_named_robot() -> None:
    dry = starts('real', 'robot:=franka_fr3_jtc')['wm_planner']
    assert dry.parameters['robot'] == 'franka_fr3_jtc' and dry.parameters['dry_run'] is True
    earnest = starts('real', 'robot:=franka_fr3_jtc', 'execute:=true')['wm_planner']
    recorder = starts('real', 'robot:=franka_fr3_jtc', 'record:=true')['recorder']
    assert recorder.parameters == {'robot': 'franka_fr3_jtc'}, 'its topics are recorded'
    assert earnest.parameters['dry_run'] is False
    assert 'use_sim_time' not in earnest.parameters
    with pytest.raises(InvalidParameterError, match='profile real needs robot:='):
        starts('real')
    with pytest.raises(UnknownNameError, match='franka_fr3_crisp'):
        starts('real', 'robot:=franka')
    with pytest.raises(InvalidParameterError, match='true or false'):
        starts('real', 'robot:=franka_fr3_jtc', 'execute:=yes')


@pytest.mark.parametrize('name', PROFILES)
def test_profile_is_complete(name: str) -> None:
    chosen = PROFILES[name]
    arguments = {argument.name for argument in chosen.arguments}
    for node in chosen.nodes:
        assert importlib.util.find_spec(node.module), node.module
        assert {*node.from_arguments.values(), *node.from_negated.values()} <= arguments
        assert not node.only_if or node.only_if in arguments
        values = yaml.safe_load(share_file(node.parameter_file).read_text())
        assert list(values['/**']) == [node.name], f'{node.parameter_file} is for another node'
        assert 'ros__parameters' in values['/**'][node.name]
    for argument in chosen.arguments:
        assert len(argument.description) > 10
        if argument.default:
            argument.parse(argument.default)


def test_environment_of_the_caller_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'SUBNET')
    monkeypatch.delenv('FASTDDS_DEFAULT_PROFILES_FILE', raising=False)
    missing = profile('sim').missing_environment()
    assert 'ROS_AUTOMATIC_DISCOVERY_RANGE' not in missing
    assert missing['FASTDDS_DEFAULT_PROFILES_FILE'].endswith('fastdds_loopback.xml')


def test_only_the_simulation_is_kept_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv('ROS_AUTOMATIC_DISCOVERY_RANGE', raising=False)
    assert 'ROS_AUTOMATIC_DISCOVERY_RANGE' in profile('sim').missing_environment()
    assert 'ROS_AUTOMATIC_DISCOVERY_RANGE' not in profile('planner').missing_environment()


def test_arena_brings_its_robot_unless_another_is_given() -> None:
    nodes = starts('sim', 'environment:=arena', 'asset_root:=/tmp/root')
    assert nodes['sim_bridge'].parameters == {'environment': 'arena', 'asset_root': '/tmp/root'}
    assert nodes['wm_planner'].parameters['robot'] == 'panda_arena'
    other = starts('sim', 'environment:=arena', 'robot:=panda_sim')
    assert other['wm_planner'].parameters['robot'] == 'panda_sim'
    assert starts('sim')['wm_planner'].parameters['robot'] == 'panda_sim'
    with pytest.raises(InvalidParameterError, match='tabletop, arena'):
        starts('sim', 'environment:=moon')


def test_planner_stops_when_in_doubt_on_a_real_arm_and_not_in_the_simulation() -> None:
    for name in ('planner', 'real'):
        given = starts(name, 'robot:=franka_fr3_jtc')['wm_planner'].parameters
        assert given['controller.uncertain_plans'] == 4 and given['controller.stall_plans'] == 20
    simulated = starts('sim')['wm_planner'].parameters
    assert not any(name.startswith('controller.') for name in simulated)
