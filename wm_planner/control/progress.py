# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""ProgressWatch: whether plans toward a goal lead anywhere, and whether the planner knows it.

Four signals, one value a plan. ``Signals.of`` takes them from a plan, ``ProgressWatch.look`` says
what they mean for the goal at hand: what is in doubt now, and after how long it counts as a stall.
What is done about a stall is the caller's affair. Pure bookkeeping; one thread at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
import enum
import math

import numpy as np

from wm_planner.core.config import parameter, validate
from wm_planner.core.errors import (
    NoProgressError,
    PlanningError,
    SurpriseError,
    UncertainPlanError,
)
from wm_planner.core.types import Plan, UncertaintyLimits


@dataclass(frozen=True, kw_only=True)
class ProgressConfig:
    """When a goal counts as stalled. Limits of 0 are those calibrated with the planner."""

    stall_plans: int = parameter(
        0,
        'plans in a row without a lower goal energy that end the goals as stalled; 0 = never',
        low=0,
        high=10_000,
    )
    stall_fraction: float = parameter(
        0.02, 'part by which the energy must fall to count as lower', low=0.0, high=1.0
    )
    uncertain_plans: int = parameter(
        0,
        'plans in a row beyond one of the limits of uncertainty that end the goals as stalled; '
        '0 = never',
        low=0,
        high=10_000,
    )
    min_relief: float = parameter(
        0.0,
        'part by which a plan must be better than the median of the first candidates, else the '
        'energy is flat; 0 = as calibrated',
        low=0.0,
        high=1.0,
    )
    max_spread: float = parameter(
        0.0,
        'spread of the elites over half the range of an action above which they scatter; '
        '0 = as calibrated',
        low=0.0,
        high=10.0,
    )
    max_surprise: float = parameter(
        0.0,
        'how far what is seen may be from what was predicted, over the change predicted; '
        '0 = as calibrated',
        low=0.0,
        high=1000.0,
    )

    def __post_init__(self) -> None:
        validate(self)


class Doubt(enum.Enum):
    """What speaks against going on."""

    NO_PROGRESS = 'no_progress'  # the energy does not fall
    FLAT = 'flat'  # all that could be done looks alike to the model
    SCATTERED = 'scattered'  # the best candidates do not agree
    SURPRISE = 'surprise'  # what happens is not what was predicted


@dataclass(frozen=True, kw_only=True, slots=True)
class Signals:
    """What one plan says of itself; NaN where it does not say."""

    energy: float = math.nan  # of the newest observation against the goal
    relief: float = math.nan  # see PlanDiagnostics
    spread: float = math.nan
    surprise: float = math.nan

    @classmethod
    def of(cls, plan: Plan) -> Signals:
        """Return the signals of a plan."""
        found = plan.diagnostics
        return cls(
            energy=plan.goal_energy,
            relief=found.relief,
            spread=_spread(plan),
            surprise=found.surprise,
        )


@dataclass
class ProgressWatch:
    """Follows one goal at a time; ``begin`` with each. NaN never counts as a doubt."""

    config: ProgressConfig
    limits: UncertaintyLimits = field(default_factory=UncertaintyLimits)

    def __post_init__(self) -> None:
        config, own = self.config, self.limits
        self.limits = UncertaintyLimits(
            min_relief=config.min_relief or own.min_relief,
            max_spread=config.max_spread or own.max_spread,
            max_surprise=config.max_surprise or own.max_surprise,
        )
        self.begin()

    def begin(self) -> None:
        """Begin with another goal."""
        self._best = math.inf
        self._without_gain = 0
        self._in_a_row: dict[Doubt, int] = {}

    def look(self, signals: Signals) -> PlanningError | None:
        """Take the signals of a new plan; return, once a doubt has lasted, why and what to try."""
        if signals.energy < self._best * (1.0 - self.config.stall_fraction):
            self._best, self._without_gain = signals.energy, 0
        elif not math.isnan(signals.energy):
            self._without_gain += 1
        doubts = self._doubts(signals)
        self._in_a_row = {doubt: self._in_a_row.get(doubt, 0) + 1 for doubt in doubts}
        return self._stall(signals)

    def _doubts(self, signals: Signals) -> tuple[Doubt, ...]:
        limits = self.limits
        found = {
            Doubt.NO_PROGRESS: self._without_gain > 0,
            Doubt.FLAT: signals.relief < limits.min_relief,
            Doubt.SCATTERED: signals.spread > limits.max_spread,
            Doubt.SURPRISE: signals.surprise > limits.max_surprise,
        }
        return tuple(doubt for doubt, is_so in found.items() if is_so)

    def _stall(self, signals: Signals) -> PlanningError | None:
        """Return why to give up, the most telling reason first."""
        config, limits = self.config, self.limits
        plans = config.uncertain_plans
        lasting = {doubt for doubt, count in self._in_a_row.items() if plans and count >= plans}
        if Doubt.SURPRISE in lasting:
            return SurpriseError(
                f'in {plans} plans in a row, last {signals.surprise:.2f}, what the camera showed '
                'was further from the prediction than '
                f'{limits.max_surprise:g} times the change predicted. Is the arm blocked or the '
                'gripper stuck, is somebody in the picture, has the camera moved, was the model '
                'trained for this view? Then try again, or raise controller.max_surprise.'
            )
        if Doubt.FLAT in lasting:
            return UncertainPlanError(
                f'in {plans} plans in a row, last {signals.relief:.3f}, the best plan was less '
                f'than {limits.min_relief:g} better than the median one: the model sees no '
                'difference between the motions. Is the arm in the picture, the goal from this '
                'camera and within reach? Try sub-goals, or a longer horizon.'
            )
        if Doubt.SCATTERED in lasting:
            return UncertainPlanError(
                f'in {plans} plans in a row, last {signals.spread:.2f}, the best candidates '
                f'scattered over more than {limits.max_spread:g} of the range of the actions. Try '
                'more iterations or samples, or a goal nearer by.'
            )
        if config.stall_plans and self._without_gain >= config.stall_plans:
            return NoProgressError(
                f'the energy has not fallen below {self._best:.4g} in {self._without_gain} plans. '
                'Try sub-goals on the way, another start, a longer horizon or more samples; see '
                '~/plan_diagnostics for what the planner sees.'
            )
        return None


def _spread(plan: Plan) -> float:
    """Return the spread of the plan's first step over half its range, averaged over what is free.

    NaN for a plan without one. A dimension that is pinned has no spread and does not count.
    """
    std = np.asarray(plan.diagnostics.std, np.float64)
    half = (plan.action_spec.high - plan.action_spec.low) / 2.0
    if std.shape != half.shape:
        return math.nan
    is_free = (half > 0.0) & (std > 0.0)
    return float(np.mean(std[is_free] / half[is_free])) if np.any(is_free) else math.nan
