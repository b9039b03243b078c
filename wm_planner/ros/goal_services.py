# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The services of the planner node."""

from __future__ import annotations

from collections.abc import Callable
import itertools
import threading
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNode
from std_srvs.srv import SetBool, Trigger

from wm_planner.core.errors import (
    NoDataError,
    WmPlannerError,
    as_wm_planner_error,
)
from wm_planner.core.types import Goal
from wm_planner.ros.conversions import goal_from_message
from wm_planner.ros.goal_desk import GoalDesk
from wm_planner.ros.goal_store import GoalStore, StoredGoal, check_name
from wm_planner.ros.spinning import CallbackGuard, awaitable
from wm_planner_msgs.srv import CaptureGoal, SetGoalImage


class GoalServices:
    """~/set_goal_image, ~/capture_goal, ~/enable, ~/hold, ~/estop and ~/reset.

    An error that a callback raises becomes the response's number and sentence (CallbackGuard).
    Coroutines wait for the planning thread or the disk without holding up the executor; they are in
    a reentrant group, because a waiting coroutine keeps an exclusive one locked.
    """

    def __init__(
        self,
        node: LifecycleNode,
        desk: GoalDesk,
        guard: CallbackGuard,
        goals_dir: Callable[[], str],
    ) -> None:
        self._node = node
        self._desk = desk
        self._goals_dir = goals_dir
        self._numbers = itertools.count(1)
        waiting = ReentrantCallbackGroup()
        for kind, name, callback, group in (
            (SetGoalImage, 'set_goal_image', self._set_goal_image, waiting),
            (CaptureGoal, 'capture_goal', self._capture_goal, waiting),
            (SetBool, 'enable', self._enable, None),
            (Trigger, 'hold', self._hold, None),
            (Trigger, 'estop', self._estop, None),
            (Trigger, 'reset', self._reset, None),
        ):
            guarded = guard.wrap_service(name, callback)
            node.create_service(kind, f'~/{name}', guarded, callback_group=group)

    async def _set_goal_image(
        self, request: SetGoalImage.Request, response: SetGoalImage.Response
    ) -> SetGoalImage.Response:
        stack = self._desk.stack
        goal = goal_from_message(
            request.image,
            goal_id=request.goal_id or f'goal_{next(self._numbers)}',
            gripper_closedness=request.gripper_closedness,
            profile=stack.profile,
        )
        await self._desk.prepare([goal])
        if request.start:
            self._desk.pursue([goal])
        response.success = True
        response.goal_id = goal.goal_id
        return response

    async def _capture_goal(
        self, request: CaptureGoal.Request, response: CaptureGoal.Response
    ) -> CaptureGoal.Response:
        check_name(request.name)
        stored = self._live_view(request.name)
        store = GoalStore(self._goals_dir())
        path = await self._in_thread(lambda: store.save(stored, overwrite=request.overwrite))
        response.success = True
        response.path = str(path.absolute())
        return response

    def _enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._desk.enable(bool(request.data))
        response.success = True
        response.message = 'motion is enabled' if request.data else 'motion is disabled'
        return response

    def _hold(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._desk.forget_enabling()
        self._desk.stack.controller.hold()
        response.success = True
        response.message = 'holding'
        return response

    def _estop(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._desk.forget_enabling()
        self._desk.stack.controller.emergency_stop('~/estop was called.')
        response.success = True
        response.message = 'emergency stop latched; ~/reset leaves it'
        return response

    def _reset(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._desk.forget_enabling()
        self._desk.stack.controller.reset()
        response.success = True
        response.message = 'reset; motion must be enabled again'
        return response

    def _live_view(self, name: str) -> StoredGoal:
        """Return the newest frame and robot state; raises DataError if one is missing or old."""
        stack = self._desk.stack
        clock = self._desk.clock
        stale = stack.buffer.freshness(clock.now_ns(), clock.monotonic_ns())
        if stale is not None:
            raise stale.error
        newest, state = stack.buffer.latest_image(), stack.buffer.latest_state()
        if newest is None or state is None:
            raise NoDataError('no frame or no robot state has arrived; valid: a running camera.')
        stamp_ns, image = newest
        return StoredGoal(
            goal=Goal(
                goal_id=name,
                image=image,
                gripper_closedness=state.gripper_closedness,
                pose=state,
            ),
            stamp_ns=stamp_ns,
            camera_frame=stack.profile.camera_frame,
            base_frame=stack.profile.base_frame,
        )

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        """Await ``work`` done in a thread of its own: the disk must not hold up a control tick."""
        future, set_result = awaitable(self._node)

        def run() -> None:
            try:
                set_result(work())
            except Exception as error:  # raised again where it is awaited
                set_result(as_wm_planner_error(error))

        threading.Thread(target=run, name='goal_writer', daemon=True).start()
        result = await future
        if isinstance(result, WmPlannerError):
            raise result
        return result
