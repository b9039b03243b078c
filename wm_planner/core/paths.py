# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Where the files are that ship beside the code: ``config/`` and ``launch/``."""

from __future__ import annotations

import os
from pathlib import Path
import sys

from wm_planner.core.errors import MissingAssetError, UnknownNameError

_PACKAGE = 'wm_planner'


def share_folder() -> Path:
    """Return the folder that holds ``config/`` and ``launch/``.

    That is the source tree when the code runs from one (an edit counts at once), else
    ``share/wm_planner`` under a prefix of AMENT_PREFIX_PATH, else under the Python environment.
    Raises MissingAssetError when none of them has a ``config`` folder.
    """
    candidates = _candidates()
    for folder in candidates:
        if (folder / 'config').is_dir():
            return folder
    looked = ', '.join(str(folder) for folder in candidates)
    raise MissingAssetError(
        f'no config folder in any of {looked}; install the package with ./dev setup, or build it '
        'with colcon and source install/setup.bash.'
    )


def share_file(relative: str | Path) -> Path:
    """Return the absolute path of a shipped file, e.g. ``config/robots/panda_sim.yaml``.

    An absolute path is returned as it is. Raises MissingAssetError naming the files that do lie
    in that folder when the file does not exist.
    """
    path = Path(relative)
    if not path.is_absolute():
        path = share_folder() / path
    if not path.is_file():
        siblings = sorted(p.name for p in path.parent.glob('*') if p.is_file())
        raise MissingAssetError(
            f'{path} does not exist; valid in {path.parent}: {", ".join(siblings) or "(nothing)"}.'
        )
    return path


def robot_profile_file(name: str) -> Path:
    """Return the robot profile called ``name``, or ``name`` itself when it is a path to a file.

    Raises UnknownNameError naming the profiles that ship.
    """
    if name.endswith('.yaml'):
        return share_file(Path(name).resolve())
    folder = share_folder() / 'config' / 'robots'
    path = folder / f'{name}.yaml'
    if not path.is_file():
        raise UnknownNameError.among('robot', name, (p.stem for p in folder.glob('*.yaml')))
    return path


def _candidates() -> list[Path]:
    """Return the folders to search, best first."""
    found = []
    source = Path(__file__).resolve().parents[2]
    if (source / 'setup.py').is_file():  # site-packages has no setup.py beside the package
        found.append(source)
    prefixes = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    found += [Path(prefix) / 'share' / _PACKAGE for prefix in [*prefixes, sys.prefix] if prefix]
    return found
