# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What policies that choose one action at a time have in common."""

from __future__ import annotations

import abc
import math
import time

import numpy as np

from wm_planner.core.geometry import Array
from wm_planner.core.types import (
    ActionSpec,
    Goal,
    Observation,
    Plan,
    PlanDiagnostics,
    StopReason,
    check_image,
)


class OneStepPolicy(abc.ABC):
    """The Planner protocol for a policy without a search: one action, energies NaN.

    It looks at one frame and takes any goal. A subclass says which action; what it draws must come
    from ``self._rng``. One thread at a time.
    """

    def __init__(self, action_spec: ActionSpec, *, seed: int) -> None:
        self._action_spec = action_spec
        self.seed(seed)

    @property
    def action_spec(self) -> ActionSpec:
        """Return the spec of the actions."""
        return self._action_spec

    @property
    def context_frames(self) -> int:
        """Return 1."""
        return 1

    @property
    def goal_tolerance(self) -> float:
        """Return NaN: there is no energy, so a goal ends when its steps are used up."""
        return math.nan

    def seed(self, seed: int) -> None:
        """Restart the draws from ``seed``, now and at every later ``reset``."""
        self._seed = seed
        self.reset()

    def reset(self) -> None:
        """Restart the draws."""
        self._rng = np.random.default_rng(self._seed)

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
        """Return a plan of one action."""
        begin_ns = time.perf_counter_ns()
        action = self._action(observation, goal)
        return Plan(
            goal_id=goal.goal_id,
            observation_stamp_ns=observation.stamp_ns,
            actions=action[np.newaxis],
            action_spec=self._action_spec,
            energy=math.nan,
            goal_energy=math.nan,
            diagnostics=PlanDiagnostics(
                stop_reason=StopReason.NOT_OPTIMIZED,
                milliseconds={'total': (time.perf_counter_ns() - begin_ns) * 1e-6},
            ),
        )

    @abc.abstractmethod
    def _action(self, observation: Observation, goal: Goal) -> Array:
        """Return the action [A], inside the bounds."""
