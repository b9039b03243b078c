# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The ReachGoal action of the planner node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import math
from typing import Any

import numpy as np
from rclpy.action import ActionServer, CancelResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNode

from wm_planner.control.chain import ChainKind, check_tolerance
from wm_planner.control.status import ControllerState, ControllerStatus, Termination
from wm_planner.core.actions import planner_steps
from wm_planner.core.errors import (
    DataError,
    InvalidGoalError,
    NotEnabledError,
    SafetyError,
    WmPlannerError,
    as_wm_planner_error,
)
from wm_planner.core.geometry import Array
from wm_planner.core.types import Goal, RobotState
from wm_planner.ros.conversions import goal_from_message
from wm_planner.ros.goal_desk import GoalDesk
from wm_planner.ros.spinning import awaitable
from wm_planner_msgs.action import ReachGoal

_FEEDBACK_PERIOD_NS = 200_000_000
_MIN_MOVE_M = 0.001  # what sensors jitter by is not travel
_RESULT_TIMEOUT_S = 60
_MAX_STEP_S = 60.0


@dataclass
class _Pursuit:
    """One accepted goal whose images are being pursued."""

    handle: Any
    list_id: int  # of the controller
    finish: Callable[[ReachGoal.Result], None]
    deadline_ns: int | None
    travelled_m: float = 0.0
    last_position_m: Array | None = None
    last_feedback_ns: int = 0
    last_goal_index: int = -1
    last_decision: str = ''
    is_begun: bool = False


class ReachGoalServer:
    """~/reach_goal: goal images in order, feedback on the way, an answer in every case.

    A goal is always accepted and then answered, because a rejection could not say why. A second
    goal (or ~/set_goal_image) replaces the first, which ends CANCELED. The coroutine that serves a
    goal sleeps until ``on_tick`` decides that it has ended. Thread: the executor's.
    """

    def __init__(self, node: LifecycleNode, desk: GoalDesk) -> None:
        self._node = node
        self._desk = desk
        self._pursuit: _Pursuit | None = None
        self._count = 0
        self._desk.on_replaced = self._replaced
        self._server = ActionServer(
            node,
            ReachGoal,
            '~/reach_goal',
            self._execute,
            cancel_callback=lambda _handle: CancelResponse.ACCEPT,
            callback_group=ReentrantCallbackGroup(),
            result_timeout=_RESULT_TIMEOUT_S,
        )

    def destroy(self) -> None:
        """End what runs and take the action off the graph."""
        self.abandon(SafetyError('the planner node is shutting down.'))
        self._server.destroy()

    def abandon(self, reason: WmPlannerError) -> None:
        """End what runs with ``reason``: the node is no longer active."""
        if self._pursuit is not None:
            self._end(_failure(reason, self._desk.status))

    def on_tick(self, status: ControllerStatus, state: RobotState | None, now_ns: int) -> None:
        """Give feedback, and end the goal where it is canceled, late or finished."""
        pursuit = self._pursuit
        if pursuit is None or status.goal_list_id != pursuit.list_id:
            return
        _add_travel(pursuit, state)
        is_first, pursuit.is_begun = not pursuit.is_begun, True
        if is_first and status.state is ControllerState.DISABLED:
            self._desk.stack.controller.clear_goals('motion is not enabled')
            self._end(
                _failure(NotEnabledError('motion is not enabled; call ~/enable first.'), status)
            )
        elif status.termination is not None:
            if status.decision != pursuit.last_decision:
                self._feed(pursuit, status, now_ns)  # the decision to end
            self._end(_result(status.termination, status))
        elif pursuit.handle.is_cancel_requested:
            self._desk.stack.controller.clear_goals('canceled by the client')
            self._end(_result(Termination.CANCELED, status, 'canceled by the client'))
        elif pursuit.deadline_ns is not None and now_ns >= pursuit.deadline_ns:
            self._desk.stack.controller.clear_goals('max_duration_s is over')
            self._end(_result(Termination.TIMEOUT, status, 'max_duration_s ran out'))
        elif (
            now_ns - pursuit.last_feedback_ns >= _FEEDBACK_PERIOD_NS
            or now_ns < pursuit.last_feedback_ns
            or status.goal_index != pursuit.last_goal_index
            or status.decision != pursuit.last_decision
        ):
            self._feed(pursuit, status, now_ns)

    def _feed(self, pursuit: _Pursuit, status: ControllerStatus, now_ns: int) -> None:
        pursuit.last_feedback_ns, pursuit.last_goal_index = now_ns, status.goal_index
        if status.decision != pursuit.last_decision:
            pursuit.last_decision = status.decision
            self._node.get_logger().info(f'chain: {status.decision}')
        pursuit.handle.publish_feedback(_feedback(status, pursuit.travelled_m))

    async def _execute(self, handle: Any) -> ReachGoal.Result:
        """Serve one goal from checking its images to its result."""
        try:
            goals = self._goals(handle.request)
            await self._desk.prepare(goals)
            if handle.is_cancel_requested:
                handle.canceled()
                return _bare_result(Termination.CANCELED, 'canceled before the first motion')
            future, finish = awaitable(self._node)
            self._pursue(handle, goals, finish)
        except Exception as error:
            known = as_wm_planner_error(error)
            self._node.get_logger().error(f'reach_goal: {known}')
            handle.abort()
            return _failure(known, None)
        result: ReachGoal.Result = await future
        if handle.is_cancel_requested:
            handle.canceled()
        elif result.termination == ReachGoal.Result.REACHED:
            handle.succeed()
        else:
            handle.abort()
        return result

    def _goals(self, request: ReachGoal.Goal) -> list[Goal]:
        """Return the goals of a request; raises InputError naming what is wrong with it."""
        count = len(request.goal_images)
        if count == 0:
            raise InvalidGoalError('goal_images is empty; valid: at least one image.')
        for name in ('gripper_closedness', 'steps_per_goal'):
            length = len(getattr(request, name))
            if length not in (0, count):
                raise InvalidGoalError(
                    f'{name} has {length} values for {count} goal_images; valid: one each, or none.'
                )
        if not (math.isfinite(request.max_duration_s) and request.max_duration_s >= 0.0):
            raise InvalidGoalError(
                f'max_duration_s is {request.max_duration_s}; valid: >= 0, 0 = no limit.'
            )
        if not (math.isfinite(request.goal_step_s) and 0.0 <= request.goal_step_s <= _MAX_STEP_S):
            raise InvalidGoalError(
                f'goal_step_s is {request.goal_step_s}; valid: in [0, {_MAX_STEP_S:g}], 0 = the '
                "planner's own steps."
            )
        if request.chain not in tuple(ChainKind):
            raise InvalidGoalError(
                f'chain is {request.chain}; valid: '
                + ', '.join(f'{kind.value} ({kind.name})' for kind in ChainKind)
                + '.'
            )
        if math.isinf(request.tolerance):
            raise InvalidGoalError(
                "tolerance is infinite; valid: > 0, 0 or NaN = the model's own, < 0 = never."
            )
        if request.chain == ChainKind.PROGRESS:
            check_tolerance(self._tolerance(request) or self._desk.stack.info.goal_tolerance)
        self._count += 1
        closedness = list(request.gripper_closedness) or [math.nan] * count
        return [
            goal_from_message(
                image,
                goal_id=f'reach_{self._count}.{index}',
                gripper_closedness=closedness[index],
                profile=self._desk.stack.profile,
            )
            for index, image in enumerate(request.goal_images)
        ]

    @staticmethod
    def _tolerance(request: ReachGoal.Goal) -> float | None:
        """Return the tolerance asked for, None for the model's own."""
        is_own = math.isnan(request.tolerance) or request.tolerance == 0.0
        return None if is_own else float(request.tolerance)

    def _pursue(self, handle: Any, goals: list[Goal], finish: Callable[[Any], None]) -> None:
        request = handle.request
        step_s = self._desk.stack.info.action_spec.step_duration_s
        list_id = self._desk.pursue(
            goals,
            steps_per_goal=[
                planner_steps(int(steps), float(request.goal_step_s), step_s)
                for steps in request.steps_per_goal
            ],
            tolerance=self._tolerance(request),
            instruction=str(request.instruction),
            kind=ChainKind(request.chain),
        )
        now_ns = self._desk.clock.now_ns()
        deadline_ns = None
        if request.max_duration_s > 0.0:
            deadline_ns = now_ns + round(request.max_duration_s * 1e9)
        self._pursuit = _Pursuit(
            handle=handle, list_id=list_id, finish=finish, deadline_ns=deadline_ns
        )

    def _replaced(self) -> None:
        if self._pursuit is not None:
            self._end(_result(Termination.CANCELED, self._desk.status, 'replaced by another goal'))

    def _end(self, result: ReachGoal.Result) -> None:
        pursuit, self._pursuit = self._pursuit, None
        if pursuit is not None:
            pursuit.finish(result)


def _add_travel(pursuit: _Pursuit, state: RobotState | None) -> None:
    if state is None:
        return
    if pursuit.last_position_m is None:
        pursuit.last_position_m = state.position_m
    moved_m = float(np.linalg.norm(state.position_m - pursuit.last_position_m))
    if moved_m >= _MIN_MOVE_M:
        pursuit.travelled_m += moved_m
        pursuit.last_position_m = state.position_m


def _feedback(status: ControllerStatus, travelled_m: float) -> ReachGoal.Feedback:
    return ReachGoal.Feedback(
        goal_index=int(status.goal_index),
        energy=float(status.goal_energy),
        distance_travelled_m=float(travelled_m),
        steps_executed=int(status.steps_executed),
        decision=str(status.decision),
        status=int(status.state),
    )


def _result(
    termination: Termination, status: ControllerStatus | None, message: str = ''
) -> ReachGoal.Result:
    result = _bare_result(termination, message)
    if status is None:
        return result
    if termination not in (Termination.REACHED, Termination.TIMEOUT, Termination.CANCELED):
        result.error_code = int(status.error_code)
    result.message = message or status.message or f'the goals ended {termination.name}'
    result.goal_energies = [float(energy) for energy in status.goal_energies]
    result.best_energies = [float(energy) for energy in status.best_energies]
    result.goal_steps = [int(steps) for steps in status.goal_steps]
    return result


def _failure(error: WmPlannerError, status: ControllerStatus | None) -> ReachGoal.Result:
    termination = Termination.PLANNER_FAILED
    if isinstance(error, DataError):
        termination = Termination.STALE_DATA
    elif isinstance(error, SafetyError):
        termination = Termination.SAFETY_STOP
    result = _result(termination, status, error.message)
    result.error_code = int(error.code)
    return result


def _bare_result(termination: Termination, message: str) -> ReachGoal.Result:
    return ReachGoal.Result(termination=int(termination), message=message)
