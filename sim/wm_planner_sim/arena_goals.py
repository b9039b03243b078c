# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Goal pictures of the arena: made once by the oracle, kept on disk with where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import hashlib
import json
import logging
import os
from pathlib import Path
import tempfile
from typing import Any
import zipfile

import numpy as np

from wm_planner.core.errors import InvalidImageError, SimulatorError
from wm_planner.core.types import ArmCommand, Goal, RobotState
from wm_planner_sim.arena_config import ArenaConfig
from wm_planner_sim.arena_engine import CONTROL_STEP_S, engine_versions
from wm_planner_sim.arena_sim import ArenaSim
from wm_planner_sim.arena_tasks import ArenaTask
from wm_planner_sim.oracle import (
    MAX_ATTEMPTS,
    PLACED,
    Oracle,
    edit_state_to_goal,
    pick_and_place_goals,
)

_LOG = logging.getLogger(__name__)
BY_ORACLE, BY_STATE_EDIT = 'oracle', 'state_edit'
_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class GoalSet:
    """Goal pictures of one task, initial state and seed, oldest sub-goal first.

    ``provenance`` says how they came about: versions, camera, size, seeds, ``method``, the oracle's
    ``attempt`` (-1 where none has worked) and ``reason`` where it failed.
    """

    goals: tuple[Goal, ...]
    provenance: Mapping[str, Any]

    @property
    def attempt(self) -> int:
        """Return the number of the oracle's attempt that solves this episode, -1 for none."""
        return int(self.provenance['attempt'])


class GoalBook:
    """Goals by task, initial state and seed: from memory of disk, or made anew. Not thread-safe."""

    def __init__(self, config: ArenaConfig) -> None:
        self._config = config

    def goal_set(self, sim: ArenaSim, task: ArenaTask, *, seed: int, episode: int) -> GoalSet:
        """Return all goals of an episode with their provenance; the scene is anywhere then."""
        wanted = self._wanted(task, seed=seed, episode=episode)
        file = self.file_of(task, wanted)
        if file.is_file():
            return load_goals(file, width=wanted['width'], height=wanted['height'])
        made = self._make(sim, wanted)
        save_goals(file, made)
        return made

    def file_of(self, task: ArenaTask, wanted: Mapping[str, Any]) -> Path:
        """Return where the goals of that provenance are kept."""
        digest = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:12]
        name = f'{wanted["init_state"]:03d}-{digest}.npz'
        return self._config.goal_cache / task.suite / f'L{task.level}' / task.name / name

    def _wanted(self, task: ArenaTask, *, seed: int, episode: int) -> dict[str, Any]:
        config = self._config
        return {
            'format': _FORMAT,
            'task': str(task),
            'bddl_sha256': hashlib.sha256(task.bddl_file.read_bytes()).hexdigest(),
            'init_state': episode,
            'seed': seed,
            'camera': config.camera,
            'width': config.image_width,
            'height': config.image_height,
            # The oracle's attempt that is kept with the goals succeeds with this servo.
            'servo': [
                config.servo_gain,
                config.servo_tolerance_m,
                config.servo_tolerance_rad,
                config.gripper_deadband,
            ],
            'versions': dict(engine_versions()),
        }

    def _make(self, sim: ArenaSim, wanted: Mapping[str, Any]) -> GoalSet:
        seed, episode = int(wanted['seed']), int(wanted['init_state'])
        reason = 'the task is not picking and placing'
        for attempt in range(MAX_ATTEMPTS):
            sim.begin(episode, seed=engine_seed(seed, episode))
            if not pick_and_place_goals(sim):
                break
            goals = run_oracle(sim, attempt, sim.engine.task.max_steps, self._config.camera)
            if goals:
                provenance = {**wanted, 'method': BY_ORACLE, 'attempt': attempt, 'reason': ''}
                return GoalSet(goals=goals, provenance=provenance)
            reason = f'the oracle failed {MAX_ATTEMPTS} times'
        _LOG.warning(
            '%s, state %d: %s; the goal is an edited state', wanted['task'], episode, reason
        )
        sim.begin(episode, seed=engine_seed(seed, episode))
        sim.hold()
        if not edit_state_to_goal(sim):
            reason += ', and the edited state does not fulfil the goal'
        goal = _goal_here(sim, PLACED, self._config.camera)
        provenance = {**wanted, 'method': BY_STATE_EDIT, 'attempt': -1, 'reason': reason}
        return GoalSet(goals=(goal,), provenance=provenance)


def run_oracle(sim: ArenaSim, attempt: int, max_steps: int, camera: str) -> tuple[Goal, ...]:
    """Let the oracle carry out the episode that ``sim`` is at; return its goals, empty for failure.

    The task counts as solved only if it is both solved within ``max_steps`` control steps and still
    is at the end of the script.
    """
    oracle, goals, is_solved = Oracle(sim, attempt), [], False
    for _ in range(max_steps):
        state = sim.robot_state()
        move, reached = oracle.next_move(state)
        if reached:
            goals.append(_goal_here(sim, reached, camera))
        if move is None:
            break
        sim.set_target(
            ArmCommand(
                stamp_ns=state.stamp_ns,
                position_m=move.position_m,
                quaternion_xyzw=move.quaternion_xyzw,
                gripper_closedness=move.closedness,
            )
        )
        sim.advance(CONTROL_STEP_S)
        is_solved = is_solved or sim.engine.is_solved()
    if not is_solved or not goals or not sim.engine.is_solved():
        return ()
    return tuple(goals)


def save_goals(file: Path, goal_set: GoalSet) -> None:
    """Write goals and provenance; the file is there whole or not at all."""
    arrays: dict[str, Any] = {'provenance': json.dumps(dict(goal_set.provenance), sort_keys=True)}
    arrays['names'] = np.array([g.goal_id for g in goal_set.goals])
    arrays['images'] = np.stack([g.image for g in goal_set.goals])
    arrays['states'] = np.stack([_state_numbers(g) for g in goal_set.goals])
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, suffix='.part', delete=False) as out:
        np.savez_compressed(out, **arrays)
    os.replace(out.name, file)


def load_goals(file: Path, *, width: int, height: int) -> GoalSet:
    """Read what ``save_goals`` wrote.

    Raises InvalidImageError for pictures of another size than the camera's, SimulatorError for a
    file that is something else.
    """
    try:
        with np.load(file, allow_pickle=False) as found:
            provenance = json.loads(str(found['provenance']))
            names, images, states = found['names'], found['images'], found['states']
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise SimulatorError(
            f'{file} holds no goals ({error}); valid: delete it, and it is made anew.'
        ) from error
    if images.shape[1:3] != (height, width):
        raise InvalidImageError(
            f'{file}: goal pictures of {images.shape[2]}x{images.shape[1]} px; valid: those of the '
            f'camera, {width}x{height} px.'
        )
    goals = tuple(
        Goal(
            goal_id=str(name),
            image=image,
            gripper_closedness=float(numbers[7]),
            pose=RobotState(
                stamp_ns=0,
                position_m=numbers[:3],
                quaternion_xyzw=numbers[3:7],
                gripper_closedness=float(numbers[7]),
            ),
        )
        for name, image, numbers in zip(names, images, states, strict=True)
    )
    return GoalSet(goals=goals, provenance=provenance)


def _state_numbers(goal: Goal) -> Any:
    pose = goal.pose
    assert pose is not None, 'every goal made here has a pose'
    return np.array([*pose.position_m, *pose.quaternion_xyzw, pose.gripper_closedness])


def _goal_here(sim: ArenaSim, name: str, camera: str) -> Goal:
    state = sim.robot_state()
    return Goal(
        goal_id=name,
        image=sim.render(camera),
        gripper_closedness=state.gripper_closedness,
        pose=state,
    )


def engine_seed(seed: int, episode: int) -> int:
    """Return the seed of the engine's own draws for an episode."""
    return int(np.random.SeedSequence([seed, episode]).generate_state(1)[0])
