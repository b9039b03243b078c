# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The interfaces of drivers that only a ROS 2 distribution has, for tests.

Where they are not installed, ``./dev`` has built stand-ins of the same names and fields
(test/driver_msgs) into ``build/``; ``use_driver_msgs`` makes them importable in this process.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
from pathlib import Path
import sys

import pytest

PREFIX = Path(__file__).resolve().parents[2] / 'build' / 'driver_msgs' / 'prefix'
PACKAGES = ('control_msgs', 'franka_msgs', 'moveit_msgs')


def use_driver_msgs() -> None:
    """Make the packages importable, or skip with the reason."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if not missing:
        return
    found = list(PREFIX.glob('lib/python3*/site-packages'))
    if not found:
        pytest.skip(
            f'{", ".join(missing)} not installed and not built: ./dev setup builds stand-ins'
        )
    # A library is looked up by the running process's search path, fixed when it started; loaded
    # ones are found by name. What is loaded by name from inside rmw asks the environment again.
    os.environ['LD_LIBRARY_PATH'] = os.pathsep.join(
        [str(PREFIX / 'lib'), os.environ.get('LD_LIBRARY_PATH', '')]
    )
    libraries = sorted((PREFIX / 'lib').glob('lib*.so'))
    for _ in range(len(libraries)):  # in whatever order they need each other
        failed = []
        for library in libraries:
            try:
                ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
            except OSError:
                failed.append(library)
        if not failed or failed == libraries:
            break
        libraries = failed
    sys.path.append(str(found[0]))
    importlib.invalidate_caches()
