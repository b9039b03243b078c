# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""FrameBuffer: late, double, missing, old and future data, and clocks that jump or freeze."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fakes.values import a_state, an_image
from wm_planner.control.frame_buffer import FrameBuffer, FrameBufferConfig
from wm_planner.core.errors import (
    ClockJumpError,
    FutureStampError,
    GapError,
    InvalidImageError,
    InvalidParameterError,
    NoDataError,
    StaleDataError,
)
from wm_planner.core.types import NotReady, Observation

MS = 1_000_000
START = 10_000 * MS


class Feed:
    """A buffer and the two clocks in milliseconds; wall time runs with ROS time unless told."""

    def __init__(self, *, frames=1, wants_wrist=False, **config):
        settings = {
            'step_interval_s': 0.25,
            'interval_tolerance_s': 0.06,
            'max_image_age_s': 0.6,
            'max_state_age_s': 0.3,
            'max_state_skew_s': 0.1,
            'max_future_s': 0.2,
            'clock_jump_s': 0.2,
            'stream_timeout_s': 0.75,
        }
        self.buffer = FrameBuffer(
            FrameBufferConfig(**{**settings, **config}),
            context_frames=frames,
            wants_wrist=wants_wrist,
        )
        self.now_ms = 0.0
        self.wall_ms = 500.0

    def run(self, milliseconds, *, wall=None):
        self.now_ms += milliseconds
        self.wall_ms += milliseconds if wall is None else wall

    @property
    def times(self):
        return {'now_ns': self.ns(self.now_ms), 'monotonic_ns': round(self.wall_ms * MS)}

    @staticmethod
    def ns(milliseconds):
        return START + round(milliseconds * MS)

    def image(self, at_ms, value=None):
        """Push a frame whose pixels say when it was taken."""
        picture = an_image(round(at_ms) % 251 if value is None else value)
        self.buffer.push_image(self.ns(at_ms), picture, **self.times)

    def state(self, at_ms):
        self.buffer.push_state(a_state(stamp_ns=self.ns(at_ms)), **self.times)

    def both(self, *at_ms):
        for stamp in at_ms:
            self.image(stamp)
            self.state(stamp)

    def snapshot(self, **arguments):
        return self.buffer.snapshot(*self.times.values(), **arguments)

    def freshness(self):
        return self.buffer.freshness(*self.times.values())


def assert_refused(found, error, match):
    assert isinstance(found, NotReady)
    assert type(found.error) is error
    assert match in found.reason


def assert_frames(found, *at_ms):
    assert isinstance(found, Observation), found
    assert found.image_stamps_ns == tuple(Feed.ns(at) for at in at_ms)
    assert [int(image[0, 0, 0]) for image in found.images] == [round(at) % 251 for at in at_ms]
    assert len(found.states) == len(at_ms)


# observations -----------------------------------------------------------------------------------


def test_one_frame_and_its_state_make_an_observation() -> None:
    feed = Feed()
    feed.both(0)
    assert_frames(feed.snapshot(), 0)


def test_context_is_one_step_interval_apart_newest_last() -> None:
    feed = Feed(frames=3)
    feed.run(600)
    feed.both(*range(0, 601, 50))
    assert_frames(feed.snapshot(), 100, 350, 600)


def test_late_frames_are_put_in_their_place() -> None:
    feed = Feed(frames=3)
    feed.run(500)
    for stamp in (500, 0, 250):
        feed.both(stamp)
    assert_frames(feed.snapshot(), 0, 250, 500)


def test_duplicates_are_dropped_and_the_first_is_kept() -> None:
    feed = Feed()
    feed.image(0, value=7)
    feed.image(0, value=9)
    feed.state(0)
    assert feed.snapshot().images.max() == 7


@pytest.mark.parametrize(
    ('middle', 'is_ready'), [(190, True), (310, True), (189, False), (311, False)]
)
def test_context_frame_may_be_off_its_place_by_the_tolerance(middle, is_ready) -> None:
    feed = Feed(frames=3)
    feed.run(500)
    feed.both(0, middle, 500)
    assert isinstance(feed.snapshot(), Observation) is is_ready


def test_the_nearer_of_two_frames_is_taken() -> None:
    feed = Feed(frames=2)
    feed.run(500)
    feed.both(0, 230, 260, 500)
    assert_frames(feed.snapshot(), 260, 500)


def test_a_lost_frame_is_a_gap_and_never_a_repeat() -> None:
    feed = Feed(frames=3)
    feed.run(500)
    feed.both(0, 500)
    assert_refused(feed.snapshot(), GapError, 'frames were lost')


def test_warm_up_is_no_gap() -> None:
    feed = Feed(frames=3)
    feed.run(300)
    feed.both(0, 100, 200, 300)
    assert_refused(feed.snapshot(), NoDataError, 'reach back 0.30 s; the planner needs 0.50 s')


def test_size_of_frames_must_not_change_inside_the_context() -> None:
    feed = Feed(frames=2)
    feed.run(250)
    feed.both(0)
    feed.buffer.push_image(feed.ns(250), an_image(1, side=64), **feed.times)
    feed.state(250)
    assert_refused(feed.snapshot(), GapError, 'size')


def test_frame_from_before_the_last_step_is_not_enough() -> None:
    feed = Feed()
    feed.run(100)
    feed.both(100)
    assert_refused(feed.snapshot(not_before_ns=feed.ns(100) + 1), NoDataError, 'last step')
    assert_frames(feed.snapshot(not_before_ns=feed.ns(100)), 100)


def test_state_nearest_to_each_frame_is_taken() -> None:
    feed = Feed(frames=2)
    feed.run(250)
    feed.image(0)
    feed.image(250)
    for stamp in (0, 40, 200, 240, 249):
        feed.state(stamp)
    states = feed.snapshot().states
    assert [state.stamp_ns for state in states] == [feed.ns(0), feed.ns(249)]


@pytest.mark.parametrize(('skew', 'is_ready'), [(100, True), (101, False)])
def test_frame_without_a_state_of_its_time_is_refused(skew, is_ready) -> None:
    feed = Feed()
    feed.run(skew)
    feed.state(0)
    feed.image(skew)
    found = feed.snapshot()
    if is_ready:
        assert isinstance(found, Observation)
    else:
        assert_refused(found, StaleDataError, '0.101 s away')


def test_state_missing_deep_in_the_context_is_a_gap() -> None:
    feed = Feed(frames=2)
    feed.run(250)
    feed.image(0)
    feed.both(250)
    assert_refused(feed.snapshot(), GapError, '0.250 s away')


def test_observation_does_not_change_when_the_sender_reuses_its_array() -> None:
    feed = Feed()
    picture = an_image(5)
    feed.buffer.push_image(feed.ns(0), picture, **feed.times)
    feed.state(0)
    found = feed.snapshot()
    picture[:] = 99
    assert found.images.max() == 5
    assert not found.images.flags.writeable


def test_what_is_older_than_the_capacity_is_forgotten() -> None:
    feed = Feed(frames=2, capacity_frames=2)
    for stamp in range(0, 3000, 100):
        feed.run(100)
        feed.both(stamp)
    stream = feed.buffer._images  # the memory bound has no other face
    assert len(stream.items) <= 5
    assert len(stream.items) == len(stream.stamps_ns)


# freshness --------------------------------------------------------------------------------------


def test_nothing_has_arrived() -> None:
    feed = Feed()
    assert_refused(feed.snapshot(), NoDataError, 'no frame')
    feed.image(0)
    assert_refused(feed.snapshot(), NoDataError, 'no robot state')
    assert math.isnan(feed.buffer.state_age_s(feed.ns(0)))
    assert feed.buffer.latest_state() is None


def test_ages_are_on_the_ros_clock() -> None:
    feed = Feed()
    feed.both(0)
    assert feed.buffer.image_age_s(feed.ns(120)) == pytest.approx(0.12)
    assert feed.buffer.state_age_s(feed.ns(70)) == pytest.approx(0.07)
    assert feed.buffer.latest_image()[0] == feed.ns(0)


@pytest.mark.parametrize(('age', 'is_fresh'), [(599, True), (600, True), (601, False)])
def test_frames_are_stale_above_their_limit(age, is_fresh) -> None:
    feed = Feed()
    feed.image(0)
    feed.run(age)
    feed.state(age)
    assert (feed.freshness() is None) is is_fresh
    if not is_fresh:
        assert_refused(feed.freshness(), StaleDataError, 'newest frame is 0.60 s old')


@pytest.mark.parametrize(('age', 'is_fresh'), [(299, True), (300, True), (301, False)])
def test_states_are_stale_above_their_limit(age, is_fresh) -> None:
    feed = Feed()
    feed.state(0)
    feed.run(age)
    feed.image(age)
    assert (feed.freshness() is None) is is_fresh
    assert (feed.buffer.state_freshness(*feed.times.values()) is None) is is_fresh


def test_state_freshness_does_not_look_at_frames() -> None:
    feed = Feed()
    feed.state(0)
    assert feed.buffer.state_freshness(*feed.times.values()) is None
    assert feed.freshness() is not None


def test_old_frames_that_keep_arriving_are_stale() -> None:
    """Their arrival is no sign of life: the stamp counts."""
    feed = Feed()
    for _ in range(10):
        feed.run(100)
        feed.state(feed.now_ms)
        feed.image(feed.now_ms - 900)
    assert_refused(feed.freshness(), StaleDataError, '0.90 s old')


@pytest.mark.parametrize(('wall', 'is_fresh'), [(750, True), (751, False)])
def test_frozen_clock_does_not_hide_a_dead_sender(wall, is_fresh) -> None:
    """A killed simulator stops /clock with the streams: by that clock nothing ever ages."""
    feed = Feed()
    feed.both(0)
    feed.run(0, wall=wall)
    assert (feed.freshness() is None) is is_fresh
    if not is_fresh:
        assert_refused(feed.freshness(), StaleDataError, 'wall time')


def test_data_are_fresh_again_when_they_are_back() -> None:
    feed = Feed()
    feed.both(0)
    feed.run(5000)
    assert isinstance(feed.snapshot(), NotReady)
    feed.both(5000)
    assert_frames(feed.snapshot(), 5000)


# stamps and clocks ------------------------------------------------------------------------------


@pytest.mark.parametrize('ahead', [0, 199, 200])
def test_stamp_a_little_ahead_is_taken(ahead) -> None:
    feed = Feed()
    feed.both(ahead)
    assert_frames(feed.snapshot(), ahead)


def test_stamp_from_the_future_is_refused_and_not_kept() -> None:
    feed = Feed()
    with pytest.raises(FutureStampError, match='frame is stamped 0.201 s ahead.*valid'):
        feed.image(201)
    with pytest.raises(FutureStampError, match='robot state'):
        feed.state(5000)
    assert feed.buffer.latest_image() is None
    assert feed.buffer.latest_state() is None


@pytest.mark.parametrize('push', ['image', 'state'])
def test_clock_that_goes_back_clears_everything(push) -> None:
    feed = Feed()
    feed.run(5000)
    feed.both(5000)
    feed.run(-4000, wall=20)
    with pytest.raises(ClockJumpError, match='back by 4.000 s'):
        getattr(feed, push)(1000)
    assert feed.buffer.epoch == 1
    assert feed.buffer.latest_image() is None
    assert_refused(feed.freshness(), ClockJumpError, 'went back')  # until data are back
    feed.run(20)
    feed.both(1020)
    assert_frames(feed.snapshot(), 1020)
    assert feed.freshness() is None


def test_clock_jump_is_seen_without_an_arrival() -> None:
    feed = Feed()
    feed.run(5000)
    feed.both(5000)
    feed.run(-4000, wall=20)
    assert_refused(feed.snapshot(), ClockJumpError, 'went back')
    assert feed.buffer.epoch == 1


def test_frame_of_the_old_time_that_arrives_after_a_jump_is_refused() -> None:
    feed = Feed()
    feed.run(5000)
    feed.both(5000)
    feed.run(-4000, wall=20)
    assert feed.freshness() is not None
    with pytest.raises(FutureStampError):
        feed.image(4990)


@pytest.mark.parametrize(('back', 'epoch'), [(199, 0), (200, 1)])
def test_small_step_back_is_no_jump(back, epoch) -> None:
    feed = Feed()
    feed.run(5000)
    feed.both(5000)
    feed.run(-back, wall=20)
    feed.freshness()
    assert feed.buffer.epoch == epoch


def test_caller_that_was_held_up_is_no_clock_jump() -> None:
    """A thread that read its clocks and then lost the processor reports an earlier time."""
    feed = Feed()
    feed.both(0)
    late = feed.times
    feed.run(900)
    feed.both(900)
    assert feed.freshness() is None
    feed.buffer.push_image(feed.ns(0) + 1, an_image(1), **late)
    assert feed.buffer.epoch == 0
    assert_frames(feed.snapshot(), 900)


def test_clear_forgets() -> None:
    feed = Feed()
    feed.both(0)
    feed.buffer.clear()
    assert_refused(feed.freshness(), NoDataError, 'no frame')


# what makes no sense ----------------------------------------------------------------------------


@pytest.mark.parametrize('image', [np.zeros((1, 1, 3), np.uint8), np.zeros((32, 32), np.uint8)])
def test_what_is_no_picture_is_refused(image) -> None:
    feed = Feed()
    with pytest.raises(InvalidImageError, match='valid'):
        feed.buffer.push_image(feed.ns(0), image, **feed.times)


@pytest.mark.parametrize(
    'config',
    [
        {'frames': 9},
        {'frames': 0},
        {'interval_tolerance_s': 0.125},
        {'max_image_age_s': 0.0},
        {'clock_jump_s': 0.0},
    ],
)
def test_settings_that_make_no_sense_are_refused(config) -> None:
    with pytest.raises(InvalidParameterError, match='valid'):
        Feed(**config)


# -- what goes with the newest frame ---------------------------------------------------------------


def test_joints_of_the_frames_time_go_with_it_and_others_do_not() -> None:
    feed = Feed()
    feed.run(100)
    for at_ms, angle in ((0, 0.1), (60, 0.2), (100, 0.3)):
        joints = np.full(7, angle)
        feed.buffer.push_joints(feed.ns(at_ms), joints, **feed.times)
    feed.both(70)
    assert feed.snapshot().joints_rad.tolist() == [0.2] * 7
    feed.run(250)
    feed.both(350)
    assert feed.snapshot().joints_rad is None


def test_wrist_frame_is_waited_for_where_one_is_wanted() -> None:
    feed = Feed(wants_wrist=True)
    feed.run(100)
    feed.both(50)
    problem = feed.snapshot()
    assert isinstance(problem, NotReady) and 'wrist' in problem.error.message
    for at_ms, value in ((0, 10), (60, 20), (90, 30)):
        feed.buffer.push_wrist_image(feed.ns(at_ms), an_image(value), **feed.times)
    assert np.all(feed.snapshot().wrist_image == 20)
    feed.run(700)
    feed.both(800)
    problem = feed.snapshot()
    assert isinstance(problem, NotReady) and isinstance(problem.error, StaleDataError)


def test_wrist_frame_is_dropped_where_none_is_wanted() -> None:
    feed = Feed()
    feed.run(100)
    feed.buffer.push_wrist_image(feed.ns(90), an_image(), **feed.times)
    feed.both(100)
    assert feed.snapshot().wrist_image is None
