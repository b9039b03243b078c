# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Writes ``docs/parameters.md`` and ``docs/robots.md`` from the config dataclasses.

A test holds the files to them.

Run after changing a parameter: ``./dev run python docs/generate.py``.
"""

from __future__ import annotations

from pathlib import Path

from wm_planner.core.profile import RobotProfile
from wm_planner.factory import resolve_planning_config
from wm_planner.models.vjepa2_ac import VJepa2AcConfig
from wm_planner.planning.presets import PRESETS
from wm_planner.planning.registry import OPTIMIZERS
from wm_planner.policies.registry import POLICIES
from wm_planner.ros.bag import BagConfig
from wm_planner.ros.parameters import parameter_table
from wm_planner.ros.planner_config import PlannerNodeConfig, default_parameters
from wm_planner.ros.recorder_node import RecorderConfig
from wm_planner_sim.arena_config import ArenaConfig
from wm_planner_sim.bridge_types import BridgeConfig
from wm_planner_sim.tabletop import TabletopConfig

TARGET = Path(__file__).parent / 'parameters.md'
ROBOTS_TARGET = Path(__file__).parent / 'robots.md'

_INTRODUCTION = """\
# Parameters

Written by `docs/generate.py` from the config dataclasses, which are the only place where a default
is defined. Precedence: dataclass < robot profile and model defaults < preset < `config/*.yaml` <
launch argument or `--ros-args -p`. A parameter that is unknown or out of range stops the node with
a numbered error that names what is valid.
"""

_ROBOTS_INTRODUCTION = """\
# Robot profiles

Written by `docs/generate.py`. A profile is a YAML file in `config/robots/`, chosen by its name
(`robot:=ur5e_servo`), or anywhere else, chosen by its path (`robot:=/home/me/my_arm.yaml`). Copy
the nearest one, and look at what it means on your machine before anything moves:

```sh
./dev run wm_planner robot list
./dev run wm_planner robot check my_arm.yaml --description my_arm.urdf
```

`check` validates every value, lists the topics, services and actions with their types, names the
packages that are missing with the command that installs them, compares joint limits with the
description and looks whether the arm reaches the workspace box. Exit status: 0 fine or warnings, 1
cannot run here, 2 invalid profile. Each value is also a parameter of the planner node, under
`profile.`: `-p profile.max_speed_m_s:=0.1`.

## Frames

`base_frame` is the frame of everything Cartesian: the workspace box, the tool pose that comes in,
the targets that go out. `tool_frame` is the tool centre point, z along the fingers on the arms that
ship. A tool pose in another frame is refused (error 105), never transformed: a wrong frame is a
mistake somewhere, and a transform would hide it.

Where the tool pose comes from is `state_source`: `topic` (`topics.tool_pose`), `tf` (the transform
from `base_frame` to `tool_frame`, looked up when joints arrive; needs tf2_ros) or `joints` (forward
kinematics of the joints, by the robot description).

The description is a file (`kinematics.description`) or comes on `topics.robot_description`, where
robot_state_publisher latches it; then the planner waits for it and says so on `~/status`. Where
links have other names than the frames, `kinematics.base_link` and `kinematics.tool_link` say them,
and `kinematics.tool_offset_m` and `_xyzw` where the tool is in `tool_link`.
"""

_SINK_TABLE = """\
## Sinks: `sink`

| name | driver | message, on | kinematics here |
|---|---|---|---|
| `tool_pose` | the simulator; anything that takes poses | PoseStamped, `topics.target_pose` | no |
| `crisp` | CRISP Cartesian controllers, `target_pose` | PoseStamped, `topics.target_pose` | no |
| `fzi` | FZI cartesian_controllers, `target_frame` | PoseStamped, `topics.target_pose` | no |
| `servo_pose` | MoveIt Servo, pose tracking | PoseStamped, `topics.target_pose` | no |
| `servo_twist` | MoveIt Servo, speed units | TwistStamped, `topics.target_pose` | no |
| `joint_trajectory` | joint_trajectory_controller | JointTrajectory, `topics.target_joints` | yes |
| `joint_forward` | forward_command_controller | Float64MultiArray, `topics.target_joints` | yes |
| `joint_state` | CRISP `target_joint`, others | JointState, `topics.target_joints` | yes |

## Grippers: `gripper`

Any gripper goes with any sink. Closedness is 0 = open, 1 = closed inside the package; the adapters
turn it into what drivers take. `gripper_settings.command_range` gives other numbers for open and
closed, e.g. `[0.0, 0.7929]` for the knuckle of a Robotiq 2F-85.

| name | driver | open, closed by default | on |
|---|---|---|---|
| `closedness` | the simulator | 0, 1 | topic |
| `crisp` | CRISP's gripper topic | 1, 0 | topic |
| `forward` | forward_command_controller | `gripper_max_width_m` by joints, 0 | topic |
| `gripper_command` | control_msgs/GripperCommand | `gripper_max_width_m`, 0 | action |
| `franka_gripper` | franka_gripper's `gripper_action` | half of it, 0 | action |
| `franka_grasp` | franka_gripper's `move` and `grasp` | `gripper_max_width_m`, a grasp | actions |
| `parallel_gripper_command` | control_msgs/ParallelGripperCommand | same by joints, 0 | action |
| `none` | an arm without one | | |

Topics are repeated every tick. An action gets one goal when the target has stood still for 60 ms
(or has been changing for half a second), without waiting for its end.
"""

_ROBOT_GROUPS = {
    '': 'Top level.',
    'topics': 'Names as ROS resolves them.',
    'kinematics': 'Read by sinks that command joints and by `state_source: joints` alone.',
    'joint_limits': 'In the order of `arm_joint_names`.',
    'gripper_settings': 'What the fingers show and what their driver is told.',
    'servo': 'Of the sinks for MoveIt Servo and joint_trajectory_controller.',
    'calibration': 'How the camera turns the planned motions; written by `wm_planner calibrate`.',
    'stops': 'What else may stop the arm ([safety.md](safety.md)).',
}

_PRESETS_INTRODUCTION = """\
`preset:=NAME` with `wm_planner up`, `--preset NAME` with `wm_planner evaluate`. A preset changes
the defaults of the planning parameters, whatever the world model; what is not listed stays.
"""

_ON_SERVERS = ('openpi', 'openvla', 'gr00t', 'dreamzero')

_GROUPS = {
    '': 'Its own, and those of control.',
    'profile': 'The robot profile in force (`config/robots/panda_sim.yaml`).',
    'cem': 'The optimizer, with the defaults of the tabletop model.',
    'objective': 'The objective.',
    'planning': 'The planner around optimizer and model.',
    'world_model': 'The world model.',
}


def render() -> str:
    """Return the whole page."""
    parts = [_INTRODUCTION, '## Planner node `wm_planner`\n']
    for prefix, config in default_parameters().items():
        parts.append(f'{_GROUPS[prefix]}\n\n{parameter_table(config, prefix)}')
    for name in OPTIMIZERS.names():
        if name not in default_parameters():
            config = resolve_planning_config(name, PlannerNodeConfig().model).optimizer
            parts.append(f'With `planner:={name}`.\n\n{parameter_table(config, name)}')
    parts.append('With `model:=vjepa2_ac`.\n')
    parts.append(parameter_table(VJepa2AcConfig(), 'world_model'))
    for name in _ON_SERVERS:
        table = parameter_table(POLICIES.get(name).config_class(), 'planning')
        parts.append(f'With `planner:={name}`, in place of all the groups of planning.\n\n{table}')
    parts.append(_presets())
    parts.append(f'## Recorder node `recorder`\n\n{parameter_table(RecorderConfig())}')
    parts.append(f'The bag.\n\n{parameter_table(BagConfig())}')
    parts.append('## Simulator bridge `sim_bridge`\n')
    parts.append(parameter_table(BridgeConfig()))
    parts.append(f'The tabletop itself.\n\n{parameter_table(TabletopConfig())}')
    parts.append(f'With `environment:=arena`, instead.\n\n{parameter_table(ArenaConfig())}')
    return '\n'.join(parts)


def render_robots() -> str:
    """Return the page on robot profiles."""
    example = RobotProfile(name='required', base_frame='required', tool_frame='required')
    parts = [_ROBOTS_INTRODUCTION, _SINK_TABLE, '## All keys\n']
    tables: dict[str, list[str]] = {prefix: [] for prefix in _ROBOT_GROUPS}
    heading, rule, *rows = parameter_table(example).splitlines()
    for row in rows:
        name = row.split('`')[1]
        prefix = name.rpartition('.')[0]
        tables[prefix].append(row.replace(f'`{name}`', f'`{name.rpartition(".")[2]}`', 1))
    for prefix, text in _ROBOT_GROUPS.items():
        title = f'### `{prefix}`\n\n' if prefix else ''
        parts.append('\n'.join([f'{title}{text}\n', heading, rule, *tables[prefix], '']))
    return '\n'.join(parts)


def _presets() -> str:
    """Return what each preset sets, in the node's names."""
    lines = ['## Presets\n', _PRESETS_INTRODUCTION]
    prefixes = {'planner': 'planning'}
    for name, preset in PRESETS.items():
        lines += [f'`{name}`: {preset.description}.\n', '| parameter | value |', '|---|---|']
        for section, values in preset.settings.items():
            for key, value in values.items():
                shown = list(value) if isinstance(value, tuple) else value
                text = str(shown).lower() if isinstance(shown, bool) else repr(shown)
                lines.append(f'| `{prefixes.get(section, section)}.{key}` | `{text}` |')
        lines.append('')
    return '\n'.join(lines)


if __name__ == '__main__':
    TARGET.write_text(render())
    ROBOTS_TARGET.write_text(render_robots())
