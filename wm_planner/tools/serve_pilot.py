# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Pilot: a planner at the stick of a benchmark that asks for one controller input a step."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from wm_planner.core.actions import action_to_command
from wm_planner.core.config import parameter, validate
from wm_planner.core.errors import InvalidGoalError, NoDataError, PlannerFailedError
from wm_planner.core.geometry import Array
from wm_planner.core.protocols import Planner, TakesInstruction
from wm_planner.core.types import (
    ArmCommand,
    Goal,
    Image,
    Observation,
    RobotState,
    check_image,
)
from wm_planner.policies.osc import OscScale, ToolSense, pose_error_to_osc
from wm_planner.tools.serve_goals import GoalFolder

_GRIPPER_DEADBAND = 0.03  # of closedness; within it the fingers go on as they were told before
_SENSED = 8


@dataclass(frozen=True, kw_only=True)
class PilotConfig:
    """What the benchmark's observations and actions are like; the defaults are LIBERO's."""

    camera: str = parameter('agentview', "the harness's name of the camera that is planned with")
    wrist_camera: str = parameter('wrist', "the harness's name of the wrist camera")
    images_are_rotated: bool = parameter(
        True, 'pictures come turned by 180 degrees against the raw frame, as LIBERO adapters do'
    )
    control_rate_hz: float = parameter(
        20.0, 'steps of the benchmark a second [Hz]', low=1.0, high=200.0
    )
    servo_gain: float = parameter(
        2.0, 'input per distance left to an action that lasts several steps', low=0.1, high=10.0
    )
    base_in_world_m: tuple[float, ...] = parameter(
        (-0.66, 0.0, 0.912), "the robot's base in the frame of the sensed positions [m]"
    )

    def __post_init__(self) -> None:
        validate(self)


class Pilot:
    """Plans once an action, then servos towards its target while the benchmark steps.

    An action of a world-model planner is a displacement that takes several of the benchmark's
    steps, and the benchmark's controller delivers a fraction of what one step asks. So the action
    becomes an absolute target, and each step asks for what is left of the way to it.

    Belongs to the planner's thread.
    """

    def __init__(self, planner: Planner, goals: GoalFolder, config: PilotConfig) -> None:
        self._planner = planner
        self._goals = goals
        self._config = config
        self._sense = ToolSense(base_in_world_m=config.base_in_world_m)
        steps = planner.action_spec.step_duration_s * config.control_rate_hz
        self._steps_per_action = max(1, round(steps))
        self._goal: Goal | None = None
        self.end()

    def start(self, task: Mapping[str, Any]) -> None:
        """Begin an episode: look its goal up and encode it. Raises InputError or PlanningError."""
        self.end()
        goal = self._goals.find(task)
        self._planner.reset()
        if isinstance(self._planner, TakesInstruction):
            self._planner.set_instruction(str(task.get('name', '')))
        self._planner.prepare_goal(goal)
        self._goal = goal

    def end(self) -> None:
        """Forget the episode."""
        self._goal = None
        self._seen: deque[Observation] = deque(maxlen=self._planner.context_frames)
        self._target: ArmCommand | None = None
        self._step = 0
        self._gripper = -1.0
        self._has_plan = False

    def act(self, payload: Mapping[str, Any]) -> Array:
        """Return the controller input [7] for an observation.

        Raises InputError, DataError or PlanningError.
        """
        if self._goal is None:
            raise InvalidGoalError('no episode has begun; valid: episode_start first.')
        seen = self._read(payload)
        if self._step % self._steps_per_action == 0:
            self._seen.append(seen)
            self._target = self._next_target(seen.state)
        self._step += 1
        assert self._target is not None
        gain = 1.0 if self._steps_per_action == 1 else self._config.servo_gain
        arm = pose_error_to_osc(
            seen.state, self._target.position_m, self._target.quaternion_xyzw, OscScale(), gain
        )
        return np.append(arm, self._gripper_input(seen.state, self._target))

    def _next_target(self, state: RobotState) -> ArmCommand:
        """Return the target of the action that begins; hold until there are enough frames."""
        if len(self._seen) < self._planner.context_frames:
            return ArmCommand.hold_at(state)
        assert self._goal is not None
        plan = self._planner.plan(
            _joined(self._seen), self._goal, executed_steps=int(self._has_plan)
        )
        self._has_plan = True
        action = plan.actions[0]
        if not np.all(np.isfinite(action)):
            raise PlannerFailedError(f'the planner returned {action.tolist()}; valid: numbers.')
        return action_to_command(action, plan.action_spec, state, state.stamp_ns)

    def _gripper_input(self, state: RobotState, target: ArmCommand) -> float:
        """Return +1 to close, -1 to open: the controller knows no width in between."""
        wanted, now = target.gripper_closedness, state.gripper_closedness
        if wanted >= 1.0 or wanted > now + _GRIPPER_DEADBAND:
            self._gripper = 1.0
        elif wanted <= 0.0 or wanted < now - _GRIPPER_DEADBAND:
            self._gripper = -1.0
        return self._gripper

    def _read(self, payload: Mapping[str, Any]) -> Observation:
        config = self._config
        images = payload.get('images')
        if not isinstance(images, Mapping) or config.camera not in images:
            there = ', '.join(map(str, images)) if isinstance(images, Mapping) else 'none'
            raise NoDataError(
                f'the observation has no camera {config.camera!r}; valid: --camera with one of '
                f'those there are ({there}).'
            )
        states = np.asarray(payload.get('states', ()), dtype=np.float64)
        if states.shape != (_SENSED,):
            raise NoDataError(
                f'the observation has states of shape {list(states.shape)}; valid: [{_SENSED}], '
                'position, axis-angle and two fingers (send_state=true for the benchmark).'
            )
        stamp_ns = round(self._step * 1e9 / config.control_rate_hz)
        wrist = images.get(config.wrist_camera)
        return Observation(
            images=self._upright(images[config.camera])[np.newaxis],
            image_stamps_ns=(stamp_ns,),
            states=(self._sense.state(states, stamp_ns),),
            wrist_image=None if wrist is None else self._upright(wrist),
        )

    def _upright(self, image: Any) -> Image:
        picture = check_image(image, 'camera image')
        if not self._config.images_are_rotated:
            return picture
        return np.ascontiguousarray(picture[:, ::-1])


def _joined(seen: deque[Observation]) -> Observation:
    """Return single frames as one observation, oldest first."""
    return replace(
        seen[-1],
        images=np.concatenate([each.images for each in seen]),
        image_stamps_ns=tuple(each.stamp_ns for each in seen),
        states=tuple(each.state for each in seen),
    )
