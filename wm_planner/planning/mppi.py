# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""MPPI: model predictive path integral control."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from wm_planner.core.config import parameter
from wm_planner.planning.distribution import ActionDistribution
from wm_planner.planning.sampling import NormalSource, SamplingConfig, SamplingOptimizer, Scored


@dataclass(frozen=True, kw_only=True)
class MppiConfig(SamplingConfig):
    """Settings of MPPI."""

    num_elites: int = parameter(
        64,
        'best sequences the next mean is made of; as many as num_samples: classic MPPI',
        low=1,
        high=100_000,
    )
    temperature: float = parameter(
        0.5,
        'how far above the best an energy may be and still weigh, in standard deviations of the '
        'energies of the elites',
        low=0.001,
        high=1000.0,
    )
    adapt_std: bool = parameter(
        True, 'fit the std to the weighted elites as well; else it stays that of the first draws'
    )


class MppiOptimizer(SamplingOptimizer):
    """Model predictive path integral control (Williams et al. 2017), over elites.

    The next mean is a weighted mean of the K best sequences, the weight of a sequence of energy E
    being ``w = exp(-(E - E_min) / (temperature * spread))`` with ``spread`` the standard deviation
    of the elites' energies. So the temperature is free of the energy's scale: multiplying or
    shifting all energies changes nothing, and one value serves every world model. With
    ``adapt_std`` the std becomes that of the elites under the same weights (down to its floor);
    without, it stays as it began, as in the classic method, and early_stop_std_scale stops nothing.
    """

    def __init__(
        self,
        config: MppiConfig,
        *,
        device: torch.device | str,
        dtype: torch.dtype = torch.float32,
        normal: NormalSource | None = None,
    ) -> None:
        super().__init__(config, device=device, dtype=dtype, normal=normal)
        self._mppi = config

    def _draw(
        self,
        distribution: ActionDistribution,
        iteration: int,
        elites: Tensor | None,
        generator: torch.Generator,
    ) -> Tensor:
        shape = (self._mppi.num_samples, *distribution.mean.shape)
        return distribution.sample(self._normal(shape, generator))

    def _refit(self, distribution: ActionDistribution, elites: Scored) -> ActionDistribution:
        weights = elite_weights(elites.energies, self._mppi.temperature).to(distribution.mean)
        weights = weights[:, None, None]  # [K, 1, 1]
        # From the best, so that a pinned dimension is its value to the last bit.
        best = elites.actions[0]
        mean = best + (weights * (elites.actions - best)).sum(dim=0)
        std = distribution.std
        if self._mppi.adapt_std:
            std = (weights * (elites.actions - mean).square()).sum(dim=0).sqrt()
        return distribution.moved(mean, std, min_std_scale=self._mppi.min_std_scale)


def elite_weights(energies: Tensor, temperature: float) -> Tensor:
    """Return the weights [K], summing to 1, of finite ``energies`` [K]; alike where those are."""
    above = (energies - energies.min()).float()
    spread = above.std(correction=0)
    scaled = torch.where(spread > 0.0, above / (temperature * spread), 0.0)
    return torch.softmax(-scaled, dim=0)
