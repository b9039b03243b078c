# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Running a planner through the episodes of a suite.

``sweep`` owns the loop over episodes; an ``EpisodeRunner`` owns one episode. ``DirectRunner`` calls
planner and simulator in this process, step by step, without time passing in between; the runner
that drives the live ROS graph has the same shape, so both leave the same records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
import logging
import math
import time
from typing import Protocol

import numpy as np

from wm_planner.control.safety import SafetyFilter
from wm_planner.core.actions import action_to_command
from wm_planner.core.config import parameter, validate
from wm_planner.core.errors import (
    SafetyError,
    SimulatorError,
    WmPlannerError,
    as_wm_planner_error,
)
from wm_planner.core.protocols import Environment, Planner
from wm_planner.core.types import ArmCommand, EpisodeStart, Goal, Observation, Plan
from wm_planner.evaluation.environments import KnowsSubGoals, Scored, SuiteName
from wm_planner.evaluation.records import EpisodeRecord

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """How much is run and when an episode is given up."""

    episodes: int = parameter(40, 'episodes to run', low=1, high=100_000)
    seed: int = parameter(0, 'seed of the starts, the goals and the planner', low=0)
    max_refusals: int = parameter(
        5, 'commands refused in a row by the safety filter that end an episode', low=1, high=1000
    )

    def __post_init__(self) -> None:
        validate(self)


class EpisodeRunner(Protocol):
    """Runs single episodes; one thread."""

    def run(self, *, seed: int, episode: int) -> EpisodeRecord:
        """Run one episode. What the planner does wrong is in the record; the rest raises."""


def sweep(
    runner: EpisodeRunner, config: EvaluationConfig, *, start: int = 0
) -> Iterator[EpisodeRecord]:
    """Yield the record of each episode as it ends, so that a caller can stop and keep the rest."""
    for episode in range(start, config.episodes):
        yield runner.run(seed=config.seed, episode=episode)


def episode_seed(seed: int, episode: int) -> int:
    """Return the planner's seed for one episode: fixed by the two numbers, in [0, 2^31).

    A seed of its own makes episode k the same whether or not the episodes before it were run.
    """
    return int(np.random.SeedSequence([seed, episode]).generate_state(1)[0] & 0x7FFFFFFF)


class _EpisodeOver(Exception):
    """The episode ends here and has failed; never leaves this module."""

    def __init__(self, termination: str, error: WmPlannerError) -> None:
        super().__init__(str(error))
        self.termination = termination
        self.error = error


@dataclass(kw_only=True)
class _Tally:
    """What the episode that is running has come to so far."""

    observation: Observation
    success: bool = False
    distance_m: float | None = None
    steps: int = 0
    executed_steps: int = 0  # of the previous plan: the shift of the warm start
    plan_ms: list[float] = field(default_factory=list)
    goal_energies: list[float] = field(default_factory=list)
    cost: float = 0.0
    clamped: int = 0
    refused: int = 0
    refused_in_a_row: int = 0


class DirectRunner:
    """Planner and simulator in one process, one after the other: blocking and quasi-static.

    observation -> ``plan`` -> first action as an absolute target from the observed state -> safety
    filter -> one step of the simulator -> observation. The schedule is fixed: each goal gets
    exactly its ``steps_per_goal`` and nothing stops early, so success means *staying* there. A
    command that the filter refuses becomes a hold for that step and is counted.

    ``seed_planner`` is called with ``episode_seed`` before each episode. Not thread-safe.
    """

    def __init__(
        self,
        *,
        environment: Environment,
        suite: SuiteName,
        planner: Planner,
        seed_planner: Callable[[int], None],
        safety: SafetyFilter,
        planner_name: str,
        model_name: str,
        config: EvaluationConfig,
    ) -> None:
        self._environment = environment
        self._suite = suite
        self._planner = planner
        self._seed_planner = seed_planner
        self._safety = safety
        self._planner_name = planner_name
        self._model_name = model_name
        self._config = config

    def run(self, *, seed: int, episode: int) -> EpisodeRecord:
        """Run one episode and return its record; a failing simulator raises its DriverError."""
        start = self._environment.reset(self._suite.suite, seed=seed, episode=episode)
        self._check_unsolved(start)
        tally = _Tally(observation=start.observation, distance_m=start.metrics.get('distance_m'))
        termination, code, message = 'timeout', 0, ''
        try:
            self._prepare(start, episode_seed(seed, episode))
            self._fill_context(tally)
            for index, goal in enumerate(start.goals):
                self._pursue(index, goal, start.steps_per_goal[index], tally)
        except _EpisodeOver as over:
            tally.success = False
            termination, code, message = over.termination, over.error.code, over.error.message
            _logger.warning('%s: %s', start.episode_id, over)
        return EpisodeRecord(
            episode_id=start.episode_id,
            suite=str(self._suite),
            planner=self._planner_name,
            model=self._model_name,
            seed=seed,
            episode=episode,
            success=tally.success,
            start_distance_m=start.metrics.get('distance_m'),
            final_distance_m=tally.distance_m,
            steps=tally.steps,
            termination=termination,
            error_code=code,
            message=message,
            goal_energies=tuple(tally.goal_energies),
            plan_ms=tuple(tally.plan_ms),
            cost=tally.cost,
            commands_clamped=tally.clamped,
            commands_refused=tally.refused,
        )

    def _check_unsolved(self, start: EpisodeStart) -> None:
        """Raise SimulatorError for a start that is solved already: it would measure nothing."""
        if len(start.goals) != len(start.steps_per_goal) or not start.goals:
            raise SimulatorError(
                f'{start.episode_id} has {len(start.goals)} goals and '
                f'{len(start.steps_per_goal)} step counts; valid: as many of each, at least 1.'
            )
        if isinstance(self._environment, Scored) and self._environment.score().success:
            raise SimulatorError(f'{start.episode_id} is solved at its start; valid: unsolved.')

    def _prepare(self, start: EpisodeStart, seed: int) -> None:
        """Check and encode all goals before the first motion, as the node does."""
        try:
            self._planner.reset()
            self._seed_planner(seed)
            for goal in start.goals:
                self._planner.prepare_goal(goal)
        except Exception as error:  # whatever a planner raises fails its episode, not the sweep
            raise _EpisodeOver('planner_failed', as_wm_planner_error(error)) from error

    def _fill_context(self, tally: _Tally) -> None:
        """Hold until there are as many frames as the planner looks at: none is ever repeated."""
        while len(tally.observation.states) < self._planner.context_frames:
            self._advance(ArmCommand.hold_at(tally.observation.state), tally)

    def _pursue(self, index: int, goal: Goal, steps: int, tally: _Tally) -> None:
        """Spend exactly ``steps`` on one goal."""
        if isinstance(self._environment, KnowsSubGoals):
            self._environment.begin_goal(index)
        tally.goal_energies.append(math.nan)
        for _ in range(steps):
            plan = self._plan(goal, tally)
            tally.goal_energies[-1] = plan.goal_energy
            self._execute(plan, tally)
            tally.steps += 1

    def _plan(self, goal: Goal, tally: _Tally) -> Plan:
        begin_ns = time.perf_counter_ns()
        try:
            plan = self._planner.plan(
                tally.observation, goal, executed_steps=tally.executed_steps
            )
        except Exception as error:  # whatever a planner raises fails its episode, not the sweep
            raise _EpisodeOver('planner_failed', as_wm_planner_error(error)) from error
        tally.plan_ms.append((time.perf_counter_ns() - begin_ns) * 1e-6)
        return plan

    def _execute(self, plan: Plan, tally: _Tally) -> None:
        state = tally.observation.state
        wanted = action_to_command(plan.actions[0], plan.action_spec, state, state.stamp_ns)
        verdict = self._safety.apply(wanted, state, state.stamp_ns)
        tally.clamped += bool(verdict.clamps)
        tally.executed_steps = int(verdict.command is not None)
        if verdict.command is not None:
            tally.refused_in_a_row = 0
            self._advance(verdict.command, tally)
            return
        tally.refused += 1
        tally.refused_in_a_row += 1
        if tally.refused_in_a_row >= self._config.max_refusals:
            error = verdict.error or SafetyError('the safety filter refused without a reason.')
            raise _EpisodeOver('safety_stop', error)
        self._advance(ArmCommand.hold_at(state), tally)

    def _advance(self, command: ArmCommand, tally: _Tally) -> None:
        result = self._environment.step(command, self._planner.action_spec.step_duration_s)
        tally.observation = _newest(
            tally.observation, result.observation, self._planner.context_frames
        )
        tally.success = result.success and not result.is_failed
        tally.distance_m = result.metrics.get('distance_m')
        tally.cost += result.cost


def _newest(before: Observation, after: Observation, frames: int) -> Observation:
    """Return the last ``frames`` frames of two observations that follow each other."""
    return Observation(
        images=np.concatenate([before.images, after.images])[-frames:],
        image_stamps_ns=(before.image_stamps_ns + after.image_stamps_ns)[-frames:],
        states=(before.states + after.states)[-frames:],
    )
