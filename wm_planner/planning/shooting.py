# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""ShootingEnergy: a world model and an objective, composed into an energy of actions."""

from __future__ import annotations

import torch
from torch import Tensor

from wm_planner.core.protocols import LatentState, Objective, WorldModel


class ShootingEnergy:
    """``energy(actions[S, H, A]) -> [S]``: roll the model out, compare with the goal.

    At most ``max_samples_per_chunk`` sequences are rolled out at once (0 = all), which bounds the
    memory of large models. The samples of a batch do not see each other, so chunking changes
    nothing but floating-point rounding inside the model's own kernels.
    """

    def __init__(
        self,
        model: WorldModel,
        objective: Objective,
        *,
        state: LatentState,
        goal_latent: Tensor,
        max_samples_per_chunk: int = 0,
    ) -> None:
        self._model = model
        self._objective = objective
        self._state = state
        self._goal_latent = goal_latent
        self._chunk = max_samples_per_chunk

    def __call__(self, actions: Tensor) -> Tensor:
        """Return energies [S] of ``actions`` [S, H, A]."""
        if self._chunk == 0 or actions.shape[0] <= self._chunk:
            return self._score(actions)
        return torch.cat([self._score(chunk) for chunk in torch.split(actions, self._chunk)])

    def _score(self, actions: Tensor) -> Tensor:
        predicted = self._model.rollout(self._state, actions)  # [S, H, N, D]
        energies: Tensor = self._objective(predicted, self._goal_latent, actions)
        return energies
