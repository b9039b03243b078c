# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Goals on disk: a folder each, with ``image.png`` and ``goal.yaml``. Needs no node.

``goal.yaml`` holds name, acquisition stamp [ns], camera_frame, width and height [px],
gripper_closedness (null = unknown) and the tool pose (position [m] and quaternion xyzw in
base_frame; null = unknown). A folder with nothing but ``image.png`` is a goal too: a bare picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
import re
import shutil
import tempfile
from typing import Any

import cv2
import yaml

from wm_planner.core.errors import InvalidGoalError, InvalidImageError, UnknownNameError
from wm_planner.core.types import Goal, Image, RobotState, check_image

IMAGE_FILE = 'image.png'
DETAILS_FILE = 'goal.yaml'
_NAME = re.compile(r'[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}')


@dataclass(frozen=True, kw_only=True)
class StoredGoal:
    """A goal and where its picture came from."""

    goal: Goal
    stamp_ns: int = 0
    camera_frame: str = ''
    base_frame: str = ''


class GoalStore:
    """Goals under one folder. Any thread; writing is atomic (a goal is whole or not there)."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser()

    def names(self) -> tuple[str, ...]:
        """Return the names of the goals, sorted."""
        return tuple(sorted(path.parent.name for path in self.folder.glob(f'*/{IMAGE_FILE}')))

    def save(self, stored: StoredGoal, *, overwrite: bool = False) -> Path:
        """Write a goal and return its folder.

        Raises InvalidGoalError for a name that cannot be a folder, a name that is taken, or a
        folder that cannot be written.
        """
        name = stored.goal.goal_id
        check_name(name)
        target = self.folder / name
        if target.exists() and not overwrite:
            raise InvalidGoalError(
                f'goal {name!r} exists in {self.folder}; valid: another name, or overwrite = true.'
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix='.new_', dir=self.folder))
            try:
                write_picture(scratch / IMAGE_FILE, stored.goal.image)
                (scratch / DETAILS_FILE).write_text(
                    yaml.safe_dump(_details(stored), sort_keys=False)
                )
                scratch.chmod(0o755)  # mkdtemp makes folders that nobody else can read
                if target.exists():
                    shutil.rmtree(target)
                scratch.rename(target)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
        except OSError as error:
            raise InvalidGoalError(f'goal {name!r} cannot be written: {error}') from error
        return target

    def load(self, name: str) -> StoredGoal:
        """Return a goal; raises UnknownNameError naming those there are, or InvalidGoalError."""
        folder = self.folder / name
        if not _NAME.fullmatch(name) or not (folder / IMAGE_FILE).is_file():
            raise UnknownNameError.among(f'goal (in {self.folder})', name, self.names())
        image = read_picture(folder / IMAGE_FILE)
        details = folder / DETAILS_FILE
        if not details.is_file():
            return StoredGoal(goal=Goal(goal_id=name, image=image))
        try:
            return _stored(name, image, yaml.safe_load(details.read_text()))
        except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidGoalError(
                f'{details} cannot be read ({type(error).__name__}: {error}); valid: as '
                '`wm_planner goal capture` writes it.'
            ) from error


def check_name(name: str) -> None:
    """Raise InvalidGoalError unless ``name`` can be the folder of a goal."""
    if not _NAME.fullmatch(name):
        raise InvalidGoalError(
            f"goal name {name!r}; valid: 1 to 100 letters, digits, '.', '_' and '-', not starting "
            "with '.'."
        )


def read_picture(path: str | Path) -> Image:
    """Return a picture file as a uint8 array [H, W, 3], RGB. Raises InvalidImageError."""
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        reason = 'is not a picture' if Path(path).is_file() else 'does not exist'
        raise InvalidImageError(f'{path} {reason}; valid: a PNG or JPEG file.')
    return check_image(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), str(path))


def write_picture(path: str | Path, image: Image) -> None:
    """Write a uint8 array [H, W, 3], RGB, as PNG or JPEG by the file's name. Raises OSError."""
    if not cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR)):
        raise OSError(f'{path} cannot be written')


def _details(stored: StoredGoal) -> dict[str, Any]:
    goal, pose = stored.goal, stored.goal.pose
    height, width = goal.image.shape[:2]
    return {
        'name': goal.goal_id,
        'stamp_ns': int(stored.stamp_ns),
        'camera_frame': stored.camera_frame,
        'width': int(width),
        'height': int(height),
        'gripper_closedness': goal.gripper_closedness,
        'pose': None
        if pose is None
        else {
            'base_frame': stored.base_frame,
            'stamp_ns': int(pose.stamp_ns),
            'position_m': pose.position_m.tolist(),
            'quaternion_xyzw': pose.quaternion_xyzw.tolist(),
            'gripper_closedness': pose.gripper_closedness,
        },
    }


def _stored(name: str, image: Image, details: dict[str, Any]) -> StoredGoal:
    pose = details.get('pose')
    closedness = details.get('gripper_closedness')
    return StoredGoal(
        goal=Goal(
            goal_id=name,
            image=image,
            gripper_closedness=None if closedness is None else float(closedness),
            pose=None
            if pose is None
            else RobotState(
                stamp_ns=int(pose['stamp_ns']),
                position_m=pose['position_m'],
                quaternion_xyzw=pose['quaternion_xyzw'],
                gripper_closedness=float(pose['gripper_closedness']),
            ),
        ),
        stamp_ns=int(details.get('stamp_ns', 0)),
        camera_frame=str(details.get('camera_frame', '')),
        base_frame='' if pose is None else str(pose['base_frame']),
    )
