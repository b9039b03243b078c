# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""StallWatch: a process beside a node that says so when the node stands still.

rclpy publishes with the interpreter's lock held. When another process is killed (-9) while it
holds a lock in Fast DDS's shared memory, the next publish waits for that lock, 1 s at a time and up
to 5 s in all, and every thread of this process waits with it: neither a tick nor a watchdog thread
can tell anybody. Seen in 9 of 69 kills of a planner. Nothing is sent meanwhile, so the arm holds
(drivers stop by themselves after their own timeout), but the terminal should say why. Transports
without shared memory are no way out: over UDP on the loopback 13 of 300 frames of 640x480 arrived.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from types import TracebackType

from wm_planner.core.errors import TransportStalledError

STALL_S = 0.7
BEAT_S = 0.1

# Signals are for the node; the watch ends with it, when the pipe closes.
_WATCH = """
import os, select, signal, sys, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
limit_s, text, name = float(sys.argv[1]), sys.argv[2], sys.argv[3]
heard, is_stalled = time.monotonic(), False
while True:
    if not select.select([0], [], [], None if is_stalled else limit_s)[0]:
        is_stalled = True
        os.write(2, (text + '\\n').encode())
        continue
    if not os.read(0, 4096):
        break
    if is_stalled:
        seconds = time.monotonic() - heard
        os.write(2, f'{name}: runs again after {seconds:.1f} s\\n'.encode())
    heard, is_stalled = time.monotonic(), False
"""


class StallWatch:
    """Beats from a thread of this process to one of another; a context manager.

    Where the beats stay out for STALL_S [s], the other process writes error 504 to stderr, and
    again when they are back. It ends when this process does, however that ends.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name='stall watch', daemon=True)

    def __enter__(self) -> StallWatch:
        error = TransportStalledError(
            f'{self._name} has stood still for {STALL_S:g} s and sends nothing, so the arm holds. '
            'Another process that was killed inside shared memory of the middleware does that for '
            'up to 5 s; so does anything that keeps the Python interpreter to itself.'
        )
        arguments = [str(STALL_S), f'[WARN] [{self._name}]: {error}', f'[INFO] [{self._name}]']
        self._process = subprocess.Popen(
            [sys.executable, '-S', '-E', '-s', '-c', _WATCH, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        assert self._process.stdin is not None
        self._pipe = self._process.stdin.fileno()
        os.set_blocking(self._pipe, False)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _beat(self) -> None:
        while True:
            try:
                os.write(self._pipe, b'.')
            except BlockingIOError:  # the watch itself stands still, e.g. is being debugged
                pass
            except BrokenPipeError:  # somebody killed it; the node does not need it
                return
            if self._stop.wait(BEAT_S):
                return
