# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""CalibrationMoves: small known moves around where the tool is.

`wm_planner calibrate` and `wm_planner doctor --move` make them.

A policy like any other, so that its moves go the way of every other action: executor, safety
filter, sink. It looks at no picture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
import math

import numpy as np

from wm_planner.core.config import parameter, validate
from wm_planner.core.geometry import Array
from wm_planner.core.imagination import PlanStart
from wm_planner.core.types import ActionKind, ActionSpec, Goal, Observation, Plan, RobotState
from wm_planner.policies.base import OneStepPolicy

_GOLDEN_ANGLE_RAD = math.pi * (3.0 - math.sqrt(5.0))  # of any few in a row, no two are alike
_NAMES = (ActionKind.DX.value, ActionKind.DY.value, ActionKind.DZ.value)
SPREAD, AXES = 'spread', 'axes'
_GRIPPER_CHANGE = 0.4
# Out and back along each axis (up first: there is a table below), then the gripper there and back.
_AXIS_MOVES = ((0, 0, 1), (0, 0, -1), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0))
AXES_STEPS = len(_AXIS_MOVES) + 2


@dataclass(frozen=True, kw_only=True)
class CalibrationMovesConfig:
    """Which moves, and how far they go."""

    script: str = parameter(
        SPREAD,
        'spread: all directions, the gripper left alone; axes: out and back along z, x and y, then '
        'the gripper there and back, then nothing more',
        choices=(SPREAD, AXES),
    )
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
    """Moves from where the tool is at the first observation after a ``reset``.

    ``spread``: of one length in evenly spread directions, never farther than ``reach_m`` from the
    start. ``axes``: AXES_STEPS moves that end where they began.
    """

    def __init__(self, config: CalibrationMovesConfig) -> None:
        self._config = config
        names: tuple[str, ...] = _NAMES
        low, high = [-config.move_m] * 3, [config.move_m] * 3
        if config.script == AXES:
            low, high, names = [*low, 0.0], [*high, 1.0], (*names, ActionKind.GRIPPER.value)
        spec = ActionSpec(
            low=np.array(low),
            high=np.array(high),
            names=names,
            step_duration_s=config.step_duration_s,
        )
        super().__init__(spec, seed=config.seed)

    def reset(self) -> None:
        """Begin again, around where the tool is then."""
        super().reset()
        self._start: RobotState | None = None
        self._moves = 0
        self._first_rad = float(self._rng.uniform(0.0, 2.0 * math.pi)) if self._seed else 0.0

    def plan(
        self,
        observation: Observation,
        goal: Goal,
        *,
        deadline_s: float | None = None,
        executed_steps: int = 0,
    ) -> Plan:
        """Return a plan of one action, with what it was made from: moves are measured by that."""
        plan = super().plan(observation, goal, deadline_s=deadline_s, executed_steps=executed_steps)
        start = PlanStart(
            executed_steps=executed_steps,
            deadline_s=0.0,
            image_stamps_ns=observation.image_stamps_ns,
            states=observation.states,
            generator_state=b'',
        )
        return replace(plan, start=start)

    def _action(self, observation: Observation, goal: Goal) -> Array:
        state = observation.state
        self._start = self._start or state
        number, self._moves = self._moves, self._moves + 1
        if self._config.script == AXES:
            return axis_move(self._config, number, self._start.gripper_closedness)
        offset_m = state.position_m - self._start.position_m
        return next_move(self._config, number, self._first_rad, offset_m)


def axis_move(config: CalibrationMovesConfig, number: int, closedness: float) -> Array:
    """Return step ``number`` [4] of the script ``axes`` for a gripper that began at closedness."""
    if number < len(_AXIS_MOVES):
        return np.array([*(config.move_m * np.array(_AXIS_MOVES[number], float)), closedness])
    if number == len(_AXIS_MOVES):
        change = _GRIPPER_CHANGE if closedness < 0.5 else -_GRIPPER_CHANGE
        return np.array([0.0, 0.0, 0.0, closedness + change])
    return np.array([0.0, 0.0, 0.0, closedness])


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
