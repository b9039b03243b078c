# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""DriverSink: an arm's sink and a gripper's adapter as the one CommandSink that control knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.duration import Duration
from rclpy.exceptions import InvalidHandle

from wm_planner.control.safety import command_to_hold
from wm_planner.core.types import ArmCommand, RobotState
from wm_planner.ros.grippers import Gripper
from wm_planner.ros.sinks.arm_sink import MAX_HELD_AGE_S, ArmSink, SinkContext

_ACKNOWLEDGE_S = 0.3


class DriverSink:
    """Sends to an arm and a gripper; thread: the executor's, or the main thread after spinning."""

    def __init__(self, context: SinkContext, arm: ArmSink, gripper: Gripper) -> None:
        self._node = context.node
        self._log = context.node.get_logger()
        self._clock = context.clock
        self._latest_state = context.latest_state
        self._workspace = context.profile.workspace
        self._arm = arm
        self._gripper = gripper
        self._last: ArmCommand | None = None  # since the last hold
        self._is_closed = False

    def send(self, command: ArmCommand) -> ArmCommand:
        """Send to both and return what really went out.

        Raises SafetyError where the arm cannot go there; then the gripper is told nothing either.
        """
        if self._last is None:
            self._arm.begin()
        prepared = self._arm.prepare(command)
        state = self._latest_state() if self._last is None else None
        if state is not None:
            self._gripper.begin(state.gripper_closedness)
        # The gripper goes out first, so that whoever pairs the two at a pose has both new.
        self._gripper.send(prepared.gripper_closedness)
        self._arm.publish(prepared)
        self._last = prepared
        return prepared

    def hold(self) -> None:
        """Make where the tool is now its target; see ``command_to_hold``.

        A pose older than 0.1 s is not where the tool is: then the last target is repeated. Nothing
        goes out where nothing was sent since the last hold: somebody else may be moving the arm by
        now.
        """
        self._stop(self._arm.publish_hold, self._fresh_state())

    def stay(self) -> None:
        """Repeat the last target, or nothing where nothing was sent since the last hold."""
        self._stop(self._arm.publish_stay, None)

    def forget(self) -> None:
        """Send nothing at a hold until a target has been sent again."""
        self._last = None

    def _fresh_state(self) -> RobotState | None:
        state, now_ns = self._latest_state(), self._clock.now_ns()
        is_old = state is None or abs(now_ns - state.stamp_ns) > MAX_HELD_AGE_S * 1e9
        return None if is_old else state

    def _stop(self, publish: Callable[[ArmCommand], None], state: RobotState | None) -> None:
        if self._last is None or self._is_closed:
            return
        target = command_to_hold(state, self._last, *self._workspace) or self._last
        target = target.restamped(self._clock.now_ns())
        self._last = None
        try:
            self._gripper.send(target.gripper_closedness)
            publish(target)
        except Exception as error:  # the protocol says that hold does not raise
            self._log.error(f'hold command could not be published: {error}')

    def close(self) -> None:
        """Hold, wait until the driver has it (0.3 s at most) and let go of everything."""
        if self._is_closed:
            return
        self.hold()
        self._is_closed = True
        publishers: list[Any] = [*self._arm.publishers(), *self._gripper.publishers()]
        for publisher in publishers:
            try:
                if not publisher.wait_for_all_acked(Duration(seconds=_ACKNOWLEDGE_S)):
                    self._log.warning(f'{publisher.topic_name}: no answer to the last hold command')
            except InvalidHandle:  # the context is gone already
                pass
        try:
            for publisher in self._arm.publishers():
                self._node.destroy_publisher(publisher)
            self._arm.close()
            self._gripper.close()
        except InvalidHandle:
            pass
