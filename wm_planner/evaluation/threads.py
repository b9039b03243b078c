# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""How many threads a planner gets where it is measured: as many as in the node."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from wm_planner.evaluation.records import usable_cores


@contextmanager
def planning_threads(count: int = 0) -> Iterator[int]:
    """Let torch use ``count`` threads for a while; 0 = all cores but one, the node's own rule.

    It matters for more than comparison: with as many threads as cores, a plan waits for whichever
    of its threads shares a core with something else, and takes ten times as long.
    """
    former = torch.get_num_threads()
    threads = count or max(1, usable_cores() - 1)
    torch.set_num_threads(threads)
    try:
        yield threads
    finally:
        torch.set_num_threads(former)
