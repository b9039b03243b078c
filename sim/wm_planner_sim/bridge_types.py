# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What passes between the simulation thread and the bridge node: plain values, no ROS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from wm_planner.core.config import parameter, validate
from wm_planner.core.errors import WmPlannerError
from wm_planner.core.geometry import Array
from wm_planner.core.types import ArmCommand, EpisodeStart, Image, RobotState
from wm_planner_sim.command_inbox import InboxStatus
from wm_planner_sim.suites import EpisodeScore
from wm_planner_sim.tabletop import CameraIntrinsics


@dataclass(frozen=True, kw_only=True)
class BridgeConfig:
    """Rates (all in simulated time) and rules of the simulation bridge.

    A rate that the simulation's time step does not allow becomes the nearest that it does.
    """

    environment: str = parameter(
        'tabletop', 'what is simulated', choices=('tabletop', 'arena'), read_only=True
    )
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
    planner_status: str = parameter(
        '',
        'topic of a PlannerStatus; where one is given, an environment that counts control steps '
        'counts and charges only those in which that planner executes an action',
        read_only=True,
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


class Simulation(Protocol):
    """A simulated robot; belongs to the simulation thread. Poses are in the base frame."""

    @property
    def timestep_s(self) -> float:
        """Return the finest time that ``advance`` knows [s]."""

    @property
    def time_ns(self) -> int:
        """Return simulated time [ns]; strictly rising, resets included."""

    @property
    def target(self) -> ArmCommand:
        """Return the target that the arm goes to or holds."""

    @property
    def cameras(self) -> tuple[str, ...]:
        """Return the camera names."""

    @property
    def renderer(self) -> str:
        """Return the OpenGL platform: osmesa, egl or glfw."""

    def reset(self, *, seed: int) -> None:
        """Go to the home state."""

    def robot_state(self) -> RobotState:
        """Return tool pose and gripper now."""

    def tool_at(self, joints_rad: Array) -> tuple[Array, Array]:
        """Return position [3] and quaternion xyzw of the tool with the arm's joints [J] there."""

    def joint_state(self) -> tuple[tuple[str, ...], Array, Array]:
        """Return names, positions and velocities of the joints."""

    def set_target(self, command: ArmCommand) -> None:
        """Take a target, kept until replaced."""

    def hold(self) -> None:
        """Make where the tool is now the target; the gripper keeps its command."""

    def advance(self, duration_s: float) -> None:
        """Run physics, rounded to time steps."""

    def render(self, camera: str) -> Image:
        """Return an upright picture of the present state."""

    def intrinsics(self, camera: str) -> CameraIntrinsics:
        """Return the intrinsics of a camera."""


class SimulationEnvironment(Protocol):
    """A simulation with episodes."""

    @property
    def sim(self) -> Simulation:
        """Return the simulation."""

    def suites(self) -> tuple[str, ...]:
        """Return the names of the suites."""

    def reset(self, suite: str, *, seed: int, episode: int) -> EpisodeStart:
        """Start an episode; where it raises, ``is_scene_lost`` says what is left."""

    @property
    def is_scene_lost(self) -> bool:
        """Return whether the last ``reset`` failed with the scene anywhere and no episode in it.

        False where everything is as before it, scores included.
        """

    def begin_goal(self, index: int) -> None:
        """Say which goal distances belong to."""

    def score(self) -> EpisodeScore:
        """Return how the episode stands."""

    def close(self) -> None:
        """Release the simulation."""


@runtime_checkable
class CountsSteps(Protocol):
    """An environment whose benchmark counts control steps and charges for them; optional.

    A benchmark's clock stands still while a policy thinks; a simulation behind ROS goes on.
    """

    @property
    def steps_counted(self) -> int:
        """Return the control steps of the episode so far."""

    def set_counting(self, is_counting: bool) -> None:
        """Count, and charge for, the control steps from now on, or let them be."""


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
