# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What a policy asks for reaches VLA-Arena's controller as the very number."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('wm_planner_sim', reason='wm_planner_sim is not installed')

from fakes.policy_servers_rigs import a_seen, policy_rig  # noqa: E402
from fakes.values import DOWN_XYZW, a_goal, a_state  # noqa: E402
from wm_planner.control.safety import SafetyConfig, SafetyFilter  # noqa: E402
from wm_planner.core.actions import action_to_command  # noqa: E402
from wm_planner.core.geometry import slerp  # noqa: E402
from wm_planner.core.paths import robot_profile_file  # noqa: E402
from wm_planner.core.profile import RobotProfile  # noqa: E402
from wm_planner_sim.arena_config import ArenaConfig  # noqa: E402
from wm_planner_sim.arena_servo import ArenaServo  # noqa: E402


@pytest.mark.parametrize('is_extreme', [False, True])
def test_every_controller_input_passes_safety_and_servo_unchanged(is_extreme: bool) -> None:
    """A profile's speed limits used to shorten turns that change their direction.

    The tool goes a quarter of what is asked for, as in the engine, so that targets do not add up.
    """
    generator = np.random.default_rng(0)
    chunk = generator.uniform(-1.0, 1.0, (40, 7))
    if is_extreme:
        chunk = np.where(np.arange(40)[:, np.newaxis] % 2, 1.0, -1.0) * np.ones((40, 7))
    profile = RobotProfile.from_yaml(robot_profile_file('panda_arena'))
    safety, servo = SafetyFilter(profile, SafetyConfig()), ArenaServo(ArenaConfig())
    position, quaternion = np.array([0.5, 0.0, 0.4]), np.array(DOWN_XYZW)
    with policy_rig('openpi', lambda _: chunk, execute_steps=40) as (policy, _):
        for index, wanted in enumerate(chunk):
            state = a_state(position, stamp_ns=50_000_000 * index, quaternion_xyzw=quaternion)
            seen = a_seen(states=(state,), image_stamps_ns=(state.stamp_ns,))
            plan = policy.plan(seen, a_goal(), executed_steps=int(index > 0))
            command = action_to_command(plan.actions[0], plan.action_spec, state, state.stamp_ns)
            verdict = safety.apply(command, state, state.stamp_ns)
            assert verdict.command is not None and verdict.clamps == ()
            servo.set_target(verdict.command)
            given = servo.action(state, is_exact=True)
            assert given[:6] == pytest.approx(wanted[:6], abs=1e-9)
            assert given[6] == (1.0 if wanted[6] > 0.0 else -1.0)
            position = position + 0.25 * (verdict.command.position_m - position)
            quaternion = slerp(quaternion, verdict.command.quaternion_xyzw, 0.25)
