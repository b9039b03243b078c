# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The cross-entropy method, and V-JEPA 2-AC's own form of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from wm_planner.core.config import parameter
from wm_planner.core.errors import InvalidParameterError
from wm_planner.core.types import ActionKind
from wm_planner.planning.distribution import ActionBounds, ActionDistribution
from wm_planner.planning.sampling import NormalSource, SamplingConfig, SamplingOptimizer, Scored

_ROTATIONS = (ActionKind.DROLL, ActionKind.DPITCH, ActionKind.DYAW)
_GRIPPERS = (ActionKind.DGRIPPER, ActionKind.GRIPPER)
_REFERENCE_GRIPPER_STD = 1.0  # of the first draws, in closedness
_REFERENCE_GRIPPER_MOMENTUM = (0.15, 0.15)
_REFERENCE_GRIPPER_DEAD_ZONE = 0.25  # a final gripper delta below this is none
_CLOSE = 1.0  # as a delta and as a closedness


@dataclass(frozen=True, kw_only=True)
class CemConfig(SamplingConfig):
    """Settings of the cross-entropy method."""

    momentum_mean: float = parameter(
        0.0, 'weight of the old mean in a refit: 0 = elites alone', low=0.0, high=0.99
    )
    momentum_std: float = parameter(
        0.0, 'weight of the old std in a refit: 0 = elites alone', low=0.0, high=0.99
    )
    gripper_momentum: tuple[float, ...] = parameter(
        (),
        'the two momenta of the gripper dimension (mean, std); empty: the same as the others, or '
        '0.15 each with reference',
        low=0.0,
        high=0.99,
    )
    reference: bool = parameter(
        False,
        "plan exactly as V-JEPA 2-AC's own code does; init_std_scale, min_std_scale, include_mean "
        'and the warm start are then without effect',
    )
    close_gripper_step: int = parameter(
        -1,
        'step from which on every candidate closes the gripper; -1 = none',
        low=-1,
        high=100,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.gripper_momentum) not in (0, 2):
            raise InvalidParameterError(
                f'gripper_momentum has {len(self.gripper_momentum)} values; valid: 2 (mean, std), '
                'or none.'
            )
        if self.reference and self.num_elites < 2:
            raise InvalidParameterError(
                'num_elites is 1 with reference, whose std is unbiased; valid: at least 2.'
            )
        if self.reference and self.plan_from != 'mean':
            raise InvalidParameterError(
                f"plan_from is '{self.plan_from}' with reference; valid: 'mean'."
            )


class CemOptimizer(SamplingOptimizer):
    """Cross-entropy method: draw from a Gaussian, refit it to the K best, repeat.

    Each iteration draws S sequences independently of each other and of the steps in them; mean and
    std move to those of the elites with their momenta (see ActionDistribution.refit).

    ``reference`` gives the numbers of V-JEPA 2-AC's own planner (arXiv 2506.09985), so that the
    same draws give the same action: every plan starts at no motion, with a std of half the range
    and of 1 for a gripper delta; each step is drawn by itself, in all dimensions but the rotations
    that are pinned; the std of the elites is unbiased (K - 1) and has no floor; the plan is the
    mean, its gripper deltas under 0.25 set to 0.

    ``close_gripper_step`` is its other rule: from there on the gripper of every candidate closes,
    by a delta of 1, whatever the bounds say. It is the one exception to them; the planner clips
    what leaves.
    """

    def __init__(
        self,
        config: CemConfig,
        *,
        device: torch.device | str,
        dtype: torch.dtype = torch.float32,
        normal: NormalSource | None = None,
    ) -> None:
        super().__init__(config, device=device, dtype=dtype, normal=normal)
        self._cem = config

    def _start(self, bounds: ActionBounds, init_mean: Tensor | None) -> ActionDistribution:
        if self._cem.close_gripper_step >= 0 and not bounds.dimensions(*_GRIPPERS):
            raise InvalidParameterError(
                f'close_gripper_step is {self._cem.close_gripper_step}, but the world model has no '
                f'gripper among its actions {", ".join(bounds.spec.names)}; valid: -1.'
            )
        if not self._cem.reference:
            return super()._start(bounds, init_mean)
        start = ActionDistribution.start(
            bounds, horizon=self._cem.horizon, init_mean=None, init_std_scale=1.0
        )
        mean = bounds.clamp(torch.zeros_like(start.mean))
        absolute = bounds.dimensions(ActionKind.GRIPPER)  # 0 there means open, not no motion
        mean[:, absolute] = start.mean[:, absolute]
        std = start.std
        for index in bounds.dimensions(ActionKind.DGRIPPER):
            std[:, index] = torch.where(std[:, index] > 0.0, _REFERENCE_GRIPPER_STD, 0.0)
        return replace(start, mean=mean, std=std)

    def _includes_mean(self, iteration: int) -> bool:
        return self._cem.include_mean and not self._cem.reference

    def _draw(
        self,
        distribution: ActionDistribution,
        iteration: int,
        elites: Tensor | None,
        generator: torch.Generator,
    ) -> Tensor:
        shape = (self._cem.num_samples, *distribution.mean.shape)
        if not self._cem.reference:
            return distribution.sample(self._normal(shape, generator))
        spec = distribution.bounds.spec
        rotations = distribution.bounds.dimensions(*_ROTATIONS)
        pinned = [index for index in rotations if spec.low[index] == spec.high[index]]
        drawn = [index for index in range(spec.size) if index not in pinned]
        noise = torch.zeros(shape, device=self._device, dtype=self._dtype)
        for step in range(self._cem.horizon):
            numbers = self._normal((self._cem.num_samples, len(drawn)), generator)
            noise[:, step, drawn] = numbers.to(noise)
        return distribution.sample(noise)

    def _constrain(self, actions: Tensor, bounds: ActionBounds) -> Tensor:
        inside = bounds.clamp(actions)
        if self._cem.close_gripper_step >= 0:
            inside[:, self._cem.close_gripper_step :, bounds.dimensions(*_GRIPPERS)] = _CLOSE
        return inside

    def _refit(self, distribution: ActionDistribution, elites: Scored) -> ActionDistribution:
        is_reference = self._cem.reference
        momentum_mean, momentum_std = self._momenta(distribution.bounds)
        return distribution.refit(
            elites.actions,
            momentum_mean=momentum_mean,
            momentum_std=momentum_std,
            min_std_scale=0.0 if is_reference else self._cem.min_std_scale,
            correction=1 if is_reference else 0,
        )

    def _momenta(self, bounds: ActionBounds) -> tuple[float | Tensor, float | Tensor]:
        """Return the momenta of mean and std, one number or one a dimension [A]."""
        common = (self._cem.momentum_mean, self._cem.momentum_std)
        reference = _REFERENCE_GRIPPER_MOMENTUM if self._cem.reference else ()
        own = self._cem.gripper_momentum or reference
        if not own:
            return common
        grippers = bounds.dimensions(*_GRIPPERS)
        momenta = [torch.full_like(bounds.low, value) for value in common]
        for momentum, value in zip(momenta, own, strict=True):
            momentum[grippers] = value
        return momenta[0], momenta[1]

    def _plan_of(self, distribution: ActionDistribution) -> Tensor:
        if not self._cem.reference:
            return super()._plan_of(distribution)
        plan = distribution.mean.clone()
        for index in distribution.bounds.dimensions(ActionKind.DGRIPPER):
            delta = plan[:, index]
            plan[:, index] = torch.where(delta.abs() < _REFERENCE_GRIPPER_DEAD_ZONE, 0.0, delta)
        return plan
