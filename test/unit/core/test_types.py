# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The values between rooms: checked when made, unchangeable after."""

from __future__ import annotations

from dataclasses import replace
import math

import numpy as np
import pytest

from fakes.values import SPEC, a_goal, a_plan, a_state, an_image, an_observation
from wm_planner.core.errors import (
    InvalidActionError,
    InvalidGoalError,
    InvalidImageError,
    InvalidParameterError,
    InvalidStateError,
)
from wm_planner.core.types import ActionSpec, ArmCommand, NotReady, Observation


@pytest.mark.parametrize(
    'change',
    [
        {'position_m': [math.nan, 0, 0]},
        {'position_m': [0, 0]},
        {'quaternion_xyzw': [0, 0, 0, 0]},
        {'quaternion_xyzw': [0, 0, 0, math.inf]},
        {'closedness': math.nan},
        {'closedness': 1.2},
    ],
)
def test_robot_state_refuses_what_is_none(change) -> None:
    with pytest.raises(InvalidStateError, match='valid'):
        a_state(**change)


def test_robot_state_is_a_copy_that_cannot_change() -> None:
    position = np.array([0.1, 0.2, 0.3])
    state = a_state(position)
    position[0] = 9.0
    assert state.position_m[0] == 0.1
    with pytest.raises(ValueError, match='read-only'):
        state.position_m[0] = 1.0


def test_robot_state_forgives_a_sensor_that_overshoots_a_little() -> None:
    assert a_state(closedness=1.04).gripper_closedness == 1.0
    assert a_state(closedness=-0.04).gripper_closedness == 0.0


def test_state_vector_has_the_layout_of_droid() -> None:
    vector = a_state([0.1, 0.2, 0.3], closedness=0.5).as_vector()
    assert vector[:3] == pytest.approx([0.1, 0.2, 0.3])
    assert abs(vector[3]) == pytest.approx(math.pi)
    assert vector[6] == 0.5


def test_command_lets_nan_through_for_the_safety_filter() -> None:
    command = ArmCommand(
        stamp_ns=0,
        position_m=np.full(3, math.nan),
        quaternion_xyzw=np.zeros(4),
        gripper_closedness=math.nan,
    )
    assert np.all(np.isnan(command.position_m))


@pytest.mark.parametrize(
    'image',
    [
        np.zeros((32, 32), np.uint8),
        np.zeros((32, 32, 4), np.uint8),
        np.zeros((32, 32, 3), np.float32),
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((0, 0, 3), np.uint8),
    ],
)
def test_goal_refuses_what_is_no_picture(image) -> None:
    with pytest.raises(InvalidImageError, match="goal 'goal' image.*valid"):
        a_goal(image=image)


@pytest.mark.parametrize('closedness', [-0.1, 1.1, math.nan])
def test_goal_refuses_a_gripper_out_of_range(closedness) -> None:
    with pytest.raises(InvalidGoalError, match='valid'):
        a_goal(gripper_closedness=closedness)


def test_goal_keeps_its_own_picture() -> None:
    picture = an_image(5)
    goal = a_goal(image=picture)
    picture[:] = 200
    assert goal.image.max() == 5


def test_observation_needs_as_many_stamps_and_states_as_images() -> None:
    with pytest.raises(InvalidImageError, match='2 images, 1 stamps'):
        Observation(images=np.stack([an_image()] * 2), image_stamps_ns=(1,), states=(a_state(),))


def test_observation_names_its_newest() -> None:
    observation = an_observation(10, 20)
    assert observation.stamp_ns == 20
    assert observation.state.stamp_ns == 20


@pytest.mark.parametrize(
    'change',
    [
        {'low': np.array([1.0])},
        {'low': np.array([0.0, math.nan])},
        {'high': np.array([-1.0, 1.0])},
        {'names': ('dx', 'dx')},
        {'names': ('dx', 'banana')},
        {'step_duration_s': 0.0},
    ],
)
def test_action_spec_refuses_what_makes_no_sense(change) -> None:
    fields = {'low': np.zeros(2), 'high': np.ones(2), 'names': ('dx', 'dy'), 'step_duration_s': 1.0}
    with pytest.raises(InvalidParameterError, match='valid'):
        ActionSpec(**{**fields, **change})


@pytest.mark.parametrize('actions', [np.zeros((0, 5)), np.zeros((1, 4)), np.zeros(5)])
def test_plan_refuses_actions_of_another_shape(actions) -> None:
    plan = a_plan()
    with pytest.raises(InvalidActionError, match='valid'):
        type(plan)(
            goal_id='g',
            observation_stamp_ns=0,
            actions=actions,
            action_spec=SPEC,
            energy=0.0,
            goal_energy=0.0,
            diagnostics=plan.diagnostics,
        )


def test_not_ready_carries_number_and_sentence() -> None:
    stale = NotReady.stale('old.')
    assert (stale.code, stale.reason) == (202, 'old.')
    assert NotReady.no_data('none.').code == 201


def test_observation_may_hold_a_wrist_image_and_joints() -> None:
    bare = an_observation()
    assert bare.wrist_image is None and bare.joints_rad is None
    joints = np.zeros(7)
    full = replace(bare, wrist_image=an_image(7), joints_rad=joints)
    joints[0] = 1.0
    assert full.joints_rad is not None and full.joints_rad[0] == 0.0
    assert full.wrist_image is not None and not full.wrist_image.flags.writeable
    with pytest.raises(InvalidImageError, match='wrist image'):
        replace(bare, wrist_image=np.zeros((32, 32), np.uint8))
    with pytest.raises(InvalidStateError, match='joints_rad'):
        replace(bare, joints_rad=[0.0, math.nan])
    with pytest.raises(InvalidStateError, match='base_in_world_m'):
        replace(bare, base_in_world_m=[0.0, 1.0])
