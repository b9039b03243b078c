# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The thread that writes a bag, so that a slow disk never holds up an executor."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
import logging
import threading
from typing import Any

from wm_planner.core.errors import RecorderError, WmPlannerError
from wm_planner.ros.bag import BagWriter

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class BagStatus:
    """How the recording stands."""

    messages: int  # taken by the bag; those of the open chunk included
    bytes_written: int  # in the file
    dropped: int  # refused because the queue was full or the bag had failed
    queued_bytes: int
    topics: tuple[str, ...]
    topic_errors: Mapping[str, str]  # topics that cannot be recorded, and why
    error: WmPlannerError | None  # what ended the recording; None while all is well


class BagThread:
    """A bounded queue in front of a BagWriter.

    ``add_topic``, ``push`` and ``status`` may be called from any thread and never wait for the
    disk. The writer belongs to this thread from ``start`` to the end of ``stop``. Messages beyond
    ``max_queue_bytes`` are dropped and counted, the newest first: a gap is better than memory that
    grows until the machine stops the arm's controller with it.
    """

    def __init__(self, writer: BagWriter, max_queue_bytes: int) -> None:
        self._writer = writer
        self._max_queue_bytes = max_queue_bytes
        self._queue: deque[tuple[int, Callable[[], None]]] = deque()
        self._queued_bytes = 0
        self._dropped = 0
        self._error: WmPlannerError | None = None
        self._topic_errors: dict[str, str] = {}
        self._is_stopping = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name='bag_writer', daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def add_topic(self, name: str, type_name: str, qos: Sequence[Mapping[str, Any]]) -> None:
        """Queue the announcement of a topic; what is wrong with it shows in ``status``."""

        def add() -> None:
            try:
                self._writer.add_topic(name, type_name, qos)
            except RecorderError as error:
                if self._writer.has_failed:
                    raise
                self._topic_errors = {**self._topic_errors, name: error.message}

        self._enqueue(0, add)

    def push(
        self, name: str, data: bytes, *, log_time_ns: int, publish_time_ns: int, sequence: int = 0
    ) -> bool:
        """Queue one serialized message; returns False if it was dropped."""
        if name in self._topic_errors:
            return False

        def write() -> None:
            if (
                name not in self._topic_errors
            ):  # may have been queued before the announcement failed
                self._writer.write(
                    name,
                    data,
                    log_time_ns=log_time_ns,
                    publish_time_ns=publish_time_ns,
                    sequence=sequence,
                )

        return self._enqueue(len(data), write)

    def status(self) -> BagStatus:
        """Return how the recording stands."""
        with self._changed:
            return BagStatus(
                messages=self._writer.message_count,
                bytes_written=self._writer.bytes_written,
                dropped=self._dropped,
                queued_bytes=self._queued_bytes,
                topics=tuple(self._writer.topics),
                topic_errors=self._topic_errors,
                error=self._error,
            )

    def stop(self, timeout_s: float) -> bool:
        """Write what is queued, finish the bag, end the thread.

        Returns False if the disk took longer than ``timeout_s``; the thread then goes on as a
        daemon.
        """
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _enqueue(self, size: int, action: Callable[[], None]) -> bool:
        with self._changed:
            is_full = size > 0 and self._queued_bytes + size > self._max_queue_bytes
            if self._error is not None or self._is_stopping or is_full:
                self._dropped += 1 if size else 0
                return False
            self._queue.append((size, action))
            self._queued_bytes += size
            self._changed.notify()
            return True

    def _run(self) -> None:
        try:
            while (item := self._next()) is not None:
                item()
            self._writer.close()
        except Exception as error:
            self._fail(error)
            try:
                self._writer.close()
            except (OSError, WmPlannerError) as close_error:
                _LOG.error('closing the failed bag: %s', close_error)

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._queue:
                if self._is_stopping:
                    return None
                self._changed.wait()
            size, action = self._queue.popleft()
            self._queued_bytes -= size
            return action

    def _fail(self, cause: Exception) -> None:
        error = cause
        if not isinstance(error, WmPlannerError):
            error = RecorderError(f'bag {self._writer.folder}: {type(cause).__name__}: {cause}')
        _LOG.error('recording stopped: %s', error)
        with self._changed:
            self._error = error
            self._dropped += sum(1 for size, _ in self._queue if size)
            self._queue.clear()
            self._queued_bytes = 0
