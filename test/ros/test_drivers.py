# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Each sink against a stand-in of its driver: 10 s of motion, and what the driver refuses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')

from fakes.controllers import CONTROLLERS  # noqa: E402
from fakes.driver_msgs import use_driver_msgs  # noqa: E402
from fakes.driver_rig import TICK_S, DriverRig, rig_profile  # noqa: E402
from wm_planner.ros.sinks import NULL_SINK, SINKS  # noqa: E402

TEN_SECONDS = round(10.0 / TICK_S)


@pytest.fixture
def rig(request: pytest.FixtureRequest) -> Iterator[DriverRig]:
    if request.param.startswith('servo'):
        use_driver_msgs()
    with DriverRig(rig_profile(request.param)) as found:
        yield found


def on(*sinks: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize('rig', sinks or list(CONTROLLERS), indirect=True)


def test_every_sink_has_a_stand_in() -> None:
    assert set(CONTROLLERS) == set(SINKS.names()) - {NULL_SINK}


@on()
def test_ten_seconds_of_motion_without_one_rejected_command(rig: DriverRig) -> None:
    """The tool goes round its waypoints; the driver takes everything and nothing does harm."""
    arm = rig.driver.arm
    start = rig.driver.received
    # Servo is told its command type when the first command goes out, so that it takes the next.
    rig.controller.enable(True)
    rig.tick(10)
    warm_up = len(rig.driver.rejected)
    assert warm_up <= 8
    rig.set_off()
    places = []
    for _ in range(TEN_SECONDS):
        rig.tick()
        places.append(arm.position_m)
    assert rig.driver.received - start >= TEN_SECONDS
    assert rig.driver.rejected[warm_up:] == []
    assert rig.driver.harm == []
    assert rig.driver.halts == 0
    travelled_m = float(np.linalg.norm(np.diff(places, axis=0), axis=1).sum())
    assert travelled_m > 0.8, 'the arm has to have moved'
    low, high = rig.profile.workspace
    assert np.all(places >= low - 0.01) and np.all(places <= high + 0.01)
    assert rig.status.commands_refused == 0, rig.status.message
    assert arm.outside == 0
    assert arm.fastest <= 1.0 + 1e-6
