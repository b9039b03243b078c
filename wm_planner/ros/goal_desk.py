# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""GoalDesk: where goals are checked, encoded and handed to the controller, whoever brings them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image as ImageMessage

from wm_planner.control.chain import ChainKind
from wm_planner.core.aspect import has_aspect_of
from wm_planner.core.errors import (
    EmergencyStopError,
    FaultLatchedError,
    InvalidGoalError,
    NoDataError,
    PlanningError,
    SafetyError,
    WmPlannerError,
)
from wm_planner.core.protocols import Clock
from wm_planner.core.types import Goal
from wm_planner.ros import qos
from wm_planner.ros.conversions import image_to_message
from wm_planner.ros.plan_record import goal_to_message
from wm_planner.ros.spinning import awaitable
from wm_planner_msgs.msg import GoalRecord

if TYPE_CHECKING:
    from wm_planner.control.status import ControllerStatus
    from wm_planner.ros.planner_stack import PlannerStack


class GoalDesk:
    """Checks and encodes goals, gives them to the controller, shows the one in force.

    ``~/goal_image`` is latched, so that whoever joins late, a recorder for instance, has the goal.
    Thread: the executor's. Encoding happens on the planning thread; ``prepare`` is awaited by a
    coroutine, so that the executor goes on meanwhile.
    """

    def __init__(self, node: LifecycleNode, clock: Clock) -> None:
        self._node = node
        self.clock = clock
        self._stack: PlannerStack | None = None
        self._unavailable: WmPlannerError = PlanningError('the planner is not loaded yet.')
        self._goals: tuple[Goal, ...] = ()
        self._shown: Goal | None = None
        self._publisher = node.create_publisher(ImageMessage, '~/goal_image', qos.LATCHED)
        self._records = node.create_publisher(GoalRecord, '~/goal_record', qos.LATCHED)
        self.on_replaced: Callable[[], None] = lambda: None
        self.status: ControllerStatus | None = None
        self._enables_itself = False
        self._shown_refusal = ''

    @property
    def stack(self) -> PlannerStack:
        """Return the active planner, or raise why there is none."""
        if self._stack is None:
            raise self._unavailable
        return self._stack

    @property
    def shown(self) -> Goal | None:
        """Return the goal in force, or the last one that was."""
        return self._shown

    def open(self, stack: PlannerStack, *, enables_itself: bool = False) -> None:
        """Let goals in: the node is active. ``enables_itself``: and let it move, once it may."""
        self._stack, self._enables_itself = stack, enables_itself

    def enable(self, is_enabled: bool) -> None:
        """Allow or forbid motion, as somebody asked; raises what stands against it."""
        self._enables_itself = False
        self.stack.controller.enable(is_enabled)

    def forget_enabling(self) -> None:
        """Leave motion to ~/enable from now on: somebody has asked for a stop or a reset."""
        self._enables_itself = False

    def enable_itself(self) -> None:
        """Allow motion where that was asked for from the start; to be called every tick.

        What may stop the arm has to be heard first: a wrench, the heartbeat of a button.
        """
        if not self._enables_itself or self._stack is None:
            return
        try:
            self._stack.controller.enable(True)
        except (FaultLatchedError, EmergencyStopError) as error:
            self._enables_itself = False  # it is for a person to reset that
            self._node.get_logger().error(f'motion is not enabled: {error}')
        except SafetyError as error:
            if error.message != self._shown_refusal:
                self._shown_refusal = error.message
                self._node.get_logger().warning(f'motion is not enabled yet: {error}')
        else:
            self._enables_itself = False

    def close(self, reason: WmPlannerError) -> None:
        """Refuse goals with ``reason`` from now on."""
        self._stack, self._unavailable = None, reason
        self._enables_itself = False
        self._goals, self.status = (), None

    async def prepare(self, goals: Sequence[Goal]) -> None:
        """Check ``goals`` against the camera and encode them on the planning thread.

        Raises NoDataError before the first frame, InvalidGoalError for pictures that cannot be from
        this camera, and what the planner raises.
        """
        stack = self.stack
        for goal in goals:
            _check_against_camera(goal, stack)
        for goal in goals:
            error = await self._encoded(goal, stack)
            if error is not None:
                raise error
        if self._stack is not stack:
            raise self._unavailable

    def pursue(
        self,
        goals: Sequence[Goal],
        *,
        steps_per_goal: Sequence[int] = (),
        tolerance: float | None = None,
        instruction: str = '',
        kind: ChainKind = ChainKind.SCHEDULE,
    ) -> int:
        """Make prepared ``goals`` the ones in force and return the controller's number for them.

        Whoever pursued others is told through ``on_replaced``.
        """
        stack = self.stack
        self.on_replaced()
        list_id = stack.controller.set_goals(
            goals,
            steps_per_goal=steps_per_goal,
            tolerance=tolerance,
            kind=kind,
            now_ns=self.clock.now_ns(),
        )
        stack.worker.begin_task(instruction)
        self._goals = tuple(goals)
        return list_id

    def on_status(self, status: ControllerStatus) -> None:
        """Show the goal in force when it has changed."""
        self.status = status
        if not 0 <= status.goal_index < min(status.goal_count, len(self._goals)):
            return
        goal = self._goals[status.goal_index]
        if goal is not self._shown and goal.goal_id == status.goal_id:
            self._shown = goal
            frame_id = self.stack.profile.camera_frame
            now_ns = self.clock.now_ns()
            self._publisher.publish(
                image_to_message(goal.image, stamp_ns=now_ns, frame_id=frame_id)
            )
            self._records.publish(goal_to_message(goal, stamp_ns=now_ns, camera_frame=frame_id))

    async def _encoded(self, goal: Goal, stack: PlannerStack) -> WmPlannerError | None:
        future, set_result = awaitable(self._node)
        stack.worker.prepare_goal(goal, set_result)  # called back on the planning thread
        result: WmPlannerError | None = await future
        return result


def _check_against_camera(goal: Goal, stack: PlannerStack) -> None:
    newest = stack.buffer.latest_image()
    if newest is None:
        raise NoDataError(
            f'no frame has arrived on {stack.profile.topics.image}, so goal {goal.goal_id!r} '
            'cannot be checked against the camera; valid: once ~/status shows an image_age_s.'
        )
    height, width = newest[1].shape[:2]
    goal_height, goal_width = goal.image.shape[:2]
    if not has_aspect_of((goal_height, goal_width), (height, width)):
        raise InvalidGoalError(
            f'goal {goal.goal_id!r} is {goal_width}x{goal_height} px and the camera gives '
            f'{width}x{height} px; valid: a whole picture of that camera, at any scale.'
        )
