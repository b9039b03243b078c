# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What the planner node reports of itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from wm_planner.control.status import ControllerState, ControllerStatus  # noqa: E402
from wm_planner.core.errors import (  # noqa: E402
    FutureStampError,
    InvalidImageError,
    PlanningError,
)
from wm_planner.core.types import ActionSpec, Plan, PlanDiagnostics, StopReason  # noqa: E402
from wm_planner.ros.diagnostics import Level  # noqa: E402
from wm_planner.ros.planner_monitor import PlannerMonitor, RollingValues  # noqa: E402

MS = 1_000_000


def status(**changes: Any) -> ControllerStatus:
    values: dict[str, Any] = dict.fromkeys(ControllerStatus.__dataclass_fields__, 0)
    values |= {'message': '', 'goal_id': '', 'image_age_s': 0.1, 'state_age_s': 0.2}
    values |= {'state': ControllerState.IDLE, 'latest_plan': None, 'sent': None}
    return ControllerStatus(**{**values, **changes})


@pytest.fixture
def monitor() -> PlannerMonitor:
    return PlannerMonitor(('image', 'joints'), control_rate_hz=50.0)


def test_percentiles_are_of_the_newest_values_and_nan_without_any() -> None:
    values = RollingValues()
    assert math.isnan(values.percentile(50))
    for value in range(2000):
        values.add(float(value))
    assert values.percentile(0) == 1000.0 and values.percentile(100) == 1999.0


def test_bad_input_explains_missing_data_until_the_stream_is_good(monitor: PlannerMonitor) -> None:
    stale = status(state=ControllerState.HOLDING, error_code=202, message='old')
    assert monitor.explained(stale) is stale
    monitor.callback_done('joints', 0.001, FutureStampError('too new'))
    monitor.callback_done('image', 0.001, InvalidImageError('bad step'))
    explained = monitor.explained(stale)
    assert (explained.error_code, explained.message) == (101, 'bad step')
    assert explained.state is ControllerState.HOLDING
    monitor.callback_done('image', 0.001, None)
    assert monitor.explained(stale).error_code == 203
    monitor.callback_done('joints', 0.001, None)
    assert monitor.explained(stale) is stale


def test_bad_input_does_not_hide_what_is_worse(monitor: PlannerMonitor) -> None:
    monitor.callback_done('image', 0.001, InvalidImageError('bad step'))
    fault = status(state=ControllerState.FAULT, error_code=305, message='hangs')
    assert monitor.explained(fault) is fault


def test_summary_has_rates_jitter_plan_and_latency(monitor: PlannerMonitor) -> None:
    monitor.summary(None, None, 0)
    for tick in range(51):
        late_ms = 5 if tick == 50 else 0
        monitor.tick_begins(1_000 * MS + tick * 20 * MS + late_ms * MS)
    for _ in range(30):
        monitor.callback_done('image', 0.001, None)
    monitor.callback_done('image', 0.001, InvalidImageError('bad'))
    spec = ActionSpec(low=[0], high=[1], names=('dx',), step_duration_s=1.0)
    plan = Plan(
        goal_id='g',
        observation_stamp_ns=100 * MS,
        actions=np.zeros((1, 1)),
        action_spec=spec,
        energy=0.0,
        goal_energy=0.0,
        diagnostics=PlanDiagnostics(stop_reason=StopReason.CONVERGED, milliseconds={'total': 40.0}),
    )
    monitor.plan_done(plan, 160 * MS)
    monitor.plan_done(plan, None)
    level, _, values = monitor.summary(status(), None, 2_000 * MS)
    assert values['image_rate_hz'] == 15.0 and values['joints_rate_hz'] == 0.0
    assert values['image_refused'] == 1
    assert values['control_rate_hz'] == 25.5
    assert values['plan_ms_p50'] == 40.0 and values['latency_ms_p50'] == 60.0
    assert values['tick_jitter_ms_p99'] == pytest.approx(2.55, abs=0.1)
    assert level is Level.WARN, 'the last image was bad'
    assert monitor.summary(status(), None, 3_000 * MS)[2]['image_rate_hz'] == 0.0


def test_level_follows_what_is_wrong(monitor: PlannerMonitor) -> None:
    assert monitor.summary(status(), None, MS)[:2] == (Level.OK, 'running')
    assert monitor.summary(None, None, MS)[:2] == (Level.OK, 'not active')
    assert monitor.summary(status(error_code=202, message='old'), None, MS)[0] is Level.WARN
    assert monitor.summary(status(error_code=305, message='hangs'), None, MS)[0] is Level.ERROR
    assert monitor.summary(None, PlanningError('no'), MS)[:2] == (Level.ERROR, '[300] no')
    monitor.callback_done('image', 0.050, None)
    level, message, _ = monitor.summary(status(), None, MS)
    assert level is Level.WARN and 'callbacks of image take more than' in message
