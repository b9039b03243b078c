# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""SafetyFilter: the last look at every command before it goes out.

The checks are pure functions of a command, the freshest robot state and limits, in the order
finite -> fresh -> workspace -> step displacement and rotation -> speed -> gripper rate. What is a
little too much is clamped and reported; what is far too much, or not a number, is refused, and the
arm holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
import math
import threading

import numpy as np

from wm_planner.core.config import parameter, validate
from wm_planner.core.errors import (
    NonFiniteCommandError,
    SafetyError,
    StaleCommandError,
    StepLimitError,
    WorkspaceViolationError,
)
from wm_planner.core.geometry import UNIT_TOLERANCE, Array, rotation_angle, slerp
from wm_planner.core.profile import RobotProfile
from wm_planner.core.types import ArmCommand, RobotState

_ROUNDING = 1e-9  # relative; what is exactly at a limit passes in floating point too


@dataclass(frozen=True, kw_only=True)
class SafetyConfig:
    """How far the robot profile's limits are widened, and when a clamp becomes a refusal.

    The ranges are closed on purpose: no value switches a check off.
    """

    limit_scale: float = parameter(
        1.0, "factor on the profile's step, speed and gripper limits", low=0.05, high=2.0
    )
    workspace_margin_m: float = parameter(
        0.10,
        'how far outside the workspace a target is clamped and not refused [m]',
        low=0.0,
        high=0.5,
    )
    refuse_factor: float = parameter(
        2.0,
        'multiple of a step limit up to which a step is clamped and not refused',
        low=1.0,
        high=5.0,
    )
    max_state_age_s: float = parameter(
        0.5, 'age of the robot state above which nothing is sent [s]', low=0.01, high=5.0
    )
    speed_window_s: float = parameter(
        0.3,
        'longest time between two targets that counts for the speed check [s]; a target after a '
        'longer pause is treated as one after this time',
        low=0.01,
        high=2.0,
    )
    overspeed_factor: float = parameter(
        1.5,
        'multiple of the speed limits at which the measured speed of the tool stops the arm',
        low=1.1,
        high=5.0,
    )

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True, kw_only=True)
class SafetyLimits:
    """A profile's limits as widened by the config: positions in base_frame."""

    low_m: Array
    high_m: Array
    margin_m: float
    max_step_m: float
    max_step_rad: float
    refuse_factor: float
    max_speed_m_s: float
    max_rotation_speed_rad_s: float
    max_gripper_rate_1_s: float

    @classmethod
    def of(cls, profile: RobotProfile, config: SafetyConfig) -> SafetyLimits:
        """Return the limits in force."""
        low, high = profile.workspace
        scale = config.limit_scale
        return cls(
            low_m=low,
            high_m=high,
            margin_m=config.workspace_margin_m,
            max_step_m=scale * profile.max_step_m,
            max_step_rad=scale * profile.max_step_rad,
            refuse_factor=config.refuse_factor,
            max_speed_m_s=scale * profile.max_speed_m_s,
            max_rotation_speed_rad_s=scale * profile.max_rotation_speed_rad_s,
            max_gripper_rate_1_s=scale * profile.max_gripper_rate_1_s,
        )


@dataclass(frozen=True, kw_only=True)
class SafetyVerdict:
    """``command`` may go out as it is here; None = hold, and ``error`` says why.

    ``clamps`` names what was shortened: workspace, step, rotation, speed, rotation_speed,
    gripper_range, gripper_rate.
    """

    command: ArmCommand | None
    clamps: tuple[str, ...] = ()
    error: SafetyError | None = None


class SafetyFilter:
    """Vets commands against a robot profile. It can be widened by config, never switched off.

    ``check_target`` vets the end point of a step before motion toward it begins; ``apply`` vets
    each setpoint that is about to be sent and remembers it, for the speed of the next. Counts
    since construction: ``clamped`` and ``refused``. Thread-safe (one lock).
    """

    def __init__(self, profile: RobotProfile, config: SafetyConfig) -> None:
        self._config = config
        self._limits = SafetyLimits.of(profile, config)
        self._lock = threading.Lock()
        self._last: ArmCommand | None = None
        self._clamped = 0
        self._refused = 0

    @property
    def limits(self) -> SafetyLimits:
        """Return the limits in force."""
        return self._limits

    @property
    def clamped(self) -> int:
        """Return how many commands were shortened."""
        return self._clamped

    @property
    def refused(self) -> int:
        """Return how many commands were refused."""
        return self._refused

    def reset(self) -> None:
        """Forget the last setpoint, e.g. after a stop: the next speed is that from the state."""
        with self._lock:
            self._last = None

    def check_target(self, command: ArmCommand, state: RobotState, now_ns: int) -> SafetyVerdict:
        """Return the verdict on the end of a step from ``state``: all checks but the speeds."""
        with self._lock:
            return self._count(self._vet(command, state, now_ns, self._step_checks(state)))

    def apply(self, command: ArmCommand, state: RobotState, now_ns: int) -> SafetyVerdict:
        """Return the verdict on a setpoint to be sent at ``now_ns``.

        ``state`` is the freshest robot state. Speeds are those between this setpoint and the last
        one that passed; where there was none, or the arm is more than a step away from it (moved by
        somebody else, reset), between this setpoint and ``state``.
        """
        with self._lock:
            reference, elapsed_s = self._reference(state, now_ns)
            limits = self._limits
            checks: list[_Check] = [
                *self._step_checks(state),
                lambda c: limit_speed(c, reference, elapsed_s, limits),
                lambda c: limit_rotation_speed(c, reference, elapsed_s, limits),
                lambda c: limit_gripper_rate(c, reference, elapsed_s, limits),
            ]
            verdict = self._count(self._vet(command, state, now_ns, checks))
            if verdict.command is not None:
                self._last = verdict.command.restamped(now_ns)
            return verdict

    def _step_checks(self, state: RobotState) -> list[_Check]:
        limits = self._limits
        return [
            lambda c: limit_workspace(c, state, limits),
            lambda c: limit_step(c, state, limits),
            lambda c: limit_rotation(c, state, limits),
            limit_gripper_range,
        ]

    def _vet(
        self, command: ArmCommand, state: RobotState, now_ns: int, checks: list[_Check]
    ) -> SafetyVerdict:
        clamps: list[str] = []
        try:
            require_finite(command)
            require_fresh(state, now_ns, self._config.max_state_age_s)
            for check in checks:
                command, clamp = check(command)
                if clamp:
                    clamps.append(clamp)
        except SafetyError as error:
            return SafetyVerdict(command=None, clamps=tuple(clamps), error=error)
        return SafetyVerdict(command=command, clamps=tuple(clamps))

    def _count(self, verdict: SafetyVerdict) -> SafetyVerdict:
        self._refused += verdict.command is None
        self._clamped += verdict.command is not None and bool(verdict.clamps)
        return verdict

    def _reference(self, state: RobotState, now_ns: int) -> tuple[ArmCommand, float]:
        """Return what speeds are measured from, and over what time [s]."""
        window_s, last = self._config.speed_window_s, self._last
        if last is not None and now_ns >= last.stamp_ns:
            distance = float(np.linalg.norm(last.position_m - state.position_m))
            angle = float(rotation_angle(last.quaternion_xyzw, state.quaternion_xyzw))
            if distance <= self._limits.max_step_m and angle <= self._limits.max_step_rad:
                return last, min((now_ns - last.stamp_ns) * 1e-9, window_s)
        return ArmCommand.hold_at(state), window_s


def command_to_hold(
    state: RobotState | None, last: ArmCommand | None, low_m: Array, high_m: Array
) -> ArmCommand | None:
    """Return the target that keeps the arm where it is, None where nothing is known.

    That is the measured pose, but never one outside the box ``low_m`` .. ``high_m`` for an arm that
    was last sent to one inside: such a measurement is false, or the arm is where nobody should
    send it again. The gripper keeps its last target: fingers that are stopped by an object would
    let go of it if their measured opening became the target.
    """
    if state is None:
        return last
    here = ArmCommand.hold_at(state)
    if last is None:
        return here
    if not _is_inside(state.position_m, low_m, high_m) and _is_inside(
        last.position_m, low_m, high_m
    ):
        return last
    return replace(here, gripper_closedness=last.gripper_closedness)


def _is_inside(position_m: Array, low_m: Array, high_m: Array) -> bool:
    return bool(np.all(position_m >= low_m) and np.all(position_m <= high_m))


# The checks: each returns the command, shortened where needed, and the clamp's name or '' ---------

_Check = Callable[[ArmCommand], tuple[ArmCommand, str]]


def require_finite(command: ArmCommand) -> None:
    """Raise NonFiniteCommandError unless the command is made of numbers and a rotation."""
    values = [*command.position_m, *command.quaternion_xyzw, command.gripper_closedness]
    if not np.all(np.isfinite(values)):
        raise NonFiniteCommandError(
            f'the command has position {command.position_m.tolist()}, quaternion '
            f'{command.quaternion_xyzw.tolist()} and gripper {command.gripper_closedness}; '
            'valid: finite numbers.'
        )
    norm = float(np.linalg.norm(command.quaternion_xyzw))
    if abs(norm - 1.0) > UNIT_TOLERANCE:
        raise NonFiniteCommandError(
            f"the command's quaternion has norm {norm:.4g} and is no rotation; valid: norm 1."
        )


def require_fresh(state: RobotState, now_ns: int, max_age_s: float) -> None:
    """Raise StaleCommandError if ``state`` says nothing about the present."""
    age_s = (now_ns - state.stamp_ns) * 1e-9
    if abs(age_s) > max_age_s:
        raise StaleCommandError(
            f'the robot state is {age_s:.3f} s old; valid: at most {max_age_s:g} s.'
        )


def limit_workspace(
    command: ArmCommand, state: RobotState, limits: SafetyLimits
) -> tuple[ArmCommand, str]:
    """Move a target just outside the workspace box to its surface; raise for one far outside.

    A tool that is outside already may stay there or come back, not go further: the box is widened
    to hold it, so that a command to hold never moves the arm.
    """
    low = np.minimum(limits.low_m, state.position_m)
    high = np.maximum(limits.high_m, state.position_m)
    inside = np.clip(command.position_m, low, high)
    outside_m = float(np.linalg.norm(command.position_m - inside))
    if outside_m == 0.0:
        return command, ''
    if outside_m > limits.margin_m:
        raise WorkspaceViolationError(
            f'the target {np.round(command.position_m, 3).tolist()} m is {outside_m:.3f} m outside '
            f'the workspace; valid: {limits.low_m.tolist()} .. {limits.high_m.tolist()} m.'
        )
    return replace(command, position_m=inside), 'workspace'


def limit_step(
    command: ArmCommand, state: RobotState, limits: SafetyLimits
) -> tuple[ArmCommand, str]:
    """Shorten the displacement from the tool to one step; raise for one far beyond."""
    distance = float(np.linalg.norm(command.position_m - state.position_m))
    _refuse_beyond('displacement', distance, limits.max_step_m, limits.refuse_factor, 'm')
    return _approach_position(command, state.position_m, limits.max_step_m, 'step')


def limit_rotation(
    command: ArmCommand, state: RobotState, limits: SafetyLimits
) -> tuple[ArmCommand, str]:
    """Shorten the rotation from the tool's to one step; raise for one far beyond."""
    angle = float(rotation_angle(state.quaternion_xyzw, command.quaternion_xyzw))
    _refuse_beyond('rotation', angle, limits.max_step_rad, limits.refuse_factor, 'rad')
    return _approach_rotation(command, state.quaternion_xyzw, limits.max_step_rad, 'rotation')


def limit_gripper_range(command: ArmCommand) -> tuple[ArmCommand, str]:
    """Clamp the closedness to [0, 1]."""
    inside = min(max(command.gripper_closedness, 0.0), 1.0)
    if inside == command.gripper_closedness:
        return command, ''
    return replace(command, gripper_closedness=inside), 'gripper_range'


def limit_speed(
    command: ArmCommand, reference: ArmCommand, elapsed_s: float, limits: SafetyLimits
) -> tuple[ArmCommand, str]:
    """Shorten the way from the last setpoint to what the speed limit allows in ``elapsed_s``."""
    reach_m = limits.max_speed_m_s * elapsed_s
    return _approach_position(command, reference.position_m, reach_m, 'speed')


def limit_rotation_speed(
    command: ArmCommand, reference: ArmCommand, elapsed_s: float, limits: SafetyLimits
) -> tuple[ArmCommand, str]:
    """Shorten the rotation from the last setpoint to what the limit allows in ``elapsed_s``."""
    reach_rad = limits.max_rotation_speed_rad_s * elapsed_s
    return _approach_rotation(command, reference.quaternion_xyzw, reach_rad, 'rotation_speed')


def limit_gripper_rate(
    command: ArmCommand, reference: ArmCommand, elapsed_s: float, limits: SafetyLimits
) -> tuple[ArmCommand, str]:
    """Shorten the change of closedness to what the limit allows in ``elapsed_s``."""
    reach = limits.max_gripper_rate_1_s * elapsed_s
    change = command.gripper_closedness - reference.gripper_closedness
    if abs(change) <= reach * (1.0 + _ROUNDING):
        return command, ''
    closedness = reference.gripper_closedness + math.copysign(reach, change)
    return replace(command, gripper_closedness=closedness), 'gripper_rate'


def _refuse_beyond(what: str, value: float, limit: float, factor: float, unit: str) -> None:
    if value > factor * limit * (1.0 + _ROUNDING):
        raise StepLimitError(
            f'the target asks for a {what} of {value:.3f} {unit}; valid: at most {limit:g} {unit} '
            f'a step (up to {factor:g} times that is shortened).'
        )


def _approach_position(
    command: ArmCommand, start: Array, reach_m: float, clamp: str
) -> tuple[ArmCommand, str]:
    """Return the command no further than ``reach_m`` from ``start``, on the straight line to it."""
    way = command.position_m - start
    distance = float(np.linalg.norm(way))
    if distance <= reach_m * (1.0 + _ROUNDING):
        return command, ''
    return replace(command, position_m=start + way * (reach_m / distance)), clamp


def _approach_rotation(
    command: ArmCommand, start: Array, reach_rad: float, clamp: str
) -> tuple[ArmCommand, str]:
    """Return the command turned no further than ``reach_rad`` from ``start``, the shorter way."""
    angle = float(rotation_angle(start, command.quaternion_xyzw))
    if angle <= reach_rad * (1.0 + _ROUNDING) + _ROUNDING:
        return command, ''
    quaternion = slerp(start, command.quaternion_xyzw, reach_rad / angle)
    return replace(command, quaternion_xyzw=quaternion), clamp
