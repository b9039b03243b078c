# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""VLA-Arena's tasks as episodes: the benchmark's own engine, protocol and costs.

Suites are called ``SUITE/L<level>/TASK``. Episode k starts at initial state k modulo their number
(50), after 10 settling steps that do not count. It ends at its first success or after 300 control
steps of 50 ms, 600 for the long horizon's upper levels.

A command that lasts one control step reaches the engine as it is; one that lasts longer is an
absolute target that a servo goes to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import logging
import math
from pathlib import Path
import time

import numpy as np

from wm_planner.core.errors import InvalidParameterError, SimulatorError
from wm_planner.core.types import ArmCommand, EpisodeStart, Goal, Observation, StepResult
from wm_planner_sim.arena_config import GOALS_FINAL, GOALS_NONE, WRIST_CAMERA, ArenaConfig
from wm_planner_sim.arena_cost import CostLedger
from wm_planner_sim.arena_engine import CONTROL_STEP_S
from wm_planner_sim.arena_goals import GoalBook, GoalSet, engine_seed
from wm_planner_sim.arena_sim import ArenaSim
from wm_planner_sim.arena_tasks import ArenaTask, find_task, libero_tasks, tasks_under
from wm_planner_sim.assets import find_asset_root, prepare_assets
from wm_planner_sim.suites import EpisodeScore

_LOG = logging.getLogger(__name__)


@dataclass(kw_only=True)
class _Episode:
    """What is kept of one episode."""

    ledger: CostLedger
    max_steps: int
    goals: tuple[Goal, ...] = ()
    goal_set: GoalSet | None = None
    steps: int = 0
    has_succeeded: bool = False
    goal_index: int = 0  # that is being pursued

    @property
    def is_over(self) -> bool:
        """Return whether the benchmark's protocol has ended it."""
        return self.has_succeeded or self.steps >= self.max_steps


class ArenaEnvironment:
    """Episodes of VLA-Arena; implements ``wm_planner.core.protocols.Environment``.

    Not thread-safe. (suite, seed, episode) fixes everything in an episode: the seed draws where
    furniture stands, which the initial states do not hold.
    """

    def __init__(self, config: ArenaConfig | None = None) -> None:
        self.config = config or ArenaConfig.from_variables()
        self.sim = ArenaSim(self.config)
        self.sim.on_step = self._on_step
        self.sim.go_home = self._go_home
        self._root: Path | None = find_asset_root(self.config.asset_root)
        self._tasks: dict[str, ArenaTask] | None = None
        self._goals = GoalBook(self.config)
        self._episode: _Episode | None = None
        self.is_scene_lost = False
        """Whether the last ``reset`` failed after it had begun to move things."""
        self.reset_milliseconds: Mapping[str, float] = {}
        self._is_counting = True
        self._shows_wrist = self.config.has_wrist_camera

    @property
    def tasks(self) -> dict[str, ArenaTask]:
        """Return the tasks that are on this machine, by name."""
        if self._tasks is None:
            self._tasks = tasks_under(self._root) if self._root is not None else {}
            if self.config.has_libero:
                self._tasks.update(libero_tasks())
        return self._tasks

    def suites(self) -> tuple[str, ...]:
        """Return the tasks' names: SUITE/L<level>/TASK."""
        return tuple(self.tasks)

    def reset(self, suite: str, *, seed: int, episode: int) -> EpisodeStart:
        """Start episode ``episode`` of a task.

        Raises UnknownNameError for a task that does not exist and MissingAssetError, naming files
        and command, where its meshes are absent. Where anything fails, an episode of another task
        goes on as it was; one of the same task is gone, see ``is_scene_lost``.
        """
        self.is_scene_lost = False
        if seed < 0 or episode < 0:
            raise InvalidParameterError(f'seed {seed}, episode {episode}; valid: >= 0.')
        task = find_task(self.tasks, suite)
        prepare_assets(self._root, task)
        before, is_kept = self._episode, True  # the scene that stands, until one moves things in it
        try:
            with self.sim.loading(task) as is_kept:
                return self._start(task, seed, episode)
        except BaseException:
            self._episode = before if is_kept else None
            self.is_scene_lost = not is_kept
            raise

    def _start(self, task: ArenaTask, seed: int, episode: int) -> EpisodeStart:
        episode_id = f'arena/{task}/{seed}/{episode}'
        self._episode = None  # what the goals are made with costs nothing
        goal_set = self._make_goals(task, seed, episode)
        begun = self._begin(task, seed, episode)
        begin_ns = time.perf_counter_ns()
        observation = self.observe()
        self.reset_milliseconds = {
            **self.sim.begin_milliseconds,
            'picture': (time.perf_counter_ns() - begin_ns) * 1e-6,
        }
        goals = goal_set.goals if goal_set else ()
        if self.config.goals == GOALS_FINAL:
            goals = goals[-1:]
        if not goals:
            goals = (Goal(goal_id='none', image=observation.images[-1]),)
        begun.goal_set = goal_set
        begun.goals = tuple(_renamed(g, f'{episode_id}/{g.goal_id}') for g in goals)
        self._episode = begun
        return EpisodeStart(
            episode_id=episode_id,
            observation=observation,
            goals=begun.goals,
            steps_per_goal=_shares(task.max_steps, len(goals)),
            goal_step_s=CONTROL_STEP_S,  # they are counted in the benchmark's own steps
            instruction=self.sim.engine.instruction,
        )

    def step(self, command: ArmCommand, duration_s: float) -> StepResult:
        """Go to ``command`` for ``duration_s``, a multiple of 50 ms, then observe and score.

        Physics stops at the first success. Raises SimulatorError when the episode is over.
        """
        running = self._running()
        ledger = running.ledger
        count = round(duration_s / CONTROL_STEP_S)
        if count < 1 or not math.isclose(count * CONTROL_STEP_S, duration_s, abs_tol=1e-6):
            raise InvalidParameterError(
                f'step of {duration_s} s; valid: whole control steps of {CONTROL_STEP_S} s.'
            )
        cleaned, upstream = ledger.cleaned, ledger.upstream
        self.sim.set_target(command)
        self.sim.advance(duration_s, is_exact=count == 1)
        return StepResult(
            observation=self.observe(),
            success=running.has_succeeded,
            cost=ledger.cleaned - cleaned,
            cost_upstream=ledger.upstream - upstream,
            is_over=self.is_over,
            metrics={
                'total_cost': ledger.cleaned,
                'total_cost_upstream': ledger.upstream,
                'control_steps': float(running.steps),
            },
        )

    def give_up(self) -> float:
        """End the episode before its time; return what its end costs, in the cleaned reading.

        A planner that fails half-way has to answer for the scene that it leaves behind.
        """
        running = self._running()
        ledger = running.ledger
        before, running.max_steps = ledger.cleaned, running.steps
        ledger.charge_end()
        return ledger.cleaned - before

    def begin_goal(self, index: int) -> None:
        """Say which sub-goal is being pursued; only the reported tool distance depends on it."""
        if self._episode is not None:
            self._episode.goal_index = index

    @property
    def is_over(self) -> bool:
        """Return whether the benchmark's protocol has ended the episode."""
        return self._episode is not None and self._episode.is_over

    @property
    def steps_counted(self) -> int:
        """Return the control steps of the episode so far."""
        return self._episode.steps if self._episode is not None else 0

    def set_counting(self, is_counting: bool) -> None:
        """Count, and charge for, control steps from now on, or let them be.

        The engine's clock stands still while a policy thinks. Where simulated time goes on
        meanwhile, behind ROS, steps at rest would make the same policy slower and dearer.
        """
        self._is_counting = is_counting

    def offer_wrist_image(self, is_wanted: bool) -> None:
        """Render the wrist camera with each observation where there is one, or leave it out."""
        self._shows_wrist = self.config.has_wrist_camera and is_wanted

    def observe(self) -> Observation:
        """Return the planner's camera, the wrist camera if wanted, and the robot state now."""
        image, state = self.sim.render(self.config.camera), self.sim.robot_state()
        wrist = self.sim.render(WRIST_CAMERA) if self._shows_wrist else None
        return Observation(
            images=image[None],
            image_stamps_ns=(state.stamp_ns,),
            states=(state,),
            wrist_image=wrist,
            joints_rad=self.sim.engine.arm_joints()[0],
            base_in_world_m=self.sim.engine.base_world_m,
        )

    def score(self) -> EpisodeScore:
        """Return how the episode stands. Raises SimulatorError before the first reset."""
        scored = self._started()
        index = min(scored.goal_index, len(scored.goals) - 1)
        pose = scored.goals[index].pose
        tool_distance = math.nan
        if pose is not None:
            tool = self.sim.robot_state().position_m
            tool_distance = float(np.linalg.norm(tool - pose.position_m))
        return EpisodeScore(
            success=scored.has_succeeded or (not scored.steps and self.sim.engine.is_solved()),
            distance_m=tool_distance,
            tool_distance_m=tool_distance,
            goal_index=index,
            goal_count=len(scored.goals),
            cost=scored.ledger.cleaned,
            cost_upstream=scored.ledger.upstream,
            is_over=scored.is_over,
            is_failed=scored.is_over and not scored.has_succeeded,
        )

    @property
    def goal_set(self) -> GoalSet | None:
        """Return the goals of the episode with their provenance; None without pictures."""
        return self._episode.goal_set if self._episode is not None else None

    @property
    def oracle_attempt(self) -> int:
        """Return the number of the oracle's attempt that solves this episode; 0 if unknown."""
        return max(0, self.goal_set.attempt) if self.goal_set is not None else 0

    def close(self) -> None:
        """Release the simulator."""
        self.sim.close()

    # -- episodes --------------------------------------------------------------------------------

    def _make_goals(self, task: ArenaTask, seed: int, episode: int) -> GoalSet | None:
        if self.config.goals == GOALS_NONE:
            return None
        with self.sim.without_time():
            return self._goals.goal_set(self.sim, task, seed=seed, episode=episode)

    def _go_home(self, seed: int) -> None:
        """Show a scene at rest without an episode: the present task, or the first there is."""
        self._episode = None
        if not self.sim.has_scene:
            task = find_task(self.tasks, next(iter(self.tasks), ''))
            prepare_assets(self._root, task)
            with self.sim.loading(task):
                self.sim.begin(0, seed=engine_seed(seed, 0))
            return
        self.sim.begin(0, seed=engine_seed(seed, 0))

    def _begin(self, task: ArenaTask, seed: int, episode: int) -> _Episode:
        engine = self.sim.engine
        ledger = CostLedger(engine.cost_conditions, engine.holds, engine.moving_objects)
        self.sim.begin(
            episode, seed=engine_seed(seed, episode), watch=ledger.look_at_untouched_scene
        )
        if ledger.excused:
            _LOG.debug('%s: cleaned cost leaves out %s', task, '; '.join(ledger.excused))
        return _Episode(ledger=ledger, max_steps=task.max_steps)

    def _on_step(self, success: bool, engine_cost: float) -> bool:
        """Score one control step; returns True where the episode ends."""
        running = self._episode
        if running is None or running.is_over:  # the bridge goes on after the end
            return False
        running.has_succeeded = success
        if not self._is_counting and not success:
            return False
        running.steps += 1
        running.ledger.charge(engine_cost, is_over=running.is_over)
        return running.is_over

    def _started(self) -> _Episode:
        if self._episode is None:
            raise SimulatorError('no episode has been started; call reset first.')
        return self._episode

    def _running(self) -> _Episode:
        running = self._started()
        if running.is_over:
            raise SimulatorError('the episode is over; valid: reset.')
        return running


def _shares(steps: int, goals: int) -> tuple[int, ...]:
    """Return how many steps each goal may take; the first ones get what does not divide."""
    return tuple(steps // goals + (i < steps % goals) for i in range(goals))


def _renamed(goal: Goal, name: str) -> Goal:
    return Goal(
        goal_id=name,
        image=goal.image,
        gripper_closedness=goal.gripper_closedness,
        pose=goal.pose,
    )
