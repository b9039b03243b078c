# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Pursuit: how far a list of goals has got. Pure bookkeeping, no time and no motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import enum
import math

from wm_planner.control.progress import ProgressConfig, ProgressWatch, Signals
from wm_planner.control.status import Termination
from wm_planner.core.config import parameter, validate
from wm_planner.core.errors import InvalidGoalError, PlanningError
from wm_planner.core.types import Goal, UncertaintyLimits


@dataclass(frozen=True, kw_only=True)
class PursuitConfig(ProgressConfig):
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


class Pursuit:
    """A list of goals under way.

    A goal ends when its energy was below ``tolerance`` in ``reached_plans`` plans in a row or its
    steps are used up; then the next begins. The last goal's list ends REACHED, or TIMEOUT when its
    steps are used up; one more plan is asked for then, so that the energy judged is that of where
    the arm is. A tolerance that is negative or NaN is never met. One thread at a time.
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
        self._progress = ProgressWatch(config, limits or UncertaintyLimits())
        self._dropped_in_a_row = 0
        self._awaits_verdict = False
        self.tolerance = tolerance
        self.list_id = list_id
        self.index = 0
        self.energies: list[float] = [math.nan]
        self.steps: list[int] = [0]
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
        return self.energies[-1]

    @property
    def steps_executed(self) -> int:
        """Return the steps executed for all goals so far."""
        return sum(self.steps)

    @property
    def steps_left(self) -> int | None:
        """Return the steps the present goal may still take, None = no limit."""
        limit = self._limits[self.index]
        return None if limit == 0 else max(limit - self.steps[-1], 0)

    def on_plan(self, signals: Signals) -> Next:
        """Take what a new plan says of itself; return what to do with the plan."""
        energy = signals.energy
        self.plans += 1
        self.energies[-1] = energy
        is_below = energy < self.tolerance
        if self._awaits_verdict:
            return self._end(Termination.REACHED if is_below else Termination.TIMEOUT)
        self._below = self._below + 1 if is_below else 0
        if self._below >= self._config.reached_plans:
            return self._next_goal(Termination.REACHED)
        self.stall = self._progress.look(signals).stall
        if self.stall is not None:
            return self._end(Termination.STALLED)
        return Next.EXECUTE

    def on_steps(self, steps: int) -> Next:
        """Take the number of steps just executed."""
        self._dropped_in_a_row = 0
        self.steps[-1] += steps
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
        self.index += 1
        self.energies.append(math.nan)
        self.steps.append(0)
        self._below = 0
        self._progress.begin()
        return Next.OBSERVE

    def _end(self, termination: Termination) -> Next:
        self.termination = termination
        return Next.END
