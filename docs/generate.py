# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Writes ``docs/parameters.md`` from the config dataclasses; a test holds the file to them.

Run after changing a parameter: ``./dev run python docs/generate.py``.
"""

from __future__ import annotations

from pathlib import Path

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

_INTRODUCTION = """\
# Parameters

Written by `docs/generate.py` from the config dataclasses, which are the only place where a default
is defined. Precedence: dataclass < robot profile and model defaults < preset < `config/*.yaml` <
launch argument or `--ros-args -p`. A parameter that is unknown or out of range stops the node with
a numbered error that names what is valid.
"""

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
