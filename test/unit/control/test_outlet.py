# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What a sink raises: a pose it cannot reach is a refusal, anything else a fault."""

from __future__ import annotations

import pytest

from fakes.control_rig import ControlRig
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
    assert rig.sink.calls[-1] == 'hold'
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
