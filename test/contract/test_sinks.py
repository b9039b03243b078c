# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Every sink, registered or fake, against the CommandSink protocol."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from fakes.loopback_env import LoopbackEnv
from fakes.recording_sink import RecordingSink
from fakes.values import a_command, a_profile, a_state
from wm_planner.core.protocols import CommandSink
from wm_planner.core.robot_parts import ServoConfig
from wm_planner.core.types import ArmCommand, JointPositions

try:
    import rclpy

    from wm_planner.ros.clock import RosClock
    from wm_planner.ros.sinks import SINKS, make_sink

    REGISTERED = SINKS.names()
except ImportError:  # a laptop without ROS: the fakes are checked all the same
    REGISTERED = ()

HOME_RAD = [0.0, -0.12, 0.0, -2.28, 0.0, 2.16, 0.785]
HOME_M = (0.497174, 0.0, 0.301404)


def home(closedness: float = 0.0, stamp_ns: int = 0) -> ArmCommand:
    """Return a command that every sink can take as it is: where the arm is."""
    return a_command(HOME_M, stamp_ns=stamp_ns, closedness=closedness)


@pytest.fixture(params=['recording', 'loopback', *REGISTERED])
def sink(request: pytest.FixtureRequest) -> Iterator[CommandSink]:
    if request.param == 'recording':
        yield RecordingSink()
        return
    if request.param == 'loopback':
        yield LoopbackEnv()
        return
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node('contract_sinks', context=context)
    clock = RosClock(node)
    kinematics, needs = None, getattr(SINKS.get(request.param), 'needs_kinematics', False)
    profile = a_profile(servo=ServoConfig(switch_command_type=False))  # Servo itself is elsewhere
    if needs:
        from fakes.kinematic_arm import panda_kinematics, panda_profile

        kinematics, profile = panda_kinematics(), panda_profile()
    made = make_sink(
        request.param,
        node,
        profile,
        clock,
        lambda: a_state(HOME_M),
        latest_joints=lambda: JointPositions(stamp_ns=clock.now_ns(), positions_rad=HOME_RAD),
        kinematics=kinematics,
    )
    yield made
    made.close()
    node.destroy_node()
    rclpy.shutdown(context=context)


def test_follows_the_protocol(sink: CommandSink) -> None:
    assert isinstance(sink, CommandSink)


def test_send_returns_what_went_out(sink: CommandSink) -> None:
    sent = sink.send(home(0.5, stamp_ns=7))
    assert np.allclose(sent.position_m, HOME_M, atol=1e-3)
    assert sent.gripper_closedness == 0.5
    assert sent.stamp_ns == 7


def test_hold_never_raises(sink: CommandSink) -> None:
    sink.hold()
    sink.send(home())
    sink.hold()
    sink.hold()


def test_stay_and_forget_never_raise(sink: CommandSink) -> None:
    sink.stay()
    sink.send(home())
    sink.stay()
    sink.forget()
    sink.stay()
    sink.hold()


def test_close_may_be_called_twice_and_hold_after_it(sink: CommandSink) -> None:
    sink.send(home())
    sink.close()
    sink.close()
    sink.hold()
