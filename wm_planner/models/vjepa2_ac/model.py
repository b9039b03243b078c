# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""VJepa2AcWorldModel: V-JEPA 2-AC behind the WorldModel protocol."""

from __future__ import annotations

from collections.abc import Mapping
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wm_planner.core.errors import (
    DeviceMemoryError,
    InvalidActionError,
    InvalidParameterError,
    InvalidStateError,
)
from wm_planner.core.types import (
    ActionKind,
    ActionSpec,
    Goal,
    Image,
    Observation,
    check_scene_image,
)
from wm_planner.models.vjepa2_ac.compiling import BlockHalves
from wm_planner.models.vjepa2_ac.config import (
    ACTION_SIZE,
    TRAINED_FRAMES,
    VJepa2AcConfig,
    check_frame_count,
)
from wm_planner.models.vjepa2_ac.memory import free_bytes
from wm_planner.models.vjepa2_ac.network import Encoder, Predictor
from wm_planner.models.vjepa2_ac.poses import actions_between, check_states
from wm_planner.models.vjepa2_ac.preprocessing import Preprocessor
from wm_planner.models.vjepa2_ac.rollout import (
    Context,
    Rollout,
    bytes_at_work,
    bytes_per_sample,
)

if TYPE_CHECKING:
    from wm_planner.models.vjepa2_ac.checkpoint import Manifest

PLANNING_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    'cem': {'num_samples': 256, 'num_elites': 16, 'num_iterations': 4, 'horizon': 1},
    'icem': {'num_samples': 128, 'num_elites': 12, 'num_iterations': 4, 'horizon': 1},
    'mppi': {'num_samples': 256, 'num_elites': 32, 'num_iterations': 4, 'horizon': 1},
    'objective': {'name': 'l1'},
}
"""A tenth of the paper's rollouts, for one step ahead; below anything a user sets."""

ACTION_NAMES = tuple(
    kind.value
    for kind in (
        ActionKind.DX,
        ActionKind.DY,
        ActionKind.DZ,
        ActionKind.DROLL,
        ActionKind.DPITCH,
        ActionKind.DYAW,
        ActionKind.DGRIPPER,
    )
)

CPU_WORKING_SET_BYTES = 24 << 20
"""Of a batch at work on a CPU. Chunks of this size were 5 to 10 % faster than 16 samples at once
(width 384, 2 cores), where every elementwise operation goes through main memory."""

WARM_UP_SAMPLES = (16, 24)

_logger = logging.getLogger(__name__)


class VJepa2AcWorldModel:
    """Plans from pictures and the tool's pose: T frames in, N tokens [N, D] a frame, L1 energies.

    An action is [dx, dy, dz (m), droll, dpitch, dyaw (rad), dclosedness] in the robot's base frame;
    a step is a quasi-static displacement. Latents are normalised tokens in float32 whatever the
    networks' precision, so that energies rank alike.

    Belongs to one thread at a time. Device and precision are fixed at construction.
    """

    def __init__(
        self,
        encoder: Encoder,
        predictor: Predictor,
        config: VJepa2AcConfig,
        *,
        device: torch.device,
        manifest: Manifest | None = None,
    ) -> None:
        self._encoder = encoder
        self._predictor = predictor
        self._config = config
        self._device = device
        self._manifest = manifest
        architecture = predictor.architecture
        dtype = predictor.predictor_embed.weight.dtype
        self._preprocess = Preprocessor(
            size=architecture.image_size, crop=config.crop, device=device, dtype=dtype
        )
        wants = config.compile == 'on' or (config.compile == 'auto' and device.type == 'cuda')
        self._halves = BlockHalves(is_wanted=wants)
        self._rollout = Rollout(
            predictor,
            project=self._halves.project,
            finish=self._halves.finish,
            extrinsics=self._extrinsics(architecture.use_extrinsics),
        )
        self._action_spec = _action_spec(config)
        self._has_warned = False

    @classmethod
    def load(cls, config: VJepa2AcConfig, device: str | torch.device = 'cpu') -> VJepa2AcWorldModel:
        """Load ``config.weights`` and warm up.

        Raises ModelLoadError, ChecksumError, InvalidParameterError, or DeviceMemoryError.
        """
        if not config.weights:
            raise InvalidParameterError(
                'model vjepa2_ac needs its weights: convert the released checkpoint once with '
                '`wm_planner model convert vjepa2-ac-vitg.pt` and set world_model.weights to the '
                'file that makes.'
            )
        # Here, so that networks made in memory can be measured where safetensors is not installed.
        from wm_planner.models.vjepa2_ac.checkpoint import load_networks

        place = torch.device(device)
        is_half = config.precision == 'bfloat16' or (
            config.precision == 'auto' and place.type == 'cuda'
        )
        try:
            encoder, predictor, manifest = load_networks(
                Path(config.weights),
                device=place,
                dtype=torch.bfloat16 if is_half else torch.float32,
                verify_checksum=config.verify_checksum,
            )
            model = cls(encoder, predictor, config, device=place, manifest=manifest)
            model.warm_up()
        except torch.OutOfMemoryError as error:
            size = Path(config.weights).stat().st_size / (1 << 30)
            raise DeviceMemoryError(
                f'{place} has no memory for the networks of {config.weights} ({size:.1f} GiB on '
                'disk); valid: a device with more free memory, or precision bfloat16.'
            ) from error
        return model

    @property
    def manifest(self) -> Manifest | None:
        """Return what the weights file says of itself; None for networks made in memory."""
        return self._manifest

    @property
    def device(self) -> torch.device:
        """Return the device that everything runs on."""
        return self._device

    @property
    def predictor(self) -> Predictor:
        """Return the network that rollouts use."""
        return self._predictor

    @property
    def encoder(self) -> Encoder:
        """Return the network that pictures go through."""
        return self._encoder

    @property
    def compile_state(self) -> str:
        """Return 'off', 'pending', 'compiled', or 'failed: ' and why."""
        return self._halves.state

    @property
    def action_spec(self) -> ActionSpec:
        """Return base-frame deltas dx, dy, dz [m], droll, dpitch, dyaw [rad] and dgripper."""
        return self._action_spec

    @property
    def context_frames(self) -> int:
        """Return T."""
        return self._config.context_frames

    @property
    def goal_tolerance(self) -> float:
        """Return the energy set as reached; NaN while none was calibrated."""
        return self._config.goal_tolerance or float('nan')

    def encode(self, observation: Observation) -> Context:
        """Return the context of an observation's T frames and robot states."""
        states = np.stack([state.as_vector() for state in observation.states])
        return self.encode_frames(observation.images, states)

    @torch.inference_mode()
    def encode_frames(self, images: Image, states: npt.ArrayLike) -> Context:
        """Return the context of pictures uint8 [T, H, W, 3] and states [T, 7], oldest first.

        A state is [x, y, z (m), roll, pitch, yaw (rad), closedness] in the base frame. Raises
        InvalidStateError, e.g. for angles in degrees.
        """
        return self.context(self._tokens(images), states)

    @torch.inference_mode()
    def context(
        self, tokens: Tensor, states: npt.ArrayLike, past_actions: npt.ArrayLike | None = None
    ) -> Context:
        """Return the context of normalised tokens [T, N, D] and states [T, 7].

        ``past_actions`` [T - 1, 7] are the actions between the frames; None = what leads from each
        state to the next. Raises InvalidStateError.
        """
        # To float64 first: a tensor made from a list of float32 numbers would round them again.
        poses = torch.tensor(np.asarray(states, dtype=np.float64), device=self._device)
        if poses.shape != (tokens.shape[0], ACTION_SIZE):
            raise InvalidStateError(
                f'states have shape {tuple(poses.shape)} with {tokens.shape[0]} frame(s); valid: '
                f'[{tokens.shape[0]}, {ACTION_SIZE}].'
            )
        check_states(poses)
        actions = actions_between(poses[:-1], poses[1:])
        if past_actions is not None:
            given = torch.tensor(np.asarray(past_actions, dtype=np.float64), device=self._device)
            if given.shape != actions.shape:
                raise InvalidActionError(
                    f'past actions have shape {tuple(given.shape)} with {tokens.shape[0]} '
                    f'frame(s); valid: {tuple(actions.shape)}.'
                )
            actions = given
        return self._rollout.context(tokens, poses, actions)

    def current(self, state: Context) -> Tensor:
        """Return the tokens [N, D] of the newest frame."""
        return state.tokens[-1]

    @torch.inference_mode()
    def encode_goal(self, goal: Goal) -> Tensor:
        """Return the goal's tokens [N, D]; raises InvalidImageError for a single-coloured one."""
        image = check_scene_image(goal.image, f'goal {goal.goal_id!r} image')
        return self._tokens(image[None])[0]

    def rollout(self, state: Context, actions: Tensor) -> Tensor:
        """Return predicted tokens [S, H, N, D], float32, under ``actions`` [S, H, 7].

        Raises InvalidParameterError for a horizon beyond what the predictor can hold.
        """
        return self.predict(state, actions)[0]

    @torch.inference_mode()
    def predict(self, state: Context, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Return predicted tokens [S, H, N, D] and tool states [S, H, 7] under ``actions``."""
        self._check_frames(state.frames, int(actions.shape[1]))
        return self._rollout(state, actions.to(self._device))

    def samples_that_fit(self, horizon: int) -> int:
        """Return how many sequences are rolled out at once: what the free memory holds.

        On a CPU it is no more than what stays near the cores between two operations, too.
        """
        fits = 1 << 30
        if self._device.type == 'cpu':
            fits = max(2, CPU_WORKING_SET_BYTES // bytes_at_work(self._predictor))
        free = free_bytes(self._device)
        if free is None:
            return fits
        need = bytes_per_sample(
            self._predictor, context_frames=self._config.context_frames, horizon=horizon
        )
        return max(1, min(fits, int(free * self._config.memory_fraction / need)))

    @torch.inference_mode()
    def warm_up(self) -> None:
        """Compile and start the device's libraries, so that the first plan takes no longer.

        Two batch sizes, since it is the second one that makes the compiled form take any. Nothing
        is done where there is nothing to prepare: uncompiled on a CPU.
        """
        if self._device.type == 'cpu' and self.compile_state == 'off':
            return
        architecture = self._predictor.architecture
        shape = (1, 3, architecture.image_size, architecture.image_size)
        pixels = torch.zeros(shape, device=self._device, dtype=self._encoder.norm.weight.dtype)
        context = self.context(self._encoder.encode_frames(pixels), np.zeros((1, ACTION_SIZE)))
        for samples in WARM_UP_SAMPLES:
            self._rollout(context, torch.zeros(samples, 1, ACTION_SIZE, device=self._device))

    def check_horizon(self, horizon: int) -> None:
        """Raise InvalidParameterError beyond 32 frames; warn once beyond what was trained."""
        self._check_frames(self._config.context_frames, horizon)

    def _check_frames(self, context_frames: int, horizon: int) -> None:
        check_frame_count(context_frames, horizon)
        if context_frames + horizon > TRAINED_FRAMES and not self._has_warned:
            self._has_warned = True
            _logger.warning(
                '%d context frame(s) and horizon %d are more frames than the %d the released model '
                'was trained on: its predictions are extrapolated.',
                context_frames,
                horizon,
                TRAINED_FRAMES,
            )

    def _tokens(self, images: Image) -> Tensor:
        """Return normalised tokens [T, N, D] of pictures [T, H, W, 3]."""
        return self._encoder.encode_frames(self._preprocess(images))

    def _extrinsics(self, is_used: bool) -> Tensor | None:
        given = self._config.camera_extrinsics
        if is_used != bool(given):
            wants = 'need world_model.camera_extrinsics' if is_used else 'take no camera_extrinsics'
            raise InvalidParameterError(
                f'these weights {wants}; valid: {"6 numbers" if is_used else "an empty list"}.'
            )
        return torch.tensor(given, device=self._device) if given else None


def _action_spec(config: VJepa2AcConfig) -> ActionSpec:
    reach = np.array(
        [*(config.max_delta_m,) * 3, *config.max_rotation_rad, config.max_delta_gripper]
    )
    return ActionSpec(
        low=-reach, high=reach, names=ACTION_NAMES, step_duration_s=config.step_duration_s
    )
