# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Controller: what moves the arm, what stops it, and in which order."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fakes.control_rig import ControlRig
from fakes.loopback_env import LoopbackEnv
from fakes.values import a_goal, a_profile
from wm_planner.control.controller import ControllerState, Termination
from wm_planner.core.errors import (
    EmergencyStopError,
    FaultLatchedError,
    InvalidGoalError,
    NoFiniteEnergyError,
    SimulatorError,
)

State = ControllerState


def executing_rig(**config):
    """Return a rig in the middle of a step of 6 cm along x."""
    rig = ControlRig(**config)
    rig.actions = [0.06, 0.0, 0.0, 0.0, 0.0]
    rig.pursue()
    rig.tick_until(lambda status: status.state is State.EXECUTING)
    rig.tick(2)
    assert rig.status.state is State.EXECUTING
    return rig


def assert_holds(rig, ticks=20):
    """Assert that from now on one and the same setpoint goes out, every tick."""
    sent = len(rig.sent)
    rig.tick(ticks)
    new = rig.sent[sent:]
    assert len(new) == ticks
    assert all(np.array_equal(command.position_m, new[0].position_m) for command in new)


# enabling ---------------------------------------------------------------------------------------


def test_nothing_is_sent_before_motion_is_enabled() -> None:
    rig = ControlRig()
    rig.controller.set_goals([a_goal()], now_ns=0)
    rig.tick(20)
    assert rig.status.state is State.DISABLED
    assert rig.sink.calls == []
    assert rig.worker.requests == []
    rig.controller.enable(True)  # the sentinel: the same ticks send once they may
    rig.tick()
    assert rig.sink.calls == ['send']


def test_enabled_arm_is_held_where_it_is_with_fresh_stamps() -> None:
    rig = ControlRig()
    rig.controller.enable(True)
    rig.tick(5)
    assert rig.status.state is State.IDLE
    assert all(np.allclose(command.position_m, (0.5, 0.0, 0.3)) for command in rig.sent)
    stamps = [command.stamp_ns for command in rig.sent]
    assert np.all(np.diff(stamps) == 20_000_000)
    assert stamps[-1] == rig.clock.now_ns()
    assert rig.status.sent is rig.sent[-1]


def test_hold_does_not_creep_after_a_sagging_arm() -> None:
    """Re-capturing the measured pose every tick would follow gravity to the table."""
    rig = ControlRig()
    rig.controller.enable(True)
    rig.tick()
    for tick in range(10):
        rig.robot.place((0.5, 0.0, 0.3 - 0.002 * tick))
        rig.tick()
    assert rig.sent[-1].position_m[2] == pytest.approx(0.3)


def test_arm_that_somebody_moved_away_is_held_where_it_was_put() -> None:
    rig = ControlRig()
    rig.controller.enable(True)
    rig.tick()
    rig.robot.place((0.5, 0.2, 0.3))  # more than a step of 14 cm
    rig.tick()
    assert rig.sent[-1].position_m == pytest.approx((0.5, 0.2, 0.3))


def test_disabling_stops_in_the_same_call_and_sends_nothing_more() -> None:
    rig = executing_rig()
    rig.controller.enable(False)
    assert rig.sink.calls[-1] == 'hold'
    rig.tick(30)
    assert rig.sink.calls[-1] == 'hold'
    assert rig.status.state is State.DISABLED
    assert rig.status.goal_id == 'goal'  # paused


def test_enabling_again_takes_the_goals_up_from_a_new_observation() -> None:
    rig = executing_rig()
    rig.controller.enable(False)
    rig.tick(10)
    before = len(rig.worker.requests)
    rig.controller.enable(True)
    rig.tick(2)
    assert len(rig.worker.requests) == before + 1
    rig.tick_until(lambda status: status.state is State.EXECUTING)


# the loop ---------------------------------------------------------------------------------------


def test_loop_observes_plans_executes_and_observes_again() -> None:
    rig = ControlRig()
    rig.pursue()
    states = []
    while rig.status.steps_executed < 3:
        if rig.worker.request is not None:
            rig.worker.answer()
        status = rig.tick()
        if not states or states[-1] is not status.state:
            states.append(status.state)
    assert states == [State.PLANNING, State.EXECUTING] * 3 + [State.PLANNING]
    assert rig.robot.state().position_m[0] == pytest.approx(0.5 + 3 * 0.02)


def test_each_observation_is_newer_than_the_end_of_the_last_step() -> None:
    rig = ControlRig()
    rig.pursue()
    ends = []
    for _ in range(100):
        if rig.worker.request is not None:
            rig.worker.answer()
        before = rig.statuses[-1].steps_executed
        if rig.tick().steps_executed > before:
            ends.append(rig.clock.now_ns())
    requests = rig.worker.requests[1:]
    assert len(requests) >= 4
    for end_ns, request in zip(ends, requests, strict=False):
        assert request.observation.stamp_ns >= end_ns


def test_next_frame_is_waited_for_without_an_alarm() -> None:
    """Between the end of a step and the next frame nothing is wrong."""
    rig = ControlRig()
    rig.pursue()
    rig.tick_until(lambda status: status.state is State.EXECUTING)
    rig.feeds_images = False
    for _ in range(20):
        status = rig.tick()
        assert (status.error_code, status.message) == (0, '')
    assert status.state is State.WAITING_FOR_DATA
    assert len(rig.worker.requests) == 1
    rig.feeds_images = True
    rig.tick()
    assert len(rig.worker.requests) == 2


def test_setpoint_is_republished_while_planning() -> None:
    rig = ControlRig()
    rig.pursue()
    rig.tick()
    assert rig.status.state is State.PLANNING
    assert_holds(rig, ticks=50)
    assert rig.status.state is State.PLANNING


def test_no_observation_is_queued_behind_a_busy_planner() -> None:
    rig = ControlRig()
    rig.worker.busy_ns = rig.clock.monotonic_ns()
    rig.pursue()
    rig.tick(10)
    assert rig.worker.requests == []
    rig.worker.busy_ns = None
    rig.tick()
    assert rig.worker.requests[0].observation.stamp_ns == rig.clock.now_ns()


def test_planner_hears_how_many_steps_of_its_last_plan_were_executed() -> None:
    rig = ControlRig(execute_steps=2)
    rig.pursue()
    rig.tick_until(lambda status: status.plans >= 3)
    assert rig.planner.executed_steps[:3] == [0, 2, 2]


def test_setpoints_never_move_faster_than_the_limit() -> None:
    rig = ControlRig()
    rig.actions = [0.06, 0.06, -0.04, 0.3, 1.0]
    rig.pursue()
    rig.tick_until(lambda status: status.steps_executed >= 2)
    positions = np.array([command.position_m for command in rig.sent])
    speeds = np.linalg.norm(np.diff(positions, axis=0), axis=1) / 0.02
    assert speeds.max() == pytest.approx(0.5, rel=1e-6)
    assert rig.status.commands_clamped == 0


def test_step_ends_at_its_target_to_the_last_bit() -> None:
    """A step as long as the way takes: no tick falls on its end."""
    rig = ControlRig(profile=a_profile(max_speed_m_s=0.3))
    rig.actions = [0.06, 0.06, 0.06, 0.0, 0.0]  # 346 ms, not a multiple of 20
    rig.pursue()
    rig.tick_until(lambda status: status.steps_executed == 1)
    assert rig.sent[-1].position_m == pytest.approx((0.56, 0.06, 0.36))


def test_grip_on_an_object_is_kept_while_holding() -> None:
    """Fingers stopped at 0.6 by an object: a hold at the measured width would let it slip."""
    rig = ControlRig(robot=LoopbackEnv(gripper_rate_1_s=0.0))
    rig.robot.place((0.5, 0.0, 0.3), gripper_closedness=0.6)
    rig.actions = [0.0, 0.0, 0.0, 0.0, 1.0]
    rig.pursue()
    rig.tick_until(lambda status: status.steps_executed == 1)
    rig.controller.emergency_stop('test')
    rig.tick(5)
    assert rig.sent[-1].gripper_closedness == 1.0


# goals ------------------------------------------------------------------------------------------


def test_goal_is_reached_and_the_arm_stays() -> None:
    rig = ControlRig()
    list_id = rig.pursue()
    rig.tick_until(lambda status: status.plans == 2)
    rig.energy = 0.05
    ended = rig.tick_until(lambda status: status.termination is not None)
    assert ended.termination is Termination.REACHED
    assert ended.state is State.REACHED
    assert ended.goal_list_id == list_id
    assert ended.goal_energies == (0.05,)
    assert ended.error_code == 0
    assert rig.tick().termination is None  # once
    assert rig.status.state is State.REACHED
    assert_holds(rig)


def test_goals_are_pursued_in_order() -> None:
    rig = ControlRig()
    rig.pursue('a', 'b', steps=(2, 3), tolerance=-1.0)
    ended = rig.tick_until(lambda status: status.termination is not None)
    assert ended.termination is Termination.TIMEOUT
    assert ended.goal_steps == (2, 3)
    assert (ended.goal_id, ended.goal_index, ended.goal_count) == ('b', 1, 2)
    assert [request.goal.goal_id for request in rig.worker.requests] == list('aabbb')
    assert rig.tick().state is State.IDLE
    assert (rig.status.goal_id, rig.status.goal_count) == ('', 0)


@pytest.mark.parametrize(
    ('given', 'in_force'), [(None, 0.1), (0.0, 0.1), (math.nan, 0.1), (0.7, 0.7), (-1.0, -1.0)]
)
def test_tolerance_is_the_models_own_unless_one_is_given(given, in_force) -> None:
    rig = ControlRig()
    rig.pursue(tolerance=given)
    assert rig.tick().goal_tolerance == in_force


def test_plan_for_an_old_goal_is_never_executed() -> None:
    """The goal is replaced while the planner works; its answer is about the wrong picture."""
    rig = ControlRig()
    rig.pursue('old')
    rig.tick()
    old_request = rig.worker.request
    rig.controller.set_goals([a_goal('new')], now_ns=rig.clock.now_ns())
    rig.worker.answer()  # to the old request
    status = rig.tick()
    assert old_request.goal.goal_id == 'old'
    assert status.latest_plan is None
    assert status.plans == 0
    assert_holds(rig, ticks=3)
    assert rig.worker.request.goal.goal_id == 'new'


def test_answer_to_an_earlier_request_is_not_taken_for_that_to_the_present_one() -> None:
    rig = ControlRig()
    rig.pursue('same')
    rig.tick()
    old_request = rig.worker.request
    rig.controller.set_goals([a_goal('same')], now_ns=rig.clock.now_ns())
    rig.tick()
    assert rig.worker.request is not old_request
    rig.worker.request = old_request
    rig.worker.answer()
    status = rig.tick()
    assert (status.state, status.plans) == (State.PLANNING, 0)


def test_plan_for_an_old_goal_of_the_same_name_is_never_executed() -> None:
    rig = ControlRig()
    rig.pursue('same')
    rig.tick()
    rig.controller.set_goals([a_goal('same')], now_ns=rig.clock.now_ns())
    rig.worker.answer()
    assert rig.tick().state is not State.EXECUTING


def test_replacing_goals_stops_the_step_and_reports_no_end() -> None:
    rig = executing_rig()
    second = rig.controller.set_goals([a_goal('new')], now_ns=rig.clock.now_ns())
    stopped_at = rig.sent[-1].position_m
    status = rig.tick()
    assert status.termination is None
    assert (status.goal_list_id, status.steps_executed) == (second, 0)
    assert np.array_equal(rig.sent[-1].position_m, stopped_at)


def test_clearing_goals_cancels_and_holds() -> None:
    rig = executing_rig()
    rig.controller.clear_goals('the client went away.')
    status = rig.tick()
    assert status.termination is Termination.CANCELED
    assert status.message == 'the client went away.'
    assert status.state is State.IDLE
    assert_holds(rig)


def test_goals_that_make_no_sense_leave_those_in_force() -> None:
    rig = executing_rig()
    with pytest.raises(InvalidGoalError):
        rig.controller.set_goals([], now_ns=0)
    assert rig.tick().state is State.EXECUTING


# data -------------------------------------------------------------------------------------------


def test_goal_before_any_data_waits() -> None:
    rig = ControlRig()
    rig.feeds_images = rig.feeds_states = False
    rig.pursue()
    status = rig.tick()
    assert status.state is State.WAITING_FOR_DATA
    assert (status.error_code, status.message) == (201, 'no frame has arrived yet.')
    assert math.isnan(status.image_age_s)
    assert rig.sent == []
    rig.feeds_images = rig.feeds_states = True
    rig.tick_until(lambda status: status.state is State.EXECUTING)


@pytest.mark.parametrize('stream', ['images', 'states'])
def test_stale_data_stop_the_arm_in_the_tick_that_notices(stream) -> None:
    rig = executing_rig()
    rig.actions = [0.0] * 5
    setattr(rig, f'feeds_{stream}', False)
    rig.clock.advance(0.7)
    status = rig.tick()
    assert status.state is State.HOLDING
    assert status.error_code == 202
    assert 'old' in status.message
    assert status.termination is None


def test_arm_holds_its_setpoint_while_frames_are_stale() -> None:
    rig = executing_rig()
    rig.feeds_images = False
    rig.tick(40)
    assert rig.status.state is State.HOLDING
    assert_holds(rig)


def test_nothing_is_sent_while_the_robot_state_is_unknown() -> None:
    rig = executing_rig()
    rig.feeds_states = False
    rig.tick(40)
    assert rig.status.state is State.HOLDING
    assert rig.sink.calls[-1] == 'stay'
    assert rig.sink.calls.count('stay') == 1  # on the edge, not every tick
    rig.feeds_states = True
    rig.tick()
    assert rig.sink.calls[-1] == 'send'


def test_pursuit_goes_on_by_itself_when_data_return() -> None:
    rig = executing_rig()
    rig.feeds_images = rig.feeds_states = False
    rig.tick(50)
    assert rig.status.state is State.HOLDING
    rig.feeds_images = rig.feeds_states = True
    rig.tick_until(lambda status: status.steps_executed >= 1)


def test_killed_simulator_that_stops_the_clock_is_noticed_within_a_second() -> None:
    """With use_sim_time nothing ages when /clock stops: wall time must tell."""
    rig = executing_rig()
    waited_s = 0.0
    while rig.status.state is State.EXECUTING:
        rig.clock.advance_frozen(0.02)
        waited_s += 0.02
        rig.tick_frozen()
        assert waited_s < 1.0
    assert rig.status.state is State.HOLDING
    assert rig.status.error_code == 202
    assert 'wall time' in rig.status.message


def test_goals_end_when_data_stay_away() -> None:
    rig = executing_rig(stale_timeout_s=2.0)
    for _ in range(200):
        rig.clock.advance_frozen(0.02)
        if rig.tick_frozen().termination is not None:
            break
    assert rig.status.termination is Termination.STALE_DATA
    assert rig.status.error_code == 202
    assert rig.status.state is State.HOLDING
    rig.tick(3)
    assert rig.status.state is State.IDLE  # data are back, the goals are not


def test_plan_that_arrives_while_data_are_stale_is_dropped() -> None:
    rig = ControlRig()
    rig.pursue()
    rig.tick()
    rig.feeds_images = False
    rig.tick(40)
    rig.worker.answer()
    status = rig.tick()
    assert status.state is State.HOLDING
    assert (status.plans, status.plans_dropped) == (1, 1)
    rig.feeds_images = True
    rig.tick()
    assert len(rig.worker.requests) == 2


def test_stale_data_are_reported_without_goals_too() -> None:
    rig = ControlRig()
    rig.tick()
    rig.clock.advance(5.0)
    assert rig.tick_frozen().error_code == 202
    assert rig.status.state is State.DISABLED
    rig.controller.enable(True)
    assert rig.tick_frozen().state is State.HOLDING


def test_clock_that_jumps_back_stops_the_arm_resets_the_planner_and_goes_on() -> None:
    rig = executing_rig()
    rig.clock.jump(-0.9)
    rig.clock.advance_frozen(0.02)
    status = rig.tick_frozen()
    assert status.state is State.HOLDING
    assert status.error_code == 204
    assert rig.worker.resets == 1
    assert status.termination is None
    rig.robot.time_ns = rig.clock.now_ns()
    rig.robot.place(rig.robot.state().position_m)
    rig.tick_until(lambda status: status.steps_executed >= 1)
    assert rig.worker.requests[-1].observation.stamp_ns <= rig.clock.now_ns()


def test_plan_from_before_a_clock_jump_is_not_executed() -> None:
    rig = ControlRig()
    rig.pursue()
    rig.tick()
    request = rig.worker.request
    rig.clock.jump(-0.9)
    rig.tick_frozen()
    rig.worker.request = request  # it was begun already when the planner was reset
    rig.worker.answer()
    rig.robot.time_ns = rig.clock.now_ns()
    rig.robot.place((0.5, 0.0, 0.3))
    assert rig.tick().state is not State.EXECUTING


# plans ------------------------------------------------------------------------------------------


def test_late_plan_is_dropped_and_a_new_one_asked_for() -> None:
    rig = ControlRig(max_plan_age_s=0.5)
    rig.pursue()
    rig.tick(40)  # 0.8 s
    rig.worker.answer()
    status = rig.tick()
    assert status.state is State.PLANNING
    assert status.plans_dropped == 1
    assert len(rig.worker.requests) == 2
    assert rig.planner.executed_steps == [0]
    rig.tick_until(lambda status: status.state is State.EXECUTING)


def test_plans_that_are_always_late_end_the_goals_with_the_reason() -> None:
    rig = ControlRig(max_plan_age_s=0.5, max_dropped_plans=3)
    rig.pursue()
    rig.tick()
    for _ in range(3):
        rig.tick(40)
        rig.worker.answer()
        rig.tick()
    assert rig.status.termination is Termination.PLANNER_FAILED
    assert rig.status.error_code == 405
    assert 'deadline' in rig.status.message
    assert rig.status.plans_dropped == 3


def test_planner_that_raised_ends_the_goals_and_new_ones_may_be_set() -> None:
    rig = ControlRig()
    rig.pursue()
    rig.tick()
    rig.worker.answer(error=NoFiniteEnergyError('0 of 256'))
    status = rig.tick()
    assert status.termination is Termination.PLANNER_FAILED
    assert status.state is State.HOLDING
    assert status.error_code == 303
    assert_holds(rig)
    assert rig.status.error_code == 303  # until something is done about it
    rig.controller.set_goals([a_goal()], now_ns=rig.clock.now_ns())
    rig.tick_until(lambda status: status.state is State.EXECUTING)


@pytest.mark.parametrize(
    ('actions', 'code'),
    [
        ([math.nan, 0, 0, 0, 0], 402),
        ([0, 0, math.inf, 0, 0], 402),
        ([0, 3.0, 0, 0, 0], 403),
        ([0, 0.35, 0, 0, 0], 404),
    ],
)
def test_plan_that_the_safety_filter_refuses_moves_nothing_and_ends_the_goals(
    actions, code
) -> None:
    rig = ControlRig()
    rig.actions = actions
    rig.pursue()
    ended = rig.tick_until(lambda status: status.termination is not None)
    assert ended.termination is Termination.SAFETY_STOP
    assert ended.state is State.HOLDING
    assert ended.error_code == code
    assert ended.commands_refused == 1
    assert_holds(rig)
    assert rig.robot.state().position_m == pytest.approx((0.5, 0.0, 0.3))


def test_plan_for_another_goal_is_a_planner_failure() -> None:
    rig = ControlRig()
    rig.pursue()
    rig.tick()
    original = rig.planner.answer
    rig.planner.answer = lambda observation, goal: original(observation, a_goal('other'))
    rig.worker.answer()
    assert rig.tick().termination is Termination.PLANNER_FAILED


def test_latest_plan_is_reported_on_the_tick_it_arrived() -> None:
    rig = ControlRig()
    rig.pursue()
    rig.tick()
    rig.worker.answer()
    assert rig.tick().latest_plan.goal_id == 'goal'
    assert rig.tick().latest_plan is None


# hold, faults, emergency stop -------------------------------------------------------------------


def test_hold_stops_ends_the_goals_and_stays() -> None:
    rig = executing_rig()
    rig.controller.hold()
    assert rig.sink.calls[-1] == 'hold'
    status = rig.tick()
    assert (status.state, status.termination) == (State.HOLDING, Termination.SAFETY_STOP)
    assert_holds(rig, ticks=50)
    assert (rig.status.state, rig.status.error_code) == (State.HOLDING, 0)
    rig.controller.set_goals([a_goal()], now_ns=rig.clock.now_ns())
    rig.tick_until(lambda status: status.state is State.EXECUTING)


def test_enabling_again_ends_a_hold() -> None:
    rig = executing_rig()
    rig.controller.hold()
    rig.controller.enable(True)
    rig.tick(2)
    assert rig.status.state in (State.IDLE, State.HOLDING)
    assert rig.status.goal_id == ''


def test_emergency_stop_while_moving_stops_at_the_measured_pose_and_latches() -> None:
    rig = executing_rig()
    measured = rig.robot.state().position_m
    rig.controller.emergency_stop('button')
    assert rig.sink.calls[-1] == 'hold'
    status = rig.tick()
    assert status.state is State.EMERGENCY_STOP
    assert status.termination is Termination.SAFETY_STOP
    assert (status.error_code, status.message) == (406, 'emergency stop: button')
    rig.tick(20)
    assert rig.sent[-1].position_m == pytest.approx(measured, abs=1e-6)
    for forbidden in (
        lambda: rig.controller.enable(True),
        lambda: rig.controller.set_goals([a_goal()], now_ns=0),
    ):
        with pytest.raises(EmergencyStopError, match='reset first'):
            forbidden()
    assert_holds(rig)


def test_plan_that_arrives_after_an_emergency_stop_moves_nothing() -> None:
    rig = ControlRig()
    rig.pursue()
    rig.tick()
    rig.controller.emergency_stop('button')
    rig.worker.answer()
    assert_holds(rig, ticks=30)
    assert rig.status.state is State.EMERGENCY_STOP


def test_reset_leaves_the_latch_and_motion_must_be_enabled_again() -> None:
    rig = executing_rig()
    rig.controller.emergency_stop('button')
    rig.tick()
    rig.controller.reset()
    sent = len(rig.sent)
    rig.tick(10)
    assert rig.status.state is State.DISABLED
    assert len(rig.sent) == sent
    assert rig.worker.resets == 1
    rig.controller.enable(True)
    rig.tick(2)
    assert rig.status.state is State.IDLE
    assert rig.status.goal_id == ''


def test_dead_planning_thread_is_a_latched_fault() -> None:
    rig = executing_rig()
    rig.worker.is_dead = True
    status = rig.tick()
    assert status.state is State.FAULT
    assert status.termination is Termination.PLANNER_FAILED
    assert status.error_code == 304
    rig.worker.is_dead = False
    assert rig.tick().state is State.FAULT
    with pytest.raises(FaultLatchedError, match='reset first'):
        rig.controller.enable(True)
    assert_holds(rig)
    rig.controller.reset()
    assert rig.tick().state is State.DISABLED


@pytest.mark.parametrize(('seconds', 'is_fault'), [(14.9, False), (15.1, True)])
def test_planner_that_does_not_answer_is_a_fault(seconds, is_fault) -> None:
    rig = ControlRig(planner_timeout_s=15.0)
    rig.pursue()
    rig.tick()
    rig.worker.busy_ns = rig.clock.monotonic_ns()
    rig.clock.advance(seconds)
    rig.feed()
    status = rig.tick_frozen()
    assert (status.state is State.FAULT) is is_fault
    if is_fault:
        assert status.error_code == 305
        assert status.termination is Termination.PLANNER_FAILED


def test_request_that_got_lost_is_a_fault_and_not_an_endless_wait() -> None:
    rig = ControlRig(planner_timeout_s=1.0)
    rig.pursue()
    rig.tick()
    rig.worker.request = None  # nobody will answer, and nobody is busy
    rig.tick(60)
    assert rig.status.state is State.FAULT


def test_goal_encoding_that_hangs_is_a_fault_without_goals() -> None:
    rig = ControlRig(planner_timeout_s=1.0)
    rig.worker.busy_ns = rig.clock.monotonic_ns()
    rig.tick(60)
    assert rig.status.state is State.FAULT


def test_sink_that_raises_is_a_fault() -> None:
    rig = executing_rig()
    rig.sink.raises = SimulatorError('no simulator')
    status = rig.tick()
    assert (status.state, status.error_code) == (State.FAULT, 501)
    assert status.termination is Termination.SAFETY_STOP


def test_sink_that_raises_something_else_is_a_driver_fault() -> None:
    rig = executing_rig()
    rig.sink.raises = OSError('cable')
    assert rig.tick().error_code == 500
    assert 'OSError: cable' in rig.status.message


def test_last_thing_the_sink_hears_is_hold() -> None:
    rig = executing_rig()
    rig.controller.shutdown()
    assert rig.sink.calls[-1] == 'hold'
    status = rig.tick()
    assert status.state is State.INACTIVE
    assert status.termination is Termination.CANCELED
    rig.controller.enable(True)
    rig.controller.shutdown()
    rig.tick(20)
    assert rig.sink.calls[-1] == 'hold'
    assert rig.sink.calls.count('hold') == 1
