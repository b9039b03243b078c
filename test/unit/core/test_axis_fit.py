# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The fitted rotation: known turns come back, and what cannot be trusted says why."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wm_planner.core.axis_fit import TrustConfig, fit_axes
from wm_planner.core.errors import CalibrationError
from wm_planner.core.geometry import (
    conjugate_quaternion,
    euler_to_quaternion,
    rotate_vector,
    rotation_angle,
)

RNG = np.random.default_rng(3)


def a_turn(yaw_deg: float) -> np.ndarray:
    return euler_to_quaternion([0.0, 0.0, math.radians(yaw_deg)])


def moves(count: int = 20, length_m: float = 0.045) -> np.ndarray:
    directions = np.random.default_rng(1).normal(size=(count, 3))
    return length_m * directions / np.linalg.norm(directions, axis=1, keepdims=True)


@pytest.mark.parametrize('yaw_deg', [-175.0, -60.0, -20.0, 0.0, 40.0, 90.0, 170.0])
def test_recovers_a_known_turn_about_the_vertical(yaw_deg: float) -> None:
    measured = moves()
    wanted = rotate_vector(conjugate_quaternion(a_turn(yaw_deg)), measured)
    fit = fit_axes(wanted, measured)
    assert fit.yaw_deg == pytest.approx(yaw_deg, abs=1e-6)
    assert fit.residual < 1e-9 and fit.scale == pytest.approx(1.0)
    assert fit.is_trusted and fit.verdict.startswith('trusted')


def test_noise_moves_the_angle_by_about_its_standard_error() -> None:
    errors, claimed = [], []
    for seed in range(60):
        noise = np.random.default_rng(seed).normal(0.0, 0.010, (20, 3))
        measured = moves()
        fit = fit_axes(rotate_vector(a_turn(-30.0), measured) + noise, measured)
        errors.append(fit.yaw_deg - 30.0)
        claimed.append(fit.error_deg)
    assert abs(np.mean(errors)) < 1.0
    assert 0.7 < np.std(errors) / np.mean(claimed) < 1.4


def test_full_fit_recovers_a_turn_about_any_axis() -> None:
    truth = euler_to_quaternion([0.3, -0.5, 2.0])
    measured = moves()
    fit = fit_axes(rotate_vector(conjugate_quaternion(truth), measured), measured, is_full=True)
    assert rotation_angle(fit.quaternion_xyzw, truth) < 1e-6
    assert fit.tilt_deg > 20.0
    assert fit_axes(measured, measured, is_full=True).tilt_deg < 1e-6


def test_fit_about_the_vertical_does_not_tilt_where_the_truth_does() -> None:
    measured = moves()
    tilted = rotate_vector(euler_to_quaternion([0.4, 0.0, 0.0]), measured)
    fit = fit_axes(tilted, measured)
    assert fit.tilt_deg == 0.0
    assert fit.residual > 0.2


def test_a_mirrored_picture_is_named_and_not_trusted() -> None:
    measured = moves()
    wanted = rotate_vector(a_turn(25.0), measured) * [1.0, -1.0, 1.0]
    fit = fit_axes(wanted, measured)
    assert fit.is_mirrored and not fit.is_trusted
    assert 'mirrored' in fit.verdict


@pytest.mark.parametrize(
    ('wanted', 'measured', 'reason'),
    [
        (moves(5), moves(5), 'too few'),
        (moves(20, 0.004), moves(20, 0.004), 'too small'),
        (moves() * [1, 0.01, 1], moves() * [1, 0.01, 1], 'one direction'),
        (moves() * 0.2, moves(), 'sees 20% of the motion'),
        (moves()[::-1], moves(), 'residual'),
        (moves() + RNG.normal(0.0, 0.06, (20, 3)), moves(), 'known to'),
    ],
)
def test_says_why_it_is_not_trusted(wanted: np.ndarray, measured: np.ndarray, reason: str) -> None:
    fit = fit_axes(wanted, measured)
    assert not fit.is_trusted
    assert reason in fit.verdict


def test_limits_are_settings() -> None:
    few = moves(5)
    assert fit_axes(few, few, trust=TrustConfig(min_moves=5)).is_trusted


@pytest.mark.parametrize(
    ('wanted', 'measured'),
    [
        (moves(5), moves(6)),
        (np.zeros((12, 3)), moves(12)),
        (moves(12), np.zeros((12, 3))),
        (moves(12)[:, :2], moves(12)[:, :2]),
        (np.full((12, 3), np.nan), moves(12)),
    ],
)
def test_refuses_what_is_no_motion(wanted: np.ndarray, measured: np.ndarray) -> None:
    with pytest.raises(CalibrationError, match='valid'):
        fit_axes(wanted, measured)
