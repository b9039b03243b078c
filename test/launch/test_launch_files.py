# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The launch files start what ``bringup`` says, no more and no less.

``launch`` and ``launch_ros`` come with a ROS 2 distribution only. Where they are missing the files
are read with stand-ins that record what they are given, and the tests of the real ones say so.
"""

from __future__ import annotations

from collections.abc import Iterator
import importlib.util
import os
from pathlib import Path
import signal
import subprocess
import sys
import types
from typing import Any

import pytest

from fakes.processes import children_of, is_running
from fakes.waiting import wait_for
from wm_planner.bringup import PROFILES, profile

FOLDER = Path(__file__).resolve().parents[2] / 'launch'
FILES = {path.name.removesuffix('.launch.py'): path for path in FOLDER.glob('*.launch.py')}


class Recorded:
    """Stands for any launch action: keeps what it was made with."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self.arguments = arguments
        self.keywords = keywords


class DeclareLaunchArgument(Recorded):
    """Stand-in."""


class OpaqueFunction(Recorded):
    """Stand-in."""


class SetEnvironmentVariable(Recorded):
    """Stand-in."""


class Shutdown(Recorded):
    """Stand-in."""


class Node(Recorded):
    """Stand-in."""


class LaunchDescription(Recorded):
    """Stand-in."""

    def of_type(self, kind: type[Recorded]) -> list[Recorded]:
        return [entity for entity in self.arguments[0] if isinstance(entity, kind)]

    def nodes(self, **values: str) -> list[dict[str, Any]]:
        """Return what each Node is made with when the launch arguments are ``values``."""
        declared = self.of_type(DeclareLaunchArgument)
        settled = {entry.arguments[0]: entry.keywords['default_value'] for entry in declared}
        context = types.SimpleNamespace(launch_configurations={**settled, **values})
        (start,) = self.of_type(OpaqueFunction)
        actions = start.keywords['function'](context, *start.keywords['args'])
        return [action.keywords for action in actions]


def load(path: Path) -> Any:
    """Run a launch file as ``ros2 launch`` does and return its description."""
    spec = importlib.util.spec_from_file_location(f'launch_file_{path.stem}', path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put stand-ins in the place of launch and launch_ros."""
    launch = types.ModuleType('launch')
    actions = types.ModuleType('launch.actions')
    launch_ros = types.ModuleType('launch_ros')
    launch_ros_actions = types.ModuleType('launch_ros.actions')
    for module, kinds in (
        (launch, {'LaunchDescription': LaunchDescription}),
        (launch, {'LaunchContext': object, 'LaunchDescriptionEntity': object}),
        (actions, {'DeclareLaunchArgument': DeclareLaunchArgument}),
        (actions, {'OpaqueFunction': OpaqueFunction, 'Shutdown': Shutdown}),
        (actions, {'SetEnvironmentVariable': SetEnvironmentVariable}),
        (launch_ros_actions, {'Node': Node}),
    ):
        for name, kind in kinds.items():
            setattr(module, name, kind)
    for module in (launch, actions, launch_ros, launch_ros_actions):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.delitem(sys.modules, 'wm_planner.launch_description', raising=False)
    yield
    sys.modules.pop('wm_planner.launch_description', None)


REQUIRED = {'real': {'robot': 'franka_fr3_crisp'}}
"""Arguments without a default, by profile."""


def test_profiles_that_drive_an_arm_have_a_launch_file() -> None:
    assert set(FILES) == {'sim', 'planner', 'real'}
    assert set(FILES) <= set(PROFILES)


@pytest.mark.parametrize('name', FILES)
def test_arguments_are_those_of_the_profile(name: str, stand_ins: None) -> None:
    declared = load(FILES[name]).of_type(DeclareLaunchArgument)
    assert {
        entry.arguments[0]: (entry.keywords['default_value'], entry.keywords['description'])
        for entry in declared
    } == {entry.name: (entry.default, entry.description) for entry in profile(name).arguments}


@pytest.mark.parametrize('name', FILES)
@pytest.mark.parametrize('values', [{}, {'record': 'true', 'seed': '7', 'namespace': 'lab'}])
def test_nodes_are_those_of_the_profile(name: str, values: dict[str, str], stand_ins: None) -> None:
    values = {**REQUIRED.get(name, {}), **values}
    made = load(FILES[name]).nodes(**values)
    expected = profile(name).resolve(values)
    assert len(made) == len(expected)
    for action, node in zip(made, expected, strict=True):
        assert isinstance(action.pop('on_exit'), Shutdown)
        assert action.pop('output') == 'screen'
        assert action.pop('ros_arguments') == node.enclave_arguments()
        parameters = action.pop('parameters')
        assert parameters[0] == str(node.parameter_file)
        assert parameters[1:] == ([dict(node.parameters)] if node.parameters else [])
        assert action == {
            'package': node.package,
            'executable': node.executable,
            'name': node.name,
            'namespace': node.namespace,
            'remappings': list(node.remappings),
        }


def test_real_arm_stays_still_unless_told_to_execute(stand_ins: None) -> None:
    def dry_run(**values: str) -> object:
        (planner,) = load(FILES['real']).nodes(robot='ur5e_servo', **values)
        return planner['parameters'][1]['dry_run']

    assert dry_run() is True
    assert dry_run(execute='false') is True
    assert dry_run(execute='true') is False


def test_environment_is_that_of_the_profile(
    stand_ins: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv('ROS_AUTOMATIC_DISCOVERY_RANGE', raising=False)
    monkeypatch.delenv('FASTDDS_DEFAULT_PROFILES_FILE', raising=False)
    actions = load(FILES['sim']).of_type(SetEnvironmentVariable)
    assert {a.arguments[0]: a.arguments[1] for a in actions} == (
        profile('sim').missing_environment()
    )
    assert len(actions) >= 2


@pytest.fixture
def real_launch() -> None:
    """Skip where the real launch is not installed."""
    pytest.importorskip(
        'launch_ros.actions', reason='launch_ros comes with a ROS 2 distribution, not from PyPI'
    )


@pytest.mark.parametrize('name', FILES)
def test_real_launch_reads_the_arguments(name: str, real_launch: None) -> None:
    declared = load(FILES[name]).get_launch_arguments()
    assert [argument.name for argument in declared] == [
        argument.name for argument in profile(name).arguments
    ]


_LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
service = LaunchService(argv=[])
source = PythonLaunchDescriptionSource(sys.argv[1])
arguments = [tuple(text.split(':=')) for text in sys.argv[2:]]
service.include_launch_description(
    LaunchDescription([IncludeLaunchDescription(source, launch_arguments=arguments)]))
sys.exit(service.run())
"""


def test_real_launch_starts_the_graph_and_stops_on_interrupt(
    real_launch: None, tmp_path: Path
) -> None:
    launch = subprocess.Popen(
        [sys.executable, '-c', _LAUNCH, str(FILES['sim']), 'record:=true', f'bag_dir:={tmp_path}'],
        env={**os.environ, 'ROS_DOMAIN_ID': str(1 + (os.getpid() * 7 + 50) % 101)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert launch.stdout is not None
    pids: list[int] = []
    output = []
    for line in launch.stdout:
        output.append(line)
        if 'active' in line and 'wm_planner' in line:
            pids = children_of(launch.pid)
            break
    try:
        assert len(pids) == 3, ''.join(output)
        launch.send_signal(signal.SIGINT)
        rest, _ = launch.communicate(timeout=30.0)
    finally:
        launch.kill()
        launch.wait(10.0)
    wait_for(lambda: not any(map(is_running, pids)), what='the end of the nodes')
    assert launch.returncode == 0, ''.join(output) + rest
    assert 'Traceback' not in ''.join(output) + rest
    assert list(tmp_path.glob('*/metadata.yaml')), 'the recorder did not close its bag'
