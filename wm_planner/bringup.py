# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What runs in each profile, said once, as data.

``wm_planner up PROFILE`` turns it into child processes (tools/process_group.py) and
``launch/*.launch.py`` into launch_ros actions; neither repeats it. Nothing here imports rclpy.

Values take precedence in this order, the last wins: the defaults of the config dataclasses, the
robot profile and the model's own, the node's file in ``config/``, an argument. rclpy merges the
last two, so a value in the file counts as given. Most arguments default to nothing: one that is
not given is not passed on, and the default stays where it is defined.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
import os
from pathlib import Path
from types import MappingProxyType

from wm_planner.core.errors import InvalidParameterError, UnknownNameError
from wm_planner.core.paths import robot_profile_file, share_file

ParameterValue = bool | int | float | str


@dataclass(frozen=True, kw_only=True)
class Argument:
    """One ``key:=value`` of a profile.

    ``kind`` is the type a value is read as. An empty ``default`` means "not passed on", or where
    ``is_required`` that there is none.
    """

    name: str
    description: str
    kind: type[ParameterValue] = str
    default: str = ''
    choices: tuple[str, ...] = ()
    is_required: bool = False

    def parse(self, text: str) -> ParameterValue:
        """Return the typed value of ``text``; raises InvalidParameterError saying what is valid."""
        if self.choices and text not in self.choices:
            raise InvalidParameterError(
                f'{self.name}:={text}; valid: one of {", ".join(self.choices)}.'
            )
        if self.kind is bool:
            if text.lower() not in ('true', 'false'):
                raise InvalidParameterError(f'{self.name}:={text}; valid: true or false.')
            return text.lower() == 'true'
        try:
            return self.kind(text)
        except ValueError as error:
            raise InvalidParameterError(
                f'{self.name}:={text}; valid: a value of type {self.kind.__name__}.'
            ) from error


@dataclass(frozen=True, kw_only=True)
class NodeSpec:
    """One node of a profile.

    ``module`` has the ``main`` that ``executable`` runs. ``from_arguments`` maps a node parameter
    to the argument it is set by, ``from_negated`` to the boolean argument that it is the opposite
    of. ``only_if`` names a boolean argument without which the node does not run.
    """

    package: str
    executable: str
    module: str
    name: str
    parameter_file: str
    parameters: Mapping[str, ParameterValue] = field(default_factory=dict)
    from_arguments: Mapping[str, str] = field(default_factory=dict)
    from_negated: Mapping[str, str] = field(default_factory=dict)
    remappings: tuple[tuple[str, str], ...] = ()
    only_if: str = ''


@dataclass(frozen=True, kw_only=True)
class NodeStart:
    """A node with all values settled: what a process is started from."""

    package: str
    executable: str
    module: str
    name: str
    namespace: str
    parameter_file: Path
    parameters: Mapping[str, ParameterValue]
    remappings: tuple[tuple[str, str], ...]

    def ros_arguments(self) -> list[str]:
        """Return the command line arguments that make a node of the module what this says."""
        arguments = ['--ros-args', '-r', f'__node:={self.name}']
        if self.namespace:
            arguments += ['-r', f'__ns:={self.namespace}']
        for source, target in self.remappings:
            arguments += ['-r', f'{source}:={target}']
        arguments += self.enclave_arguments()
        arguments += ['--params-file', str(self.parameter_file)]
        for name, value in self.parameters.items():
            arguments += ['-p', f'{name}:={_as_yaml(value)}']
        return arguments

    def enclave_arguments(self) -> list[str]:
        """Return the arguments that put a node into its enclave of config/sros2/policy.xml.

        None where ROS security is off, or the caller overrides the enclave for all.
        """
        is_secure = os.environ.get('ROS_SECURITY_ENABLE', '').lower() == 'true'
        if not is_secure or os.environ.get('ROS_SECURITY_ENCLAVE_OVERRIDE'):
            return []
        return ['--enclave', f'/wm_planner/{self.name}']


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A set of nodes that run together, the arguments it takes and the environment it needs.

    ``implied`` maps an argument as given, ``name:=value``, to defaults of others that go with it.
    ``environment`` gives variables that are set where the caller has not set them.
    """

    name: str
    description: str
    nodes: tuple[NodeSpec, ...]
    arguments: tuple[Argument, ...]
    implied: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    environment_files: Mapping[str, str] = field(default_factory=dict)  # values: shipped files

    def resolve(self, values: Mapping[str, str]) -> tuple[NodeStart, ...]:
        """Return what to start for argument ``values`` (texts; an absent one takes its default).

        Raises UnknownNameError for an argument the profile does not have, InvalidParameterError
        for a value that does not fit.
        """
        settled = self._settle(values)
        namespace = str(settled.get('namespace', ''))
        if namespace and not namespace.startswith('/'):
            namespace = f'/{namespace}'
        return tuple(
            NodeStart(
                package=node.package,
                executable=node.executable,
                module=node.module,
                name=node.name,
                namespace=namespace,
                parameter_file=share_file(node.parameter_file),
                parameters={
                    **node.parameters,
                    **{p: settled[a] for p, a in node.from_arguments.items() if a in settled},
                    **{p: not settled[a] for p, a in node.from_negated.items() if a in settled},
                },
                remappings=node.remappings,
            )
            for node in self.nodes
            if not node.only_if or settled.get(node.only_if, False)
        )

    def missing_environment(self) -> dict[str, str]:
        """Return the variables of this profile that the caller's environment does not set."""
        wanted = dict(self.environment)
        wanted.update({k: str(share_file(f)) for k, f in self.environment_files.items()})
        return {k: v for k, v in wanted.items() if k not in os.environ}

    def _settle(self, values: Mapping[str, str]) -> dict[str, ParameterValue]:
        known = {argument.name: argument for argument in self.arguments}
        for name in values:
            if name not in known:
                raise UnknownNameError.among(f'argument of profile {self.name}', name, known)
        defaults = {name: argument.default for name, argument in known.items()}
        for name, value in values.items():
            defaults.update(self.implied.get(f'{name}:={value}', {}))
        texts = {name: values.get(name, default) for name, default in defaults.items()}
        settled = {name: known[name].parse(text) for name, text in texts.items() if text != ''}
        for argument in self.arguments:
            if argument.is_required and argument.name not in settled:
                raise InvalidParameterError(
                    f'profile {self.name} needs {argument.name}:=...; valid: a '
                    f'{argument.description}.'
                )
        if 'robot' in settled:  # fail here, with the valid names, rather than inside a child
            robot_profile_file(str(settled['robot']))
        return settled


def profile(name: str) -> Profile:
    """Return the profile called ``name``; raises UnknownNameError naming the others."""
    if name not in PROFILES:
        raise UnknownNameError.among('profile', name, PROFILES)
    return PROFILES[name]


def parse_arguments(texts: Sequence[str]) -> dict[str, str]:
    """Turn ``key:=value`` texts into a mapping; raises InvalidParameterError for any other text."""
    values = {}
    for text in texts:
        key, separator, value = text.partition(':=')
        if not separator or not key:
            raise InvalidParameterError(f'{text!r}; valid: key:=value, for example record:=true.')
        values[key] = value
    return values


def _as_yaml(value: ParameterValue) -> str:
    """Write a value so that the parameter parser, which reads YAML, gets the same type back."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


_NAMESPACE = Argument(name='namespace', description='namespace that all nodes run in')
_ROBOT = Argument(
    name='robot',
    description='robot profile: a name in config/robots, or a path to a .yaml file',
)
_MODEL = Argument(name='model', description='world model to plan with')
_PLANNER = Argument(name='planner', description='planner or policy that decides the actions')
_PRESET = Argument(name='preset', description='named set of planning settings, e.g. realtime')
_WEIGHTS = Argument(name='weights', description="the world model's weights file")
_DEVICE = Argument(name='device', description='torch device of the planner, e.g. cpu or cuda')
_RECORD = Argument(
    name='record', kind=bool, default='false', description='also record a bag (MCAP)'
)
_BAG_DIR = Argument(name='bag_dir', description='folder that bags are written into')
_SEED = Argument(name='seed', kind=int, description='seed of the planner and of the simulator')

_RECORDER = NodeSpec(
    package='wm_planner',
    executable='recorder_node',
    module='wm_planner.ros.recorder_node',
    name='recorder',
    parameter_file='config/recorder.yaml',
    from_arguments={'bag_dir': 'bag_dir'},
)
_PLANNER_NODE = NodeSpec(
    package='wm_planner',
    executable='planner_node',
    module='wm_planner.ros.planner_node',
    name='wm_planner',
    parameter_file='config/planner.yaml',
    from_arguments={
        **{name: name for name in ('robot', 'model', 'planner', 'preset', 'device', 'seed')},
        'world_model.weights': 'weights',
    },
)
_SIM_BRIDGE = NodeSpec(
    package='wm_planner_sim',
    executable='bridge_node',
    module='wm_planner_sim.bridge_node',
    name='sim_bridge',
    parameter_file='config/sim_bridge.yaml',
    from_arguments={
        'image_width': 'image_width',
        'image_height': 'image_height',
        'realtime_factor': 'realtime_factor',
        'seed': 'seed',
        'environment': 'environment',
        'asset_root': 'asset_root',
        'camera': 'camera',
    },
)
_CHECKED_FIELDS = MappingProxyType({'ROS_PYTHON_CHECK_FIELDS': '1'})


_STOPS_WHEN_IN_DOUBT: Mapping[str, ParameterValue] = MappingProxyType(
    {'controller.uncertain_plans': 4, 'controller.stall_plans': 20}
)
"""On a real arm a planner that does not know what it does stops; in the simulation it need not,
and an evaluation uses all of its steps."""


def _on_simulated_time(node: NodeSpec) -> NodeSpec:
    return replace(node, parameters={**node.parameters, 'use_sim_time': True})


PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            Profile(
                name='sim',
                description='A simulation and the planner, on this machine only.',
                nodes=(
                    _SIM_BRIDGE,
                    _on_simulated_time(_PLANNER_NODE),
                    # The recorder stamps with the time of reception and needs no simulated time;
                    # following /clock would cost it more than recording does.
                    replace(_RECORDER, only_if='record'),
                ),
                arguments=(
                    replace(_ROBOT, default='panda_sim'),
                    _MODEL,
                    _WEIGHTS,
                    _DEVICE,
                    _PLANNER,
                    _PRESET,
                    Argument(
                        name='environment',
                        description='what is simulated (default: tabletop)',
                        choices=('tabletop', 'arena'),
                    ),
                    Argument(name='asset_root', description='arena: folder with its tasks'),
                    Argument(name='camera', description="arena: the planner's camera"),
                    Argument(name='image_width', kind=int, description='camera image width [px]'),
                    Argument(name='image_height', kind=int, description='camera image height [px]'),
                    Argument(
                        name='realtime_factor',
                        kind=float,
                        description='simulated seconds per wall second; 0 = as fast as it can',
                    ),
                    _SEED,
                    _RECORD,
                    _BAG_DIR,
                    _NAMESPACE,
                ),
                implied={'environment:=arena': {'robot': 'panda_arena'}},
                # Nothing leaves the machine, and whole camera frames fit the shared memory.
                environment={**_CHECKED_FIELDS, 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'},
                environment_files={
                    'FASTDDS_DEFAULT_PROFILES_FILE': 'config/fastdds_loopback.xml',
                },
            ),
            Profile(
                name='planner',
                description='The planner for a robot whose driver and camera run already.',
                nodes=(
                    replace(_PLANNER_NODE, parameters=_STOPS_WHEN_IN_DOUBT),
                    replace(_RECORDER, only_if='record'),
                ),
                arguments=(
                    _ROBOT,
                    _MODEL,
                    _WEIGHTS,
                    _DEVICE,
                    _PLANNER,
                    _PRESET,
                    _SEED,
                    _RECORD,
                    _BAG_DIR,
                    _NAMESPACE,
                ),
                environment=_CHECKED_FIELDS,
            ),
            Profile(
                name='real',
                description='The planner for a real arm: a dry run unless execute:=true.',
                nodes=(
                    replace(
                        _PLANNER_NODE,
                        parameters=_STOPS_WHEN_IN_DOUBT,
                        from_negated={'dry_run': 'execute'},
                    ),
                    replace(
                        _RECORDER,
                        only_if='record',
                        from_arguments={**_RECORDER.from_arguments, 'robot': 'robot'},
                    ),
                ),
                arguments=(
                    replace(_ROBOT, is_required=True),
                    Argument(
                        name='execute',
                        kind=bool,
                        default='false',
                        description='send commands to the driver; false: publish them on '
                        '/wm_planner/dry_run/... alone',
                    ),
                    _MODEL,
                    _WEIGHTS,
                    _DEVICE,
                    _PLANNER,
                    _PRESET,
                    _SEED,
                    _RECORD,
                    _BAG_DIR,
                    _NAMESPACE,
                ),
                environment=_CHECKED_FIELDS,
            ),
            Profile(
                name='record',
                description='The recorder alone, beside nodes that run already.',
                nodes=(_RECORDER,),
                arguments=(_BAG_DIR, _NAMESPACE),
                environment=_CHECKED_FIELDS,
            ),
        )
    }
)
