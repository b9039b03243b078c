# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Child processes that live and die together: the nodes of a profile, started from Python."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
import logging
import os
import signal
import subprocess
import sys
import threading
import time

from wm_planner.bringup import NodeStart, Profile
from wm_planner.core.errors import DriverError

_LOG = logging.getLogger(__name__)
_TAIL_LINES = 30
_POLL_S = 0.05

LineSink = Callable[[str, str], None]
"""Takes (node name, line); called from one reader thread per child."""


@dataclass(frozen=True, kw_only=True)
class ProcessExit:
    """How one child ended; ``tail`` holds its last lines of output."""

    name: str
    returncode: int
    tail: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        """Return whether it ended as a node does that is told to stop."""
        return self.returncode in (0, 128 + signal.SIGINT)  # the latter: while still starting

    @property
    def reason(self) -> str:
        """Return how it ended as a sentence without a full stop."""
        if self.returncode < 0:
            return f'{self.name} was ended by {signal.Signals(-self.returncode).name}'
        return f'{self.name} ended with exit status {self.returncode}'


@dataclass(frozen=True, kw_only=True)
class StopTimes:
    """How long to wait after each signal before the next, stronger one [s]."""

    interrupt_s: float = 8.0
    terminate_s: float = 3.0
    kill_s: float = 2.0


class ProcessGroup:
    """The nodes of a profile as child processes.

    Each child is a session of its own, so a Ctrl-C in the terminal reaches only this process,
    which then stops the children in order of force: SIGINT, SIGTERM, SIGKILL. A child also ends
    by itself when this process is killed (tools/child.py). Use it as a context manager.

    Threads: ``start`` and ``stop`` from one thread; everything else from any.
    """

    def __init__(
        self,
        nodes: Sequence[NodeStart],
        *,
        environment: Mapping[str, str] | None = None,
        on_line: LineSink | None = None,
        stop_times: StopTimes | None = None,
    ) -> None:
        """Take what to start; ``environment`` is laid over this process's own."""
        self._nodes = tuple(nodes)
        self._environment = {**os.environ, 'PYTHONUNBUFFERED': '1', **(environment or {})}
        self._on_line = on_line or _log_line
        self._stop_times = stop_times or StopTimes()
        self._children: dict[str, subprocess.Popen[str]] = {}
        self._tails: dict[str, deque[str]] = {}
        self._readers: list[threading.Thread] = []

    @classmethod
    def of_profile(
        cls,
        profile: Profile,
        values: Mapping[str, str],
        *,
        environment: Mapping[str, str] | None = None,
        on_line: LineSink | None = None,
    ) -> ProcessGroup:
        """Build the group of a profile with its argument ``values``; see Profile.resolve."""
        return cls(
            profile.resolve(values),
            environment={**profile.missing_environment(), **(environment or {})},
            on_line=on_line,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the nodes, in the order they start."""
        return tuple(node.name for node in self._nodes)

    def pid(self, name: str) -> int:
        """Return the process id of a started node."""
        return self._children[name].pid

    def start(self) -> None:
        """Start every child. On failure those already started are stopped before it raises."""
        try:
            for node in self._nodes:
                self._start(node)
        except OSError as error:
            self.stop()
            raise DriverError(f'cannot start the nodes: {error}.') from error

    def ended(self) -> ProcessExit | None:
        """Return the first child found to have ended, or None while all run."""
        for name, child in self._children.items():
            if child.poll() is not None:
                return self._exit(name)
        return None

    def wait(self, until: threading.Event, timeout_s: float = float('inf')) -> ProcessExit | None:
        """Wait until a child ends (returned), ``until`` is set or time is up (both: None)."""
        deadline = time.monotonic() + timeout_s
        while not until.wait(_POLL_S) and time.monotonic() < deadline:
            exited = self.ended()
            if exited is not None:
                return exited
        return None

    def stop(self) -> dict[str, ProcessExit]:
        """Stop every child that still runs; return how each ended. Safe to call again."""
        times = self._stop_times
        steps = (
            (signal.SIGINT, times.interrupt_s),
            (signal.SIGTERM, times.terminate_s),
            (signal.SIGKILL, times.kill_s),
        )
        for number, wait_s in steps:
            running = [c for c in self._children.values() if c.poll() is None]
            if not running:
                break
            for child in running:
                _signal_session(child, number)
            _wait_all(running, wait_s)
        for child in self._children.values():
            _signal_session(child, signal.SIGKILL)  # what a node may itself have started
        for reader in self._readers:
            reader.join(timeout=1.0)
        return {name: self._exit(name) for name in self._children}

    def __enter__(self) -> ProcessGroup:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _start(self, node: NodeStart) -> None:
        child = subprocess.Popen(
            [
                sys.executable,
                '-m',
                'wm_planner.tools.child',
                str(os.getpid()),
                node.module,
                *node.ros_arguments(),
            ],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='replace',
            start_new_session=True,
        )
        self._children[node.name] = child
        self._tails[node.name] = deque(maxlen=_TAIL_LINES)
        reader = threading.Thread(
            target=self._read, args=(node.name, child), name=f'{node.name}_output', daemon=True
        )
        reader.start()
        self._readers.append(reader)

    def _exit(self, name: str) -> ProcessExit:
        # A process that not even SIGKILL has ended by now hangs in the kernel.
        returncode = self._children[name].poll()
        return ProcessExit(
            name=name,
            returncode=-signal.SIGKILL if returncode is None else returncode,
            tail=tuple(self._tails[name]),
        )

    def _read(self, name: str, child: subprocess.Popen[str]) -> None:
        assert child.stdout is not None
        with child.stdout:
            for line in child.stdout:
                text = line.rstrip('\n')
                self._tails[name].append(text)
                self._on_line(name, text)


def _signal_session(child: subprocess.Popen[str], number: signal.Signals) -> None:
    """Signal a child's whole process group; one that is empty by now is what we wanted."""
    try:
        os.killpg(child.pid, number)
    except ProcessLookupError:
        return


def _wait_all(children: Sequence[subprocess.Popen[str]], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    for child in children:
        try:
            child.wait(timeout=max(deadline - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            _LOG.warning('a node has not stopped within %.0f s', timeout_s)
            return


def _log_line(name: str, line: str) -> None:
    _LOG.info('[%s] %s', name, line)
