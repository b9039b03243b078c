# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The oracle as a policy (``--planner oracle``): an upper bound, because it reads the truth."""

from __future__ import annotations

from dataclasses import dataclass
import math

import numpy as np

from wm_planner.core.config import validate
from wm_planner.core.errors import PlannerFailedError
from wm_planner.core.geometry import (
    Array,
    quaternion_to_euler,
    rotation_between,
    rotation_vector_to_quaternion,
)
from wm_planner.core.protocols import Environment
from wm_planner.core.types import (
    ActionSpec,
    Goal,
    Observation,
    Plan,
    PlanDiagnostics,
    RobotState,
    StopReason,
    check_image,
)
from wm_planner.policies.registry import PolicyEntry
from wm_planner_sim.arena import ArenaEnvironment
from wm_planner_sim.arena_config import ArenaConfig
from wm_planner_sim.arena_engine import CONTROL_STEP_S
from wm_planner_sim.conventions import (
    OSC_SCALE_M,
    OSC_SCALE_RAD,
    osc_input,
)
from wm_planner_sim.oracle import Oracle, pick_and_place_goals

_REACH_RAD = math.sqrt(3.0) * OSC_SCALE_RAD
ORACLE_ACTIONS = ActionSpec(
    low=np.array([-OSC_SCALE_M] * 3 + [-_REACH_RAD] * 3 + [0.0]),
    high=np.array([OSC_SCALE_M] * 3 + [_REACH_RAD] * 3 + [1.0]),
    names=('dx', 'dy', 'dz', 'droll', 'dpitch', 'dyaw', 'gripper'),
    step_duration_s=CONTROL_STEP_S,
)
"""What the engine's controller takes at each control step, in this package's conventions."""


@dataclass(frozen=True, kw_only=True)
class OracleConfig:
    """Settings of the oracle: none."""

    def __post_init__(self) -> None:
        validate(self)


class OraclePolicy:
    """The scripted hand behind the Planner protocol; wants the environment it acts in.

    Energies are NaN. One thread at a time. Raises PlannerFailedError for a task that is not picking
    and placing, and in an environment that is not the arena.
    """

    action_spec = ORACLE_ACTIONS
    context_frames = 1
    goal_tolerance = math.nan

    def __init__(self) -> None:
        self._environment: ArenaEnvironment | None = None
        self._oracle: Oracle | None = None

    def attach(self, environment: Environment) -> None:
        """Take the environment whose truth is read."""
        if not isinstance(environment, ArenaEnvironment):
            raise PlannerFailedError(
                f'the oracle knows no {type(environment).__name__}; valid: suites of arena.'
            )
        self._environment = environment

    def reset(self) -> None:
        """Begin the script anew with the next plan."""
        self._oracle = None

    def prepare_goal(self, goal: Goal) -> None:
        """Take any picture; raises InvalidImageError for what is none."""
        check_image(goal.image, f'goal {goal.goal_id!r} image')

    def plan(
        self,
        observation: Observation,
        goal: Goal,
        *,
        deadline_s: float | None = None,
        executed_steps: int = 0,
    ) -> Plan:
        """Return a plan of one control step."""
        return Plan(
            goal_id=goal.goal_id,
            observation_stamp_ns=observation.stamp_ns,
            actions=self._action(observation.state)[np.newaxis],
            action_spec=ORACLE_ACTIONS,
            energy=math.nan,
            goal_energy=math.nan,
            diagnostics=PlanDiagnostics(
                stop_reason=StopReason.NOT_OPTIMIZED, milliseconds={'total': 0.0}
            ),
        )

    def _action(self, state: RobotState) -> Array:
        oracle, config = self._script()
        move, _ = oracle.next_move(state)
        if move is None:
            return np.zeros(ORACLE_ACTIONS.size)
        osc = osc_input(
            move.position_m - state.position_m,
            rotation_between(state.quaternion_xyzw, move.quaternion_xyzw),
            gain=config.servo_gain,
            tolerance_m=config.servo_tolerance_m,
            tolerance_rad=config.servo_tolerance_rad,
        )
        euler = quaternion_to_euler(rotation_vector_to_quaternion(osc[3:] * OSC_SCALE_RAD))
        return np.concatenate([osc[:3] * OSC_SCALE_M, euler, [move.closedness]])

    def _script(self) -> tuple[Oracle, ArenaConfig]:
        """Return the script of the episode, and how the arm is driven to what it says."""
        environment = self._environment
        if environment is None:
            raise PlannerFailedError(
                'the oracle has no environment; valid: wm_planner evaluate --through direct.'
            )
        if self._oracle is None:
            if not pick_and_place_goals(environment.sim):
                raise PlannerFailedError(
                    f'{environment.sim.engine.task} is not picking and placing; the oracle can do '
                    'nothing else.'
                )
            self._oracle = Oracle(environment.sim, environment.oracle_attempt)
        return self._oracle, environment.config


ORACLE = PolicyEntry(OracleConfig, lambda config, spec: OraclePolicy(), has_own_actions=True)
