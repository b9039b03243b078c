# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Whether what arrives can be true: pictures that show something, states that an arm can be in."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
import math

import numpy as np

from wm_planner.core.config import parameter, validate
from wm_planner.core.errors import (
    FrozenCameraError,
    ImplausibleJointsError,
    StateJumpError,
    UnusableFrameError,
)
from wm_planner.core.geometry import Array, rotation_angle
from wm_planner.core.types import Image, RobotState

_SAMPLES = 65536  # pixels that tell black from a scene, in 0.2 ms
_ROWS = 16  # rows looked at for noise: neighbours must be side by side
_SPEED_WINDOW_S = 0.1


@dataclass(frozen=True, kw_only=True)
class PlausibilityConfig:
    """Where pictures and states stop being believed."""

    min_contrast: float = parameter(
        1.5,
        'standard deviation of the pixels of a frame below which it shows nothing [of 255]',
        low=0.0,
        high=100.0,
    )
    max_noise: float = parameter(
        0.85,
        'difference of neighbouring pixels over the contrast of a frame above which it is noise; '
        'pictures have 0.1 to 0.5, noise has 1.1',
        low=0.1,
        high=10.0,
    )
    bad_frames: int = parameter(
        2, 'frames in a row that show nothing until the arm holds', low=1, high=1000
    )
    frozen_frames: int = parameter(
        3,
        'frames in a row that are one picture, while the arm has moved, until it holds',
        low=1,
        high=1000,
    )
    frozen_motion_m: float = parameter(
        0.02,
        'how far the tool must be from where the picture last changed for it to count as frozen '
        '[m]; 0 = a camera whose noise makes every frame another',
        low=0.0,
        high=1.0,
    )
    max_joint_rad: float = parameter(
        6.6,
        'largest joint position that is believed [rad]; more must be degrees',
        low=0.1,
        high=100.0,
    )
    jump_speed_factor: float = parameter(
        2.0,
        'multiple of the speed limits of the profile that a state may be away from the last',
        low=1.0,
        high=100.0,
    )
    jump_margin_m: float = parameter(
        0.02, 'distance between two states that is never a jump [m]', low=0.0, high=1.0
    )
    jump_margin_rad: float = parameter(
        0.2, 'angle between two states that is never a jump [rad]', low=0.0, high=3.2
    )
    max_joint_speed_rad_s: float = parameter(
        20.0, 'speed of a joint above which its positions jump [rad/s]', low=0.1, high=1000.0
    )
    jump_confirm_s: float = parameter(
        0.2,
        'how long states must agree about the new place for a jump to be believed [s]: a '
        'simulator was reset, somebody moved the arm',
        low=0.0,
        high=10.0,
    )

    def __post_init__(self) -> None:
        validate(self)


class FrameWatch:
    """Looks at every camera frame. Thread: the executor's.

    ``look`` raises for a frame that must not be planned from; ``is_bad`` says whether that has
    lasted long enough for the arm to hold rather than to wait for the next.
    """

    def __init__(
        self, config: PlausibilityConfig, state_near: Callable[[int], RobotState | None]
    ) -> None:
        self._config = config
        self._state_near = state_near
        self._picture: Image | None = None  # what the newest frames show
        self._first_ns = 0  # stamp of the first frame that showed it
        self._first_place: Array | None = None  # where the tool was then, once that is known
        self._stamp_ns = 0  # of the newest frame
        self._frozen = 0
        self._empty = 0

    @property
    def is_bad(self) -> bool:
        """Return whether the frames have been of no use for long enough to stop."""
        config = self._config
        return self._empty >= config.bad_frames or self._frozen >= config.frozen_frames

    def reset(self) -> None:
        """Forget all frames: the clock has jumped, or the node was inactive."""
        self._picture = self._first_place = None
        self._first_ns = self._stamp_ns = self._frozen = self._empty = 0

    def look(self, stamp_ns: int, image: Image) -> None:
        """Check a frame uint8 [H, W, 3]; raises UnusableFrameError or FrozenCameraError."""
        try:
            require_scene(image, self._config)
        except UnusableFrameError:
            self._empty += 1
            raise
        self._empty = 0
        if stamp_ns <= self._stamp_ns:
            return  # late or sent twice: says nothing about whether the camera goes on
        before_ns, self._stamp_ns = self._stamp_ns, stamp_ns
        if self._picture is None or not _is_same(image, self._picture):
            self._picture, self._first_ns, self._frozen = image, stamp_ns, 0
            self._first_place = None
            return
        moved_m = self._moved_m(before_ns)
        is_frozen = self._frozen >= self._config.frozen_frames
        if not is_frozen and (moved_m is None or moved_m < self._config.frozen_motion_m):
            self._frozen = 0
            return
        self._frozen += 1  # once frozen it stays so until the picture changes
        if self._frozen >= self._config.frozen_frames:
            raise FrozenCameraError(
                f'the same picture to the last bit has come for '
                f'{(stamp_ns - self._first_ns) * 1e-9:.2f} s, while the tool moved; valid: a live '
                'camera that sees the arm. Is its driver stuck?'
            )

    def _moved_m(self, last_ns: int) -> float | None:
        """Return how far the tool got from the first frame of a picture to that at ``last_ns`` [m].

        None where that is not known. The newest frame says nothing yet: it may be here before the
        robot state of its time is.
        """
        if self._config.frozen_motion_m == 0.0:
            return 0.0
        if self._first_place is None:
            first = self._state_near(self._first_ns)
            self._first_place = None if first is None else first.position_m
        last = self._state_near(last_ns)
        if self._first_place is None or last is None:
            return None
        return float(np.linalg.norm(last.position_m - self._first_place))


def require_scene(image: Image, config: PlausibilityConfig) -> None:
    """Raise UnusableFrameError for a frame that is black, saturated, one grey, or noise."""
    stride = max(1, math.isqrt(image.shape[0] * image.shape[1] // _SAMPLES))
    green = image[::stride, ::stride, 1]
    contrast = float(green.std())
    if contrast < config.min_contrast:
        brightness = float(green.mean())
        what = 'black' if brightness < 16 else 'saturated' if brightness > 239 else 'one grey'
        raise UnusableFrameError(
            f'the frame is {what} (brightness {brightness:.0f}, contrast {contrast:.1f} of 255); '
            f'valid: contrast of at least {config.min_contrast:g}. Is the lens covered, the light '
            'off, the exposure wrong?'
        )
    rows = image[:: max(1, image.shape[0] // _ROWS), :, 1].astype(np.float32)
    spread = float(rows.std())
    roughness = float(np.abs(np.diff(rows, axis=1)).mean()) / spread if spread > 0.0 else 0.0
    if roughness > config.max_noise:
        raise UnusableFrameError(
            f'neighbouring pixels differ by {roughness:.2f} times the contrast: the frame is '
            f'noise; valid: at most {config.max_noise:g}. Are encoding and step of the image right?'
        )


def _is_same(image: Image, other: Image) -> bool:
    if image.shape != other.shape:
        return False
    sample = (slice(None, None, 16), slice(None, None, 16))  # nearly always tells, and is cheap
    return np.array_equal(image[sample], other[sample]) and np.array_equal(image, other)


class StateWatch:
    """Looks at every robot state and at the joints. Thread: the executor's.

    A state that is further from the last than the arm gets in that time is refused, until
    ``jump_confirm_s`` of states agree that the arm is there.
    """

    def __init__(
        self,
        config: PlausibilityConfig,
        *,
        max_speed_m_s: float,
        max_rotation_speed_rad_s: float,
    ) -> None:
        self._config = config
        self._max_speed_m_s = max_speed_m_s
        self._max_rotation_speed_rad_s = max_rotation_speed_rad_s
        self._poses: deque[RobotState] = deque()  # believed, of the last moments
        self._new_place: tuple[int, RobotState] | None = None  # since when [ns], newest there
        self._joints: tuple[int, Array] | None = None
        self._new_joints: tuple[int, int, Array] | None = None

    def reset(self) -> None:
        """Forget all states: the clock has jumped, or the node was inactive."""
        self._poses.clear()
        self._new_place = self._joints = self._new_joints = None

    def speeds(self) -> tuple[float, float]:
        """Return how fast the tool moved [m/s] and turned [rad/s] over the last tenth second."""
        if len(self._poses) < 2:
            return 0.0, 0.0
        first, last = self._poses[0], self._poses[-1]
        seconds = (last.stamp_ns - first.stamp_ns) * 1e-9
        if seconds < 0.5 * _SPEED_WINDOW_S:
            return 0.0, 0.0
        distance, angle = _apart(first, last)
        return distance / seconds, angle / seconds

    def look(self, state: RobotState) -> bool:
        """Check a state; return True if the arm is believed to be in a new place from now on.

        Raises StateJumpError for a state that must not be used.
        """
        if not self._poses:
            self._poses.append(state)
            return False
        last = self._poses[-1]
        jumped_ns = self._new_place[0] if self._new_place else state.stamp_ns
        is_near = self._is_near(last, state, min(jumped_ns, state.stamp_ns))
        if state.stamp_ns <= last.stamp_ns:  # late or sent twice
            if not is_near:
                raise self._jump(last, state)
            return False
        if is_near:
            self._new_place = None
            self._believe(state)
            return False
        since_ns, new = state.stamp_ns, self._new_place
        if new is not None and self._is_near(new[1], state, state.stamp_ns):
            since_ns = new[0]
        self._new_place = since_ns, state
        if since_ns < state.stamp_ns and self._is_confirmed(since_ns, state.stamp_ns):
            self._new_place = None
            self._poses.clear()
            self._poses.append(state)
            return True
        raise self._jump(last, state)

    def look_at_joints(
        self, stamp_ns: int, names: tuple[str, ...], positions_rad: Array, topic: str
    ) -> bool:
        """Check arm joints [J]; return True if the arm is believed to be in a new place.

        Raises ImplausibleJointsError, or StateJumpError for joints that must not be used.
        """
        limit = self._config.max_joint_rad
        if np.any(np.abs(positions_rad) > limit):
            worst = int(np.argmax(np.abs(positions_rad)))
            raise ImplausibleJointsError(
                f'{topic} has {names[worst]} at {positions_rad[worst]:.4g} rad; valid: -{limit:g} '
                f'.. {limit:g} rad. Is that in degrees? {positions_rad[worst]:.4g} degrees are '
                f'{math.radians(positions_rad[worst]):.3f} rad.'
            )
        if self._joints is None:
            self._joints = stamp_ns, positions_rad
            return False
        if stamp_ns <= self._joints[0]:  # late or sent twice
            if not self._are_near(*self._joints, stamp_ns, positions_rad):
                raise self._joint_jump(stamp_ns, names, positions_rad, topic)
            return False
        since_ns, new = stamp_ns, self._new_joints
        if self._are_near(*self._joints, new[0] if new else stamp_ns, positions_rad):
            self._joints, self._new_joints = (stamp_ns, positions_rad), None
            return False
        if new is not None and self._are_near(new[1], new[2], stamp_ns, positions_rad):
            since_ns = new[0]
        self._new_joints = since_ns, stamp_ns, positions_rad
        if since_ns < stamp_ns and self._is_confirmed(since_ns, stamp_ns):
            self._joints, self._new_joints = (stamp_ns, positions_rad), None
            self._poses.clear()  # they were not looked at meanwhile
            return True
        raise self._joint_jump(stamp_ns, names, positions_rad, topic)

    def _is_confirmed(self, since_ns: int, stamp_ns: int) -> bool:
        return stamp_ns - since_ns >= round(self._config.jump_confirm_s * 1e9)

    def _is_near(self, before: RobotState, state: RobotState, by_ns: int) -> bool:
        """Return whether the arm can have got from ``before`` to ``state`` by the time ``by_ns``.

        That is when it was first seen to jump: a jump does not become plausible by waiting.
        """
        config = self._config
        reach_s = config.jump_speed_factor * abs(by_ns - before.stamp_ns) * 1e-9
        distance, angle = _apart(before, state)
        return (
            distance <= config.jump_margin_m + reach_s * self._max_speed_m_s
            and angle <= config.jump_margin_rad + reach_s * self._max_rotation_speed_rad_s
        )

    def _are_near(self, before_ns: int, before: Array, stamp_ns: int, joints: Array) -> bool:
        reach = self._config.max_joint_speed_rad_s * abs(stamp_ns - before_ns) * 1e-9
        return bool(np.all(np.abs(joints - before) <= self._config.jump_margin_rad + reach))

    def _joint_jump(
        self, stamp_ns: int, names: tuple[str, ...], positions_rad: Array, topic: str
    ) -> StateJumpError:
        assert self._joints is not None, 'there is something to jump from'
        last_ns, last = self._joints
        worst = int(np.argmax(np.abs(positions_rad - last)))
        return StateJumpError(
            f'{topic} has {names[worst]} at {positions_rad[worst]:.3f} rad, '
            f'{positions_rad[worst] - last[worst]:+.3f} rad from '
            f'{(stamp_ns - last_ns) * 1e-9:.3f} s before; valid: at most '
            f'{self._config.max_joint_speed_rad_s:g} rad/s.'
        )

    def _jump(self, last: RobotState, state: RobotState) -> StateJumpError:
        distance, angle = _apart(last, state)
        return StateJumpError(
            f'the tool is {distance:.3f} m and {angle:.2f} rad from where it was '
            f'{(state.stamp_ns - last.stamp_ns) * 1e-9:.3f} s before; valid: what an arm can do in '
            f'that time. It is believed once it has lasted {self._config.jump_confirm_s:g} s.'
        )

    def _believe(self, state: RobotState) -> None:
        self._poses.append(state)
        window_ns = round(_SPEED_WINDOW_S * 1e9)
        while len(self._poses) > 2 and state.stamp_ns - self._poses[1].stamp_ns >= window_ns:
            self._poses.popleft()


def _apart(one: RobotState, other: RobotState) -> tuple[float, float]:
    """Return distance [m] and angle [rad] between two states."""
    distance = float(np.linalg.norm(other.position_m - one.position_m))
    return distance, float(rotation_angle(one.quaternion_xyzw, other.quaternion_xyzw))
