# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Calibration of a model's action axes: moves made or recorded, the model's view of them, the fit.

For each move the planner is asked, with its own optimizer and objective and a horizon of one step,
which action leads from the picture before to the picture after. The rotation between those actions
and what the tool really did is the calibration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from wm_planner.control.safety import SafetyConfig, SafetyFilter
from wm_planner.core.actions import action_to_command
from wm_planner.core.axis_fit import AxisFit, TrustConfig, fit_axes
from wm_planner.core.calibration import CameraCalibration, weights_name
from wm_planner.core.config import parameter, validate
from wm_planner.core.errors import CalibrationError, SafetyError
from wm_planner.core.geometry import Array
from wm_planner.core.profile import RobotProfile
from wm_planner.core.protocols import Environment, Planner
from wm_planner.core.types import ActionKind, ArmCommand, Goal, Image, Observation
from wm_planner.evaluation.settings import PlannerChoice
from wm_planner.factory import make_planner
from wm_planner.policies.calibration_moves import CalibrationMoves, CalibrationMovesConfig

_POSITION = (ActionKind.DX.value, ActionKind.DY.value, ActionKind.DZ.value)
_NO_DISPLACEMENT_M = 1e-4
MOVES_A_START = 5


@dataclass(frozen=True, kw_only=True)
class Move:
    """One move: what the planner saw before, the picture after, what the tool did (base_frame)."""

    before: Observation
    after: Image
    displacement_m: Array  # [3]


@dataclass(frozen=True, kw_only=True)
class CalibrationConfig:
    """How the model is asked."""

    moves: int = parameter(40, 'moves to make', low=3, high=10_000)
    is_full: bool = parameter(False, 'fit a rotation about any axis, not the vertical alone')
    num_samples: int = parameter(256, 'actions tried in an iteration', low=16, high=100_000)
    num_iterations: int = parameter(6, 'iterations of the search', low=1, high=100)
    seed: int = parameter(0, 'seed of the search', low=0)
    trust: TrustConfig = field(default_factory=TrustConfig)

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True, kw_only=True)
class CalibrationResult:
    """The fit and what it was made from."""

    fit: AxisFit
    wanted_m: Array  # [N, 3] displacements in the model's axes
    measured_m: Array  # [N, 3] displacements in base_frame
    gains: Array  # [N] share of the energy of staying that the best action takes away

    def block(self, *, model: str, weights: str, camera: str, date: str) -> CameraCalibration:
        """Return the block for the robot profile; raises CalibrationError if it is not trusted."""
        if not self.fit.is_trusted:
            raise CalibrationError(f'this calibration is {self.fit.verdict}.')
        return CameraCalibration(
            quaternion_xyzw=tuple(round(v, 9) for v in self.fit.quaternion_xyzw),
            residual=round(self.fit.residual, 4),
            moves=self.fit.moves,
            model=model,
            weights=weights_name(weights),
            camera=camera,
            date=date,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        values = asdict(self.fit)
        values.update(
            quaternion_xyzw=list(self.fit.quaternion_xyzw),
            reasons=list(self.fit.reasons),
            is_trusted=self.fit.is_trusted,
            is_mirrored=self.fit.is_mirrored,
            verdict=self.fit.verdict,
            median_gain=float(np.median(self.gains)),
            wanted_m=np.round(self.wanted_m, 5).tolist(),
            measured_m=np.round(self.measured_m, 5).tolist(),
        )
        return values


def calibration_planner(
    choice: PlannerChoice, config: CalibrationConfig, *, device: Any = 'cpu'
) -> Planner:
    """Return the planner that is asked: the chosen one, uncalibrated, looking one step ahead.

    Raises CalibrationError for a policy, which has no energies, and what ``make_planner`` raises.
    """
    if choice.is_policy:
        raise CalibrationError(
            f'{choice.planner!r} is a policy and imagines nothing; valid: a planner on a world '
            'model, for example cem.'
        )
    settings = choice.settings()
    # An elite in ten, as the published searches have it; two at least.
    search = {
        'horizon': 1,
        'num_samples': config.num_samples,
        'num_iterations': config.num_iterations,
    }
    if choice.planner != 'mppi':
        search['num_elites'] = max(2, config.num_samples // 10)
    settings = replace(
        settings,
        optimizer={**settings.optimizer, **search},
        planner={**settings.planner, 'warm_start': False, 'seed': config.seed},
        calibration=CameraCalibration(),
    )
    return make_planner(choice.planner, choice.model, settings, device=device)


def calibrate(
    planner: Planner,
    moves: Iterable[Move],
    config: CalibrationConfig,
    *,
    on_move: Callable[[int], None] = lambda done: None,
) -> CalibrationResult:
    """Ask the planner about each move and fit. Raises CalibrationError and what planning raises."""
    spec = planner.action_spec
    columns = [(axis, spec.names.index(n)) for axis, n in enumerate(_POSITION) if n in spec.names]
    wanted, measured, gains = [], [], []
    for number, move in enumerate(moves):
        planner.reset()
        goal = Goal(
            goal_id=f'calibration/{number}',
            image=move.after,
            gripper_closedness=move.before.state.gripper_closedness,
        )
        plan = planner.plan(move.before, goal)
        vector = np.zeros(3)
        for axis, column in columns:
            vector[axis] = plan.actions[0][column]
        wanted.append(vector)
        measured.append(move.displacement_m)
        gains.append(1.0 - plan.energy / max(plan.goal_energy, 1e-12))
        on_move(number + 1)
    if not wanted:
        raise CalibrationError('there is no move; valid: ten or more.')
    fit = fit_axes(np.stack(wanted), np.stack(measured), is_full=config.is_full, trust=config.trust)
    return CalibrationResult(
        fit=fit,
        wanted_m=np.stack(wanted),
        measured_m=np.stack(measured),
        gains=np.asarray(gains),
    )


def moves_in_environment(
    environment: Environment,
    suite: str,
    profile: RobotProfile,
    config: CalibrationConfig,
    *,
    context_frames: int,
    script: CalibrationMovesConfig,
    seed: int = 0,
) -> list[Move]:
    """Make the moves in a simulator, through the safety filter, from an episode's start.

    The next episode is started every MOVES_A_START, so that they happen all over the workspace:
    where a model errs it does so alike for neighbouring moves.
    Raises CalibrationError where the filter refuses nearly all of them.
    """
    policy = CalibrationMoves(script)
    safety = SafetyFilter(profile, SafetyConfig())
    moves: list[Move] = []
    refused, episode = 0, 0
    while len(moves) < config.moves:
        start = environment.reset(suite, seed=seed, episode=episode)
        policy.reset()
        safety.reset()
        goal, before = start.goals[0], start.observation
        before = _settled(environment, before, context_frames, script.step_duration_s)
        for _ in range(MOVES_A_START):
            plan = policy.plan(before, goal)
            state = before.state
            wanted = action_to_command(plan.actions[0], plan.action_spec, state, state.stamp_ns)
            verdict = safety.apply(wanted, state, state.stamp_ns)
            if verdict.command is None:
                refused += 1
                if refused > 4 * config.moves:
                    raise CalibrationError(
                        f'the safety filter refuses the moves: '
                        f'{verdict.error or SafetyError("without a reason.")}'
                    )
                continue
            after = environment.step(verdict.command, script.step_duration_s).observation
            displacement = after.state.position_m - state.position_m
            if float(np.linalg.norm(displacement)) > _NO_DISPLACEMENT_M:
                moves.append(
                    Move(before=before, after=after.images[-1], displacement_m=displacement)
                )
            before = _settled(environment, after, context_frames, script.step_duration_s)
        episode += 1
    return moves[: config.moves]


def _settled(
    environment: Environment, seen: Observation, frames: int, step_s: float
) -> Observation:
    """Hold until there are as many frames as the planner looks at; none is repeated."""
    while len(seen.states) < frames:
        new = environment.step(ArmCommand.hold_at(seen.state), step_s).observation
        seen = replace(
            new,
            images=np.concatenate([seen.images, new.images]),
            image_stamps_ns=seen.image_stamps_ns + new.image_stamps_ns,
            states=seen.states + new.states,
        )
    return seen
