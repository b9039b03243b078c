# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Where targets wait for the simulation thread: checked, latest wins, gone at a reset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math
import threading

import numpy as np

from wm_planner.core.errors import (
    FrameMismatchError,
    InvalidActionError,
    NonFiniteCommandError,
    WmPlannerError,
)
from wm_planner.core.geometry import Array, normalise_quaternion


@dataclass(frozen=True, slots=True)
class ToolTarget:
    """An absolute tool target that passed the checks, in the base frame."""

    position_m: Array  # [3]
    quaternion_xyzw: Array  # [4]


@dataclass(frozen=True, kw_only=True, slots=True)
class Targets:
    """What arrived since the last look; None where nothing did."""

    tool: ToolTarget | None
    joints_rad: Array | None  # [J]; never beside a tool target: the newer of the two counts
    closedness: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class InboxStatus:
    """What became of the commands so far."""

    accepted: int
    refused: int
    ignored: int  # from before the last reset
    refusal: WmPlannerError | None  # shown until a good command came and it was visible for a while


class CommandInbox:
    """Takes targets from the executor, hands the newest to the simulation thread.

    Every method may be called from any thread. ``now_ns`` is the monotonic clock. A refused command
    changes nothing but the counts and the refusal that ``status`` shows; that one is kept for
    ``show_refusal_s`` at least, so that one bad command among fifty good ones a second is seen.

    After ``clear`` (an episode begins) a tool target whose stamp is not later than the reset is
    ignored, and so is every gripper target, which has no stamp, until a later tool target has come.
    Otherwise a target sent for the last episode could move the arm in the next.
    """

    def __init__(
        self,
        base_frame: str,
        *,
        joint_names: Sequence[str] = (),
        show_refusal_s: float = 1.0,
    ) -> None:
        self._base_frame = base_frame
        self._joint_names = tuple(joint_names)
        self._show_refusal_ns = round(show_refusal_s * 1e9)
        self._lock = threading.Lock()
        self._tool: ToolTarget | None = None
        self._joints: Array | None = None
        self._closedness: float | None = None
        self._reset_ns: int | None = None
        self._waits_for_tool = False
        self._accepted = self._refused = self._ignored = 0
        self._accepted_ns: int | None = None
        self._refusal: WmPlannerError | None = None
        self._refusal_ns = 0
        self._good_after_refusal = True

    def offer_tool(
        self,
        frame_id: str,
        stamp_ns: int,
        position_m: Sequence[float],
        quaternion_xyzw: Sequence[float],
        *,
        now_ns: int,
    ) -> WmPlannerError | None:
        """Take a tool target, or refuse it and return why.

        ``stamp_ns`` is in simulated time; 0 means unstamped and counts as now.
        """
        try:
            target = check_tool_target(frame_id, position_m, quaternion_xyzw, self._base_frame)
        except WmPlannerError as error:
            return self._refuse(error, now_ns)
        with self._lock:
            if self._reset_ns is not None and 0 < stamp_ns <= self._reset_ns:
                self._ignored += 1
                return None
            self._tool, self._joints = target, None
            self._waits_for_tool = False
            self._accept(now_ns)
        return None

    def offer_joints(
        self, names: Sequence[str], positions_rad: Sequence[float], stamp_ns: int, *, now_ns: int
    ) -> WmPlannerError | None:
        """Take a joint target in place of a tool target, or refuse it and return why.

        All joints of the arm must be in it; others are passed over.
        """
        try:
            joints = check_joints(names, positions_rad, self._joint_names)
        except WmPlannerError as error:
            return self._refuse(error, now_ns)
        with self._lock:
            if self._reset_ns is not None and 0 < stamp_ns <= self._reset_ns:
                self._ignored += 1
                return None
            self._tool, self._joints = None, joints
            self._waits_for_tool = False
            self._accept(now_ns)
        return None

    def offer_gripper(self, values: Sequence[float], *, now_ns: int) -> WmPlannerError | None:
        """Take a gripper target (one closedness in [0, 1]), or refuse it and return why."""
        try:
            closedness = check_closedness(values)
        except WmPlannerError as error:
            return self._refuse(error, now_ns)
        with self._lock:
            if self._waits_for_tool:
                self._ignored += 1
                return None
            self._closedness = closedness
            self._accept(now_ns)
        return None

    def take(self) -> Targets | None:
        """Return what arrived since the last call and forget it; None if nothing did."""
        with self._lock:
            if self._tool is None and self._joints is None and self._closedness is None:
                return None
            targets = Targets(tool=self._tool, joints_rad=self._joints, closedness=self._closedness)
            self._tool = self._joints = self._closedness = None
            return targets

    def clear(self, reset_ns: int) -> None:
        """Forget everything that was sent up to ``reset_ns`` (simulated time)."""
        with self._lock:
            self._tool = self._joints = self._closedness = None
            self._reset_ns = reset_ns
            self._waits_for_tool = True
            self._accepted_ns = None
            self._refusal = None

    def touch(self, now_ns: int) -> None:
        """Restart the silence clock, e.g. when a pause ends; without effect before a command."""
        with self._lock:
            if self._accepted_ns is not None:
                self._accepted_ns = now_ns

    def silence_s(self, now_ns: int) -> float | None:
        """Return how long no good command has come [s]; None if none came since the reset."""
        with self._lock:
            if self._accepted_ns is None:
                return None
            return (now_ns - self._accepted_ns) / 1e9

    def status(self, now_ns: int) -> InboxStatus:
        """Return the counts and the refusal to show."""
        with self._lock:
            is_old = now_ns - self._refusal_ns >= self._show_refusal_ns
            if self._refusal is not None and self._good_after_refusal and is_old:
                self._refusal = None
            return InboxStatus(
                accepted=self._accepted,
                refused=self._refused,
                ignored=self._ignored,
                refusal=self._refusal,
            )

    def _accept(self, now_ns: int) -> None:
        self._accepted += 1
        self._accepted_ns = now_ns
        self._good_after_refusal = True

    def _refuse(self, error: WmPlannerError, now_ns: int) -> WmPlannerError:
        with self._lock:
            self._refused += 1
            self._refusal, self._refusal_ns = error, now_ns
            self._good_after_refusal = False
        return error


def check_tool_target(
    frame_id: str,
    position_m: Sequence[float],
    quaternion_xyzw: Sequence[float],
    base_frame: str,
) -> ToolTarget:
    """Return the target if it can be servoed to.

    Raises FrameMismatchError, NonFiniteCommandError or, for a quaternion that is not of unit
    length, InvalidStateError.
    """
    if frame_id != base_frame:
        raise FrameMismatchError(f'target_pose has frame_id {frame_id!r}; valid: {base_frame!r}.')
    if not all(math.isfinite(value) for value in (*position_m, *quaternion_xyzw)):
        raise NonFiniteCommandError(
            f'target_pose is position {list(position_m)}, orientation {list(quaternion_xyzw)}; '
            'valid: finite numbers.'
        )
    return ToolTarget(
        position_m=np.asarray(position_m, dtype=np.float64),
        quaternion_xyzw=normalise_quaternion(quaternion_xyzw),
    )


def check_joints(
    names: Sequence[str], positions_rad: Sequence[float], wanted: Sequence[str]
) -> Array:
    """Return the joints called ``wanted``, in that order.

    Raises InvalidActionError, or NonFiniteCommandError.
    """
    if len(names) != len(positions_rad):
        raise InvalidActionError(
            f'joint_target has {len(names)} names and {len(positions_rad)} positions; valid: one '
            'position for each name.'
        )
    positions = dict(zip(names, positions_rad, strict=True))
    missing = [name for name in wanted if name not in positions]
    if missing:
        raise InvalidActionError(
            f'joint_target lacks {", ".join(missing)}; valid: all of {", ".join(wanted)}.'
        )
    found = np.array([positions[name] for name in wanted], np.float64)
    if not np.all(np.isfinite(found)):
        raise NonFiniteCommandError(
            f'joint_target is {found.tolist()}; valid: finite numbers [rad].'
        )
    return found


def check_closedness(values: Sequence[float]) -> float:
    """Return the closedness. Raises NonFiniteCommandError or InvalidActionError."""
    if len(values) != 1:
        raise InvalidActionError(
            f'gripper_target has {len(values)} values; valid: one, the closedness in [0, 1].'
        )
    value = float(values[0])
    if not math.isfinite(value):
        raise NonFiniteCommandError(f'gripper_target is {value}; valid: a finite number in [0, 1].')
    if not 0.0 <= value <= 1.0:
        raise InvalidActionError(f'gripper_target is {value}; valid: in [0, 1], 0 = open.')
    return value
