# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""PoseSink: absolute tool targets as PoseStamped, for drivers that solve for joints themselves."""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import PoseStamped

from wm_planner.core.profile import RobotProfile
from wm_planner.core.types import ArmCommand
from wm_planner.ros import qos
from wm_planner.ros.conversions import command_to_message
from wm_planner.ros.sinks.arm_sink import ArmSink, SinkContext, Stream


class PoseSink(ArmSink):
    """Publishes the target in the profile's base frame on ``topics.target_pose``.

    Absolute and repeated every control tick with the tick's stamp: a lost message or a driver that
    starts late is harmless, and one that halts on old stamps goes on. A hold is the measured pose.
    """

    def __init__(self, context: SinkContext) -> None:
        super().__init__(context)
        self._base_frame = context.profile.base_frame
        self._publisher = context.node.create_publisher(
            PoseStamped, self._topic(context.profile), qos.COMMAND
        )

    @classmethod
    def streams(cls, profile: RobotProfile) -> tuple[Stream, ...]:
        """Return the target topic."""
        return (Stream(name=cls._topic(profile), type_name='geometry_msgs/msg/PoseStamped'),)

    def publish(self, command: ArmCommand) -> None:
        """Publish the target."""
        self._publisher.publish(command_to_message(command, self._base_frame))

    def publishers(self) -> list[Any]:
        """Return the one publisher."""
        return [self._publisher]

    @classmethod
    def _topic(cls, profile: RobotProfile) -> str:
        return profile.topics.target_pose
