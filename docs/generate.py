# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Writes ``docs/parameters.md`` from the config dataclasses; a test holds the file to them.

Run after changing a parameter: ``./dev run python docs/generate.py``.
"""

from __future__ import annotations

from pathlib import Path

from wm_planner.ros.bag import BagConfig
from wm_planner.ros.parameters import parameter_table
from wm_planner.ros.planner_config import default_parameters
from wm_planner.ros.recorder_node import RecorderConfig
from wm_planner_sim.bridge_types import BridgeConfig
from wm_planner_sim.tabletop import TabletopConfig

TARGET = Path(__file__).parent / 'parameters.md'

_INTRODUCTION = """\
# Parameters

Written by `docs/generate.py` from the config dataclasses, which are the only place where a default
is defined. Precedence: dataclass < robot profile and model defaults < `config/*.yaml` < launch
argument or `--ros-args -p`. A parameter that is unknown or out of range stops the node with a
numbered error that names what is valid.
"""

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
    parts.append(f'## Recorder node `recorder`\n\n{parameter_table(RecorderConfig())}')
    parts.append(f'The bag.\n\n{parameter_table(BagConfig())}')
    parts.append('## Simulator bridge `sim_bridge`\n')
    parts.append(parameter_table(BridgeConfig()))
    parts.append(f'The simulation itself.\n\n{parameter_table(TabletopConfig())}')
    return '\n'.join(parts)


if __name__ == '__main__':
    TARGET.write_text(render())
