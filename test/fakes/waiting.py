# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The one way a test waits: on a claim, with a deadline; never for a fixed time."""

from __future__ import annotations

from collections.abc import Callable
import time


def wait_for(
    claim: Callable[[], object],
    *,
    timeout_s: float = 20.0,
    what: str = 'the condition',
    poll: Callable[[], object] | None = None,
    interval_s: float = 0.01,
) -> None:
    """Return as soon as ``claim()`` is true; raise AssertionError naming ``what`` at the deadline.

    ``poll`` is called between looks, e.g. an executor's ``spin_once``.
    """
    deadline = time.monotonic() + timeout_s
    while not claim():
        assert time.monotonic() < deadline, f'{what} did not come true within {timeout_s} s'
        if poll is None:
            time.sleep(interval_s)
        else:
            poll()
