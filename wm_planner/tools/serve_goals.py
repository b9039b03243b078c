# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Goal pictures by suite and task, for harnesses whose observations have none.

``FOLDER/SUITE/TASK.png`` (or .jpg), else ``FOLDER/TASK.png``; TASK is the task's name or number,
the name with ``_`` for everything but letters and digits. A ``TASK.yaml`` beside it may hold
``gripper_closedness`` (0 = open .. 1 = closed).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
import re
from typing import Any

import cv2
import numpy as np
import yaml

from wm_planner.core.errors import InvalidGoalError, InvalidParameterError, UnknownNameError
from wm_planner.core.types import Goal, check_image

SUFFIXES = ('.png', '.jpg', '.jpeg')
_DETAILS = ('gripper_closedness',)


class GoalFolder:
    """Looks goals up anew each time, so that pictures can be added while a server runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.expanduser()
        if not self.names():
            raise InvalidParameterError(
                f'{self._folder} holds no goal pictures; valid: a folder with SUITE/TASK.png.'
            )

    def names(self) -> tuple[str, ...]:
        """Return the goals there are, as SUITE/TASK or TASK."""
        found = (path for path in self._folder.glob('**/*') if path.suffix.lower() in SUFFIXES)
        return tuple(sorted(str(path.relative_to(self._folder).with_suffix('')) for path in found))

    def find(self, task: Mapping[str, Any]) -> Goal:
        """Return the goal of a task as vla-eval describes it: ``name``, ``suite``, ``task_id``.

        Raises UnknownNameError, offering what there is, InvalidImageError or InvalidGoalError.
        """
        suite, name = slug(task.get('suite', '')), slug(task.get('name', ''))
        candidates = [f'{suite}/{name}', name]
        if 'task_id' in task:
            candidates.insert(1, f'{suite}/{slug(task["task_id"])}')
        by_slug = {_slug_of_path(known): known for known in self.names()}
        for candidate in candidates:
            if candidate.strip('/') in by_slug:
                return self._load(by_slug[candidate.strip('/')])
        raise UnknownNameError.among(
            f'goal picture (in {self._folder})', candidates[0].strip('/'), self.names()
        )

    def _load(self, name: str) -> Goal:
        path = next(p for s in SUFFIXES if (p := self._path(name, s)) is not None)
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            raise InvalidGoalError(f'{path} is no picture; valid: PNG or JPEG.')
        details = self._details(path.with_suffix('.yaml'))
        closedness = details.get('gripper_closedness')
        return Goal(
            goal_id=name,
            image=check_image(np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)), str(path)),
            gripper_closedness=None if closedness is None else float(closedness),
        )

    def _path(self, name: str, suffix: str) -> Path | None:
        stem = self._folder / name
        found = (stem.parent / f'{stem.name}{s}' for s in (suffix, suffix.upper()))
        return next((path for path in found if path.is_file()), None)

    def _details(self, path: Path) -> Mapping[str, Any]:
        if not path.is_file():
            return {}
        try:
            details = yaml.safe_load(path.read_text()) or {}
            closedness = details.get('gripper_closedness')
            is_number = closedness is None or isinstance(closedness, int | float)
        except (OSError, yaml.YAMLError, AttributeError) as error:
            raise InvalidGoalError(f'{path} cannot be read: {error}') from error
        if not is_number or set(details) - set(_DETAILS):
            raise InvalidGoalError(
                f'{path} holds {details}; valid: {", ".join(_DETAILS)} as a number or null.'
            )
        return dict(details)


def slug(text: Any) -> str:
    """Return a name in lower case with ``_`` for everything that is no letter or digit."""
    return re.sub(r'[^a-z0-9]+', '_', str(text).lower()).strip('_')


def _slug_of_path(name: str) -> str:
    return '/'.join(slug(part) for part in name.split('/'))
