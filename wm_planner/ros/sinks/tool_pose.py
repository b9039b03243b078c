# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""ToolPoseSink: absolute tool targets for drivers that do the inverse kinematics themselves."""

from __future__ import annotations

from collections.abc import Callable

from geometry_msgs.msg import PoseStamped
from rclpy.duration import Duration
from rclpy.exceptions import InvalidHandle
from rclpy.node import Node
from std_msgs.msg import Float64MultiArray

from wm_planner.control.safety import command_to_hold
from wm_planner.core.profile import RobotProfile
from wm_planner.core.protocols import Clock
from wm_planner.core.types import ArmCommand, RobotState
from wm_planner.ros import qos
from wm_planner.ros.conversions import closedness_to_message, command_to_message

_ACKNOWLEDGE_S = 0.3


class ToolPoseSink:
    """Publishes PoseStamped on ``topics.target_pose`` and closedness on ``topics.gripper_target``.

    Both are absolute and repeated every control tick, so a lost message or a driver that starts
    late is harmless. Thread: the executor's, or the main thread after spinning.
    """

    def __init__(
        self,
        node: Node,
        profile: RobotProfile,
        clock: Clock,
        latest_state: Callable[[], RobotState | None],
    ) -> None:
        self._log = node.get_logger()
        self._node = node
        self._clock = clock
        self._base_frame = profile.base_frame
        self._workspace = profile.workspace
        self._latest_state = latest_state
        self._last: ArmCommand | None = None  # since the last hold
        self._is_closed = False
        # The gripper goes out first, so that whoever pairs the two at a pose has both new.
        self._gripper = node.create_publisher(
            Float64MultiArray, profile.topics.gripper_target, qos.COMMAND
        )
        self._pose = node.create_publisher(PoseStamped, profile.topics.target_pose, qos.COMMAND)

    def send(self, command: ArmCommand) -> ArmCommand:
        """Publish ``command`` in the profile's base frame and return it."""
        self._gripper.publish(closedness_to_message(command.gripper_closedness))
        self._pose.publish(command_to_message(command, self._base_frame))
        self._last = command
        return command

    def hold(self) -> None:
        """Make where the tool is now its target; see ``command_to_hold``.

        Nothing goes out where nothing was sent since the last hold: somebody else may be moving the
        arm by now.
        """
        if self._last is None or self._is_closed:
            return
        target = command_to_hold(self._latest_state(), self._last, *self._workspace) or self._last
        try:
            self.send(target.restamped(self._clock.now_ns()))
        except Exception as error:  # the protocol says that hold does not raise
            self._log.error(f'hold command could not be published: {error}')
        self._last = None

    def close(self) -> None:
        """Hold, wait until the driver has it (0.3 s at most) and drop the publishers."""
        if self._is_closed:
            return
        self.hold()
        self._is_closed = True
        for publisher in (self._pose, self._gripper):
            try:
                if not publisher.wait_for_all_acked(Duration(seconds=_ACKNOWLEDGE_S)):
                    self._log.warning(f'{publisher.topic_name}: no answer to the last hold command')
                self._node.destroy_publisher(publisher)
            except InvalidHandle:  # the context is gone already
                pass
