# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Each conversion between robosuite and the package with an example computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from wm_planner_sim.conventions import (
    GRIPPER_CLOSE,
    GRIPPER_OPEN,
    base_from_world,
    closedness_of_fingers,
    gripper_direction,
    osc_input,
)


@pytest.mark.parametrize(
    ('fingers', 'closedness'),
    [((0.04, -0.04), 0.0), ((0.0, 0.0), 1.0), ((0.03, -0.01), 0.5), ((0.0409, -0.0409), 0.0)],
)
def test_closedness_of_finger_joints(fingers: tuple[float, float], closedness: float) -> None:
    assert closedness_of_fingers(fingers) == pytest.approx(closedness)


@pytest.mark.parametrize(
    ('target', 'now', 'before', 'expected'),
    [
        (1.0, 0.2, GRIPPER_OPEN, GRIPPER_CLOSE),
        (0.0, 0.2, GRIPPER_CLOSE, GRIPPER_OPEN),
        (1.0, 1.0, GRIPPER_OPEN, GRIPPER_CLOSE),
        (0.0, 0.0, GRIPPER_CLOSE, GRIPPER_OPEN),
        (0.4, 0.4, GRIPPER_CLOSE, GRIPPER_CLOSE),  # an object stops the fingers: press on
        (0.4, 0.41, GRIPPER_OPEN, GRIPPER_OPEN),
    ],
)
def test_gripper_direction(target: float, now: float, before: float, expected: float) -> None:
    assert gripper_direction(target, now, before, deadband=0.03) == expected


def test_base_frame_is_the_world_shifted_to_the_robot() -> None:
    base = [-0.66, 0.0, 0.912]
    assert base_from_world([-0.21, 0.1, 1.17], base) == pytest.approx([0.45, 0.1, 0.258])


def test_osc_input_scales_metres_and_radians() -> None:
    found = osc_input(
        np.array([0.025, 0.0, -0.05]),
        np.array([0.0, 0.0, 0.25]),
        gain=1.0,
        tolerance_m=0.0,
        tolerance_rad=0.0,
    )
    assert found == pytest.approx([0.5, 0.0, -1.0, 0.0, 0.0, 0.5])


def test_osc_input_keeps_direction_and_rests_within_its_tolerance() -> None:
    found = osc_input(
        np.array([0.2, 0.1, 0.0]),
        np.array([0.0, 0.004, 0.0]),
        gain=2.0,
        tolerance_m=0.001,
        tolerance_rad=0.005,
    )
    assert found == pytest.approx([1.0, 0.5, 0.0, 0.0, 0.0, 0.0])
