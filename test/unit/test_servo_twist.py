# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Twists toward a target, computed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from fakes.values import DOWN_XYZW, a_command, a_profile, a_state  # noqa: E402
from wm_planner.control.safety import SafetyConfig, SafetyLimits  # noqa: E402
from wm_planner.core.geometry import euler_to_quaternion, multiply_quaternions  # noqa: E402
from wm_planner.core.robot_parts import ServoConfig  # noqa: E402
from wm_planner.ros.sinks.servo_twist import twist_toward  # noqa: E402

PROFILE = a_profile(
    max_speed_m_s=0.5, max_rotation_speed_rad_s=2.0, servo=ServoConfig(twist_gain_1_s=4.0)
)
IN_FORCE: Any = {'gain_1_s': 4.0, 'limits': SafetyLimits.of(PROFILE, SafetyConfig())}
HERE = (0.5, 0.0, 0.3)


def test_distance_times_gain_where_the_target_stands() -> None:
    """0.05 m along y at a gain of 4 per second is 0.2 m/s."""
    linear, angular = twist_toward(a_command((0.5, 0.05, 0.3)), a_state(HERE), None, **IN_FORCE)
    assert np.allclose(linear, (0.0, 0.2, 0.0))
    assert np.allclose(angular, 0.0)


def test_speed_of_a_moving_target_is_added() -> None:
    """The target has gone 4 mm along x in 20 ms: 0.2 m/s, and the tool is where it is."""
    before = a_command((0.496, 0.0, 0.3), stamp_ns=0)
    now = a_command(HERE, stamp_ns=20_000_000)
    linear, _ = twist_toward(now, a_state(HERE), before, **IN_FORCE)
    assert np.allclose(linear, (0.2, 0.0, 0.0))
    late = a_command(HERE, stamp_ns=500_000_000)
    assert np.allclose(twist_toward(late, a_state(HERE), before, **IN_FORCE)[0], 0.0)


def test_speeds_are_scaled_as_all_limits_are() -> None:
    slow = SafetyLimits.of(PROFILE, SafetyConfig(limit_scale=0.2))
    far = a_command((0.5, 1.0, 0.3))
    linear, _ = twist_toward(far, a_state(HERE), None, gain_1_s=4.0, limits=slow)
    assert np.linalg.norm(linear) == pytest.approx(0.1)


def test_speeds_stay_below_the_profiles() -> None:
    far = a_command(
        (0.5, 1.0, 0.3),
        quaternion_xyzw=multiply_quaternions(euler_to_quaternion((0, 0, 2.0)), DOWN_XYZW),
    )
    linear, angular = twist_toward(far, a_state(HERE), None, **IN_FORCE)
    assert np.linalg.norm(linear) == pytest.approx(0.5)
    assert np.linalg.norm(angular) == pytest.approx(2.0)
