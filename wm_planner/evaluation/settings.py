# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Which planner is evaluated, with which settings, named as the planner node's parameters are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import yaml

from wm_planner.control.chain import ChainConfig
from wm_planner.core.config import from_mapping, hide_secrets
from wm_planner.core.errors import InvalidParameterError, UnknownNameError
from wm_planner.factory import PlannerSettings, check_names, resolve_planning_config
from wm_planner.policies.registry import POLICIES

Value = bool | int | float | str

_GROUPS = {'objective': 'objective', 'planning': 'planner', 'world_model': 'model'}
"""Parameter prefixes of the node and the fields of PlannerSettings that they fill."""

_CHAIN = 'controller.chain_'
"""What names of the node's parameters for chains by progress begin with."""


@dataclass(frozen=True, kw_only=True)
class PlannerChoice:
    """A planner, a model, a preset ('' = none), and values that differ from their defaults.

    ``values`` maps names such as ``cem.num_samples``, ``objective.step_weight``,
    ``planning.warm_start``, ``world_model.weights`` or ``controller.chain_within`` to plain values:
    the names are those of the planner node's parameters, so one set of them serves both ways of
    running an episode.
    """

    planner: str = 'cem'
    model: str = 'tabletop'
    preset: str = ''
    values: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_names(self.planner, self.preset)

    @property
    def is_policy(self) -> bool:
        """Return whether the planner is a policy: it searches nothing and has no energies."""
        return self.planner in POLICIES.names()

    @property
    def shown_model(self) -> str:
        """Return the model for records and tables; '' where none is in the loop."""
        return '' if self.is_policy and POLICIES.get(self.planner).has_own_actions else self.model

    @property
    def label(self) -> str:
        """Return what to call it beside others: ``cem (tabletop)``, ``openpi``."""
        return self.planner if self.is_policy else f'{self.planner} ({self.model})'

    def settings(self) -> PlannerSettings:
        """Return the values sorted into groups; raises UnknownNameError for a group."""
        groups: dict[str, dict[str, Value]] = {}
        own = {} if self.is_policy else {self.planner: 'optimizer'}
        fields = {**own, **_GROUPS}
        for name, value in self.values.items():
            if name.startswith(_CHAIN):
                continue
            prefix, _, key = name.partition('.')
            if not key or prefix not in fields:
                raise UnknownNameError.among(
                    'setting', name, [*(f'{p}.NAME' for p in fields), f'{_CHAIN}NAME']
                )
            groups.setdefault(fields[prefix], {})[key] = value
        return PlannerSettings(preset=self.preset, **groups)

    def chain_config(self) -> ChainConfig:
        """Return how chains by progress go; raises InvalidParameterError for a value of it."""
        values = {
            name.partition('.')[2]: value
            for name, value in self.values.items()
            if name.startswith(_CHAIN)
        }
        return from_mapping(ChainConfig, values, where='controller')

    def describe(self) -> dict[str, Any]:
        """Return all settings in force as plain values, for a report."""
        settings = self.settings()
        if self.is_policy:
            shown = hide_secrets(POLICIES.get(self.planner).config_class, settings.planner)
            return {'policy': shown, 'world_model': dict(settings.model)}
        config = resolve_planning_config(self.planner, self.model, settings)
        return {
            'preset': self.preset,
            self.planner: asdict(config.optimizer),
            'objective': asdict(config.objective),
            'planning': asdict(config.planner),
            'world_model': dict(settings.model),
        }


def parse_values(texts: Sequence[str]) -> dict[str, Value]:
    """Turn ``key=value`` texts into a mapping, values read as YAML scalars.

    Raises InvalidParameterError for a text of another form.
    """
    values: dict[str, Value] = {}
    for text in texts:
        key, separator, value_text = text.partition('=')
        value = _scalar(value_text) if separator else None
        if not key or value is None:
            raise InvalidParameterError(
                f'{text!r}; valid: NAME=VALUE with a number, true, false or a word, for example '
                'cem.num_samples=64.'
            )
        values[key.strip()] = value
    return values


def _scalar(text: str) -> Value | None:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return None
    return value if isinstance(value, bool | int | float | str) else None
