# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What runs on this machine, from /proc: to prove that no process is left behind."""

from __future__ import annotations

from pathlib import Path


def is_running(pid: int) -> bool:
    """Return whether a process runs; one that has ended but was not waited for does not."""
    return _state_and_parent(pid)[0] not in ('', 'Z')


def children_of(pid: int) -> list[int]:
    """Return the ids of the direct children of a process."""
    pids = [int(entry.name) for entry in Path('/proc').iterdir() if entry.name.isdigit()]
    return [other for other in pids if _state_and_parent(other)[1] == pid]


def _state_and_parent(pid: int) -> tuple[str, int]:
    try:
        fields = Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return '', -1
    return fields[0], int(fields[1])
