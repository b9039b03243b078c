# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""ServoPoseSink: MoveIt Servo's pose tracking."""

from __future__ import annotations

from wm_planner.core.profile import RobotProfile
from wm_planner.core.types import ArmCommand
from wm_planner.ros.sinks.arm_sink import SinkContext, Stream
from wm_planner.ros.sinks.pose import PoseSink
from wm_planner.ros.sinks.servo import MINIMUM_RATE_HZ, POSE, ServoLink


class ServoPoseSink(PoseSink):
    """PoseStamped on ``topics.target_pose`` (/servo_node/pose_target_cmds).

    Servo halts when the newest stamp is older than 0.1 s: the target is restamped every tick, and
    a control rate under 20 Hz is refused. A hold is the measured pose, after which silence halts.
    """

    minimum_rate_hz = MINIMUM_RATE_HZ

    def __init__(self, context: SinkContext) -> None:
        super().__init__(context)
        try:
            self._link = ServoLink(context, POSE)
        except Exception:  # a publisher left behind would count as another sender ever after
            context.node.destroy_publisher(self._publisher)
            raise

    @classmethod
    def streams(cls, profile: RobotProfile) -> tuple[Stream, ...]:
        """Return target, command type and status."""
        return super().streams(profile) + ServoLink.streams(profile)

    def begin(self) -> None:
        """Have Servo switched anew: somebody else may have driven it since."""
        self._link.ask()

    def prepare(self, command: ArmCommand) -> ArmCommand:
        """Return ``command``; raises SafetyError when Servo is not ready or halts."""
        self._link.check()
        return command

    def close(self) -> None:
        """Let go of Servo's service and status."""
        self._link.close()
