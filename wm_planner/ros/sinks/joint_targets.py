# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""JointTargets: from tool targets to joint targets that may go out; base of the joint sinks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from rclpy.publisher import Publisher

from wm_planner.core.errors import NonFiniteCommandError, RobotDescriptionError, StaleCommandError
from wm_planner.core.geometry import Array
from wm_planner.core.types import ArmCommand, JointPositions
from wm_planner.kinematics.gate import JointGate
from wm_planner.ros.sinks.arm_sink import MAX_HELD_AGE_S, ArmSink, SinkContext

MAX_JOINT_AGE_S = 0.5


class JointTargets:
    """Inverse kinematics and the joint gate, in one call.

    The solution is sought near the last target while the arm follows that, near the measured joints
    otherwise: seeded at the measured ones all the time, a redundant elbow would creep with the
    arm's own lag. One thread at a time.
    """

    def __init__(self, context: SinkContext) -> None:
        kinematics = context.kinematics
        if kinematics is None:
            raise RobotDescriptionError(
                f'sink {context.profile.sink!r} commands joints and has no robot description; '
                'valid: kinematics.description in the profile, or robot_state_publisher running.'
            )
        self._kinematics = kinematics
        self._context = context
        self._gate = JointGate(
            kinematics.low_rad,
            kinematics.high_rad,
            kinematics.max_speed_rad_s,
            max_lead_rad=context.profile.joint_limits.max_lead_rad,
        )

    def solve(self, command: ArmCommand) -> tuple[Array, ArmCommand]:
        """Return joint targets [J] for a command, and the command that they amount to.

        Raises SafetyError: joints unknown or old, pose out of reach, limits.
        """
        values = [*command.position_m, *command.quaternion_xyzw]
        if not np.all(np.isfinite(values)):
            raise NonFiniteCommandError(f'the command has {values}; valid: finite numbers.')
        now_ns = self._context.clock.now_ns()
        measured = self._measured(now_ns)
        start, _ = self._gate.reference(measured, now_ns)
        wanted = self._kinematics.inverse(command.position_m, command.quaternion_xyzw, start)
        joints = self._gate.vet(wanted, measured, now_ns)
        if np.abs(joints - wanted).max() < 1e-9:
            return joints, command
        position, quaternion = self._kinematics.forward(joints)
        return joints, replace(command, position_m=position, quaternion_xyzw=quaternion)

    def here(self, last_rad: Array | None = None) -> Array | None:
        """Return the measured joints [J] as targets, None where they are none.

        That is where they are unknown, older than 0.1 s, outside the limits, or further from the
        last target ``last_rad`` than it may lead them: a driver would be sent there at once.
        """
        self._gate.reset()
        sample = self._context.latest_joints()
        if sample is None or not self._gate.is_inside(sample.positions_rad):
            return None
        age_s = abs(self._context.clock.now_ns() - sample.stamp_ns) * 1e-9
        lead_rad = self._context.profile.joint_limits.max_lead_rad
        if age_s > MAX_HELD_AGE_S or (
            last_rad is not None and np.abs(last_rad - sample.positions_rad).max() > lead_rad
        ):
            return None
        held: Array = np.clip(
            sample.positions_rad, self._kinematics.low_rad, self._kinematics.high_rad
        )
        return held

    def _measured(self, now_ns: int) -> Array:
        sample: JointPositions | None = self._context.latest_joints()
        age_s = np.inf if sample is None else abs(now_ns - sample.stamp_ns) * 1e-9
        if sample is None or age_s > MAX_JOINT_AGE_S:
            raise StaleCommandError(
                f'the newest joints are {age_s:.2f} s old; valid: at most {MAX_JOINT_AGE_S:g} s, '
                f'on {self._context.profile.topics.joint_states}.'
            )
        return sample.positions_rad


class JointSink(ArmSink):
    """Base of the sinks whose driver takes joint positions on ``topics.target_joints``.

    A hold is the measured joints, or the last target again where those cannot be held (see
    ``JointTargets.here``). Subclasses make the publisher and the message.
    """

    needs_kinematics = True

    def __init__(self, context: SinkContext) -> None:
        super().__init__(context)
        self._targets = JointTargets(context)
        self._joints: Array | None = None
        self._publisher: Publisher = self._make_publisher(context)

    def prepare(self, command: ArmCommand) -> ArmCommand:
        """Solve for joints; return the tool target that they amount to. Raises SafetyError."""
        self._joints, sent = self._targets.solve(command)
        return sent

    def publish(self, command: ArmCommand) -> None:
        """Publish the joints of the last ``prepare``."""
        assert self._joints is not None, 'prepare comes first'
        self._publisher.publish(self._message(self._joints, command.stamp_ns))

    def publish_hold(self, target: ArmCommand) -> None:
        """Publish the measured joints, or the last target."""
        here = self._targets.here(self._joints)
        joints = self._joints if here is None else here
        if joints is not None:
            self._publisher.publish(self._message(joints, target.stamp_ns))

    def publish_stay(self, target: ArmCommand) -> None:
        """Publish the last target again."""
        if self._joints is not None:
            self._publisher.publish(self._message(self._joints, target.stamp_ns))

    def publishers(self) -> list[Any]:
        """Return the one publisher."""
        return [self._publisher]

    def _make_publisher(self, context: SinkContext) -> Publisher:
        raise NotImplementedError

    def _message(self, joints_rad: Array, stamp_ns: int) -> Any:
        raise NotImplementedError
