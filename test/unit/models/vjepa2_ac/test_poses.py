# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Tool poses under actions: hand-computed examples, round trips, and core.geometry as a witness."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
import torch
from torch import Tensor

from wm_planner.core import geometry
from wm_planner.core.errors import InvalidStateError
from wm_planner.models.vjepa2_ac.poses import (
    actions_between,
    check_states,
    euler_to_matrix,
    integrate,
    matrix_to_euler,
    next_states,
)

HALF_PI = math.pi / 2


def f64(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def random_states(count: int, *, seed: int = 0) -> Tensor:
    """Return states [count, 7] whose pitch stays off the poles."""
    rng = np.random.default_rng(seed)
    low = [-1.0, -1.0, 0.0, -3.1, -1.4, -3.1, 0.0]
    high = [1.0, 1.0, 1.0, 3.1, 1.4, 3.1, 1.0]
    return torch.tensor(rng.uniform(low, high, (count, 7)))


def random_actions(count: int) -> Tensor:
    rng = np.random.default_rng(1)
    return torch.tensor(rng.uniform(-0.5, 0.5, (count, 7)))


@pytest.mark.parametrize(
    ('start', 'delta', 'expected'),
    [
        # Level and turned by 90 degrees about z, then 90 about *base* x: the tool's x axis, which
        # pointed along base y, points up; its y axis stays along base -x. Rotated in the tool's
        # own frame instead it would be (90, 0, 90).
        ((0.0, 0.0, HALF_PI), (HALF_PI, 0.0, 0.0), [[0, -1, 0], [0, 0, -1], [1, 0, 0]]),
        # Pointing down (roll 180), then 90 about base z: x along base y, z still down.
        ((math.pi, 0.0, 0.0), (0.0, 0.0, HALF_PI), [[0, 1, 0], [1, 0, 0], [0, 0, -1]]),
        # Rolled by 90, then 90 about base y: z, which pointed along base -y, stays there.
        ((HALF_PI, 0.0, 0.0), (0.0, HALF_PI, 0.0), [[0, 1, 0], [0, 0, -1], [-1, 0, 0]]),
    ],
)
def test_rotation_is_about_base_axes_when_a_turned_tool_is_turned_again(
    start: tuple[float, ...], delta: tuple[float, ...], expected: list[list[int]]
) -> None:
    """Worked out by hand; the columns are where the tool's axes point in the base frame."""
    after = next_states(f64(0, 0, 0, *start, 0), f64(0, 0, 0, *delta, 0))
    matrix = euler_to_matrix(after[3:6])
    assert torch.allclose(matrix, torch.tensor(expected, dtype=torch.float64), atol=1e-7)


def test_yaw_adds_to_yaw_when_the_tool_points_down() -> None:
    after = next_states(f64(0, 0, 0, 3.0, 0.0, 0.25, 0), f64(0, 0, 0, 0, 0, 0.5, 0))
    assert torch.allclose(after[3:6], f64(3.0, 0.0, 0.75))


def test_displacement_is_along_base_axes_when_the_tool_is_turned() -> None:
    after = next_states(f64(0.4, 0.1, 0.3, 1.0, 0.5, 2.0, 0), f64(0.01, -0.02, 0.03, 0, 0, 0, 0))
    assert torch.allclose(after[:3], f64(0.41, 0.08, 0.33))


@pytest.mark.parametrize(
    'angles',
    [
        # Pi in single precision lies just above pi, and would come back as its negative.
        (float(np.float32(math.pi)), 0.0, 0.3),
        (-float(np.float32(math.pi)), 0.0, 0.3),
        (0.0, 2.0, 0.0),  # the same rotation as (pi, pi - 2, pi)
    ],
)
def test_angles_keep_their_form_when_nothing_rotates(angles: tuple[float, ...]) -> None:
    """A gripper that points down lives at the wrap: its roll must not jump by 2 pi."""
    after = next_states(f64(0.4, 0.0, 0.3, *angles, 0.0), f64(0.05, 0.0, 0.0, 0, 0, 0, 0.1))
    assert after[3:6].tolist() == list(angles)
    through_a_matrix = matrix_to_euler(euler_to_matrix(f64(*angles)))
    assert float((through_a_matrix - f64(*angles)).abs().max()) > 1.0


def test_only_samples_without_rotation_keep_their_angles_when_they_are_mixed() -> None:
    state = f64(0, 0, 0, 0.0, 2.0, 0.0, 0).expand(2, -1)
    actions = torch.stack([f64(0, 0, 0, 0, 0, 0, 0), f64(0, 0, 0, 0, 0, 0.2, 0)])
    after = next_states(state, actions)
    assert after[0, 3:6].tolist() == [0.0, 2.0, 0.0]
    expected = euler_to_matrix(f64(0.0, 0.0, 0.2)) @ euler_to_matrix(f64(0.0, 2.0, 0.0))
    assert torch.allclose(euler_to_matrix(after[1, 3:6]), expected)


@pytest.mark.parametrize(('closedness', 'delta', 'expected'), [(0.8, 0.75, 1), (0.2, -0.75, 0)])
def test_closedness_stays_between_0_and_1_when_actions_ask_for_more(
    closedness: float, delta: float, expected: float
) -> None:
    after = next_states(f64(0, 0, 0, 0, 0, 0, closedness), f64(0, 0, 0, 0, 0, 0, delta))
    assert float(after[6]) == expected


def test_closedness_is_clipped_at_every_step_when_actions_are_integrated() -> None:
    """0.8 + 0.75 - 0.75 is 0.25 with the clip in between, 0.8 without."""
    actions = torch.zeros(1, 2, 7)
    actions[0, :, 6] = torch.tensor([0.75, -0.75])
    found = integrate(f64(0, 0, 0, 0, 0, 0, 0.8), actions)[0, :, 6]
    assert torch.allclose(found, f64(1.0, 0.25))


def test_integration_is_one_step_after_the_other_when_there_are_several() -> None:
    start, actions = random_states(1)[0], random_actions(12).view(4, 3, 7)
    found = integrate(start.float(), actions.float())
    assert found.shape == (4, 3, 7) and found.dtype == torch.float64
    for sample in range(4):
        state = start.float().double()
        for step in range(3):
            state = next_states(state, actions.float().double()[sample, step])
            assert torch.allclose(found[sample, step], state, atol=1e-12)


def test_action_between_two_states_leads_from_one_to_the_other_when_it_is_taken() -> None:
    before, after = random_states(200), random_states(200, seed=5)
    reached = next_states(before, actions_between(before, after))
    assert torch.allclose(reached[:, [0, 1, 2, 6]], after[:, [0, 1, 2, 6]], atol=1e-12)
    turned = euler_to_matrix(reached[:, 3:6]), euler_to_matrix(after[:, 3:6])
    assert torch.allclose(*turned, atol=1e-9)
    assert bool((reached[:, 3:6] - after[:, 3:6]).abs().amax() < 1e-6)


def test_action_is_found_again_when_it_is_asked_for_between_its_states() -> None:
    states, actions = random_states(200), random_actions(200)
    actions[:, 6] = 0.0
    found = actions_between(states, next_states(states, actions))
    assert torch.allclose(found, actions, atol=1e-9)


def test_angles_are_found_again_when_they_pass_through_matrices() -> None:
    angles = random_states(500)[:, 3:6]
    assert torch.allclose(matrix_to_euler(euler_to_matrix(angles)), angles, atol=1e-9)


def test_angles_are_finite_when_pitch_is_straight_up() -> None:
    """Rounding can make the sine of it larger than 1."""
    rolls = torch.linspace(-3, 3, 50, dtype=torch.float64)
    for pitch in (HALF_PI, -HALF_PI):
        angles = torch.stack([rolls, torch.full_like(rolls, pitch), rolls.flip(0)], dim=-1)
        found = matrix_to_euler(1.0000001 * euler_to_matrix(angles))
        assert bool(torch.isfinite(found).all())


def test_rotations_are_those_of_core_geometry_when_compared() -> None:
    states, actions = random_states(100), random_actions(100)
    after = next_states(states, actions)
    quaternions = geometry.euler_to_quaternion(states[:, 3:6].numpy())
    position, turned = geometry.apply_delta(
        states[:, :3].numpy(), quaternions, actions[:, :3].numpy(), actions[:, 3:6].numpy()
    )
    assert np.allclose(after[:, :3], position, atol=1e-12)
    expected = geometry.quaternion_to_matrix(turned)
    assert np.allclose(euler_to_matrix(after[:, 3:6]), expected, atol=1e-9)
    moved, rotated = geometry.pose_delta(states[:, :3].numpy(), quaternions, position, turned)
    between = actions_between(states, after)
    assert np.allclose(between[:, :3], moved, atol=1e-12)
    assert np.allclose(between[:, 3:6], rotated, atol=1e-7)


@given(st.lists(st.floats(-math.pi, math.pi), min_size=3, max_size=3))
def test_states_are_accepted_when_their_angles_are_radians(angles: list[float]) -> None:
    state = f64(0.4, 0.0, 0.3, *angles, 1.0)
    check_states(state)
    check_states(state.float())  # which may round pi up


@pytest.mark.parametrize('axis', [3, 4, 5])
@pytest.mark.parametrize('angle', [-179.26, 90.0, 3.2])
def test_states_are_refused_when_an_angle_is_in_degrees(axis: int, angle: float) -> None:
    """Users of the reference lost days to this (its issue 110, where these values are from)."""
    states = torch.zeros(2, 7)
    states[1, axis] = angle
    with pytest.raises(InvalidStateError, match=r'radians in \[-pi, pi\].*degrees.*pi / 180'):
        check_states(states)


@pytest.mark.parametrize('value', [math.nan, math.inf])
@pytest.mark.parametrize('axis', range(7))
def test_states_are_refused_when_they_are_not_finite(axis: int, value: float) -> None:
    states = torch.zeros(2, 7)
    states[0, axis] = value
    with pytest.raises(InvalidStateError, match='NaN or infinity'):
        check_states(states)
