# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""How much memory a device has left."""

from __future__ import annotations

from pathlib import Path

import torch

_MEMINFO = Path('/proc/meminfo')


def free_bytes(device: torch.device) -> int | None:
    """Return the memory that can still be had on ``device`` [bytes], None where nobody knows.

    On a GPU, what other processes leave plus what torch's own cache holds unused.
    """
    if device.type == 'cuda':
        free, _ = torch.cuda.mem_get_info(device)
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + cached)
    try:
        lines = _MEMINFO.read_text().splitlines()
    except OSError:  # not Linux
        return None
    for line in lines:
        name, _, value = line.partition(':')
        if name == 'MemAvailable':
            return int(value.split()[0]) * 1024
    return None
