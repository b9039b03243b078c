# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""World models by name.

To add one, write a class with the WorldModel protocol and register a ModelEntry: here, or from
another package in the entry-point group ``wm_planner.models``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from wm_planner.core.config import from_mapping, parameter, validate
from wm_planner.core.protocols import WorldModel
from wm_planner.core.registry import Registry

NO_SETTINGS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class ModelEntry:
    """How to make one world model.

    ``load(config, device)`` takes an instance of ``config_class`` and a torch device or its name.
    ``planning_defaults`` are the settings the model plans best with: plain values under the names
    of optimizers (e.g. 'cem'), 'objective' and 'planner'.
    """

    config_class: type[Any]
    load: Callable[[Any, Any], WorldModel]
    planning_defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class WeightsConfig:
    """Settings of a model that is its weights file."""

    weights: str = parameter(
        '', 'weights file (safetensors); empty: the one that ships', read_only=True
    )

    def __post_init__(self) -> None:
        validate(self)


def _point_mass() -> ModelEntry:
    from wm_planner.models import point_mass

    return ModelEntry(
        config_class=point_mass.PointMassConfig,
        load=lambda config, device: point_mass.PointMassWorldModel(config, device=device),
        planning_defaults=point_mass.PLANNING_DEFAULTS,
    )


def _tabletop() -> ModelEntry:
    from wm_planner.models import tabletop

    return ModelEntry(
        config_class=WeightsConfig,
        load=lambda config, device: tabletop.TabletopWorldModel.load(config.weights, device),
        planning_defaults=tabletop.PLANNING_DEFAULTS,
    )


def _vjepa2_ac() -> ModelEntry:
    from wm_planner.models import vjepa2_ac

    return ModelEntry(
        config_class=vjepa2_ac.VJepa2AcConfig,
        load=vjepa2_ac.VJepa2AcWorldModel.load,
        planning_defaults=vjepa2_ac.PLANNING_DEFAULTS,
    )


MODELS: Registry[ModelEntry] = Registry(
    'world model',
    group='wm_planner.models',
    entry_class=ModelEntry,
    builtins={'point_mass': _point_mass, 'tabletop': _tabletop, 'vjepa2_ac': _vjepa2_ac},
)


def load_model(name: str, settings: Mapping[str, Any] = NO_SETTINGS, *, device: Any) -> WorldModel:
    """Return the world model ``name``, made on the calling thread, which is to be its only user.

    Raises UnknownNameError, InvalidParameterError for a setting, or what loading raises
    (ModelLoadError, ChecksumError).
    """
    entry = MODELS.get(name)
    return entry.load(from_mapping(entry.config_class, settings, where=f'model {name}'), device)
