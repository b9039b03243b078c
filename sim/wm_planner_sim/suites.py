# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The tabletop's evaluation suites: starts, goal images, and what counts as success.

Goal images come from carrying the task out in the same scene (placed directly for ``reach``, by a
scripted expert for the others) and taking pictures on the way; then the scene is put back. The
expert and the scores use the simulator's truth, the planner gets the pictures.

| suite | start | goals | success at the end |
|---|---|---|---|
| reach | tool 10-30 cm from its goal | 1 picture | tool within 4 cm of the goal |
| push | fingers closed, behind the block, in line | 1 picture | block within 5 cm of its goal |
| push_subgoals | tool anywhere | above-behind, behind, pushed | block within 5 cm of its goal |
| push_far | tool anywhere | 1 picture | block within 5 cm of its goal |
| pick | above the block, <= 5 cm off an axis, yaw aligned | at, closed, lifted | block 5 cm up |
| pick_pictures | as pick | as pick, without gripper states | block 5 cm up |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
import math

import numpy as np

from wm_planner.core.errors import SimulatorError, UnknownNameError
from wm_planner.core.geometry import Array
from wm_planner.core.types import (
    ArmCommand,
    EpisodeStart,
    Goal,
    Observation,
    StepResult,
)
from wm_planner_sim.behaviours import (
    GRASP_HEIGHT_M,
    PUSH_HEIGHT_M,
    WORKSPACE_HIGH_M,
    WORKSPACE_LOW_M,
    Driver,
    Waypoint,
    apply_action,
    grasp_yaw,
    pick_waypoints,
)
from wm_planner_sim.scene import BLOCK_HALF_M, BLOCKS
from wm_planner_sim.tabletop import TabletopConfig, TabletopSim

PLANNER_CAMERA = 'exterior'
REACH_SUCCESS_M = 0.04
PUSH_SUCCESS_M = 0.05
PICK_LIFT_M = 0.05
MAX_DRAWS = 200
PUSH_SPEED = 0.5
"""Fraction of the action bounds the expert pushes at; at full speed a block slides on by itself."""
SETTLE_S = 0.5

JointReading = tuple[tuple[str, ...], Array, Array]
"""Names, positions and velocities of the joints."""


@dataclass(frozen=True, kw_only=True)
class EpisodeScore:
    """How an episode stands, by the simulator's truth."""

    success: bool
    distance_m: float  # what the suite measures; for pick, how far below the required height
    tool_distance_m: float  # tool to the last goal's tool position
    goal_index: int
    goal_count: int
    cost: float = 0.0  # so far; conditions that the untouched scene meets do not count
    cost_upstream: float = 0.0  # so far, as the benchmark's own evaluator charges it, unscaled
    is_over: bool = False  # by the suite's own rule; nothing is counted any more
    is_failed: bool = False  # the episode is over without success


@dataclass(frozen=True, kw_only=True)
class _Task:
    """What ``score`` compares with: final tool and block positions of the expert."""

    suite: str
    block: str
    goal_tools_m: tuple[Array, ...]
    goal_block_m: Array


class TabletopEnvironment:
    """Episodes on the tabletop; implements ``wm_planner.core.protocols.Environment``.

    Not thread-safe. (suite, seed, episode) fixes everything in an episode.
    """

    def __init__(self, sim: TabletopSim | None = None) -> None:
        self.sim = sim or TabletopSim(TabletopConfig.from_variables())
        self._task: _Task | None = None
        self._goal_index = 0
        self.is_scene_lost = False
        """Whether the last ``reset`` failed after it had begun to move things."""
        self.keep_demonstration = False
        """Whether ``reset`` also lets the expert go its whole way, and keeps what is seen."""
        self.demonstration: list[tuple[Observation, JointReading]] = []
        """What was seen of the last start's expert, a step apart, without pausing on the way."""
        self._makers: dict[str, Callable[[np.random.Generator, str], EpisodeStart | None]] = {
            'reach': self._reach,
            'push': self._push,
            'push_subgoals': self._push,
            'push_far': self._push,
            'pick': self._pick,
            'pick_pictures': self._pick,
        }

    def suites(self) -> tuple[str, ...]:
        """Return the names of the suites."""
        return tuple(self._makers)

    def reset(self, suite: str, *, seed: int, episode: int) -> EpisodeStart:
        """Start an episode; starts already solved and tasks the expert fails are drawn again.

        Raises UnknownNameError for a suite that does not exist.
        """
        self.is_scene_lost = False
        if suite not in self._makers:
            raise UnknownNameError.among('tabletop suite', suite, self._makers)
        rng = np.random.default_rng([seed, episode, *suite.partition('_')[0].encode()])
        self.is_scene_lost = True
        for _ in range(MAX_DRAWS):
            start = self._makers[suite](rng, suite)
            if start is not None and not self.score().success:
                self.is_scene_lost = False
                return _named(start, f'tabletop/{suite}/{seed}/{episode}')
        raise SimulatorError(f'no solvable start for {suite} in {MAX_DRAWS} draws.')

    def step(self, command: ArmCommand, duration_s: float) -> StepResult:
        """Servo to ``command`` for ``duration_s`` of simulated time, then observe and score."""
        self.sim.set_target(command)
        self.sim.advance(duration_s)
        score = self.score()
        return StepResult(
            observation=self.observe(),
            success=score.success,
            metrics={
                'distance_m': score.distance_m,
                'tool_distance_m': score.tool_distance_m,
            },
        )

    def begin_goal(self, index: int) -> None:
        """Say which sub-goal is being pursued; only the reported tool distance depends on it."""
        self._goal_index = index

    def observe(self) -> Observation:
        """Return the exterior camera's view and the robot state now."""
        image = self.sim.render(PLANNER_CAMERA)
        state = self.sim.robot_state()
        return Observation(images=image[None], image_stamps_ns=(state.stamp_ns,), states=(state,))

    def score(self) -> EpisodeScore:
        """Return how the episode stands. Raises SimulatorError before the first reset."""
        task = self._task
        if task is None:
            raise SimulatorError('no episode has been started; call reset first.')
        tool = self.sim.robot_state().position_m
        index = min(self._goal_index, len(task.goal_tools_m) - 1)
        tool_distance = float(np.linalg.norm(tool - task.goal_tools_m[index]))
        block = self.sim.block_position(task.block)
        if task.suite == 'reach':
            distance, limit = tool_distance, REACH_SUCCESS_M
        elif task.suite.startswith('pick'):
            distance, limit = (
                max(0.0, BLOCK_HALF_M + PICK_LIFT_M - float(block[2])),
                1e-9,
            )
        else:
            distance = float(np.linalg.norm(block[:2] - task.goal_block_m[:2]))
            limit = PUSH_SUCCESS_M
        return EpisodeScore(
            success=distance < limit,
            distance_m=distance,
            tool_distance_m=tool_distance,
            goal_index=index,
            goal_count=len(task.goal_tools_m),
        )

    def close(self) -> None:
        """Release the simulator."""
        self.sim.close()

    # -- suites ----------------------------------------------------------------------------------

    def _reach(self, rng: np.random.Generator, suite: str) -> EpisodeStart | None:
        low, high = WORKSPACE_LOW_M + [0, 0, 0.045], WORKSPACE_HIGH_M
        begin, end = rng.uniform(low, high), rng.uniform(low, high)
        if not 0.10 <= np.linalg.norm(end - begin) <= 0.30:
            return None
        yaw = rng.uniform(-0.4, 0.4)
        self.sim.reset(seed=int(rng.integers(2**31)), tool_position_m=begin, tool_yaw_rad=yaw)
        before = self.sim.snapshot()
        self.sim.place_tool(end, yaw + rng.uniform(-0.3, 0.3))
        goal = self._goal_here('goal')
        self.sim.restore(before)
        self._task = _Task(
            suite=suite,
            block=BLOCKS[0],
            goal_tools_m=(end,),
            goal_block_m=self.sim.block_position(BLOCKS[0]),
        )
        return self._start([goal], [12], 'move the gripper to where it is in the picture')

    def _push(self, rng: np.random.Generator, suite: str) -> EpisodeStart | None:
        block = BLOCKS[int(rng.integers(len(BLOCKS)))]
        angle, travel = rng.uniform(-math.pi, math.pi), rng.uniform(0.10, 0.15)
        direction = np.array([math.cos(angle), math.sin(angle), 0.0])
        centre = np.array([*rng.uniform([0.38, -0.18], [0.60, 0.18]), PUSH_HEIGHT_M])
        behind = centre - 0.065 * direction
        end = behind + (0.03 + travel) * direction
        inside = [_is_inside(p, margin_m=0.01) for p in (behind, end + 0.04 * direction)]
        other = next(b for b in BLOCKS if b != block)
        aside = rng.uniform([0.38, -0.18], [0.60, 0.18])
        clear = min(
            _segment_distance(aside, behind[:2], end[:2]),
            np.linalg.norm(aside - centre[:2]),
        )
        if not all(inside) or clear < 0.10:
            return None
        yaw = rng.uniform(-0.25, 0.25)
        is_aligned = suite == 'push'
        begin = (
            behind if is_aligned else rng.uniform(WORKSPACE_LOW_M + [0, 0, 0.08], WORKSPACE_HIGH_M)
        )
        self.sim.reset(
            seed=int(rng.integers(2**31)),
            tool_position_m=begin,
            tool_yaw_rad=yaw,
            gripper_closedness=1.0,
            blocks={
                block: (
                    float(centre[0]),
                    float(centre[1]),
                    float(rng.uniform(-0.6, 0.6)),
                ),
                other: (
                    float(aside[0]),
                    float(aside[1]),
                    float(rng.uniform(-0.6, 0.6)),
                ),
            },
        )
        common = {'yaw_rad': yaw, 'gripper': 1.0}
        stages = [
            [Waypoint(position_m=behind + [0, 0, 0.09], tolerance_m=0.012, **common)],
            [Waypoint(position_m=behind, tolerance_m=0.008, **common)],
            [Waypoint(position_m=end, tolerance_m=0.008, speed=PUSH_SPEED, **common)],
        ]
        stages = stages[2:] if is_aligned else stages
        goals, block_end, blocks_before = self._carry_out(stages, block)
        moved = float(np.linalg.norm(block_end[:2] - blocks_before[:2]))
        has_toppled = abs(block_end[2] - BLOCK_HALF_M) > 0.003
        if moved < PUSH_SUCCESS_M + 0.03 or has_toppled:
            return None
        tools = tuple(g.pose.position_m for g in goals if g.pose is not None)
        names, steps = ('above', 'behind', 'pushed'), [8, 5, 7]
        if suite == 'push':
            names, steps = ('pushed',), [8]
        elif suite == 'push_far':
            goals, tools, names, steps = goals[-1:], tools[-1:], ('pushed',), [20]
        self._task = _Task(suite=suite, block=block, goal_tools_m=tools, goal_block_m=block_end)
        goals = [_renamed(g, n) for g, n in zip(goals, names, strict=True)]
        return self._start(goals, steps, f'push the {block.replace("_", " ")} to where it is shown')

    def _pick(self, rng: np.random.Generator, suite: str) -> EpisodeStart | None:
        block = BLOCKS[int(rng.integers(len(BLOCKS)))]
        other = next(b for b in BLOCKS if b != block)
        centre = rng.uniform([0.40, -0.15], [0.58, 0.15])
        aside = rng.uniform([0.38, -0.18], [0.60, 0.18])
        if np.linalg.norm(aside - centre) < 0.13:
            return None
        block_yaw = float(rng.uniform(-0.6, 0.6))
        yaw = grasp_yaw(block_yaw)
        offset = rng.uniform(-0.05, 0.05, 2)
        self.sim.reset(
            seed=int(rng.integers(2**31)),
            tool_position_m=np.array([*(centre + offset), GRASP_HEIGHT_M + 0.15]),
            tool_yaw_rad=yaw,
            blocks={
                block: (float(centre[0]), float(centre[1]), block_yaw),
                other: (
                    float(aside[0]),
                    float(aside[1]),
                    float(rng.uniform(-0.6, 0.6)),
                ),
            },
        )
        waypoints = list(pick_waypoints(self.sim, block, 0.14))
        goals, block_end, _ = self._carry_out([waypoints[:2], waypoints[2:3], waypoints[3:]], block)
        if block_end[2] < BLOCK_HALF_M + PICK_LIFT_M:
            return None
        if suite == 'pick_pictures':
            goals = [_without_gripper(g) for g in goals]
        self._task = _Task(
            suite=suite,
            block=block,
            goal_tools_m=tuple(g.pose.position_m for g in goals if g.pose is not None),
            goal_block_m=block_end,
        )
        goals = [_renamed(g, n) for g, n in zip(goals, ('at', 'closed', 'lifted'), strict=True)]
        return self._start(goals, [10, 4, 8], f'pick up the {block.replace("_", " ")}')

    # -- helpers ---------------------------------------------------------------------------------

    def _carry_out(
        self, stages: list[list[Waypoint]], block: str
    ) -> tuple[list[Goal], Array, Array]:
        """Let the expert do the stages, picturing the end of each; put the scene back.

        Returns the goals and the block's position after and before.
        """
        before, block_before = self.sim.snapshot(), self.sim.block_position(block)
        goals = []
        for stage in stages:
            driver = Driver(iter(stage))
            for _ in range(40):
                action = driver.action(self.sim.robot_state())
                if action is None:
                    break
                apply_action(self.sim, action)
            self.sim.advance(SETTLE_S)  # a goal shows things at rest, not a block that still slides
            goals.append(self._goal_here('goal'))
        block_after = self.sim.block_position(block)
        self.sim.restore(before)
        if self.keep_demonstration:
            self._demonstrate([waypoint for stage in stages for waypoint in stage])
            self.sim.restore(before)
        return goals, block_after, block_before

    def _demonstrate(self, waypoints: list[Waypoint]) -> None:
        """Let the expert go through all waypoints and keep what is seen."""
        driver = Driver(iter(waypoints))
        self.demonstration = [(self.observe(), self.sim.joint_state())]
        for _ in range(40 * len(waypoints)):
            action = driver.action(self.sim.robot_state())
            if action is None:
                break
            apply_action(self.sim, action)
            self.demonstration.append((self.observe(), self.sim.joint_state()))
        self.sim.advance(SETTLE_S)
        self.demonstration.append((self.observe(), self.sim.joint_state()))

    def _goal_here(self, name: str) -> Goal:
        state = self.sim.robot_state()
        return Goal(
            goal_id=name,
            image=self.sim.render(PLANNER_CAMERA),
            gripper_closedness=state.gripper_closedness,
            pose=state,
        )

    def _start(self, goals: list[Goal], steps: list[int], instruction: str) -> EpisodeStart:
        self._goal_index = len(goals) - 1
        score = self.score()
        self._goal_index = 0
        return EpisodeStart(
            episode_id='',
            observation=self.observe(),
            goals=tuple(goals),
            steps_per_goal=tuple(steps),
            instruction=instruction,
            metrics={
                'distance_m': score.distance_m,
                'tool_distance_m': score.tool_distance_m,
            },
        )


def _named(start: EpisodeStart, episode_id: str) -> EpisodeStart:
    goals = tuple(_renamed(g, f'{episode_id}/{g.goal_id}') for g in start.goals)
    return replace(start, episode_id=episode_id, goals=goals)


def _renamed(goal: Goal, name: str) -> Goal:
    return replace(goal, goal_id=name)


def _without_gripper(goal: Goal) -> Goal:
    return replace(goal, gripper_closedness=None)


def _is_inside(position_m: Array, *, margin_m: float) -> bool:
    low, high = WORKSPACE_LOW_M[:2] + margin_m, WORKSPACE_HIGH_M[:2] - margin_m
    return bool(np.all(position_m[:2] >= low) and np.all(position_m[:2] <= high))


def _segment_distance(point: Array, begin: Array, end: Array) -> float:
    """Return the distance of a point [2] from a segment."""
    along = end - begin
    fraction = float(np.clip((point - begin) @ along / (along @ along), 0.0, 1.0))
    return float(np.linalg.norm(point - begin - fraction * along))
