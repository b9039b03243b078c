# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What a runner in one process keeps of the episode that it runs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
import math

import numpy as np

from wm_planner.control.chain import Decision
from wm_planner.core.errors import WmPlannerError
from wm_planner.core.types import ArmCommand, Observation

CHAIN_ENDS = {
    Decision.REACHED: 'reached',
    Decision.SATISFIED: 'reached',
    Decision.STALLED: 'stalled',
}
"""How an episode ended, by how its chain did."""


JUDGED = ('reached', 'timeout', 'stalled')
"""Endings after which the simulator's truth says whether it was a success; others are failures."""


class EpisodeOver(Exception):
    """The episode ends here and has failed; never leaves the runner."""

    def __init__(self, termination: str, error: WmPlannerError) -> None:
        super().__init__(str(error))
        self.termination = termination
        self.error = error


@dataclass(kw_only=True)
class Tally:
    """What the episode that is running has come to so far."""

    observation: Observation
    success: bool = False
    command: ArmCommand | None = None  # the last that was sent
    distance_m: float | None = None
    steps: int = 0
    executed_steps: int = 0  # of the previous plan: the shift of the warm start
    plan_ms: list[float] = field(default_factory=list)
    plan_rollouts: list[int] = field(default_factory=list)
    goal_energies: list[float] = field(default_factory=list)
    energy_curve: list[float] = field(default_factory=list)
    is_over: bool = False
    cost: float = 0.0
    cost_upstream: float = 0.0
    clamped: int = 0
    refused: int = 0
    refused_in_a_row: int = 0

    def note_energy(self, index: int, energy: float) -> None:
        """Note the energy of a plan toward goal ``index``, which may be one from before."""
        self.goal_energies += [math.nan] * (index + 1 - len(self.goal_energies))
        self.goal_energies[index] = energy
        self.energy_curve.append(energy)


def newest(before: Observation, after: Observation, frames: int) -> Observation:
    """Return the last ``frames`` frames of two observations; the rest is that of the newer."""
    return replace(
        after,
        images=np.concatenate([before.images, after.images])[-frames:],
        image_stamps_ns=(before.image_stamps_ns + after.image_stamps_ns)[-frames:],
        states=(before.states + after.states)[-frames:],
    )
