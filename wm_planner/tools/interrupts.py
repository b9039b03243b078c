# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""SIGTERM as KeyboardInterrupt, so that what Ctrl-C cleans up is cleaned up by either."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import signal
import threading


@contextmanager
def interrupt_on_sigterm() -> Iterator[None]:
    """Turn SIGTERM into KeyboardInterrupt for a while. Does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)
