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
        self.goal_set: GoalSet | None = None
        self._ledger: CostLedger | None = None
        self.reset_milliseconds: Mapping[str, float] = {}
        self._is_counting = True
        self._shows_wrist = self.config.has_wrist_camera
        self._steps = 0
        self._max_steps = 0
        self._has_succeeded = False
        self._goal_index = 0
        self._goal_list: tuple[Goal, ...] = ()

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
        and command, where its meshes are absent. What cannot be started leaves a scene at rest
        without an episode, or, where the task could not even be built, all as it was.
        """
        if seed < 0 or episode < 0:
            raise InvalidParameterError(f'seed {seed}, episode {episode}; valid: >= 0.')
        task = find_task(self.tasks, suite)
        prepare_assets(self._root, task)
        self.sim.load(task)
        episode_id = f'arena/{task}/{seed}/{episode}'
        self._ledger = None  # what the goals are made with costs nothing
        self._goal_list = ()
        goals = self._make_goals(task, seed, episode)
        self._begin(task, seed, episode)
        begin_ns = time.perf_counter_ns()
        observation = self.observe()
        self.reset_milliseconds = {
            **self.sim.begin_milliseconds,
            'picture': (time.perf_counter_ns() - begin_ns) * 1e-6,
        }
        if not goals:
            goals = (Goal(goal_id='none', image=observation.images[-1]),)
        self._goal_list = tuple(_renamed(g, f'{episode_id}/{g.goal_id}') for g in goals)
        return EpisodeStart(
            episode_id=episode_id,
            observation=observation,
            goals=self._goal_list,
            steps_per_goal=_shares(task.max_steps, len(goals)),
            goal_step_s=CONTROL_STEP_S,  # they are counted in the benchmark's own steps
            instruction=self.sim.engine.instruction,
        )

    def step(self, command: ArmCommand, duration_s: float) -> StepResult:
        """Go to ``command`` for ``duration_s``, a multiple of 50 ms, then observe and score.

        Physics stops at the first success. Raises SimulatorError when the episode is over.
        """
        ledger = self._running()
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
            success=self._has_succeeded,
            cost=ledger.cleaned - cleaned,
            cost_upstream=ledger.upstream - upstream,
            is_over=self.is_over,
            metrics={
                'total_cost': ledger.cleaned,
                'total_cost_upstream': ledger.upstream,
                'control_steps': float(self._steps),
            },
        )

    def give_up(self) -> float:
        """End the episode before its time; return what its end costs, in the cleaned reading.

        A planner that fails half-way has to answer for the scene that it leaves behind.
        """
        ledger = self._running()
        before, self._max_steps = ledger.cleaned, self._steps
        ledger.charge_end()
        return ledger.cleaned - before

    def begin_goal(self, index: int) -> None:
        """Say which sub-goal is being pursued; only the reported tool distance depends on it."""
        self._goal_index = index

    @property
    def is_over(self) -> bool:
        """Return whether the benchmark's protocol has ended the episode."""
        return self._has_succeeded or self._steps >= self._max_steps

    @property
    def steps_counted(self) -> int:
        """Return the control steps of the episode so far."""
        return self._steps

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
        ledger = self._ledger
        if ledger is None:
            raise SimulatorError('no episode has been started; call reset first.')
        index = min(self._goal_index, len(self._goal_list) - 1)
        pose = self._goal_list[index].pose if self._goal_list else None
        tool_distance = math.nan
        if pose is not None:
            tool = self.sim.robot_state().position_m
            tool_distance = float(np.linalg.norm(tool - pose.position_m))
        return EpisodeScore(
            success=self._has_succeeded or (not self._steps and self.sim.engine.is_solved()),
            distance_m=tool_distance,
            tool_distance_m=tool_distance,
            goal_index=index,
            goal_count=len(self._goal_list),
            cost=ledger.cleaned,
            cost_upstream=ledger.upstream,
            is_over=self.is_over,
            is_failed=self.is_over and not self._has_succeeded,
        )

    @property
    def oracle_attempt(self) -> int:
        """Return the number of the oracle's attempt that solves this episode; 0 if unknown."""
        return max(0, self.goal_set.attempt) if self.goal_set is not None else 0

    @property
    def excused_conditions(self) -> tuple[str, ...]:
        """Return the cost conditions that the untouched scene of this episode meets already."""
        return self._ledger.excused if self._ledger is not None else ()

    def close(self) -> None:
        """Release the simulator."""
        self.sim.close()

    # -- episodes --------------------------------------------------------------------------------

    def _make_goals(self, task: ArenaTask, seed: int, episode: int) -> tuple[Goal, ...]:
        self.goal_set = None
        if self.config.goals == GOALS_NONE:
            return ()
        with self.sim.without_time():
            self.goal_set = self._goals.goal_set(self.sim, task, seed=seed, episode=episode)
        goals = self.goal_set.goals
        return goals[-1:] if self.config.goals == GOALS_FINAL else goals

    def _go_home(self, seed: int) -> None:
        """Show a scene at rest without an episode: the present task, or the first there is."""
        self._ledger, self._goal_list = None, ()
        if not self.sim.has_scene:
            task = find_task(self.tasks, next(iter(self.tasks), ''))
            prepare_assets(self._root, task)
            self.sim.load(task)
        self.sim.begin(0, seed=engine_seed(seed, 0))

    def _begin(self, task: ArenaTask, seed: int, episode: int) -> None:
        engine = self.sim.engine
        ledger = CostLedger(engine.cost_conditions, engine.holds, engine.moving_objects)
        self._ledger = None
        self.sim.begin(
            episode, seed=engine_seed(seed, episode), watch=ledger.look_at_untouched_scene
        )
        self._steps, self._max_steps = 0, task.max_steps
        self._has_succeeded, self._goal_index = False, 0
        self._ledger = ledger

    def _on_step(self, success: bool, engine_cost: float) -> bool:
        """Score one control step; returns True where the episode ends."""
        if self._ledger is None or self.is_over:  # the bridge goes on after the end
            return False
        self._has_succeeded = success
        if not self._is_counting and not success:
            return False
        self._steps += 1
        self._ledger.charge(engine_cost, is_over=self.is_over)
        return self.is_over

    def _running(self) -> CostLedger:
        if self._ledger is None:
            raise SimulatorError('no episode has been started; call reset first.')
        if self.is_over:
            raise SimulatorError('the episode is over; valid: reset.')
        return self._ledger


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
