# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Optimizers by name, and a planner from plain settings and a world model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
import time
from types import MappingProxyType
from typing import Any

import torch

from wm_planner.core.calibration import NO_TURN_XYZW
from wm_planner.core.config import from_mapping
from wm_planner.core.errors import InvalidParameterError
from wm_planner.core.protocols import HorizonBound, WorldModel
from wm_planner.core.registry import Registry
from wm_planner.planning.cem import CemConfig, CemOptimizer
from wm_planner.planning.icem import IcemConfig, IcemOptimizer
from wm_planner.planning.mppi import MppiConfig, MppiOptimizer
from wm_planner.planning.objectives import ObjectiveConfig, make_objective
from wm_planner.planning.planner import PlannerConfig, WorldModelPlanner
from wm_planner.planning.presets import NO_PRESET, preset_settings
from wm_planner.planning.sampling import SamplingConfig, SamplingOptimizer

Settings = Mapping[str, Any]
NO_SETTINGS: Settings = MappingProxyType({})


@dataclass(frozen=True)
class OptimizerEntry:
    """What a name in the entry-point group ``wm_planner.planners`` stands for.

    ``make(config, device=...)`` returns the optimizer for an instance of ``config_class``.
    """

    config_class: type[SamplingConfig]
    make: Callable[..., SamplingOptimizer]


OPTIMIZERS: Registry[OptimizerEntry] = Registry(
    'planner',
    group='wm_planner.planners',
    entry_class=OptimizerEntry,
    builtins={
        'cem': lambda: OptimizerEntry(CemConfig, CemOptimizer),
        'icem': lambda: OptimizerEntry(IcemConfig, IcemOptimizer),
        'mppi': lambda: OptimizerEntry(MppiConfig, MppiOptimizer),
    },
)


@dataclass(frozen=True, kw_only=True)
class PlanningConfig:
    """All settings of a world-model planner. ``optimizer`` is of the optimizer's config class."""

    optimizer: SamplingConfig = field(default_factory=CemConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    planner: PlannerConfig = field(default_factory=PlannerConfig)


def planning_config(
    optimizer_name: str,
    *,
    defaults: Mapping[str, Settings] = NO_SETTINGS,
    preset: str = NO_PRESET,
    optimizer: Settings = NO_SETTINGS,
    objective: Settings = NO_SETTINGS,
    planner: Settings = NO_SETTINGS,
) -> PlanningConfig:
    """Return the settings in force: dataclass < model's ``defaults`` < ``preset`` < the caller's.

    ``defaults`` is a model's PLANNING_DEFAULTS: settings under the names of optimizers, 'objective'
    and 'planner'; those of other optimizers are passed over. Raises UnknownNameError for the
    optimizer or the preset and InvalidParameterError for a setting, naming what is valid.
    """
    entry = OPTIMIZERS.get(optimizer_name)
    over = preset_settings(preset)
    sections = {*OPTIMIZERS.names(), 'objective', 'planner'}
    unknown = sorted(set(defaults) - sections)
    if unknown:
        raise InvalidParameterError(
            f'planning defaults have unknown sections {", ".join(unknown)}; '
            f'valid: {", ".join(sorted(sections))}.'
        )

    def merged(section: str, values: Settings) -> dict[str, Any]:
        return {**defaults.get(section, {}), **over.get(section, {}), **values}

    return PlanningConfig(
        optimizer=from_mapping(entry.config_class, merged(optimizer_name, optimizer)),
        objective=from_mapping(ObjectiveConfig, merged('objective', objective)),
        planner=from_mapping(PlannerConfig, merged('planner', planner)),
    )


def make_world_model_planner(
    optimizer_name: str,
    model: WorldModel,
    config: PlanningConfig,
    *,
    device: torch.device | str,
    axes_xyzw: Sequence[float] = NO_TURN_XYZW,
    monotonic_ns: Callable[[], int] = time.monotonic_ns,
) -> WorldModelPlanner:
    """Return a planner on ``model``; to be called on the thread that will plan.

    ``axes_xyzw`` is the rotation from the model's action axes to base_frame.

    Raises InvalidParameterError for a horizon that is beyond the model.
    """
    if isinstance(model, HorizonBound):
        model.check_horizon(config.optimizer.horizon)
    optimizer = OPTIMIZERS.get(optimizer_name).make(config.optimizer, device=device)
    objective = make_objective(config.objective, horizon=config.optimizer.horizon)
    return WorldModelPlanner(
        model,
        objective,
        optimizer,
        config.planner,
        device=device,
        axes_xyzw=axes_xyzw,
        monotonic_ns=monotonic_ns,
    )
