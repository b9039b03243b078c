# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""States, commands, goals, plans, status and errors to messages and back, field by field."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from geometry_msgs.msg import PoseStamped  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import Float64MultiArray  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from wm_planner.control.status import ControllerState, ControllerStatus  # noqa: E402
from wm_planner.core.errors import (  # noqa: E402
    FrameMismatchError,
    InvalidGoalError,
    InvalidStateError,
    NonFiniteCommandError,
    UnknownError,
    all_error_classes,
)
from wm_planner.core.paths import robot_profile_file  # noqa: E402
from wm_planner.core.profile import RobotProfile  # noqa: E402
from wm_planner.core.types import (  # noqa: E402
    ActionSpec,
    ArmCommand,
    Plan,
    PlanDiagnostics,
    RobotState,
    StopReason,
)
from wm_planner.ros import conversions as convert  # noqa: E402
from wm_planner_msgs.msg import PlannerStatus  # noqa: E402
from wm_planner_msgs.srv import SetGoalImage  # noqa: E402

PROFILE = RobotProfile.from_yaml(robot_profile_file('panda_sim'))
STAMP_NS = 1_234_000_005_678
POSITION = [0.4, -0.1, 0.3]
QUATERNION = [0.8, 0.6, 0.0, 0.0]


def tool_pose(**changes: float) -> PoseStamped:
    """Return a valid tool pose; names such as ``x`` and ``qw`` change single numbers."""
    message = PoseStamped()
    message.header.stamp = convert.stamp_from_ns(STAMP_NS)
    message.header.frame_id = 'panda_link0'
    for name, value in {**dict(zip(('x', 'y', 'z'), POSITION, strict=True)), **changes}.items():
        if not name.startswith('q'):
            setattr(message.pose.position, name, value)
    for name, value in zip(('x', 'y', 'z', 'w'), QUATERNION, strict=True):
        setattr(message.pose.orientation, name, changes.get(f'q{name}', value))
    return message


def joints(left: float = 0.03, right: float = 0.03, **changes: float) -> JointState:
    names = PROFILE.arm_joint_names + PROFILE.gripper_joint_names
    positions = [0.1 * i for i in range(7)] + [left, right]
    for name, value in changes.items():
        positions[names.index(name)] = value
    return convert.joints_to_message(names, positions, [0.0] * 9, stamp_ns=STAMP_NS)


# stamps -------------------------------------------------------------------------------------------


@pytest.mark.parametrize('stamp_ns', [0, 1, 999_999_999, 1_000_000_000, 1_763_900_000_123_456_789])
def test_stamp_survives_the_round_trip(stamp_ns: int) -> None:
    assert convert.stamp_to_ns(convert.stamp_from_ns(stamp_ns)) == stamp_ns


@pytest.mark.parametrize('stamp_ns', [-5, 2**40 * 10**9])
def test_stamp_is_clipped_when_the_message_cannot_hold_it(stamp_ns: int) -> None:
    assert 0 <= convert.stamp_to_ns(convert.stamp_from_ns(stamp_ns)) < 2**31 * 10**9


# robot state --------------------------------------------------------------------------------------


def test_state_survives_the_round_trip() -> None:
    state = RobotState(
        stamp_ns=STAMP_NS, position_m=POSITION, quaternion_xyzw=QUATERNION, gripper_closedness=0.25
    )
    message = convert.state_to_message(state, PROFILE.base_frame)
    assert message.header.frame_id == PROFILE.base_frame
    again = convert.state_from_message(message, 0.25, PROFILE)
    assert again.stamp_ns == STAMP_NS
    np.testing.assert_array_equal(again.position_m, POSITION)
    np.testing.assert_allclose(again.quaternion_xyzw, QUATERNION, atol=1e-15)
    assert again.gripper_closedness == 0.25


@pytest.mark.parametrize('name', ['x', 'y', 'z', 'qx', 'qw'])
@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_state_is_refused_when_a_number_is_not_finite(name: str, value: float) -> None:
    with pytest.raises(InvalidStateError):
        convert.state_from_message(tool_pose(**{name: value}), 0.0, PROFILE)


def test_state_is_refused_when_the_quaternion_is_zero() -> None:
    with pytest.raises(InvalidStateError, match='unit length'):
        convert.state_from_message(tool_pose(qx=0.0, qy=0.0), 0.0, PROFILE)


@pytest.mark.parametrize('frame_id', ['', 'world', 'panda_link8'])
def test_state_is_refused_when_its_frame_is_not_the_profiles(frame_id: str) -> None:
    message = tool_pose()
    message.header.frame_id = frame_id
    with pytest.raises(FrameMismatchError, match="valid: 'panda_link0'") as caught:
        convert.state_from_message(message, 0.0, PROFILE)
    assert '/tool_pose' in str(caught.value)


@pytest.mark.parametrize(
    ('left', 'right', 'closedness'),
    [(0.04, 0.04, 0.0), (0.0, 0.0, 1.0), (0.02, 0.02, 0.5), (0.041, 0.04, 0.0), (-0.001, 0.0, 1.0)],
)
def test_closedness_is_read_from_the_fingers(left: float, right: float, closedness: float) -> None:
    assert convert.closedness_from_joints(joints(left, right), PROFILE) == pytest.approx(closedness)


def test_closedness_is_read_by_name_when_joints_come_in_another_order() -> None:
    message = joints(0.01, 0.03)
    message.name, message.position = message.name[::-1], list(message.position)[::-1]
    assert convert.closedness_from_joints(message, PROFILE) == pytest.approx(0.5)


def test_closedness_is_zero_when_the_profile_has_no_gripper() -> None:
    profile = dataclasses.replace(PROFILE, gripper_joint_names=())
    assert convert.closedness_from_joints(joints(), profile) == 0.0


@pytest.mark.parametrize('missing', ['panda_joint4', 'panda_finger_joint2'])
def test_joints_are_refused_when_one_is_missing(missing: str) -> None:
    message = joints()
    index = list(message.name).index(missing)
    message.name = [name for name in message.name if name != missing]
    message.position = [p for i, p in enumerate(message.position) if i != index]
    with pytest.raises(InvalidStateError, match=f'lacks the joints {missing}; valid: all of'):
        convert.closedness_from_joints(message, PROFILE)


@pytest.mark.parametrize('name', ['panda_joint1', 'panda_finger_joint1'])
def test_joints_are_refused_when_one_is_nan(name: str) -> None:
    with pytest.raises(InvalidStateError, match=f'non-finite positions of {name}'):
        convert.closedness_from_joints(joints(**{name: math.nan}), PROFILE)


def test_joints_are_refused_when_positions_are_missing() -> None:
    message = joints()
    message.position = list(message.position)[:3]
    with pytest.raises(InvalidStateError, match='9 names and 3 positions'):
        convert.closedness_from_joints(message, PROFILE)


def test_joints_are_refused_when_the_gripper_is_wider_than_the_profile_allows() -> None:
    with pytest.raises(InvalidStateError, match='gripper_max_width_m'):
        convert.closedness_from_joints(joints(0.06, 0.06), PROFILE)


def test_joints_message_holds_every_field() -> None:
    message = convert.joints_to_message(
        ('a', 'b'), np.float32([1, 2]), np.array([3, 4]), stamp_ns=STAMP_NS
    )
    assert list(message.name) == ['a', 'b']
    assert list(message.position) == [1.0, 2.0]
    assert list(message.velocity) == [3.0, 4.0]
    assert convert.stamp_to_ns(message.header.stamp) == STAMP_NS


# commands -----------------------------------------------------------------------------------------


def test_command_survives_the_round_trip() -> None:
    command = ArmCommand(
        stamp_ns=STAMP_NS, position_m=POSITION, quaternion_xyzw=QUATERNION, gripper_closedness=0.75
    )
    pose = convert.command_to_message(command, PROFILE.base_frame)
    gripper = convert.closedness_to_message(command.gripper_closedness)
    again = convert.command_from_message(pose, convert.closedness_from_message(gripper), PROFILE)
    assert again.stamp_ns == STAMP_NS
    np.testing.assert_array_equal(again.position_m, POSITION)
    np.testing.assert_allclose(again.quaternion_xyzw, QUATERNION, atol=1e-15)
    assert again.gripper_closedness == 0.75


def test_command_is_refused_when_not_finite_or_in_another_frame() -> None:
    with pytest.raises(NonFiniteCommandError, match='/target_pose'):
        convert.command_from_message(tool_pose(y=math.nan), 0.0, PROFILE)
    with pytest.raises(NonFiniteCommandError):
        convert.command_from_message(tool_pose(), math.nan, PROFILE)
    wrong = tool_pose()
    wrong.header.frame_id = 'map'
    with pytest.raises(FrameMismatchError):
        convert.command_from_message(wrong, 0.0, PROFILE)


@pytest.mark.parametrize('values', [[], [0.1, 0.2], [math.nan], [1.5], [-0.1]])
def test_gripper_target_is_refused_when_it_is_not_one_closedness(values: list[float]) -> None:
    with pytest.raises(NonFiniteCommandError, match=r'one closedness in \[0, 1\]'):
        convert.closedness_from_message(Float64MultiArray(data=values))


# goals --------------------------------------------------------------------------------------------


def goal_message(frame_id: str = '') -> Any:
    return convert.image_to_message(np.full((20, 30, 3), 9, np.uint8), frame_id=frame_id)


@pytest.mark.parametrize('frame_id', ['', 'exterior_camera_optical'])
def test_goal_keeps_picture_name_and_gripper(frame_id: str) -> None:
    goal = convert.goal_from_message(
        goal_message(frame_id), goal_id='g', gripper_closedness=0.5, profile=PROFILE
    )
    assert goal.goal_id == 'g' and goal.gripper_closedness == 0.5 and goal.pose is None
    assert goal.image.shape == (20, 30, 3) and np.all(goal.image == 9)


def test_goal_leaves_the_gripper_free_when_closedness_is_nan() -> None:
    goal = convert.goal_from_message(
        goal_message(), goal_id='g', gripper_closedness=math.nan, profile=PROFILE
    )
    assert goal.gripper_closedness is None


def test_goal_is_refused_when_frame_or_gripper_is_wrong() -> None:
    with pytest.raises(FrameMismatchError, match="valid: 'exterior_camera_optical'"):
        convert.goal_from_message(
            goal_message('wrist'), goal_id='g', gripper_closedness=0.0, profile=PROFILE
        )
    with pytest.raises(InvalidGoalError, match='NaN to leave'):
        convert.goal_from_message(
            goal_message(), goal_id='g', gripper_closedness=1.1, profile=PROFILE
        )


# plans and status ---------------------------------------------------------------------------------


def test_plan_message_holds_every_field() -> None:
    spec = ActionSpec(low=[-1, 0], high=[1, 1], names=('dx', 'gripper'), step_duration_s=0.25)
    plan = Plan(
        goal_id='goal',
        observation_stamp_ns=STAMP_NS,
        actions=np.array([[0.1, 1.0], [0.2, 0.0], [0.3, 0.5]]),
        action_spec=spec,
        energy=1.5,
        goal_energy=2.5,
        diagnostics=PlanDiagnostics(
            stop_reason=StopReason.DEADLINE,
            iterations=3,
            rollouts=700,
            non_finite_count=4,
            elite_energies=(1.5, 1.75),
            std=(0.25, 0.5),
            relief=0.5,
            surprise=0.25,
            milliseconds={'encode': 2.0, 'total': 30.0},
        ),
    )
    message = convert.plan_to_message(plan, base_frame='panda_link0', now_ns=STAMP_NS + 40_000_000)
    wanted = {
        'goal_id': 'goal',
        'energy': 1.5,
        'goal_energy': 2.5,
        'elite_energies': [1.5, 1.75],
        'std': [0.25, 0.5],
        'relief': 0.5,
        'surprise': 0.25,
        'action_names': ['dx', 'gripper'],
        'horizon': 3,
        'actions': [0.1, 1.0, 0.2, 0.0, 0.3, 0.5],
        'iterations': 3,
        'rollouts': 700,
        'non_finite_count': 4,
        'stop_reason': 'deadline',
        'stage_names': ['encode', 'total'],
        'stage_milliseconds': [2.0, 30.0],
        'latency_ms': 40.0,
    }
    assert_fields(message, wanted)
    assert convert.stamp_to_ns(message.header.stamp) == STAMP_NS
    assert message.header.frame_id == 'panda_link0'


def test_status_message_holds_every_field() -> None:
    status = ControllerStatus(
        state=ControllerState.EXECUTING,
        error_code=202,
        message='old',
        goal_list_id=6,
        goal_id='goal',
        goal_index=1,
        goal_count=3,
        goal_energy=0.5,
        goal_tolerance=0.25,
        steps_executed=7,
        plans=8,
        plans_dropped=9,
        commands_clamped=10,
        commands_refused=11,
        image_age_s=0.125,
        state_age_s=0.0625,
        goal_energies=(0.5,),
        goal_steps=(7,),
        best_energies=(0.5,),
        decision='1 skip: goal 0',
        termination=None,
        latest_plan=None,
        sent=None,
    )
    message = convert.status_to_message(status, stamp_ns=STAMP_NS, base_frame='panda_link0')
    not_sent = {
        'goal_list_id',
        'goal_energies',
        'goal_steps',
        'best_energies',
        'termination',
        'latest_plan',
        'sent',
    }
    wanted = {k: v for k, v in dataclasses.asdict(status).items() if k not in not_sent}
    assert_fields(message, wanted)
    assert convert.stamp_to_ns(message.header.stamp) == STAMP_NS
    assert message.header.frame_id == 'panda_link0'


def assert_fields(message: Any, wanted: dict[str, Any]) -> None:
    """Every field of the message but its header must be as wanted; none may be left out."""
    fields = set(message.get_fields_and_field_types()) - {'header'}
    assert fields == set(wanted)
    for name, value in wanted.items():
        found = getattr(message, name)
        assert (list(found) if isinstance(value, list) else found) == value, name


def test_states_have_the_numbers_of_the_message() -> None:
    constants = {state.name: getattr(PlannerStatus, state.name) for state in ControllerState}
    assert constants == {state.name: state.value for state in ControllerState}


# errors -------------------------------------------------------------------------------------------


@pytest.mark.parametrize('code', sorted(all_error_classes()))
def test_error_survives_the_round_trip(code: int) -> None:
    error = all_error_classes()[code]('the sentence')
    response = convert.set_error(SetGoalImage.Response(success=True), error)
    assert not response.success
    again = convert.error_from_code(response.error_code, response.message)
    assert type(again) is type(error) and again.message == 'the sentence'


def test_error_has_its_number_in_the_text_when_the_response_has_no_field_for_it() -> None:
    response = convert.set_error(Trigger.Response(success=True), InvalidGoalError('no'))
    assert not response.success and response.message == '[102] no'


def test_error_is_unknown_when_raised_outside_the_tree() -> None:
    response = convert.set_error(SetGoalImage.Response(), KeyError('x'))
    assert response.error_code == UnknownError.code and 'KeyError' in response.message


# the profile that ships ---------------------------------------------------------------------------


def test_shipped_profiles_load() -> None:
    folder = robot_profile_file('panda_sim').parent
    names = {RobotProfile.from_yaml(path).name for path in Path(folder).glob('*.yaml')}
    assert 'panda_sim' in names
