# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""PlaybackPolicy: follow a recorded motion again, blindly.

It is how a driver or a bridge is tried without any model in the loop, and what open loop is worth:
where everything stands as it did, it repeats a demonstration; where not, it fails.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wm_planner.core.config import parameter, validate
from wm_planner.core.geometry import (
    Array,
    conjugate_quaternion,
    multiply_quaternions,
    quaternion_to_euler,
)
from wm_planner.core.motion import RecordedMotion
from wm_planner.core.types import ActionSpec, Goal, Observation, Plan
from wm_planner.policies.base import OneStepPolicy

_REACH_M, _REACH_RAD = 0.10, 0.5  # of one action; the robot profile's limits hold beside it


@dataclass(frozen=True, kw_only=True)
class PlaybackConfig:
    """What is followed, and how fast."""

    file: str = parameter('', 'motion.csv of wm_planner evaluate --save-motion')
    step_duration_s: float = parameter(0.25, 'duration of one action [s]', low=0.02, high=2.0)
    speed: float = parameter(1.0, 'speed over that of the recording', low=0.05, high=2.0)

    def __post_init__(self) -> None:
        validate(self)


class PlaybackPolicy(OneStepPolicy):
    """Goes to where the recorded tool was one step later, from wherever the arm is now.

    The pictures, goals and words that it gets say nothing to it. Raises InvalidParameterError for a
    file that is no recorded motion. One thread at a time.
    """

    def __init__(self, config: PlaybackConfig) -> None:
        self._motion = RecordedMotion.from_csv(config.file)
        self._advance_s = config.step_duration_s * config.speed
        reach = np.array([_REACH_M] * 3 + [_REACH_RAD] * 3)
        spec = ActionSpec(
            low=np.append(-reach, 0.0),
            high=np.append(reach, 1.0),
            names=('dx', 'dy', 'dz', 'droll', 'dpitch', 'dyaw', 'gripper'),
            step_duration_s=config.step_duration_s,
        )
        super().__init__(spec, seed=0)  # nothing is drawn

    def set_instruction(self, text: str) -> None:
        """Begin anew: a task begins. The words say nothing to a recording."""
        self.reset()

    def reset(self) -> None:
        """Begin anew with the next plan."""
        super().reset()
        self._steps: int | None = None  # carried out since the start; None before the first plan

    def plan(
        self,
        observation: Observation,
        goal: Goal,
        *,
        deadline_s: float | None = None,
        executed_steps: int = 0,
    ) -> Plan:
        """Return a plan of one action."""
        self._steps = 0 if self._steps is None else self._steps + max(executed_steps, 0)
        return super().plan(observation, goal)

    def _action(self, observation: Observation, goal: Goal) -> Array:
        state = observation.state
        to = self._motion.at(((self._steps or 0) + 1) * self._advance_s)
        turn = multiply_quaternions(to.quaternion_xyzw, conjugate_quaternion(state.quaternion_xyzw))
        action = np.concatenate(
            [
                to.position_m - state.position_m,
                quaternion_to_euler(turn),
                [to.gripper_closedness],
            ]
        )
        inside: Array = np.clip(action, self._action_spec.low, self._action_spec.high)
        return inside
