# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Chain: which of a list of goals to pursue after each plan, decided by how the energy falls.

Pure decisions: no time, no motion, no ROS. The node and the evaluation in one process share them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import enum
import math

from wm_planner.core.actions import is_gripper_there
from wm_planner.core.config import parameter, validate
from wm_planner.core.errors import InvalidGoalError, NoProgressError
from wm_planner.core.types import Goal


class ChainKind(enum.IntEnum):
    """What a list of goals advances by: the values of wm_planner_msgs/ReachGoal."""

    SCHEDULE = 0  # the steps of each goal, and a reached tolerance
    PROGRESS = 1  # the energy: a Chain


CHAINS = tuple(kind.name.lower() for kind in ChainKind)
"""The kinds by the names that people give, at the places of their values."""


@dataclass(frozen=True, kw_only=True)
class ChainConfig:
    """When a chain by progress goes on, searches wider, goes back or gives up."""

    chain_within: float = parameter(
        0.1,
        'chains by progress: part of the tolerance within which a goal is left without waiting '
        'for its energy to flatten',
        low=0.01,
        high=1.0,
    )
    chain_plans: int = parameter(
        1,
        'chains by progress: plans in a row within that part of the tolerance that it takes; one '
        'is enough before the first step toward a goal',
        low=1,
        high=100,
    )
    chain_near: float = parameter(
        1.5,
        'chains by progress: multiple of the tolerance below which a goal whose energy has '
        'flattened is left; for the last goal of a chain it is 1',
        low=1.0,
        high=100.0,
    )
    chain_flat_plans: int = parameter(
        2,
        'chains by progress: plans in a row without a lower energy after which it has flattened',
        low=1,
        high=1000,
    )
    chain_stall_plans: int = parameter(
        4,
        'chains by progress: plans in a row without a lower energy, away from the goal, after '
        'which the search is widened, and again after which the chain goes back or ends',
        low=1,
        high=1000,
    )
    chain_gain: float = parameter(
        0.05,
        'chains by progress: part by which the energy must fall to count as lower',
        low=0.0,
        high=1.0,
    )

    chain_closed_above: float = parameter(
        0.25,
        'chains by progress: recorded closedness above which a goal has the gripper closed',
        low=0.0,
        high=1.0,
    )

    def __post_init__(self) -> None:
        validate(self)


class Decision(enum.Enum):
    """What a chain does with a plan."""

    GO_ON = 'go_on'  # execute the plan
    ADVANCE = 'advance'  # the goal is reached: the next one
    FLATTENED = 'flattened'  # as near as it comes: the next one
    SKIP = 'skip'  # the goal was satisfied before any step toward it: the next one
    WIDEN = 'widen'  # plan again from here, wider
    GO_BACK = 'go_back'  # pursue the goal before again
    REACHED = 'reached'  # the last goal is reached: the end
    SATISFIED = 'satisfied'  # every goal was satisfied without a step: the end
    TIMEOUT = 'timeout'  # the steps are used up: the end
    STALLED = 'stalled'  # the energy no longer falls whatever was tried: the end

    @property
    def is_end(self) -> bool:
        """Return whether the chain has ended."""
        return self in (
            Decision.REACHED,
            Decision.SATISFIED,
            Decision.TIMEOUT,
            Decision.STALLED,
        )


def check_tolerance(tolerance: float) -> None:
    """Raise InvalidGoalError for a tolerance that a chain by progress cannot go by."""
    if not tolerance > 0.0:
        raise InvalidGoalError(
            f'a chain by progress has the tolerance {tolerance:g}; valid: > 0. Calibrate the world '
            'model for this camera, give a tolerance, or use the fixed schedule.'
        )


class Chain:
    """Walks through ``goals`` by the energies of the plans made toward each in turn.

    A goal is left when its energy is below ``chain_within`` of ``tolerance``, or no longer falls
    near it, and its gripper is where the goal has it, which energies hardly see. Where the energy
    no longer falls away from the goal the search is widened, until it falls again; where that does
    not help the chain goes back one goal, once for each goal, which it leaves as soon as its energy
    no longer falls; then it ends STALLED. All goals
    share ``budget`` steps, None = no limit: what one saves another may use.

    Raises InvalidGoalError without a tolerance: nothing could then be told to be near.
    """

    def __init__(
        self,
        goals: Sequence[Goal],
        *,
        tolerance: float,
        config: ChainConfig,
        budget: int | None = None,
    ) -> None:
        check_tolerance(tolerance)
        self._goals = tuple(goals)
        self._tolerance = tolerance
        self._config = config
        self._budget = budget
        self._went_back_from: set[int] = set()
        self._closedness = math.nan  # of the plan before
        self.index = 0
        self.steps = 0
        self.is_wide = False
        self._best = math.inf  # toward this goal, since it was begun
        self._without_gain = self._within = self._steps_here = 0
        self.best_energies: list[float] = []
        self.decision = Decision.GO_ON
        self.decisions: list[str] = []  # every one but GO_ON, in a sentence
        self.stall: NoProgressError | None = None
        self._begin(0)

    @property
    def steps_left(self) -> int | None:
        """Return the steps the whole chain may still take, None = no limit."""
        return None if self._budget is None else max(self._budget - self.steps, 0)

    def on_steps(self, steps: int) -> None:
        """Take the number of steps just executed."""
        self.steps += steps
        self._steps_here += steps

    def on_plan(self, energy: float, closedness: float) -> Decision:
        """Take the energy of a new plan and the gripper it was made at; return what to do."""
        if energy < self._best * (1.0 - self._config.chain_gain):
            self._best, self._without_gain, self.is_wide = energy, 0, False
        else:
            self._without_gain += 1
        lowest = self.best_energies[self.index]
        self.best_energies[self.index] = energy if math.isnan(lowest) else min(lowest, energy)
        decision = self._decide(energy, self._is_gripper_there(closedness))
        self._closedness = closedness
        self.decision = decision
        if decision is not Decision.GO_ON:
            self._carry_out(decision, energy)
        return decision

    def _decide(self, energy: float, is_gripper_there: bool) -> Decision:
        config, tolerance = self._config, self._tolerance
        is_last = self.index + 1 == len(self._goals)
        is_within = is_gripper_there and energy < config.chain_within * tolerance
        self._within = self._within + 1 if is_within else 0
        if self._within >= (config.chain_plans if self._steps_here else 1):
            return self._leave(Decision.ADVANCE, is_last)
        # What has been moved since may never look again as it does in a goal that was gone back to.
        near = math.inf if self._is_back else 1.0 if is_last else config.chain_near
        is_flat = self._without_gain >= config.chain_flat_plans
        if is_gripper_there and is_flat and energy < near * tolerance:
            return self._leave(Decision.FLATTENED, is_last)
        if self.steps_left == 0:
            # Where it ends within the tolerance it has arrived, though it might have come nearer.
            is_reached = is_last and is_gripper_there and energy < tolerance
            return Decision.REACHED if is_reached else Decision.TIMEOUT
        if self._without_gain < config.chain_stall_plans:
            return Decision.GO_ON
        if not self.is_wide:
            return Decision.WIDEN
        if self.index > 0 and self.index not in self._went_back_from:
            return Decision.GO_BACK
        return Decision.STALLED

    def _leave(self, how: Decision, is_last: bool) -> Decision:
        if is_last:
            return Decision.REACHED if self.steps else Decision.SATISFIED
        return how if self._steps_here else Decision.SKIP

    def _carry_out(self, decision: Decision, energy: float) -> None:
        left = self.index
        if decision in (Decision.ADVANCE, Decision.FLATTENED, Decision.SKIP):
            self._begin(left + 1)
        elif decision is Decision.GO_BACK:
            self._went_back_from.add(left)
            self._begin(left - 1)
            self._is_back = True
        elif decision is Decision.WIDEN:
            self.is_wide, self._without_gain = True, 0
        elif decision is Decision.STALLED:
            self.stall = NoProgressError(
                f'goal {left} stays at an energy of {energy:.4g}, its best '
                f'{self.best_energies[left]:.4g}, tolerance {self._tolerance:.4g}; a wider search '
                'and the goal before did not help. Try a sub-goal on the way, or another start.'
            )
        self.decisions.append(
            f'{len(self.decisions) + 1} {decision.value}: goal {left} at an energy of {energy:.4g} '
            f'(tolerance {self._tolerance:.4g}) after {self.steps} steps'
        )

    def _begin(self, index: int) -> None:
        self.index = index
        while len(self.best_energies) <= index:
            self.best_energies.append(math.nan)
        self.is_wide = self._is_back = False
        self._best = math.inf
        self._without_gain = self._within = self._steps_here = 0

    def _is_gripper_there(self, closedness: float) -> bool:
        wanted = self._goals[self.index].gripper_closedness
        return wanted is None or is_gripper_there(
            wanted, closedness, self._closedness, self._config.chain_closed_above
        )
