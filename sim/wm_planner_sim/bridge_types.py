# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What passes between the simulation thread and the bridge node: plain values, no ROS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from wm_planner.core.config import parameter, validate
from wm_planner.core.errors import WmPlannerError
from wm_planner.core.geometry import Array
from wm_planner.core.types import EpisodeStart, Image, RobotState
from wm_planner_sim.command_inbox import InboxStatus
from wm_planner_sim.suites import EpisodeScore
from wm_planner_sim.tabletop import CameraIntrinsics


@dataclass(frozen=True, kw_only=True)
class BridgeConfig:
    """Rates (all in simulated time) and rules of the simulation bridge."""

    realtime_factor: float = parameter(
        1.0, 'simulated over wall time; 0 = as fast as possible', low=0.0, high=100.0
    )
    clock_rate_hz: float = parameter(125.0, 'rate of /clock [Hz]', low=100.0, high=1000.0)
    state_rate_hz: float = parameter(
        50.0, 'rate of joint states and tool pose [Hz]', low=1.0, high=500.0
    )
    exterior_rate_hz: float = parameter(
        10.0, 'rate of the exterior camera [Hz]; 0 = off', low=0.0, high=60.0
    )
    wrist_rate_hz: float = parameter(
        2.0,
        'rate of the wrist camera [Hz]; 0 = off; each picture costs what an exterior one does',
        low=0.0,
        high=60.0,
    )
    status_rate_hz: float = parameter(10.0, 'rate of the episode status [Hz]', low=1.0, high=50.0)
    control_step_s: float = parameter(
        0.25,
        'duration that the episode status counts as one control step [s]',
        low=0.01,
        high=10.0,
    )
    command_timeout_s: float = parameter(
        0.5,
        'wall time without a command after which the arm stops where it is [s]',
        low=0.05,
        high=10.0,
    )
    seed: int = parameter(0, 'seed of the block positions before the first episode', low=0)

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class SimInfo:
    """What is fixed once the simulator runs."""

    renderer: str
    timestep_s: float
    suites: tuple[str, ...]
    intrinsics: Mapping[str, CameraIntrinsics]


@dataclass(frozen=True, kw_only=True, slots=True)
class JointState:
    """Joints at one moment; names fit positions [rad | m] and velocities [1/s]."""

    names: tuple[str, ...]
    positions: Array
    velocities: Array


@dataclass(frozen=True, kw_only=True, slots=True)
class Episode:
    """Which episode runs; the scene's home state has an empty suite and no goals."""

    suite: str
    seed: int
    number: int
    start_ns: int
    goal_count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SimStatus:
    """How the simulation stands."""

    time_ns: int
    episode: Episode
    step: int
    score: EpisodeScore | None
    is_holding: bool
    is_paused: bool
    error: WmPlannerError | None
    inbox: InboxStatus
    realtime_factor: float
    is_slow: bool
    lost_s: float

    def edges(self) -> tuple[object, ...]:
        """Return what is worth a message at once when it changes."""
        message = self.error.message if self.error else ''
        success = self.score.success if self.score else False
        return self.episode, success, self.is_holding, self.is_paused, message


@dataclass(frozen=True, kw_only=True, slots=True)
class ResetResult:
    """A started episode; ``start`` is None for the home state."""

    episode: Episode
    start: EpisodeStart | None


class SimListener(Protocol):
    """Who is told of everything, on the simulation thread; a call that blocks stops time."""

    def on_time(self, time_ns: int) -> None:
        """Take simulated time; it comes before everything else with the same stamp."""

    def on_state(self, state: RobotState, joints: JointState) -> None:
        """Take tool and joints at ``state.stamp_ns``."""

    def on_image(self, camera: str, stamp_ns: int, image: Image) -> None:
        """Take a picture [H, W, 3] of the scene as it was at ``stamp_ns``."""

    def on_status(self, status: SimStatus) -> None:
        """Take the status: at its rate, on each change, and ten times a second in a pause."""

    def on_failure(self, error: WmPlannerError) -> None:
        """Learn that the simulator died with ``error``; the last call."""
