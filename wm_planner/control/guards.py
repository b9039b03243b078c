# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Guards: what stops the arm beside the commands and the data that the planner works on.

A guard is told what happens and says, whenever it is asked, whether the arm must stand still now.
The controller asks all of them on every tick and before it lets anybody enable motion. They are
plain bookkeeping; where their input comes from is the caller's affair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import math
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from wm_planner.core.errors import (
    ContactForceError,
    EmergencyStopError,
    EmergencyStopLostError,
    OverspeedError,
    SafetyError,
    SecondPublisherError,
    WrenchLostError,
)
from wm_planner.core.profile import StopInputs

_AT_ONCE_FACTOR = 2.0  # a force this many times the limit is no spike of a sensor


class Guard(Protocol):
    """Something that may stop the arm. One thread at a time: the executor's.

    One that keeps what it found, because it may be over before anybody asks, has a ``forget`` (see
    ``Keeps``).
    """

    def trouble(self, monotonic_ns: int) -> SafetyError | None:
        """Return why the arm must stand still at ``monotonic_ns``, None if it may move.

        An EmergencyStopError latches EMERGENCY_STOP and keeps ``reset`` from working, any other
        latches FAULT and only keeps motion from being enabled.
        """


@runtime_checkable
class Keeps(Protocol):
    """A guard that keeps its trouble when the cause is over."""

    def forget(self) -> None:
        """Forget what is over by now; what is not stays."""


def all_troubles(guards: Sequence[Guard], monotonic_ns: int) -> list[SafetyError]:
    """Return the troubles of ``guards``, emergency stops before all others."""
    found = [guard.trouble(monotonic_ns) for guard in guards]
    troubles = [trouble for trouble in found if trouble is not None]
    troubles.sort(key=lambda trouble: not isinstance(trouble, EmergencyStopError))
    return troubles


def first_trouble(guards: Sequence[Guard], monotonic_ns: int) -> SafetyError | None:
    """Return the most serious trouble of ``guards``."""
    return next(iter(all_troubles(guards, monotonic_ns)), None)


def forget_troubles(guards: Sequence[Guard]) -> None:
    """Have the guards forget what is over: the arm is asked for again."""
    for guard in guards:
        if isinstance(guard, Keeps):
            guard.forget()


class StopLine:
    """An emergency stop button on a topic: true stops, false does not release what is latched.

    With ``estop_heartbeat_s`` its silence stops as well, and so does a button that has never been
    heard of.
    """

    def __init__(self, stops: StopInputs) -> None:
        self._stops = stops
        self._is_pressed = False
        self._heard_ns: int | None = None

    def heard(self, is_pressed: bool, monotonic_ns: int) -> None:
        """Take a message."""
        self._is_pressed, self._heard_ns = is_pressed, monotonic_ns

    def age_s(self, monotonic_ns: int) -> float:
        """Return the time since the last message [s], NaN before the first."""
        return math.nan if self._heard_ns is None else (monotonic_ns - self._heard_ns) * 1e-9

    def trouble(self, monotonic_ns: int) -> SafetyError | None:
        """Return why the line stops the arm."""
        topic, limit_s = self._stops.estop_topic, self._stops.estop_heartbeat_s
        if self._is_pressed:
            return EmergencyStopError(
                f'the emergency stop on {topic} is pressed; valid: release it, then ~/reset.'
            )
        if limit_s == 0.0:
            return None
        if self._heard_ns is None:
            return EmergencyStopLostError(
                f'nothing has come from the emergency stop on {topic}; valid: std_msgs/Bool, '
                f'false, at least every {limit_s:g} s.'
            )
        age_s = self.age_s(monotonic_ns)
        if age_s <= limit_s:
            return None
        return EmergencyStopLostError(
            f'the emergency stop on {topic} has been silent for {age_s:.2f} s; valid: a message at '
            f'least every {limit_s:g} s (estop_heartbeat_s).'
        )


class WrenchGuard:
    """Stops the arm on contact: force and torque against the profile's limits.

    A norm above its limit for ``wrench_debounce_s``, or above twice the limit once, is contact. A
    wrench that is not finite or does not come is a stop too: it cannot be told from contact. The
    contact is kept until the arm is asked for again (``forget``): it may be over before anybody
    asks, and a hold often relieves it.
    """

    def __init__(self, stops: StopInputs) -> None:
        self._stops = stops
        self._heard_ns: int | None = None
        self._over_since_ns: int | None = None
        self._found: SafetyError | None = None
        self._is_finite = True

    def forget(self) -> None:
        """Forget a contact, unless the newest wrench is above a limit still."""
        if self._over_since_ns is None:
            self._found = None

    def heard(
        self, force_n: npt.ArrayLike, torque_nm: npt.ArrayLike, monotonic_ns: int
    ) -> SafetyError | None:
        """Take force [3] and torque [3]; return what they mean."""
        stops, self._heard_ns = self._stops, monotonic_ns
        force = float(np.linalg.norm(np.asarray(force_n, np.float64)))
        torque = float(np.linalg.norm(np.asarray(torque_nm, np.float64)))
        self._is_finite = math.isfinite(force) and math.isfinite(torque)
        if not self._is_finite:
            return self.trouble(monotonic_ns)
        excess = max(force / stops.max_force_n, torque / stops.max_torque_nm)
        if excess <= 1.0:
            self._over_since_ns = None
            return self._found
        if self._over_since_ns is None:
            self._over_since_ns = monotonic_ns
        over_s = (monotonic_ns - self._over_since_ns) * 1e-9
        if over_s >= stops.wrench_debounce_s or excess >= _AT_ONCE_FACTOR:
            self._found = ContactForceError(
                f'the tool feels {force:.1f} N and {torque:.2f} Nm on {stops.wrench_topic}; valid: '
                f'at most {stops.max_force_n:g} N and {stops.max_torque_nm:g} Nm. Free the arm '
                'before ~/reset, or raise the limits of the profile if this is how it should touch.'
            )
        return self._found

    def age_s(self, monotonic_ns: int) -> float:
        """Return the time since the last wrench [s], NaN before the first."""
        return math.nan if self._heard_ns is None else (monotonic_ns - self._heard_ns) * 1e-9

    def trouble(self, monotonic_ns: int) -> SafetyError | None:
        """Return why the wrench stops the arm."""
        stops = self._stops
        if self._heard_ns is None:
            return WrenchLostError(
                f'no wrench has come on {stops.wrench_topic}; valid: geometry_msgs/WrenchStamped, '
                'or no wrench_topic in the profile.'
            )
        if not self._is_finite:
            return WrenchLostError(
                f'the wrench on {stops.wrench_topic} is not finite; valid: finite numbers.'
            )
        age_s = self.age_s(monotonic_ns)
        if age_s > stops.wrench_timeout_s:
            return WrenchLostError(
                f'the newest wrench on {stops.wrench_topic} came {age_s:.2f} s ago; valid: at most '
                f'{stops.wrench_timeout_s:g} s (wrench_timeout_s).'
            )
        return self._found


class SoleSpeaker:
    """Nobody else may publish commands to the arm.

    Some drivers drop all input while there are two publishers, the others obey both in turn; in
    neither case can this node vouch for where the arm goes.
    """

    def __init__(self) -> None:
        self._others: dict[str, int] = {}

    def heard(self, others: Mapping[str, int]) -> None:
        """Take how many publishers other than ours each command topic has."""
        self._others = {topic: count for topic, count in others.items() if count > 0}

    def trouble(self, monotonic_ns: int) -> SafetyError | None:
        """Return who else speaks."""
        if not self._others:
            return None
        found = ', '.join(f'{count} on {topic}' for topic, count in self._others.items())
        return SecondPublisherError(
            f'other publishers of commands: {found}; valid: none. Stop the other planner, teleop '
            'or bag player, then ~/reset; one that was killed stays listed until its lease ends.'
        )


class SpeedGuard:
    """What the arm really does, against what it may be told: the measured speed of the tool.

    ``heard`` takes speeds over a window that is long against the noise of the pose.
    """

    def __init__(self, *, max_speed_m_s: float, max_rotation_speed_rad_s: float) -> None:
        self._limits = max_speed_m_s, max_rotation_speed_rad_s
        self._speeds = 0.0, 0.0

    def heard(self, speed_m_s: float, rotation_speed_rad_s: float) -> None:
        """Take the measured speeds."""
        self._speeds = speed_m_s, rotation_speed_rad_s

    def trouble(self, monotonic_ns: int) -> SafetyError | None:
        """Return how much too fast it is."""
        (speed, turn), (max_speed, max_turn) = self._speeds, self._limits
        if speed <= max_speed and turn <= max_turn:
            return None
        return OverspeedError(
            f'the tool moves at {speed:.2f} m/s and turns at {turn:.2f} rad/s; valid: at most '
            f'{max_speed:.2f} m/s and {max_turn:.2f} rad/s (safety.overspeed_factor times what it '
            'may be told). Does the driver obey, and are its units metres?'
        )
