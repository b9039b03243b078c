# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Controller: the state machine around the goal loop; what may move the arm, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import logging
import math
import threading

from wm_planner.control.chain import ChainKind
from wm_planner.control.executor import PlanExecutor
from wm_planner.control.frame_buffer import FrameBuffer
from wm_planner.control.goal_loop import Ended, GoalLoop, GoalLoopConfig
from wm_planner.control.guards import Guard, all_troubles, first_trouble, forget_troubles
from wm_planner.control.outlet import Outlet
from wm_planner.control.pursuit import Pursuit
from wm_planner.control.safety import SafetyFilter
from wm_planner.control.status import (
    ALL_IS_WELL,
    ControllerState,
    ControllerStatus,
    Notice,
    Termination,
)
from wm_planner.control.worker import PlanningWorker
from wm_planner.core.config import parameter
from wm_planner.core.errors import (
    EmergencyStopError,
    FaultLatchedError,
    NoDataError,
    OverspeedError,
    SafetyError,
    SecondPublisherError,
    WmPlannerError,
)
from wm_planner.core.protocols import CommandSink
from wm_planner.core.types import ArmCommand, Goal, NotReady, Plan, RobotState

__all__ = [
    'Controller',
    'ControllerConfig',
    'ControllerState',
    'ControllerStatus',
    'Notice',
    'Termination',
]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ControllerConfig(GoalLoopConfig):
    """When goals are reached or given up, and when the planner counts as hung."""

    planner_timeout_s: float = parameter(
        15.0, 'wall time a plan or a goal encoding may take before it is a fault [s]', low=0.1
    )


class Controller:
    """Drives the arm through a list of goals (see GoalLoop) and says what it is doing.

    Every tick sends one absolute setpoint through the safety filter (see Outlet): that of the step
    under way, or the one it holds. It sends nothing while motion is not enabled, and nothing while
    the robot state is unknown, for then nothing can be vetted; the sink is told to stay instead.

    What stops the arm, and how it goes on:

    * data stale, missing, not to be believed or from before a clock jump: HOLDING, goes on by
      itself when data are good; after ``stale_timeout_s`` the goals end STALE_DATA;
    * the planner raised, or its plans keep coming too late: the goals end PLANNER_FAILED, HOLDING,
      new goals may be set;
    * the safety filter refused: the goals end SAFETY_STOP, HOLDING, new goals may be set;
    * ``hold``: the goals end SAFETY_STOP, HOLDING until new goals are set or motion is enabled;
    * the planning thread is dead or hangs, the sink raised, or a guard says so while motion is
      enabled: FAULT, latched;
    * ``emergency_stop``, or a guard of it: EMERGENCY_STOP, latched. Only ``reset`` leaves a latch,
      to DISABLED; it makes a new planner where the planning thread was the cause.

    With somebody else on the command topics it falls silent after one hold: two senders make an
    arm that obeys both jump between them, and of one that obeys neither nothing is lost. Where the
    measured pose itself is in doubt (too fast, or away from where it is held) it falls silent
    without: a hold at a wrong pose is a motion.

    ``tick`` belongs to one thread; the other methods may be called from any (one lock, held for the
    length of a tick at most). After ``shutdown`` nothing is ever sent; a new life needs a new one.
    """

    def __init__(
        self,
        config: ControllerConfig,
        *,
        buffer: FrameBuffer,
        worker: PlanningWorker,
        executor: PlanExecutor,
        safety: SafetyFilter,
        sink: CommandSink,
        goal_tolerance: float,
        guards: Sequence[Guard] = (),
    ) -> None:
        self._config = config
        self._guards = tuple(guards)
        self._monotonic_ns = 0  # of the last tick
        self._is_state_known = False  # at the last tick
        self._buffer = buffer
        self._worker = worker
        self._safety = safety
        self._goal_tolerance = goal_tolerance
        self._loop = GoalLoop(config, buffer=buffer, worker=worker, executor=executor)
        self._outlet = Outlet(safety, sink)
        self._lock = threading.RLock()
        self._goal_lists = 0
        self._epoch = buffer.epoch
        self._is_shut_down = False
        self._is_reached = False
        self._latch: tuple[ControllerState, WmPlannerError] | None = None
        self._answered: set[int] = set()  # what guards said since the last reset
        self._held: Notice | None = None  # why it holds until new goals are set

    # -- what others ask for: any thread ---------------------------------------------------------

    def set_goals(
        self,
        goals: Sequence[Goal],
        *,
        steps_per_goal: Sequence[int] = (),
        tolerance: float | None = None,
        kind: ChainKind = ChainKind.SCHEDULE,
        now_ns: int,
    ) -> int:
        """Pursue ``goals`` (prepared already) in order, in place of those before; return a list id.

        ``steps_per_goal`` limits the steps of each, 0 or empty = until reached. ``tolerance`` None,
        0 or NaN = the model's own, negative = never reached by energy. The list that is replaced
        ends without a report: who replaces it knows. Raises InvalidGoalError, and FaultLatchedError
        or EmergencyStopError while latched.
        """
        with self._lock:
            self._refuse_if_latched()
            is_own = tolerance is None or math.isnan(tolerance) or tolerance == 0.0
            pursuit = Pursuit(
                goals,
                steps_per_goal=steps_per_goal,
                tolerance=self._goal_tolerance if is_own or tolerance is None else tolerance,
                config=self._config,
                list_id=self._goal_lists + 1,
                limits=self._worker.info.uncertainty_limits,
                kind=kind,
            )
            self._goal_lists += 1
            self._loop.begin(pursuit, now_ns)
            self._held = None
            self._is_reached = False
            return pursuit.list_id

    def clear_goals(self, reason: str) -> None:
        """Give the goals up (CANCELED) and stay in place."""
        with self._lock:
            self._loop.end(Termination.CANCELED, Notice(0, reason))
            self._is_reached = False

    def enable(self, is_enabled: bool) -> None:
        """Allow or forbid motion. Forbidding pauses the goals; allowing takes them up again.

        Raises FaultLatchedError or EmergencyStopError when enabled while latched, and what a guard
        has against it.
        """
        with self._lock:
            if not is_enabled:
                self._loop.stop_motion()
                self._outlet.close()
                return
            self._refuse_if_latched()
            if not self._outlet.is_open:
                forget_troubles(self._guards)
            trouble = first_trouble(self._guards, self._monotonic_ns)
            if trouble is not None:
                raise trouble
            self._held = None
            if not self._outlet.is_open and not self._is_shut_down:
                self._outlet.open()

    def hold(self) -> None:
        """Stop at the measured pose, give the goals up (SAFETY_STOP) and stay there."""
        with self._lock:
            self._loop.end(Termination.SAFETY_STOP, Notice.of(SafetyError('told to hold.')))
            self._is_reached = False
            self._held = Notice(0, 'told to hold.')
            self._outlet.hold_measured(self._known_state())

    def emergency_stop(self, reason: str) -> None:
        """Stop at the measured pose and latch EMERGENCY_STOP; does nothing where it is latched."""
        with self._lock:
            if self._latch is not None and self._latch[0] is ControllerState.EMERGENCY_STOP:
                return
            error = EmergencyStopError(f'emergency stop: {reason}')
            self._set_latch(ControllerState.EMERGENCY_STOP, error, Termination.SAFETY_STOP)
            self._answered.add(error.code)
            self._outlet.hold_measured(self._known_state())

    def reset(self) -> None:
        """Leave FAULT or EMERGENCY_STOP: goals are gone and motion must be enabled again.

        A planning thread that is dead or hangs is left behind and the planner made anew. Raises
        EmergencyStopError while the emergency stop is pressed.
        """
        with self._lock:
            trouble = first_trouble(self._guards, self._monotonic_ns)
            if isinstance(trouble, EmergencyStopError):
                raise trouble
            timeout_s = self._config.planner_timeout_s
            is_lost = self._loop.planner_trouble(self._monotonic_ns, timeout_s) is not None
            if is_lost and not self._is_shut_down:
                self._worker.revive()
            self._loop.end(Termination.CANCELED, Notice(0, 'reset.'))
            self._loop.reset_planner()
            self._latch = self._held = None
            self._answered.clear()
            self._is_reached = False
            self._outlet.close()
            forget_troubles(self._guards)

    def shutdown(self) -> None:
        """End for good: the last thing the sink hears is hold."""
        with self._lock:
            if self._is_shut_down:
                return
            self._loop.end(Termination.CANCELED, Notice(0, 'the controller was shut down.'))
            self._is_shut_down = True
            self._outlet.close()

    # -- the tick --------------------------------------------------------------------------------

    def tick(self, now_ns: int, monotonic_ns: int) -> ControllerStatus:
        """Do what is due at ``now_ns`` (ROS clock) and ``monotonic_ns``, at the control rate."""
        with self._lock:
            self._monotonic_ns = monotonic_ns
            problem = self._buffer.freshness(now_ns, monotonic_ns)
            unknown = self._buffer.state_freshness(now_ns, monotonic_ns)
            self._is_state_known = unknown is None
            if self._buffer.epoch != self._epoch:
                self._on_clock_jump()
            sent: ArmCommand | None = None
            if not self._is_shut_down:
                self._watch_worker(monotonic_ns)
                self._watch_guards(monotonic_ns)
                self._advance(problem, now_ns, monotonic_ns)
                sent = self._send(now_ns)
            ended = self._loop.take_ended()
            self._note_end(ended)
            return self._report(now_ns, problem, ended, self._loop.take_plan(), sent)

    def _on_clock_jump(self) -> None:
        """Forget everything that has a time in it; the goals stay."""
        _logger.warning('the clock jumped: holding until data are back')
        self._epoch = self._buffer.epoch
        self._loop.reset_planner()

    def _watch_worker(self, monotonic_ns: int) -> None:
        """Latch FAULT when the planning thread is dead or hangs."""
        if self._latch is not None:
            return
        error = self._loop.planner_trouble(monotonic_ns, self._config.planner_timeout_s)
        if error is not None:
            self._set_latch(ControllerState.FAULT, error, Termination.PLANNER_FAILED)

    def _watch_guards(self, monotonic_ns: int) -> None:
        """Latch FAULT or EMERGENCY_STOP when a guard says that the arm must stand still.

        Also while something is latched already, for holds go out then too: the arm may have to fall
        silent, or to hold where it is now, and a fault may become an emergency stop.
        """
        if not self._outlet.is_open:
            return
        troubles = all_troubles(self._guards, monotonic_ns)
        if not troubles:
            return
        is_emergency = isinstance(troubles[0], EmergencyStopError)
        state = ControllerState.EMERGENCY_STOP if is_emergency else ControllerState.FAULT
        self._set_latch(state, troubles[0], Termination.SAFETY_STOP)
        new = {error.code for error in troubles} - self._answered
        self._answered |= new
        if any(isinstance(error, OverspeedError) for error in troubles):
            self._outlet.mute()
        elif any(isinstance(error, SecondPublisherError) for error in troubles):
            self._outlet.close()
        elif new:  # once for each: to follow an arm that is pushed would be a motion
            self._outlet.hold_measured(self._known_state())

    def _known_state(self) -> RobotState | None:
        """Return where the arm is, None where nothing fresh says so."""
        return self._buffer.latest_state() if self._is_state_known else None

    def _advance(self, problem: NotReady | None, now_ns: int, monotonic_ns: int) -> None:
        outcome = self._loop.poll()
        if not (self._loop.is_pursuing and self._outlet.is_open):
            return
        if problem is not None:
            self._loop.wait_for_data(outcome, problem, now_ns, monotonic_ns)
            return
        state = self._buffer.latest_state()
        assert state is not None, 'the data are fresh'
        self._loop.advance(outcome, state, now_ns, monotonic_ns, setpoint=self._outlet.setpoint)

    def _send(self, now_ns: int) -> ArmCommand | None:
        """Send this tick's setpoint, if motion is enabled and the state of the robot is known."""
        state = self._known_state()
        if state is None:
            self._outlet.release()
            return None
        sent = self._outlet.send(self._loop.due(now_ns, state), state, now_ns)
        if sent.fault is not None:
            self._set_latch(ControllerState.FAULT, sent.fault, Termination.SAFETY_STOP)
            if isinstance(sent.fault, SafetyError):
                self._outlet.mute()
        elif sent.refusal is not None:
            self._loop.refuse(sent.refusal)
        return sent.command

    def _note_end(self, ended: Ended | None) -> None:
        if ended is None:
            return
        self._is_reached = ended.termination is Termination.REACHED
        needs_attention = (Termination.PLANNER_FAILED, Termination.SAFETY_STOP)
        if ended.termination in needs_attention and self._held is None:
            self._held = ended.notice

    def _set_latch(
        self, state: ControllerState, error: WmPlannerError, termination: Termination
    ) -> None:
        """Latch, unless something at least as serious is latched already."""
        is_emergency = state is ControllerState.EMERGENCY_STOP
        if self._latch is not None and (
            not is_emergency or self._latch[0] is ControllerState.EMERGENCY_STOP
        ):
            return
        _logger.error('%s: %s', state.name, error)
        self._latch = (state, error)
        self._is_reached = False
        self._loop.end(termination, Notice.of(error))

    def _refuse_if_latched(self) -> None:
        if self._latch is None:
            return
        state, error = self._latch
        kind = EmergencyStopError if state is ControllerState.EMERGENCY_STOP else FaultLatchedError
        raise kind(f'{state.name} is latched: {error.message} valid: reset first.')

    # -- the report ------------------------------------------------------------------------------

    def _report(
        self,
        now_ns: int,
        problem: NotReady | None,
        ended: Ended | None,
        plan: Plan | None,
        sent: ArmCommand | None,
    ) -> ControllerStatus:
        state, notice = self._state(problem)
        pursuit = self._loop.pursuit
        is_shown = self._loop.is_pursuing or self._is_reached or ended is not None
        shown = pursuit if is_shown else None
        return ControllerStatus(
            state=state,
            error_code=ended.notice.code if ended else notice.code,
            message=ended.notice.message if ended else notice.message,
            goal_list_id=pursuit.list_id if pursuit else 0,
            goal_id=shown.goal.goal_id if shown else '',
            goal_index=shown.index if shown else 0,
            goal_count=shown.count if shown else 0,
            goal_energy=pursuit.energy if pursuit else math.nan,
            goal_tolerance=pursuit.tolerance if pursuit else self._goal_tolerance,
            steps_executed=pursuit.steps_executed if pursuit else 0,
            plans=pursuit.plans if pursuit else 0,
            plans_dropped=pursuit.plans_dropped if pursuit else 0,
            commands_clamped=self._safety.clamped,
            commands_refused=self._safety.refused,
            image_age_s=self._buffer.image_age_s(now_ns),
            state_age_s=self._buffer.state_age_s(now_ns),
            goal_energies=tuple(pursuit.energies) if pursuit else (),
            goal_steps=tuple(pursuit.steps) if pursuit else (),
            best_energies=tuple(pursuit.best_energies) if pursuit else (),
            decision=pursuit.decision if pursuit else '',
            termination=ended.termination if ended else None,
            latest_plan=plan,
            sent=sent,
        )

    def _state(self, problem: NotReady | None) -> tuple[ControllerState, Notice]:
        """Return what is going on, the most serious first."""
        trouble = ALL_IS_WELL if problem is None else Notice.of(problem.error)
        if self._is_shut_down:
            return ControllerState.INACTIVE, ALL_IS_WELL
        if self._latch is not None:
            return self._latch[0], Notice.of(self._latch[1])
        if not self._outlet.is_open:
            return ControllerState.DISABLED, trouble
        if problem is not None and not isinstance(problem.error, NoDataError):
            return ControllerState.HOLDING, trouble
        if self._held is not None:
            return ControllerState.HOLDING, self._held
        if self._loop.is_pursuing:
            return self._pursuing_state(trouble)
        return ControllerState.REACHED if self._is_reached else ControllerState.IDLE, trouble

    def _pursuing_state(self, trouble: Notice) -> tuple[ControllerState, Notice]:
        if trouble is not ALL_IS_WELL:
            return ControllerState.WAITING_FOR_DATA, trouble
        if self._loop.is_executing:
            return ControllerState.EXECUTING, ALL_IS_WELL
        if self._loop.is_planning:
            return ControllerState.PLANNING, ALL_IS_WELL
        return ControllerState.WAITING_FOR_DATA, self._loop.not_ready
