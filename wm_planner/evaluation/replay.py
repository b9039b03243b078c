# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Replay: a planner plans at every moment of a recording, and nothing moves.

What it would have done is held against what was done, for comparing models and settings before an
arm is touched. Needs no ROS: a recording is a list of moments here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
import math
from typing import Any

import numpy as np
import torch

from wm_planner.core.actions import action_between
from wm_planner.core.config import parameter, validate
from wm_planner.core.errors import DemonstrationError, PlannerFailedError
from wm_planner.core.geometry import Array
from wm_planner.core.imagination import PlanStart
from wm_planner.core.protocols import Planner
from wm_planner.core.types import ActionKind, ActionSpec, Goal, Observation, Plan, StopReason
from wm_planner.evaluation.metrics import percentile
from wm_planner.evaluation.records import jsonable
from wm_planner.planning.distribution import ActionBounds, ActionDistribution
from wm_planner.planning.planner import WorldModelPlanner
from wm_planner.planning.scoring import Scorer

REPLAY_SCHEMA = 'wm_planner/replay/1'
_POSITION = (ActionKind.DX.value, ActionKind.DY.value, ActionKind.DZ.value)
_CUT_SHORT = (StopReason.DEADLINE.value, StopReason.CANCELED.value)


@dataclass(frozen=True, kw_only=True, eq=False)
class Moment:
    """One step of a recording.

    ``follows`` says whether exactly one step of the planner lies between the moment before and this
    one. ``start`` and ``actions`` [H, A] are those of the plan that was made here, None without
    one; ``stop_reason`` is that plan's.
    """

    observation: Observation
    goal: Goal
    follows: bool
    start: PlanStart | None = None
    actions: Array | None = None
    stop_reason: str = ''


@dataclass(frozen=True, kw_only=True)
class ReplayConfig:
    """How a replay looks at a planner."""

    seed: int = parameter(0, 'seed of the draws', low=0)
    samples: int = parameter(
        256, 'random sequences that what was done is ranked among', low=8, high=100_000
    )
    elites: int = parameter(25, 'best of them that count as elites', low=1, high=100_000)

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True, kw_only=True)
class ReplayStep:
    """What a planner thought at one moment. None or NaN: cannot be known at this moment.

    ``rank`` is the share of random sequences that the planner finds better than what was done: 0
    is the best. ``regret`` places the energy of what was done between that of the elites (0) and
    the median random sequence (1). ``prediction`` and ``unmoved`` are the distances [H] of the
    frames that came from what the model predicts under what was done, and from the frame of the
    moment, i.e. from predicting nothing.
    """

    stamp_ns: int
    goal_id: str
    energy: float
    goal_energy: float
    position_error_m: float = math.nan
    rotation_error_rad: float = math.nan
    gripper_error: float = math.nan
    rank: float = math.nan
    regret: float = math.nan
    prediction: tuple[float, ...] = ()
    unmoved: tuple[float, ...] = ()
    reproduced: bool | None = None  # the recorded plan, to the last bit
    milliseconds: float = math.nan


@dataclass(frozen=True, kw_only=True)
class Replay:
    """All steps of a replay, and how it was made."""

    source: str
    planner: str
    model: str
    settings: dict[str, Any]
    seed: int
    is_reproduction: bool
    steps: tuple[ReplayStep, ...]
    skipped: dict[str, int] = field(default_factory=dict)  # moments by why they were left out

    def summary(self) -> dict[str, Any]:
        """Return medians over the steps; None where there is nothing to know."""
        steps = self.steps
        horizon = max((len(step.prediction) for step in steps), default=0)
        compared = [step.reproduced for step in steps if step.reproduced is not None]

        def median(values: Sequence[float]) -> float | None:
            return percentile([value for value in values if math.isfinite(value)], 50.0)

        return {
            'steps': len(steps),
            'skipped': dict(self.skipped),
            'plans_compared': len(compared),
            'plans_reproduced': sum(compared),
            'position_error_m': median([step.position_error_m for step in steps]),
            'rotation_error_rad': median([step.rotation_error_rad for step in steps]),
            'gripper_error': median([step.gripper_error for step in steps]),
            'rank': median([step.rank for step in steps]),
            'elite_regret': median([step.regret for step in steps]),
            'prediction': [
                median([s.prediction[h] for s in steps if len(s.prediction) > h])
                for h in range(horizon)
            ],
            'unmoved': [
                median([s.unmoved[h] for s in steps if len(s.unmoved) > h]) for h in range(horizon)
            ],
            'plan_ms': median([step.milliseconds for step in steps]),
        }

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values; NaN becomes null."""
        content = {
            'schema': REPLAY_SCHEMA,
            'source': self.source,
            'planner': self.planner,
            'model': self.model,
            'seed': self.seed,
            'is_reproduction': self.is_reproduction,
            'settings': self.settings,
            'summary': self.summary(),
            'steps': [asdict(step) for step in self.steps],
        }
        values: dict[str, Any] = jsonable(content)
        return values


def replay_moments(
    planner: Planner,
    moments: Sequence[Moment],
    config: ReplayConfig,
    *,
    is_reproduction: bool,
    on_step: Callable[[ReplayStep], None] = lambda step: None,
) -> tuple[ReplayStep, ...]:
    """Plan at each moment, in order, and return what there is to know.

    With ``is_reproduction`` every plan that was recorded begins where its record says: the same
    draws, the same warm start. Without, the draws are those of ``config.seed`` and each plan
    continues the one before it. Raises DemonstrationError for a recording of no moments, and what
    the planner raises.
    """
    if not moments:
        raise DemonstrationError('the recording holds no moment to plan at; valid: at least 1.')
    if isinstance(planner, WorldModelPlanner):
        planner.seed(config.seed)
    planner.reset()
    found = []
    executed = 0
    for index, moment in enumerate(moments):
        start = moment.start if is_reproduction else None
        if start is not None and isinstance(planner, WorldModelPlanner):
            planner.restore(start, moment.goal)
            executed = start.executed_steps
        elif index:
            executed = 1 if moment.follows else 0
        plan = planner.plan(moment.observation, moment.goal, executed_steps=executed)
        step = _judged(planner, plan, moments, index, config, can_compare=start is not None)
        found.append(step)
        on_step(step)
    return tuple(found)


def _judged(
    planner: Planner,
    plan: Plan,
    moments: Sequence[Moment],
    index: int,
    config: ReplayConfig,
    *,
    can_compare: bool,
) -> ReplayStep:
    moment, spec = moments[index], planner.action_spec
    step = ReplayStep(
        stamp_ns=moment.observation.stamp_ns,
        goal_id=moment.goal.goal_id,
        energy=plan.energy,
        goal_energy=plan.goal_energy,
        milliseconds=plan.diagnostics.milliseconds.get('total', math.nan),
        reproduced=_is_same(plan, moment) if can_compare else None,
    )
    done = done_after(moments, index, plan.horizon, spec)
    if len(done):
        step = replace(step, **action_errors(plan.actions[0], done[0], spec))
    if isinstance(planner, WorldModelPlanner) and len(done):
        scorer = planner.scorer(moment.observation, moment.goal)
        step = replace(step, **_prediction(planner, scorer, moments, index, done))
        if len(done) == plan.horizon:
            step = replace(step, **rank_of(done, scorer, config, index))
    return step


def _is_same(plan: Plan, moment: Moment) -> bool | None:
    """Return whether a plan is the recorded one; None where a clock decided how far it got."""
    if moment.actions is None or moment.stop_reason in _CUT_SHORT:
        return None
    return bool(np.array_equal(plan.actions, moment.actions))


def done_after(moments: Sequence[Moment], index: int, most: int, spec: ActionSpec) -> Array:
    """Return the actions [h <= most, A] that were done from a moment on, as the states show them.

    They end where more or less than one step lies between two moments. A gripper that was told to
    close on something stops before it is closed, so its command is taken where there is one.
    """
    actions = []
    while len(actions) < most and index + 1 < len(moments) and moments[index + 1].follows:
        before, after = moments[index], moments[index + 1]
        action = action_between(before.observation.state, after.observation.state, spec)
        if before.actions is not None and before.actions.shape[1] == spec.size:
            for name in (ActionKind.GRIPPER.value, ActionKind.DGRIPPER.value):
                if name in spec.names:
                    place = spec.names.index(name)
                    action[place] = before.actions[0, place]
        actions.append(action)
        index += 1
    return np.array(actions).reshape(-1, spec.size)


def action_errors(planned: Array, done: Array, spec: ActionSpec) -> dict[str, float]:
    """Return how far a planned action [A] is from what was done: position, rotation, gripper."""
    difference = dict(zip(spec.names, (planned - done).tolist(), strict=True))
    rotation = (ActionKind.DROLL.value, ActionKind.DPITCH.value, ActionKind.DYAW.value)
    gripper = (ActionKind.GRIPPER.value, ActionKind.DGRIPPER.value)

    def norm(names: Sequence[str]) -> float:
        values = [difference[name] for name in names if name in difference]
        return math.sqrt(sum(value * value for value in values)) if values else math.nan

    return {
        'position_error_m': norm(_POSITION),
        'rotation_error_rad': norm(rotation),
        'gripper_error': norm(gripper),
    }


def _prediction(
    planner: WorldModelPlanner,
    scorer: Scorer,
    moments: Sequence[Moment],
    index: int,
    done: Array,
) -> dict[str, tuple[float, ...]]:
    actions = torch.tensor(done[None], dtype=torch.float32, device=scorer.goal.device)
    predicted = scorer.latents(actions)[0]  # [h, N, D]
    prediction, unmoved = [], []
    for step in range(len(done)):
        later = moments[index + 1 + step]
        came = planner.scorer(later.observation, later.goal).now
        prediction.append(float(scorer.distance(predicted[step], came)))
        unmoved.append(float(scorer.distance(scorer.now, came)))
    return {'prediction': tuple(prediction), 'unmoved': tuple(unmoved)}


def rank_of(done: Array, scorer: Scorer, config: ReplayConfig, index: int) -> dict[str, float]:
    """Return rank and regret of what was done [H, A] among random sequences within the bounds.

    The sequences are the first draws of a search that knows nothing: a Gaussian of a full half
    range around no motion, clamped; their seed is that of the replay and the moment's number. Like
    the search they keep to the model's axes and bounds, into which ``done`` is turned.
    """
    bounds = ActionBounds.of(scorer.model_spec, device=scorer.goal.device, dtype=torch.float32)
    start = ActionDistribution.start(bounds, horizon=len(done), init_mean=None, init_std_scale=1.0)
    generator = torch.Generator().manual_seed(config.seed * 100_003 + index)
    noise = torch.randn((config.samples, *done.shape), generator=generator)
    drawn = start.sample(noise.to(scorer.goal.device))
    was_done = torch.tensor(done, dtype=torch.float32, device=scorer.goal.device)
    own = bounds.clamp(scorer.in_model_axes(was_done))
    energies = scorer.model_energies(torch.cat([own.unsqueeze(0), drawn])).double().cpu().numpy()
    mine, others = float(energies[0]), np.sort(energies[1:][np.isfinite(energies[1:])])
    if not math.isfinite(mine) or len(others) < config.elites:
        return {}
    elite = float(others[: config.elites].mean())
    spread = float(np.median(others)) - elite
    return {
        'rank': float((others < mine).mean()),
        'regret': (mine - elite) / spread if spread > 0.0 else math.nan,
    }


def check_comparable(planner: Planner, moments: Sequence[Moment]) -> None:
    """Raise PlannerFailedError where a recording of other actions is to be reproduced."""
    sizes = {moment.actions.shape[1] for moment in moments if moment.actions is not None}
    if sizes - {planner.action_spec.size}:
        raise PlannerFailedError(
            f'the recorded plans have {sorted(sizes)} action dimensions and this planner '
            f'{planner.action_spec.size}; valid: the world model that was recorded.'
        )
