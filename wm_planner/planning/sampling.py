# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The loop that sampling optimizers share: draw, score, refit, remember the best."""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass, replace
import math
from typing import Any

import torch
from torch import Tensor

from wm_planner.core.config import parameter, validate
from wm_planner.core.errors import InvalidParameterError, NoFiniteEnergyError
from wm_planner.core.protocols import EnergyFunction, OptimizationResult
from wm_planner.core.types import ActionSpec, StopReason
from wm_planner.planning.distribution import ActionBounds, ActionDistribution

_MOST_SAMPLES = 100_000
_MOST_STD_SCALE = 10.0
_WIDER_SAMPLES = 2
_WIDER_STD = 1.5

NormalSource = Callable[[tuple[int, ...], torch.Generator], Tensor]
"""``normal(shape, generator)``: independent standard normal numbers of that shape."""


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

    ``normal`` is where standard normal numbers of a shape come from; by default torch.randn with
    the generator. Device and dtype are fixed here; no state is kept between calls.
    """

    def __init__(
        self,
        config: SamplingConfig,
        *,
        device: torch.device | str,
        dtype: torch.dtype = torch.float32,
        normal: NormalSource | None = None,
    ) -> None:
        self._config = config
        self._device = torch.device(device)
        self._dtype = dtype
        self._given_normal = normal
        self._normal = self._randn if normal is None else normal

    @property
    def horizon(self) -> int:
        """Return H."""
        return self._config.horizon

    def wider(self) -> SamplingOptimizer:
        """Return one like this that draws twice as many samples, half as far again spread out."""
        wide = replace(
            self._config,
            num_samples=min(_WIDER_SAMPLES * self._config.num_samples, _MOST_SAMPLES),
            init_std_scale=min(_WIDER_STD * self._config.init_std_scale, _MOST_STD_SCALE),
        )
        return type(self)(wide, device=self._device, dtype=self._dtype, normal=self._given_normal)

    @abc.abstractmethod
    def _draw(
        self,
        distribution: ActionDistribution,
        iteration: int,
        elites: Tensor | None,
        generator: torch.Generator,
    ) -> Tensor:
        """Return candidates [S, H, A] of iteration 0, 1, ...; the base clamps them to the bounds.

        ``elites`` [K, H, A], best first, are those of the last iteration; before the first, those
        of a warm start or None.
        """

    @abc.abstractmethod
    def _refit(self, distribution: ActionDistribution, elites: Scored) -> ActionDistribution:
        """Return the distribution for the next iteration."""

    # A method that differs in these overrides them.

    def _start(self, bounds: ActionBounds, init_mean: Tensor | None) -> ActionDistribution:
        """Return the distribution of the first draws."""
        return ActionDistribution.start(
            bounds,
            horizon=self._config.horizon,
            init_mean=init_mean,
            init_std_scale=self._config.init_std_scale,
        )

    def _includes_mean(self, iteration: int) -> bool:
        """Return whether the mean is one of the samples of iteration 0, 1, ..."""
        return self._config.include_mean

    def _constrain(self, actions: Tensor, bounds: ActionBounds) -> Tensor:
        """Return ``actions`` [S, H, A] as they may be scored."""
        return bounds.clamp(actions)

    def _plan_of(self, distribution: ActionDistribution) -> Tensor:
        """Return the plan [H, A] that a final distribution stands for."""
        return self._constrain(distribution.mean.unsqueeze(0), distribution.bounds)[0]

    def minimize(
        self,
        energy_fn: EnergyFunction,
        spec: ActionSpec,
        *,
        init_mean: Tensor | None,
        init_elites: Tensor | None = None,
        generator: Any,
        should_stop: Callable[[], StopReason | None],
    ) -> OptimizationResult:
        """Return the best action sequence found; see the Optimizer protocol."""
        config = self._config
        bounds = ActionBounds.of(spec, device=self._device, dtype=self._dtype)
        distribution = self._start(bounds, init_mean)
        search = _Search(energy_fn, config.num_elites)
        memory = None if init_elites is None else init_elites.to(bounds.low)
        stop_reason, iteration = StopReason.CONVERGED, 0
        for iteration in range(1, config.num_iterations + 1):
            drawn = self._draw(distribution, iteration - 1, memory, generator)
            if self._includes_mean(iteration - 1) and drawn.shape[0] > 1:
                # First, so that it is scored even where time is over before the others are.
                drawn = torch.cat([distribution.mean.unsqueeze(0), drawn[:-1]])
            elites = search.score(self._constrain(drawn, bounds))
            if elites is not None:
                memory = elites.actions
                distribution = self._refit(distribution, elites)
            wanted = self._reason_to_stop(distribution, iteration, search, should_stop)
            if wanted is not None:
                stop_reason = wanted
                break
        actions, energy = search.choose(self._plan_of(distribution), config.plan_from)
        return search.result(
            actions=actions,
            energy=energy,
            mean=distribution.mean,
            std=distribution.std,
            iterations=iteration,
            stop_reason=stop_reason,
        )

    def _reason_to_stop(
        self,
        distribution: ActionDistribution,
        iterations: int,
        search: _Search,
        should_stop: Callable[[], StopReason | None],
    ) -> StopReason | None:
        """Return why not to begin another iteration, or None."""
        narrow = self._config.early_stop_std_scale
        if search.was_cut_short:
            return should_stop() or StopReason.DEADLINE
        if iterations == self._config.num_iterations:
            return StopReason.CONVERGED
        if narrow > 0.0 and distribution.is_narrower_than(narrow):
            return StopReason.EARLY_STOP
        return should_stop()

    def _randn(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.randn(shape, generator=generator, device=self._device, dtype=self._dtype)


class _Search:
    """Scores candidates for one ``minimize`` and keeps the tallies and the best sequence."""

    def __init__(self, energy_fn: EnergyFunction, num_elites: int) -> None:
        self._energy_fn = energy_fn
        self._num_elites = num_elites
        self._best_energy = math.inf
        self._best: Tensor | None = None
        self._elites: Scored | None = None
        self._rollouts = 0
        self._non_finite_count = 0
        self.was_cut_short = False

    def score(self, candidates: Tensor) -> Scored | None:
        """Return the elites of ``candidates`` [S, H, A]; raises NoFiniteEnergyError.

        None where the time was over before enough of them were scored; the elites of the iteration
        before stand then.
        """
        number = candidates.shape[0]
        energies = self._energy_fn(candidates)  # [S']
        finite = torch.isfinite(energies)
        finite_count = int(finite.sum())
        while self._elites is None and energies.shape[0] < number:
            if finite_count >= self._num_elites:
                break
            more = self._energy_fn(candidates[energies.shape[0] :])
            energies = torch.cat([energies, more])
            finite = torch.isfinite(energies)
            finite_count = int(finite.sum())
        scored = energies.shape[0]
        self.was_cut_short = scored < number
        self._rollouts += scored
        self._non_finite_count += scored - finite_count
        if finite_count < self._num_elites and not self.was_cut_short:
            raise NoFiniteEnergyError(
                f'{finite_count} of {number} candidates have a finite energy; valid: at least '
                f'num_elites = {self._num_elites}.'
            )
        energies = torch.where(finite, energies, math.inf)
        best = torch.topk(energies, min(self._num_elites, scored), largest=False, sorted=True)
        lowest = float(best.values[0])
        if lowest < self._best_energy:
            self._best_energy, self._best = lowest, candidates[best.indices[0]]
        if finite_count < self._num_elites:
            return None
        self._elites = Scored(actions=candidates[best.indices], energies=best.values)
        return self._elites

    def choose(self, mean: Tensor, plan_from: str) -> tuple[Tensor, float]:
        """Return the plan [H, A] and its energy.

        The mean of good sequences may itself be bad, e.g. when they pass an obstacle on both
        sides; where its energy is not finite the best sequence scored is returned instead.
        """
        assert self._best is not None, 'choose is called after score'
        if plan_from == 'mean':
            energy = float(self._energy_fn(mean.unsqueeze(0))[0])
            self._rollouts += 1
            if math.isfinite(energy):
                return mean, energy
            self._non_finite_count += 1
        return self._best, self._best_energy

    def result(self, **found: Any) -> OptimizationResult:
        """Return the result that ``found`` and the tallies make."""
        assert self._elites is not None, 'result is called after score'
        return OptimizationResult(
            elites=self._elites.actions,
            elite_energies=self._elites.energies,
            rollouts=self._rollouts,
            non_finite_count=self._non_finite_count,
            **found,
        )
