# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""iCEM: the cross-entropy method made cheap enough to replan in real time."""

from __future__ import annotations

from dataclasses import dataclass
import math

import torch
from torch import Tensor

from wm_planner.core.config import parameter
from wm_planner.planning.distribution import ActionDistribution
from wm_planner.planning.sampling import NormalSource, SamplingConfig, SamplingOptimizer, Scored


@dataclass(frozen=True, kw_only=True)
class IcemConfig(SamplingConfig):
    """Settings of iCEM."""

    include_mean: bool = parameter(
        True, 'score the mean itself as one of the samples of the last iteration'
    )
    plan_from: str = parameter(
        'best',
        'what is returned: the final mean (smooth) or the best sequence scored',
        choices=('mean', 'best'),
    )
    momentum_mean: float = parameter(
        0.1, 'weight of the old mean in a refit: 0 = elites alone', low=0.0, high=0.99
    )
    momentum_std: float = parameter(
        0.1, 'weight of the old std in a refit: 0 = elites alone', low=0.0, high=0.99
    )
    noise_beta: float = parameter(
        2.0,
        'exponent of the noise over the steps, whose power falls as 1 / frequency^beta: 0 = white, '
        'higher = actions that last',
        low=0.0,
        high=10.0,
    )
    keep_elites: float = parameter(
        0.3,
        'part of the elites that is scored again among the samples of the next iteration and, '
        'shifted, of the next plan',
        low=0.0,
        high=1.0,
    )
    sample_decay: float = parameter(
        1.25,
        'by what the number of samples is divided from one iteration to the next, down to twice '
        'num_elites; 1 = constant',
        low=1.0,
        high=10.0,
    )

    def samples(self, iteration: int) -> int:
        """Return how many sequences are scored in iteration 0, 1, ..."""
        decayed = int(self.num_samples / self.sample_decay**iteration)
        return min(self.num_samples, max(decayed, 2 * self.num_elites))


class IcemOptimizer(SamplingOptimizer):
    """Sample-efficient cross-entropy method (Pinneri et al. 2020, arXiv 2008.06389).

    What it adds to CEM: noise that is coloured over the steps, because useful actions last longer
    than one step; a memory, some of the best sequences of the iteration (and, shifted, of the plan)
    before being among the samples; fewer samples in each iteration; the mean among the last ones;
    and the best sequence scored as the plan. Unlike in the paper the remembered sequences are part
    of the number of samples and not on top of it, so that a plan costs what its settings say.
    """

    def __init__(
        self,
        config: IcemConfig,
        *,
        device: torch.device | str,
        dtype: torch.dtype = torch.float32,
        normal: NormalSource | None = None,
    ) -> None:
        super().__init__(config, device=device, dtype=dtype, normal=normal)
        self._icem = config

    def _includes_mean(self, iteration: int) -> bool:
        return self._icem.include_mean and iteration == self._icem.num_iterations - 1

    def _draw(
        self,
        distribution: ActionDistribution,
        iteration: int,
        elites: Tensor | None,
        generator: torch.Generator,
    ) -> Tensor:
        number = self._icem.samples(iteration)
        horizon, size = distribution.mean.shape
        white = self._normal(white_shape(number, horizon, size), generator)
        drawn = distribution.sample(coloured_noise(white, horizon, self._icem.noise_beta))
        if elites is None:
            return drawn
        kept = elites[: min(math.ceil(self._icem.keep_elites * elites.shape[0]), number - 1)]
        return torch.cat([kept, drawn[: number - kept.shape[0]]])

    def _refit(self, distribution: ActionDistribution, elites: Scored) -> ActionDistribution:
        return distribution.refit(
            elites.actions,
            momentum_mean=self._icem.momentum_mean,
            momentum_std=self._icem.momentum_std,
            min_std_scale=self._icem.min_std_scale,
        )


def white_shape(samples: int, horizon: int, size: int) -> tuple[int, int, int, int]:
    """Return the shape [S, A, F, 2] of the normal numbers that ``coloured_noise`` is made of."""
    return samples, size, horizon // 2 + 1, 2


def coloured_noise(white: Tensor, horizon: int, beta: float) -> Tensor:
    """Return noise [S, H, A] of unit variance whose power over the steps falls as 1 / f^``beta``.

    ``white`` [S, A, F, 2] are standard normal numbers: real and imaginary part of each of the F
    frequencies. Frequency 0, where the power would be infinite, gets that of the lowest other one
    (Timmer and Koenig 1995). Each step has variance 1; how steps go together is all that ``beta``
    changes.
    """
    frequencies = torch.fft.rfftfreq(horizon, device=white.device, dtype=white.dtype)
    scale = frequencies.clamp(min=1.0 / horizon) ** (-beta / 2.0)  # [F]
    # The transform of a real signal is real at frequency 0 and, for even H, at the highest: their
    # one part carries the variance of two.
    parts = torch.ones(frequencies.shape[0], 2, device=white.device, dtype=white.dtype)
    is_real = [0, -1] if horizon % 2 == 0 else [0]
    parts[is_real] = torch.tensor([math.sqrt(2.0), 0.0], device=white.device, dtype=white.dtype)
    # Var of one step of the inverse transform: each complex frequency appears twice, as a pair.
    counts = parts.square().sum(dim=1) * torch.where(parts[:, 1] > 0.0, 2.0, 1.0)
    variance = (scale.square() * counts).sum() / horizon**2
    spectrum = torch.view_as_complex(white * parts * (scale / variance.sqrt()).unsqueeze(1))
    noise: Tensor = torch.fft.irfft(spectrum, n=horizon, dim=-1)  # [S, A, H]
    return noise.transpose(1, 2)
