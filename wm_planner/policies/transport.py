# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""How bytes get to a policy server and back, whatever it does: refuses, dies, stalls or babbles.

Every wait ends: after ``timeout_s`` with PlannerTimeoutError, after ``interrupt`` with
PlannerFailedError. What goes wrong on the way is PlannerFailedError that names the server and says
what to do. One thread uses a transport; ``interrupt`` may come from any.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
import logging
import socket
import threading
import time
from typing import TypeVar

from wm_planner.core.config import parameter, validate
from wm_planner.core.errors import PlannerFailedError, PlannerTimeoutError

SLICE_S = 0.05  # how late an interrupt may be noticed

ResultT = TypeVar('ResultT')
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """Where a policy server is and how long to wait for it."""

    host: str = parameter('127.0.0.1', 'host of the policy server')
    port: int = parameter(8000, 'port of the policy server', low=1, high=65535)
    timeout_s: float = parameter(10.0, 'how long an answer may take [s]', low=0.01, high=3600.0)
    first_timeout_s: float = parameter(
        120.0,
        'how long the first answer after connecting may take, while the server compiles [s]',
        low=0.01,
        high=3600.0,
    )
    connect_timeout_s: float = parameter(
        5.0, 'how long one attempt to connect may take [s]', low=0.01, high=600.0
    )
    connect_attempts: int = parameter(3, 'attempts to connect before giving up', low=1, high=1000)
    retry_wait_s: float = parameter(
        0.5, 'pause between attempts to connect [s]', low=0.0, high=60.0
    )

    def __post_init__(self) -> None:
        validate(self)


class LostConnectionError(Exception):
    """The connection is gone; never leaves a Transport."""


class Transport(abc.ABC):
    """A connection that is made when it is needed and made again, once, when it was lost."""

    def __init__(self, config: ServerConfig, *, what: str) -> None:
        self._config = config
        self._what = f'{what} at {config.host}:{config.port}'
        self._stop = threading.Event()
        self._is_warm = False

    @property
    def name(self) -> str:
        """Return what messages call the server."""
        return self._what

    def ask(self, message: bytes, *, may_repeat: bool = True) -> bytes | str:
        """Send a message and return the answer.

        A connection that turns out to be lost is made again and the message sent once more, unless
        ``may_repeat`` is False because the server remembers what it was sent. Raises
        PlannerFailedError or PlannerTimeoutError.
        """
        config = self._config
        was_open = self.is_open
        self.open()
        timeout_s = config.timeout_s if self._is_warm else config.first_timeout_s
        try:
            answer = self._guarded(lambda: self._exchange(message, timeout_s))
        except LostConnectionError as lost:
            if not (was_open and may_repeat):
                raise self._gone(lost) from lost
            _logger.warning('%s: the connection was lost (%s); connecting again', self._what, lost)
            self.open()
            try:
                answer = self._guarded(lambda: self._exchange(message, config.first_timeout_s))
            except LostConnectionError as again:
                raise self._gone(again) from again
        self._is_warm = True
        return answer

    def open(self) -> None:
        """Connect unless connected, in ``connect_attempts`` attempts."""
        if self.is_open:
            return
        attempts = self._config.connect_attempts
        for attempt in range(1, attempts + 1):
            try:
                self._guarded(self._connect)
                return
            except (LostConnectionError, PlannerTimeoutError) as error:
                if attempt == attempts:
                    raise PlannerFailedError(
                        f'{self._what} cannot be reached ({error}) in {attempts} attempts; valid: '
                        'a server that is running there (docs/policies.md says how to start it).'
                    ) from error
            if self._stop.wait(self._config.retry_wait_s):
                raise self._interrupted()

    def interrupt(self) -> None:
        """Let the call in progress, and all later ones, end soon. Any thread."""
        self._stop.set()

    def close(self) -> None:
        """Drop the connection; the next ``ask`` makes another."""
        self._is_warm = False
        self._disconnect()

    @property
    @abc.abstractmethod
    def is_open(self) -> bool:
        """Return whether there is a connection as far as is known."""

    @abc.abstractmethod
    def _connect(self) -> None:
        """Connect, or raise LostConnectionError or TimeoutError."""

    @abc.abstractmethod
    def _exchange(self, message: bytes, timeout_s: float) -> bytes | str:
        """Send and receive, or raise LostConnectionError or TimeoutError."""

    @abc.abstractmethod
    def _disconnect(self) -> None:
        """Drop the connection; must not raise."""

    def _guarded(self, action: Callable[[], ResultT]) -> ResultT:
        """Run an action; drop the connection when it fails.

        Else a late answer would be taken for that to a later question.
        """
        if self._stop.is_set():
            raise self._interrupted()
        try:
            return action()
        except TimeoutError as error:
            self.close()
            raise PlannerTimeoutError(f'{self._what} did not answer: {error}') from error
        except BaseException:
            self.close()
            raise

    def _gone(self, lost: LostConnectionError) -> PlannerFailedError:
        return PlannerFailedError(
            f'{self._what} dropped the connection instead of answering ({lost}); its own log says '
            'why.'
        )

    def _interrupted(self) -> PlannerFailedError:
        return PlannerFailedError(f'{self._what}: interrupted while the planner was being stopped.')

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise self._interrupted()


def shortened(text: str, length: int = 300) -> str:
    """Return the end of a text in one line; a traceback says at its end what happened."""
    line = ' | '.join(part.strip() for part in text.strip().splitlines() if part.strip())
    return line if len(line) <= length else f'...{line[-length:]}'


@contextmanager
def cut_after(
    timeout_s: float, connection: socket.socket, stop: threading.Event
) -> Iterator[threading.Event]:
    """Shut a socket down when the block takes too long or ``stop`` is set.

    Yields an event that is set when time was over.
    """
    cut, done = threading.Event(), threading.Event()

    def watch() -> None:
        until = time.monotonic() + timeout_s
        while not done.wait(min(SLICE_S, max(until - time.monotonic(), 0.0))):
            is_late = time.monotonic() >= until
            if is_late or stop.is_set():
                if is_late:
                    cut.set()
                with suppress(OSError):  # already gone
                    connection.shutdown(socket.SHUT_RDWR)
                return

    watcher = threading.Thread(target=watch, name='policy_watch', daemon=True)
    watcher.start()
    try:
        yield cut
    finally:
        done.set()
        watcher.join()


def one_line(error: BaseException) -> str:
    """Return an exception in one line."""
    return shortened(f'{type(error).__name__}: {error}')
