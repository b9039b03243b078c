# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What stops the arm beside commands and data, alone and in the controller."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from fakes.control_rig import ControlRig
from fakes.values import a_command, a_state
from wm_planner.control.guards import SoleSpeaker, SpeedGuard, StopLine, WrenchGuard
from wm_planner.control.safety import command_to_hold
from wm_planner.control.status import ControllerState, Termination
from wm_planner.core.errors import (
    ContactForceError,
    DriverError,
    EmergencyStopError,
    EmergencyStopLostError,
    FaultLatchedError,
    OverspeedError,
    SecondPublisherError,
    WrenchLostError,
)
from wm_planner.core.profile import StopInputs

MS = 1_000_000
CALM = ([1.0, 0.0, -2.0], [0.1, 0.0, 0.0])
HARD = ([0.0, 0.0, -25.0], [0.0, 0.0, 0.0])


def stops(**values: Any) -> StopInputs:
    return StopInputs(estop_topic='/stop', wrench_topic='/wrench', max_force_n=20.0, **values)


# emergency stop ---------------------------------------------------------------------------------


def test_button_stops_when_pressed_and_lets_go_when_released() -> None:
    line = StopLine(stops())
    assert line.trouble(0) is None, 'silence is allowed without a heartbeat'
    line.heard(True, 10)
    assert isinstance(line.trouble(10 * 1000 * MS), EmergencyStopError)
    line.heard(False, 20)
    assert line.trouble(20) is None


def test_heartbeat_that_never_came_or_stopped_is_a_stop() -> None:
    line = StopLine(stops(estop_heartbeat_s=0.5))
    assert isinstance(line.trouble(0), EmergencyStopLostError)
    line.heard(False, 0)
    assert line.trouble(500 * MS) is None
    found = line.trouble(501 * MS)
    assert isinstance(found, EmergencyStopLostError) and 'silent for 0.50 s' in found.message


# wrench -----------------------------------------------------------------------------------------


def test_force_must_last_to_count_as_contact() -> None:
    guard = WrenchGuard(stops(wrench_debounce_s=0.03))
    guard.heard(*CALM, 0)
    for ms in (10, 20, 30):
        assert guard.heard(*HARD, ms * MS) is None
    guard.heard(*CALM, 35 * MS)  # a spike is forgotten
    assert guard.heard(*HARD, 40 * MS) is None
    assert guard.heard(*HARD, 69 * MS) is None
    found = guard.heard(*HARD, 70 * MS)
    assert isinstance(found, ContactForceError) and '25.0 N' in found.message
    assert guard.trouble(71 * MS) is found
    guard.forget()
    assert guard.trouble(71 * MS) is found, 'not while it lasts'
    guard.heard(*CALM, 80 * MS)
    assert guard.trouble(81 * MS) is found, 'a hold relieves it'
    guard.forget()
    assert guard.trouble(81 * MS) is None


def test_contact_that_is_over_before_the_next_tick_stops_the_arm() -> None:
    """A blow of 5 ms came and went between two ticks, and nothing stopped."""
    guard = WrenchGuard(stops(wrench_timeout_s=5.0))
    rig = ControlRig(guards=[guard])
    guard.heard(*CALM, rig.clock.monotonic_ns())
    rig.pursue()
    rig.tick_until(lambda status: status.state is ControllerState.EXECUTING)
    now = rig.clock.monotonic_ns()
    guard.heard([0.0, 0.0, 100.0], [0.0, 0.0, 0.0], now + 5 * MS)
    guard.heard(*CALM, now + 10 * MS)
    with pytest.raises(ContactForceError):
        rig.controller.enable(True)  # asked for while it is enabled: forgets nothing
    status = rig.tick()
    assert (status.state, status.error_code) == (ControllerState.FAULT, 411)
    rig.controller.reset()
    rig.controller.enable(True)
    assert rig.tick().state is ControllerState.IDLE


def test_contact_that_lasts_keeps_motion_from_being_enabled() -> None:
    guard = WrenchGuard(stops(wrench_timeout_s=5.0))
    rig = ControlRig(guards=[guard])
    rig.tick()
    guard.heard([0.0, 0.0, 100.0], [0.0, 0.0, 0.0], rig.clock.monotonic_ns())
    for _ in range(2):
        with pytest.raises(ContactForceError):
            rig.controller.enable(True)
        rig.controller.reset()
    guard.heard(*CALM, rig.clock.monotonic_ns())
    rig.controller.enable(True)


@pytest.mark.parametrize('wrench', [([41.0, 0, 0], [0, 0, 0]), ([0, 0, 0], [0, 21.0, 0])])
def test_force_or_torque_of_twice_the_limit_stops_at_once(wrench: Any) -> None:
    guard = WrenchGuard(stops())
    assert isinstance(guard.heard(*wrench, 0), ContactForceError)


@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_wrench_that_is_not_finite_is_a_stop(value: float) -> None:
    guard = WrenchGuard(stops())
    assert isinstance(guard.heard([value, 0, 0], [0, 0, 0], 0), WrenchLostError)
    assert isinstance(guard.trouble(1), WrenchLostError)
    guard.heard(*CALM, 2)
    assert guard.trouble(3) is None


def test_silent_wrench_is_a_stop() -> None:
    guard = WrenchGuard(stops(wrench_timeout_s=0.2))
    assert isinstance(guard.trouble(0), WrenchLostError)
    guard.heard(*CALM, 0)
    assert guard.trouble(200 * MS) is None
    assert isinstance(guard.trouble(201 * MS), WrenchLostError)


# others -----------------------------------------------------------------------------------------


def test_second_publisher_is_named_with_its_topic() -> None:
    speaker = SoleSpeaker()
    speaker.heard({'/target_pose': 0, '/gripper_target': 0})
    assert speaker.trouble(0) is None
    speaker.heard({'/target_pose': 2, '/gripper_target': 0})
    found = speaker.trouble(0)
    assert isinstance(found, SecondPublisherError) and '2 on /target_pose' in found.message


def test_arm_that_is_faster_than_it_may_be_is_stopped() -> None:
    guard = SpeedGuard(max_speed_m_s=1.0, max_rotation_speed_rad_s=2.0)
    guard.heard(1.0, 2.0)
    assert guard.trouble(0) is None
    for speeds in ((1.01, 0.0), (0.0, 2.01)):
        guard.heard(*speeds)
        assert isinstance(guard.trouble(0), OverspeedError)


# in the controller ------------------------------------------------------------------------------


class Alarm:
    """A guard that says what a test tells it to."""

    def __init__(self) -> None:
        self.error: Any = None

    def trouble(self, monotonic_ns: int) -> Any:
        return self.error


@pytest.fixture
def rig() -> ControlRig:
    rig = ControlRig(guards=[Alarm()])
    rig.pursue()
    rig.tick_until(lambda status: status.state is ControllerState.EXECUTING)
    return rig


def alarm(rig: ControlRig) -> Alarm:
    found: Any = rig.controller._guards[0]
    return found


def test_guard_latches_a_fault_that_holds_until_reset(rig: ControlRig) -> None:
    alarm(rig).error = ContactForceError('ouch.')
    status = rig.tick()
    assert (status.state, status.error_code) == (ControllerState.FAULT, 411)
    assert status.termination is Termination.SAFETY_STOP
    place = rig.sent[-1].position_m
    rig.tick(10)
    assert np.array_equal(rig.sent[-1].position_m, place), 'it holds'
    with pytest.raises(FaultLatchedError, match='ouch'):
        rig.controller.enable(True)
    rig.controller.reset()
    with pytest.raises(ContactForceError):
        rig.controller.enable(True)  # still there
    alarm(rig).error = None
    rig.controller.enable(True)


def test_emergency_stop_guard_latches_and_cannot_be_reset_while_pressed(rig: ControlRig) -> None:
    alarm(rig).error = EmergencyStopLostError('silent.')
    assert rig.tick().state is ControllerState.EMERGENCY_STOP
    assert rig.status.error_code == 413
    with pytest.raises(EmergencyStopLostError):
        rig.controller.reset()
    alarm(rig).error = None
    assert rig.tick().state is ControllerState.EMERGENCY_STOP, 'it latches'
    rig.controller.reset()
    assert rig.tick().state is ControllerState.DISABLED


def test_second_publisher_silences_the_arm_after_one_hold(rig: ControlRig) -> None:
    alarm(rig).error = SecondPublisherError('two.')
    sent, holds = len(rig.sent), rig.sink.calls.count('hold')
    rig.tick(20)
    assert rig.status.state is ControllerState.FAULT and rig.status.error_code == 410
    assert rig.sink.calls.count('hold') == holds + 1
    assert len(rig.sent) == sent, 'no more targets'


def test_guards_say_nothing_to_an_arm_that_may_not_move() -> None:
    rig = ControlRig(guards=[Alarm()])
    alarm(rig).error = SecondPublisherError('somebody drives it by hand.')
    assert rig.tick().state is ControllerState.DISABLED
    with pytest.raises(SecondPublisherError):
        rig.controller.enable(True)
    assert rig.tick().state is ControllerState.DISABLED


def test_reset_makes_a_new_planner_where_the_thread_died(rig: ControlRig) -> None:
    rig.worker.is_dead = True
    assert rig.tick().error_code == 304
    rig.controller.reset()
    assert rig.worker.revivals == 1
    rig.pursue()
    rig.tick_until(lambda status: status.state is ControllerState.EXECUTING)
    rig.controller.reset()
    assert rig.worker.revivals == 1, 'a good one is left alone'


def test_arm_that_is_too_fast_is_told_nothing_any_more(rig: ControlRig) -> None:
    """A hold at a pose that may be wrong would be a motion."""
    alarm(rig).error = OverspeedError('fast.')
    calls = list(rig.sink.calls)
    rig.tick(20)
    assert rig.status.state is ControllerState.FAULT and rig.status.error_code == 414
    assert rig.sink.calls == [*calls, 'forget']


def test_arm_that_leaves_what_it_holds_is_followed_once_and_not_twice() -> None:
    """A tool pose with an offset made each hold a motion, and that the next offset."""
    rig = ControlRig()
    rig.controller.enable(True)
    rig.tick(3)
    rig.robot.place((0.5, 0.2, 0.3))
    rig.tick(3)
    np.testing.assert_allclose(rig.sent[-1].position_m, (0.5, 0.2, 0.3))
    rig.robot.place((0.5, 0.4, 0.3))
    status = rig.tick()
    assert (status.state, status.error_code) == (ControllerState.FAULT, 415)
    sent = len(rig.sent)
    rig.tick(10)
    assert len(rig.sent) == sent


def test_hold_is_where_the_arm_is_measured_but_not_outside_the_box() -> None:
    low, high = np.zeros(3), np.ones(3)
    inside, outside = a_state((0.5, 0.5, 0.5)), a_state((0.5, 0.5, 1.2), closedness=0.2)
    last = a_command((0.4, 0.5, 0.5), closedness=0.9)
    assert command_to_hold(None, None, low, high) is None
    assert command_to_hold(None, last, low, high) is last
    assert command_to_hold(outside, last, low, high) is last, 'a false measurement, or no way back'
    found = command_to_hold(inside, last, low, high)
    assert found is not None and found.gripper_closedness == 0.9, 'it keeps its grip'
    np.testing.assert_array_equal(found.position_m, inside.position_m)
    # An arm that began outside may stay there.
    alone = command_to_hold(outside, None, low, high)
    assert alone is not None and alone.position_m[2] == 1.2


def test_arm_that_is_far_outside_the_box_is_told_nothing_at_all() -> None:
    rig = ControlRig()
    rig.robot.place((0.5, 0.0, 5.0))
    rig.controller.enable(True)
    status = rig.tick(3)
    assert (status.state, status.error_code) == (ControllerState.FAULT, 403)
    assert rig.sent == []


# while something is latched, holds go out ---------------------------------------------------------


def latched_rig() -> ControlRig:
    """Return a rig whose planner has died, with the arm held, and two alarms."""
    rig = ControlRig(guards=[Alarm(), Alarm()])
    rig.pursue()
    rig.tick_until(lambda status: status.state is ControllerState.EXECUTING)
    rig.worker.is_dead = True
    assert rig.tick(5).error_code == 304
    assert rig.sink.calls[-1] == 'send', 'it is held'
    return rig


def test_second_publisher_silences_an_arm_that_is_held_by_a_fault() -> None:
    """Somebody frees the arm by hand: both commanded it."""
    rig = latched_rig()
    number = len(rig.sink.calls)
    alarm(rig).error = SecondPublisherError('teleop.')
    rig.tick(10)
    assert rig.sink.calls[number:] == ['hold']
    assert rig.status.error_code == 304, 'the first is what is to be mended'


def test_overspeed_silences_an_arm_that_is_held_by_a_fault() -> None:
    rig = latched_rig()
    number = len(rig.sink.calls)
    alarm(rig).error = OverspeedError('fast.')
    rig.tick(10)
    assert rig.sink.calls[number:] == ['forget']


def test_overspeed_silences_without_a_hold_beside_an_emergency_stop() -> None:
    rig = latched_rig()
    number = len(rig.sink.calls)
    alarm(rig).error = EmergencyStopLostError('silent.')
    second: Any = rig.controller._guards[1]
    second.error = OverspeedError('fast.')
    rig.tick(10)
    assert rig.sink.calls[number:] == ['forget']
    assert rig.status.state is ControllerState.EMERGENCY_STOP


def test_emergency_stop_takes_the_place_of_a_fault_and_never_the_other_way() -> None:
    rig = latched_rig()
    holds = rig.sink.calls.count('hold')
    alarm(rig).error = EmergencyStopLostError('silent.')
    status = rig.tick(10)
    assert (status.state, status.error_code) == (ControllerState.EMERGENCY_STOP, 413)
    assert rig.sink.calls.count('hold') == holds + 1, 'once, where the arm is'
    with pytest.raises(EmergencyStopLostError):
        rig.controller.reset()
    rig.sink.raises = DriverError('cable.')
    assert rig.tick(3).state is ControllerState.EMERGENCY_STOP


def test_contact_while_a_fault_is_latched_is_held_where_it_happens_once() -> None:
    rig = latched_rig()
    rig.robot.place((0.5, 0.01, 0.3))
    alarm(rig).error = ContactForceError('ouch.')
    rig.tick()
    place = rig.buffer.latest_state()
    assert place is not None and rig.sink.calls[-2:] == ['hold', 'send']
    rig.tick(10)
    np.testing.assert_allclose(rig.sent[-1].position_m, place.position_m, atol=1e-9)
    assert rig.sink.calls.count('hold') == 1, 'a pushed arm is not followed'
