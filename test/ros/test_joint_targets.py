# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""From tool targets to joints: nothing that goes out breaks a limit of the joints."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('pinocchio', reason="the extra 'arms' is not installed")

from fakes.clock import ManualClock  # noqa: E402
from fakes.kinematic_arm import HOME_RAD, panda_kinematics, panda_profile  # noqa: E402
from wm_planner.core.errors import (  # noqa: E402
    NonFiniteCommandError,
    SafetyError,
    StaleCommandError,
    UnreachablePoseError,
)
from wm_planner.core.geometry import apply_delta  # noqa: E402
from wm_planner.core.types import ArmCommand, JointPositions  # noqa: E402
from wm_planner.ros.sinks.arm_sink import SinkContext  # noqa: E402
from wm_planner.ros.sinks.joint_targets import JointTargets  # noqa: E402

COMMANDS = 10_000


class Joints:
    """The measured joints, on a clock that the test moves."""

    def __init__(self) -> None:
        self.clock = ManualClock(now_ns=10**10)
        self.kinematics = panda_kinematics()
        self.profile = replace(panda_profile(), sink='joint_state')
        self.measured = HOME_RAD.copy()
        self.stamp_ns: int | None = None
        nothing: Any = None
        self.targets = JointTargets(
            SinkContext(
                node=nothing,
                profile=self.profile,
                clock=self.clock,
                latest_state=lambda: None,
                latest_joints=self.sample,
                kinematics=self.kinematics,
            )
        )

    def sample(self) -> JointPositions:
        stamp_ns = self.clock.now_ns() if self.stamp_ns is None else self.stamp_ns
        return JointPositions(stamp_ns=stamp_ns, positions_rad=self.measured)

    def command(self, move_m: Any, turn_rad: Any = (0.0, 0.0, 0.0)) -> ArmCommand:
        """Return the target away from where the tool is."""
        position, quaternion = self.kinematics.forward(self.measured)
        position, quaternion = apply_delta(position, quaternion, move_m, turn_rad)
        return ArmCommand(
            stamp_ns=self.clock.now_ns(),
            position_m=position,
            quaternion_xyzw=quaternion,
            gripper_closedness=0.0,
        )


def test_near_target_goes_out_as_it_is_and_a_far_one_in_steps() -> None:
    joints = Joints()
    near = joints.command([0.005, 0.0, 0.0])
    found, sent = joints.targets.solve(near)
    assert sent is near
    assert np.allclose(joints.kinematics.forward(found)[0], near.position_m, atol=1e-3)
    joints.clock.advance(0.02)
    far = joints.command([0.1, 0.0, 0.0])
    found, sent = joints.targets.solve(far)
    assert sent is not far, 'what is returned is what went out'
    assert np.allclose(sent.position_m, joints.kinematics.forward(found)[0])
    assert np.linalg.norm(sent.position_m - far.position_m) > 0.01


def test_what_cannot_go_out_is_refused_with_its_reason() -> None:
    joints = Joints()
    with pytest.raises(UnreachablePoseError):
        joints.targets.solve(joints.command([0.0, 0.0, 1.5]))
    with pytest.raises(NonFiniteCommandError):
        joints.targets.solve(joints.command([np.nan, 0.0, 0.0]))
    joints.stamp_ns = joints.clock.now_ns() - 600_000_000
    with pytest.raises(StaleCommandError, match='0.60 s old'):
        joints.targets.solve(joints.command([0.0, 0.0, 0.0]))


def test_hold_is_the_measured_joints_inside_the_limits() -> None:
    joints = Joints()
    assert np.array_equal(joints.targets.here(), HOME_RAD)
    joints.measured[3] = joints.kinematics.high_rad[3] + 0.01
    held = joints.targets.here()
    assert held is not None and held[3] == joints.kinematics.high_rad[3]


def test_ten_thousand_random_commands_never_break_a_joint_limit() -> None:
    """Small and large, turned, out of reach, not finite; an arm that lags behind or is moved."""
    joints = Joints()
    low, high = joints.kinematics.low_rad, joints.kinematics.high_rad
    speed, lead = joints.kinematics.max_speed_rad_s, joints.profile.joint_limits.max_lead_rad
    generator = np.random.default_rng(0)
    last: np.ndarray | None = None
    sent = refused = 0
    for _ in range(COMMANDS):
        joints.clock.advance(0.02)
        kind = generator.random()
        scale = 0.01 if kind < 0.8 else 0.15 if kind < 0.95 else 0.8
        move, turn = generator.normal(0.0, scale, 3), generator.normal(0.0, scale, 3)
        command = joints.command(move, turn)
        if generator.random() < 0.03:
            position = command.position_m.copy()
            position[generator.integers(3)] = generator.choice([np.nan, np.inf, -np.inf, 1e300])
            command = replace(command, position_m=position)
        try:
            found, _ = joints.targets.solve(command)
        except SafetyError:
            refused += 1
            last = None
            continue
        sent += 1
        assert np.all(np.isfinite(found))
        assert np.all(found >= low) and np.all(found <= high)
        assert np.all(np.abs(found - joints.measured) <= lead + 1e-9)
        if last is not None:
            assert np.all(np.abs(found - last) <= speed * 0.02 + 1e-9)
        last = found
        share = generator.uniform(0.3, 1.0)
        joints.measured = joints.measured + share * (found - joints.measured)
    assert sent > COMMANDS / 2 and refused > 100


def test_hold_is_not_where_old_or_far_joints_say_that_the_arm_is() -> None:
    """A bag's posture, or that of before the joint states stopped, went out as a target."""
    joints = Joints()
    last = HOME_RAD.copy()
    joints.stamp_ns = joints.clock.now_ns()
    joints.clock.advance(0.09)
    assert joints.targets.here(last) is not None
    joints.clock.advance(0.02)
    assert joints.targets.here(last) is None, 'too old'
    joints.stamp_ns = None
    joints.measured[1] += joints.profile.joint_limits.max_lead_rad + 0.01
    assert joints.targets.here(last) is None, 'further than the arm lags'
    assert joints.targets.here(None) is not None, 'nothing to compare with'
