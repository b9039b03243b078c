# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Policies by name: planners that need no world model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wm_planner.core.config import from_mapping, parameter, validate
from wm_planner.core.protocols import Planner
from wm_planner.core.registry import Registry
from wm_planner.core.types import ActionSpec
from wm_planner.policies.noop import NoopPolicy
from wm_planner.policies.random_policy import RandomPolicy


@dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    """Settings of a policy."""

    seed: int = parameter(0, 'seed of all draws', low=0, high=2**63 - 1)

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True)
class PolicyEntry:
    """What a name in the entry-point group ``wm_planner.policies`` stands for.

    ``make(config, action_spec)`` returns the policy; ``action_spec`` is that of the world model or
    the environment it is compared on, and None for one that ``has_own_actions``.
    """

    config_class: type[Any]
    make: Callable[[Any, Any], Planner]
    has_own_actions: bool = False  # it acts in a spec of its own, so that no model is needed
    model_type: str = 'vla'  # what VLA-Arena's leaderboard calls it: vla or wam


def _random() -> PolicyEntry:
    return PolicyEntry(PolicyConfig, lambda config, spec: RandomPolicy(spec, seed=config.seed))


def _noop() -> PolicyEntry:
    return PolicyEntry(PolicyConfig, lambda config, spec: NoopPolicy(spec, seed=config.seed))


def _calibration_moves() -> PolicyEntry:
    from wm_planner.policies.calibration_moves import CalibrationMoves, CalibrationMovesConfig

    return PolicyEntry(
        CalibrationMovesConfig,
        lambda config, spec: CalibrationMoves(config),
        has_own_actions=True,
    )


def _playback() -> PolicyEntry:
    from wm_planner.policies.playback import PlaybackConfig, PlaybackPolicy

    return PolicyEntry(
        PlaybackConfig, lambda config, spec: PlaybackPolicy(config), has_own_actions=True
    )


# Policies on a server act in a spec of their own: what they were trained to command.


def _openpi() -> PolicyEntry:
    from wm_planner.policies.openpi import OpenPiConfig, OpenPiPolicy

    return PolicyEntry(
        OpenPiConfig, lambda config, spec: OpenPiPolicy(config), has_own_actions=True
    )


def _openvla() -> PolicyEntry:
    from wm_planner.policies.openvla import OpenVlaConfig, OpenVlaPolicy

    return PolicyEntry(
        OpenVlaConfig, lambda config, spec: OpenVlaPolicy(config), has_own_actions=True
    )


def _gr00t() -> PolicyEntry:
    from wm_planner.policies.gr00t import Gr00tConfig, Gr00tPolicy

    return PolicyEntry(Gr00tConfig, lambda config, spec: Gr00tPolicy(config), has_own_actions=True)


def _dreamzero() -> PolicyEntry:
    from wm_planner.policies.dreamzero import DreamZeroConfig, DreamZeroPolicy

    return PolicyEntry(
        DreamZeroConfig,
        lambda config, spec: DreamZeroPolicy(config),
        has_own_actions=True,
        model_type='wam',
    )


POLICIES: Registry[PolicyEntry] = Registry(
    'policy',
    group='wm_planner.policies',
    entry_class=PolicyEntry,
    builtins={
        'random': _random,
        'noop': _noop,
        'calibration_moves': _calibration_moves,
        'playback': _playback,
        'openpi': _openpi,
        'openvla': _openvla,
        'gr00t': _gr00t,
        'dreamzero': _dreamzero,
    },
)


def make_policy(
    name: str, settings: Mapping[str, Any], *, action_spec: Callable[[], ActionSpec]
) -> Planner:
    """Return the policy ``name``; ``action_spec`` is asked only where it has no actions of its own.

    Raises UnknownNameError or InvalidParameterError.
    """
    entry = POLICIES.get(name)
    config = from_mapping(entry.config_class, settings, where=f'policy {name}')
    return entry.make(config, None if entry.has_own_actions else action_spec())
