# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""PlanningWorker: the one thread that loads, warms up and calls the planner."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
import logging
import threading
import time
from typing import Protocol, runtime_checkable

from wm_planner.core.errors import (
    PlannerFailedError,
    PlannerTimeoutError,
    WmPlannerError,
)
from wm_planner.core.protocols import LooksThroughWrist, Planner, TakesInstruction
from wm_planner.core.types import ActionSpec, Goal, Observation, Plan

_logger = logging.getLogger(__name__)
_OVER = object()

GoalDone = Callable[[WmPlannerError | None], None]

IdleWork = Callable[[Planner], Iterator[None]]
"""Work for the planning thread that yields after each bit, so that a plan waits for one at most."""


@dataclass(frozen=True, kw_only=True)
class PlanRequest:
    """One plan to make; ``request_id`` tells an answer from that to an earlier request."""

    observation: Observation
    goal: Goal
    deadline_s: float | None
    executed_steps: int
    request_id: int


@dataclass(frozen=True, kw_only=True)
class PlanOutcome:
    """The answer to a request: a plan, or why there is none."""

    request: PlanRequest
    plan: Plan | None
    error: WmPlannerError | None


@dataclass(frozen=True, kw_only=True)
class PlannerInfo:
    """What is known of a planner once it is loaded."""

    action_spec: ActionSpec
    context_frames: int
    goal_tolerance: float
    wants_wrist_image: bool = False


@runtime_checkable
class Interruptible(Protocol):
    """A planner that can be told from another thread to return what it has."""

    def request_stop(self) -> None:
        """Let the plan in progress return soon; any thread."""


class PlanningWorker:
    """Owns the planning thread; nothing else ever touches the planner.

    One thread, because compiled CUDA graphs only run on the thread that made them, and because a
    plan in a callback would starve the node. Mailboxes are latest-wins both ways: a request
    replaces one that has not been begun, an outcome one that has not been polled. Goals are
    encoded in order, before the next plan.

    All methods may be called from any thread and none but ``start`` and ``stop`` waits.
    """

    def __init__(
        self,
        make_planner: Callable[[], Planner],
        *,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._make_planner = make_planner
        self._monotonic_ns = monotonic_ns
        self._wake = threading.Condition()  # guards everything below
        self._request: PlanRequest | None = None
        self._outcome: PlanOutcome | None = None
        self._goals: deque[tuple[Goal, GoalDone]] = deque()
        self._idle: deque[tuple[IdleWork, GoalDone]] = deque()
        self._idle_bits: Iterator[None] | None = None  # of the first in ``_idle``, once begun
        self._reset_wanted = False
        self._task: str | None = None  # an instruction that the planner has not got yet
        self._stop_wanted = False
        self._busy_since_ns: int | None = None
        self._planner: Planner | None = None
        self._info: PlannerInfo | None = None
        self._start_error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name='planning', daemon=True)

    def start(self, timeout_s: float) -> PlannerInfo:
        """Start the thread and return once the factory is done there.

        Raises what the factory raised, or PlannerTimeoutError after ``timeout_s``.
        """
        self._thread.start()
        with self._wake:
            self._wake.wait_for(lambda: self._info or self._start_error, timeout_s)
            if self._start_error is not None:
                raise self._start_error
            if self._info is None:
                self._stop_wanted = True
                raise PlannerTimeoutError(
                    f'the planner was not loaded within {timeout_s:g} s; valid: a longer time to '
                    'load, or a smaller model.'
                )
            return self._info

    def prepare_goal(self, goal: Goal, done: GoalDone) -> None:
        """Check and encode ``goal`` on the planning thread, then call ``done`` there.

        ``done(None)`` on success, else with the error; it is called exactly once, from the caller's
        thread if the worker has stopped.
        """
        with self._wake:
            is_open = self._thread.is_alive() and not self._stop_wanted
            if is_open:
                self._goals.append((goal, done))
                self._note_work()
        if not is_open:
            done(_stopped_error())

    def when_idle(self, work: IdleWork, done: GoalDone) -> None:
        """Run ``work`` bit by bit on the planning thread while there is nothing else to do.

        ``done`` is called exactly once, as by ``prepare_goal``. Plans and goals come first: they
        wait for the bit under way, and for no more.
        """
        with self._wake:
            is_open = self._thread.is_alive() and not self._stop_wanted
            if is_open:
                self._idle.append((work, done))
                self._wake.notify_all()
        if not is_open:
            done(_stopped_error())

    def submit(self, request: PlanRequest) -> None:
        """Ask for a plan; replaces a request that has not been begun."""
        with self._wake:
            self._request = request
            self._note_work()

    def poll(self) -> PlanOutcome | None:
        """Take the latest outcome, or return None."""
        with self._wake:
            outcome, self._outcome = self._outcome, None
            return outcome

    def reset_planner(self) -> None:
        """Have the planner reset before whatever it does next; drop a request not begun."""
        with self._wake:
            self._request = None
            self._reset_wanted = True
            self._wake.notify_all()

    def begin_task(self, instruction: str) -> None:
        """Have a planner that takes instructions begin anew with this one, before its next plan.

        Any other planner is left as it is.
        """
        with self._wake:
            self._task = instruction

    def busy_since_ns(self) -> int | None:
        """Return when the plan or goal under way was begun, on the monotonic clock; None when idle.

        For work that is still in the mailbox of an idle thread it is when it was put there.
        """
        with self._wake:
            return self._busy_since_ns

    def is_alive(self) -> bool:
        """Return whether the thread runs."""
        return self._thread.is_alive()

    def stop(self, timeout_s: float) -> bool:
        """Stop the thread; return False if it is still in a plan after ``timeout_s``.

        The thread is a daemon: one that hangs does not keep the process from ending.
        """
        with self._wake:
            self._stop_wanted = True
            planner = self._planner
            self._wake.notify_all()
        if isinstance(planner, Interruptible):
            planner.request_stop()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _note_work(self) -> None:
        if self._busy_since_ns is None:
            self._busy_since_ns = self._monotonic_ns()
        self._wake.notify_all()

    # -- on the planning thread ------------------------------------------------------------------

    def _run(self) -> None:
        try:
            planner = self._make_planner()
            info = PlannerInfo(
                action_spec=planner.action_spec,
                context_frames=planner.context_frames,
                goal_tolerance=planner.goal_tolerance,
                wants_wrist_image=(
                    isinstance(planner, LooksThroughWrist) and planner.wants_wrist_image
                ),
            )
        except Exception as error:  # raised again by start(), on the thread that waits there
            with self._wake:
                self._start_error = error
                self._wake.notify_all()
            return
        with self._wake:
            self._planner, self._info = planner, info
            self._wake.notify_all()
        try:
            while self._work_once(planner):
                pass
        finally:
            with self._wake:
                self._planner = None
                self._stop_wanted = True
                unfinished = [done for _, done in (*self._goals, *self._idle)]
                self._goals.clear()
                self._idle.clear()
            for done in unfinished:
                _call(done, _stopped_error())

    def _work_once(self, planner: Planner) -> bool:
        """Wait for one job and do it; return False when told to stop."""
        with self._wake:
            self._wake.wait_for(
                lambda: (
                    self._stop_wanted
                    or self._reset_wanted
                    or self._goals
                    or self._request
                    or self._idle
                )
            )
            if self._stop_wanted:
                return False
            is_idle = not (self._reset_wanted or self._goals or self._request)
        if is_idle:
            self._idle_bit(planner)
            return True
        with self._wake:
            is_reset, self._reset_wanted = self._reset_wanted, False
            task, self._task = self._task, None
            goal_job = self._goals.popleft() if self._goals else None
            request = None
            if goal_job is None:
                request, self._request = self._request, None
            self._busy_since_ns = self._monotonic_ns()
        try:
            error = _attempt(planner.reset) if is_reset else None
            if task is not None and isinstance(planner, TakesInstruction) and error is None:
                error = _attempt(lambda: _begin_task(planner, task))
            if goal_job is not None:
                goal, done = goal_job
                _call(done, error or _attempt(lambda: planner.prepare_goal(goal)))
            elif request is not None:
                outcome = _answer(planner, request) if error is None else _no_plan(request, error)
                with self._wake:
                    self._outcome = outcome
        finally:
            with self._wake:
                has_more = bool(self._goals or self._request)
                self._busy_since_ns = self._monotonic_ns() if has_more else None
        return True

    def _idle_bit(self, planner: Planner) -> None:
        """Do the next bit of the first idle work; only this thread takes it from the queue."""
        work, done = self._idle[0]
        is_over = False

        def run() -> None:
            nonlocal is_over
            if self._idle_bits is None:
                self._idle_bits = work(planner)
            is_over = next(self._idle_bits, _OVER) is _OVER

        error = _attempt(run)
        if error is not None or is_over:
            self._idle_bits = None
            with self._wake:
                self._idle.popleft()
            _call(done, error)


def _begin_task(planner: Planner, instruction: str) -> None:
    planner.reset()
    if isinstance(planner, TakesInstruction):
        planner.set_instruction(instruction)


def _attempt(action: Callable[[], None]) -> WmPlannerError | None:
    """Run a planner's method; return what it raised as an error of this package."""
    try:
        action()
    except WmPlannerError as error:
        return error
    except Exception as error:  # a planner may raise anything; the thread must live on
        _logger.exception('the planner raised')
        return PlannerFailedError(f'the planner raised {type(error).__name__}: {error}')
    return None


def _answer(planner: Planner, request: PlanRequest) -> PlanOutcome:
    plan: object = None

    def run() -> None:
        nonlocal plan
        plan = planner.plan(
            request.observation,
            request.goal,
            deadline_s=request.deadline_s,
            executed_steps=request.executed_steps,
        )

    error = _attempt(run)
    if error is not None:
        return _no_plan(request, error)
    if not isinstance(plan, Plan):
        return _no_plan(
            request, PlannerFailedError(f'the planner returned {type(plan).__name__}; valid: Plan.')
        )
    return PlanOutcome(request=request, plan=plan, error=None)


def _no_plan(request: PlanRequest, error: WmPlannerError) -> PlanOutcome:
    return PlanOutcome(request=request, plan=None, error=error)


def _call(done: GoalDone, error: WmPlannerError | None) -> None:
    try:
        done(error)
    except Exception:  # a caller's mistake must not end the planning thread
        _logger.exception('the callback of prepare_goal raised')


def _stopped_error() -> PlannerFailedError:
    return PlannerFailedError('the planning thread has stopped; valid: while the node is active.')
