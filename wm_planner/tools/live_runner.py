# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""LiveRunner: the episodes of an evaluation over the live ROS graph, with the same records."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import logging
import math
import time

from wm_planner.bringup import ParameterValue
from wm_planner.control.controller import ControllerConfig
from wm_planner.core.errors import (
    DataError,
    InputError,
    PlanningError,
    SafetyError,
    UnknownNameError,
    WmPlannerError,
)
from wm_planner.evaluation.episode import JUDGED
from wm_planner.evaluation.pictures import BAG
from wm_planner.evaluation.records import TERMINATIONS, EpisodeRecord
from wm_planner.evaluation.runner import EpisodeSpec, RunRequest
from wm_planner.evaluation.settings import PlannerChoice, Value
from wm_planner.evaluation.workers import lost_record
from wm_planner.policies.registry import POLICIES
from wm_planner.ros.client import EpisodeGoals, ReachResult
from wm_planner.ros.stamps import stamp_to_ns
from wm_planner.tools.episode_bag import EpisodeBag
from wm_planner.tools.live_graph import GraphConfig, LiveGraph
from wm_planner_msgs.action import ReachGoal
from wm_planner_msgs.msg import EpisodeStatus, PlanDiagnostics, PlannerStatus

BRIDGE_ENVIRONMENTS = ('tabletop', 'arena')
"""The environments that the simulator bridge of profile ``sim`` hosts."""

_PLANNER_TIMEOUT = 'controller.planner_timeout_s'
_STATUS_TOPIC = '/wm_planner/status'
_ARENA_RATE_HZ = 20.0  # of the cameras: a frame for each control step
_WALL_S_PER_STEP = 10.0  # patience: a step is 0.25 s, a plan a few tenths, a busy machine slow
_CHAIN_HOLD_NS = 1_000_000_000  # a chain ends where it likes: what it holds has to stay there
_NO_RESULT: tuple[tuple[type[WmPlannerError], str], ...] = (
    (SafetyError, 'safety_stop'),
    (DataError, 'stale_data'),
    (WmPlannerError, 'planner_failed'),
)
"""How an episode without a result of its action has ended, by its error."""

_logger = logging.getLogger(__name__)


class LiveRunner:
    """Drives the planner node through the episodes that the simulator bridge starts.

    Each episode is one ReachGoal action with the episode's pictures, gripper states, instruction
    and step counts, and a tolerance that is never met, so that all steps are used as in a direct
    run, unless the suite's own rule ends the episode. Success is what the simulator says after the
    last step, with a chain by progress a second later. What goes wrong with the planner, its data
    or its safety ends one episode, which has failed; the next begins with a reset. Main thread.
    """

    def __init__(self, graph: LiveGraph, request: RunRequest) -> None:
        self._graph = graph
        self._request = request
        self._plan_ms: list[float] = []
        self._plan_rollouts: list[int] = []
        self._energies: list[float] = []
        self._decisions: list[str] = []
        self._bag: dict[str, bytes] = {}
        graph.client.on_plan = self._on_plan

    def run(self, spec: EpisodeSpec) -> EpisodeRecord:
        """Run one episode and return its record. DriverError if a node has died."""
        if BAG not in self._request.save:
            return self._run(spec)
        with EpisodeBag(self._graph) as bag:
            record = self._run(spec)
        self._bag = bag.files
        return record

    def files(self) -> dict[str, bytes]:
        """Return the bag of the last episode, where one was asked for, as files by name."""
        return self._bag

    def _run(self, spec: EpisodeSpec) -> EpisodeRecord:
        begin = time.monotonic()
        graph, seed, episode = self._graph, spec.seed, spec.episode
        try:
            goals = graph.begin_episode(spec.suite.suite, seed=seed, episode=episode)
            graph.client.enable(True)
        except (DataError, PlanningError, SafetyError) as error:
            # Of this episode alone: the sweep goes on, and the next one begins with a reset.
            _logger.warning('%s/%d/%d cannot begin: %s', spec.suite, seed, episode, error)
            return lost_record(spec, self._request, _without_result(error), error)
        start_distance_m = _number_or_none(graph.episode.distance_m)
        before = graph.status
        self._plan_ms, self._plan_rollouts, self._energies = [], [], []
        self._decisions = []
        result, error = None, None
        try:
            result = self._reach(goals)
        except (DataError, PlanningError, InputError, SafetyError) as raised:
            error = raised
            _logger.warning('%s/%d/%d: %s', spec.suite, seed, episode, raised)
        after = graph.status
        hold_ns = _CHAIN_HOLD_NS if self._request.config.chain == 'progress' else 0
        end = self._ended(stamp_to_ns(graph.status.header.stamp) + hold_ns)
        termination = _termination(result, end) if error is None else _without_result(error)
        return EpisodeRecord(
            episode_id=f'{spec.suite}/{seed}/{episode}',
            suite=str(spec.suite),
            planner=self._request.choice.planner,
            model=self._request.choice.shown_model,
            seed=seed,
            episode=episode,
            success=bool(end.success) and not end.failed and termination in JUDGED,
            start_distance_m=start_distance_m,
            final_distance_m=_number_or_none(end.distance_m),
            steps=sum(result.goal_steps) if result else 0,
            termination=termination,
            error_code=error.code if error else _code(result),
            message=error.message if error else self._message(result),
            goal_energies=result.goal_energies if result else (),
            plan_ms=tuple(self._plan_ms),
            plan_rollouts=tuple(self._plan_rollouts),
            energy_curve=tuple(self._energies),
            cost=float(end.cost),
            cost_upstream=float(end.cost_upstream),
            commands_clamped=_increase(before, after, 'commands_clamped'),
            commands_refused=_increase(before, after, 'commands_refused'),
            wall_s=time.monotonic() - begin,
        )

    def _reach(self, goals: EpisodeGoals) -> ReachResult:
        graph = self._graph
        config = self._request.config
        is_by_progress = config.chain == 'progress'
        steps = tuple(config.scale_steps(count) for count in goals.steps_per_goal)
        patience_s = 30.0 + _WALL_S_PER_STEP * sum(steps)
        return graph.client.reach_goal(
            goals.goals,
            steps_per_goal=steps,
            goal_step_s=goals.goal_step_s,
            instruction=goals.instruction,
            is_over=lambda: graph.episode.is_over,
            tolerance=None if is_by_progress else -1.0,
            chain=ReachGoal.Goal.PROGRESS if is_by_progress else ReachGoal.Goal.SCHEDULE,
            timeout_s=patience_s,
            on_feedback=self._on_feedback,
        )

    def _ended(self, stamp_ns: int) -> EpisodeStatus:
        """Have the end charged where that is due, forbid motion, and return how it then stands.

        The truth of success is that of ``stamp_ns`` [ns, simulated] or later.
        """
        graph = self._graph
        end = graph.wait_for_episode_after(stamp_ns)
        if not end.is_over:
            graph.client.end_episode()
            end = graph.wait_for_episode_after(stamp_to_ns(graph.episode.header.stamp) + 1)
        graph.client.enable(False)
        return end

    def _on_feedback(self, feedback: ReachGoal.Feedback) -> None:
        if feedback.decision and feedback.decision not in self._decisions:  # they are numbered
            self._decisions.append(str(feedback.decision))

    def _message(self, result: ReachResult | None) -> str:
        """Return why an action ended, else what its chain decided."""
        if result is None or result.error_code == 0:
            return '; '.join(self._decisions)
        return result.message

    def _on_plan(self, message: PlanDiagnostics) -> None:
        stages = dict(zip(message.stage_names, message.stage_milliseconds, strict=True))
        if 'total' in stages:
            self._plan_ms.append(float(stages['total']))
            self._plan_rollouts.append(int(message.rollouts))
            self._energies.append(float(message.goal_energy))


@contextmanager
def open_live_runner(request: RunRequest) -> Iterator[LiveRunner]:
    """Bring the simulated graph up in a ROS domain of its own, and take it down at the end.

    Raises UnknownNameError for an environment that the bridge does not host.
    """
    environment = request.suite.environment
    if environment not in BRIDGE_ENVIRONMENTS:
        raise UnknownNameError.among(
            'environment for --through ros', environment, BRIDGE_ENVIRONMENTS
        )
    request.choice.settings()  # complains about --set before any process is started
    arguments = {
        'robot': request.robot,
        'planner': request.choice.planner,
        'model': request.choice.model,
        'environment': environment,
        'seed': str(request.config.seed),
    }
    bridge: dict[str, ParameterValue] = {}
    if environment == 'arena':
        bridge = {
            'planner_status': _STATUS_TOPIC,
            'exterior_rate_hz': _ARENA_RATE_HZ,
            'wrist_rate_hz': _ARENA_RATE_HZ if _wants_wrist(request.choice) else 0.0,
        }
    config = GraphConfig(
        arguments=arguments,
        parameters={
            'wm_planner': {
                **_patience(request.choice),
                **_chosen(request.choice),
                'device': request.device,
            },
            'sim_bridge': bridge,
        },
    )
    with LiveGraph(config) as graph:
        _logger.info('starting the graph in ROS_DOMAIN_ID %d', graph.domain_id)
        graph.wait_until_ready()
        yield LiveRunner(graph, request)


def _wants_wrist(choice: PlannerChoice) -> bool:
    """Return whether a policy looks through the wrist camera with these settings."""
    if not choice.is_policy:
        return False
    config_class = POLICIES.get(choice.planner).config_class
    is_wanted = getattr(config_class, 'use_wrist_image', False)
    return bool(choice.values.get('planning.use_wrist_image', is_wanted))


def _patience(choice: PlannerChoice) -> dict[str, Value]:
    """Return how long the node waits for a plan: longer than a policy's server may take for one."""
    if not choice.is_policy:
        return {}
    config_class = POLICIES.get(choice.planner).config_class
    waits = [
        float(choice.values.get(f'planning.{name}', getattr(config_class, name, 0.0)))
        for name in ('timeout_s', 'first_timeout_s')
    ]
    usual_s = ControllerConfig().planner_timeout_s
    return {_PLANNER_TIMEOUT: max(waits) + usual_s} if max(waits) > usual_s / 2 else {}


def _chosen(choice: PlannerChoice) -> dict[str, Value]:
    """Return the node's parameters beyond planner and model; no preset is none of them."""
    preset = {'preset': choice.preset} if choice.preset else {}
    return {**preset, **choice.values}


def _without_result(error: WmPlannerError) -> str:
    """Return how an episode ended whose action gave no result, in the words of the records."""
    return next(name for kind, name in _NO_RESULT if isinstance(error, kind))


def _termination(result: ReachResult | None, end: EpisodeStatus) -> str:
    """Return how an episode ended, in the words of the records."""
    assert result is not None, 'there is a result where there is no error'
    if end.is_over and result.termination == ReachGoal.Result.CANCELED:  # by this runner
        return 'reached' if end.success else 'timeout'
    return TERMINATIONS[result.termination]


def _code(result: ReachResult | None) -> int:
    return 0 if result is None else result.error_code


def _increase(before: PlannerStatus, after: PlannerStatus, name: str) -> int:
    """Return how much a counter grew; it restarts when the node is activated again."""
    return max(int(getattr(after, name)) - int(getattr(before, name)), 0)


def _number_or_none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
