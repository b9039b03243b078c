# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The cross-entropy method."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from wm_planner.core.config import parameter
from wm_planner.planning.distribution import ActionDistribution
from wm_planner.planning.sampling import SamplingConfig, SamplingOptimizer, Scored


@dataclass(frozen=True, kw_only=True)
class CemConfig(SamplingConfig):
    """Settings of the cross-entropy method."""

    momentum_mean: float = parameter(
        0.0, 'weight of the old mean in a refit: 0 = elites alone', low=0.0, high=0.99
    )
    momentum_std: float = parameter(
        0.0, 'weight of the old std in a refit: 0 = elites alone', low=0.0, high=0.99
    )


class CemOptimizer(SamplingOptimizer):
    """Cross-entropy method: draw from a Gaussian, refit it to the K best, repeat.

    Each iteration draws S sequences independently of each other and of the steps in them; mean and
    std move to those of the elites with their momenta (see ActionDistribution.refit).
    """

    def __init__(
        self,
        config: CemConfig,
        *,
        device: torch.device | str,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(config, device=device, dtype=dtype)
        self._cem = config

    def _draw(
        self, distribution: ActionDistribution, iteration: int, generator: torch.Generator
    ) -> Tensor:
        return distribution.sample(self._cem.num_samples, generator)

    def _refit(self, distribution: ActionDistribution, elites: Scored) -> ActionDistribution:
        return distribution.refit(
            elites.actions,
            momentum_mean=self._cem.momentum_mean,
            momentum_std=self._cem.momentum_std,
            min_std_scale=self._cem.min_std_scale,
        )
