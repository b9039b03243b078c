# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The distribution that sampling optimizers draw action sequences from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from wm_planner.core.types import ActionKind, ActionSpec


@dataclass(frozen=True, kw_only=True)
class ActionBounds:
    """An ActionSpec's bounds as tensors: ``low`` [A] and ``high`` [A], on one device."""

    spec: ActionSpec
    low: Tensor
    high: Tensor

    @classmethod
    def of(cls, spec: ActionSpec, *, device: torch.device, dtype: torch.dtype) -> ActionBounds:
        """Return the bounds of ``spec``."""
        return cls(
            spec=spec,
            low=torch.tensor(spec.low, device=device, dtype=dtype),
            high=torch.tensor(spec.high, device=device, dtype=dtype),
        )

    @property
    def half_range(self) -> Tensor:
        """Return half the distance between the bounds [A]; 0 where a dimension is pinned."""
        return (self.high - self.low) / 2.0

    @property
    def middle(self) -> Tensor:
        """Return the middle of the bounds [A]: no motion for deltas, half closed for a gripper."""
        return (self.low + self.high) / 2.0

    def dimensions(self, *kinds: ActionKind) -> list[int]:
        """Return the indices of the dimensions of these kinds, in the order of the spec."""
        names = {kind.value for kind in kinds}
        return [index for index, name in enumerate(self.spec.names) if name in names]

    def clamp(self, actions: Tensor) -> Tensor:
        """Return ``actions`` [..., A] moved to the nearest point inside the bounds."""
        return torch.minimum(torch.maximum(actions, self.low), self.high)


@dataclass(frozen=True, kw_only=True)
class ActionDistribution:
    """A diagonal Gaussian over action sequences whose draws are clamped to the bounds.

    ``mean`` [H, A] and ``std`` [H, A] are those of the Gaussian before clamping, in action units.
    Clamping, unlike rejecting, puts weight on the bounds themselves: the largest allowed step is
    often the right one while the goal is far. A pinned dimension (low = high) has std 0.
    """

    mean: Tensor
    std: Tensor
    bounds: ActionBounds

    @classmethod
    def start(
        cls,
        bounds: ActionBounds,
        *,
        horizon: int,
        init_mean: Tensor | None,
        init_std_scale: float,
    ) -> ActionDistribution:
        """Return the distribution a search starts from.

        Its mean is ``init_mean`` [H, A] clamped to the bounds, or their middle; its std is
        ``init_std_scale`` times half the range of each dimension.
        """
        shape = (horizon, bounds.low.shape[0])
        mean = bounds.middle if init_mean is None else bounds.clamp(init_mean.to(bounds.low))
        return cls(
            mean=mean.expand(shape).clone(),
            std=(init_std_scale * bounds.half_range).expand(shape).clone(),
            bounds=bounds,
        )

    def sample(self, noise: Tensor) -> Tensor:
        """Return the action sequences [S, H, A], inside the bounds, of unit ``noise`` [S, H, A]."""
        return self.bounds.clamp(self.mean + self.std * noise)

    def refit(
        self,
        elites: Tensor,
        *,
        momentum_mean: float | Tensor,
        momentum_std: float | Tensor,
        min_std_scale: float,
        correction: int = 0,
    ) -> ActionDistribution:
        """Return the distribution moved to ``elites`` [K, H, A].

        ``new = momentum * old + (1 - momentum) * elites'``, for mean and std each; a momentum is
        one number or one a dimension [A]. The std of the elites is the population's (divided by
        K - ``correction``), so that one elite gives 0 and not NaN. No std falls below
        ``min_std_scale`` times half the range of its dimension.
        """
        spread = elites.std(dim=0, correction=correction)
        mean = momentum_mean * self.mean + (1.0 - momentum_mean) * elites.mean(dim=0)
        std = momentum_std * self.std + (1.0 - momentum_std) * spread
        return self.moved(mean, std, min_std_scale=min_std_scale)

    def moved(self, mean: Tensor, std: Tensor, *, min_std_scale: float) -> ActionDistribution:
        """Return the distribution with ``mean`` [H, A] and ``std`` [H, A], the std floored."""
        floor = min_std_scale * self.bounds.half_range
        return replace(self, mean=mean, std=torch.maximum(std, floor))

    def is_narrower_than(self, std_scale: float) -> bool:
        """Return whether every std is at most ``std_scale`` times half its dimension's range."""
        return bool((self.std <= std_scale * self.bounds.half_range).all())
