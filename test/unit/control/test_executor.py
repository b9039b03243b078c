# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""PlanExecutor: which setpoint is due, when a step is over, and which plans are not begun."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fakes.values import a_command, a_plan, a_profile, a_state
from wm_planner.control.executor import ExecutorConfig, PlanExecutor
from wm_planner.control.safety import SafetyConfig, SafetyFilter
from wm_planner.core.errors import (
    NonFiniteCommandError,
    StaleCommandError,
    StepLimitError,
)
from wm_planner.core.geometry import euler_to_quaternion, rotation_angle

MS = 1_000_000
T0 = 1_000 * MS  # when plans begin
PROFILE = a_profile(max_speed_m_s=0.5, max_rotation_speed_rad_s=2.0, max_gripper_rate_1_s=5.0)
START = (0.5, 0.0, 0.3)
DX = [0.06, 0.0, 0.0, 0.0, 0.0]
DY = [0.0, 0.06, 0.0, 0.0, 0.0]


def at(milliseconds):
    return T0 + round(milliseconds * MS)


def executor_with(**config):
    return PlanExecutor(ExecutorConfig(**config), safety=SafetyFilter(PROFILE, SafetyConfig()))


def begun(*actions, state=None, setpoint=None, max_steps=None, stamp_ns=T0, **config):
    executor = executor_with(**config)
    executor.start(
        a_plan(*actions, stamp_ns=stamp_ns),
        state or a_state(START, stamp_ns=T0),
        T0,
        setpoint=setpoint,
        max_steps=max_steps,
    )
    return executor


def due(executor, milliseconds, position=START):
    return executor.target(at(milliseconds), a_state(position, stamp_ns=at(milliseconds)))


def is_done(executor, milliseconds, position=START):
    return executor.is_done(at(milliseconds), a_state(position, stamp_ns=at(milliseconds)))


# the way to the target --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('milliseconds', 'x'), [(0, 0.5), (20, 0.51), (60, 0.53), (120, 0.56), (121, 0.56), (249, 0.56)]
)
def test_setpoint_goes_to_the_target_at_the_speed_limit_and_stays(milliseconds, x) -> None:
    """6 cm at 0.5 m/s take 120 ms; the step lasts 250."""
    command = due(begun(DX), milliseconds)
    assert command.position_m == pytest.approx([x, 0.0, 0.3])
    assert command.stamp_ns == at(milliseconds)


def test_rotation_and_gripper_go_at_limits_of_their_own() -> None:
    executor = begun([0.06, 0.0, 0.0, 0.3, 1.0])
    halfway = due(executor, 75)
    assert halfway.position_m[0] == pytest.approx(0.5375)
    turned = rotation_angle(a_command().quaternion_xyzw, halfway.quaternion_xyzw)
    assert float(turned) == pytest.approx(0.15)
    assert halfway.gripper_closedness == pytest.approx(0.375)
    end = due(executor, 200)
    expected = euler_to_quaternion([math.pi, 0, 0.3])
    assert float(rotation_angle(end.quaternion_xyzw, expected)) == pytest.approx(0, abs=1e-6)
    assert end.gripper_closedness == 1.0


def test_setpoint_leaves_from_the_one_in_force() -> None:
    """The last setpoint was 1 cm ahead of the measured arm: no jump back."""
    executor = begun(DX, setpoint=a_command((0.51, 0.0, 0.3), closedness=0.2))
    assert due(executor, 0).position_m[0] == pytest.approx(0.51)
    assert due(executor, 0).gripper_closedness == pytest.approx(0.2)
    assert due(executor, 100).position_m[0] == pytest.approx(0.56)  # state + action, no sum


def test_ramp_passes_the_safety_filter_unclamped_tick_after_tick() -> None:
    safety = SafetyFilter(PROFILE, SafetyConfig())
    executor = PlanExecutor(ExecutorConfig(), safety=safety)
    state = a_state(START, stamp_ns=T0)
    safety.apply(a_command(START), state, T0)
    executor.start(a_plan([0.06, 0.06, -0.06, 0.35, 1.0], stamp_ns=T0), state, T0)
    for milliseconds in range(0, 400, 20):
        state = a_state(START, stamp_ns=at(milliseconds))
        setpoint = executor.target(at(milliseconds), state)
        assert safety.apply(setpoint, state, at(milliseconds)).clamps == ()


def test_nothing_is_due_before_the_first_plan_and_after_abort() -> None:
    executor = executor_with()
    assert due(executor, 0) is None
    assert not is_done(executor, 0)
    executor = begun(DX)
    executor.abort()
    assert due(executor, 100) is None
    assert not is_done(executor, 1000)


# when a step is over ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('milliseconds', 'position', 'expected'),
    [
        (249, (0.56, 0.0, 0.3), False),  # the step lasts 250 ms even if the tool is there
        (250, (0.56, 0.0, 0.3), True),
        (250, (0.5501, 0.0, 0.3), True),
        (250, (0.5499, 0.0, 0.3), False),  # more than 1 cm to go
        (349, (0.5, 0.0, 0.3), False),
        (350, (0.5, 0.0, 0.3), True),  # it had its time to settle
    ],
)
def test_step_is_over_after_its_time_when_the_tool_has_arrived_or_settled(
    milliseconds, position, expected
) -> None:
    executor = begun(DX, settle_s=0.1, arrival_tolerance_m=0.01)
    assert is_done(executor, milliseconds, position) is expected


def test_step_is_not_over_while_the_tool_still_turns() -> None:
    executor = begun([0.0, 0.0, 0.0, 0.35, 0.0], settle_s=0.1, arrival_tolerance_rad=0.05)
    assert not is_done(executor, 250)
    assert is_done(executor, 350)


def test_step_lasts_as_long_as_the_setpoint_needs() -> None:
    """A slow robot: 10.4 cm at 0.2 m/s take 520 ms."""
    profile = a_profile(max_speed_m_s=0.2)
    executor = PlanExecutor(
        ExecutorConfig(settle_s=0.0), safety=SafetyFilter(profile, SafetyConfig())
    )
    executor.start(
        a_plan([0.06, 0.06, 0.06, 0.0, 0.0], stamp_ns=T0), a_state(START, stamp_ns=T0), T0
    )
    assert not is_done(executor, 519)
    assert is_done(executor, 520)


def test_steps_are_counted_when_they_are_over() -> None:
    executor = begun(DX, DY, DX, execute_steps=2)
    counts = []
    for milliseconds in (0, 249, 250, 499, 500, 900):
        due(executor, milliseconds)
        counts.append(executor.executed_steps)
    assert counts == [0, 0, 1, 1, 2, 2]
    assert is_done(executor, 900)


@pytest.mark.parametrize(
    ('execute', 'horizon', 'most', 'expected'), [(2, 3, None, 2), (5, 3, None, 3), (3, 3, 1, 1)]
)
def test_no_more_steps_are_executed_than_planned_and_allowed(
    execute, horizon, most, expected
) -> None:
    executor = begun(*[DX] * horizon, execute_steps=execute, max_steps=most)
    due(executor, 5000)
    assert executor.executed_steps == expected


def test_later_steps_start_from_the_target_before_and_not_from_the_lagging_arm() -> None:
    executor = begun(DX, DY, execute_steps=2)
    due(executor, 250)
    assert due(executor, 499, (0.54, 0.0, 0.3)).position_m == pytest.approx([0.56, 0.06, 0.3])


# what is not begun ------------------------------------------------------------------------------


@pytest.mark.parametrize(('age_s', 'is_begun'), [(4.999, True), (5.0, True), (5.001, False)])
def test_plan_from_an_old_observation_is_refused(age_s, is_begun) -> None:
    stamp_ns = T0 - round(age_s * 1e9)
    if is_begun:
        assert due(begun(DX, stamp_ns=stamp_ns, max_plan_age_s=5.0), 0) is not None
    else:
        with pytest.raises(StaleCommandError, match='5.00 s old; valid: at most 5 s'):
            begun(DX, stamp_ns=stamp_ns, max_plan_age_s=5.0)


@pytest.mark.parametrize(
    ('action', 'error'),
    [
        ([math.nan, 0, 0, 0, 0], NonFiniteCommandError),
        ([0, 0, 0, math.inf, 0], NonFiniteCommandError),
        ([0, 0.3, 0, 0, 0], StepLimitError),
    ],
)
def test_first_step_that_the_filter_refuses_is_not_begun(action, error) -> None:
    """Ramped, a huge step would look harmless tick by tick; its end is judged before it begins."""
    executor = executor_with()
    with pytest.raises(error):
        executor.start(a_plan(action, stamp_ns=T0), a_state(START, stamp_ns=T0), T0)
    assert due(executor, 0) is None


def test_later_step_that_the_filter_refuses_ends_the_plan() -> None:
    executor = begun(DX, [math.nan, 0, 0, 0, 0], execute_steps=2)
    with pytest.raises(NonFiniteCommandError):
        due(executor, 250)
    assert due(executor, 260) is None


def test_step_that_the_filter_shortens_is_executed_shortened() -> None:
    profile = a_profile(max_step_m=0.03)
    executor = PlanExecutor(ExecutorConfig(), safety=SafetyFilter(profile, SafetyConfig()))
    executor.start(a_plan(DX, stamp_ns=T0), a_state(START, stamp_ns=T0), T0)
    assert due(executor, 249).position_m == pytest.approx([0.53, 0.0, 0.3])


def test_new_plan_replaces_the_old() -> None:
    executor = begun(DX)
    state = a_state((0.53, 0.0, 0.3), stamp_ns=at(60))
    executor.start(a_plan(DY, stamp_ns=at(60)), state, at(60))
    assert executor.executed_steps == 0
    assert np.allclose(due(executor, 300).position_m, [0.53, 0.06, 0.3])
