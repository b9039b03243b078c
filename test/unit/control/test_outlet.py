# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What a sink raises: a pose it cannot reach is a refusal, anything else a fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fakes.control_rig import ControlRig
from fakes.loopback_env import LoopbackEnv
from wm_planner.control.guards import SpeedGuard
from wm_planner.control.status import ControllerState, Termination
from wm_planner.core.errors import DriverError, JointLimitError, UnreachablePoseError


@pytest.mark.parametrize('error', [UnreachablePoseError('too far'), JointLimitError('elbow')])
def test_sink_that_cannot_go_there_ends_the_goals_and_latches_nothing(
    error: UnreachablePoseError | JointLimitError,
) -> None:
    """It used to latch FAULT, as a broken driver does."""
    rig = ControlRig()
    rig.pursue()
    rig.tick_until(lambda s: s.state is ControllerState.EXECUTING)
    rig.sink.raises = error
    rig.tick()
    assert rig.sink.calls[-1] == 'stay'
    rig.tick()
    ended = [s for s in rig.statuses if s.termination is not None]
    assert [(s.termination, s.error_code) for s in ended] == [(Termination.SAFETY_STOP, error.code)]
    rig.sink.raises = None
    rig.tick(3)
    assert rig.status.state is ControllerState.HOLDING
    assert rig.sink.calls[-1] == 'send', 'it holds by itself once the sink can'
    rig.pursue()
    rig.tick_until(lambda s: s.state is ControllerState.EXECUTING)


def test_sink_that_is_broken_is_a_fault() -> None:
    rig = ControlRig()
    rig.pursue()
    rig.tick_until(lambda s: s.state is ControllerState.EXECUTING)
    rig.sink.raises = DriverError('cable')
    rig.tick()
    rig.tick()
    assert rig.status.state is ControllerState.FAULT


def test_arm_whose_state_is_no_longer_known_stays_at_its_last_setpoint() -> None:
    """It went back to where it was last seen: at full speed some centimetres in one message."""
    rig = ControlRig(robot=LoopbackEnv(speed_m_s=0.15))
    rig.pursue()
    rig.tick_until(lambda s: s.state is ControllerState.EXECUTING)
    rig.tick(3)
    rig.feeds_states = False
    while rig.sink.calls[-1] != 'stay':
        rig.tick()
        assert len(rig.statuses) < 300, 'it never stopped'
    last = rig.sent[-1].position_m
    assert np.linalg.norm(last - rig.buffer.latest_state().position_m) > 0.005, 'it has moved on'  # type: ignore[union-attr]
    rig.controller.hold()
    rig.controller.emergency_stop('too')
    assert 'hold' not in rig.sink.calls, 'nor there'
    number = len(rig.sent)
    rig.feeds_states = True
    rig.tick(20)
    assert len(rig.sent) > number, 'it sends again'
    for command in rig.sent[number:]:
        np.testing.assert_allclose(command.position_m, last, atol=1e-9)


@pytest.mark.parametrize(
    'ask',
    [
        lambda rig: rig.controller.hold(),
        lambda rig: rig.controller.emergency_stop('pressed'),
        lambda rig: rig.controller.reset(),
        lambda rig: rig.controller.enable(False),
        lambda rig: rig.controller.shutdown(),
    ],
)
def test_muted_arm_is_sent_nothing_whatever_is_asked(ask: Callable[[ControlRig], None]) -> None:
    """Each of these told the sink to hold at the very pose that was in doubt."""
    rig = ControlRig(guards=[SpeedGuard(max_speed_m_s=1.0, max_rotation_speed_rad_s=1.0)])
    rig.pursue()
    rig.tick_until(lambda s: s.state is ControllerState.EXECUTING)
    guard: Any = rig.controller._guards[0]
    guard.heard(3.0, 0.0)
    assert rig.tick().error_code == 414
    assert rig.sink.calls[-1] == 'forget', 'the sink knows, so that its close says nothing either'
    number = len(rig.sink.calls)
    ask(rig)
    rig.tick(5)
    assert rig.sink.calls[number:] == []


def test_arm_that_was_muted_is_heard_again_once_enabled() -> None:
    rig = ControlRig(guards=[SpeedGuard(max_speed_m_s=1.0, max_rotation_speed_rad_s=1.0)])
    rig.controller.enable(True)
    rig.tick(2)
    guard: Any = rig.controller._guards[0]
    guard.heard(3.0, 0.0)
    rig.tick()
    guard.heard(0.0, 0.0)
    rig.controller.reset()
    rig.controller.enable(True)
    rig.tick(2)
    rig.controller.enable(False)
    assert rig.sink.calls[-2:] == ['send', 'hold']


def test_sink_that_goes_on_raising_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    rig = ControlRig()
    rig.controller.enable(True)
    rig.tick(2)
    rig.sink.raises = DriverError('cable')
    rig.tick(50)
    texts = [record.message for record in caplog.records]
    assert texts.count('the sink raised') == 1
    assert sum('cable' in text for text in texts) == 1, 'and the latch beside it'
    rig.sink.raises = None
    rig.tick()
    assert rig.sink.calls[-1] == 'send', 'it holds once the sink can'
    rig.sink.raises = DriverError('again')
    rig.tick(2)
    assert [r.message for r in caplog.records].count('the sink raised') == 2
