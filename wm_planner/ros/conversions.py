# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Messages to the package's own values and back: pure functions, no node, any thread.

Whatever comes in is checked here, once: frames against the robot profile, joints by name, numbers
for finiteness. Whatever goes out passes explicit float(), int() and bool(), because rclpy writes
numbers of other types as garbage where its field checks are off.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from geometry_msgs.msg import Pose, PoseStamped, TransformStamped
import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import Image as ImageMessage
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from wm_planner.core.errors import (
    FrameMismatchError,
    InvalidGoalError,
    InvalidStateError,
    NonFiniteCommandError,
    UnknownError,
    WmPlannerError,
    all_error_classes,
    as_wm_planner_error,
)
from wm_planner.core.geometry import Array
from wm_planner.core.profile import RobotProfile
from wm_planner.core.types import ArmCommand, Goal, Plan, RobotState
from wm_planner.ros.images import (
    IMAGE_ENCODINGS,
    image_from_compressed,
    image_from_message,
    image_to_message,
)
from wm_planner.ros.stamps import stamp_from_ns, stamp_to_ns
from wm_planner_msgs.msg import PlanDiagnostics as PlanDiagnosticsMessage
from wm_planner_msgs.msg import PlannerStatus

if TYPE_CHECKING:
    from wm_planner.control.status import ControllerStatus

__all__ = [
    'IMAGE_ENCODINGS',
    'arm_joints_from_message',
    'check_frame',
    'closedness_from_joints',
    'closedness_from_message',
    'closedness_to_message',
    'command_from_message',
    'command_to_message',
    'error_from_code',
    'goal_from_message',
    'image_from_compressed',
    'image_from_message',
    'image_to_message',
    'joints_to_message',
    'plan_to_message',
    'set_error',
    'stamp_from_ns',
    'stamp_to_ns',
    'state_from_message',
    'state_from_transform',
    'state_to_message',
    'status_to_message',
]


# Robot state --------------------------------------------------------------------------------------


def state_from_message(
    message: PoseStamped, gripper_closedness: float, profile: RobotProfile
) -> RobotState:
    """Return the state of the tool pose in ``message`` with the gripper as the joints have it.

    Raises FrameMismatchError for another frame than the profile's ``base_frame`` and
    InvalidStateError for non-finite numbers or a quaternion that is not of unit length.
    """
    check_frame(message.header.frame_id, profile.base_frame, profile.topics.tool_pose)
    position, quaternion = _pose_vectors(message.pose)
    return RobotState(
        stamp_ns=stamp_to_ns(message.header.stamp),
        position_m=position,
        quaternion_xyzw=quaternion,
        gripper_closedness=gripper_closedness,
    )


def state_from_transform(
    message: TransformStamped, gripper_closedness: float, profile: RobotProfile
) -> RobotState:
    """Return the state of a transform from base_frame to tool_frame, as tf has it.

    Raises FrameMismatchError and InvalidStateError as ``state_from_message`` does.
    """
    check_frame(message.header.frame_id, profile.base_frame, 'the transform of the tool')
    check_frame(message.child_frame_id, profile.tool_frame, 'the transform of the tool')
    move, turn = message.transform.translation, message.transform.rotation
    return RobotState(
        stamp_ns=stamp_to_ns(message.header.stamp),
        position_m=[move.x, move.y, move.z],
        quaternion_xyzw=[turn.x, turn.y, turn.z, turn.w],
        gripper_closedness=gripper_closedness,
    )


def state_to_message(state: RobotState, base_frame: str) -> PoseStamped:
    """Return the tool pose of ``state``; the gripper travels in the joints."""
    return _pose_stamped(state.stamp_ns, base_frame, state.position_m, state.quaternion_xyzw)


def closedness_from_joints(message: JointState, profile: RobotProfile) -> float:
    """Return the gripper closedness in [0, 1] that the finger joints show, 0 = open.

    The sum of the finger positions, against ``gripper_joint_range`` (the opening [m] by default). A
    profile without ``gripper_joint_names`` has no gripper: 0. Every joint the profile names must be
    there and finite, the arm's too unless the fingers have a topic of their own: a state that lacks
    one is not this robot's. Raises InvalidStateError.
    """
    topics = profile.topics
    is_apart = bool(topics.gripper_joint_states)
    topic = topics.gripper_joint_states or topics.joint_states
    fingers = profile.gripper_joint_names
    wanted = fingers if is_apart else profile.arm_joint_names + fingers
    positions = _positions(message, wanted, topic, profile)
    if not fingers:
        return 0.0
    total = sum(positions[-len(fingers) :])
    opened, closed = profile.gripper_joint_range
    closedness = (total - opened) / (closed - opened)
    if not -0.1 <= closedness <= 1.1:
        raise InvalidStateError(
            f'{topic} shows a gripper opening of {total:.4g} m; valid: 0 to '
            f'{profile.gripper_max_width_m:g} m (gripper_max_width_m of profile {profile.name!r}).'
            if closed == 0.0
            else f'{topic} shows a sum of finger joints of {total:.4g}; valid: {opened:g} (open) '
            f'to {closed:g} (closed), gripper_settings.joint_range of profile {profile.name!r}.'
        )
    return min(max(closedness, 0.0), 1.0)


def arm_joints_from_message(message: JointState, profile: RobotProfile) -> Array:
    """Return the arm's joints [J] (rad) in the profile's order, whatever order they come in.

    Raises InvalidStateError where one is missing or not finite.
    """
    names = profile.arm_joint_names
    return np.array(_positions(message, names, profile.topics.joint_states, profile))


def _positions(
    message: JointState, wanted: tuple[str, ...], topic: str, profile: RobotProfile
) -> list[float]:
    """Return the positions of the joints ``wanted``; raises InvalidStateError."""
    if len(message.name) != len(message.position):
        raise InvalidStateError(
            f'{topic} has {len(message.name)} names and {len(message.position)} positions; '
            'valid: one position for each name.'
        )
    positions = dict(zip(message.name, message.position, strict=True))
    missing = [name for name in wanted if name not in positions]
    if missing:
        raise InvalidStateError(
            f'{topic} lacks the joints {", ".join(missing)}; valid: all of {", ".join(wanted)} '
            f'(profile {profile.name!r}).'
        )
    broken = [name for name in wanted if not math.isfinite(positions[name])]
    if broken:
        raise InvalidStateError(
            f'{topic} has non-finite positions of {", ".join(broken)}; valid: finite numbers.'
        )
    return [float(positions[name]) for name in wanted]


def joints_to_message(
    names: tuple[str, ...],
    positions: npt.ArrayLike,
    velocities: npt.ArrayLike = (),
    *,
    stamp_ns: int,
) -> JointState:
    """Return a JointState; positions [rad | m] and velocities [rad/s | m/s] in order of names."""
    message = JointState()
    message.header.stamp = stamp_from_ns(stamp_ns)
    message.name = [str(name) for name in names]
    message.position = np.asarray(positions, dtype=np.float64).tolist()
    message.velocity = np.asarray(velocities, dtype=np.float64).tolist()
    return message


# Commands -----------------------------------------------------------------------------------------


def command_to_message(command: ArmCommand, base_frame: str) -> PoseStamped:
    """Return the absolute tool target of ``command``; the gripper goes out beside it."""
    return _pose_stamped(command.stamp_ns, base_frame, command.position_m, command.quaternion_xyzw)


def command_from_message(
    message: PoseStamped, gripper_closedness: float, profile: RobotProfile
) -> ArmCommand:
    """Return the command in ``message``: what a driver or a simulator does with a target.

    Raises FrameMismatchError for another frame than ``base_frame``, NonFiniteCommandError for NaN
    or infinity and InvalidStateError for a quaternion that is not of unit length.
    """
    check_frame(message.header.frame_id, profile.base_frame, profile.topics.target_pose)
    position, quaternion = _pose_vectors(message.pose)
    if not all(math.isfinite(value) for value in (*position, *quaternion, gripper_closedness)):
        raise NonFiniteCommandError(
            f'{profile.topics.target_pose} asks for {position} m, {quaternion} with closedness '
            f'{gripper_closedness}; valid: finite numbers.'
        )
    target = RobotState(  # checks the quaternion
        stamp_ns=stamp_to_ns(message.header.stamp),
        position_m=position,
        quaternion_xyzw=quaternion,
        gripper_closedness=min(max(gripper_closedness, 0.0), 1.0),
    )
    return ArmCommand.hold_at(target)


def closedness_to_message(gripper_closedness: float) -> Float64MultiArray:
    """Return the gripper target: one value, closedness in [0, 1]."""
    return Float64MultiArray(data=[float(gripper_closedness)])


def closedness_from_message(message: Float64MultiArray) -> float:
    """Return the gripper target in [0, 1]. Raises NonFiniteCommandError for anything else."""
    values = list(message.data)
    if len(values) != 1 or not 0.0 <= values[0] <= 1.0:
        raise NonFiniteCommandError(
            f'gripper target {values}; valid: one closedness in [0, 1], 0 = open, 1 = closed.'
        )
    return float(values[0])


# Goals --------------------------------------------------------------------------------------------


def goal_from_message(
    image: ImageMessage, *, goal_id: str, gripper_closedness: float, profile: RobotProfile
) -> Goal:
    """Return a goal; a NaN ``gripper_closedness`` means that it is not known.

    Raises InvalidImageError, InvalidGoalError or, where the picture names a camera frame other
    than the profile's, FrameMismatchError.
    """
    if image.header.frame_id and profile.camera_frame:
        check_frame(image.header.frame_id, profile.camera_frame, f'the image of goal {goal_id!r}')
    is_known = not math.isnan(gripper_closedness)
    if is_known and not 0.0 <= gripper_closedness <= 1.0:
        raise InvalidGoalError(
            f'goal {goal_id!r} has gripper_closedness {gripper_closedness}; valid: in [0, 1], '
            '0 = open, or NaN to leave the gripper to the planner.'
        )
    return Goal(
        goal_id=goal_id,
        image=image_from_message(image),
        gripper_closedness=float(gripper_closedness) if is_known else None,
    )


# Status -------------------------------------------------------------------------------------------


def plan_to_message(plan: Plan, *, base_frame: str, now_ns: int) -> PlanDiagnosticsMessage:
    """Return how ``plan`` came about; ``now_ns`` is when it was done (ROS clock)."""
    found = plan.diagnostics
    message = PlanDiagnosticsMessage()
    message.header.stamp = stamp_from_ns(plan.observation_stamp_ns)
    message.header.frame_id = base_frame
    message.goal_id = plan.goal_id
    message.energy = float(plan.energy)
    message.goal_energy = float(plan.goal_energy)
    message.elite_energies = [float(value) for value in found.elite_energies]
    message.std = [float(value) for value in found.std]
    message.relief = float(found.relief)
    message.surprise = float(found.surprise)
    message.action_names = list(plan.action_spec.names)
    message.horizon = int(plan.horizon)
    message.actions = plan.actions.ravel().tolist()
    message.iterations = int(found.iterations)
    message.rollouts = int(found.rollouts)
    message.non_finite_count = int(found.non_finite_count)
    message.stop_reason = str(found.stop_reason.value)
    message.stage_names = list(found.milliseconds)
    message.stage_milliseconds = [float(value) for value in found.milliseconds.values()]
    message.latency_ms = float(now_ns - plan.observation_stamp_ns) / 1e6
    return message


def status_to_message(status: ControllerStatus, *, stamp_ns: int, base_frame: str) -> PlannerStatus:
    """Return the message of a controller's status."""
    message = PlannerStatus()
    message.header.stamp = stamp_from_ns(stamp_ns)
    message.header.frame_id = base_frame
    message.state = int(status.state)
    message.error_code = int(status.error_code)
    message.message = str(status.message)
    message.goal_id = str(status.goal_id)
    message.goal_index = int(status.goal_index)
    message.goal_count = int(status.goal_count)
    message.goal_energy = float(status.goal_energy)
    message.goal_tolerance = float(status.goal_tolerance)
    message.steps_executed = int(status.steps_executed)
    message.plans = int(status.plans)
    message.plans_dropped = int(status.plans_dropped)
    message.commands_clamped = int(status.commands_clamped)
    message.commands_refused = int(status.commands_refused)
    message.decision = str(status.decision)
    message.image_age_s = float(status.image_age_s)
    message.state_age_s = float(status.state_age_s)
    return message


# Errors -------------------------------------------------------------------------------------------


def set_error(response: Any, error: BaseException) -> Any:
    """Fill ``success``, ``error_code`` and ``message`` of a service response and return it.

    Where the type has no field for the number, as in std_srvs, the message begins with it.
    """
    known = as_wm_planner_error(error)
    response.success = False
    if hasattr(response, 'error_code'):
        response.error_code = int(known.code)
        response.message = known.message
    else:
        response.message = str(known)
    return response


def error_from_code(code: int, message: str) -> WmPlannerError:
    """Return the error that a message's ``error_code`` stands for; the inverse of ``set_error``."""
    return all_error_classes().get(int(code), UnknownError)(message)


# Shared -------------------------------------------------------------------------------------------


def check_frame(frame_id: str, expected: str, what: str) -> None:
    """Raise FrameMismatchError unless ``frame_id`` is ``expected``."""
    if frame_id != expected:
        raise FrameMismatchError(
            f'{what} is in frame {frame_id!r}; valid: {expected!r}, as the robot profile says.'
        )


def _pose_vectors(pose: Pose) -> tuple[list[float], list[float]]:
    position, quaternion = pose.position, pose.orientation
    return (
        [position.x, position.y, position.z],
        [quaternion.x, quaternion.y, quaternion.z, quaternion.w],
    )


def _pose_stamped(
    stamp_ns: int, frame_id: str, position_m: npt.ArrayLike, quaternion_xyzw: npt.ArrayLike
) -> PoseStamped:
    message = PoseStamped()
    message.header.stamp = stamp_from_ns(stamp_ns)
    message.header.frame_id = frame_id
    position, quaternion = message.pose.position, message.pose.orientation
    position.x, position.y, position.z = np.asarray(position_m, np.float64).tolist()
    quaternion.x, quaternion.y, quaternion.z, quaternion.w = np.asarray(
        quaternion_xyzw, np.float64
    ).tolist()
    return message
