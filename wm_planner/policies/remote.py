# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What policies on a server have in common: the Planner protocol, chunks, and checks of answers."""

from __future__ import annotations

import abc
from dataclasses import dataclass
import math
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from wm_planner.core.config import parameter
from wm_planner.core.errors import (
    InvalidGoalError,
    InvalidParameterError,
    NoDataError,
    PlannerFailedError,
)
from wm_planner.core.geometry import Array
from wm_planner.core.types import (
    ActionSpec,
    Goal,
    Image,
    Observation,
    Plan,
    PlanDiagnostics,
    StopReason,
    check_image,
)
from wm_planner.policies.frames import rotated_as_trained
from wm_planner.policies.osc import (
    GRIPPERS,
    OSC_SIZE,
    OscScale,
    ToolSense,
    osc_spec,
    osc_to_actions,
)
from wm_planner.policies.transport import ServerConfig, Transport, shortened


@dataclass(frozen=True, kw_only=True)
class RemoteConfig(ServerConfig):
    """Settings of any policy on a server."""

    instruction: str = parameter(
        '', 'what to do, for episodes that say nothing themselves (e.g. on the planner node)'
    )
    control_rate_hz: float = parameter(
        20.0, 'actions a second that the policy was trained at [Hz]', low=1.0, high=200.0
    )
    execute_steps: int = parameter(
        5,
        'actions of an answer that are executed before the server is asked again',
        low=1,
        high=256,
    )
    image_size: int = parameter(224, 'side of the images sent [px]', low=32, high=1024)
    rotate_images: bool = parameter(
        True, 'send images turned by 180 degrees against the raw frame, as LIBERO datasets are'
    )
    use_wrist_image: bool = parameter(True, 'send the wrist camera; false for policies without one')


@dataclass(frozen=True, kw_only=True)
class OscConfig(RemoteConfig):
    """Settings of a policy that acts on robosuite's operational-space controller."""

    position_scale_m: float = parameter(
        0.05, 'displacement that an action component of 1 asks for [m]', low=1e-4, high=1.0
    )
    rotation_scale_rad: float = parameter(
        0.5, 'rotation that an action component of 1 asks for [rad]', low=1e-4, high=1.8
    )
    gripper: str = parameter(
        'closed_positive',
        'last number of an action: -1 open and 1 closed; 1 open and 0 closed; 0 open and 1 closed',
        choices=GRIPPERS,
    )
    base_in_world_m: tuple[float, ...] = parameter(
        (-0.66, 0.0, 0.912),
        "the robot's base in the frame the policy senses positions in, for environments that do "
        'not say where it is [m]',
    )
    tool_yaw_rad: float = parameter(
        0.0,
        'turn about its z axis from the tool frame to the one the policy senses rotations of [rad]',
        low=-math.pi,
        high=math.pi,
    )
    finger_travel_m: float = parameter(
        0.04, 'position of one finger of the open gripper [m]', low=1e-3, high=1.0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.base_in_world_m) != 3:
            raise InvalidParameterError(
                f'base_in_world_m is {list(self.base_in_world_m)}; valid: three numbers [m].'
            )

    @property
    def scale(self) -> OscScale:
        """Return what action components stand for."""
        return OscScale(position_m=self.position_scale_m, rotation_rad=self.rotation_scale_rad)

    @property
    def sense(self) -> ToolSense:
        """Return how the policy senses the arm."""
        return ToolSense(
            base_in_world_m=self.base_in_world_m,
            tool_yaw_rad=self.tool_yaw_rad,
            finger_travel_m=self.finger_travel_m,
        )


class RemotePolicy(abc.ABC):
    """The Planner protocol (and TakesInstruction, Interruptible) for a policy on a server.

    The server answers with a chunk of actions. ``execute_steps`` of them are carried out before it
    is asked again: ``plan`` drops as many as ``executed_steps`` says and hands out the rest without
    a word to the server. A server answers when it answers, so ``deadline_s`` is not looked at;
    ``timeout_s`` bounds the wait.

    Nothing is sent before the first ``plan``. One thread at a time, ``request_stop`` from any.
    """

    def __init__(self, config: RemoteConfig, transport: Transport, action_spec: ActionSpec) -> None:
        self._config = config
        self._transport = transport
        self._action_spec = action_spec
        self._instruction = config.instruction
        self._chunk: Array | None = None  # [n, K] as the server means it, not yet carried out
        self._is_new_episode = True

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

    @property
    def wants_wrist_image(self) -> bool:
        """Return whether the wrist camera is sent."""
        return self._config.use_wrist_image

    def set_instruction(self, text: str) -> None:
        """Take the instruction of the episode; empty: that of the settings."""
        self._instruction = text.strip() or self._config.instruction
        self._chunk = None

    def reset(self) -> None:
        """Forget the chunk; the server is told of a new episode with the next question."""
        self._chunk = None
        self._is_new_episode = True

    def request_stop(self) -> None:
        """Let the plan in progress end soon, as an error. Any thread; for good."""
        self._transport.interrupt()

    def close(self) -> None:
        """Drop the connection."""
        self._transport.close()

    def prepare_goal(self, goal: Goal) -> None:
        """Take any picture: what to do is in the instruction. Raises InvalidImageError."""
        check_image(goal.image, f'goal {goal.goal_id!r} image')

    def plan(
        self,
        observation: Observation,
        goal: Goal,
        *,
        deadline_s: float | None = None,
        executed_steps: int = 0,
    ) -> Plan:
        """Return the actions to come. Raises PlanningError, InvalidGoalError or DataError."""
        begin_ns = time.perf_counter_ns()
        milliseconds = {}
        self._drop(executed_steps)
        if self._chunk is None:
            if not self._instruction:
                raise InvalidGoalError(
                    f'{self._transport.name} wants an instruction and there is none; valid: an '
                    'episode that has one, or planning.instruction.'
                )
            self._chunk = self._asked(observation)[: self._config.execute_steps]
            milliseconds['server'] = (time.perf_counter_ns() - begin_ns) * 1e-6
        actions = self._to_actions(self._chunk, observation)
        milliseconds['total'] = (time.perf_counter_ns() - begin_ns) * 1e-6
        return Plan(
            goal_id=goal.goal_id,
            observation_stamp_ns=observation.stamp_ns,
            actions=np.clip(actions, self._action_spec.low, self._action_spec.high),
            action_spec=self._action_spec,
            energy=math.nan,
            goal_energy=math.nan,
            diagnostics=PlanDiagnostics(
                stop_reason=StopReason.NOT_OPTIMIZED, milliseconds=milliseconds
            ),
        )

    def _drop(self, executed_steps: int) -> None:
        if self._chunk is not None:
            left = self._chunk[max(executed_steps, 0) :]
            self._chunk = left if len(left) else None

    def _asked(self, observation: Observation) -> Array:
        chunk = self._ask(observation, is_first=self._is_new_episode)
        self._is_new_episode = False
        return chunk

    @abc.abstractmethod
    def _ask(self, observation: Observation, *, is_first: bool) -> Array:
        """Return the server's chunk [n >= 1, K] for an observation, checked."""

    @abc.abstractmethod
    def _to_actions(self, chunk: Array, observation: Observation) -> Array:
        """Return what is left of a chunk as actions [n, A] from where ``observation`` is."""

    # -- for subclasses --------------------------------------------------------------------------

    def _turned(self, image: Image) -> Image:
        return rotated_as_trained(image) if self._config.rotate_images else image

    def _wrist_image(self, observation: Observation) -> Image:
        if observation.wrist_image is None:
            raise NoDataError(
                f'{self._transport.name} wants a wrist image and the observation has none; valid: '
                'an environment with a wrist camera, or planning.use_wrist_image=false for a '
                'policy that was trained without.'
            )
        return observation.wrist_image

    def _checked(self, value: Any, *, width: int, what: str) -> Array:
        """Return a server's array as [n, width]; raises PlannerFailedError, naming what it is."""
        valid = f'valid: finite numbers [n, {width}]'
        if not isinstance(value, np.ndarray | list | tuple):
            raise self._wrong(f'{what} are {type(value).__name__}; {valid}')
        try:
            array = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise self._wrong(f'{what} are no array ({error}); {valid}') from error
        if array.ndim != 2 or array.shape[0] < 1 or array.shape[1] != width:
            raise self._wrong(f'{what} have shape {list(array.shape)}; {valid}')
        if not np.all(np.isfinite(array)):
            raise self._wrong(f'{what} hold NaN or infinity; {valid}')
        return array

    def _wrong(self, sentence: str) -> PlannerFailedError:
        return PlannerFailedError(
            f'{self._transport.name} answered what cannot be used: {sentence}.'
        )

    def _raised(self, text: str) -> PlannerFailedError:
        """Return the error for a failure that the server itself reports."""
        self._transport.close()
        return PlannerFailedError(f'{self._transport.name} failed: {shortened(text)}')


class OscPolicy(RemotePolicy):
    """A policy whose chunks are inputs [n, 7] of the operational-space controller."""

    def __init__(self, config: OscConfig, transport: Transport) -> None:
        super().__init__(config, transport, osc_spec(config.scale, 1.0 / config.control_rate_hz))
        self._osc = config
        self._sense = config.sense

    def _to_actions(self, chunk: Array, observation: Observation) -> Array:
        return osc_to_actions(chunk, self._osc.scale, self._osc.gripper)

    def _sensed(self, observation: Observation) -> npt.NDArray[np.float32]:
        return self._sense.proprioception(observation.state, observation.base_in_world_m)

    def _checked_osc(self, value: Any) -> Array:
        return self._checked(value, width=OSC_SIZE, what='actions')
