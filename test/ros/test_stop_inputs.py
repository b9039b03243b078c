# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What stops a live node beside its commands: button, wrench, other publishers, transitions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import math
from typing import Any

import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from geometry_msgs.msg import PoseStamped, WrenchStamped  # noqa: E402
from lifecycle_msgs.msg import State, Transition  # noqa: E402
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from std_msgs.msg import Bool  # noqa: E402

from fakes.planner_harness import SLOW_ARM, PlannerHarness, held_still  # noqa: E402
from wm_planner.core.errors import (  # noqa: E402
    ContactForceError,
    EmergencyStopError,
    EmergencyStopLostError,
    SafetyError,
    SecondPublisherError,
    WrenchLostError,
)
from wm_planner.ros import qos  # noqa: E402
from wm_planner_msgs.msg import PlannerStatus  # noqa: E402

HOLD_TOLERANCE_M = 0.009


class Live(PlannerHarness):
    """A harness with what stops the arm at hand."""

    def publisher(self, kind: type, topic: str, quality: Any = qos.STATUS) -> Any:
        publisher = self.client.node.create_publisher(kind, topic, quality)
        self.wait(lambda: publisher.get_subscription_count() > 0, f'the listener of {topic}')
        return publisher

    def retry(self, ask: Callable[[], None], kind: type[SafetyError]) -> None:
        """Ask until what was in the way, ``kind``, is gone."""

        def is_done() -> bool:
            try:
                ask()
            except kind:
                return False
            return True

        self.wait(is_done, f'the end of {kind.__name__}')

    def press(self, button: Any, is_pressed: bool) -> None:
        button.publish(Bool(data=is_pressed))

    def wait_for_stop(self, state: int, code: int) -> PlannerStatus:
        status = self.wait_for_status(lambda s: s.state == state, f'state {state}')
        assert status.error_code == code, status.message
        assert held_still(self) < HOLD_TOLERANCE_M
        return status


@pytest.fixture(scope='class')
def live() -> Iterator[Live]:
    parameters = {
        **SLOW_ARM,
        'profile.stops.estop_topic': '/button',
        'profile.stops.wrench_topic': '/wrench',
        'profile.stops.max_force_n': 20.0,
        'profile.stops.wrench_timeout_s': 0.5,
    }
    with Live(parameters) as harness:
        feed = harness.robot.node.create_publisher(WrenchStamped, '/wrench', qos.STATE)
        harness.feed = feed  # type: ignore[attr-defined]
        harness.wrench = WrenchStamped()  # type: ignore[attr-defined]

        def publish() -> None:
            if harness.wrench is not None:  # type: ignore[attr-defined]
                feed.publish(harness.wrench)  # type: ignore[attr-defined]

        harness.robot.node.create_timer(0.02, publish)
        harness.retry(harness.client.enable, WrenchLostError)
        yield harness


def wrench(force: float) -> WrenchStamped:
    message = WrenchStamped()
    message.wrench.force.z = force
    return message


def test_motion_asked_for_from_the_start_waits_for_the_wrench() -> None:
    """Configuring and activating leave no time to hear one."""
    parameters = {**SLOW_ARM, 'profile.stops.wrench_topic': '/wrench', 'enable_at_start': True}
    with Live(parameters) as harness:
        harness.wait_for_status(lambda s: s.state == PlannerStatus.DISABLED, 'active, not enabled')
        feed = harness.robot.node.create_publisher(WrenchStamped, '/wrench', qos.STATE)
        harness.robot.node.create_timer(0.02, lambda: feed.publish(WrenchStamped()))
        harness.wait_for_status(lambda s: s.state == PlannerStatus.IDLE, 'enabled by itself')
        harness.client.enable(False)
        harness.wait_for_status(lambda s: s.state == PlannerStatus.DISABLED, 'disabled')
        harness.wait_for_status(lambda s: True, 'a status')
        assert harness.status.state == PlannerStatus.DISABLED, 'it does not enable itself again'


def test_hold_ends_the_wish_to_move_from_the_start() -> None:
    parameters = {**SLOW_ARM, 'profile.stops.wrench_topic': '/wrench', 'enable_at_start': True}
    with Live(parameters) as harness:
        harness.client.hold()
        feed = harness.robot.node.create_publisher(WrenchStamped, '/wrench', qos.STATE)
        harness.robot.node.create_timer(0.02, lambda: feed.publish(WrenchStamped()))
        harness.wait(lambda: feed.get_subscription_count() > 0, 'somebody hears the wrench')
        seen = len(harness.statuses)
        harness.wait(lambda: len(harness.statuses) > seen + 50, 'a second of statuses')
        assert {status.state for status in harness.statuses[seen:]} == {PlannerStatus.DISABLED}
        harness.client.enable()  # nothing stood against it


class TestLive:
    """One node for all of these; the fixture ends with the class: two planners would meet."""

    @pytest.mark.parametrize(
        'reliability', [ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT]
    )
    def test_button_stops_latches_and_must_be_released_before_reset(
        self, live: Live, reliability: ReliabilityPolicy
    ) -> None:
        quality = QoSProfile(depth=1, reliability=reliability, durability=DurabilityPolicy.VOLATILE)
        button = live.publisher(Bool, '/button', quality)
        live.press(button, False)
        live.set_off()
        live.press(button, True)
        status = live.wait_for_stop(PlannerStatus.EMERGENCY_STOP, 406)
        assert '/button' in status.message
        with pytest.raises(EmergencyStopError, match='pressed'):
            live.client.reset()
        live.press(button, False)
        live.wait_for_status(lambda _: True, 'a status')
        assert live.status.state == PlannerStatus.EMERGENCY_STOP, 'released is not reset'
        live.retry(live.client.reset, EmergencyStopError)
        live.wait_for_status(lambda s: s.state == PlannerStatus.DISABLED, 'disabled')
        live.client.node.destroy_publisher(button)
        live.set_off()

    def test_contact_stops_and_is_reset_when_free(self, live: Any) -> None:
        live.set_off()
        live.wrench = wrench(-50.0)
        status = live.wait_for_stop(PlannerStatus.FAULT, 411)
        assert '50.0 N' in status.message
        live.wrench = wrench(1.0)
        live.client.reset()
        live.retry(live.client.enable, ContactForceError)
        live.set_off()

    @pytest.mark.parametrize('broken', [wrench(math.nan), None])
    def test_wrench_that_is_lost_stops(self, live: Any, broken: Any) -> None:
        live.set_off()
        live.wrench = broken
        live.wait_for_stop(PlannerStatus.FAULT, 412)
        live.client.reset()
        with pytest.raises(WrenchLostError):
            live.client.enable()
        live.wrench = wrench(0.0)
        live.retry(live.client.enable, WrenchLostError)
        live.set_off()

    def test_second_publisher_of_targets_stops_and_silences(self, live: Live) -> None:
        live.set_off()
        other = live.publisher(PoseStamped, live.robot.profile.topics.target_pose, qos.COMMAND)
        status = live.wait_for_stop(PlannerStatus.FAULT, 410)
        assert '1 on /target_pose' in status.message
        number = len(live.robot.targets)
        held_still(live)
        assert len(live.robot.targets) == number, 'silent'
        live.client.reset()
        with pytest.raises(SecondPublisherError):
            live.client.enable()
        live.client.node.destroy_publisher(other)
        live.retry(live.client.enable, SecondPublisherError)
        live.set_off()

    def test_diagnostics_say_what_stops(self, live: Any) -> None:
        arrays: list[DiagnosticArray] = []
        listener = live.client.node.create_subscription(
            DiagnosticArray, '/diagnostics', arrays.append, qos.STATUS
        )

        def values() -> dict[str, str]:
            return {item.key: item.value for item in arrays[-1].status[0].values} if arrays else {}

        live.set_off()
        live.wait(lambda: values().get('stops') == 'none', 'no stops')
        assert float(values()['wrench_age_s']) < 1.0
        assert {f'latency_ms_p{p}' for p in (50, 95, 99)} <= set(values())
        live.wrench = wrench(99.0)
        live.wait(lambda: '[411]' in values().get('stops', ''), 'the stop on /diagnostics')
        assert '[411]' in arrays[-1].status[0].message or values()['error_code'] == '411'
        live.wrench = wrench(0.0)
        live.client.reset()
        live.client.node.destroy_subscription(listener)


def test_heartbeat_that_is_demanded_must_be_there_before_anything_moves() -> None:
    parameters = {
        **SLOW_ARM,
        'profile.stops.estop_topic': '/button',
        'profile.stops.estop_heartbeat_s': 0.5,
    }
    with Live(parameters) as harness:
        with pytest.raises(EmergencyStopLostError, match='nothing has come'):
            harness.client.enable()
        button = harness.robot.node.create_publisher(Bool, '/button', qos.STATUS)
        beat = harness.robot.node.create_timer(0.05, lambda: button.publish(Bool(data=False)))
        harness.retry(harness.client.enable, EmergencyStopLostError)
        harness.set_off()
        beat.cancel()
        status = harness.wait_for_stop(PlannerStatus.EMERGENCY_STOP, 413)
        assert 'silent' in status.message


# transitions ------------------------------------------------------------------------------------


def change_state(harness: PlannerHarness, transition: int) -> bool:
    """Make a transition in the thread that spins the node, as its service would."""
    planner = harness.planner
    triggers = {
        Transition.TRANSITION_CONFIGURE: planner.trigger_configure,
        Transition.TRANSITION_CLEANUP: planner.trigger_cleanup,
        Transition.TRANSITION_ACTIVATE: planner.trigger_activate,
        Transition.TRANSITION_DEACTIVATE: planner.trigger_deactivate,
        Transition.TRANSITION_ACTIVE_SHUTDOWN: planner.trigger_shutdown,
    }
    executor = planner.executor
    assert executor is not None
    task = executor.create_task(triggers[transition])
    harness.wait(task.done, 'the transition')
    return bool(task.result() == TransitionCallbackReturn.SUCCESS)


@pytest.mark.parametrize(
    ('transition', 'breaks', 'ends_in'),
    [
        (Transition.TRANSITION_DEACTIVATE, '', State.PRIMARY_STATE_INACTIVE),
        (Transition.TRANSITION_ACTIVE_SHUTDOWN, '', State.PRIMARY_STATE_FINALIZED),
        # One that raises goes through on_error, which must hold as well.
        (Transition.TRANSITION_DEACTIVATE, 'raises', State.PRIMARY_STATE_UNCONFIGURED),
    ],
)
def test_every_way_out_of_active_ends_in_a_hold(
    transition: int, breaks: str, ends_in: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PlannerHarness(SLOW_ARM) as harness:
        harness.set_off()
        if breaks:
            sabotage = harness.planner._desk.close
            calls: list[int] = []

            def close(reason: Any) -> None:
                sabotage(reason)
                calls.append(1)
                if len(calls) == 1:
                    raise RuntimeError('a transition that breaks')

            monkeypatch.setattr(harness.planner._desk, 'close', close)
        change_state(harness, transition)
        harness.wait_for_status(lambda s: s.state == PlannerStatus.INACTIVE, 'inactive')
        assert harness.planner._state_machine.current_state[0] == ends_in
        number = len(harness.robot.targets)
        held_still(harness)
        assert len(harness.robot.targets) == number, 'an inactive node sends nothing'
        # The last thing it heard was to stay where it was.
        place = harness.robot.targets[-1][1]
        before = [target for _, target, _ in harness.robot.targets[-3:-1]]
        assert min(float(abs(place - other).max()) for other in before) < HOLD_TOLERANCE_M


def test_motion_must_be_enabled_again_after_every_way_back_to_active() -> None:
    with PlannerHarness(SLOW_ARM) as harness:
        harness.set_off()
        for out, back in (
            ((Transition.TRANSITION_DEACTIVATE,), (Transition.TRANSITION_ACTIVATE,)),
            (
                (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP),
                (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE),
            ),
        ):
            for transition in (*out, *back):
                assert change_state(harness, transition)
            harness.wait_for_status(
                lambda s: s.state == PlannerStatus.DISABLED and s.image_age_s + s.state_age_s < 9,
                'active with data',
            )
            number = len(harness.robot.targets)
            goal = harness.goal([0.6, 0.2, 0.3])
            harness.client.set_goal_image(goal.image, goal_id='again')
            harness.wait_for_status(lambda s: s.goal_id == 'again', 'the goal')
            assert harness.status.state == PlannerStatus.DISABLED
            held_still(harness)
            assert len(harness.robot.targets) == number, 'not even a hold'
            harness.set_off()  # the sentinel
