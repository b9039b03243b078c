# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Ten thousand commands, finite or not: none leaves the box or exceeds a step or a speed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from fakes.control_rig import TICK_S, ControlRig
from fakes.values import a_command, a_profile, a_state
from wm_planner.control.safety import SafetyConfig, SafetyFilter
from wm_planner.control.status import ControllerState
from wm_planner.core.geometry import euler_to_quaternion, rotation_angle, slerp
from wm_planner.core.types import ArmCommand, RobotState

PROFILE = a_profile(
    workspace_low_m=(0.3, -0.4, 0.0),
    workspace_high_m=(0.7, 0.4, 0.6),
    max_step_m=0.1,
    max_step_rad=0.5,
    max_speed_m_s=0.5,
    max_rotation_speed_rad_s=2.0,
    max_gripper_rate_1_s=5.0,
)
COMMANDS = 10_000
WALKS = 20
ODD = (math.nan, math.inf, -math.inf, 1e308, -1e308, 1e-320, 1e9, -1e9, 0.0)
DOWN = (1.0, 0.0, 0.0, 0.0)


def any_command(rng: np.random.Generator, state: RobotState) -> ArmCommand:
    """Return a command near, far, absurd or not even a number."""
    kind = rng.random()
    scale = 0.05 if kind < 0.4 else 0.3 if kind < 0.7 else 10.0 ** rng.uniform(-3, 300)
    position = state.position_m + scale * rng.normal(size=3)
    angle = rng.normal(size=3) * (0.1 if kind < 0.5 else 3.0)
    quaternion = euler_to_quaternion(state.euler_xyz_rad + angle)
    closedness = float(rng.normal(0.5, 1.0))
    if rng.random() < 0.25:
        values = np.array([*position, *quaternion, closedness])
        for index in rng.integers(0, 8, size=rng.integers(1, 4)):
            values[index] = rng.choice(ODD)
        position, quaternion, closedness = values[:3], values[3:7], float(values[7])
    return a_command(position, quaternion_xyzw=quaternion, closedness=closedness)


def follow(state: RobotState, sent: ArmCommand | None, part: float, stamp_ns: int) -> RobotState:
    """Return where an arm is that has gone ``part`` of the way to its target."""
    if sent is None:
        sent, part = ArmCommand.hold_at(state), 0.0
    return a_state(
        state.position_m + part * (sent.position_m - state.position_m),
        quaternion_xyzw=slerp(state.quaternion_xyzw, sent.quaternion_xyzw, part),
        closedness=sent.gripper_closedness,
        stamp_ns=stamp_ns,
    )


@pytest.mark.filterwarnings('ignore:overflow encountered', 'ignore:invalid value encountered')
@pytest.mark.parametrize('walk', range(WALKS))
def test_no_command_leaves_the_box_or_exceeds_a_step_or_a_speed(walk: int) -> None:
    rng = np.random.default_rng(walk)
    safety = SafetyFilter(PROFILE, SafetyConfig())
    low, high = PROFILE.workspace
    now_ns, last, passed = 0, None, 0
    state = a_state(rng.uniform(low, high), quaternion_xyzw=DOWN)
    for _ in range(COMMANDS // WALKS):
        wait_s = float(rng.choice([0.02, 0.02, 0.02, 0.001, 0.4]))
        now_ns += round(wait_s * 1e9)
        state = follow(state, None, 0.0, now_ns)
        verdict = safety.apply(any_command(rng, state), state, now_ns)
        sent = verdict.command
        assert (sent is None) == (verdict.error is not None)
        if sent is not None:
            passed += 1
            values = [*sent.position_m, *sent.quaternion_xyzw, sent.gripper_closedness]
            assert np.all(np.isfinite(values))
            assert np.all(sent.position_m >= low - 1e-9)
            assert np.all(sent.position_m <= high + 1e-9)
            assert 0.0 <= sent.gripper_closedness <= 1.0
            assert np.linalg.norm(sent.position_m - state.position_m) <= 0.1 + 1e-9
            assert rotation_angle(sent.quaternion_xyzw, state.quaternion_xyzw) <= 0.5 + 1e-6
            if last is not None:
                elapsed_s = (now_ns - last.stamp_ns) * 1e-9
                moved = float(np.linalg.norm(sent.position_m - last.position_m))
                turned = float(rotation_angle(sent.quaternion_xyzw, last.quaternion_xyzw))
                gripped = abs(sent.gripper_closedness - last.gripper_closedness)
                assert moved <= 0.5 * elapsed_s + 1e-6
                assert turned <= 2.0 * elapsed_s + 1e-6
                assert gripped <= 5.0 * elapsed_s + 1e-6
            last = sent.restamped(now_ns)
        # An arm that lags behind its targets, by a random part of what is left.
        state = follow(state, sent, float(rng.uniform(0.3, 1.0)), now_ns)
    assert passed > 0.15 * COMMANDS / WALKS, 'the walk must get somewhere to mean anything'


@pytest.mark.filterwarnings('ignore:overflow encountered', 'ignore:invalid value encountered')
def test_no_plan_whatever_it_holds_moves_the_arm_out_of_the_box() -> None:
    """The whole controller, with a planner that returns anything that a plan can hold."""
    rng = np.random.default_rng(0)
    rig = ControlRig(profile=PROFILE)
    low, high = PROFILE.workspace
    plans, moved_m = 0, 0.0
    while plans < 1000:
        if not rig.statuses or rig.status.state in (
            ControllerState.HOLDING,
            ControllerState.DISABLED,
        ):
            rig.pursue()
        if rig.worker.request is not None:
            plans += 1
            rig.actions = any_action(rng)
            rig.worker.answer()
        before = rig.sent[-1] if rig.sent else None
        rig.tick()
        if rig.status.sent is None:
            continue
        sent = rig.sent[-1]
        assert np.all(sent.position_m >= low - 1e-9) and np.all(sent.position_m <= high + 1e-9)
        if before is not None:
            way = float(np.linalg.norm(sent.position_m - before.position_m))
            assert way <= 0.5 * TICK_S + 1e-6
            moved_m += way
    assert moved_m > 1.0, 'the arm must have moved for this to mean anything'


def any_action(rng: np.random.Generator) -> Any:
    kind = rng.random()
    scale = 0.03 if kind < 0.6 else 10.0 ** rng.uniform(-2, 300)
    action = scale * rng.normal(size=5)
    if kind > 0.9:
        action[rng.integers(0, 5)] = rng.choice(ODD)
    return action
