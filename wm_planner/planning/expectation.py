# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What a plan expects to see, and how far off that was: the world model against the world."""

from __future__ import annotations

import logging
import math

from torch import Tensor

from wm_planner.core.errors import WmPlannerError
from wm_planner.core.protocols import LatentState, Objective, WorldModel

_logger = logging.getLogger(__name__)


class Expectation:
    """The latents that the last plan predicted, to be compared with what came.

    ``surprise`` is ``d(predicted, seen) / (d(predicted, before) + tolerance)`` with the objective's
    distance ``d``: how far off the prediction was over how much change it predicted. 0 is as
    predicted, 1 no better than to predict no change at all. The tolerance, the energy at which two
    views count as the same, keeps steps that change nothing from dividing by nothing.

    One rollout of one sequence a plan. One thread: the planning thread.
    """

    def __init__(self, model: WorldModel, objective: Objective) -> None:
        self._model = model
        self._objective = objective
        tolerance = model.goal_tolerance
        self._tolerance = tolerance if math.isfinite(tolerance) else 0.0
        self._plan: tuple[LatentState, Tensor] | None = None
        self._predicted: Tensor | None = None  # [H, N, D]

    def forget(self) -> None:
        """Expect nothing."""
        self._plan = self._predicted = None

    def expect(self, state: LatentState, actions: Tensor) -> None:
        """Remember a plan [H, A] from ``state``; costs nothing yet."""
        self._plan, self._predicted = (state, actions), None

    def roll_out(self) -> None:
        """Predict what the remembered plan leads to, unless that was done."""
        if self._plan is None or self._predicted is not None:
            return
        state, actions = self._plan
        try:
            self._predicted = self._model.rollout(state, actions[None])[0]
        except (RuntimeError, MemoryError, WmPlannerError) as error:
            _logger.warning('no prediction to compare with: %s', error)
            self.forget()  # what cannot be compared must not fail a plan

    def surprise(self, state: LatentState, executed_steps: int) -> float:
        """Return how far off ``state`` is after ``executed_steps`` of the plan; NaN if unknown."""
        if self._plan is None or not 1 <= executed_steps <= self._plan[1].shape[0]:
            return math.nan
        self.roll_out()
        plan, predicted = self._plan, self._predicted
        if plan is None or predicted is None:
            return math.nan
        expected = predicted[executed_steps - 1]
        missed = float(self._objective.distance(expected, self._model.current(state)))
        change = float(self._objective.distance(expected, self._model.current(plan[0])))
        whole = change + self._tolerance
        return missed / whole if whole > 0.0 and math.isfinite(missed) else math.nan


def relief(first_energies: Tensor | None, energy: float) -> float:
    """Return by what part ``energy`` is below the median of the first candidates; NaN if unknown.

    Where all that could be done looks the same to the model, that is nearly 0, however good the
    search.
    """
    if first_energies is None:
        return math.nan
    finite = first_energies[first_energies.isfinite()]
    if finite.numel() == 0:
        return math.nan
    median = float(finite.median())
    return (median - energy) / abs(median) if median != 0.0 else math.nan
