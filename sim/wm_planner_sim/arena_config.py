# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of the arena: parameters of the bridge node, or environment variables elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import os
from pathlib import Path

from wm_planner.core.config import from_mapping, parameter, validate
from wm_planner_sim.variables import values_from_variables

ASSET_ROOT_VARIABLE = 'WM_PLANNER_ASSET_ROOT'
WRIST_CAMERA = 'robot0_eye_in_hand'
PREFIX = 'WM_PLANNER_ARENA_'
GOALS_FINAL, GOALS_ALL, GOALS_NONE = 'final', 'sub_goals', 'none'


@dataclass(frozen=True, kw_only=True)
class ArenaConfig:
    """Scene, cameras and servo of VLA-Arena.

    ``from_variables`` fills it from ``WM_PLANNER_ASSET_ROOT`` and, for any other field, from
    ``WM_PLANNER_ARENA_`` and its name in capitals.
    """

    asset_root: str = parameter('', 'folder with bddl_files, init_files and assets of VLA-Arena')
    has_libero: bool = parameter(False, 'also offer the suites of LIBERO, where it is installed')
    camera: str = parameter('agentview', "the planner's camera: exterior, or one of the scene's")
    has_wrist_camera: bool = parameter(True, 'also take a wrist picture with each observation')
    image_width: int = parameter(256, 'camera image width [px]', low=16, high=1920)
    image_height: int = parameter(256, 'camera image height [px]', low=16, high=1920)
    goals: str = parameter(
        GOALS_FINAL,
        'goal pictures: the end, or grasped, above and placed as well, or none (a language policy)',
        choices=(GOALS_FINAL, GOALS_ALL, GOALS_NONE),
    )
    goal_folder: str = parameter('', 'cache of goal pictures; empty: ~/.cache/wm_planner/goals')
    servo_gain: float = parameter(2.0, 'input per distance that is left', low=0.1, high=10.0)
    servo_tolerance_m: float = parameter(0.001, 'distance left alone [m]', low=0.0, high=0.05)
    servo_tolerance_rad: float = parameter(0.005, 'rotation left alone [rad]', low=0.0, high=0.5)
    gripper_deadband: float = parameter(
        0.03, 'difference of closedness at which the gripper goes on as before', low=0.0, high=0.5
    )

    def __post_init__(self) -> None:
        validate(self)

    @classmethod
    def from_variables(cls, variables: Mapping[str, str] | None = None) -> ArenaConfig:
        """Return the settings that environment variables give; raises InvalidParameterError."""
        variables = os.environ if variables is None else variables
        values = values_from_variables(cls, PREFIX, variables)
        if variables.get(ASSET_ROOT_VARIABLE):
            values.setdefault('asset_root', variables[ASSET_ROOT_VARIABLE])
        return from_mapping(cls, values, where='environment')

    @property
    def goal_cache(self) -> Path:
        """Return the folder that goal pictures are kept in."""
        if self.goal_folder:
            return Path(self.goal_folder).expanduser()
        base = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
        return Path(base).expanduser() / 'wm_planner' / 'goals'
