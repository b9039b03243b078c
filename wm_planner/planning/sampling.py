# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The loop that sampling optimizers share: draw, score, refit, remember the best."""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass
import math
from typing import Any

import torch
from torch import Tensor

from wm_planner.core.config import parameter, validate
from wm_planner.core.errors import InvalidParameterError, NoFiniteEnergyError
from wm_planner.core.protocols import EnergyFunction, OptimizationResult
from wm_planner.core.types import ActionSpec, StopReason
from wm_planner.planning.distribution import ActionBounds, ActionDistribution


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """What every sampling optimizer has."""

    num_samples: int = parameter(256, 'action sequences scored an iteration', low=1, high=100_000)
    num_elites: int = parameter(25, 'best sequences the next mean is made of', low=1, high=100_000)
    num_iterations: int = parameter(4, 'refits of the distribution a plan', low=1, high=1000)
    horizon: int = parameter(3, 'H, planned steps', low=1, high=100)
    init_std_scale: float = parameter(
        1.0, 'std of the first draws, in half ranges of each dimension', low=0.001, high=10.0
    )
    min_std_scale: float = parameter(
        0.05, 'floor of the std, in half ranges of each dimension', low=0.0, high=1.0
    )
    include_mean: bool = parameter(
        True, 'score the mean itself as one of the samples, where there are at least two'
    )
    plan_from: str = parameter(
        'mean',
        'what is returned: the final mean (smooth) or the best sequence scored',
        choices=('mean', 'best'),
    )
    early_stop_std_scale: float = parameter(
        0.0, 'stop once every std is at most this many half ranges; 0 = never', low=0.0, high=1.0
    )

    def __post_init__(self) -> None:
        validate(self)
        if self.num_elites > self.num_samples:
            raise InvalidParameterError(
                f'num_elites is {self.num_elites} with num_samples {self.num_samples}; '
                'valid: num_elites <= num_samples.'
            )
        if 0.0 < self.early_stop_std_scale < self.min_std_scale:
            raise InvalidParameterError(
                f'early_stop_std_scale is {self.early_stop_std_scale:g}, under the floor '
                f'min_std_scale {self.min_std_scale:g}; valid: 0 (never), or at least the floor.'
            )


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Candidates of one iteration, best first.

    ``actions`` [K, H, A] and ``energies`` [K]: the elites, all finite, energies ascending.
    """

    actions: Tensor
    energies: Tensor


class SamplingOptimizer(abc.ABC):
    """The Optimizer protocol around two hooks: how to draw candidates, how to move toward elites.

    The base owns what all methods must do alike: bounds hold for every candidate before it is
    scored, a non-finite energy counts as +inf and is never an elite, too few finite candidates
    raise, the best sequence ever scored is remembered, the returned plan's energy is its own.

    Device and dtype are fixed here; no state is kept between calls.
    """

    def __init__(
        self,
        config: SamplingConfig,
        *,
        device: torch.device | str,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._config = config
        self._device = torch.device(device)
        self._dtype = dtype

    @property
    def horizon(self) -> int:
        """Return H."""
        return self._config.horizon

    @abc.abstractmethod
    def _draw(
        self, distribution: ActionDistribution, iteration: int, generator: torch.Generator
    ) -> Tensor:
        """Return candidates [num_samples, H, A]; the base clamps them to the bounds."""

    @abc.abstractmethod
    def _refit(self, distribution: ActionDistribution, elites: Scored) -> ActionDistribution:
        """Return the distribution for the next iteration."""

    def minimize(
        self,
        energy_fn: EnergyFunction,
        spec: ActionSpec,
        *,
        init_mean: Tensor | None,
        generator: Any,
        should_stop: Callable[[], StopReason | None],
    ) -> OptimizationResult:
        """Return the best action sequence found; see the Optimizer protocol."""
        config = self._config
        bounds = ActionBounds.of(spec, device=self._device, dtype=self._dtype)
        distribution = ActionDistribution.start(
            bounds,
            horizon=config.horizon,
            init_mean=init_mean,
            init_std_scale=config.init_std_scale,
        )
        search = _Search(energy_fn, config.num_elites)
        stop_reason, iteration = StopReason.CONVERGED, 0
        for iteration in range(1, config.num_iterations + 1):
            candidates = bounds.clamp(self._draw(distribution, iteration - 1, generator))
            if config.include_mean and config.num_samples > 1:
                candidates[-1] = bounds.clamp(distribution.mean)
            distribution = self._refit(distribution, search.score(candidates))
            if iteration == config.num_iterations:
                break
            if config.early_stop_std_scale > 0.0 and distribution.is_narrower_than(
                config.early_stop_std_scale
            ):
                stop_reason = StopReason.EARLY_STOP
                break
            wanted = should_stop()
            if wanted is not None:
                stop_reason = wanted
                break
        actions, energy = search.choose(bounds.clamp(distribution.mean), config.plan_from)
        return OptimizationResult(
            actions=actions,
            energy=energy,
            mean=distribution.mean,
            std=distribution.std,
            elite_energies=search.elite_energies,
            iterations=iteration,
            rollouts=search.rollouts,
            non_finite_count=search.non_finite_count,
            stop_reason=stop_reason,
        )


class _Search:
    """Scores candidates for one ``minimize`` and keeps the tallies and the best sequence."""

    def __init__(self, energy_fn: EnergyFunction, num_elites: int) -> None:
        self._energy_fn = energy_fn
        self._num_elites = num_elites
        self._best_energy = math.inf
        self._best: Tensor | None = None
        self.elite_energies = torch.empty(0)
        self.rollouts = 0
        self.non_finite_count = 0

    def score(self, candidates: Tensor) -> Scored:
        """Return the elites of ``candidates`` [S, H, A]; raises NoFiniteEnergyError."""
        energies = self._energy_fn(candidates)  # [S]
        number = candidates.shape[0]
        finite = torch.isfinite(energies)
        finite_count = int(finite.sum())
        self.rollouts += number
        self.non_finite_count += number - finite_count
        if finite_count < self._num_elites:
            raise NoFiniteEnergyError(
                f'{finite_count} of {number} candidates have a finite energy; valid: at least '
                f'num_elites = {self._num_elites}.'
            )
        energies = torch.where(finite, energies, math.inf)
        best = torch.topk(energies, self._num_elites, largest=False, sorted=True)
        elites = Scored(actions=candidates[best.indices], energies=best.values)
        self.elite_energies = best.values
        lowest = float(best.values[0])
        if lowest < self._best_energy:
            self._best_energy, self._best = lowest, elites.actions[0]
        return elites

    def choose(self, mean: Tensor, plan_from: str) -> tuple[Tensor, float]:
        """Return the plan [H, A] and its energy.

        The mean of good sequences may itself be bad, e.g. when they pass an obstacle on both
        sides; where its energy is not finite the best sequence scored is returned instead.
        """
        assert self._best is not None, 'choose is called after score'
        if plan_from == 'mean':
            energy = float(self._energy_fn(mean.unsqueeze(0))[0])
            self.rollouts += 1
            if math.isfinite(energy):
                return mean, energy
            self.non_finite_count += 1
        return self._best, self._best_energy
