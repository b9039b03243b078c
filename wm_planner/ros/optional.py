# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Packages that only a ROS 2 distribution has: imported when a driver that needs them is chosen."""

from __future__ import annotations

import importlib
import importlib.util
import os
from types import ModuleType

from wm_planner.core.errors import MissingPackageError


def require(module: str, what: str) -> ModuleType:
    """Import e.g. ``control_msgs.action`` for ``what``.

    Raises MissingPackageError naming the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackageError(
            f'{what} needs {module.split(".")[0]}, which cannot be imported ({error}); run: '
            f'{install_command(module)}, and source the setup.bash of that distribution.'
        ) from error


def is_installed(module: str) -> bool:
    """Return whether the top-level package of ``module`` is there, without importing it."""
    return importlib.util.find_spec(module.split('.')[0]) is not None


def install_command(module: str) -> str:
    """Return what installs the ROS package of ``module``."""
    distribution = os.environ.get('ROS_DISTRO') or '$ROS_DISTRO'
    return f'apt install ros-{distribution}-{module.split(".")[0].replace("_", "-")}'
