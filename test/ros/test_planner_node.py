# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The live planner node: lifecycle, services, parameters, topics and their quality of service."""

from __future__ import annotations

import array
from collections.abc import Iterator
import contextlib
import gc
import math
from pathlib import Path
import threading
from typing import Any

import cv2
import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from lifecycle_msgs.msg import State, Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import CompressedImage  # noqa: E402
from sensor_msgs.msg import Image as ImageMessage  # noqa: E402

from fakes.planner_harness import QUICK, SLOW_ARM, PlannerHarness, held_still  # noqa: E402
from fakes.waiting import wait_for  # noqa: E402
from wm_planner.core.errors import (  # noqa: E402
    EmergencyStopError,
    InvalidGoalError,
    InvalidParameterError,
    PlannerFailedError,
    PlanningError,
)
from wm_planner.ros import qos  # noqa: E402
from wm_planner.ros.conversions import image_from_message  # noqa: E402
from wm_planner.ros.goal_store import GoalStore  # noqa: E402
from wm_planner.ros.planner_config import load_planner  # noqa: E402
from wm_planner_msgs.msg import PlannerStatus  # noqa: E402

HOLD_TOLERANCE_M = 0.009


def call(harness: PlannerHarness, kind: Any, name: str, request: Any) -> Any:
    """Call a service of the planner node that PlannerClient has no method for."""
    topic = f'/wm_planner/{name}'
    known = [c for c in harness.client.node.clients if c.srv_name == topic]
    client = known[0] if known else harness.client.node.create_client(kind, topic)
    harness.wait(client.service_is_ready, name)
    future = client.call_async(request)
    harness.wait(future.done, f'the answer of {name}')
    return future.result()


def change_state(harness: PlannerHarness, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return bool(call(harness, ChangeState, 'change_state', request).success)


def lifecycle_state(harness: PlannerHarness) -> int:
    return int(call(harness, GetState, 'get_state', GetState.Request()).current_state.id)


def set_parameter(harness: PlannerHarness, name: str, value: Any) -> Any:
    request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
    return call(harness, SetParameters, 'set_parameters', request).results[0]


class TestServices:
    """One node for all of these; each test enables and resets what it needs."""

    @pytest.fixture(scope='class')
    @classmethod
    def goals_dir(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return tmp_path_factory.mktemp('goals')

    @pytest.fixture(scope='class')
    @classmethod
    def live(cls, goals_dir: Path) -> Iterator[PlannerHarness]:
        with PlannerHarness({**SLOW_ARM, 'goals_dir': str(goals_dir)}) as harness:
            yield harness

    def test_nothing_moves_before_motion_is_enabled(self, live: PlannerHarness) -> None:
        live.client.reset()
        number = len(live.robot.targets)
        goal_id = live.client.set_goal_image(live.robot.picture([0.6, 0.2, 0.3]))
        live.wait_for_status(lambda s: s.goal_id == goal_id, 'the goal')
        assert live.status.state == PlannerStatus.DISABLED
        held_still(live)
        assert len(live.robot.targets) == number, 'not even a hold'
        live.client.enable()  # the sentinel
        live.wait_for_status(lambda s: s.steps_executed > 0, 'the first step')

    def test_goal_gets_a_name_when_it_has_none(self, live: PlannerHarness) -> None:
        picture = live.robot.picture([0.6, 0.2, 0.3])
        first = live.client.set_goal_image(picture)
        second = live.client.set_goal_image(picture)
        assert first and second and first != second

    def test_goal_is_only_checked_when_start_is_false(self, live: PlannerHarness) -> None:
        live.set_off()
        live.client.set_goal_image(live.robot.picture([0.6, 0.2, 0.3]), goal_id='x', start=False)
        status = live.wait_for_status(lambda _: True, 'a status')
        assert status.goal_id == 'far'

    def test_executor_goes_on_while_a_goal_is_encoded(self, live: PlannerHarness) -> None:
        live.set_off()
        planner = live.planner._stack.worker._planner
        encode, begun, may_go_on = planner.prepare_goal, threading.Event(), threading.Event()

        def wait_and_encode(goal: Any) -> None:
            begun.set()
            assert may_go_on.wait(30)
            encode(goal)

        planner.prepare_goal = wait_and_encode
        try:
            picture = live.robot.picture([0.6, 0.2, 0.3])
            answer: list[str] = []
            seen = len(live.statuses)

            def feed() -> None:  # runs inside the client's own waits
                if begun.is_set() and len(live.statuses) > seen + 10:
                    may_go_on.set()

            timer = live.client.node.create_timer(0.01, feed)
            answer.append(live.client.set_goal_image(picture, goal_id='late'))
            live.client.node.destroy_timer(timer)
        finally:
            may_go_on.set()
            planner.prepare_goal = encode
        assert answer == ['late']
        live.wait_for_status(lambda s: s.goal_id == 'late', 'the goal')

    def test_goal_image_in_force_is_latched_for_late_joiners(self, live: PlannerHarness) -> None:
        picture = live.robot.picture([0.56, -0.1, 0.25])
        goal_id = live.client.set_goal_image(picture)
        live.wait_for_status(lambda s: s.goal_id == goal_id, 'the goal')
        found: list[ImageMessage] = []
        node = live.client.node
        node.create_subscription(ImageMessage, '/wm_planner/goal_image', found.append, qos.LATCHED)
        live.wait(lambda: found, 'the goal image')
        np.testing.assert_array_equal(image_from_message(found[-1]), picture)
        assert found[-1].header.frame_id == 'exterior_camera_optical'

    def test_hold_stops_the_arm_and_ends_the_goal(self, live: PlannerHarness) -> None:
        live.set_off()
        live.client.hold()
        live.wait_for_status(lambda s: s.state == PlannerStatus.HOLDING, 'holding')
        assert held_still(live) < HOLD_TOLERANCE_M
        live.set_off()  # the sentinel: a new goal moves it again

    def test_emergency_stop_latches_until_reset(self, live: PlannerHarness) -> None:
        live.set_off()
        live.client.emergency_stop()
        status = live.wait_for_status(
            lambda s: s.state == PlannerStatus.EMERGENCY_STOP, 'the emergency stop'
        )
        assert status.error_code == 406
        assert held_still(live) < HOLD_TOLERANCE_M
        with pytest.raises(EmergencyStopError, match='reset'):
            live.client.enable()
        with pytest.raises(EmergencyStopError):
            live.client.set_goal_image(live.robot.picture([0.6, 0.2, 0.3]))
        live.client.reset()
        live.wait_for_status(lambda s: s.state == PlannerStatus.DISABLED, 'disabled')
        live.set_off()

    def test_disabling_pauses_and_enabling_goes_on(self, live: PlannerHarness) -> None:
        live.set_off()
        live.client.enable(False)
        live.wait_for_status(lambda s: s.state == PlannerStatus.DISABLED, 'disabled')
        assert held_still(live) < HOLD_TOLERANCE_M
        steps = live.status.steps_executed
        live.client.enable()
        live.wait_for_status(lambda s: s.steps_executed > steps, 'the arm goes on')

    def test_capture_writes_picture_gripper_and_pose(
        self, live: PlannerHarness, goals_dir: Path
    ) -> None:
        live.client.hold()
        live.wait_for_status(lambda s: s.state == PlannerStatus.HOLDING, 'holding')
        held_still(live)
        path = live.client.capture_goal('here')
        assert Path(path) == goals_dir / 'here'
        stored = GoalStore(goals_dir).load('here')
        position = live.robot.position_m
        np.testing.assert_array_equal(
            stored.goal.image, live.robot.picture(position, live.robot.closedness)
        )
        assert stored.goal.pose is not None
        np.testing.assert_allclose(stored.goal.pose.position_m, position)
        assert stored.goal.gripper_closedness == pytest.approx(live.robot.closedness)
        assert stored.camera_frame == 'exterior_camera_optical'
        assert stored.base_frame == 'panda_link0'
        with pytest.raises(InvalidGoalError, match='exists'):
            live.client.capture_goal('here')
        live.client.capture_goal('here', overwrite=True)
        with pytest.raises(InvalidGoalError, match='goal name'):
            live.client.capture_goal('../up')

    def test_plans_say_how_they_came_about(self, live: PlannerHarness) -> None:
        plans: list[Any] = []
        live.client.on_plan = plans.append
        live.set_off()
        live.wait(lambda: plans, 'a plan')
        plan = plans[-1]
        assert plan.rollouts > 0 and plan.iterations > 0 and plan.horizon >= 1
        assert len(plan.actions) == plan.horizon * len(plan.action_names)
        assert 'total' in plan.stage_names and plan.latency_ms > 0.0
        assert plan.header.frame_id == 'panda_link0'

    def test_diagnostics_say_rates_ages_and_latencies(self, live: PlannerHarness) -> None:
        arrays: list[DiagnosticArray] = []
        live.client.node.create_subscription(
            DiagnosticArray, '/diagnostics', arrays.append, qos.STATUS
        )
        live.set_off()
        seen = len(arrays)
        live.wait(lambda: len(arrays) >= seen + 2, 'two reports')
        status = arrays[-1].status[0]
        assert status.name == 'wm_planner: planner'
        values = {item.key: item.value for item in status.values}
        for key in (
            'control_rate_hz',
            'image_rate_hz',
            'tool_pose_rate_hz',
            'joint_states_rate_hz',
            'image_callback_ms_p99',
            'tick_jitter_ms_p99',
            'plan_ms_p50',
            'plan_ms_p99',
            'latency_ms_p50',
            'latency_ms_p99',
            'image_age_s',
            'state_age_s',
        ):
            assert math.isfinite(float(values[key])), key
        assert float(values['image_rate_hz']) > 0.0
        live.robot.change['joints'] = lambda _: None
        try:
            live.wait(lambda: arrays[-1].status[0].level != DiagnosticStatus.OK, 'the warning')
        finally:
            live.robot.change.clear()

    def test_topics_have_the_quality_of_service_of_the_design(self, live: PlannerHarness) -> None:
        node = live.client.node
        best_effort, reliable = ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE

        def offered(topic: str) -> Any:
            found = [
                info.qos_profile
                for info in node.get_publishers_info_by_topic(topic)
                if info.node_name == 'wm_planner'
            ]
            assert len(found) == 1, topic
            return found[0]

        for topic, reliability, durability in (
            ('/wm_planner/status', reliable, DurabilityPolicy.VOLATILE),
            ('/wm_planner/plan_diagnostics', reliable, DurabilityPolicy.VOLATILE),
            ('/wm_planner/goal_image', reliable, DurabilityPolicy.TRANSIENT_LOCAL),
            ('/target_pose', reliable, DurabilityPolicy.VOLATILE),
            ('/gripper_target', reliable, DurabilityPolicy.VOLATILE),
        ):
            profile = offered(topic)
            assert (profile.reliability, profile.durability) == (reliability, durability), topic
        for topic in ('/camera/exterior/image_raw', '/joint_states', '/tool_pose'):
            wanted = [
                info.qos_profile.reliability
                for info in node.get_subscriptions_info_by_topic(topic)
                if info.node_name == 'wm_planner'
            ]
            assert wanted == [best_effort], topic

    def test_parameters_are_refused_by_number_while_configured(self, live: PlannerHarness) -> None:
        for name, value, words in (
            ('cem.num_sample', 5, "[104] unknown parameter 'cem.num_sample'. Did you mean"),
            ('cem.num_samples', 0, '[104] parameter cem.num_samples is 0; valid: int in'),
            ('buffer.max_image_age_s', math.nan, '[104] parameter buffer.max_image_age_s is nan'),
            ('model', 'tabletop', '[104] parameter model takes effect when'),
        ):
            result = set_parameter(live, name, value)
            assert not result.successful and result.reason.startswith(words), result.reason


# lifecycle ----------------------------------------------------------------------------------------


def test_lifecycle_by_hand_from_unconfigured_and_back() -> None:
    with PlannerHarness({**SLOW_ARM, 'autostart': False}, is_active=False) as harness:
        status = harness.wait_for_status(lambda _: True, 'a status')
        assert (status.state, status.error_code) == (PlannerStatus.INACTIVE, 0)
        with pytest.raises(PlanningError):
            harness.client.enable()
        assert change_state(harness, Transition.TRANSITION_CONFIGURE)
        assert lifecycle_state(harness) == State.PRIMARY_STATE_INACTIVE
        with pytest.raises(PlanningError, match='not active'):
            harness.client.set_goal_image(harness.robot.picture([0.5, 0.1, 0.3]))
        assert change_state(harness, Transition.TRANSITION_ACTIVATE)
        harness.client.wait_for_data()
        harness.set_off()

        assert change_state(harness, Transition.TRANSITION_DEACTIVATE)
        harness.wait_for_status(lambda s: s.state == PlannerStatus.INACTIVE, 'inactive')
        held_still(harness)  # the last hold may be on its way when the status says inactive
        number = len(harness.robot.targets)
        held_still(harness)
        assert len(harness.robot.targets) == number, 'an inactive node sends nothing'

        assert change_state(harness, Transition.TRANSITION_ACTIVATE)
        harness.client.wait_for_data()
        status = harness.wait_for_status(
            lambda s: s.state != PlannerStatus.INACTIVE, 'active again'
        )
        assert status.state == PlannerStatus.DISABLED and status.goal_count == 0
        harness.set_off()
        assert change_state(harness, Transition.TRANSITION_DEACTIVATE)
        assert change_state(harness, Transition.TRANSITION_CLEANUP)
        assert lifecycle_state(harness) == State.PRIMARY_STATE_UNCONFIGURED

        assert set_parameter(harness, 'cem.num_samples', 64).successful
        assert change_state(harness, Transition.TRANSITION_CONFIGURE)
        assert change_state(harness, Transition.TRANSITION_ACTIVATE)
        harness.client.wait_for_data()
        harness.set_off()
        assert change_state(harness, Transition.TRANSITION_ACTIVE_SHUTDOWN)
        harness.wait_for_status(lambda s: s.state == PlannerStatus.INACTIVE, 'inactive')


def test_wrong_name_can_be_put_right_without_a_restart() -> None:
    with PlannerHarness({**QUICK, 'planner': 'cme'}, is_active=False) as harness:
        status = harness.wait_for_status(lambda s: s.error_code != 0, 'the error')
        assert status.error_code == 103
        assert "unknown planner 'cme'. Did you mean 'cem'?" in status.message
        assert not change_state(harness, Transition.TRANSITION_CONFIGURE)
        assert lifecycle_state(harness) == State.PRIMARY_STATE_UNCONFIGURED
        assert set_parameter(harness, 'planner', 'cem').successful
        assert change_state(harness, Transition.TRANSITION_CONFIGURE)
        assert change_state(harness, Transition.TRANSITION_ACTIVATE)
        harness.client.wait_for_data()
        harness.client.enable()
        goal = harness.goal([0.5, 0.05, 0.3])
        assert harness.client.reach_goal([goal], timeout_s=30.0).is_reached


def test_stack_that_cannot_be_built_leaves_nothing_in_the_graph(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was left counted as a second publisher of commands until the process ended."""
    with PlannerHarness({**QUICK, 'autostart': False}, is_active=False) as harness:
        node = harness.planner
        before = len(list(node.publishers)), len(list(node.subscriptions))

        def broken(*arguments: Any, **named: Any) -> Any:
            raise RuntimeError('no controller')

        with monkeypatch.context() as patch:
            patch.setattr('wm_planner.ros.planner_stack.Controller', broken)
            assert not change_state(harness, Transition.TRANSITION_CONFIGURE)
        assert (len(list(node.publishers)), len(list(node.subscriptions))) == before
        assert change_state(harness, Transition.TRANSITION_CONFIGURE)
        assert change_state(harness, Transition.TRANSITION_ACTIVATE)
        harness.client.wait_for_data()
        harness.client.enable()


def test_preset_and_planner_shape_the_parameters_that_are_declared() -> None:
    parameters = {**QUICK, 'preset': 'realtim', 'icem.num_iterations': 3, 'planner': 'icem'}
    with PlannerHarness(parameters, is_active=False) as harness:
        status = harness.wait_for_status(lambda s: s.error_code != 0, 'the error')
        assert status.error_code == 103
        assert "unknown preset 'realtim'. Did you mean 'realtime'?" in status.message
        assert set_parameter(harness, 'preset', 'realtime').successful
        assert change_state(harness, Transition.TRANSITION_CONFIGURE)
        node = harness.planner
        assert node.get_parameter('icem.num_samples').value == 64  # the preset's
        assert node.get_parameter('icem.num_iterations').value == 3  # the user's
        assert node.get_parameter('planning.deadline_s').value == 0.1
        assert not node.has_parameter('cem.num_samples')

        assert change_state(harness, Transition.TRANSITION_CLEANUP)
        assert set_parameter(harness, 'preset', '').successful
        assert change_state(harness, Transition.TRANSITION_CONFIGURE)
        assert node.get_parameter('icem.num_samples').value == 256
        assert node.get_parameter('planning.deadline_s').value == 0.0


def test_node_says_why_when_it_cannot_be_activated() -> None:
    """Rclpy swallows what a transition raises: the node used to fall back without a word."""
    parameters = {**QUICK, 'profile.topics.image': 'no such topic!'}
    with PlannerHarness(parameters, is_active=False) as harness:
        status = harness.wait_for_status(lambda s: s.error_code != 0, 'the error')
        assert status.state == PlannerStatus.INACTIVE
        assert 'no such topic!' in status.message
        assert lifecycle_state(harness) == State.PRIMARY_STATE_INACTIVE


def test_compressed_frames_are_read_when_the_topic_is_compressed() -> None:
    topic = '/camera/exterior/image_raw/compressed'
    with PlannerHarness({**QUICK, 'profile.topics.image': topic}, is_active=False) as harness:
        publisher = harness.robot.node.create_publisher(CompressedImage, topic, qos.IMAGE)

        def compress(message: ImageMessage) -> None:
            bgr = cv2.cvtColor(image_from_message(message), cv2.COLOR_RGB2BGR)
            data = array.array('B', cv2.imencode('.png', bgr)[1].tobytes())
            publisher.publish(CompressedImage(header=message.header, format='png', data=data))

        harness.robot.change['image'] = compress
        harness.client.wait_until_active(30.0)
        harness.client.wait_for_data()
        harness.client.enable()
        goal = harness.goal([0.5, 0.05, 0.25])
        assert harness.client.reach_goal([goal], timeout_s=30.0).is_reached


def test_services_answer_while_the_model_loads() -> None:
    may_load = threading.Event()

    def load(config: Any, settings: Any) -> Any:
        assert may_load.wait(30)
        return load_planner(config, settings)

    with PlannerHarness(QUICK, load=load, is_active=False) as harness:
        try:
            status = harness.wait_for_status(lambda _: True, 'a status')
            assert status.message == "loading planner 'cem' with world model 'point_mass'"
            with pytest.raises(PlanningError, match='not loaded yet'):
                harness.client.enable()
        finally:
            may_load.set()
        harness.client.wait_until_active(30.0)


def test_motion_is_enabled_at_start_only_when_asked_for() -> None:
    with PlannerHarness({**QUICK, 'enable_at_start': True}) as harness:
        harness.wait_for_status(lambda s: s.state == PlannerStatus.IDLE, 'idle')


def test_nothing_goes_out_in_a_dry_run() -> None:
    with PlannerHarness({**SLOW_ARM, 'dry_run': True}) as harness:
        harness.set_off()
        assert harness.client.node.count_publishers('/target_pose') == 0
        assert harness.robot.targets == []


def test_node_is_not_made_when_a_parameter_is_unknown() -> None:
    with pytest.raises(InvalidParameterError, match="'cem.num_samples'"):
        PlannerHarness({**QUICK, 'cem.samples': 5})


# planners that fail -------------------------------------------------------------------------------


class Sabotaged:
    """A planner that can be told to raise or to hang in ``plan``."""

    def __init__(self, planner: Any) -> None:
        self._planner = planner
        self.error: Exception | None = None
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._planner, name)

    def plan(self, *args: Any, **kwargs: Any) -> Any:
        assert self.may_go_on.wait(60)
        if self.error is not None:
            raise self.error
        return self._planner.plan(*args, **kwargs)


def sabotaged_harness(made: list[Sabotaged], **parameters: Any) -> PlannerHarness:
    def load(config: Any, settings: Any) -> Sabotaged:
        made.append(Sabotaged(load_planner(config, settings)))
        return made[-1]

    return PlannerHarness({**SLOW_ARM, **parameters}, load=load)


def test_arm_holds_and_takes_new_goals_when_the_planner_raises() -> None:
    made: list[Sabotaged] = []
    with sabotaged_harness(made) as harness:
        harness.set_off()
        made[0].error = RuntimeError('CUDA error')
        status = harness.wait_for_status(lambda s: s.error_code == PlannerFailedError.code, 'it')
        assert 'RuntimeError: CUDA error' in status.message
        assert held_still(harness) < HOLD_TOLERANCE_M
        made[0].error = None
        harness.set_off()


def test_fault_latches_when_the_planner_hangs() -> None:
    made: list[Sabotaged] = []
    with sabotaged_harness(made, **{'controller.planner_timeout_s': 0.5}) as harness:
        harness.set_off()
        made[0].may_go_on.clear()
        try:
            status = harness.wait_for_status(lambda s: s.state == PlannerStatus.FAULT, 'the fault')
            assert status.error_code == 305
            assert held_still(harness) < HOLD_TOLERANCE_M
        finally:
            made[0].may_go_on.set()
        held_still(harness)
        assert harness.status.state == PlannerStatus.FAULT, 'latched, though the planner is back'
        harness.client.reset()
        harness.set_off()


def test_node_that_was_closed_is_out_of_the_graph_at_once() -> None:
    """Not when Python collects it: what it left answered for the next node of its name."""
    context = rclpy.Context()
    rclpy.init(context=context)
    watcher = rclpy.create_node('watcher', context=context)
    gc.disable()
    names = ('wm_planner', 'loopback_robot', 'wm_planner_client')

    def nodes() -> set[str]:
        return set(names) & set(watcher.get_node_names())

    try:
        for parameters in ({'autostart': False}, {'cem.samples': 5}):  # the latter is not made
            with (
                contextlib.suppress(InvalidParameterError),
                PlannerHarness({**QUICK, **parameters}, is_active=False),
            ):
                wait_for(lambda: nodes() == set(names), what='the graph')
            wait_for(lambda: not nodes(), what='an empty graph')
            assert watcher.count_services('/wm_planner/change_state') == 0
    finally:
        gc.enable()
        watcher.destroy_node()
        rclpy.try_shutdown(context=context)
