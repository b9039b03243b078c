# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Bad input to the live node: a numbered sentence, an arm that holds, and life goes on."""

from __future__ import annotations

import array
from collections.abc import Callable, Iterator
import math
from pathlib import Path
import threading
import time
from typing import Any

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')

from rosgraph_msgs.msg import Clock  # noqa: E402

from fakes.planner_harness import QUICK, SLOW_ARM, PlannerHarness, held_still  # noqa: E402
from wm_planner.core.errors import (  # noqa: E402
    ChecksumError,
    FrameMismatchError,
    InvalidGoalError,
    InvalidImageError,
    NoDataError,
    UnknownNameError,
)
from wm_planner.models.tabletop.checkpoint import SHIPPED_WEIGHTS, card_path  # noqa: E402
from wm_planner.ros.conversions import image_to_message  # noqa: E402
from wm_planner.ros.planner_config import PlannerNodeConfig  # noqa: E402
from wm_planner.ros.stamps import stamp_from_ns, stamp_to_ns  # noqa: E402
from wm_planner_msgs.action import ReachGoal  # noqa: E402
from wm_planner_msgs.msg import PlannerStatus  # noqa: E402

HOLD_TOLERANCE_M = 0.009  # little more than one step; a moving arm takes several meanwhile


def spoiled(**changes: Any) -> Callable[[Any], Any]:
    """Return a change that sets fields, given as a path with dots written as two underscores."""

    def change(message: Any) -> Any:
        for path, value in changes.items():
            *parents, name = path.split('__')
            part = message
            for parent in parents:
                part = getattr(part, parent)
            setattr(part, name, value)
        return message

    return change


def ahead(message: Any) -> Any:
    message.header.stamp = stamp_from_ns(stamp_to_ns(message.header.stamp) + 5_000_000_000)
    return message


def without_last_joint(message: Any) -> Any:
    message.name, message.position = message.name[:-1], message.position[:-1]
    return message


def nan_joint(message: Any) -> Any:
    message.position[2] = math.nan
    return message


ONE_PIXEL = spoiled(width=1, height=1, step=3, data=array.array('B', bytes(3)))

BAD_STREAMS = {
    'unknown encoding': ('image', spoiled(encoding='rgb9'), 101, 'valid: 8UC1'),
    'wrong step': ('image', spoiled(step=5), 101, 'has step 5; valid'),
    'zero size': ('image', spoiled(width=0), 101, '0x128 px; valid'),
    'one pixel': ('image', ONE_PIXEL, 101, '1x1 px; valid'),
    'short data': ('image', spoiled(data=array.array('B', b'xyz')), 101, 'holds 3 bytes; valid'),
    'wrong camera': ('image', spoiled(header__frame_id='wrist'), 105, "'exterior_camera_optical'"),
    'image from the future': ('image', ahead, 203, 'ahead of the clock; valid'),
    'NaN joint': ('joints', nan_joint, 106, 'non-finite positions of panda_joint3; valid'),
    'missing joint': ('joints', without_last_joint, 106, 'lacks the joints panda_finger_joint2'),
    'joints from the future': ('joints', ahead, 203, '/joint_states is stamped'),
    'no joints': ('joints', lambda _: None, 202, 'joint state'),
    'NaN pose': ('pose', spoiled(pose__position__x=math.nan), 106, 'valid: finite'),
    'zero quaternion': ('pose', spoiled(pose__orientation__x=0.0), 106, 'unit length'),
    'pose in another frame': ('pose', spoiled(header__frame_id='map'), 105, "valid: 'panda_link0'"),
    'pose from the future': ('pose', ahead, 203, 'ahead of the clock; valid'),
    'no frames': ('image', lambda _: None, 202, 'frame'),
    'no poses': ('pose', lambda _: None, 202, 'robot state'),
}


@pytest.fixture(scope='class')
def moving() -> Iterator[PlannerHarness]:
    with PlannerHarness(SLOW_ARM) as harness:
        yield harness


class TestMoving:
    """One node, one arm that is under way; every test leaves both as good as new."""

    @pytest.mark.parametrize('case', BAD_STREAMS)
    def test_arm_holds_and_says_why_when_a_stream_is_bad(
        self, moving: PlannerHarness, case: str
    ) -> None:
        stream, change, code, words = BAD_STREAMS[case]
        moving.set_off()
        moving.robot.change[stream] = change
        try:
            status = moving.wait_for_status(
                lambda s: s.state == PlannerStatus.HOLDING and s.error_code == code,
                f'holding with error {code}',
            )
            assert words in status.message
            assert held_still(moving) < HOLD_TOLERANCE_M
            assert moving.status.state == PlannerStatus.HOLDING and moving.status.error_code == code
        finally:
            moving.robot.change.clear()
        # The sentinel: the same node, without help, takes the same goal up again.
        steps = moving.status.steps_executed
        moving.wait_for_status(
            lambda s: s.error_code == 0 and s.goal_id == 'far' and s.steps_executed > steps,
            'the arm goes on',
        )

    def test_one_bad_frame_is_skipped_when_the_next_is_good(self, moving: PlannerHarness) -> None:
        moving.set_off()
        bad: list[int] = []

        def spoil_once(message: Any) -> Any:
            if not bad:
                bad.append(1)
                message.encoding = 'rgb9'
            return message

        moving.robot.change['image'] = spoil_once
        moving.wait_for_status(lambda s: s.error_code == 101, 'the error')
        moving.robot.change.clear()
        steps = moving.status.steps_executed
        moving.wait_for_status(
            lambda s: s.error_code == 0 and s.steps_executed > steps, 'the arm goes on'
        )

    def test_planner_says_so_at_once_when_all_streams_stop(self, moving: PlannerHarness) -> None:
        """As when the simulator or the driver is killed: nothing more arrives, of anything."""
        moving.set_off()
        first = len(moving.statuses)
        moving.robot.is_running = False
        try:
            moving.wait_for_status(
                lambda s: s.state == PlannerStatus.HOLDING and s.error_code == 202, 'holding'
            )
            assert held_still(moving) < HOLD_TOLERANCE_M
        finally:
            moving.robot.is_running = True
        # On the very tick that finds the data old, however busy the machine is.
        limit_s = SLOW_ARM['buffer.max_image_age_s']
        too_late = [
            s
            for s in moving.statuses[first:]
            if s.image_age_s > limit_s and s.state != PlannerStatus.HOLDING
        ]
        assert too_late == []
        moving.wait_for_status(lambda s: s.error_code == 0, 'data are back')

    @pytest.mark.parametrize(
        ('change', 'error', 'words'),
        [
            (spoiled(encoding='rgb9'), InvalidImageError, 'rgb9'),
            (spoiled(step=5), InvalidImageError, 'step 5'),
            (spoiled(height=0), InvalidImageError, '128x0 px'),
            (ONE_PIXEL, InvalidImageError, '1x1 px'),
            (spoiled(header__frame_id='wrist'), FrameMismatchError, 'exterior_camera_optical'),
        ],
    )
    def test_goal_in_force_stays_when_another_is_bad(
        self,
        moving: PlannerHarness,
        change: Callable[[Any], Any],
        error: type[Exception],
        words: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        moving.set_off()
        bad = moving.robot.picture([0.5, 0.0, 0.3])
        monkeypatch.setattr(
            'wm_planner.ros.client.image_to_message', lambda image: change(image_to_message(image))
        )
        with pytest.raises(error, match=words):
            moving.client.set_goal_image(bad, goal_id='bad')
        with monkeypatch.context():
            steps = moving.status.steps_executed
            status = moving.wait_for_status(lambda s: s.steps_executed > steps, 'the arm goes on')
        assert status.goal_id == 'far'

    def test_goal_is_refused_when_it_is_no_picture_of_this_camera(
        self, moving: PlannerHarness
    ) -> None:
        with pytest.raises(InvalidGoalError, match='200x100 px and the camera gives 128x128'):
            moving.client.set_goal_image(np.zeros((100, 200, 3), np.uint8))
        with pytest.raises(InvalidImageError, match='red dot'):  # only the model can know that
            moving.client.set_goal_image(np.zeros((128, 128, 3), np.uint8))
        with pytest.raises(InvalidGoalError, match='gripper_closedness 1.5; valid'):
            moving.client.set_goal_image(
                moving.robot.picture([0.5, 0, 0.3]), gripper_closedness=1.5
            )


def test_goal_is_refused_when_no_frame_has_arrived() -> None:
    with PlannerHarness(QUICK, is_active=False) as harness:
        harness.robot.is_running = False
        harness.client.wait_until_active(30.0)
        harness.client.enable()
        # Frames that came before the robot was stopped would make the test pass for no reason.
        harness.planner._stack.buffer.clear()
        goal = harness.goal([0.5, 0.1, 0.3])
        with pytest.raises(NoDataError, match='no frame has arrived on /camera/exterior') as caught:
            harness.client.set_goal_image(goal.image)
        assert caught.value.code == 201
        result = harness.client.reach_goal([goal], timeout_s=10.0)
        assert (result.termination, result.error_code) == (ReachGoal.Result.STALE_DATA, 201)
        with pytest.raises(NoDataError):
            harness.client.capture_goal('nothing')
        assert harness.robot.targets == [], 'nothing may go out before the state is known'
        harness.robot.is_running = True
        harness.client.wait_for_data()
        assert harness.client.reach_goal([goal], timeout_s=20.0).is_reached


class ManualClock:
    """Publishes /clock at 100 Hz: wall time plus an offset that the test may change."""

    def __init__(self) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node('clock', context=self.context)
        self.publisher = self.node.create_publisher(Clock, '/clock', 10)
        self.offset_s = 0.0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        while not self.stop.wait(0.01):
            now_ns = round((time.monotonic() + self.offset_s) * 1e9)
            self.publisher.publish(Clock(clock=stamp_from_ns(now_ns)))

    def close(self) -> None:
        self.stop.set()
        self.thread.join(10)
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)


@pytest.fixture
def clock() -> Iterator[ManualClock]:
    found = ManualClock()
    found.offset_s = 1000.0
    yield found
    found.close()


def test_arm_holds_and_goes_on_when_the_clock_jumps_back(clock: ManualClock) -> None:
    with PlannerHarness({**SLOW_ARM, 'use_sim_time': True}) as harness:
        harness.set_off()
        clock.offset_s -= 100.0
        status = harness.wait_for_status(lambda s: s.error_code == 204, 'the clock jump')
        assert 'went back by' in status.message and status.state != PlannerStatus.EXECUTING
        steps = status.steps_executed
        harness.wait_for_status(
            lambda s: s.error_code == 0 and s.goal_id == 'far' and s.steps_executed > steps,
            'the arm goes on in the new time',
        )


def test_planner_says_so_when_simulated_time_stands_still(clock: ManualClock) -> None:
    """With a killed simulator /clock stops too: by that clock nothing grows old any more."""
    with PlannerHarness({**SLOW_ARM, 'use_sim_time': True}) as harness:
        harness.set_off()
        clock.stop.set()
        harness.robot.is_running = False
        status = harness.wait_for_status(
            lambda s: s.state == PlannerStatus.HOLDING and s.error_code == 202, 'holding'
        )
        assert 'wall time' in status.message


def test_defaults_notice_a_killed_simulator_within_a_second() -> None:
    config = PlannerNodeConfig()
    tick_s = 1.0 / config.control_rate_hz
    for limit_s in (
        config.buffer.stream_timeout_s,  # also when simulated time stands still
        config.buffer.max_image_age_s,
        config.buffer.max_state_age_s,
    ):
        assert limit_s + 2 * tick_s < 1.0


# what fails in configure --------------------------------------------------------------------------


def test_node_lives_and_names_the_models_when_the_model_is_unknown() -> None:
    with PlannerHarness({**QUICK, 'model': 'point_mas'}, is_active=False) as harness:
        with pytest.raises(UnknownNameError, match="Did you mean 'point_mass'.*Valid:.*tabletop"):
            harness.client.wait_until_active(20.0)
        for call in (harness.client.enable, harness.client.hold, harness.client.reset):
            with pytest.raises(UnknownNameError):
                call()
        with pytest.raises(UnknownNameError):
            harness.client.set_goal_image(harness.robot.picture([0.5, 0, 0.3]))
        result = harness.client.reach_goal([harness.goal([0.5, 0, 0.3])], timeout_s=10.0)
        assert result.error_code == UnknownNameError.code
        assert harness.robot.targets == []


def test_node_lives_and_says_why_when_the_weights_are_corrupt(tmp_path: Path) -> None:
    weights = tmp_path / 'weights.safetensors'
    content = bytearray(SHIPPED_WEIGHTS.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)
    card_path(weights).write_text(card_path(SHIPPED_WEIGHTS).read_text())
    parameters = {'model': 'tabletop', 'num_threads': 1, 'world_model.weights': str(weights)}
    with PlannerHarness(parameters, is_active=False) as harness:
        with pytest.raises(ChecksumError, match='weights.safetensors'):
            harness.client.wait_until_active(30.0)
        status = harness.wait_for_status(lambda s: s.error_code != 0, 'the error')
        assert status.state == PlannerStatus.INACTIVE and status.error_code == ChecksumError.code
