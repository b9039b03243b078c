# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""How a node of this package runs and stops: signals, the spin loop, guarded callbacks, exit codes.

rclpy's own signal handlers invalidate the context before Python sees the signal, so that a last
hold command could not be published any more. Here rclpy gets no handlers; ours set an event, the
loop ends, the node closes in order (stop planning, bounded join, hold command last), and only then
is the context shut down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
import functools
import inspect
import math
import os
import signal
import sys
import threading
import time
from typing import Any, Protocol

import rclpy
from rclpy.exceptions import InvalidHandle
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from wm_planner.core.errors import InputError, WmPlannerError, as_wm_planner_error
from wm_planner.ros.conversions import set_error
from wm_planner.ros.stall_watch import StallWatch

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_WRONG_INPUT = 2

THREAD_SWITCH_S = 0.0002
"""How soon a thread that waits for the interpreter gets it. A plan is hundreds of small tensor
operations, each of which lets go of the interpreter and wants it back; with Python's 5 ms a plan
beside busy callbacks takes several times as long."""

_SPIN_TIMEOUT_S = 0.1
_MAX_FAILURES_IN_A_ROW = 50
_LOG_PERIOD_S = 5.0


class ClosableNode(Protocol):
    """What ``run_node`` asks of a node beside being an rclpy Node."""

    def close(self) -> bool:
        """Stop threads, hold last; the context is still valid. False if a thread would not end."""


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Yield an event that SIGINT and SIGTERM set; restores the handlers. Main thread only."""
    stop = threading.Event()

    def handle(_number: int, _frame: Any) -> None:
        stop.set()

    former = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _never(node: Any) -> bool:
    return False


def run_node(
    make_node: Callable[[], Node],
    args: Sequence[str] | None = None,
    *,
    has_failed: Callable[[Any], bool] = _never,
) -> int:
    """Make a node, spin it until SIGINT or SIGTERM, close it; return the process's exit code.

    ``make_node`` returns a Node that is a ClosableNode. ``has_failed(node)`` is asked between
    callbacks; once it is true the node is closed and the code is 1. Codes: 0 stopped by a signal,
    1 failed, 2 wrong arguments or parameters (the sentence is on stderr). Ends the process at once
    if a thread of the node does not stop, because a planning thread inside native code cannot be
    unwound.
    """
    sys.setswitchinterval(THREAD_SWITCH_S)
    with stop_on_signals() as stop:
        try:
            rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        except Exception as error:  # malformed arguments and parameter files; RCLError has no base
            return _complain(InputError(f'arguments: {error}'))
        try:
            node = make_node()
        except WmPlannerError as error:
            rclpy.try_shutdown()
            return _complain(error)
        with StallWatch(node.get_name()):
            is_closed, code = _spin_and_close(node, stop, lambda: has_failed(node))
    if not is_closed:
        sys.stderr.flush()
        os._exit(code)
    return code


def spin(executor: SingleThreadedExecutor, should_stop: Callable[[], bool], log: Any) -> int:
    """Run callbacks until ``should_stop``; an exception that escapes one does not end the loop.

    Returns EXIT_FAILED if nothing but exceptions came for a while, which only a broken middleware
    does, or if the context was shut down from outside.
    """
    failures = 0
    while not should_stop():
        try:
            executor.spin_once(timeout_sec=_SPIN_TIMEOUT_S)
            failures = 0
        except ExternalShutdownException:
            return EXIT_FAILED
        except Exception as error:
            failures += 1
            log.error(f'{as_wm_planner_error(error)} (outside any callback)')
            if failures >= _MAX_FAILURES_IN_A_ROW:
                return EXIT_FAILED
    return EXIT_OK


def _spin_and_close(
    node: Any, stop: threading.Event, has_failed: Callable[[], bool]
) -> tuple[bool, int]:
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    code = EXIT_FAILED
    is_closed = False
    try:
        code = spin(executor, lambda: stop.is_set() or has_failed(), node.get_logger())
        if has_failed():
            code = EXIT_FAILED
    finally:
        try:
            is_closed = node.close()
        finally:
            executor.shutdown()
            node.destroy_node()
            rclpy.try_shutdown()
    return is_closed, code


def _complain(error: WmPlannerError) -> int:
    sys.stderr.write(f'error: {error}\n')
    return EXIT_WRONG_INPUT if isinstance(error, InputError) else EXIT_FAILED


class CallbackGuard:
    """Keeps exceptions of callbacks out of ``spin`` and times each callback.

    Every error is counted and each kind (its number) is logged, a lasting one again every few
    seconds, because a stream at 30 Hz would otherwise fill the log with one sentence.
    ``on_done(name, seconds, error)`` is told of every call. One thread: the executor's.
    """

    def __init__(
        self,
        log_error: Callable[[str], Any],
        on_done: Callable[[str, float, WmPlannerError | None], None] | None = None,
    ) -> None:
        self._log_error = log_error
        self._on_done = on_done
        self._logged_s: dict[tuple[str, int], float] = {}
        self.error_count = 0

    def wrap(self, name: str, callback: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``callback`` (a function or a coroutine function) with its exceptions kept in."""
        return self._wrapped(name, callback, lambda args, error: None)

    def wrap_service(self, name: str, callback: Callable[..., Any]) -> Callable[..., Any]:
        """Return a service callback whose exceptions become the response's error and message."""
        return self._wrapped(name, callback, lambda args, error: set_error(args[1], error))

    def _wrapped(
        self,
        name: str,
        callback: Callable[..., Any],
        on_error: Callable[[tuple[Any, ...], WmPlannerError], Any],
    ) -> Callable[..., Any]:
        # rclpy looks at a callback's signature and at whether it is a coroutine function.
        if inspect.iscoroutinefunction(callback):

            @functools.wraps(callback)
            async def guarded_async(*args: Any) -> Any:
                try:
                    result = await callback(*args)
                except Exception as error:
                    return on_error(args, self._failed(name, error))
                return result

            return guarded_async

        @functools.wraps(callback)
        def guarded(*args: Any) -> Any:
            started = time.perf_counter()
            found: WmPlannerError | None = None
            try:
                result = callback(*args)
            except Exception as error:
                found = self._failed(name, error)
                result = on_error(args, found)
            if self._on_done is not None:
                self._on_done(name, time.perf_counter() - started, found)
            return result

        return guarded

    def _failed(self, name: str, error: Exception) -> WmPlannerError:
        self.error_count += 1
        known = as_wm_planner_error(error)
        now_s, kind = time.monotonic(), (name, known.code)
        if now_s - self._logged_s.get(kind, -math.inf) >= _LOG_PERIOD_S:
            self._logged_s[kind] = now_s
            self._log_error(f'{name}: {known}')
        return known


def awaitable(node: Node) -> tuple[Future, Callable[[Any], None]]:
    """Return a future that a coroutine of ``node`` can await, and what sets its result.

    The setter may be called from any thread: it wakes the executor, which would otherwise not look
    at the future before its next event. Later than the executor's end it does nothing.
    """
    executor = node.executor
    future: Future = Future(executor=executor)

    def set_result(result: Any) -> None:
        try:
            future.set_result(result)
            if executor is not None:
                executor.wake()
        except InvalidHandle:
            pass

    return future, set_result
