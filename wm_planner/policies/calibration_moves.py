# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""CalibrationMoves: small known moves around where the tool is, for `wm_planner calibrate`.

A policy like any other, so that its moves go the way of every other action: executor, safety
filter, sink. It looks at no picture.
"""

from __future__ import annotations

from dataclasses import dataclass
import math

import numpy as np

from wm_planner.core.config import parameter, validate
from wm_planner.core.geometry import Array
from wm_planner.core.types import ActionKind, ActionSpec, Goal, Observation
from wm_planner.policies.base import OneStepPolicy

_GOLDEN_ANGLE_RAD = math.pi * (3.0 - math.sqrt(5.0))  # of any few in a row, no two are alike
_NAMES = (ActionKind.DX.value, ActionKind.DY.value, ActionKind.DZ.value)


@dataclass(frozen=True, kw_only=True)
class CalibrationMovesConfig:
    """How far the moves go."""

    move_m: float = parameter(0.045, 'length of a move [m]', low=0.001, high=0.14)
    reach_m: float = parameter(
        0.09, 'farthest that the tool goes from where it was at the start [m]', low=0.001, high=0.5
    )
    lift: float = parameter(
        0.3, 'share of a move that goes up or down, by turns', low=0.0, high=0.9
    )
    step_duration_s: float = parameter(0.5, 'time for a move [s]', low=0.05, high=10.0)
    seed: int = parameter(0, 'direction of the first move', low=0, high=2**63 - 1)

    def __post_init__(self) -> None:
        validate(self)


class CalibrationMoves(OneStepPolicy):
    """Moves of one length in evenly spread directions, never farther than ``reach_m`` from the
    start, whose place is taken from the first observation after a ``reset``. The gripper stays.
    """

    def __init__(self, config: CalibrationMovesConfig) -> None:
        self._config = config
        bound = np.full(3, config.move_m)
        spec = ActionSpec(
            low=-bound, high=bound, names=_NAMES, step_duration_s=config.step_duration_s
        )
        super().__init__(spec, seed=config.seed)

    def reset(self) -> None:
        """Begin again, around where the tool is then."""
        super().reset()
        self._start_m: Array | None = None
        self._moves = 0
        self._first_rad = float(self._rng.uniform(0.0, 2.0 * math.pi)) if self._seed else 0.0

    def _action(self, observation: Observation, goal: Goal) -> Array:
        position = observation.state.position_m
        if self._start_m is None:
            self._start_m = position
        move = next_move(self._config, self._moves, self._first_rad, position - self._start_m)
        self._moves += 1
        return move


def next_move(
    config: CalibrationMovesConfig, number: int, first_rad: float, offset_m: Array
) -> Array:
    """Return move ``number`` [3] for a tool that is ``offset_m`` [3] from where it started.

    The direction is turned round where it would lead out of ``reach_m``, or farther out when the
    tool is out already.
    """
    angle = first_rad + number * _GOLDEN_ANGLE_RAD
    rise = config.lift if number % 2 == 0 else -config.lift
    level = math.sqrt(1.0 - rise * rise)
    move = config.move_m * np.array([level * math.cos(angle), level * math.sin(angle), rise])
    there, back = np.linalg.norm(offset_m + move), np.linalg.norm(offset_m - move)
    if there > config.reach_m and back < there:
        move = -move
    if min(there, back) > config.reach_m:  # both lead out: go straight back instead
        move = -config.move_m * offset_m / max(float(np.linalg.norm(offset_m)), 1e-9)
    return move
