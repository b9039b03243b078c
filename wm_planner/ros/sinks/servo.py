# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""ServoLink: what both sinks of MoveIt Servo need beside their topic: command type and status."""

from __future__ import annotations

from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.task import Future

from wm_planner.core.errors import JointLimitError, SafetyError, UnreachablePoseError
from wm_planner.core.profile import RobotProfile
from wm_planner.ros import qos
from wm_planner.ros.optional import require
from wm_planner.ros.sinks.arm_sink import SinkContext, Stream

MINIMUM_RATE_HZ = 20.0
TWIST, POSE = 1, 2  # moveit_msgs/srv/ServoCommandType

_HALTS: dict[int, tuple[type[SafetyError], str]] = {
    -1: (SafetyError, 'its state is invalid'),
    2: (UnreachablePoseError, 'a singularity'),
    5: (SafetyError, 'a collision'),
    6: (JointLimitError, 'a joint at its bound'),
}
_ASK_PERIOD_S = 0.2


class ServoLink:
    """Tells MoveIt Servo the command type, and hears why it halts.

    Servo ignores commands of another type than the one it was switched to, so a timer asks for the
    switch until it is confirmed, and again when Servo was gone in between; ``ask`` does once more,
    because somebody else may have switched it meanwhile, and Servo does not say so. Needs
    moveit_msgs; with ``servo.switch_command_type: false`` nothing of it is used, and whoever starts
    Servo has to switch it. ``check`` raises once for each new halt: new goals may then be tried,
    and Servo itself lets through only motions out of it. Thread: the executor's.
    """

    def __init__(self, context: SinkContext, command_type: int) -> None:
        self._node = context.node
        self._servo = context.profile.topics.servo
        self._command_type = command_type
        self._is_switched = not context.profile.servo.switch_command_type
        self._is_asked = False
        self._code = 0
        self._is_new = False
        self._client: Any = None
        if self._is_switched:
            return
        what = 'MoveIt Servo (or servo.switch_command_type: false)'
        self._request = require('moveit_msgs.srv', what).ServoCommandType
        status = require('moveit_msgs.msg', what).ServoStatus
        servo = self._servo
        self._client = self._node.create_client(self._request, f'{servo}/switch_command_type')
        self._status = self._node.create_subscription(
            status, f'{servo}/status', self._on_status, qos.STATE
        )
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # goes on while simulated time stands
        self._timer = self._node.create_timer(_ASK_PERIOD_S, self._keep_switched, clock=steady)

    @staticmethod
    def streams(profile: RobotProfile) -> tuple[Stream, ...]:
        """Return the service and the status topic, where they are used."""
        if not profile.servo.switch_command_type:
            return ()
        servo = profile.topics.servo
        return (
            Stream(
                name=f'{servo}/switch_command_type',
                type_name='moveit_msgs/srv/ServoCommandType',
                kind='service client',
            ),
            Stream(
                name=f'{servo}/status',
                type_name='moveit_msgs/msg/ServoStatus',
                kind='subscription',
            ),
        )

    def check(self) -> None:
        """Raise SafetyError if Servo has not taken the command type, or has halted anew."""
        if not self._is_switched:
            raise SafetyError(
                f'MoveIt Servo has not confirmed command type {self._command_type} on '
                f'{self._servo}/switch_command_type; valid: servo_node running there '
                '(topics.servo), or servo.switch_command_type: false.'
            )
        if self._is_new:
            self._is_new = False
            kind, reason = _HALTS[self._code]
            raise kind(f'MoveIt Servo halts: {reason} (status {self._code}).')

    def close(self) -> None:
        """Drop client and subscription."""
        if self._client is not None:
            self._node.destroy_client(self._client)
            self._node.destroy_subscription(self._status)
            self._node.destroy_timer(self._timer)
            self._client = None

    def _keep_switched(self) -> None:
        if not self._client.service_is_ready():
            self._is_switched = self._is_asked = False
        elif not self._is_switched:
            self.ask()

    def ask(self) -> None:
        """Ask for the command type, unless an answer is awaited; what it was counts until then."""
        if self._client is None or self._is_asked or not self._client.service_is_ready():
            return
        self._is_asked = True
        request = self._request.Request(command_type=self._command_type)
        self._client.call_async(request).add_done_callback(self._on_answer)

    def _on_status(self, message: Any) -> None:
        code = int(message.code)
        self._is_new = code in _HALTS and (code != self._code or self._is_new)
        self._code = code

    def _on_answer(self, future: Future) -> None:
        self._is_asked = False
        answer = future.result()
        self._is_switched = bool(answer is not None and answer.success)
        if not self._is_switched:
            self._node.get_logger().warning(
                f'MoveIt Servo refused command type {self._command_type}; it is asked again'
            )
