# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Outlet: the one place where setpoints leave, through the safety filter, to the sink."""

from __future__ import annotations

from dataclasses import dataclass
import logging

import numpy as np

from wm_planner.control.safety import SafetyFilter, command_to_hold
from wm_planner.core.errors import (
    DisplacedError,
    DriverError,
    SafetyError,
    WmPlannerError,
    WorkspaceViolationError,
)
from wm_planner.core.geometry import rotation_angle
from wm_planner.core.protocols import CommandSink
from wm_planner.core.types import ArmCommand, RobotState

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What became of one tick's setpoint.

    ``command`` is what went out, None = nothing did. ``refusal`` is why the setpoint that was due
    did not pass (a hold may have gone out in its place), ``fault`` what the sink raised.
    """

    command: ArmCommand | None = None
    refusal: SafetyError | None = None
    fault: WmPlannerError | None = None


class Outlet:
    """Sends the setpoint that is due, or else the one to hold.

    What is held is the last setpoint, so that stopping is smooth, needs no measurement and keeps
    the grip on an object; so too where the state is not known and nothing can be vetted: a pose of
    a moment ago would be a motion back. Where there is none yet (motion was just enabled), or
    somebody moved the arm more than a step away from it, it is the measured pose. The gripper
    always keeps the last closedness that was commanded: the measured one would hold an object with
    no force.

    Only once in a row, though: of an arm that leaves what it holds again, the pose is wrong or
    somebody moves it, and to follow would move it further. Then nothing is sent any more.

    Closed at first, when nothing is sent. One thread at a time (the controller's lock).
    """

    def __init__(self, safety: SafetyFilter, sink: CommandSink) -> None:
        self._safety = safety
        self._sink = sink
        self._is_open = False
        self._setpoint: ArmCommand | None = None  # last sent since it was opened
        self._hold_target: ArmCommand | None = None
        self._is_released = False
        self._is_muted = False  # since it was last open
        self._is_broken = False  # the sink raised at the last send
        self._has_followed = False  # held it at a place that it was moved to, and not sent it since

    @property
    def is_open(self) -> bool:
        """Return whether setpoints may leave."""
        return self._is_open

    @property
    def setpoint(self) -> ArmCommand | None:
        """Return what was sent last since it was opened."""
        return self._setpoint

    def open(self) -> None:
        """Let setpoints leave, beginning at the measured pose."""
        self._forget()
        self._is_open, self._is_muted = True, False

    def close(self) -> None:
        """Tell the sink to hold, unless muted, and let nothing leave any more."""
        self._forget()
        self._is_open = False
        if not self._is_muted:
            self._sink.hold()

    def mute(self) -> None:
        """Let nothing leave any more, not even a hold: where the arm is cannot be trusted.

        That lasts until it is opened: whatever asks for a hold meanwhile is not heard.
        """
        self._forget()
        self._is_open, self._is_muted = False, True
        self._sink.forget()

    def hold_measured(self, state: RobotState | None) -> None:
        """Hold where the arm is, or the last setpoint where ``state`` is None; at once."""
        if self._is_muted:
            return
        if state is None:
            self._sink.stay()
            return
        self._hold_target = self._here(state)
        self._sink.hold()

    def release(self) -> None:
        """Leave it to the sink to stay at the last setpoint, because nothing can be vetted."""
        if self._is_open and not self._is_released:
            self._is_released = True
            self._sink.stay()

    def send(self, due: ArmCommand | None, state: RobotState, now_ns: int) -> Sent:
        """Send ``due``, or the setpoint to hold where that is None or refused."""
        if not self._is_open:
            return Sent()
        refusal: SafetyError | None = None
        if due is not None:
            verdict = self._safety.apply(due.restamped(now_ns), state, now_ns)
            if verdict.command is not None:
                sent = self._put(verdict.command, None)
                self._has_followed = False
                self._hold_target = self._setpoint
                return sent
            refusal = verdict.error
        target = self._hold_target
        if target is not None and self._is_displaced(target, state):
            if self._has_followed:
                return Sent(refusal=refusal, fault=_displaced(target, state))
            self._has_followed, target = True, None
        if target is None:
            target = self._here(state) or ArmCommand.hold_at(state)
            if self._outside_m(target) > self._safety.limits.margin_m:
                return Sent(refusal=refusal, fault=_outside(target, self._outside_m(target)))
            self._hold_target = target
        verdict = self._safety.apply(target.restamped(now_ns), state, now_ns)
        if verdict.command is None:
            self.release()
            return Sent(refusal=refusal or verdict.error)
        return self._put(verdict.command, refusal)

    def _put(self, command: ArmCommand, refusal: SafetyError | None) -> Sent:
        try:
            self._setpoint = self._sink.send(command)
        except SafetyError as error:  # the sink cannot go there: out of reach, joint limits
            self.release()
            return Sent(refusal=refusal or error)
        except Exception as error:  # whatever a driver raises stops the arm, not the node
            if not self._is_broken:  # once, not fifty times a second
                _logger.exception('the sink raised')
            self._is_broken = True
            fault = (
                error
                if isinstance(error, WmPlannerError)
                else DriverError(f'the sink raised {type(error).__name__}: {error}')
            )
            return Sent(refusal=refusal, fault=fault)
        self._is_released = self._is_broken = False
        return Sent(command=self._setpoint, refusal=refusal)

    def _is_displaced(self, target: ArmCommand, state: RobotState) -> bool:
        """Return whether the arm is further from what it should hold than it can get by itself."""
        limits = self._safety.limits
        distance = float(np.linalg.norm(target.position_m - state.position_m))
        angle = float(rotation_angle(target.quaternion_xyzw, state.quaternion_xyzw))
        return distance > limits.max_step_m or angle > limits.max_step_rad

    def _outside_m(self, command: ArmCommand) -> float:
        limits = self._safety.limits
        inside = np.clip(command.position_m, limits.low_m, limits.high_m)
        return float(np.linalg.norm(command.position_m - inside))

    def _here(self, state: RobotState | None) -> ArmCommand | None:
        limits = self._safety.limits
        return command_to_hold(state, self._setpoint, limits.low_m, limits.high_m)

    def _forget(self) -> None:
        self._setpoint = self._hold_target = None
        self._is_released = self._has_followed = False
        self._safety.reset()


def _outside(target: ArmCommand, distance_m: float) -> WorkspaceViolationError:
    return WorkspaceViolationError(
        f'the arm is at {np.round(target.position_m, 3).tolist()} m, {distance_m:.3f} m outside '
        'the workspace; valid: an arm that begins inside. Bring it there by other means, and see '
        'that the tool pose and the box of the profile are right.'
    )


def _displaced(target: ArmCommand, state: RobotState) -> DisplacedError:
    distance = float(np.linalg.norm(target.position_m - state.position_m))
    return DisplacedError(
        f'the arm is {distance:.2f} m from where it is held, for the second time; valid: an arm '
        'that stays. Disable motion before moving it by hand, and see that the tool pose is right.'
    )
