# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What the bridge can simulate: settings, making, and which camera each image topic shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wm_planner_sim.arena_config import WRIST_CAMERA, ArenaConfig
from wm_planner_sim.bridge_types import SimulationEnvironment
from wm_planner_sim.sim_thread import SAME_CAMERAS
from wm_planner_sim.suites import TabletopEnvironment
from wm_planner_sim.tabletop import TabletopConfig, TabletopSim

SimSettings = TabletopConfig | ArenaConfig
_SHOWN = 8


def default_settings(environment: str) -> SimSettings:
    """Return the settings that an environment has where no parameter says otherwise."""
    if environment == 'arena':
        return ArenaConfig.from_variables()
    return TabletopConfig.from_variables()


def make_environment(settings: SimSettings) -> SimulationEnvironment:
    """Return the environment of the settings; on the thread that will own it."""
    if isinstance(settings, ArenaConfig):
        from wm_planner_sim.arena import ArenaEnvironment  # its engine is optional

        return ArenaEnvironment(settings)
    return TabletopEnvironment(TabletopSim(settings))


def cameras_of(settings: SimSettings) -> Mapping[str, str]:
    """Return the simulation's camera for each of the bridge's image streams."""
    if isinstance(settings, ArenaConfig):
        return {'exterior': settings.camera, 'wrist': WRIST_CAMERA}
    return SAME_CAMERAS


def few(names: Sequence[str]) -> str:
    """Return the first names as words."""
    more = f' and {len(names) - _SHOWN} more' if len(names) > _SHOWN else ''
    return ', '.join(names[:_SHOWN]) + more
