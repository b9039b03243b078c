# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""ServoTwistSink: MoveIt Servo's twists, in speed units."""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import TwistStamped
import numpy as np

from wm_planner.control.safety import SafetyLimits
from wm_planner.core.errors import StaleCommandError
from wm_planner.core.geometry import Array, rotation_between
from wm_planner.core.profile import RobotProfile
from wm_planner.core.types import ArmCommand, RobotState
from wm_planner.ros import qos
from wm_planner.ros.sinks.arm_sink import ArmSink, SinkContext, Stream
from wm_planner.ros.sinks.servo import MINIMUM_RATE_HZ, TWIST, ServoLink
from wm_planner.ros.stamps import stamp_from_ns

_FEED_FORWARD_S = 0.1


def limited(vector: Array, limit: float) -> Array:
    """Return ``vector`` no longer than ``limit``."""
    length = float(np.linalg.norm(vector))
    return vector if length <= limit else vector * (limit / length)


def twist_toward(
    command: ArmCommand,
    state: RobotState,
    before: ArmCommand | None,
    *,
    gain_1_s: float,
    limits: SafetyLimits,
) -> tuple[Array, Array]:
    """Return linear [m/s] and angular [rad/s] speed in base_frame that follow a moving target.

    The speed of the target since ``before`` (where that is at most 0.1 s old), and the distance of
    the measured pose from it times the gain; limited to the speeds in force.
    """
    linear = gain_1_s * (command.position_m - state.position_m)
    angular = gain_1_s * rotation_between(state.quaternion_xyzw, command.quaternion_xyzw)
    if before is not None:
        elapsed_s = (command.stamp_ns - before.stamp_ns) * 1e-9
        if 0.0 < elapsed_s <= _FEED_FORWARD_S:
            linear = linear + (command.position_m - before.position_m) / elapsed_s
            turned = rotation_between(before.quaternion_xyzw, command.quaternion_xyzw)
            angular = angular + turned / elapsed_s
    return (
        limited(linear, limits.max_speed_m_s),
        limited(angular, limits.max_rotation_speed_rad_s),
    )


class ServoTwistSink(ArmSink):
    """TwistStamped in ``base_frame`` on ``topics.target_pose`` (/servo_node/delta_twist_cmds).

    Servo has to run with ``command_in_type: speed_units``: a twist is in m/s and rad/s here, which
    as unitless input would be scaled by 0.4 and 0.8. A hold is a zero twist.
    """

    minimum_rate_hz = MINIMUM_RATE_HZ

    def __init__(self, context: SinkContext) -> None:
        super().__init__(context)
        self._link = ServoLink(context, TWIST)
        self._limits = context.limits
        self._before: ArmCommand | None = None
        self._twist = (np.zeros(3), np.zeros(3))
        self._publisher = context.node.create_publisher(
            TwistStamped, context.profile.topics.target_pose, qos.COMMAND
        )

    @classmethod
    def streams(cls, profile: RobotProfile) -> tuple[Stream, ...]:
        """Return twist, command type and status."""
        topic = Stream(name=profile.topics.target_pose, type_name='geometry_msgs/msg/TwistStamped')
        return (topic, *ServoLink.streams(profile))

    def begin(self) -> None:
        """Have Servo switched anew: somebody else may have driven it since."""
        self._before = None
        self._link.ask()

    def prepare(self, command: ArmCommand) -> ArmCommand:
        """Settle the twist; raises SafetyError when Servo is not ready or halts."""
        self._link.check()
        state = self._context.latest_state()
        if state is None:
            raise StaleCommandError(
                'no tool pose is known, so there is no speed toward a target; valid: robot states.'
            )
        self._twist = twist_toward(
            command,
            state,
            self._before,
            gain_1_s=self._context.profile.servo.twist_gain_1_s,
            limits=self._limits,
        )
        self._before = command
        return command

    def publish(self, command: ArmCommand) -> None:
        """Publish the twist settled before."""
        self._send(command.stamp_ns, *self._twist)

    def publish_hold(self, target: ArmCommand) -> None:
        """Publish a zero twist."""
        self._before = None
        self._send(target.stamp_ns, np.zeros(3), np.zeros(3))

    def publishers(self) -> list[Any]:
        """Return the one publisher."""
        return [self._publisher]

    def close(self) -> None:
        """Let go of Servo's service and status."""
        self._link.close()

    def _send(self, stamp_ns: int, linear: Array, angular: Array) -> None:
        message = TwistStamped()
        message.header.stamp = stamp_from_ns(stamp_ns)
        message.header.frame_id = self._context.profile.base_frame
        twist = message.twist
        twist.linear.x, twist.linear.y, twist.linear.z = linear.tolist()
        twist.angular.x, twist.angular.y, twist.angular.z = angular.tolist()
        self._publisher.publish(message)
