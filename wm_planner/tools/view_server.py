# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The viewer's server as a child of ProcessGroup: runs a program and ends it with itself.

ProcessGroup starts Python modules. This one starts the program that VARIABLE names, so the viewer
ends when ``wm_planner view`` ends, even when that is killed (tools/child.py).
"""

from __future__ import annotations

from collections.abc import Sequence
import json
import os
from pathlib import Path
import signal
import subprocess
import tempfile
from types import FrameType

VARIABLE = 'WM_PLANNER_VIEWER'
"""Environment variable: the program and its arguments, as a JSON list of texts."""

_PATIENCE_S = 3.0


def main() -> int:
    """Run the program until it ends or a signal comes; return its exit status."""
    command: Sequence[str] = json.loads(os.environ[VARIABLE])
    # Its settings live in a folder of this run: nothing of the user's is read or changed, and
    # there it is told, in its own words, to send nothing to anybody.
    with tempfile.TemporaryDirectory(prefix='wm_planner_view_') as folder:
        environment = {**os.environ, **private_folders(Path(folder))}
        subprocess.run(
            [command[0], 'analytics', 'disable'],
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        child = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)

        def end(number: int, _frame: FrameType | None) -> None:
            child.send_signal(number)

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, end)
        try:
            status = child.wait()
        finally:
            if child.poll() is None:
                child.terminate()
                try:
                    child.wait(_PATIENCE_S)
                except subprocess.TimeoutExpired:
                    child.kill()
    return 0 if status in (0, -signal.SIGINT, -signal.SIGTERM) else 1


def private_folders(folder: Path) -> dict[str, str]:
    """Return the environment that keeps a program's settings, data and cache in ``folder``."""
    names = ('XDG_CONFIG_HOME', 'XDG_DATA_HOME', 'XDG_CACHE_HOME')
    return {name: str(folder / name.lower()) for name in names}
