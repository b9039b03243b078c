# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""PlanningWorker: the one thread that loads, warms up and calls the planner."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
import threading
import time
from typing import Protocol, runtime_checkable

from wm_planner.control.planner_calls import (
    GoalDone,
    PlannerInfo,
    PlanOutcome,
    PlanRequest,
    answer,
    attempt,
    begin_task,
    call,
    describe,
    no_plan,
    not_loaded_error,
    stopped_error,
)
from wm_planner.core.errors import PlannerTimeoutError
from wm_planner.core.protocols import LooksAhead, Planner, TakesInstruction
from wm_planner.core.types import Goal

__all__ = ['IdleWork', 'PlanOutcome', 'PlanRequest', 'PlannerInfo', 'PlanningWorker']

_OVER = object()

IdleWork = Callable[[Planner], Iterator[None]]
"""Work for the planning thread that yields after each bit, so that a plan waits for one at most."""


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
        self._idle: deque[tuple[IdleWork, GoalDone]] = deque()
        self._idle_bits: Iterator[None] | None = None  # of the first in ``_idle``, once begun
        self._reset_wanted = False
        self._task: str | None = None  # an instruction that the planner has not got yet
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
            done(stopped_error())

    def when_idle(self, work: IdleWork, done: GoalDone) -> None:
        """Run ``work`` bit by bit on the planning thread while there is nothing else to do.

        ``done`` is called exactly once, as by ``prepare_goal``. Plans and goals come first: they
        wait for the bit under way, and for no more.
        """
        with self._wake:
            is_open = self._is_open and self._thread.is_alive() and not self._stop_wanted
            if is_open:
                self._idle.append((work, done))
                self._wake.notify_all()
        if not is_open:
            done(stopped_error())

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
            self._request = self._outcome = self._task = None
            self._busy_since_ns = self._start_error = None
            self._reset_wanted, self._is_open = False, True
            unfinished = self._take_goals()
            self._thread = self._make_thread()
            self._thread.start()
        if isinstance(former, Interruptible):
            former.request_stop()
        for done in unfinished:
            call(done, stopped_error())

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
        """Return what is to be called for work that nobody will do; with the lock held."""
        unfinished = [done for _, done in (*self._goals, *self._idle)]
        self._idle.clear()
        self._idle_bits = None
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
            info = describe(planner)
        except BaseException as error:  # raised again by start(), on the thread that waits there
            self._fail_to_start(error, life)
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
                call(done, stopped_error())

    def _fail_to_start(self, error: BaseException, life: int) -> None:
        """Note why there is no planner, and tell whoever waits for it."""
        unfinished: list[GoalDone] = []
        with self._wake:
            if self._life == life:
                self._start_error = (
                    error if isinstance(error, Exception) else not_loaded_error(error)
                )
                self._is_open = False
                unfinished = self._take_goals()
            self._wake.notify_all()
        for done in unfinished:
            call(done, stopped_error())

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
                    or self._idle
                )
            )
            if self._stop_wanted or self._life != life:
                return False
            is_idle = not (self._reset_wanted or self._goals or self._request)
        if is_idle:
            self._idle_bit(planner, life)
            return True
        with self._wake:
            if self._stop_wanted or self._life != life:
                return False
            is_reset, self._reset_wanted = self._reset_wanted, False
            task, self._task = self._task, None
            goal_job = self._goals.popleft() if self._goals else None
            request = None
            if goal_job is None:
                request, self._request = self._request, None
            else:
                self._goal_under_way = goal_job[1]
            self._busy_since_ns = self._monotonic_ns()
        try:
            error = attempt(planner.reset) if is_reset else None
            if task is not None and isinstance(planner, TakesInstruction) and error is None:
                error = attempt(lambda: begin_task(planner, task))
            if goal_job is not None:
                goal, done = goal_job
                error = error or attempt(lambda: planner.prepare_goal(goal))
                with self._wake:
                    is_mine = self._life == life
                    if is_mine:
                        self._goal_under_way = None
                if is_mine:
                    call(done, error)
            elif request is not None:
                outcome = answer(planner, request) if error is None else no_plan(request, error)
                with self._wake:
                    if self._life == life:
                        self._outcome = outcome
                if outcome.plan is not None and isinstance(planner, LooksAhead):
                    attempt(planner.look_ahead)  # while the arm moves
        finally:
            with self._wake:
                if self._life == life:
                    has_more = bool(self._goals or self._request)
                    self._busy_since_ns = self._monotonic_ns() if has_more else None
        return True

    def _idle_bit(self, planner: Planner, life: int) -> None:
        """Do the next bit of the first idle work; only this thread takes it from the queue."""
        with self._wake:
            if self._life != life or not self._idle:
                return
            work, done = self._idle[0]
            bits = self._idle_bits
        is_over = False

        def run() -> None:
            nonlocal bits, is_over
            if bits is None:
                bits = work(planner)
            is_over = next(bits, _OVER) is _OVER

        error = attempt(run)
        with self._wake:
            if self._life != life:
                return  # told already that it will not be done
            is_done = error is not None or is_over
            self._idle_bits = None if is_done else bits
            if is_done:
                self._idle.popleft()
        if is_done:
            call(done, error)
