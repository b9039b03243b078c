# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""WorldModelPlanner: observation and goal in, plan out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
import math
import threading
import time

import numpy as np
import torch
from torch import Tensor

from wm_planner.core.actions import gripper_pin
from wm_planner.core.config import parameter, validate
from wm_planner.core.errors import NoFiniteEnergyError, PlannerFailedError
from wm_planner.core.geometry import Array
from wm_planner.core.protocols import Objective, OptimizationResult, Optimizer, WorldModel
from wm_planner.core.types import (
    ActionSpec,
    Goal,
    Observation,
    Plan,
    PlanDiagnostics,
    StopReason,
)
from wm_planner.planning.shooting import ShootingEnergy


@dataclass(frozen=True, kw_only=True)
class PlannerConfig:
    """Settings of a WorldModelPlanner that belong to no optimizer and no objective."""

    seed: int = parameter(0, 'seed of all draws', low=0, high=2**63 - 1)
    deadline_s: float = parameter(
        0.0, 'wall time a plan may take where the caller sets none [s]; 0 = no limit', low=0.0
    )
    pin_gripper: bool = parameter(
        True, "command the gripper to the goal's recorded state where the goal has one"
    )
    closed_above: float = parameter(
        0.25,
        'recorded closedness above which a goal asks for a closed gripper, else for an open one',
        low=0.0,
        high=1.0,
    )
    warm_start: bool = parameter(True, "start the search from the last plan's mean, shifted")
    max_samples_per_chunk: int = parameter(
        0, 'sequences rolled out at once, to bound memory; 0 = all', low=0, high=100_000
    )
    goal_cache_size: int = parameter(
        16, 'goals whose latents are kept', low=1, high=1000, read_only=True
    )

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True)
class _CachedGoal:
    goal: Goal  # kept alive, so that the identity of its image stays its own
    latent: Tensor  # [N, D]


class WorldModelPlanner:
    """The Planner protocol on a world model: minimise the energy of imagined latents.

    ``plan`` encodes the observation, starts the optimizer at the last mean shifted by the steps
    executed since (the tail repeats the last action; dropped when the goal changed, the plan is
    used up or the last plan failed) and returns what it found within the deadline. What leaves is
    finite and inside the model's bounds; anything else raises.

    Belongs to the planning thread, but ``request_stop`` may be called from any thread.
    """

    def __init__(
        self,
        model: WorldModel,
        objective: Objective,
        optimizer: Optimizer,
        config: PlannerConfig,
        *,
        device: torch.device | str,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._model = model
        self._objective = objective
        self._optimizer = optimizer
        self._config = config
        self._generator = torch.Generator(device=torch.device(device))
        self._monotonic_ns = monotonic_ns
        self._goals: OrderedDict[str, _CachedGoal] = OrderedDict()
        self._last_mean: Tensor | None = None
        self._last_goal: _CachedGoal | None = None
        self._stop = threading.Event()
        self.seed(config.seed)

    @property
    def action_spec(self) -> ActionSpec:
        """Return the model's action spec."""
        return self._model.action_spec

    @property
    def context_frames(self) -> int:
        """Return T."""
        return self._model.context_frames

    @property
    def goal_tolerance(self) -> float:
        """Return the goal energy below which a goal is reached, NaN where not calibrated."""
        return self._model.goal_tolerance

    def seed(self, seed: int) -> None:
        """Restart the draws from ``seed``, now and at every later ``reset``."""
        self._seed = seed
        self._generator.manual_seed(seed)

    def reset(self) -> None:
        """Forget warm start and stop request and restart the draws: the next plan is repeatable."""
        self._last_mean = self._last_goal = None
        self._generator.manual_seed(self._seed)
        self._stop.clear()

    def request_stop(self) -> None:
        """Let plans stop after the iteration they are in, until ``reset``. Any thread."""
        self._stop.set()

    @torch.inference_mode()
    def prepare_goal(self, goal: Goal) -> None:
        """Check and encode a goal. Raises InputError, or PlannerFailedError for a broken latent."""
        self._goal_latent(goal)

    @torch.inference_mode()
    def plan(
        self,
        observation: Observation,
        goal: Goal,
        *,
        deadline_s: float | None = None,
        executed_steps: int = 0,
    ) -> Plan:
        """Return the best plan found within ``deadline_s``; see the Planner protocol.

        The first iteration always runs. A further one starts only if it can be expected to end in
        time, going by the slowest so far. Raises PlanningError.
        """
        watch = _Stopwatch(self._monotonic_ns)
        frames = len(observation.states)
        if frames != self.context_frames:
            raise PlannerFailedError(
                f'the observation holds {frames} frames; valid: {self.context_frames}, the '
                "world model's context_frames."
            )
        warm_mean, warm_goal = self._last_mean, self._last_goal
        self._last_mean = self._last_goal = None  # a plan that fails leaves nothing to start from
        cached = self._goal_latent(goal)
        watch.lap('goal')
        state = self._model.encode(observation)
        goal_energy = self._distance_now(state, cached.latent)
        watch.lap('encode')
        init_mean = None
        if self._config.warm_start and warm_goal is cached and warm_mean is not None:
            init_mean = shift_mean(warm_mean, executed_steps)
        found = self._optimizer.minimize(
            ShootingEnergy(
                self._model,
                self._objective,
                state=state,
                goal_latent=cached.latent,
                max_samples_per_chunk=self._config.max_samples_per_chunk,
            ),
            self._spec_for(goal, observation),
            init_mean=init_mean,
            generator=self._generator,
            should_stop=self._stop_rule(watch, deadline_s),
        )
        actions = self._checked_actions(found)
        watch.lap('optimize')
        self._last_mean, self._last_goal = found.mean, cached
        return Plan(
            goal_id=goal.goal_id,
            observation_stamp_ns=observation.stamp_ns,
            actions=actions,
            action_spec=self.action_spec,
            energy=found.energy,
            goal_energy=goal_energy,
            diagnostics=PlanDiagnostics(
                stop_reason=found.stop_reason,
                iterations=found.iterations,
                rollouts=found.rollouts,
                non_finite_count=found.non_finite_count,
                elite_energies=tuple(found.elite_energies.tolist()),
                std=tuple(found.std[0].tolist()),
                milliseconds=watch.finish(),
            ),
        )

    def _goal_latent(self, goal: Goal) -> _CachedGoal:
        """Return the latent of ``goal``, encoding only a picture that was not seen before."""
        cached = self._goals.get(goal.goal_id)
        if cached is not None and cached.goal.image is goal.image:
            self._goals.move_to_end(goal.goal_id)
            return cached
        latent = self._model.encode_goal(goal)
        if not bool(torch.isfinite(latent).all()):
            raise PlannerFailedError(f'the latent of goal {goal.goal_id!r} is not finite.')
        cached = _CachedGoal(goal, latent)
        self._goals[goal.goal_id] = cached
        self._goals.move_to_end(goal.goal_id)
        while len(self._goals) > self._config.goal_cache_size:
            self._goals.popitem(last=False)
        return cached

    def _distance_now(self, state: object, goal_latent: Tensor) -> float:
        """Return the energy of staying; raises where the observation's latent is broken."""
        distance = float(self._objective.distance(self._model.current(state), goal_latent))
        if not math.isfinite(distance):
            raise NoFiniteEnergyError(
                f'the energy of the newest frame against the goal is {distance}: the world model '
                'returned a latent that is not finite.'
            )
        return distance

    def _spec_for(self, goal: Goal, observation: Observation) -> ActionSpec:
        spec, closedness = self.action_spec, goal.gripper_closedness
        if closedness is None or not self._config.pin_gripper:
            return spec
        pins = gripper_pin(spec, closedness, observation.state, self._config.closed_above)
        return spec.pinned(pins)

    def _stop_rule(
        self, watch: _Stopwatch, deadline_s: float | None
    ) -> Callable[[], StopReason | None]:
        """Return what the optimizer asks after each iteration."""
        limit_s = self._config.deadline_s if deadline_s is None else deadline_s
        limit_ms = limit_s * 1e3 if limit_s > 0.0 else math.inf
        before_ms = watch.elapsed_ms()
        slowest_ms = 0.0

        def should_stop() -> StopReason | None:
            nonlocal before_ms, slowest_ms
            now_ms = watch.elapsed_ms()
            slowest_ms, before_ms = max(slowest_ms, now_ms - before_ms), now_ms
            if self._stop.is_set():
                return StopReason.CANCELED
            return StopReason.DEADLINE if now_ms + slowest_ms > limit_ms else None

        return should_stop

    def _checked_actions(self, found: OptimizationResult) -> Array:
        """Return the plan [H, A] in double precision, inside the bounds to the last bit."""
        actions = found.actions.double().cpu().numpy()
        if not (np.all(np.isfinite(actions)) and math.isfinite(found.energy)):
            raise PlannerFailedError('the optimizer returned a plan that is not finite.')
        # Bounds were held in single precision, whose rounding may lie just outside.
        inside: Array = np.clip(actions, self.action_spec.low, self.action_spec.high)
        return inside


class _Stopwatch:
    """Milliseconds per stage since it was made."""

    def __init__(self, monotonic_ns: Callable[[], int]) -> None:
        self._monotonic_ns = monotonic_ns
        self._start_ns = self._lap_ns = monotonic_ns()
        self._stages: dict[str, float] = {}

    def elapsed_ms(self) -> float:
        return (self._monotonic_ns() - self._start_ns) * 1e-6

    def lap(self, stage: str) -> None:
        now_ns = self._monotonic_ns()
        self._stages[stage] = (now_ns - self._lap_ns) * 1e-6
        self._lap_ns = now_ns

    def finish(self) -> dict[str, float]:
        return {**self._stages, 'total': self.elapsed_ms()}


def shift_mean(mean: Tensor, executed_steps: int) -> Tensor | None:
    """Return ``mean`` [H, A] with its first ``executed_steps`` gone and the last action repeated.

    None if nothing of the plan is left. Repeating suits both kinds of dimension: a delta goes on
    in its direction (and is near zero at the goal anyway), an absolute gripper target stays.
    """
    horizon = mean.shape[0]
    if executed_steps >= horizon:
        return None
    tail = mean[-1:].expand(executed_steps, -1)
    return torch.cat([mean[executed_steps:], tail])
