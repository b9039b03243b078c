# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Rotations: hand-computed examples, round trips, and what happens near half a turn."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from fakes.values import DOWN_XYZW
from wm_planner.core.errors import InvalidStateError
from wm_planner.core.geometry import (
    apply_delta,
    conjugate_quaternion,
    euler_to_quaternion,
    multiply_quaternions,
    normalise_quaternion,
    pose_delta,
    quaternion_to_euler,
    quaternion_to_matrix,
    quaternion_to_rotation_vector,
    rotate_vector,
    rotation_angle,
    rotation_between,
    rotation_vector_to_quaternion,
    slerp,
)

PI = math.pi
H = math.sqrt(0.5)
ANGLES = st.floats(-PI, PI)
PITCHES = st.floats(-PI / 2 + 0.01, PI / 2 - 0.01)
EULERS = st.tuples(ANGLES, PITCHES, ANGLES)


@pytest.mark.parametrize(
    ('euler', 'quaternion'),
    [
        ((0, 0, 0), (0, 0, 0, 1)),
        ((PI / 2, 0, 0), (H, 0, 0, H)),
        ((0, PI / 2, 0), (0, H, 0, H)),
        ((0, 0, PI / 2), (0, 0, H, H)),
        ((0, 0, -PI / 2), (0, 0, -H, H)),
        ((PI, 0, 0), (1, 0, 0, 0)),  # tool down
        ((PI, 0, PI / 2), (H, H, 0, 0)),  # tool down, a quarter turn about base z
        ((PI / 2, 0, PI / 2), (0.5, 0.5, 0.5, 0.5)),
    ],
)
def test_euler_angles_become_the_quaternion_worked_out_by_hand(euler, quaternion) -> None:
    assert abs(float(euler_to_quaternion(euler) @ np.array(quaternion))) == pytest.approx(1.0)


def test_euler_angles_are_extrinsic_xyz() -> None:
    """R = Rz(c) Ry(b) Rx(a): x first. A roll then a yaw of 90 degrees sends y to z, which stays."""
    quaternion = euler_to_quaternion([PI / 2, 0.0, PI / 2])
    assert rotate_vector(quaternion, [0, 1, 0]) == pytest.approx([0, 0, 1])
    assert rotate_vector(quaternion, [1, 0, 0]) == pytest.approx([0, 1, 0])


@pytest.mark.parametrize(
    ('axis', 'moved', 'to'),
    [(0, [0, 1, 0], [0, 0, 1]), (1, [0, 0, 1], [1, 0, 0]), (2, [1, 0, 0], [0, 1, 0])],
)
def test_each_angle_turns_about_its_own_axis_by_the_right_hand_rule(axis, moved, to) -> None:
    euler = np.zeros(3)
    euler[axis] = PI / 2
    assert rotate_vector(euler_to_quaternion(euler), moved) == pytest.approx(to)


@given(EULERS)
def test_euler_round_trip(euler) -> None:
    again = quaternion_to_euler(euler_to_quaternion(euler))
    turned = rotation_angle(euler_to_quaternion(euler), euler_to_quaternion(again))
    assert float(turned) == pytest.approx(0.0, abs=1e-6)
    assert again[1] == pytest.approx(euler[1], abs=1e-6)


@pytest.mark.parametrize('roll', [PI - 1e-6, -PI + 1e-6, PI, -PI, 3.0, -3.0])
def test_euler_round_trip_near_half_a_turn_of_roll(roll) -> None:
    """A tool that points down has a roll of pi, which may come back as -pi: the same rotation."""
    again = quaternion_to_euler(euler_to_quaternion([roll, 0.1, -0.2]))
    assert math.cos(again[0]) == pytest.approx(math.cos(roll), abs=1e-9)
    assert math.sin(again[0]) == pytest.approx(math.sin(roll), abs=1e-9)
    assert again[1:] == pytest.approx([0.1, -0.2])


def test_multiply_applies_the_right_factor_first() -> None:
    """Roll 90 (y to z), then pitch 90 (z to x): y ends up on x."""
    roll, pitch = euler_to_quaternion([PI / 2, 0, 0]), euler_to_quaternion([0, PI / 2, 0])
    assert rotate_vector(multiply_quaternions(pitch, roll), [0, 1, 0]) == pytest.approx([1, 0, 0])


@given(EULERS)
def test_conjugate_is_the_inverse(euler) -> None:
    quaternion = euler_to_quaternion(euler)
    product = multiply_quaternions(quaternion, conjugate_quaternion(quaternion))
    assert np.allclose(product, [0, 0, 0, 1])


@given(EULERS, EULERS)
def test_matrices_multiply_as_quaternions_do(first, second) -> None:
    a, b = euler_to_quaternion(first), euler_to_quaternion(second)
    product = quaternion_to_matrix(normalise_quaternion(multiply_quaternions(a, b)))
    assert np.allclose(product, quaternion_to_matrix(a) @ quaternion_to_matrix(b), atol=1e-9)


@pytest.mark.parametrize('quaternion', [[0, 0, 0, 0], [0, 0, 0, 1.01], [math.nan, 0, 0, 1]])
def test_quaternions_that_are_no_rotation_are_refused(quaternion) -> None:
    with pytest.raises(InvalidStateError, match='unit length'):
        normalise_quaternion(quaternion)


def test_both_signs_of_a_quaternion_are_one_rotation() -> None:
    assert np.array_equal(normalise_quaternion([0, 0, -0.6, -0.8]), [0, 0, 0.6, 0.8])
    assert float(rotation_angle([0, 0, 0.6, 0.8], [0, 0, -0.6, -0.8])) == pytest.approx(0.0)


@pytest.mark.parametrize('angle', [0.0, 1e-9, 0.3, PI - 1e-9, PI])
def test_rotation_angle_is_the_angle_turned(angle) -> None:
    turned = euler_to_quaternion([0, 0, angle])
    assert float(rotation_angle([0, 0, 0, 1], turned)) == pytest.approx(angle, abs=1e-8)


@given(EULERS, EULERS, st.floats(0.0, 1.0))
def test_slerp_goes_the_fraction_of_the_shorter_way(first, second, fraction) -> None:
    a, b = euler_to_quaternion(first), euler_to_quaternion(second)
    whole = float(rotation_angle(a, b))
    part = float(rotation_angle(a, slerp(a, b, fraction)))
    assert part == pytest.approx(fraction * whole, abs=1e-6)


def test_delta_is_left_multiplied() -> None:
    """With the tool down, a delta yaw turns about base z, not about the tool's z, which is -z."""
    position, quaternion = apply_delta([0.5, 0, 0.3], [1, 0, 0, 0], [0.01, 0, 0], [0, 0, PI / 2])
    assert position == pytest.approx([0.51, 0.0, 0.3])
    assert rotate_vector(quaternion, [1, 0, 0]) == pytest.approx([0, 1, 0])


@given(EULERS, EULERS)
def test_pose_delta_undoes_apply_delta(start, delta) -> None:
    origin = euler_to_quaternion(start)
    position, quaternion = apply_delta([0.1, 0.2, 0.3], origin, [0.01, -0.02, 0.03], delta)
    moved, turned = pose_delta([0.1, 0.2, 0.3], origin, position, quaternion)
    assert moved == pytest.approx([0.01, -0.02, 0.03])
    again = rotation_angle(euler_to_quaternion(turned), euler_to_quaternion(delta))
    assert float(again) == pytest.approx(0.0, abs=1e-6)


def test_functions_take_batches() -> None:
    eulers = np.array([[0.1, 0.2, 0.3], [-0.4, 0.5, 3.0]])
    batch = euler_to_quaternion(eulers)
    assert batch.shape == (2, 4)
    assert np.allclose(batch[1], euler_to_quaternion(eulers[1]))
    assert np.allclose(quaternion_to_euler(batch), eulers)


def test_rotation_vector_of_a_quarter_turn_about_z() -> None:
    for quaternion in ([0.0, 0.0, H, H], [0.0, 0.0, -H, -H]):
        assert quaternion_to_rotation_vector(quaternion) == pytest.approx([0.0, 0.0, PI / 2])
    assert quaternion_to_rotation_vector([0.0, 0.0, 0.0, 1.0]).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize('vector', [(0.1, -0.2, 0.3), (0.0, 0.0, 0.0), (3.0, 0.0, 0.0)])
def test_rotation_vector_round_trip(vector: tuple[float, ...]) -> None:
    quaternion = rotation_vector_to_quaternion(vector)
    assert quaternion_to_rotation_vector(quaternion) == pytest.approx(vector)


def test_rotation_between_is_left_multiplied() -> None:
    """A tool pointing down that turns about base z has a vector along base z, not tool z."""
    down, turned = [1.0, 0.0, 0.0, 0.0], [math.cos(0.2), math.sin(0.2), 0.0, 0.0]
    assert rotation_between(down, turned) == pytest.approx([0.0, 0.0, 0.4])


@given(st.lists(st.floats(-1.7, 1.7), min_size=3, max_size=3))
def test_rotation_vectors_come_back(vector: list[float]) -> None:
    quaternion = rotation_vector_to_quaternion(vector)
    assert quaternion_to_rotation_vector(quaternion) == pytest.approx(vector, abs=1e-7)


@pytest.mark.parametrize(
    ('turn', 'vector'),
    [
        ((0.3, 0.0, 0.0), (0.3, 0.0, 0.0)),
        ((0.0, -0.2, 0.0), (0.0, -0.2, 0.0)),
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
        ((0.0, 0.0, 3.0), (0.0, 0.0, 3.0)),
        ((0.0, 0.0, 4.0), (0.0, 0.0, 4.0 - 2.0 * math.pi)),  # the shorter way round
    ],
)
def test_rotation_between_is_axis_times_angle_in_the_base_frame(
    turn: tuple[float, ...], vector: tuple[float, ...]
) -> None:
    start = np.array(DOWN_XYZW)
    end = multiply_quaternions(euler_to_quaternion(turn), start)
    assert np.allclose(rotation_between(start, end), vector, atol=1e-9)
    assert np.allclose(rotation_between(start, -end), vector, atol=1e-9), 'q and -q are the same'
