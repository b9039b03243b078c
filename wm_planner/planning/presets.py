# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Presets: named sets of planning settings, for any world model.

A preset lies over the model's own planning defaults and under what the user sets. Its sections are
named as the optimizers, 'objective' and 'planner'.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from wm_planner.core.errors import UnknownNameError

NO_PRESET = ''


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What a preset is for, and its settings by section."""

    description: str
    settings: Mapping[str, Mapping[str, Any]]


_PAPER_BUDGET = {'num_samples': 800, 'num_elites': 10, 'num_iterations': 10, 'horizon': 1}
_LONG_BUDGET = {'num_samples': 800, 'num_elites': 80, 'num_iterations': 10, 'horizon': 16}
_REALTIME_BUDGET = {'num_samples': 64, 'num_elites': 8, 'num_iterations': 4}

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        'paper': Preset(
            description='V-JEPA 2 (arXiv 2506.09985): 800 samples x 10 iterations, one step ahead, '
            "cem as in its authors' own code",
            settings={
                'cem': {
                    **_PAPER_BUDGET,
                    'reference': True,
                    'momentum_mean': 0.15,
                    'momentum_std': 0.15,
                    'plan_from': 'mean',
                    'early_stop_std_scale': 0.0,
                },
                'icem': _PAPER_BUDGET,
                'mppi': _PAPER_BUDGET,
                'objective': {
                    'name': 'l1',
                    'final_weight': 1.0,
                    'step_weight': 0.0,
                    'step_weights': (),
                },
                'planner': {'warm_start': False, 'deadline_s': 0.0},
            },
        ),
        'long': Preset(
            description='far ahead at any price: 800 samples, 80 elites, 16 steps, of which the '
            'first is executed',
            settings={
                'cem': _LONG_BUDGET,
                'icem': _LONG_BUDGET,
                'mppi': _LONG_BUDGET,
                'objective': {'step_weights': ()},  # those of a model fit its own horizon
                'planner': {'deadline_s': 0.0},
            },
        ),
        'realtime': Preset(
            description='64 samples x 4 iterations from where the last plan ended, within 0.1 s',
            settings={
                'cem': _REALTIME_BUDGET,
                'icem': _REALTIME_BUDGET,
                'mppi': {**_REALTIME_BUDGET, 'num_elites': 16},
                'planner': {'warm_start': True, 'deadline_s': 0.1},
            },
        ),
    }
)


def preset_settings(name: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the settings of a preset by section; none for ''. Raises UnknownNameError."""
    if name == NO_PRESET:
        return {}
    if name not in PRESETS:
        raise UnknownNameError.among('preset', name, PRESETS)
    return PRESETS[name].settings
