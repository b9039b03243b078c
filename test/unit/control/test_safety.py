# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""SafetyFilter: each limit just under, at and just over, and what holds for any command."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from fakes.values import a_command, a_profile, a_state
from wm_planner.control.safety import SafetyConfig, SafetyFilter
from wm_planner.core.errors import (
    InvalidParameterError,
    NonFiniteCommandError,
    StaleCommandError,
    StepLimitError,
    WorkspaceViolationError,
)
from wm_planner.core.geometry import euler_to_quaternion, rotation_angle

PROFILE = a_profile(
    workspace_low_m=(0.3, -0.4, 0.0),
    workspace_high_m=(0.7, 0.4, 0.6),
    max_step_m=0.1,
    max_step_rad=0.5,
    max_speed_m_s=0.5,
    max_rotation_speed_rad_s=2.0,
    max_gripper_rate_1_s=5.0,
)
S = 1_000_000_000
HERE = (0.5, 0.0, 0.3)


def a_filter(**config):
    return SafetyFilter(PROFILE, SafetyConfig(**config))


def apply(command, *, state=None, now_s=0.0, safety=None, **config):
    safety = safety or a_filter(**config)
    return safety.apply(
        command, state or a_state(HERE, stamp_ns=round(now_s * S)), round(now_s * S)
    )


def settled(*, position=HERE, closedness=0.0):
    """Return a filter that has just passed a hold at ``position``, at time 0."""
    safety = a_filter()
    hold = a_command(position, closedness=closedness)
    verdict = safety.apply(hold, a_state(position, closedness=closedness), 0)
    assert verdict.clamps == ()
    return safety


def turned(angle):
    return euler_to_quaternion([math.pi, 0.0, angle])


# finite -----------------------------------------------------------------------------------------


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize('part', ['position_m', 'quaternion_xyzw', 'closedness'])
def test_numbers_that_are_not_finite_are_refused(part, value) -> None:
    broken = {
        'position_m': (0.5, value, 0.3),
        'quaternion_xyzw': (1.0, 0.0, value, 0.0),
        'closedness': value,
    }[part]
    verdict = apply(a_command(**{part: broken}))
    assert verdict.command is None
    assert type(verdict.error) is NonFiniteCommandError


def test_quaternion_that_is_no_rotation_is_refused() -> None:
    verdict = apply(a_command(quaternion_xyzw=(0, 0, 0, 0)))
    assert 'norm 0' in verdict.error.message


# fresh ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(('age_s', 'passes'), [(0.499, True), (0.5, True), (0.501, False)])
def test_command_against_an_old_state_is_refused(age_s, passes) -> None:
    safety = a_filter(max_state_age_s=0.5)
    verdict = safety.apply(a_command(HERE), a_state(HERE), round(age_s * S))
    assert (verdict.command is not None) is passes
    if not passes:
        assert type(verdict.error) is StaleCommandError


def test_state_from_another_time_is_refused() -> None:
    """After a clock jump the state may lie far in the future."""
    assert apply(a_command(HERE), state=a_state(HERE, stamp_ns=9 * S)).command is None


# workspace --------------------------------------------------------------------------------------


@pytest.mark.parametrize('axis', [0, 1, 2])
@pytest.mark.parametrize('side', [-1, 1])
@pytest.mark.parametrize(('beyond_m', 'clamps'), [(-0.001, ()), (0.0, ()), (0.001, ('workspace',))])
def test_target_outside_the_box_is_moved_to_its_surface(axis, side, beyond_m, clamps) -> None:
    edge = np.array(PROFILE.workspace_high_m if side > 0 else PROFILE.workspace_low_m)[axis]
    start, target = np.array(HERE), np.array(HERE)
    start[axis] = edge - side * 0.05
    target[axis] = edge + side * beyond_m
    verdict = apply(a_command(target), state=a_state(start))
    assert verdict.clamps == clamps
    assert verdict.command.position_m[axis] == pytest.approx(edge + side * min(beyond_m, 0.0))


@pytest.mark.parametrize(('beyond_m', 'passes'), [(0.0999, True), (0.1001, False)])
def test_target_far_outside_the_box_is_refused(beyond_m, passes) -> None:
    verdict = apply(
        a_command((0.7 + beyond_m, 0.0, 0.3)),
        state=a_state((0.69, 0.0, 0.3)),
        workspace_margin_m=0.1,
    )
    assert (verdict.command is not None) is passes
    if not passes:
        assert type(verdict.error) is WorkspaceViolationError
        assert 'outside the workspace' in verdict.error.message


@pytest.mark.parametrize(
    ('outside', 'outward'), [((0.75, 0.0, 0.3), (0.03, 0, 0)), ((0.5, 0.0, -0.05), (0, 0, -0.03))]
)
def test_tool_outside_the_box_may_stay_or_return_and_not_go_on(outside, outward) -> None:
    """A hold must never move the arm, not even to the box."""
    state, start = a_state(outside), np.array(outside)
    hold = apply(a_command(start), state=state)
    back = apply(a_command(start - outward), state=state)
    on = apply(a_command(start + outward), state=state)
    assert hold.clamps == back.clamps == ()
    assert hold.command.position_m == pytest.approx(outside)
    assert on.clamps == ('workspace',)
    assert on.command.position_m == pytest.approx(outside)


# step -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('length_m', 'sent_m', 'clamps'),
    [(0.0999, 0.0999, ()), (0.1, 0.1, ()), (0.1001, 0.1, ('step',)), (0.2, 0.1, ('step',))],
)
def test_displacement_is_shortened_to_one_step(length_m, sent_m, clamps) -> None:
    direction = np.array([0.6, 0.0, 0.8])
    verdict = apply(a_command(np.array(HERE) + length_m * direction))
    assert verdict.clamps == clamps
    assert verdict.command.position_m == pytest.approx(np.array(HERE) + sent_m * direction)


def test_displacement_far_beyond_a_step_is_refused() -> None:
    verdict = apply(a_command((0.5, 0.2001, 0.3)))
    assert type(verdict.error) is StepLimitError
    assert 'displacement of 0.200 m; valid: at most 0.1 m' in verdict.error.message


@pytest.mark.parametrize(
    ('angle', 'sent', 'clamps'),
    [(0.499, 0.499, ()), (0.5, 0.5, ()), (0.501, 0.5, ('rotation',)), (1.0, 0.5, ('rotation',))],
)
def test_rotation_is_shortened_to_one_step(angle, sent, clamps) -> None:
    verdict = apply(a_command(quaternion_xyzw=turned(angle)))
    assert verdict.clamps == clamps
    done = rotation_angle(turned(0.0), verdict.command.quaternion_xyzw)
    assert float(done) == pytest.approx(sent, abs=1e-6)


@pytest.mark.parametrize('angle', [1.001, math.pi])
def test_rotation_far_beyond_a_step_is_refused(angle) -> None:
    verdict = apply(a_command(quaternion_xyzw=turned(angle)))
    assert type(verdict.error) is StepLimitError
    assert 'rotation' in verdict.error.message


def test_rotation_across_half_a_turn_is_small() -> None:
    """From yaw 3.1 to yaw -3.1 is 0.083 rad, not 6.2."""
    verdict = apply(
        a_command(quaternion_xyzw=turned(-3.1)), state=a_state(quaternion_xyzw=turned(3.1))
    )
    assert verdict.clamps == ()


# speed ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('length_m', 'sent_m', 'clamps'),
    [(0.0099, 0.0099, ()), (0.01, 0.01, ()), (0.0101, 0.01, ('speed',))],
)
def test_setpoint_moves_no_faster_than_the_limit(length_m, sent_m, clamps) -> None:
    """0.5 m/s for 20 ms is 1 cm."""
    verdict = apply(a_command((0.5 + length_m, 0.0, 0.3)), now_s=0.02, safety=settled())
    assert verdict.clamps == clamps
    assert verdict.command.position_m[0] == pytest.approx(0.5 + sent_m)


@pytest.mark.parametrize(
    ('angle', 'sent', 'clamps'),
    [(0.0399, 0.0399, ()), (0.04, 0.04, ()), (0.0401, 0.04, ('rotation_speed',))],
)
def test_setpoint_turns_no_faster_than_the_limit(angle, sent, clamps) -> None:
    verdict = apply(a_command(quaternion_xyzw=turned(angle)), now_s=0.02, safety=settled())
    assert verdict.clamps == clamps
    done = rotation_angle(turned(0.0), verdict.command.quaternion_xyzw)
    assert float(done) == pytest.approx(sent, abs=1e-6)


@pytest.mark.parametrize(
    ('closedness', 'sent', 'clamps'),
    [(0.099, 0.099, ()), (0.1, 0.1, ()), (0.101, 0.1, ('gripper_rate',))],
)
def test_gripper_moves_no_faster_than_the_limit(closedness, sent, clamps) -> None:
    verdict = apply(a_command(closedness=closedness), now_s=0.02, safety=settled())
    assert verdict.clamps == clamps
    assert verdict.command.gripper_closedness == pytest.approx(sent)


@pytest.mark.parametrize(('closedness', 'sent'), [(1.2, 1.0), (-0.2, 0.0)])
def test_gripper_stays_in_range(closedness, sent) -> None:
    verdict = apply(a_command(closedness=closedness), state=a_state(HERE, closedness=sent))
    assert verdict.clamps == ('gripper_range',)
    assert verdict.command.gripper_closedness == sent


def test_speed_is_measured_from_the_last_setpoint_and_not_from_the_lagging_arm() -> None:
    safety = settled()
    for tick in range(1, 6):
        setpoint = a_command((0.5 + 0.01 * tick, 0.0, 0.3))
        assert apply(setpoint, now_s=0.02 * tick, state=a_state(HERE), safety=safety).clamps == ()


def test_no_time_no_motion() -> None:
    """A frozen clock gives the setpoint no time to move in."""
    verdict = apply(a_command((0.51, 0.0, 0.3)), now_s=0.0, safety=settled())
    assert verdict.command.position_m == pytest.approx(HERE)


def test_pause_earns_no_speed() -> None:
    """After ten seconds without a setpoint the next may be as far as after the window, not 5 m."""
    verdict = apply(a_command((0.59, 0.0, 0.3)), now_s=10.0, safety=settled(), speed_window_s=0.3)
    assert verdict.clamps == ()
    limited = SafetyFilter(PROFILE, SafetyConfig(speed_window_s=0.1))
    apply(a_command(HERE), safety=limited)
    verdict = apply(a_command((0.59, 0.0, 0.3)), now_s=10.0, safety=limited)
    assert verdict.command.position_m[0] == pytest.approx(0.55)


def test_arm_that_was_moved_by_others_is_where_speeds_start() -> None:
    """An episode reset puts the arm elsewhere; the old setpoint would drag it back."""
    safety = settled(position=(0.35, 0.3, 0.1))
    verdict = apply(a_command((0.52, 0.0, 0.3)), now_s=0.02, safety=safety)
    assert verdict.clamps == ()
    assert verdict.command.position_m == pytest.approx((0.52, 0.0, 0.3))


def test_clock_that_went_back_does_not_freeze_the_setpoint() -> None:
    safety = a_filter()
    apply(a_command(HERE), now_s=100.0, safety=safety)
    assert apply(a_command((0.51, 0.0, 0.3)), now_s=1.0, safety=safety).clamps == ()


def test_largest_steps_of_the_tabletop_pass_unclamped_at_its_rate() -> None:
    """6 cm on each axis, 0.35 rad and a whole gripper stroke, every 0.25 s."""
    safety = SafetyFilter(a_profile(), SafetyConfig())  # the defaults of the profile
    position, angle = np.array([0.4, -0.3, 0.2]), 0.0
    for step in range(6):
        now_s = 0.25 * step
        state = a_state(position, stamp_ns=round(now_s * S), quaternion_xyzw=turned(angle))
        if step:
            position, angle = position + 0.06, angle + 0.35
        command = a_command(position, quaternion_xyzw=turned(angle), closedness=step % 2)
        state = state if step else a_state(position, quaternion_xyzw=turned(angle))
        verdict = safety.apply(command, state, round(now_s * S))
        assert verdict.clamps == (), step


# counts, order, settings ------------------------------------------------------------------------


def test_clamped_and_refused_are_counted() -> None:
    safety = a_filter()
    for command in (a_command(HERE), a_command((0.65, 0, 0.3)), a_command((math.nan, 0, 0))):
        apply(command, safety=safety)
    assert (safety.clamped, safety.refused) == (1, 1)


def test_check_target_looks_at_the_step_and_not_at_the_speed() -> None:
    safety = settled()
    verdict = safety.check_target(a_command((0.6, 0.0, 0.3)), a_state(HERE), 1)
    assert verdict.clamps == ()
    refused = safety.check_target(a_command((0.5, 9.0, 0.3)), a_state(HERE), 1)
    assert refused.command is None
    # It is no setpoint: speeds are still measured from the last one that was.
    assert apply(a_command((0.6, 0.0, 0.3)), now_s=0.02, safety=safety).clamps == ('speed',)


def test_order_of_checks_is_finite_fresh_workspace_step() -> None:
    old = a_state(HERE, stamp_ns=-9 * S)
    far = a_command((9.0, 9.0, 9.0))
    assert type(apply(a_command((math.nan,) * 3), state=old).error) is NonFiniteCommandError
    assert type(apply(far, state=old).error) is StaleCommandError
    assert type(apply(far).error) is WorkspaceViolationError


@pytest.mark.parametrize(
    'config',
    [
        {'limit_scale': 2.1},
        {'limit_scale': math.inf},
        {'workspace_margin_m': 0.6},
        {'refuse_factor': 100.0},
        {'max_state_age_s': 60.0},
        {'speed_window_s': 10.0},
    ],
)
def test_filter_can_be_widened_but_not_switched_off(config) -> None:
    with pytest.raises(InvalidParameterError, match='valid'):
        SafetyConfig(**config)


def test_limits_scale_with_the_config() -> None:
    assert apply(a_command((0.65, 0.0, 0.3)), limit_scale=1.5).clamps == ()
    assert apply(a_command((0.56, 0.0, 0.3)), limit_scale=0.5).clamps == ('step',)


# for any command --------------------------------------------------------------------------------

INSIDE = st.tuples(st.floats(0.3, 0.7), st.floats(-0.4, 0.4), st.floats(0.0, 0.6))
ANYWHERE = st.tuples(*[st.floats(-2.0, 2.0)] * 3)
NEAR = st.tuples(*[st.floats(-0.2, 0.2)] * 3)
ANGLE = st.floats(-math.pi, math.pi)
CLOSEDNESS = st.floats(0.0, 1.0)


@given(INSIDE, st.lists(st.tuples(NEAR, ANGLE, st.floats(-1, 2), st.floats(0.0, 0.4)), max_size=8))
def test_no_sequence_of_commands_leaves_the_box_or_breaks_a_limit(start, commands) -> None:
    safety = a_filter()
    state, before, now_s, before_s = a_state(start), None, 0.0, 0.0
    for offset, angle, closedness, wait_s in commands:
        now_s += wait_s
        state = a_state(
            state.position_m,
            stamp_ns=round(now_s * S),
            quaternion_xyzw=state.quaternion_xyzw,
            closedness=state.gripper_closedness,
        )
        wanted = a_command(
            state.position_m + np.array(offset),
            quaternion_xyzw=turned(angle),
            closedness=closedness,
        )
        sent = safety.apply(wanted, state, round(now_s * S)).command
        if sent is None:
            continue
        assert np.all(sent.position_m >= np.array(PROFILE.workspace_low_m) - 1e-9)
        assert np.all(sent.position_m <= np.array(PROFILE.workspace_high_m) + 1e-9)
        assert np.linalg.norm(sent.position_m - state.position_m) <= 0.1 + 1e-9
        assert rotation_angle(sent.quaternion_xyzw, state.quaternion_xyzw) <= 0.5 + 1e-6
        assert 0.0 <= sent.gripper_closedness <= 1.0
        if before is not None:
            elapsed_s = min(now_s - before_s, 0.3)
            moved = np.linalg.norm(sent.position_m - before.position_m)
            assert moved <= 0.5 * elapsed_s + 1e-6
            change = abs(sent.gripper_closedness - before.gripper_closedness)
            assert change <= 5.0 * elapsed_s + 1e-6
        before, before_s = sent, now_s
        state = a_state(  # the arm gets half way
            (state.position_m + sent.position_m) / 2,
            stamp_ns=round(now_s * S),
            quaternion_xyzw=state.quaternion_xyzw,
            closedness=sent.gripper_closedness,
        )


@given(INSIDE, ANYWHERE, ANGLE, st.floats(-5, 5))
def test_whatever_is_asked_what_is_sent_is_near_and_inside(
    start, target, angle, closedness
) -> None:
    command = a_command(target, quaternion_xyzw=turned(angle), closedness=closedness)
    verdict = apply(command, state=a_state(start))
    assert (verdict.command is None) == (verdict.error is not None)
    if verdict.command is not None:
        position = verdict.command.position_m
        assert np.linalg.norm(position - np.array(start)) <= 0.1 + 1e-9
        assert np.all(position >= np.array(PROFILE.workspace_low_m) - 1e-9)
        assert np.all(position <= np.array(PROFILE.workspace_high_m) + 1e-9)


@given(INSIDE, NEAR, ANGLE, CLOSEDNESS)
def test_what_passed_once_passes_again_unchanged(start, offset, angle, closedness) -> None:
    """Holding the last setpoint is free: no clamp, no creep."""
    safety, state = a_filter(), a_state(start)
    wanted = a_command(
        np.array(start) + np.array(offset), quaternion_xyzw=turned(angle), closedness=closedness
    )
    sent = safety.apply(wanted, state, 0).command
    if sent is not None:
        again = safety.apply(sent, state, 0)
        assert again.clamps == ()
        assert np.array_equal(again.command.position_m, sent.position_m)
