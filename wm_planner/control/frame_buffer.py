# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""FrameBuffer: what arrived, in the order in which it was acquired."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from wm_planner.control.buffer_config import FrameBufferConfig
from wm_planner.control.streams import ItemT, Stream
from wm_planner.core.errors import (
    ClockJumpError,
    FutureStampError,
    GapError,
    InvalidParameterError,
    StaleDataError,
    WmPlannerError,
)
from wm_planner.core.geometry import Array
from wm_planner.core.types import Image, NotReady, Observation, RobotState, check_image

__all__ = ['FrameBuffer', 'FrameBufferConfig']

_FASTEST = 20  # times real time that no simulation is faster than


class FrameBuffer:
    """Keeps the last frames and robot states and makes observations of them.

    Late items are put in their place, duplicates dropped, stamps from the future refused. Nothing
    is made up: a frame that is missing, old or without a state of its time is a NotReady that says
    which. When ``now_ns`` goes back by ``clock_jump_s`` (a simulator was restarted, a bag looped)
    or forward by ``clock_forward_s`` all is forgotten and ``epoch`` grows by one.

    Joints, and a wrist camera where ``wants_wrist``, go with the newest frame of an observation.

    Thread-safe: one lock, held for microseconds; images are not copied under it.
    """

    def __init__(
        self, config: FrameBufferConfig, *, context_frames: int, wants_wrist: bool = False
    ) -> None:
        if not 1 <= context_frames <= config.capacity_frames:
            raise InvalidParameterError(
                f'the planner needs {context_frames} context frames and capacity_frames is '
                f'{config.capacity_frames}; valid: 1 <= context_frames <= capacity_frames.'
            )
        self._config = config
        self._context_frames = context_frames
        self._step_ns = _ns(config.step_interval_s)
        self._keep_ns = (config.capacity_frames - 1) * self._step_ns + _ns(
            config.interval_tolerance_s + config.max_state_skew_s
        )
        self._lock = threading.Lock()
        self._images: Stream[Image] = Stream('frame')
        self._states: Stream[RobotState] = Stream('robot state')
        self._joints: Stream[Array] = Stream('joint state')
        self._wrist: Stream[Image] | None = Stream('wrist frame') if wants_wrist else None
        self._last_now_ns: int | None = None
        self._last_monotonic_ns = 0
        self._epoch = 0
        self._jump: ClockJumpError | None = None  # why a stream is empty that was not

    @property
    def epoch(self) -> int:
        """Return how often the clock has jumped."""
        return self._epoch

    # -- in --------------------------------------------------------------------------------------

    def push_image(self, stamp_ns: int, image: Image, *, now_ns: int, monotonic_ns: int) -> None:
        """Add a frame uint8 [H, W, 3] acquired at ``stamp_ns``.

        Raises InvalidImageError, FutureStampError (the frame is refused), or ClockJumpError (the
        buffer was cleared; the next frame is the first of the new time).
        """
        checked = check_image(image, 'frame')
        with self._lock:
            self._push(self._images, stamp_ns, checked, now_ns, monotonic_ns)

    def push_state(self, state: RobotState, *, now_ns: int, monotonic_ns: int) -> None:
        """Add a robot state. Raises FutureStampError or ClockJumpError as ``push_image`` does."""
        with self._lock:
            self._push(self._states, state.stamp_ns, state, now_ns, monotonic_ns)

    def doubt_images(self, error: WmPlannerError, *, monotonic_ns: int) -> None:
        """Have no frames, for ``error``, until there was no doubt for ``trust_again_s``."""
        self._doubt(self._images, error, monotonic_ns)

    def doubt_wrist_images(self, error: WmPlannerError, *, monotonic_ns: int) -> None:
        """Have no wrist frames, for ``error``, as ``doubt_images``; none where none is wanted."""
        if self._wrist is not None:
            self._doubt(self._wrist, error, monotonic_ns)

    def doubt_states(self, error: WmPlannerError, *, monotonic_ns: int) -> None:
        """Have no robot states, for ``error``, until there was no doubt for ``trust_again_s``."""
        self._doubt(self._states, error, monotonic_ns)

    def _doubt(self, stream: Stream[Any], error: WmPlannerError, monotonic_ns: int) -> None:
        believed_from_ns = monotonic_ns + _ns(self._config.trust_again_s)
        with self._lock:
            stream.doubt, stream.believed_from_ns = error, believed_from_ns

    def forget_states(self) -> None:
        """Forget the robot states: the arm is somewhere else."""
        with self._lock:
            self._states.clear()

    def push_joints(
        self, stamp_ns: int, joints_rad: Array, *, now_ns: int, monotonic_ns: int
    ) -> None:
        """Add the arm's joints [J]. Raises FutureStampError or ClockJumpError."""
        with self._lock:
            self._push(self._joints, stamp_ns, joints_rad, now_ns, monotonic_ns)

    def push_wrist_image(
        self, stamp_ns: int, image: Image, *, now_ns: int, monotonic_ns: int
    ) -> None:
        """Add a frame of the wrist camera; as ``push_image``, and dropped where none is wanted."""
        checked = check_image(image, 'wrist frame')
        with self._lock:
            if self._wrist is not None:
                self._push(self._wrist, stamp_ns, checked, now_ns, monotonic_ns)

    def clear(self) -> None:
        """Forget all frames and states."""
        with self._lock:
            self._forget()
            self._jump = None

    def _forget(self) -> None:
        for stream in (self._images, self._states, self._joints, self._wrist):
            if stream is not None:
                stream.clear()

    def _push(
        self, stream: Stream[ItemT], stamp_ns: int, item: ItemT, now_ns: int, monotonic_ns: int
    ) -> None:
        jump = self._watch_clock(now_ns, monotonic_ns)
        if jump is not None:
            raise jump
        ahead_ns = stamp_ns - now_ns
        if ahead_ns > _ns(self._config.max_future_s):
            raise FutureStampError(
                f'{stream.what} is stamped {ahead_ns * 1e-9:.3f} s ahead of the clock; valid: at '
                f'most {self._config.max_future_s:g} s. Do sender and /clock agree on the time?'
            )
        before_ns = stream.arrival_monotonic_ns
        stream.arrival_monotonic_ns = max(monotonic_ns, before_ns or monotonic_ns)
        stream.insert(stamp_ns, item, keep_ns=self._keep_ns)
        if monotonic_ns >= stream.believed_from_ns:
            stream.doubt = None

    def _watch_clock(self, now_ns: int, monotonic_ns: int) -> ClockJumpError | None:
        """Clear everything and return the error if the clock jumped since the last call."""
        last_ns = self._last_now_ns
        if last_ns is not None and monotonic_ns < self._last_monotonic_ns:
            return None  # the caller read its clocks before another thread did and came in later
        wall_ns = monotonic_ns - self._last_monotonic_ns
        self._last_now_ns, self._last_monotonic_ns = now_ns, monotonic_ns
        if not last_ns:  # simulated time stands at 0 before it begins
            return None
        ahead_ns, may_ns = now_ns - last_ns, _ns(self._config.clock_forward_s) + _FASTEST * wall_ns
        is_back = -ahead_ns >= _ns(self._config.clock_jump_s)
        if not is_back and ahead_ns <= may_ns:
            return None
        self._forget()
        self._epoch += 1
        self._jump = ClockJumpError(
            f'the clock went {"back" if is_back else "forward"} by {abs(ahead_ns) * 1e-9:.3f} s; '
            'all frames and states from before were dropped.'
        )
        return self._jump

    # -- out -------------------------------------------------------------------------------------

    def latest_image(self) -> tuple[int, Image] | None:
        """Return stamp and picture of the newest frame, however old."""
        with self._lock:
            if not self._images.items:
                return None
            return self._images.stamps_ns[-1], self._images.items[-1]

    def latest_state(self) -> RobotState | None:
        """Return the newest robot state, however old."""
        with self._lock:
            return self._states.items[-1] if self._states.items else None

    def state_near(self, stamp_ns: int) -> RobotState | None:
        """Return the robot state of the time ``stamp_ns``, None where none is near enough."""
        with self._lock:
            if self._states.items:
                state = self._states.items[self._states.nearest(stamp_ns)]
                if abs(state.stamp_ns - stamp_ns) <= _ns(self._config.max_state_skew_s):
                    return state
        return None

    def image_age_s(self, now_ns: int) -> float:
        """Return the age of the newest frame [s], NaN when none."""
        with self._lock:
            return self._images.age_s(now_ns)

    def state_age_s(self, now_ns: int) -> float:
        """Return the age of the newest robot state [s], NaN when none."""
        with self._lock:
            return self._states.age_s(now_ns)

    def freshness(self, now_ns: int, monotonic_ns: int) -> NotReady | None:
        """Return None if all streams are alive and fresh, else what is wrong with one of them."""
        with self._lock:
            return self._freshness(now_ns, monotonic_ns)

    def state_freshness(self, now_ns: int, monotonic_ns: int) -> NotReady | None:
        """Return None if the robot states alone are alive and fresh, else what is wrong."""
        with self._lock:
            self._watch_clock(now_ns, monotonic_ns)
            return self._stream_freshness(
                self._states, self._config.max_state_age_s, now_ns, monotonic_ns
            )

    def snapshot(
        self, now_ns: int, monotonic_ns: int, *, not_before_ns: int = 0
    ) -> Observation | NotReady:
        """Return T = context_frames frames one step interval apart, newest last, with their states.

        The newest frame must have been acquired at ``not_before_ns`` or later.
        """
        with self._lock:
            problem = self._freshness(now_ns, monotonic_ns)
            if problem is not None:
                return problem
            if self._images.stamps_ns[-1] < not_before_ns:
                return NotReady.no_data('no frame has been acquired since the last step ended.')
            frames = self._context()
            if isinstance(frames, NotReady):
                return frames
            states = self._states_at([self._images.stamps_ns[i] for i in frames])
            if isinstance(states, NotReady):
                return states
            stamps = tuple(self._images.stamps_ns[i] for i in frames)
            images = [self._images.items[i] for i in frames]
            wrist = self._wrist_at(stamps[-1])
            if isinstance(wrist, NotReady):
                return wrist
            joints = self._joints_at(stamps[-1])
        if len({image.shape for image in images}) > 1:
            return NotReady(error=GapError('the size of the frames changed inside the context.'))
        return Observation(
            images=_stack(images),
            image_stamps_ns=stamps,
            states=states,
            wrist_image=wrist,
            joints_rad=joints,
        )

    def _freshness(self, now_ns: int, monotonic_ns: int) -> NotReady | None:
        self._watch_clock(now_ns, monotonic_ns)
        config = self._config
        for problem in (
            self._stream_freshness(self._images, config.max_image_age_s, now_ns, monotonic_ns),
            self._stream_freshness(self._states, config.max_state_age_s, now_ns, monotonic_ns),
        ):
            if problem is not None:
                return problem
        if self._wrist is None:
            return None
        return self._stream_freshness(self._wrist, config.max_image_age_s, now_ns, monotonic_ns)

    def _stream_freshness(
        self, stream: Stream[ItemT], max_age_s: float, now_ns: int, monotonic_ns: int
    ) -> NotReady | None:
        if stream.doubt is not None:
            return NotReady(error=stream.doubt)
        if stream.arrival_monotonic_ns is None:
            if self._jump is not None:
                return NotReady(error=self._jump)
            return NotReady.no_data(f'no {stream.what} has arrived yet.')
        silence_ns = monotonic_ns - stream.arrival_monotonic_ns
        if silence_ns > _ns(self._config.stream_timeout_s):
            return NotReady.stale(
                f'no {stream.what} has arrived for {silence_ns * 1e-9:.2f} s of wall time; valid: '
                f'one every {self._config.stream_timeout_s:g} s. Has its sender stopped?'
            )
        age_ns = now_ns - stream.stamps_ns[-1]
        if age_ns > _ns(max_age_s):
            return NotReady.stale(
                f'the newest {stream.what} is {age_ns * 1e-9:.2f} s old; valid: at most '
                f'{max_age_s:g} s.'
            )
        return None

    def _context(self) -> list[int] | NotReady:
        """Return the indices of the context frames, oldest first."""
        stamps = self._images.stamps_ns
        tolerance_ns = _ns(self._config.interval_tolerance_s)
        found = []
        for steps_back in reversed(range(self._context_frames)):
            wanted_ns = stamps[-1] - steps_back * self._step_ns
            index = self._images.nearest(wanted_ns)
            if abs(stamps[index] - wanted_ns) <= tolerance_ns:
                found.append(index)
                continue
            if stamps[0] > wanted_ns:
                return NotReady.no_data(
                    f'frames reach back {(stamps[-1] - stamps[0]) * 1e-9:.2f} s; the planner needs '
                    f'{(self._context_frames - 1) * self._config.step_interval_s:.2f} s.'
                )
            return NotReady(
                error=GapError(
                    f'no frame within {self._config.interval_tolerance_s:g} s of the place '
                    f'{steps_back * self._config.step_interval_s:.2f} s before the newest; '
                    'frames were lost.'
                )
            )
        return found

    def _states_at(self, stamps_ns: list[int]) -> tuple[RobotState, ...] | NotReady:
        """Return the robot state nearest to each stamp."""
        limit_ns = _ns(self._config.max_state_skew_s)
        found = []
        for stamp_ns in stamps_ns:
            state = self._states.items[self._states.nearest(stamp_ns)]
            skew_ns = stamp_ns - state.stamp_ns
            if abs(skew_ns) > limit_ns:
                text = (
                    f'the robot state nearest to a frame is {abs(skew_ns) * 1e-9:.3f} s away; '
                    f'valid: at most {self._config.max_state_skew_s:g} s.'
                )
                is_behind = skew_ns > 0 and state is self._states.items[-1]
                error = StaleDataError(text) if is_behind else GapError(text)
                return NotReady(error=error)
            found.append(state)
        return tuple(found)

    def _wrist_at(self, stamp_ns: int) -> Image | NotReady | None:
        """Return the wrist frame nearest to a frame, None where none is wanted."""
        stream = self._wrist
        if stream is None:
            return None
        if not stream.items:
            return NotReady.no_data(f'no {stream.what} has arrived yet.')
        index = stream.nearest(stamp_ns)
        skew_s = abs(stamp_ns - stream.stamps_ns[index]) * 1e-9
        if skew_s > self._config.max_image_age_s:
            return NotReady.stale(
                f'the {stream.what} nearest to a frame is {skew_s:.2f} s away; valid: at most '
                f'{self._config.max_image_age_s:g} s.'
            )
        return stream.items[index]

    def _joints_at(self, stamp_ns: int) -> Array | None:
        """Return the joints nearest to a frame, None where there are none of its time."""
        if not self._joints.items:
            return None
        index = self._joints.nearest(stamp_ns)
        if abs(stamp_ns - self._joints.stamps_ns[index]) > _ns(self._config.max_state_skew_s):
            return None
        return self._joints.items[index]


def _stack(images: list[Image]) -> Image:
    """Return [T, H, W, 3], read-only so that the Observation need not copy it again."""
    stacked = images[0][np.newaxis] if len(images) == 1 else np.stack(images)
    stacked.flags.writeable = False
    return stacked


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
