# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""WorldModelPlanner: observation and goal in, plan out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
import math
import threading
import time

import numpy as np
import torch
from torch import Tensor

from wm_planner.core.actions import gripper_pin
from wm_planner.core.calibration import NO_TURN_XYZW, actions_to_base, spec_in_base, std_in_base
from wm_planner.core.config import parameter, validate
from wm_planner.core.errors import NoFiniteEnergyError, PlannerFailedError
from wm_planner.core.geometry import Array
from wm_planner.core.imagination import Imagination, PlanStart
from wm_planner.core.protocols import (
    Calibrated,
    Objective,
    OptimizationResult,
    Optimizer,
    Widens,
    WorldModel,
)
from wm_planner.core.types import (
    ActionSpec,
    Goal,
    Observation,
    Plan,
    PlanDiagnostics,
    UncertaintyLimits,
)
from wm_planner.planning.deadline import Stopwatch, TimeBudget
from wm_planner.planning.expectation import Expectation, relief
from wm_planner.planning.scoring import Scorer
from wm_planner.planning.shooting import ChunkSize, ShootingEnergy


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
    warm_start: bool = parameter(
        True, "start the search from the last plan's mean and elites, shifted"
    )
    max_samples_per_chunk: int = parameter(
        0,
        'most sequences rolled out at once, which bounds memory and how late a deadline is '
        'noticed; 0 = as many as fit the memory',
        low=0,
        high=100_000,
    )
    keep_prediction: bool = parameter(
        True, 'let plans carry what the model predicts under them, for ~/imagined'
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


@dataclass(frozen=True)
class _WarmStart:
    goal: _CachedGoal
    mean: Tensor  # [H, A]
    elites: Tensor  # [K, H, A]


class WorldModelPlanner:
    """The Planner protocol on a world model: minimise the energy of imagined latents.

    ``plan`` encodes the observation, starts the optimizer at the last mean and elites shifted by
    the steps executed since (the tail repeats the last action; dropped when the goal changed, the
    plan is used up or the last plan failed) and returns what it found within the deadline. What
    leaves is finite and inside the model's bounds; anything else raises.

    ``axes_xyzw`` turns the model's action axes into base_frame (core/calibration.py): the search
    runs in the model's axes, the plan that leaves is in base_frame.

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
        axes_xyzw: Sequence[float] = NO_TURN_XYZW,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._model = model
        self._axes_xyzw = tuple(axes_xyzw)
        self._base_spec = spec_in_base(model.action_spec, self._axes_xyzw)
        self._objective = objective
        self._optimizer = optimizer
        self._config = config
        self._generator = torch.Generator(device=torch.device(device))
        self._monotonic_ns = monotonic_ns
        self._goals: OrderedDict[str, _CachedGoal] = OrderedDict()
        self._last: _WarmStart | None = None
        self._expectation = Expectation(model, objective)
        self._chunk_size = ChunkSize(config.max_samples_per_chunk)
        self._reserve_ms: float | None = None  # see TimeBudget
        self._stop = threading.Event()
        self._is_wide = False
        self.seed(config.seed)

    @property
    def action_spec(self) -> ActionSpec:
        """Return the spec of the plans, which are in base_frame."""
        return self._base_spec

    @property
    def context_frames(self) -> int:
        """Return T."""
        return self._model.context_frames

    @property
    def goal_tolerance(self) -> float:
        """Return the goal energy below which a goal is reached, NaN where not calibrated."""
        return self._model.goal_tolerance

    @property
    def uncertainty_limits(self) -> UncertaintyLimits:
        """Return the model's limits; none where it was not calibrated."""
        if isinstance(self._model, Calibrated):
            return self._model.uncertainty_limits
        return UncertaintyLimits()

    def seed(self, seed: int) -> None:
        """Restart the draws from ``seed``, now and at every later ``reset``."""
        self._seed = seed
        self._generator.manual_seed(seed)

    def reset(self) -> None:
        """Forget warm start and stop request and restart the draws: the next plan is repeatable."""
        self._last = None
        self._is_wide = False
        self._expectation.forget()
        self._generator.manual_seed(self._seed)
        self._stop.clear()

    def widen(self, is_wide: bool) -> None:
        """Let the plans from now on start cold and draw more and wider, or as set."""
        self._is_wide = is_wide

    def request_stop(self) -> None:
        """Let plans stop after the chunk of rollouts they are in, until ``reset``. Any thread."""
        self._stop.set()

    @torch.inference_mode()
    def prepare_goal(self, goal: Goal) -> None:
        """Check and encode a goal. Raises InputError, or PlannerFailedError for a broken latent."""
        self._goal_latent(goal)

    @torch.inference_mode()
    def look_ahead(self) -> None:
        """Roll the last plan out once, for the next to tell how it came out."""
        self._expectation.roll_out()

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

        Rollouts go on, chunk by chunk, while the next one can be expected to end in time, but at
        least until there are enough elites. Raises PlanningError.
        """
        watch = Stopwatch(self._monotonic_ns)
        self._check_frames(observation)
        last, self._last = self._last, None  # a plan that fails leaves nothing to start from
        cached = self._goal_latent(goal)
        watch.lap('goal')
        state = self._model.encode(observation)
        goal_energy = self._distance_now(state, cached.latent)
        surprise = self._expectation.surprise(state, executed_steps)
        watch.lap('encode')
        is_cold = self._is_wide or not self._config.warm_start
        if is_cold or (last is not None and last.goal is not cached):
            last = None
        start = self._start(observation, last, executed_steps, deadline_s)
        budget = self._time_budget(watch, deadline_s)
        energy = ShootingEnergy(
            self._model,
            self._objective,
            state=state,
            goal_latent=cached.latent,
            chunk_size=self._chunk_size,
            goes_on=budget.chunk_done,
        )
        optimizer = self._optimizer
        if self._is_wide and isinstance(optimizer, Widens):
            optimizer = optimizer.wider()
        found = optimizer.minimize(
            energy,
            self._spec_for(goal, observation),
            init_mean=None if last is None else shift_steps(last.mean, executed_steps),
            init_elites=None if last is None else shift_steps(last.elites, executed_steps),
            generator=self._generator,
            should_stop=budget.stop_reason,
        )
        self._reserve_ms = budget.next_reserve_ms()
        actions = self._checked_actions(found)
        watch.lap('optimize')
        self._last = _WarmStart(cached, found.mean, found.elites)
        self._expectation.expect(state, found.actions)
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
                std=self._std_in_base(found.std[0]),
                relief=relief(energy.first_energies, found.energy),
                surprise=surprise,
                milliseconds=watch.finish(),
            ),
            imagination=self._imagination(found, energy, state, cached, observation),
            start=start,
        )

    @torch.inference_mode()
    def scorer(self, observation: Observation, goal: Goal) -> Scorer:
        """Return the energies and predictions of any actions from ``observation``, to look at.

        Leaves warm start and draws alone. Raises what ``plan`` raises of its two arguments.
        """
        self._check_frames(observation)
        cached = self._goal_latent(goal)
        return Scorer(
            self._model,
            self._objective,
            state=self._model.encode(observation),
            goal_latent=cached.latent,
            spec=self._spec_for(goal, observation),
            axes_xyzw=self._axes_xyzw,
            chunk_size=self._chunk_size,
        )

    @torch.inference_mode()
    def encode_picture(self, picture: Goal) -> Tensor:
        """Return the latent [N, D] of a picture, comparable with predictions; nothing is kept."""
        latent: Tensor = self._model.encode_goal(picture)
        return latent

    @torch.inference_mode()
    def restore(self, start: PlanStart, goal: Goal) -> None:
        """Go back to where a plan toward ``goal`` began, so that ``plan`` makes it again.

        Raises PlannerFailedError for a generator of another device or library.
        """
        cached = self._goal_latent(goal)
        state = torch.frombuffer(bytearray(start.generator_state), dtype=torch.uint8)
        try:
            self._generator.set_state(state)
        except (RuntimeError, TypeError) as error:
            raise PlannerFailedError(
                f'the state of the draws does not fit this generator ({error}); valid: one that '
                'was recorded on the same kind of device.'
            ) from error
        self._last, self._is_wide = None, start.is_wide
        if start.mean is not None and start.elites is not None:
            device = self._generator.device
            self._last = _WarmStart(
                cached,
                torch.tensor(start.mean, device=device),
                torch.tensor(start.elites, device=device),
            )

    def _check_frames(self, observation: Observation) -> None:
        frames = len(observation.states)
        if frames != self.context_frames:
            raise PlannerFailedError(
                f'the observation holds {frames} frames; valid: {self.context_frames}, the '
                "world model's context_frames."
            )

    def _start(
        self,
        observation: Observation,
        last: _WarmStart | None,
        executed_steps: int,
        deadline_s: float | None,
    ) -> PlanStart:
        """Return what the search that is about to begin starts from."""
        limit_s = self._config.deadline_s if deadline_s is None else deadline_s
        return PlanStart(
            executed_steps=executed_steps,
            deadline_s=limit_s,
            image_stamps_ns=observation.image_stamps_ns,
            states=observation.states,
            generator_state=self._generator.get_state().numpy().tobytes(),
            mean=None if last is None else last.mean.float().cpu().numpy(),
            elites=None if last is None else last.elites.float().cpu().numpy(),
            is_wide=self._is_wide,
        )

    def _imagination(
        self,
        found: OptimizationResult,
        energy: ShootingEnergy,
        state: object,
        goal: _CachedGoal,
        observation: Observation,
    ) -> Imagination | None:
        if not self._config.keep_prediction:
            return None
        return Imagination(
            latents=energy.predicted(found.actions),
            now=self._model.current(state),
            goal=goal.latent,
            distance=self._objective.distance,
            image=observation.images[-1],
            goal_image=goal.goal.image,
            state=observation.state,
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
        spec, closedness = self._model.action_spec, goal.gripper_closedness
        if closedness is None or not self._config.pin_gripper:
            return spec
        pins = gripper_pin(spec, closedness, observation.state, self._config.closed_above)
        return spec.pinned(pins)

    def _time_budget(self, watch: Stopwatch, deadline_s: float | None) -> TimeBudget:
        limit_s = self._config.deadline_s if deadline_s is None else deadline_s
        return TimeBudget(
            limit_s * 1e3 if limit_s > 0.0 else math.inf,
            watch.elapsed_ms,
            self._stop.is_set,
            reserve_ms=self._reserve_ms,
        )

    def _checked_actions(self, found: OptimizationResult) -> Array:
        """Return the plan [H, A] in base_frame, inside the model's bounds to the last bit."""
        actions = found.actions.double().cpu().numpy()
        if not (np.all(np.isfinite(actions)) and math.isfinite(found.energy)):
            raise PlannerFailedError('the optimizer returned a plan that is not finite.')
        # Bounds were held in single precision, whose rounding may lie just outside.
        spec = self._model.action_spec
        return actions_to_base(np.clip(actions, spec.low, spec.high), spec, self._axes_xyzw)

    def _std_in_base(self, std: Tensor) -> tuple[float, ...]:
        values = std.double().cpu().numpy()
        return tuple(std_in_base(values, self._model.action_spec, self._axes_xyzw).tolist())


def shift_steps(sequences: Tensor, executed_steps: int) -> Tensor | None:
    """Return ``sequences`` [..., H, A] less the steps executed, their last action repeated.

    None if nothing of them is left. Repeating suits both kinds of dimension: a delta goes on in its
    direction (and is near zero at the goal anyway), an absolute gripper target stays.
    """
    horizon = sequences.shape[-2]
    if executed_steps >= horizon:
        return None
    tail = sequences[..., -1:, :].expand(*sequences.shape[:-2], executed_steps, -1)
    return torch.cat([sequences[..., executed_steps:, :], tail], dim=-2)
