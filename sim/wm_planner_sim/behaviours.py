# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Scripted behaviours over the tabletop: what the training data are made of, and the pick expert.

They look at the simulator's truth (block poses), which a planner never does. Each behaviour is a
generator of waypoints; ``waypoint_action`` turns the distance to the present waypoint into one
bounded action of TABLETOP_ACTIONS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
import math

import numpy as np

from wm_planner.core.actions import action_to_command
from wm_planner.core.geometry import Array
from wm_planner.core.types import ActionSpec, ArmCommand, RobotState
from wm_planner_sim.scene import BLOCKS
from wm_planner_sim.tabletop import TabletopSim

TABLETOP_ACTIONS = ActionSpec(
    low=np.array([-0.06, -0.06, -0.06, -0.35, 0.0]),
    high=np.array([0.06, 0.06, 0.06, 0.35, 1.0]),
    names=('dx', 'dy', 'dz', 'dyaw', 'gripper'),
    step_duration_s=0.25,
)
"""The action space of the tabletop: base-frame deltas and an absolute closedness, at 4 Hz."""

WORKSPACE_LOW_M = np.array([0.36, -0.20, 0.018])
WORKSPACE_HIGH_M = np.array([0.62, 0.20, 0.28])
"""Where goals are drawn; the exterior camera shows all of it."""

DATA_LOW_M = np.array([0.33, -0.23, 0.018])
DATA_HIGH_M = np.array([0.65, 0.23, 0.31])
"""Where data are collected: wider, so that a goal at the edge is not at the edge of the data."""

GRASP_HEIGHT_M = 0.022
PUSH_HEIGHT_M = 0.025
DATA_YAW_RAD = 1.2
"""Largest yaw in the data: well beyond that of any goal (0.8), because a model that has never seen
a tool turned further takes it for one turned back, and the planner turns it ever further."""


@dataclass(frozen=True, kw_only=True)
class Waypoint:
    """A tool target that a behaviour goes to before it asks for the next."""

    position_m: Array
    yaw_rad: float = 0.0
    gripper: float = 0.0
    tolerance_m: float = 0.012
    min_steps: int = 0
    speed: float = 1.0  # fraction of the action bounds


def tool_yaw(state: RobotState) -> float:
    """Return the yaw [rad] of a tool whose fingers point down."""
    x, y, _, _ = state.quaternion_xyzw
    yaw = 2.0 * math.atan2(y, x)
    return math.atan2(math.sin(yaw), math.cos(yaw))


def grasp_yaw(block_yaw: float) -> float:
    """Return the tool yaw in [-pi/4, pi/4] whose fingers meet the block's faces."""
    quarter = math.pi / 2
    return (block_yaw + quarter / 2) % quarter - quarter / 2


def waypoint_action(state: RobotState, waypoint: Waypoint, noise: Array | None = None) -> Array:
    """Return the bounded action [5] toward a waypoint, with position noise [3] in metres added."""
    spec = TABLETOP_ACTIONS
    delta = waypoint.position_m - state.position_m
    limit = waypoint.speed * spec.high[:3]
    delta = delta * min(1.0, float(np.min(limit / np.maximum(np.abs(delta), 1e-9))))
    if noise is not None:
        delta = delta + noise
    yaw_error = waypoint.yaw_rad - tool_yaw(state)
    action = np.array([*delta, yaw_error, waypoint.gripper])
    action = np.clip(action, spec.low, spec.high)
    target = np.clip(state.position_m + action[:3], DATA_LOW_M, DATA_HIGH_M)
    action[:3] = target - state.position_m
    return np.clip(action, spec.low, spec.high)


def apply_action(sim: TabletopSim, action: Array) -> ArmCommand:
    """Servo to one action from the measured state for one step; return the target that was set."""
    command = action_to_command(action, TABLETOP_ACTIONS, sim.robot_state(), sim.time_ns)
    sim.set_target(command)
    sim.advance(TABLETOP_ACTIONS.step_duration_s)
    return command


Behaviour = Callable[[TabletopSim, np.random.Generator], Iterator[Waypoint]]


def wander(sim: TabletopSim, rng: np.random.Generator) -> Iterator[Waypoint]:
    """Go to random places at random speeds, the gripper changing now and then."""
    gripper = float(rng.integers(2))
    while True:
        position = rng.uniform(DATA_LOW_M, DATA_HIGH_M)
        if rng.random() < 0.3:
            gripper = float(rng.choice([0.0, 1.0, rng.uniform()]))
        yield Waypoint(
            position_m=position,
            yaw_rad=rng.uniform(-DATA_YAW_RAD, DATA_YAW_RAD),
            gripper=gripper,
            tolerance_m=0.02,
            speed=rng.uniform(0.3, 1.0),
        )


def push(sim: TabletopSim, rng: np.random.Generator) -> Iterator[Waypoint]:
    """Get behind a block with closed fingers, push it along a random direction, lift off."""
    while True:
        block = BLOCKS[int(rng.integers(len(BLOCKS)))]
        centre = sim.block_position(block)
        angle = rng.uniform(-math.pi, math.pi)
        direction = np.array([math.cos(angle), math.sin(angle), 0.0])
        behind, travel = 0.06 + rng.uniform(0.0, 0.02), rng.uniform(0.10, 0.18)
        start = np.array([centre[0], centre[1], PUSH_HEIGHT_M]) - behind * direction
        yaw = rng.uniform(-0.3, 0.3)
        common = {'yaw_rad': yaw, 'gripper': 1.0}
        yield Waypoint(position_m=start + [0, 0, 0.10], tolerance_m=0.03, **common)
        yield Waypoint(position_m=start, tolerance_m=0.015, **common)
        yield Waypoint(
            position_m=start + travel * direction,
            tolerance_m=0.015,
            speed=rng.uniform(0.5, 1.0),
            **common,
        )
        end = sim.robot_state().position_m
        yield Waypoint(position_m=end + [0, 0, 0.12], tolerance_m=0.03, **common)


def pick_waypoints(
    sim: TabletopSim, block: str, lift_m: float, *, offset_m: Array | None = None
) -> Iterator[Waypoint]:
    """Grasp a block from above and lift it; ``offset_m`` [2] misses it on purpose."""
    centre = sim.block_position(block)
    place = np.array([centre[0], centre[1], GRASP_HEIGHT_M])
    if offset_m is not None:
        place[:2] += offset_m
    yaw = grasp_yaw(sim.block_yaw(block))
    yield Waypoint(position_m=place + [0, 0, 0.09], yaw_rad=yaw, gripper=0.0, tolerance_m=0.015)
    yield Waypoint(position_m=place, yaw_rad=yaw, gripper=0.0, tolerance_m=0.008)
    yield Waypoint(position_m=place, yaw_rad=yaw, gripper=1.0, min_steps=2)
    yield Waypoint(position_m=place + [0, 0, lift_m], yaw_rad=yaw, gripper=1.0)


def grasp(sim: TabletopSim, rng: np.random.Generator) -> Iterator[Waypoint]:
    """Grasp a block, carry it somewhere, let go; sometimes miss."""
    while True:
        block = BLOCKS[int(rng.integers(len(BLOCKS)))]
        miss = rng.uniform(-0.03, 0.03, 2) if rng.random() < 0.2 else rng.normal(0.0, 0.004, 2)
        yield from pick_waypoints(sim, block, rng.uniform(0.08, 0.20), offset_m=miss)
        yaw = tool_yaw(sim.robot_state())
        for _ in range(int(rng.integers(0, 3))):
            carry = rng.uniform(DATA_LOW_M + [0, 0, 0.03], DATA_HIGH_M)
            yield Waypoint(position_m=carry, yaw_rad=yaw, gripper=1.0, tolerance_m=0.02)
        place = np.array(sim.robot_state().position_m)
        place[2] = GRASP_HEIGHT_M + rng.uniform(0.0, 0.05)
        yield Waypoint(position_m=place, yaw_rad=yaw, gripper=1.0)
        yield Waypoint(position_m=place, yaw_rad=yaw, gripper=0.0, min_steps=2)
        yield Waypoint(position_m=place + [0, 0, 0.10], yaw_rad=yaw, gripper=0.0, tolerance_m=0.02)


class Driver:
    """Steps a behaviour: keeps the present waypoint and asks for the next on arrival."""

    def __init__(self, waypoints: Iterator[Waypoint], *, max_steps_per_waypoint: int = 12) -> None:
        self._waypoints = waypoints
        self._max_steps = max_steps_per_waypoint
        self._waypoint: Waypoint | None = None
        self._steps = 0

    def action(self, state: RobotState, noise: Array | None = None) -> Array | None:
        """Return the next action [5], or None when the behaviour has ended."""
        while self._waypoint is None or self._has_arrived(state, self._waypoint):
            self._waypoint = next(self._waypoints, None)
            self._steps = 0
            if self._waypoint is None:
                return None
        self._steps += 1
        return waypoint_action(state, self._waypoint, noise)

    def _has_arrived(self, state: RobotState, waypoint: Waypoint) -> bool:
        if self._steps >= max(self._max_steps, waypoint.min_steps):
            return True  # blocked, e.g. by the table's edge: go on rather than press for ever
        near = np.linalg.norm(state.position_m - waypoint.position_m) < waypoint.tolerance_m
        aligned = abs(waypoint.yaw_rad - tool_yaw(state)) < 0.1
        return self._steps >= max(1, waypoint.min_steps) and bool(near) and aligned
