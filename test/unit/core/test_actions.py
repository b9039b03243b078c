# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""From actions to absolute targets."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fakes.values import SPEC, a_state
from wm_planner.core.actions import action_to_command, gripper_pin, is_gripper_there
from wm_planner.core.errors import InvalidActionError
from wm_planner.core.geometry import euler_to_quaternion, rotation_angle
from wm_planner.core.types import ActionSpec


def spec_of(*names):
    return ActionSpec(
        low=np.full(len(names), -2.0), high=np.full(len(names), 2.0), names=names, step_duration_s=1
    )


def test_deltas_apply_in_the_base_frame() -> None:
    """Tool down at yaw 0: dyaw of +90 degrees makes roll pi, yaw 90."""
    state = a_state([0.5, 0.1, 0.3], closedness=0.4)
    command = action_to_command([0.01, -0.02, 0.03, math.pi / 2, 1.0], SPEC, state, 77)
    assert command.position_m == pytest.approx([0.51, 0.08, 0.33])
    expected = euler_to_quaternion([math.pi, 0, math.pi / 2])
    assert float(rotation_angle(command.quaternion_xyzw, expected)) == pytest.approx(0, abs=1e-7)
    assert command.gripper_closedness == 1.0
    assert command.stamp_ns == 77


def test_yaw_crosses_half_a_turn_without_a_jump() -> None:
    start = a_state(quaternion_xyzw=euler_to_quaternion([math.pi, 0.0, 3.1]))
    command = action_to_command([0, 0, 0, 0.2, 0], SPEC, start, 0)
    turned = rotation_angle(start.quaternion_xyzw, command.quaternion_xyzw)
    assert float(turned) == pytest.approx(0.2)


def test_dimensions_without_a_name_keep_the_reference() -> None:
    state = a_state([0.5, 0.1, 0.3], closedness=0.4)
    command = action_to_command([0.02], spec_of('dz'), state, 0)
    assert command.position_m == pytest.approx([0.5, 0.1, 0.32])
    assert np.allclose(command.quaternion_xyzw, state.quaternion_xyzw)
    assert command.gripper_closedness == pytest.approx(0.4)


@pytest.mark.parametrize(('delta', 'closedness'), [(0.3, 0.7), (0.9, 1.0), (-0.9, 0.0)])
def test_gripper_delta_stays_in_range(delta, closedness) -> None:
    command = action_to_command([delta], spec_of('dgripper'), a_state(closedness=0.4), 0)
    assert command.gripper_closedness == pytest.approx(closedness)


@pytest.mark.parametrize('broken', [math.nan, math.inf])
def test_numbers_that_are_not_finite_reach_the_command_for_the_safety_filter_to_see(broken) -> None:
    command = action_to_command([0.0, broken, 0.0, 0.0, 0.0], SPEC, a_state(), 0)
    assert not np.any(np.isfinite(command.position_m))


def test_action_of_another_size_is_refused() -> None:
    with pytest.raises(InvalidActionError, match=r'\(5,\)'):
        action_to_command([0.0, 0.0], SPEC, a_state(), 0)


@pytest.mark.parametrize(
    ('recorded', 'target', 'delta'), [(0.6, 1.0, 0.7), (0.1, 0.0, -0.3), (0.25, 0.0, -0.3)]
)
def test_gripper_pin_asks_for_fully_closed_or_open(recorded, target, delta) -> None:
    """Fingers that an object stopped at 0.6 must go on pressing: the command is 1."""
    pins = gripper_pin(SPEC, recorded, a_state(closedness=0.3), closed_above=0.25)
    assert pins['gripper'] == target
    assert pins['dgripper'] == pytest.approx(delta)


def test_pinned_spec_clips_to_the_bounds_and_ignores_other_names() -> None:
    pinned = SPEC.pinned({'dx': 1.0, 'droll': 0.5})
    assert pinned.low[0] == pinned.high[0] == 0.06
    assert np.array_equal(pinned.low[1:], SPEC.low[1:])
    assert SPEC.low[0] == -0.06  # the original is as it was


@pytest.mark.parametrize(
    ('goal', 'now', 'before', 'is_there'),
    [
        (0.45, 0.1, 0.1, False),  # open, where it must be closed
        (0.45, 0.3, 0.1, False),  # on its way
        (0.45, 0.41, 0.3, True),  # as far as the goal
        (0.45, 0.9, 0.7, True),  # further
        (0.45, 0.3, 0.3, True),  # stopped by something thicker
        (0.0, 0.2, 0.4, False),
        (0.0, 0.04, 0.2, True),
        (0.0, 0.4, 0.4, False),  # stands still, but closed
        (0.45, 0.3, float('nan'), False),
    ],
)
def test_gripper_is_there_on_its_side_and_at_the_end_of_its_way(
    goal: float, now: float, before: float, is_there: bool
) -> None:
    assert is_gripper_there(goal, now, before, 0.25) is is_there
