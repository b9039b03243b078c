# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""DirectRunner: planner and simulator in one process, without time passing in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
import logging
import math
import os
import time

from wm_planner.control.chain import Chain, ChainConfig, ChainKind, Decision
from wm_planner.control.safety import SafetyConfig, SafetyFilter
from wm_planner.core.actions import action_to_command, planner_steps
from wm_planner.core.errors import (
    InvalidGoalError,
    ModelLoadError,
    SafetyError,
    SimulatorError,
    as_wm_planner_error,
)
from wm_planner.core.paths import robot_profile_file
from wm_planner.core.profile import RobotProfile
from wm_planner.core.protocols import (
    ChargesTheEnd,
    Environment,
    LooksThroughWrist,
    Planner,
    SearchesWider,
    TakesInstruction,
)
from wm_planner.core.types import ArmCommand, EpisodeStart, Goal, Plan, StepResult
from wm_planner.evaluation.environments import (
    KnowsSubGoals,
    OffersWristImage,
    Scored,
    SuiteName,
    WantsEnvironment,
    default_robot,
    expand_suite,
    open_environment,
)
from wm_planner.evaluation.episode import CHAIN_ENDS, EpisodeOver, Tally, newest
from wm_planner.evaluation.motion import EpisodeMotion
from wm_planner.evaluation.pictures import PICTURES, EpisodeCamera
from wm_planner.evaluation.records import EpisodeRecord, RunReport
from wm_planner.evaluation.runner import (
    EpisodeSpec,
    EvaluationConfig,
    RunRequest,
    Seedable,
    episode_seed,
    sweep,
)
from wm_planner.evaluation.settings import PlannerChoice
from wm_planner.evaluation.threads import planning_threads
from wm_planner.factory import make_planner
from wm_planner.imagination.painters import Painter, make_painter

_logger = logging.getLogger(__name__)

ASSET_ROOT_VARIABLE = 'WM_PLANNER_ASSET_ROOT'
"""Where environments look for data that no package brings."""


class DirectRunner:
    """Planner and simulator in one process, one after the other: blocking and quasi-static.

    observation -> ``plan`` -> first action as an absolute target from the observed state -> safety
    filter -> one step of the simulator -> observation. The schedule is fixed: each goal gets
    exactly its ``steps_per_goal`` times ``steps_scale`` and nothing but ``StepResult.is_over``, the
    suite's own rule, stops early, so elsewhere success means *staying* there. A command that the
    filter refuses becomes a hold for that step and is counted. Costs are those of the planner's
    steps: frames taken at rest to fill its context cost nothing.

    With ``chain`` 'progress' a Chain says when a goal is left and when the arm has arrived; all
    goals share the steps of the schedule, and what is left of them the arm holds still.

    A planner that can be seeded gets ``episode_seed`` before each episode, one that takes an
    instruction gets the episode's. Not thread-safe.
    """

    def __init__(
        self,
        *,
        environment: Environment,
        planner: Planner,
        safety: SafetyFilter,
        planner_name: str,
        model_name: str,
        config: EvaluationConfig,
        chain: ChainConfig | None = None,
        save: Sequence[str] = (),
        painter: Painter | None = None,
    ) -> None:
        self._environment = environment
        self._planner = planner
        self._safety = safety
        self._planner_name = planner_name
        self._model_name = model_name
        self._config = config
        self._chain = chain or ChainConfig()
        self._camera = EpisodeCamera(save)
        self._painter = painter if PICTURES in save else None
        self._motion = EpisodeMotion(save)
        if isinstance(planner, WantsEnvironment):
            planner.attach(environment)
        if isinstance(environment, OffersWristImage):
            looks = isinstance(planner, LooksThroughWrist) and planner.wants_wrist_image
            environment.offer_wrist_image(looks)

    def run(self, spec: EpisodeSpec) -> EpisodeRecord:
        """Run one episode and return its record; a failing simulator raises its DriverError."""
        begin = time.monotonic()
        start = self._environment.reset(spec.suite.suite, seed=spec.seed, episode=spec.episode)
        self._check_unsolved(start)
        self._camera.begin(start.observation.images[-1], start.goals[-1].image)
        self._motion.begin(start.observation.state)
        tally = Tally(observation=start.observation, distance_m=start.metrics.get('distance_m'))
        termination, code, message = 'timeout', 0, ''
        try:
            self._prepare(start, episode_seed(spec.seed, spec.episode))
            self._fill_context(tally)
            if self._config.chain == ChainKind.PROGRESS.name.lower():
                termination, message = self._pursue_chain(start, tally)
            else:
                for index, goal in enumerate(start.goals):
                    self._pursue(index, goal, self._steps(start, index), tally)
            if tally.is_over and tally.success:
                termination = 'reached'
        except EpisodeOver as over:
            tally.success = False
            if isinstance(self._environment, ChargesTheEnd) and not tally.is_over:
                tally.cost += self._environment.give_up()
            termination, code, message = over.termination, over.error.code, over.error.message
            _logger.warning('%s: %s', start.episode_id, over)
        return EpisodeRecord(
            episode_id=start.episode_id,
            suite=str(spec.suite),
            planner=self._planner_name,
            model=self._model_name,
            seed=spec.seed,
            episode=spec.episode,
            success=tally.success,
            start_distance_m=start.metrics.get('distance_m'),
            final_distance_m=tally.distance_m,
            steps=tally.steps,
            termination=termination,
            error_code=code,
            message=message,
            goal_energies=tuple(tally.goal_energies),
            plan_ms=tuple(tally.plan_ms),
            plan_rollouts=tuple(tally.plan_rollouts),
            energy_curve=tuple(tally.energy_curve),
            cost=tally.cost,
            cost_upstream=tally.cost_upstream,
            commands_clamped=tally.clamped,
            commands_refused=tally.refused,
            wall_s=time.monotonic() - begin,
        )

    def files(self) -> dict[str, bytes]:
        """Return what was asked to be kept of the last episode, as files by name."""
        frame_s = self._planner.action_spec.step_duration_s
        return {**self._camera.files(frame_s), **self._motion.files()}

    def _check_unsolved(self, start: EpisodeStart) -> None:
        """Raise SimulatorError for a start that is solved already: it would measure nothing."""
        if len(start.goals) != len(start.steps_per_goal) or not start.goals:
            raise SimulatorError(
                f'{start.episode_id} has {len(start.goals)} goals and '
                f'{len(start.steps_per_goal)} step counts; valid: as many of each, at least 1.'
            )
        if isinstance(self._environment, Scored) and self._environment.score().success:
            raise SimulatorError(f'{start.episode_id} is solved at its start; valid: unsolved.')

    def _steps(self, start: EpisodeStart, index: int) -> int:
        """Return how many steps of the planner one goal may take; the last is not cut short."""
        step_s = self._planner.action_spec.step_duration_s
        steps = self._config.scale_steps(start.steps_per_goal[index])
        return planner_steps(steps, start.goal_step_s or 0.0, step_s)

    def _prepare(self, start: EpisodeStart, seed: int) -> None:
        """Check and encode all goals before the first motion, as the node does."""
        try:
            if isinstance(self._planner, Seedable):
                self._planner.seed(seed)
            self._planner.reset()
            self._safety.reset()
            if isinstance(self._planner, TakesInstruction):
                self._planner.set_instruction(start.instruction)
            for goal in start.goals:
                self._planner.prepare_goal(goal)
        except Exception as error:  # whatever a planner raises fails its episode, not the sweep
            raise EpisodeOver('planner_failed', as_wm_planner_error(error)) from error

    def _fill_context(self, tally: Tally) -> None:
        """Hold until there are as many frames as the planner looks at: none is ever repeated."""
        while len(tally.observation.states) < self._planner.context_frames and not tally.is_over:
            self._advance(ArmCommand.hold_at(tally.observation.state), tally)

    def _pursue(self, index: int, goal: Goal, steps: int, tally: Tally) -> None:
        """Spend exactly ``steps`` on one goal, unless the episode is over before."""
        if tally.is_over:
            return
        if isinstance(self._environment, KnowsSubGoals):
            self._environment.begin_goal(index)
        tally.goal_energies.append(math.nan)
        for _ in range(steps):
            plan = self._plan(goal, tally)
            tally.goal_energies[-1] = plan.goal_energy
            tally.energy_curve.append(plan.goal_energy)
            result = self._execute(plan, tally)
            tally.steps += 1
            self._charge(result, tally)
            if tally.is_over:
                return

    def _pursue_chain(self, start: EpisodeStart, tally: Tally) -> tuple[str, str]:
        """Walk the goals by progress, at most the steps of the schedule; return how it ended.

        What is left of the steps afterwards is held in place and not counted.
        """
        budget = sum(self._steps(start, index) for index in range(len(start.goals)))
        try:
            chain = Chain(
                start.goals,
                tolerance=self._planner.goal_tolerance,
                config=self._chain,
                budget=budget,
            )
        except InvalidGoalError as error:
            raise EpisodeOver('planner_failed', error) from error
        shown = -1
        while not (tally.is_over or chain.decision.is_end):
            index = chain.index
            if index != shown and isinstance(self._environment, KnowsSubGoals):
                self._environment.begin_goal(index)
            shown = index
            if isinstance(self._planner, SearchesWider):
                self._planner.widen(chain.is_wide)
            plan = self._plan(start.goals[index], tally)
            decision = chain.on_plan(plan.goal_energy, tally.observation.state.gripper_closedness)
            tally.note_energy(index, plan.goal_energy)
            if decision is Decision.GO_ON:
                self._charge(self._execute(plan, tally), tally)
                tally.steps += 1
                chain.on_steps(1)
            else:
                tally.executed_steps = 0  # of this plan, which only told where the arm is
        for _ in range(budget - tally.steps):
            if tally.is_over:
                break
            # What was sent last, as the node does: a measured closedness would hold no object.
            hold = tally.command or ArmCommand.hold_at(tally.observation.state)
            self._charge(self._advance(hold, tally), tally)
        message = '; '.join(chain.decisions)
        return CHAIN_ENDS.get(chain.decision, 'timeout'), message

    @staticmethod
    def _charge(result: StepResult, tally: Tally) -> None:
        tally.cost += result.cost
        tally.cost_upstream += result.cost_upstream

    def _plan(self, goal: Goal, tally: Tally) -> Plan:
        begin_ns = time.perf_counter_ns()
        try:
            plan = self._planner.plan(tally.observation, goal, executed_steps=tally.executed_steps)
        except Exception as error:  # whatever a planner raises fails its episode, not the sweep
            raise EpisodeOver('planner_failed', as_wm_planner_error(error)) from error
        tally.plan_ms.append((time.perf_counter_ns() - begin_ns) * 1e-6)
        tally.plan_rollouts.append(plan.diagnostics.rollouts)
        return plan

    def _paint(self, plan: Plan) -> None:
        """Keep what the model expects to see after the step that is about to be made."""
        imagined = plan.imagination
        if self._painter is not None and imagined is not None:
            self._painter.begin(imagined.now[None])
            self._camera.imagine(self._painter.paint(imagined.latents[:1])[0])

    def _execute(self, plan: Plan, tally: Tally) -> StepResult:
        self._paint(plan)
        state = tally.observation.state
        wanted = action_to_command(plan.actions[0], plan.action_spec, state, state.stamp_ns)
        verdict = self._safety.apply(wanted, state, state.stamp_ns)
        tally.clamped += bool(verdict.clamps)
        tally.executed_steps = int(verdict.command is not None)
        if verdict.command is not None:
            tally.refused_in_a_row = 0
            return self._advance(verdict.command, tally)
        tally.refused += 1
        tally.refused_in_a_row += 1
        if tally.refused_in_a_row >= self._config.max_refusals:
            error = verdict.error or SafetyError('the safety filter refused without a reason.')
            raise EpisodeOver('safety_stop', error)
        return self._advance(ArmCommand.hold_at(state), tally)

    def _advance(self, command: ArmCommand, tally: Tally) -> StepResult:
        result = self._environment.step(command, self._planner.action_spec.step_duration_s)
        tally.observation = newest(
            tally.observation, result.observation, self._planner.context_frames
        )
        tally.command = command
        tally.success = result.success
        tally.distance_m = result.metrics.get('distance_m')
        tally.is_over = result.is_over
        self._camera.add(result.observation.images[-1])
        self._motion.add(command, result.observation.state)
        return result


@contextmanager
def open_direct_runner(request: RunRequest) -> Iterator[DirectRunner]:
    """Make environment, planner and safety filter, and release them at the end.

    Raises what cannot be made as an error that names the valid choices.
    """
    choice = request.choice
    profile = RobotProfile.from_yaml(robot_profile_file(request.robot))
    use_asset_root(request.asset_root)
    environment = open_environment(request.suite)
    try:
        with planning_threads(request.threads):
            yield DirectRunner(
                environment=environment,
                planner=make_planner(
                    choice.planner,
                    choice.model,
                    replace(choice.settings(), calibration=profile.calibration),
                    device=request.device,
                ),
                safety=SafetyFilter(profile, SafetyConfig()),
                planner_name=choice.planner,
                model_name=choice.shown_model,
                config=request.config,
                chain=choice.chain_config(),
                save=request.save,
                painter=_painter_of(request),
            )
    finally:
        environment.close()


def _painter_of(request: RunRequest) -> Painter | None:
    """Return who draws what the planner imagines, where pictures are kept and it imagines any."""
    choice = request.choice
    if choice.is_policy or PICTURES not in request.save:
        return None
    weights = str(choice.values.get('world_model.weights', ''))
    try:
        return make_painter(choice.model, weights)
    except ModelLoadError as error:  # other weights than those that a decoder was trained for
        _logger.warning('no imagined pictures: %s', error.message)
        return None


def use_asset_root(folder: str) -> None:
    """Let environments opened from now on in this process find their data in ``folder``."""
    if folder:
        os.environ[ASSET_ROOT_VARIABLE] = folder


def evaluate_direct(
    *,
    suite: str,
    planner: str = 'cem',
    model: str = 'tabletop',
    preset: str = '',
    weights: str = '',
    episodes: int = 40,
    seed: int = 0,
    device: str = 'cpu',
    on_episode: Callable[[EpisodeRecord], None] | None = None,
) -> RunReport:
    """Run ``episodes`` of ``suite`` in this process and return the report.

    ``weights`` is another weights file of the model than the one that ships. ``on_episode`` is
    called with each record as its episode ends.
    """
    values = {'world_model.weights': weights} if weights else {}
    name = SuiteName.parse_prefix(suite)
    request = RunRequest(
        suite=name,
        tasks=expand_suite(name),
        choice=PlannerChoice(planner=planner, model=model, preset=preset, values=values),
        config=EvaluationConfig(episodes=episodes, seed=seed),
        device=device,
        robot=default_robot(name.environment),
    )
    records: list[EpisodeRecord] = []
    begin = time.monotonic()
    with open_direct_runner(request) as runner:
        for record in sweep(runner, request.specs()):
            records.append(record)
            if on_episode is not None:
                on_episode(record)
    return request.report(records, wall_s=time.monotonic() - begin)
