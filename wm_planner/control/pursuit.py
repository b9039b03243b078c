# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Pursuit: how far a list of goals has got. Pure bookkeeping, no time and no motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
import enum
import math

from wm_planner.control.chain import Chain, ChainConfig, ChainKind, Decision
from wm_planner.control.progress import ProgressConfig, ProgressWatch, Signals
from wm_planner.control.status import Termination
from wm_planner.core.config import parameter, validate
from wm_planner.core.errors import InvalidGoalError, PlanningError
from wm_planner.core.types import Goal, UncertaintyLimits


@dataclass(frozen=True, kw_only=True)
class PursuitConfig(ProgressConfig, ChainConfig):
    """When a goal counts as reached or given up."""

    reached_plans: int = parameter(
        2,
        'plans in a row whose goal energy is below the tolerance for a goal to be reached',
        low=1,
        high=100,
    )
    max_dropped_plans: int = parameter(
        5,
        'plans in a row that came too late to be executed that end the goals as failed',
        low=1,
        high=1000,
    )

    def __post_init__(self) -> None:
        validate(self)


class Next(enum.Enum):
    """What is to be done after an event."""

    EXECUTE = 'execute'  # the plan
    OBSERVE = 'observe'  # and plan anew
    END = 'end'  # ``Pursuit.termination`` says how


_CHAIN_ENDS = {
    Decision.REACHED: Termination.REACHED,
    Decision.SATISFIED: Termination.REACHED,
    Decision.TIMEOUT: Termination.TIMEOUT,
    Decision.STALLED: Termination.STALLED,
}


class Pursuit:
    """A list of goals under way.

    A goal ends when its energy was below ``tolerance`` in ``reached_plans`` plans in a row or its
    steps are used up; then the next begins. The last goal's list ends REACHED, or TIMEOUT when its
    steps are used up; one more plan is asked for then, so that the energy judged is that of where
    the arm is. A tolerance that is negative or NaN is never met.

    With ``kind`` PROGRESS a Chain decides instead: the goals share the sum of their steps (no limit
    if one of them has none), and ``decision`` tells the last thing it did. One thread at a time.
    """

    def __init__(
        self,
        goals: Sequence[Goal],
        *,
        steps_per_goal: Sequence[int],
        tolerance: float,
        config: PursuitConfig,
        list_id: int,
        limits: UncertaintyLimits | None = None,
        kind: ChainKind = ChainKind.SCHEDULE,
    ) -> None:
        if not goals:
            raise InvalidGoalError('the list of goals is empty; valid: at least one goal.')
        if steps_per_goal and len(steps_per_goal) != len(goals):
            raise InvalidGoalError(
                f'steps_per_goal has {len(steps_per_goal)} values for {len(goals)} goals; valid: '
                'one for each, or none.'
            )
        if any(steps < 0 for steps in steps_per_goal):
            raise InvalidGoalError(
                f'steps_per_goal is {list(steps_per_goal)}; valid: >= 0, 0 = until reached.'
            )
        self._goals = tuple(goals)
        self._limits = tuple(steps_per_goal) or (0,) * len(goals)
        self._config = config
        self._below = 0
        self._chain: Chain | None = None
        if kind is ChainKind.PROGRESS:
            budget = sum(self._limits) if all(self._limits) else None
            self._chain = Chain(goals, tolerance=tolerance, config=config, budget=budget)
            config = replace(config, stall_plans=0)  # the chain says when a goal has stalled
        self._progress = ProgressWatch(config, limits or UncertaintyLimits())
        self._dropped_in_a_row = 0
        self._awaits_verdict = False
        self.tolerance = tolerance
        self.list_id = list_id
        self.index = 0
        self.energies: list[float] = [math.nan]
        self.best_energies: list[float] = [math.nan]  # the lowest against each goal
        self.steps: list[int] = [0]
        self.decision = ''  # the last of a chain by progress, in words
        self.plans = 0
        self.plans_dropped = 0
        self.termination: Termination | None = None
        self.stall: PlanningError | None = None  # why it ended STALLED

    @property
    def goal(self) -> Goal:
        """Return the goal being pursued; the last one tried after the end."""
        return self._goals[self.index]

    @property
    def count(self) -> int:
        """Return the length of the list."""
        return len(self._goals)

    @property
    def energy(self) -> float:
        """Return the last energy against the present goal, NaN before its first plan."""
        return self.energies[self.index]

    @property
    def steps_executed(self) -> int:
        """Return the steps executed for all goals so far."""
        return sum(self.steps)

    @property
    def steps_left(self) -> int | None:
        """Return the steps the present goal may still take, None = no limit."""
        if self._chain is not None:
            return self._chain.steps_left
        limit = self._limits[self.index]
        return None if limit == 0 else max(limit - self.steps[-1], 0)

    @property
    def is_wide(self) -> bool:
        """Return whether the next plan is to be searched for wider than set."""
        return self._chain is not None and self._chain.is_wide

    def on_plan(self, signals: Signals, closedness: float = math.nan) -> Next:
        """Take what a new plan says of itself; return what to do with the plan.

        ``closedness`` is the gripper's where the plan begins.
        """
        energy = signals.energy
        self.plans += 1
        self.energies[self.index] = energy
        if not energy >= self.best_energies[self.index]:
            self.best_energies[self.index] = energy
        if self._chain is not None:
            return self._on_chain_plan(self._chain, signals, closedness)
        is_below = energy < self.tolerance
        if self._awaits_verdict:
            return self._end(Termination.REACHED if is_below else Termination.TIMEOUT)
        self._below = self._below + 1 if is_below else 0
        if self._below >= self._config.reached_plans:
            return self._next_goal(Termination.REACHED)
        self.stall = self._progress.look(signals)
        if self.stall is not None:
            return self._end(Termination.STALLED)
        return Next.EXECUTE

    def on_steps(self, steps: int) -> Next:
        """Take the number of steps just executed."""
        self._dropped_in_a_row = 0
        self.steps[self.index] += steps
        if self._chain is not None:
            self._chain.on_steps(steps)
            return Next.OBSERVE
        if self.steps_left != 0:
            return Next.OBSERVE
        is_last = self.index + 1 == self.count
        if is_last and self.tolerance > 0.0 and not math.isnan(self.energy):
            self._awaits_verdict = True
            return Next.OBSERVE
        return self._next_goal(Termination.TIMEOUT)

    def on_drop(self) -> Next:
        """Note that a plan came too late; END when that keeps happening."""
        self.plans_dropped += 1
        self._dropped_in_a_row += 1
        if self._dropped_in_a_row >= self._config.max_dropped_plans:
            return self._end(Termination.PLANNER_FAILED)
        return Next.OBSERVE

    def _next_goal(self, how_the_last_ends: Termination) -> Next:
        if self.index + 1 == self.count:
            return self._end(how_the_last_ends)
        self._move_to(self.index + 1)
        return Next.OBSERVE

    def _on_chain_plan(self, chain: Chain, signals: Signals, closedness: float) -> Next:
        decision = chain.on_plan(signals.energy, closedness)
        if decision is Decision.GO_ON:
            self.stall = self._progress.look(signals)
            return Next.EXECUTE if self.stall is None else self._end(Termination.STALLED)
        self.decision = chain.decisions[-1]
        if decision.is_end:
            self.stall = chain.stall
            return self._end(_CHAIN_ENDS[decision])
        if chain.index != self.index:
            self._move_to(chain.index)
        return Next.OBSERVE

    def _move_to(self, index: int) -> None:
        self.index = index
        if index == len(self.energies):
            self.energies.append(math.nan)
            self.best_energies.append(math.nan)
            self.steps.append(0)
        self._below = 0
        self._progress.begin()

    def _end(self, termination: Termination) -> Next:
        self.termination = termination
        return Next.END
