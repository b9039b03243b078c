# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Objectives: how far predicted latents are from a goal latent."""

from __future__ import annotations

import abc
from dataclasses import dataclass

import torch
from torch import Tensor

from wm_planner.core.config import parameter, validate
from wm_planner.core.errors import InvalidParameterError

OBJECTIVE_NAMES = ('l1', 'mse')


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """Which distance, and how much each planned step counts."""

    name: str = parameter(
        'mse', 'distance between latents: mean absolute or mean squared', choices=OBJECTIVE_NAMES
    )
    final_weight: float = parameter(1.0, 'weight of the last step', low=0.0, high=1000.0)
    step_weight: float = parameter(
        0.0, 'weight of each earlier step: above 0, arriving early pays', low=0.0, high=1000.0
    )
    step_weights: tuple[float, ...] = parameter(
        (),
        'weights of the earlier steps one by one (H - 1 of them); empty: step_weight each',
        low=0.0,
        high=1000.0,
    )

    def __post_init__(self) -> None:
        validate(self)

    def weights(self, horizon: int) -> tuple[float, ...]:
        """Return the weight of each step [H]; raises InvalidParameterError if they do not fit."""
        if self.step_weights and len(self.step_weights) != horizon - 1:
            raise InvalidParameterError(
                f'step_weights has {len(self.step_weights)} values; valid: horizon - 1 = '
                f'{horizon - 1}, or none.'
            )
        earlier = self.step_weights or (self.step_weight,) * (horizon - 1)
        weights = (*earlier, self.final_weight)
        if not sum(weights) > 0.0:
            raise InvalidParameterError(
                f'the weights of the {horizon} steps are all 0; valid: at least one above 0.'
            )
        return weights


class StepwiseObjective(abc.ABC):
    """Weighted sum over steps of a distance that is a mean over tokens and width.

    ``energy[s] = sum over h of weight[h] * distance(predicted[s, h], goal)``. Steps of weight 0
    are not looked at. Stateless but for the weights; computed in the latents' dtype and device.
    """

    def __init__(self, config: ObjectiveConfig, *, horizon: int) -> None:
        self._weights = config.weights(horizon)

    @abc.abstractmethod
    def distance(self, latent: Tensor, goal: Tensor) -> Tensor:
        """Return the distance [...] of latents [..., N, D] to ``goal`` [N, D]."""

    def __call__(self, predicted: Tensor, goal: Tensor, actions: Tensor) -> Tensor:
        """Return energies [S] of ``predicted`` [S, H, N, D]; ``actions`` are free of charge."""
        terms = [
            weight * self.distance(predicted[:, step], goal)
            for step, weight in enumerate(self._weights)
            if weight > 0.0
        ]
        return torch.stack(terms).sum(dim=0)


class MeanSquaredObjective(StepwiseObjective):
    """Distance = mean over tokens and width of the squared difference."""

    def distance(self, latent: Tensor, goal: Tensor) -> Tensor:
        """Return mean squared differences [...]."""
        return (latent - goal).square().mean(dim=(-2, -1))


class L1Objective(StepwiseObjective):
    """Distance = mean over tokens and width of the absolute difference, as V-JEPA 2-AC plans."""

    def distance(self, latent: Tensor, goal: Tensor) -> Tensor:
        """Return mean absolute differences [...]."""
        return (latent - goal).abs().mean(dim=(-2, -1))


_CLASSES: dict[str, type[StepwiseObjective]] = {'l1': L1Objective, 'mse': MeanSquaredObjective}


def make_objective(config: ObjectiveConfig, *, horizon: int) -> StepwiseObjective:
    """Return the objective that ``config`` names, for plans of ``horizon`` steps."""
    return _CLASSES[config.name](config, horizon=horizon)
