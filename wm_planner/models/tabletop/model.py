# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""TabletopWorldModel: the small world model behind the WorldModel protocol."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wm_planner.core.types import (
    ActionSpec,
    Goal,
    Observation,
    UncertaintyLimits,
    check_scene_image,
)
from wm_planner.models.tabletop.checkpoint import (
    SHIPPED_WEIGHTS,
    ModelCard,
    load_weights,
    shipped_weights,
)
from wm_planner.models.tabletop.network import TabletopNetwork, to_network_input

PLANNING_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    'cem': {
        'num_samples': 256,
        'num_elites': 25,
        'num_iterations': 4,
        'horizon': 3,
        'init_std_scale': 0.5,
    },
    'objective': {'name': 'mse', 'step_weight': 0.5},
}
"""What this model plans best with; below anything a user sets."""


UNCERTAINTY_LIMITS = UncertaintyLimits(min_relief=0.3, max_spread=0.3, max_surprise=0.75)
"""Measured by ``benchmarks/uncertainty.py``; the figures are in ``docs/safety.md``."""


class TabletopWorldModel:
    """Plans see pictures alone: one frame in, one token [1, D] a frame, an MLP rolled forward.

    Belongs to one thread at a time. Device and precision (float32) are fixed at construction.
    """

    def __init__(self, network: TabletopNetwork, card: ModelCard, device: torch.device) -> None:
        self._network = network.to(device).eval().requires_grad_(False)
        self._card = card
        self._device = device
        low = torch.tensor(card.action_spec.low.tolist(), dtype=torch.float32, device=device)
        high = torch.tensor(card.action_spec.high.tolist(), dtype=torch.float32, device=device)
        self._middle, self._half_range = (low + high) / 2.0, (high - low) / 2.0

    @classmethod
    def load(
        cls, weights: str | Path | None = None, device: str | torch.device = 'cpu'
    ) -> TabletopWorldModel:
        """Load a weights file, one that ships by its name (``tabletop_cameras``), or ``tabletop``.

        Raises ModelLoadError or ChecksumError.
        """
        network, card = load_weights(shipped_weights(weights) if weights else SHIPPED_WEIGHTS)
        return cls(network, card, torch.device(device))

    @property
    def card(self) -> ModelCard:
        """Return the model card."""
        return self._card

    @property
    def device(self) -> torch.device:
        """Return the device that rollouts run on."""
        return self._device

    @property
    def action_spec(self) -> ActionSpec:
        """Return base-frame deltas dx, dy, dz [m], dyaw [rad] and absolute gripper closedness."""
        return self._card.action_spec

    @property
    def context_frames(self) -> int:
        """Return 1: the arm is quasi-static between steps, so one frame says where things are."""
        return 1

    @property
    def goal_tolerance(self) -> float:
        """Return the energy calibrated as reached (mean squared latent difference)."""
        return self._card.goal_tolerance

    @property
    def uncertainty_limits(self) -> UncertaintyLimits:
        """Return the limits beyond which no good run was."""
        return UNCERTAINTY_LIMITS

    @torch.inference_mode()
    def encode(self, observation: Observation) -> Tensor:
        """Return the latent [1, D] of the newest frame."""
        return self._encode(observation.images[-1])

    def current(self, state: Tensor) -> Tensor:
        """Return the latent [1, D] of the newest frame."""
        return state

    @torch.inference_mode()
    def encode_goal(self, goal: Goal) -> Tensor:
        """Return the goal latent [1, D]; raises InvalidImageError for a single-coloured picture."""
        image = check_scene_image(goal.image, f'goal {goal.goal_id!r} image')
        return self._encode(image)

    @torch.inference_mode()
    def rollout(self, state: Tensor, actions: Tensor) -> Tensor:
        """Return predicted latents [S, H, 1, D] under ``actions`` [S, H, A]."""
        scaled = (actions.to(self._device, torch.float32) - self._middle) / self._half_range
        latent = state.expand(actions.shape[0], -1)  # [S, D]
        predicted = []
        for step in range(actions.shape[1]):
            latent = self._network.predictor(latent, scaled[:, step])
            predicted.append(latent)
        return torch.stack(predicted, dim=1).unsqueeze(2)

    def _encode(self, image: Any) -> Tensor:
        pixels = torch.tensor(image, device=self._device).unsqueeze(0)  # [1, H, W, 3], copied
        size = self._network.config.image_size
        latent: Tensor = self._network.encoder(to_network_input(pixels, size))
        return latent
