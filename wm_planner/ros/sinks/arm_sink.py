# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""ArmSink: what each driver interface of an arm is, and the context they are all made with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from rclpy.node import Node

from wm_planner.control.safety import SafetyConfig, SafetyLimits
from wm_planner.core.errors import InvalidParameterError
from wm_planner.core.profile import RobotProfile
from wm_planner.core.protocols import Clock, Kinematics
from wm_planner.core.types import ArmCommand, JointPositions, RobotState

MAX_HELD_AGE_S = 0.1
"""Age of a measurement [s] above which it is not held: the arm has moved on, and would go back."""


@dataclass(frozen=True, kw_only=True)
class SinkContext:
    """What a sink may use. ``kinematics`` is there for sinks that ask for it."""

    node: Node
    profile: RobotProfile
    clock: Clock
    latest_state: Callable[[], RobotState | None]
    latest_joints: Callable[[], JointPositions | None]
    kinematics: Kinematics | None = None
    control_rate_hz: float = 50.0
    safety: SafetyConfig = field(default_factory=SafetyConfig)

    @property
    def limits(self) -> SafetyLimits:
        """Return the limits in force: the profile's, scaled by ``safety.limit_scale``."""
        return SafetyLimits.of(self.profile, self.safety)


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A topic or service that a driver's user should find in the graph."""

    name: str
    type_name: str
    kind: str = 'publisher'  # publisher, subscription, action client, service client


class ArmSink:
    """Base of the sinks of arms: one class a driver interface; the gripper is apart.

    A command is prepared, which may refuse it, and then published, so that the gripper moves only
    with an arm that does. ``needs_kinematics`` says that the driver takes joints;
    ``minimum_rate_hz`` is the rate below which it stops by itself. Thread: the executor's, or the
    main one after spinning.
    """

    needs_kinematics: ClassVar[bool] = False
    minimum_rate_hz: ClassVar[float] = 0.0

    def __init__(self, context: SinkContext) -> None:
        if context.control_rate_hz < self.minimum_rate_hz:
            raise InvalidParameterError(
                f'control_rate_hz is {context.control_rate_hz:g}; valid for sink '
                f'{context.profile.sink!r}: at least {self.minimum_rate_hz:g}, its driver halts '
                'when commands are older.'
            )
        self._context = context

    @classmethod
    def streams(cls, profile: RobotProfile) -> tuple[Stream, ...]:
        """Return what the sink of this profile publishes, subscribes and calls."""
        raise NotImplementedError

    def begin(self) -> None:
        """Make ready for the first command, or the first after a hold."""

    def prepare(self, command: ArmCommand) -> ArmCommand:
        """Return what would really go out. Raises SafetyError where nothing should."""
        return command

    def publish(self, command: ArmCommand) -> None:
        """Send what ``prepare`` returned last."""
        raise NotImplementedError

    def publish_hold(self, target: ArmCommand) -> None:
        """Make the driver stay; ``target`` is the measured pose, or the last where unknown."""
        self.publish(target)

    def publish_stay(self, target: ArmCommand) -> None:
        """Make the driver stay at the last target, ``target``: nothing measured is to be used."""
        self.publish_hold(target)

    def publishers(self) -> list[Any]:
        """Return the publishers of commands."""
        return []

    def close(self) -> None:
        """Let go of everything else than the publishers."""
