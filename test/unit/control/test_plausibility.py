# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What is believed of frames, states and joints, and what is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fakes.values import a_state
from wm_planner.control.frame_buffer import FrameBuffer, FrameBufferConfig
from wm_planner.control.plausibility import (
    FrameWatch,
    PlausibilityConfig,
    StateWatch,
    require_scene,
)
from wm_planner.core.errors import (
    FrozenCameraError,
    ImplausibleJointsError,
    StateJumpError,
    UnusableFrameError,
)
from wm_planner.core.geometry import euler_to_quaternion

MS = 1_000_000
NAMES = ('one', 'two')


def scene(shift: int = 0) -> np.ndarray:
    rows = np.broadcast_to(np.arange(128, dtype=np.float64), (128, 128))
    waves = 128 + 60 * np.sin((rows + shift) / 9.0) + 40 * np.cos(rows.T / 13.0)
    return np.repeat(waves.astype(np.uint8)[..., None], 3, axis=2)


class Camera:
    """Frames at 10 Hz, states at 50 Hz, of a tool that is moved by hand."""

    def __init__(self, **config: Any) -> None:
        self.buffer = FrameBuffer(FrameBufferConfig(), context_frames=1)
        self.watch = FrameWatch(PlausibilityConfig(**config), self.buffer.state_near)
        self.now_ns = 1000 * MS
        self.x = 0.5

    def frame(self, image: np.ndarray, *, dx: float = 0.0) -> None:
        """Let a tenth of a second pass in which the tool moves ``dx``, then look at a frame."""
        for _ in range(5):
            self.now_ns += 20 * MS
            self.x += dx / 5
            state = a_state((self.x, 0.0, 0.3), stamp_ns=self.now_ns)
            self.buffer.push_state(state, now_ns=self.now_ns, monotonic_ns=self.now_ns)
        self.watch.look(self.now_ns, image)


@pytest.mark.parametrize(
    ('image', 'word'),
    [
        (np.zeros((128, 128, 3), np.uint8), 'black'),
        (np.full((480, 640, 3), 255, np.uint8), 'saturated'),
        (np.full((128, 128, 3), 90, np.uint8), 'one grey'),
        (np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8), 'noise'),
        (np.random.default_rng(0).integers(0, 9, (480, 640, 3), np.uint8), 'noise'),
    ],
)
def test_frame_that_shows_nothing_is_refused(image: np.ndarray, word: str) -> None:
    with pytest.raises(UnusableFrameError, match=word):
        require_scene(image, PlausibilityConfig())


def test_scene_is_believed_with_the_noise_of_a_camera() -> None:
    noise = np.random.default_rng(0).normal(0.0, 8.0, (128, 128, 3))
    require_scene((scene() + noise).clip(0, 255).astype(np.uint8), PlausibilityConfig())


def test_bad_frames_count_until_the_arm_is_to_hold() -> None:
    camera = Camera(bad_frames=2)
    dark = np.zeros((128, 128, 3), np.uint8)
    for is_bad in (False, True):
        with pytest.raises(UnusableFrameError):
            camera.frame(dark)
        assert camera.watch.is_bad is is_bad
    camera.frame(scene())
    assert not camera.watch.is_bad


def test_camera_is_frozen_when_its_picture_stays_while_the_tool_moves() -> None:
    camera = Camera(frozen_frames=3)
    for _ in range(30):  # an arm at rest sees the same picture for longer than states are kept
        camera.frame(scene())
    camera.frame(scene(), dx=0.03)  # the picture of before the motion may still be right
    for _ in range(2):
        camera.frame(scene(), dx=0.03)
        assert not camera.watch.is_bad
    with pytest.raises(FrozenCameraError, match='same picture'):
        camera.frame(scene(), dx=0.03)
    assert camera.watch.is_bad
    with pytest.raises(FrozenCameraError):  # also when the arm holds
        camera.frame(scene())
    camera.frame(scene(1))
    assert not camera.watch.is_bad


def test_camera_is_not_frozen_while_the_tool_rests_or_the_picture_changes() -> None:
    camera = Camera()
    for index in range(20):
        camera.frame(scene(), dx=0.004 * (-1) ** index)
    for index in range(20):
        camera.frame(scene(1 + index // 2), dx=0.03)
    assert not camera.watch.is_bad


def test_camera_that_never_repeats_itself_may_be_held_to_it() -> None:
    camera = Camera(frozen_motion_m=0.0, frozen_frames=2)
    camera.frame(scene())
    camera.frame(scene())
    with pytest.raises(FrozenCameraError):
        camera.frame(scene())


def test_frame_sent_twice_does_not_count() -> None:
    camera = Camera(frozen_frames=1)
    camera.frame(scene(), dx=0.1)
    camera.frame(scene(1), dx=0.1)
    for _ in range(5):
        camera.watch.look(camera.now_ns, scene(1))
        camera.watch.look(camera.now_ns - 100 * MS, scene())
    assert not camera.watch.is_bad


# states -----------------------------------------------------------------------------------------


def a_watch(**config: Any) -> StateWatch:
    return StateWatch(PlausibilityConfig(**config), max_speed_m_s=1.0, max_rotation_speed_rad_s=4.0)


def test_state_that_jumps_is_refused_until_it_is_confirmed() -> None:
    watch = a_watch(jump_confirm_s=0.1)
    assert not watch.look(a_state((0.4, 0.0, 0.3), stamp_ns=0))
    for tick in range(1, 6):
        with pytest.raises(StateJumpError, match='is 0.200 m'):
            watch.look(a_state((0.6, 0.0, 0.3), stamp_ns=tick * 20 * MS))
    assert watch.look(a_state((0.6, 0.0, 0.3), stamp_ns=120 * MS)), 'a new place'
    assert not watch.look(a_state((0.61, 0.0, 0.3), stamp_ns=140 * MS))


def test_states_that_jump_about_are_never_believed() -> None:
    watch = a_watch(jump_confirm_s=0.1)
    watch.look(a_state((0.5, 0.0, 0.3), stamp_ns=0))
    for tick in range(1, 10):
        with pytest.raises(StateJumpError):
            watch.look(a_state((0.5, 2.0 * (-1) ** tick, 0.3), stamp_ns=tick * 20 * MS))


def test_state_that_comes_back_after_a_spike_is_good_at_once() -> None:
    watch = a_watch()
    watch.look(a_state((0.5, 0.0, 0.3), stamp_ns=0))
    with pytest.raises(StateJumpError):
        watch.look(a_state((0.9, 0.0, 0.3), stamp_ns=20 * MS))
    assert not watch.look(a_state((0.51, 0.0, 0.3), stamp_ns=40 * MS))


def test_tool_that_turns_at_once_jumps_too() -> None:
    watch = a_watch()
    watch.look(a_state(stamp_ns=0))
    turned = euler_to_quaternion([3.14159, 0.0, 1.5])
    with pytest.raises(StateJumpError, match='1.5. rad'):
        watch.look(a_state(quaternion_xyzw=turned, stamp_ns=20 * MS))


def test_late_state_is_no_jump_unless_it_is_one() -> None:
    watch = a_watch()
    watch.look(a_state((0.5, 0.0, 0.3), stamp_ns=100 * MS))
    assert not watch.look(a_state((0.51, 0.0, 0.3), stamp_ns=60 * MS))
    with pytest.raises(StateJumpError):
        watch.look(a_state((0.9, 0.0, 0.3), stamp_ns=60 * MS))


def test_speed_is_that_of_the_last_tenth_of_a_second() -> None:
    watch = a_watch()
    assert watch.speeds() == (0.0, 0.0)
    for tick in range(20):
        watch.look(a_state((0.3 + 0.016 * tick, 0.0, 0.3), stamp_ns=tick * 20 * MS))
    assert watch.speeds()[0] == pytest.approx(0.8)
    place = (0.3 + 0.016 * 19, 0.0, 0.3)
    for tick in range(20, 30):
        watch.look(a_state(place, stamp_ns=tick * 20 * MS))
    assert watch.speeds() == (0.0, 0.0)


# joints -----------------------------------------------------------------------------------------


def test_joints_in_degrees_are_refused_with_the_right_number() -> None:
    with pytest.raises(ImplausibleJointsError, match=r'two at -45 rad.*-0.785 rad'):
        a_watch().look_at_joints(0, NAMES, np.array([0.0, -45.0]), '/joint_states')


def test_joints_that_jump_are_refused_until_confirmed() -> None:
    watch = a_watch(jump_confirm_s=0.1)
    watch.look_at_joints(0, NAMES, np.array([0.0, 1.0]), '/joint_states')
    for tick in range(1, 6):
        with pytest.raises(StateJumpError, match='two at -1.000 rad'):
            watch.look_at_joints(tick * 20 * MS, NAMES, np.array([0.0, -1.0]), '/joint_states')
    assert watch.look_at_joints(120 * MS, NAMES, np.array([0.0, -1.0]), '/joint_states')
    assert not watch.look_at_joints(140 * MS, NAMES, np.array([0.1, -1.1]), '/joint_states')
