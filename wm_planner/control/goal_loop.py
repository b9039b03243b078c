# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""GoalLoop: observation, plan, steps, and again, for a list of goals."""

from __future__ import annotations

from dataclasses import dataclass
import logging

from wm_planner.control.executor import PlanExecutor
from wm_planner.control.frame_buffer import FrameBuffer
from wm_planner.control.progress import Signals
from wm_planner.control.pursuit import Next, Pursuit, PursuitConfig
from wm_planner.control.status import ALL_IS_WELL, Notice, Termination
from wm_planner.control.worker import PlanningWorker, PlanOutcome, PlanRequest
from wm_planner.core.config import parameter
from wm_planner.core.errors import (
    PlannerFailedError,
    PlannerTimeoutError,
    PlanningError,
    SafetyError,
    StaleCommandError,
    WmPlannerError,
)
from wm_planner.core.types import ArmCommand, NotReady, Plan, RobotState

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class GoalLoopConfig(PursuitConfig):
    """How long the loop waits for data."""

    stale_timeout_s: float = parameter(
        5.0, 'wall time without usable data after which a list of goals ends [s]', low=0.1
    )
    plan_deadline_s: float = parameter(
        0.0, "wall time a plan should take at most [s]; 0 = the planner's own", low=0.0
    )


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a list of goals ended, and why."""

    termination: Termination
    notice: Notice


class GoalLoop:
    """Blocking and quasi-static: observe -> plan -> execute ``execute_steps`` -> observe.

    The observation is newer than the end of the last motion, a plan is only executed if it answers
    the request in force (not one from before the goals changed), and everything stops while data
    are missing. It says which setpoint is due and sends nothing.

    One thread at a time (the controller's lock).
    """

    def __init__(
        self,
        config: GoalLoopConfig,
        *,
        buffer: FrameBuffer,
        worker: PlanningWorker,
        executor: PlanExecutor,
    ) -> None:
        self._config = config
        self._buffer = buffer
        self._worker = worker
        self._executor = executor
        self._pursuit: Pursuit | None = None
        self._is_pursuing = False
        self._ended: Ended | None = None
        self._is_executing = False
        self._last_setpoint: ArmCommand | None = None
        self._pending: PlanRequest | None = None
        self._pending_since_ns = 0  # monotonic
        self._request_id = 0
        self._executed_since_plan = 0
        self._not_before_ns = 0
        self._not_ready = ALL_IS_WELL
        self._unready_since_ns: int | None = None  # monotonic
        self._latest_plan: Plan | None = None

    @property
    def pursuit(self) -> Pursuit | None:
        """Return the list of goals under way, or the last one."""
        return self._pursuit

    @property
    def is_pursuing(self) -> bool:
        """Return whether a list of goals is under way."""
        return self._is_pursuing

    @property
    def is_executing(self) -> bool:
        """Return whether a step is under way."""
        return self._is_executing

    @property
    def is_planning(self) -> bool:
        """Return whether an answer of the planner is awaited."""
        return self._pending is not None

    @property
    def not_ready(self) -> Notice:
        """Return why no observation could be made, all is well while the next frame is due."""
        return self._not_ready

    def waited_s(self, monotonic_ns: int) -> float:
        """Return how long the planner has been at work on something without an answer [s]."""
        starts = [self._worker.busy_since_ns(), self._pending_since_ns if self._pending else None]
        return max([0.0, *((monotonic_ns - s) * 1e-9 for s in starts if s is not None)])

    def planner_trouble(self, monotonic_ns: int, timeout_s: float) -> WmPlannerError | None:
        """Return why no answer of the planner will come, None while one may."""
        if not self._worker.is_alive():
            why = self._worker.start_error
            what = 'has died' if why is None else f'could not make the planner again ({why})'
            return PlannerFailedError(f'the planning thread {what}; valid: ~/reset tries anew.')
        waited_s = self.waited_s(monotonic_ns)
        if waited_s <= timeout_s:
            return None
        return PlannerTimeoutError(
            f'the planning thread has not answered for {waited_s:.1f} s; valid: at most '
            f'{timeout_s:g} s (planner_timeout_s).'
        )

    def take_plan(self) -> Plan | None:
        """Return the plan that arrived since the last call."""
        plan, self._latest_plan = self._latest_plan, None
        return plan

    def take_ended(self) -> Ended | None:
        """Return how the list of goals ended, once."""
        ended, self._ended = self._ended, None
        return ended

    def begin(self, pursuit: Pursuit, now_ns: int) -> None:
        """Pursue another list of goals; what is under way stops, unreported."""
        self.stop_motion()
        self._pursuit, self._is_pursuing, self._ended = pursuit, True, None
        self._not_before_ns = now_ns  # what was seen before may show an arm that still moved

    def end(self, termination: Termination, notice: Notice) -> None:
        """Stop; give up the list of goals if one is under way."""
        self.stop_motion()
        if not self._is_pursuing:
            return
        _logger.info('goals ended: %s. %s', termination.name, notice.message)
        self._is_pursuing = False
        self._ended = Ended(termination=termination, notice=notice)

    def stop_motion(self) -> None:
        """Abort the step and forget the request; the goals stay."""
        self._executor.abort()
        self._is_executing = False
        self._last_setpoint = None
        self._pending = None
        self._not_ready, self._unready_since_ns = ALL_IS_WELL, None

    def reset_planner(self) -> None:
        """Stop, and forget what the planner remembers and everything that has a time in it."""
        self.stop_motion()
        self._not_before_ns = 0
        self._executed_since_plan = 0
        self._worker.reset_planner()

    def refuse(self, error: SafetyError) -> None:
        """Give the goals up because of a refusal: what was refused once would be again."""
        self.end(Termination.SAFETY_STOP, Notice.of(error))

    # -- a tick ----------------------------------------------------------------------------------

    def poll(self) -> PlanOutcome | None:
        """Return the answer to the request in force; one to an earlier request is dropped."""
        outcome = self._worker.poll()
        if outcome is None:
            return None
        if outcome.plan is not None:
            self._executed_since_plan = 0  # the planner's warm start is this plan, executed or not
        if self._pending is None or outcome.request.request_id != self._pending.request_id:
            return None
        self._pending = None
        return outcome

    def advance(
        self,
        outcome: PlanOutcome | None,
        state: RobotState,
        now_ns: int,
        monotonic_ns: int,
        *,
        setpoint: ArmCommand | None,
    ) -> None:
        """Finish the step that is over, begin a plan, ask for the next; data are fresh."""
        if self._is_executing:
            try:
                is_done = self._executor.is_done(now_ns, state)
            except SafetyError as error:
                self.refuse(error)
            else:
                if is_done:
                    self._finish_steps(now_ns, state)
        if outcome is not None and self._is_pursuing:
            self._begin_plan(outcome, state, now_ns, setpoint)
        if self._is_executing or self._pending is not None:
            self._unready_since_ns = None
        elif self._is_pursuing:
            self._request_plan(now_ns, monotonic_ns)

    def wait_for_data(
        self, outcome: PlanOutcome | None, problem: NotReady, now_ns: int, monotonic_ns: int
    ) -> None:
        """Stop, and look again when data are fresh again."""
        if self._is_executing:
            _logger.warning('holding: %s', problem.error)
            self.stop_motion()
        self._not_before_ns = now_ns
        pursuit = self._pursuit
        if outcome and pursuit and self._valid_plan(outcome, pursuit):
            pursuit.plans += 1
            pursuit.plans_dropped += 1
        if self._is_pursuing:
            self._give_up_if_long(problem.error, monotonic_ns)

    def due(self, now_ns: int, state: RobotState) -> ArmCommand | None:
        """Return the setpoint of the step under way, None when the arm is to hold."""
        last_setpoint, self._last_setpoint = self._last_setpoint, None
        if not self._is_executing:
            return last_setpoint
        try:
            return self._executor.target(now_ns, state)
        except SafetyError as error:
            self.refuse(error)
            return None

    def _finish_steps(self, now_ns: int, state: RobotState) -> None:
        assert self._pursuit is not None, 'a step belongs to a goal'
        steps, last_setpoint = self._executor.executed_steps, self._executor.target(now_ns, state)
        self.stop_motion()
        self._executed_since_plan += steps
        self._not_before_ns = now_ns
        if self._pursuit.on_steps(steps) is Next.END:
            self._end_as_pursuit_says(self._pursuit)
        self._last_setpoint = last_setpoint  # the end of the way, which no tick may have met

    def _begin_plan(
        self,
        outcome: PlanOutcome,
        state: RobotState,
        now_ns: int,
        setpoint: ArmCommand | None,
    ) -> None:
        assert self._pursuit is not None, 'a request belongs to a goal'
        pursuit = self._pursuit
        plan = self._valid_plan(outcome, pursuit)
        if plan is None:
            return
        following = pursuit.on_plan(
            Signals.of(plan), outcome.request.observation.state.gripper_closedness
        )
        if following is Next.END:
            self._end_as_pursuit_says(pursuit)
        if following is not Next.EXECUTE:
            return
        try:
            self._executor.start(
                plan, state, now_ns, setpoint=setpoint, max_steps=pursuit.steps_left
            )
        except StaleCommandError as error:
            self._not_ready = Notice.of(error)
            if pursuit.on_drop() is Next.END:
                self.end(Termination.PLANNER_FAILED, Notice.of(error))
        except SafetyError as error:
            self.refuse(error)
        else:
            self._is_executing = True

    def _valid_plan(self, outcome: PlanOutcome, pursuit: Pursuit) -> Plan | None:
        """Return the plan, or end the goals if there is none or it is for another goal."""
        plan, error = outcome.plan, outcome.error
        self._latest_plan = plan
        if plan is not None and plan.goal_id != pursuit.goal.goal_id:
            error = PlannerFailedError(
                f'the plan is for goal {plan.goal_id!r}; valid: {pursuit.goal.goal_id!r}.'
            )
        if error is not None:
            self.end(Termination.PLANNER_FAILED, Notice.of(error))
            return None
        return plan

    def _request_plan(self, now_ns: int, monotonic_ns: int) -> None:
        """Hand the planner an observation that is newer than the last motion."""
        assert self._pursuit is not None, 'called while pursuing'
        if self._worker.is_loading or self._worker.busy_since_ns() is not None:
            return  # an observation taken now would be old when its turn comes
        found = self._buffer.snapshot(now_ns, monotonic_ns, not_before_ns=self._not_before_ns)
        if isinstance(found, NotReady):
            newest = self._buffer.latest_image()
            is_next_frame_due = newest is not None and newest[0] < self._not_before_ns
            self._not_ready = ALL_IS_WELL if is_next_frame_due else Notice.of(found.error)
            self._give_up_if_long(found.error, monotonic_ns)
            return
        self._not_ready, self._unready_since_ns = ALL_IS_WELL, None
        self._request_id += 1
        self._pending_since_ns = monotonic_ns
        self._pending = PlanRequest(
            observation=found,
            goal=self._pursuit.goal,
            deadline_s=self._config.plan_deadline_s or None,
            executed_steps=self._executed_since_plan,
            request_id=self._request_id,
            is_wide=self._pursuit.is_wide,
        )
        self._worker.submit(self._pending)

    def _give_up_if_long(self, error: WmPlannerError, monotonic_ns: int) -> None:
        if self._unready_since_ns is None:
            self._unready_since_ns = monotonic_ns
        elif monotonic_ns - self._unready_since_ns > self._config.stale_timeout_s * 1e9:
            self.end(Termination.STALE_DATA, Notice.of(error))

    def _end_as_pursuit_says(self, pursuit: Pursuit) -> None:
        assert pursuit.termination is not None, 'the pursuit has ended'
        reached = 'the last goal is reached.'
        if pursuit.steps_executed == 0:
            reached = 'every goal was satisfied where the arm was; it took no step.'
        notice = {
            Termination.REACHED: Notice(0, reached),
            Termination.TIMEOUT: Notice(0, 'the steps of the last goal are used up.'),
        }.get(pursuit.termination)
        self.end(pursuit.termination, notice or Notice.of(pursuit.stall or PlanningError()))
