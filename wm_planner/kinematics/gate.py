# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""JointGate: the last look at joint targets, as the safety filter's is at tool targets."""

from __future__ import annotations

import numpy as np

from wm_planner.core.errors import JointLimitError, NonFiniteCommandError
from wm_planner.core.geometry import Array

_WINDOW_S = 0.3
_TICK_S = 0.02  # what a first target may be away from the arm, in time at the speed limits
_ROUNDING = 1e-9


class JointGate:
    """Vets joint targets [J]: finite, inside the limits, no faster and no further than allowed.

    A target that is too far for the time since the last is shortened, all joints by the same
    fraction, so that the way stays straight in joint space. What is not a number or lies outside
    the limits is refused. Nothing that it returns leaves the limits, differs from the last target
    by more than ``max_speed`` times the time between them, or leads the measured joints by more
    than ``max_lead_rad``. A first target, or one after a pause, sets out from the measured joints
    with 20 ms to go. An arm that is further outside its limits than that covers is not moved: back
    inside would be a jump. One thread at a time.
    """

    def __init__(
        self, low_rad: Array, high_rad: Array, max_speed_rad_s: Array, *, max_lead_rad: float
    ) -> None:
        self._low, self._high = low_rad, high_rad
        self._speed = max_speed_rad_s
        self._lead = max_lead_rad
        self._last: tuple[int, Array] | None = None  # stamp [ns], target

    def reference(self, measured_rad: Array, now_ns: int) -> tuple[Array, float]:
        """Return the posture that the next motion sets out from, and how long it has had [s].

        That is the last target while the arm follows it, else the measured joints.
        """
        if self._last is not None:
            stamp_ns, joints = self._last
            elapsed_s = (now_ns - stamp_ns) * 1e-9
            is_followed = np.all(np.abs(joints - measured_rad) <= self._lead * (1.0 + _ROUNDING))
            if 0.0 <= elapsed_s <= _WINDOW_S and is_followed:
                return joints, elapsed_s
        return np.clip(measured_rad, self._low, self._high), _TICK_S

    def is_inside(self, joints_rad: Array) -> bool:
        """Return whether joints lie inside the limits, or so little outside that it is noise."""
        outside = np.maximum(self._low - joints_rad, joints_rad - self._high)
        return bool(np.all(outside <= self._speed * _TICK_S))

    def vet(self, target_rad: Array, measured_rad: Array, now_ns: int) -> Array:
        """Return the target that may go out at ``now_ns``, and remember it.

        Raises NonFiniteCommandError or JointLimitError; then nothing is remembered.
        """
        target = np.asarray(target_rad, np.float64)
        measured = np.asarray(measured_rad, np.float64)
        for what, joints in (('joint target', target), ('measured joints', measured)):
            if joints.shape != self._low.shape or not np.all(np.isfinite(joints)):
                raise NonFiniteCommandError(
                    f'{what} {joints.tolist()}; valid: {self._low.size} finite numbers.'
                )
        self._refuse_outside(target, np.full_like(target, _ROUNDING), 'the target of')
        self._refuse_outside(measured, self._speed * _TICK_S, 'the measured')
        start, elapsed_s = self.reference(measured, now_ns)
        way = target - start
        distance = np.abs(way)
        with np.errstate(divide='ignore', invalid='ignore'):
            by_speed = self._speed * elapsed_s / distance
            room = np.where(way > 0.0, measured + self._lead - start, start - measured + self._lead)
            by_lead = np.maximum(room, 0.0) / distance
        fraction = float(np.min(np.where(distance > 0.0, np.minimum(by_speed, by_lead), 1.0)))
        joints = np.clip(start + min(fraction, 1.0) * way, self._low, self._high)
        self._last = (now_ns, joints)
        return joints

    def reset(self) -> None:
        """Forget the last target, e.g. after a hold."""
        self._last = None

    def _refuse_outside(self, joints: Array, tolerance_rad: Array, what: str) -> None:
        outside = np.maximum(self._low - joints, joints - self._high) - tolerance_rad
        worst = int(np.argmax(outside))
        if outside[worst] > 0.0:
            raise JointLimitError(
                f'{what} joint {worst + 1} of {joints.size} is {joints[worst]:.3f} rad; valid: '
                f'{self._low[worst]:.3f} to {self._high[worst]:.3f} rad (limits and margin of '
                'joint_limits).'
            )
