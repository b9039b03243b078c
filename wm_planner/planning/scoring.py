# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Scorer: what the planner thinks of any actions from one observation toward one goal.

For looking at a model rather than for planning: energy landscapes, replays of recordings. And
``prediction_error``, how far what came is from what was imagined, in units of the energy; the
surprise that stops an arm (planning/expectation.py) is such an error over the change predicted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from wm_planner.core.calibration import NO_TURN_XYZW, actions_to_model, spec_in_base
from wm_planner.core.protocols import LatentState, Objective, WorldModel
from wm_planner.core.types import ActionSpec
from wm_planner.planning.shooting import ChunkSize, ShootingEnergy


class Scorer:
    """Energies and predictions from one observation toward one goal. The planning thread's.

    ``now`` and ``goal`` [N, D] are the latents of the newest frame and of the goal. Actions are in
    base_frame, as plans are, and turned into the model's axes here by ``axes_xyzw``; ``spec`` is
    that of such actions, with the gripper pinned where the goal pins it. ``model_spec`` is that in
    the model's axes, which the search keeps to: a turned box is smaller than the one around it.
    """

    def __init__(
        self,
        model: WorldModel,
        objective: Objective,
        *,
        state: LatentState,
        goal_latent: Tensor,
        spec: ActionSpec,
        axes_xyzw: Sequence[float] = NO_TURN_XYZW,
        chunk_size: ChunkSize | None = None,
    ) -> None:
        """Take ``spec`` in the model's axes."""
        self._model = model
        self._objective = objective
        self._state = state
        self._energy = ShootingEnergy(
            model, objective, state=state, goal_latent=goal_latent, chunk_size=chunk_size
        )
        self.now: Tensor = model.current(state)
        self.goal = goal_latent
        self.model_spec, self._axes_xyzw = spec, tuple(axes_xyzw)
        self.spec = spec_in_base(spec, axes_xyzw)

    @torch.inference_mode()
    def energies(self, actions: Tensor) -> Tensor:
        """Return energies [S] of ``actions`` [S, H, A], H being the planner's horizon."""
        return self._energy(self.in_model_axes(actions))

    @torch.inference_mode()
    def model_energies(self, actions: Tensor) -> Tensor:
        """Return energies [S] of ``actions`` [S, H, A] that are in the model's axes already."""
        return self._energy(actions)

    @torch.inference_mode()
    def latents(self, actions: Tensor) -> Tensor:
        """Return predicted latents [S, H, N, D] under ``actions`` [S, H, A], all at once."""
        predicted: Tensor = self._model.rollout(self._state, self.in_model_axes(actions))
        return predicted

    @torch.inference_mode()
    def distance(self, latent: Tensor, other: Tensor | None = None) -> Tensor:
        """Return the energy [...] of latents [..., N, D] against ``other`` or the goal."""
        result: Tensor = self._objective.distance(latent, self.goal if other is None else other)
        return result

    def in_model_axes(self, actions: Tensor) -> Tensor:
        """Return ``actions`` in the model's axes; untouched, to the last bit, where they agree."""
        if self._axes_xyzw == NO_TURN_XYZW:
            return actions
        turned = actions_to_model(actions.double().cpu().numpy(), self.model_spec, self._axes_xyzw)
        return torch.as_tensor(turned, dtype=actions.dtype, device=actions.device)


def prediction_error(
    predicted: Tensor, came: Tensor, distance: Callable[[Tensor, Tensor], Tensor]
) -> float:
    """Return how far what came is from what was imagined: the objective's own distance.

    ``predicted`` and ``came`` [N, D] are the latent imagined for a moment and that of its frame.
    In the units of the energy, so it can be held against the goal tolerance.
    """
    return float(distance(predicted, came))
