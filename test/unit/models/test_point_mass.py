# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The point-mass world: pictures read back, steps that add up, a known optimum."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
import torch

from fakes.values import a_goal, an_image, an_observation
from wm_planner.core.errors import InvalidImageError, InvalidParameterError
from wm_planner.models.point_mass import PointMassConfig, PointMassRenderer, PointMassWorldModel

CONFIG = PointMassConfig()
RENDERER = PointMassRenderer(CONFIG)
MODEL = PointMassWorldModel(CONFIG, device='cpu')


def tool(x, y, z, yaw=0.0, gripper=0.0):
    return RENDERER.draw([x, y, z], yaw_rad=yaw, gripper_closedness=gripper)


def actions_of(*steps):
    return torch.tensor([steps])  # [1, H, A]


@given(
    st.floats(0.28, 0.8),
    st.floats(-0.45, 0.45),
    st.floats(0.0, 0.7),
    st.floats(-math.pi, math.pi),
    st.floats(0.0, 1.0),
)
def test_what_is_drawn_is_read_back_to_half_a_millimetre(x, y, z, yaw, gripper) -> None:
    values = RENDERER.read(tool(x, y, z, yaw, gripper))
    assert values[:3] == pytest.approx([x, y, z], abs=5e-4)
    assert values[3:] == pytest.approx([yaw, gripper], abs=5e-3)


def test_each_coordinate_moves_its_own_dot() -> None:
    """Moving along x moves the red dot down, y both red and green right, z green down."""
    rows, columns = np.indices((128, 128))

    def centres(image):
        weights = image.astype(float) - 20
        total = weights.sum((0, 1))
        return [
            (weights * axis[..., None]).sum((0, 1)) / total for axis in (rows, columns)
        ]  # rows [3], columns [3]

    start_rows, start_columns = centres(tool(0.5, 0.0, 0.3))
    for moved, row_signs, column_signs in (
        ((0.6, 0.0, 0.3), (1, 0, 0), (0, 0, 0)),
        ((0.5, 0.1, 0.3), (0, 0, 0), (1, 1, 0)),
        ((0.5, 0.0, 0.4), (0, 1, 0), (0, 0, 0)),
    ):
        new_rows, new_columns = centres(tool(*moved))
        assert np.array_equal(np.sign(np.round(new_rows - start_rows, 1)), row_signs)
        assert np.array_equal(np.sign(np.round(new_columns - start_columns, 1)), column_signs)


@pytest.mark.parametrize('image', [an_image(0, 128), an_image(20, 128), an_image(127, 128)])
def test_picture_without_dots_is_refused(image) -> None:
    with pytest.raises(InvalidImageError, match='not have one red dot'):
        MODEL.encode_goal(a_goal(image=image))


def test_picture_with_a_channel_missing_is_refused() -> None:
    image = np.array(tool(0.5, 0.0, 0.3))
    image[:, :, 2] = 0
    with pytest.raises(InvalidImageError, match='not have one blue dot'):
        RENDERER.read(image)


def test_picture_of_another_size_is_refused() -> None:
    with pytest.raises(InvalidImageError, match='valid: \\(128, 128, 3\\)'):
        MODEL.encode(an_observation(image=an_image(100, 64)))


def test_rollout_adds_the_deltas() -> None:
    state = MODEL.encode(an_observation(image=tool(0.5, 0.0, 0.3)))
    predicted = MODEL.rollout(
        state, actions_of([0.01, 0.02, -0.03, 0.1, 1.0], [0.05, 0.0, 0.0, 0.2, 0.5])
    )
    assert predicted.shape == (1, 2, 1, 6)
    expected = [5.6, 0.2, 2.7, 0.3 * math.cos(0.3), 0.3 * math.sin(0.3), 0.3 * 0.5]
    assert predicted[0, 1, 0].tolist() == pytest.approx(expected, abs=5e-3)


def test_rollout_stays_in_the_box_at_every_step() -> None:
    """Into the wall and back: the step into it is lost."""
    state = MODEL.encode(an_observation(image=tool(0.79, 0.0, 0.3)))
    predicted = MODEL.rollout(state, actions_of([0.05, 0, 0, 0, 0], [-0.02, 0, 0, 0, 0]))
    assert predicted[0, :, 0, 0].tolist() == pytest.approx([8.0, 7.8], abs=1e-4)


def test_a_sample_does_not_see_the_others() -> None:
    state = MODEL.encode(an_observation(image=tool(0.5, 0.0, 0.3)))
    actions = torch.randn(7, 3, 5, generator=torch.Generator().manual_seed(0)) * 0.03
    batch = MODEL.rollout(state, actions)
    for row in range(7):
        assert torch.equal(batch[row : row + 1], MODEL.rollout(state, actions[row : row + 1]))


def test_latent_of_the_present_is_the_goal_latent_of_the_same_picture() -> None:
    image = tool(0.4, 0.2, 0.5, 1.0, 0.7)
    current = MODEL.current(MODEL.encode(an_observation(image=image)))
    assert torch.equal(current, MODEL.encode_goal(a_goal(image=image)))


def test_tolerance_is_the_energy_of_a_tool_two_centimetres_away() -> None:
    here = MODEL.encode_goal(a_goal(image=tool(0.5, 0.0, 0.3)))
    there = MODEL.encode_goal(a_goal(image=tool(0.5, 0.02, 0.3)))
    assert float((here - there).square().mean()) == pytest.approx(MODEL.goal_tolerance, rel=0.05)


def test_box_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match='low < high'):
        PointMassConfig(low_m=(0.3, 0.0, 0.0), high_m=(0.2, 1.0, 1.0))
