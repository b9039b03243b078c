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

try:
    import rclpy

    from wm_planner.ros.clock import RosClock
    from wm_planner.ros.sinks import SINKS, make_sink

    REGISTERED = SINKS.names()
except ImportError:  # a laptop without ROS: the fakes are checked all the same
    REGISTERED = ()


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
    made = make_sink(request.param, node, a_profile(), RosClock(node), lambda: a_state())
    yield made
    made.close()
    node.destroy_node()
    rclpy.shutdown(context=context)


def test_follows_the_protocol(sink: CommandSink) -> None:
    assert isinstance(sink, CommandSink)


def test_send_returns_what_went_out(sink: CommandSink) -> None:
    sent = sink.send(a_command((0.5, 0.1, 0.2), stamp_ns=7, closedness=0.5))
    assert np.allclose(sent.position_m, (0.5, 0.1, 0.2))
    assert sent.gripper_closedness == 0.5
    assert sent.stamp_ns == 7


def test_hold_never_raises(sink: CommandSink) -> None:
    sink.hold()
    sink.send(a_command())
    sink.hold()
    sink.hold()


def test_close_may_be_called_twice_and_hold_after_it(sink: CommandSink) -> None:
    sink.send(a_command())
    sink.close()
    sink.close()
    sink.hold()
