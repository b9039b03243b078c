# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""PlanningWorker: the one thread that loads, warms up and calls the planner."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
import logging
import threading
import time
from typing import Protocol, runtime_checkable

from wm_planner.core.errors import (
    DeviceMemoryError,
    PlannerFailedError,
    PlannerTimeoutError,
    WmPlannerError,
)
from wm_planner.core.protocols import Calibrated, LooksAhead, Planner
from wm_planner.core.types import ActionSpec, Goal, Observation, Plan, UncertaintyLimits

_logger = logging.getLogger(__name__)

_OUT_OF_MEMORY = {'MemoryError', 'OutOfMemoryError'}  # torch's by name: control knows no torch

GoalDone = Callable[[WmPlannerError | None], None]


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
    uncertainty_limits: UncertaintyLimits = field(default_factory=UncertaintyLimits)


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

    A thread that has died or hangs can be left behind (``revive``): a new one makes a new planner,
    and whatever the old one still does is not looked at.

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
        self._reset_wanted = False
        self._stop_wanted = False
        self._busy_since_ns: int | None = None
        self._planner: Planner | None = None
        self._info: PlannerInfo | None = None
        self._start_error: Exception | None = None
        self._goal_under_way: GoalDone | None = None
        self._is_open = True  # goals are taken
        self._life = 0  # a thread of an earlier life touches nothing any more
        self._thread = self._make_thread()

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
            is_open = self._is_open and self._thread.is_alive() and not self._stop_wanted
            if is_open:
                self._goals.append((goal, done))
                self._note_work()
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

    def busy_since_ns(self) -> int | None:
        """Return when the plan or goal under way was begun, on the monotonic clock; None when idle.

        For work that is still in the mailbox of an idle thread it is when it was put there. None
        while the planner is being made, which has a limit of its own.
        """
        with self._wake:
            return None if self._planner is None else self._busy_since_ns

    def is_alive(self) -> bool:
        """Return whether the thread runs."""
        return self._thread.is_alive()

    @property
    def info(self) -> PlannerInfo:
        """Return what is known of the planner; only after ``start`` has returned."""
        assert self._info is not None, 'the planner was loaded'
        return self._info

    @property
    def is_loading(self) -> bool:
        """Return whether the thread is making the planner, which may take minutes."""
        with self._wake:
            return self._planner is None and self._thread.is_alive()

    @property
    def start_error(self) -> Exception | None:
        """Return why the planner could not be made."""
        with self._wake:
            return self._start_error

    def revive(self) -> None:
        """Leave the thread to itself, dead or hanging, and make a planner in a new one.

        Goals that are or wait to be encoded fail. Does nothing once stopped, or while the planner
        is being made.
        """
        with self._wake:
            if self._stop_wanted or (self._planner is None and self._thread.is_alive()):
                return
            self._life += 1
            former, self._planner = self._planner, None
            self._request = self._outcome = None
            self._busy_since_ns = self._start_error = None
            self._reset_wanted, self._is_open = False, True
            unfinished = self._take_goals()
            self._thread = self._make_thread()
            self._thread.start()
        if isinstance(former, Interruptible):
            former.request_stop()
        for done in unfinished:
            _call(done, _stopped_error())

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

    def _take_goals(self) -> list[GoalDone]:
        """Return what is to be called for goals that nobody will encode; with the lock held."""
        unfinished = [done for _, done in self._goals]
        if self._goal_under_way is not None:
            unfinished.append(self._goal_under_way)
        self._goals.clear()
        self._goal_under_way = None
        return unfinished

    def _make_thread(self) -> threading.Thread:
        arguments = (self._life,)
        return threading.Thread(target=self._run, args=arguments, name='planning', daemon=True)

    def _note_work(self) -> None:
        if self._busy_since_ns is None:
            self._busy_since_ns = self._monotonic_ns()
        self._wake.notify_all()

    # -- on the planning thread ------------------------------------------------------------------

    def _run(self, life: int) -> None:
        try:
            planner = self._make_planner()
            info = PlannerInfo(
                action_spec=planner.action_spec,
                context_frames=planner.context_frames,
                goal_tolerance=planner.goal_tolerance,
                uncertainty_limits=planner.uncertainty_limits
                if isinstance(planner, Calibrated)
                else UncertaintyLimits(),
            )
        except Exception as error:  # raised again by start(), on the thread that waits there
            with self._wake:
                if self._life == life:
                    self._start_error = error
                self._wake.notify_all()
            return
        with self._wake:
            if self._life == life:
                self._planner, self._info = planner, info
                if self._busy_since_ns is not None:
                    self._busy_since_ns = self._monotonic_ns()  # what waited begins now
            self._wake.notify_all()
        try:
            while self._work_once(planner, life):
                pass
        finally:
            unfinished: list[GoalDone] = []
            with self._wake:
                if self._life == life:
                    self._planner, self._is_open = None, False
                    unfinished = self._take_goals()
            for done in unfinished:
                _call(done, _stopped_error())

    def _work_once(self, planner: Planner, life: int) -> bool:
        """Wait for one job and do it; return False when told to stop."""
        with self._wake:
            self._wake.wait_for(
                lambda: (
                    self._stop_wanted
                    or self._life != life
                    or self._reset_wanted
                    or self._goals
                    or self._request
                )
            )
            if self._stop_wanted or self._life != life:
                return False
            is_reset, self._reset_wanted = self._reset_wanted, False
            goal_job = self._goals.popleft() if self._goals else None
            request = None
            if goal_job is None:
                request, self._request = self._request, None
            else:
                self._goal_under_way = goal_job[1]
            self._busy_since_ns = self._monotonic_ns()
        try:
            error = _attempt(planner.reset) if is_reset else None
            if goal_job is not None:
                goal, done = goal_job
                error = error or _attempt(lambda: planner.prepare_goal(goal))
                with self._wake:
                    is_mine = self._life == life
                    if is_mine:
                        self._goal_under_way = None
                if is_mine:
                    _call(done, error)
            elif request is not None:
                outcome = _answer(planner, request) if error is None else _no_plan(request, error)
                with self._wake:
                    if self._life == life:
                        self._outcome = outcome
                if outcome.plan is not None and isinstance(planner, LooksAhead):
                    _attempt(planner.look_ahead)  # while the arm moves
        finally:
            with self._wake:
                if self._life == life:
                    has_more = bool(self._goals or self._request)
                    self._busy_since_ns = self._monotonic_ns() if has_more else None
        return True


def _attempt(action: Callable[[], None]) -> WmPlannerError | None:
    """Run a planner's method; return what it raised as an error of this package."""
    try:
        action()
    except WmPlannerError as error:
        return error
    except Exception as error:  # a planner may raise anything; the thread must live on
        _logger.exception('the planner raised')
        kinds = {kind.__name__ for kind in type(error).__mro__}
        if kinds & _OUT_OF_MEMORY:
            return DeviceMemoryError(
                f'out of memory while planning ({type(error).__name__}: {error}); valid: fewer '
                'samples, a smaller model or precision, or a device with more free memory.'
            )
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
