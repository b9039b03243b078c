# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Goal sets on disk: goals in order, each a folder of a GoalStore, and ``set.yaml`` beside them.

``set.yaml`` holds the source, the camera, and for each goal its folder, the reason it was picked,
its time in the demonstration and the time since the one before it [s]. A set is edited by editing
that file: a goal whose line is deleted is not pursued. Needs no node.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math
from pathlib import Path
from typing import Any

import yaml

from wm_planner.core.errors import InvalidGoalError
from wm_planner.core.types import Goal
from wm_planner.ros.goal_store import GoalStore, StoredGoal

SET_FILE = 'set.yaml'
SHEET_FILE = 'contact_sheet.png'
_STEPS_FACTOR = 1.5  # a planner needs more steps than who showed the way
_SPARE_STEPS = 1


@dataclass(frozen=True, kw_only=True)
class SetGoal:
    """A goal of a set. ``seconds`` is how long the demonstration took to it from the one before."""

    stored: StoredGoal
    reason: str
    time_s: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class GoalSet:
    """Goals in order; the last is final."""

    source: str
    goals: tuple[SetGoal, ...]

    def pursued(self) -> tuple[Goal, ...]:
        """Return the goals in order."""
        return tuple(entry.stored.goal for entry in self.goals)

    def steps(self, step_duration_s: float) -> tuple[int, ...]:
        """Return the steps each goal may take: half as many again as the demonstration took."""
        return tuple(
            math.ceil(_STEPS_FACTOR * entry.seconds / step_duration_s - 1e-6) + _SPARE_STEPS
            for entry in self.goals
        )


def is_goal_set(path: Path) -> bool:
    """Return whether a folder is a goal set."""
    return (path / SET_FILE).is_file()


def check_free(folder: Path, *, overwrite: bool) -> None:
    """Raise InvalidGoalError for a folder that holds a set already, unless it may be replaced."""
    if is_goal_set(folder) and not overwrite:
        raise InvalidGoalError(f'{folder} holds a goal set; valid: another --out, or --overwrite.')


def save_goal_set(folder: Path, found: GoalSet, *, overwrite: bool = False) -> Path:
    """Write a set and return its folder. Raises InvalidGoalError for one that is there already."""
    check_free(folder, overwrite=overwrite)
    store = GoalStore(folder)
    lines = []
    for entry in found.goals:
        store.save(entry.stored, overwrite=overwrite)
        lines.append(
            {
                'goal': entry.stored.goal.goal_id,
                'reason': entry.reason,
                'time_s': round(entry.time_s, 3),
                'seconds': round(entry.seconds, 3),
            }
        )
    camera = found.goals[0].stored.camera_frame if found.goals else ''
    content = {'source': found.source, 'camera_frame': camera, 'goals': lines}
    (folder / SET_FILE).write_text(yaml.safe_dump(content, sort_keys=False))
    return folder


def load_goal_set(folder: Path) -> GoalSet:
    """Return a set. Raises InvalidGoalError for one that is damaged or empty, or a goal's error."""
    file = folder / SET_FILE
    store = GoalStore(folder)
    try:
        content: Any = yaml.safe_load(file.read_text())
        lines: Sequence[Any] = content['goals']
        goals = tuple(
            SetGoal(
                stored=store.load(str(line['goal'])),
                reason=str(line.get('reason', '')),
                time_s=float(line.get('time_s', 0.0)),
                seconds=float(line['seconds']),
            )
            for line in lines
        )
        source = str(content.get('source', ''))
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidGoalError(
            f'{file} cannot be read ({type(error).__name__}: {error}); valid: as `wm_planner goal '
            'extract` writes it.'
        ) from error
    if not goals:
        raise InvalidGoalError(f'{file} lists no goals; valid: at least 1.')
    return GoalSet(source=source, goals=goals)
