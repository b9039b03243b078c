# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for arm drivers: rclpy nodes that refuse what the real ones refuse, and count it.

Each takes the messages of one driver interface, moves a kinematic Panda and publishes its joints,
its tool pose and its description of time by the clock it is given. What a real driver does not
check, e.g. CRISP the numbers and JTC the finiteness of points, counts in ``harm``: it would have
moved the arm there.
"""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import Any

from geometry_msgs.msg import PoseStamped, TwistStamped
import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from fakes.kinematic_arm import KinematicArm
from wm_planner.core.geometry import UNIT_TOLERANCE, apply_delta
from wm_planner.core.profile import RobotProfile
from wm_planner.core.protocols import Clock
from wm_planner.core.types import ArmCommand, RobotState
from wm_planner.ros import qos
from wm_planner.ros.conversions import joints_to_message, state_to_message
from wm_planner.ros.stamps import stamp_to_ns

SERVO_TIMEOUT_S = 0.1


class Controller:
    """Base: a node with an arm; ``rejected`` has why each message was refused.

    ``advance`` lets the arm move for a while, ``publish`` says where it is. ``period_s`` is the
    time between two calls of ``advance``.
    """

    def __init__(self, node: Node, profile: RobotProfile, clock: Clock) -> None:
        self.node, self.profile, self.clock = node, profile, clock
        self.arm = KinematicArm()
        self.received = 0
        self.rejected: list[str] = []
        self.harm: list[str] = []
        self.halts = 0
        topics = profile.topics
        self._joints = node.create_publisher(JointState, topics.joint_states, qos.STATE)
        self._pose = node.create_publisher(PoseStamped, topics.tool_pose, qos.STATE)

    def publish(self) -> None:
        """Publish joints and tool pose of now."""
        now_ns, profile = self.clock.now_ns(), self.profile
        opened, closed = profile.gripper_joint_range
        finger = (opened + self.arm.closedness * (closed - opened)) / 2.0
        names = profile.arm_joint_names + profile.gripper_joint_names
        values = [*self.arm.joints_rad, *([finger] * len(profile.gripper_joint_names))]
        self._joints.publish(joints_to_message(names, values, stamp_ns=now_ns))
        state = RobotState(
            stamp_ns=now_ns,
            position_m=self.arm.position_m,
            quaternion_xyzw=self.arm.quaternion_xyzw,
            gripper_closedness=self.arm.closedness,
        )
        self._pose.publish(state_to_message(state, profile.base_frame))

    def advance(self, seconds: float) -> None:
        """Move the arm."""
        raise NotImplementedError

    def reject(self, reason: str) -> None:
        """Count a message that the real driver would not have taken."""
        self.rejected.append(reason)


class PoseController(Controller):
    """Base of those that follow a pose."""

    depth = 1

    def __init__(self, node: Node, profile: RobotProfile, clock: Clock) -> None:
        super().__init__(node, profile, clock)
        self.target: ArmCommand | None = None
        self.topic = profile.topics.target_pose
        node.create_subscription(
            PoseStamped, self.topic, self._receive, QoSProfile(depth=self.depth)
        )

    def advance(self, seconds: float) -> None:
        """Move toward the target."""
        if self.target is not None:
            self.arm.toward_pose(self.target, seconds)

    def accepts(self, message: PoseStamped) -> str:
        """Return why the message is refused, '' where it is not."""
        raise NotImplementedError

    def _receive(self, message: PoseStamped) -> None:
        self.received += 1
        reason = self.accepts(message)
        if reason:
            self.reject(reason)
            return
        numbers = _numbers(message)
        norm = float(np.linalg.norm(numbers[3:]))
        if not np.all(np.isfinite(numbers)) or abs(norm - 1.0) > UNIT_TOLERANCE:
            self.harm.append(f'a pose {numbers} was followed')
            return
        self.target = ArmCommand(
            stamp_ns=stamp_to_ns(message.header.stamp),
            position_m=numbers[:3],
            quaternion_xyzw=numbers[3:],
            gripper_closedness=0.0,
        )


class ToolPoseController(PoseController):
    """The simulator's interface: frame and numbers are checked."""

    def accepts(self, message: PoseStamped) -> str:
        """Return why not."""
        if message.header.frame_id != self.profile.base_frame:
            return f'frame {message.header.frame_id!r}'
        return '' if np.all(np.isfinite(_numbers(message))) else 'not finite'


class CrispController(PoseController):
    """CRISP: drops everything while there is a second publisher, checks nothing else."""

    def accepts(self, message: PoseStamped) -> str:
        """Return why not."""
        return 'second publisher' if self.node.count_publishers(self.topic) > 1 else ''


class FziController(PoseController):
    """FZI: the frame must be robot_base_link, numbers are checked, the queue is 3 deep."""

    depth = 3

    def accepts(self, message: PoseStamped) -> str:
        """Return why not."""
        if message.header.frame_id != self.profile.base_frame:
            return f'frame {message.header.frame_id!r} is not robot_base_link'
        return '' if np.all(np.isfinite(_numbers(message))) else 'not finite'


class _Servo:
    """What both inputs of MoveIt Servo share: command type, stamps, frames, halting."""

    def __init__(self, controller: Controller, wanted_type: int) -> None:
        self.controller = controller
        self.wanted_type = wanted_type
        self.command_type: int | None = None
        self.last_stamp_ns: int | None = None
        self.is_halted = True
        from moveit_msgs.msg import ServoStatus
        from moveit_msgs.srv import ServoCommandType

        node, servo = controller.node, controller.profile.topics.servo
        node.create_service(ServoCommandType, f'{servo}/switch_command_type', self._switch)
        self._status_type = ServoStatus
        self.status = node.create_publisher(ServoStatus, f'{servo}/status', 10)

    def say(self, code: int) -> None:
        """Publish a status."""
        self.status.publish(self._status_type(code=code))

    def refusal(self, message: Any, numbers: np.ndarray) -> str:
        """Return why Servo does not take a command."""
        stamp_ns = stamp_to_ns(message.header.stamp)
        age_s = (self.controller.clock.now_ns() - stamp_ns) * 1e-9
        if self.command_type != self.wanted_type:
            return f'command type is {self.command_type}, not {self.wanted_type}'
        if not message.header.frame_id:
            return 'empty frame'
        if not np.all(np.isfinite(numbers)):
            return 'not finite'
        if age_s > SERVO_TIMEOUT_S:
            return f'stamp is {age_s:.3f} s old'
        self.last_stamp_ns, self.is_halted = stamp_ns, False
        return ''

    def is_moving(self) -> bool:
        """Return whether a command is young enough; count the halt when one is not any more."""
        now_ns = self.controller.clock.now_ns()
        stamp_ns = self.last_stamp_ns
        is_old = stamp_ns is None or (now_ns - stamp_ns) * 1e-9 > SERVO_TIMEOUT_S
        if is_old and not self.is_halted:
            self.is_halted = True
            self.controller.halts += 1
        return not is_old

    def _switch(self, request: Any, response: Any) -> Any:
        self.command_type = int(request.command_type)
        response.success = True
        return response


class ServoPoseController(PoseController):
    """MoveIt Servo's pose tracking."""

    def __init__(self, node: Node, profile: RobotProfile, clock: Clock) -> None:
        super().__init__(node, profile, clock)
        self.servo = _Servo(self, 2)

    def accepts(self, message: PoseStamped) -> str:
        """Return why not."""
        return self.servo.refusal(message, _numbers(message))

    def advance(self, seconds: float) -> None:
        """Move while commands come."""
        if self.servo.is_moving():
            super().advance(seconds)


class ServoTwistController(Controller):
    """MoveIt Servo's twists with ``command_in_type: speed_units``."""

    def __init__(self, node: Node, profile: RobotProfile, clock: Clock) -> None:
        super().__init__(node, profile, clock)
        self.servo = _Servo(self, 1)
        self.twist = np.zeros(6)
        self.largest = np.zeros(2)
        topic = profile.topics.target_pose
        node.create_subscription(TwistStamped, topic, self._receive, QoSProfile(depth=10))

    def advance(self, seconds: float) -> None:
        """Move with the twist, seen in base_frame."""
        if not self.servo.is_moving():
            return
        position, quaternion = apply_delta(
            self.arm.position_m,
            self.arm.quaternion_xyzw,
            self.twist[:3] * seconds,
            self.twist[3:] * seconds,
        )
        self.arm.joints_rad = self.arm.kinematics.inverse(position, quaternion, self.arm.joints_rad)

    def _receive(self, message: TwistStamped) -> None:
        self.received += 1
        linear, angular = message.twist.linear, message.twist.angular
        twist = np.array([linear.x, linear.y, linear.z, angular.x, angular.y, angular.z])
        reason = self.servo.refusal(message, twist)
        if reason:
            self.reject(reason)
            return
        speeds = [np.linalg.norm(twist[:3]), np.linalg.norm(twist[3:])]
        self.largest = np.maximum(self.largest, speeds)
        self.twist = twist


class JtcController(Controller):
    """joint_trajectory_controller's topic: names, sizes, order in time, last velocity 0.

    It interpolates from where it is to the last point of the newest trajectory.
    """

    def __init__(self, node: Node, profile: RobotProfile, clock: Clock) -> None:
        super().__init__(node, profile, clock)
        self.target: np.ndarray | None = None
        self.left_s = 0.0
        topic = profile.topics.target_joints
        node.create_subscription(JointTrajectory, topic, self._receive, QoSProfile(depth=10))

    def advance(self, seconds: float) -> None:
        """Go on along the trajectory."""
        if self.target is not None and self.left_s > 0.0:
            share = min(1.0, seconds / self.left_s)
            self.arm.toward_joints(self.target, share, seconds)
            self.left_s -= seconds

    def _receive(self, message: JointTrajectory) -> None:
        self.received += 1
        reason = self.refusal(message)
        if reason:
            self.reject(reason)
            return
        point = message.points[-1]
        order = [message.joint_names.index(name) for name in self.profile.arm_joint_names]
        positions = np.array(point.positions)[order]
        if not np.all(np.isfinite(positions)):
            self.harm.append(f'a point {positions} was followed')
            return
        self.target = positions
        self.left_s = point.time_from_start.sec + point.time_from_start.nanosec * 1e-9

    def refusal(self, message: JointTrajectory) -> str:
        """Return why a trajectory is refused."""
        names = self.profile.arm_joint_names
        if sorted(message.joint_names) != sorted(names):
            return f'joint names {message.joint_names}'
        if not message.points:
            return 'no points'
        before_s = -1.0
        for point in message.points:
            if len(point.positions) != len(names):
                return f'{len(point.positions)} positions'
            if point.velocities and len(point.velocities) != len(names):
                return f'{len(point.velocities)} velocities'
            at_s = point.time_from_start.sec + point.time_from_start.nanosec * 1e-9
            if at_s <= before_s:
                return 'times that do not rise'
            before_s = at_s
        if any(abs(v) > 1e-9 for v in message.points[-1].velocities):
            return 'last velocity is not 0'
        stamp_ns = stamp_to_ns(message.header.stamp)
        if stamp_ns and stamp_ns + before_s * 1e9 < self.clock.now_ns():
            return 'ends in the past'
        return ''


class JointCommandController(Controller):
    """Base of those that go to joint positions at once."""

    def __init__(self, node: Node, profile: RobotProfile, clock: Clock, kind: type) -> None:
        super().__init__(node, profile, clock)
        self.target: np.ndarray | None = None
        self.topic = profile.topics.target_joints
        node.create_subscription(kind, self.topic, self._receive, QoSProfile(depth=1))

    def advance(self, seconds: float) -> None:
        """Be there."""
        if self.target is not None:
            self.arm.toward_joints(self.target, 1.0, seconds)

    def _receive(self, message: Any) -> None:
        self.received += 1
        found = self.positions(message)
        if isinstance(found, str):
            self.reject(found)
        elif not np.all(np.isfinite(found)):
            self.harm.append(f'joints {found} were followed')
        else:
            self.target = np.array(found)

    def positions(self, message: Any) -> Sequence[float] | str:
        """Return the joints, or why the message is refused."""
        raise NotImplementedError


class ForwardController(JointCommandController):
    """forward_command_controller: drops another number of values, and what is not finite."""

    def __init__(self, node: Node, profile: RobotProfile, clock: Clock) -> None:
        super().__init__(node, profile, clock, Float64MultiArray)

    def positions(self, message: Float64MultiArray) -> Sequence[float] | str:
        """Return the joints, or why not."""
        if len(message.data) != len(self.profile.arm_joint_names):
            return f'{len(message.data)} values'
        return list(message.data) if all(map(math.isfinite, message.data)) else 'not finite'


class JointStateController(JointCommandController):
    """CRISP's target_joint: drops everything while there is a second publisher."""

    def __init__(self, node: Node, profile: RobotProfile, clock: Clock) -> None:
        super().__init__(node, profile, clock, JointState)

    def positions(self, message: JointState) -> Sequence[float] | str:
        """Return the joints, or why not."""
        if self.node.count_publishers(self.topic) > 1:
            return 'second publisher'
        named = dict(zip(message.name, message.position, strict=True))
        if set(named) != set(self.profile.arm_joint_names):
            return f'joint names {message.name}'
        return [named[name] for name in self.profile.arm_joint_names]


CONTROLLERS: dict[str, type[Controller]] = {
    'tool_pose': ToolPoseController,
    'crisp': CrispController,
    'fzi': FziController,
    'servo_pose': ServoPoseController,
    'servo_twist': ServoTwistController,
    'joint_trajectory': JtcController,
    'joint_forward': ForwardController,
    'joint_state': JointStateController,
}
"""Stand-ins by the name of the sink that is for them."""


def _numbers(message: PoseStamped) -> np.ndarray:
    point, turn = message.pose.position, message.pose.orientation
    return np.array([point.x, point.y, point.z, turn.x, turn.y, turn.z, turn.w])
