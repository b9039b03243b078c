# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The energy landscape on a model that is exact, so that its lowest place is known."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from fakes.planners import FakePlanner
from fakes.values import SPEC, a_goal, a_state, an_observation
from wm_planner.core.calibration import CameraCalibration
from wm_planner.core.errors import InvalidParameterError, PlannerFailedError
from wm_planner.core.geometry import euler_to_quaternion, rotate_vector
from wm_planner.core.types import ActionSpec, Goal, Observation
from wm_planner.factory import PlannerSettings, make_planner
from wm_planner.models.point_mass import PointMassConfig, PointMassRenderer
from wm_planner.planning.landscape import (
    LandscapeConfig,
    displacement_actions,
    landscape,
    run_landscape,
)

HERE = np.array([0.5, 0.0, 0.3])
RENDERER = PointMassRenderer(PointMassConfig())


def scene(move: np.ndarray, closedness: float | None = 0.0) -> tuple[Observation, Goal]:
    observation = an_observation(7, image=RENDERER.draw(HERE), position_m=HERE)
    goal = Goal(goal_id='there', image=RENDERER.draw(HERE + move), gripper_closedness=closedness)
    return observation, goal


@pytest.mark.parametrize('move', [(0.03, -0.048, 0.0), (-0.054, 0.06, 0.0), (0.0, 0.0, 0.0)])
def test_lowest_place_of_slice_xy_is_the_true_displacement(move: tuple[float, ...]) -> None:
    found = run_landscape(make_planner('cem', 'point_mass', device='cpu'), *scene(np.array(move)))
    assert found.minimum('xy') == pytest.approx(move, abs=0.004)
    assert found.steps == 1
    assert found.xy.min() == pytest.approx(0.0, abs=2e-3)


@pytest.mark.parametrize('degrees', [60.0, -130.0])
def test_model_with_turned_axes_has_its_landscape_in_the_base_frame(degrees: float) -> None:
    """Pictures move along the model's axes; the calibration says how those lie in base_frame."""
    turn = euler_to_quaternion([0.0, 0.0, math.radians(degrees)])
    settings = PlannerSettings(calibration=CameraCalibration(quaternion_xyzw=tuple(turn)))
    planner = make_planner('cem', 'point_mass', settings, device='cpu')
    move = np.array([0.04, -0.01, 0.0])
    found = run_landscape(planner, *scene(move))
    in_base = rotate_vector(turn, move)
    assert found.minimum('xy') == pytest.approx(in_base, abs=0.006)
    plan = planner.plan(*scene(move))
    assert plan.actions.sum(axis=0)[:2] == pytest.approx(in_base[:2], abs=0.02)


def test_lowest_place_of_slice_xz_is_the_true_displacement() -> None:
    move = np.array([0.012, 0.0, -0.042])
    found = run_landscape(make_planner('cem', 'point_mass', device='cpu'), *scene(move))
    assert found.minimum('xz') == pytest.approx(move, abs=0.004)


def test_farther_than_a_step_is_made_in_several_equal_ones() -> None:
    move = np.array([0.15, -0.10, 0.0])
    config = LandscapeConfig(extent_m=0.2, resolution=41)
    planner = make_planner('cem', 'point_mass', device='cpu')
    found = run_landscape(planner, *scene(move), config)
    assert found.steps == 4  # 0.2 m in steps of 0.06 m
    assert found.minimum('xy') == pytest.approx(move, abs=0.006)


def test_points_lie_in_two_slices_through_the_tool() -> None:
    found = run_landscape(
        make_planner('cem', 'point_mass', device='cpu'),
        *scene(np.zeros(3)),
        LandscapeConfig(resolution=5),
    )
    points = found.points()
    assert points.shape == (50, 4) and points.dtype == np.float32
    assert np.allclose(points[:25, 2], HERE[2]) and np.allclose(points[25:, 1], HERE[1])
    assert points[:, 0].min() == pytest.approx(HERE[0] - 0.06)
    assert points[7, 3] == pytest.approx(found.xy[1, 2])  # row-major: x outer


def test_it_is_computed_in_chunks_and_leaves_the_draws_alone() -> None:
    planner = make_planner('cem', 'point_mass', device='cpu')
    observation, goal = scene(np.array([0.03, 0.0, 0.0]))
    expected = planner.plan(observation, goal).actions
    planner.reset()
    bits = list(landscape(planner, observation, goal, LandscapeConfig(chunk_samples=100)))
    assert len(bits) == 1 + 9  # the encoding, and 882 points
    assert np.array_equal(planner.plan(observation, goal).actions, expected)


def test_gripper_is_pinned_or_stays() -> None:
    moves = np.zeros((2, 3))
    stays = displacement_actions(moves, SPEC, a_state(closedness=0.4), 2)
    assert np.all(stays[:, :, SPEC.names.index('gripper')] == 0.4)
    pinned = SPEC.pinned({'gripper': 1.0})
    assert np.all(displacement_actions(moves, pinned, a_state(closedness=0.4), 2)[:, :, 4] == 1.0)


def test_policies_and_models_that_move_no_tool_are_refused() -> None:
    with pytest.raises(PlannerFailedError, match='has no energies'):
        run_landscape(FakePlanner(), an_observation(), a_goal())

    class Turner:
        def scorer(self, observation: Observation, goal: Goal) -> object:
            spec = ActionSpec(
                low=np.array([-1.0]), high=np.array([1.0]), names=('dyaw',), step_duration_s=0.25
            )
            return SimpleNamespace(spec=spec)

    with pytest.raises(InvalidParameterError, match='lack dx, dy, dz'):
        run_landscape(Turner(), an_observation(), a_goal())
