# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""A scripted hand that picks things up and places them, by the simulator's own object poses.

It makes goal pictures and says what can be reached at all; it is no method. Above, descend, close,
lift, above the target, lower, open. A task that asks for anything but ``On`` and ``In`` is none of
its. There are several ways to take hold of an object; ``attempt`` numbers them, best first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
import math
from typing import Any

import numpy as np

from wm_planner.core.errors import SimulatorError
from wm_planner.core.geometry import Array, rotation_angle
from wm_planner.core.types import RobotState
from wm_planner_sim.arena_shapes import object_points
from wm_planner_sim.arena_sim import ArenaSim
from wm_planner_sim.tabletop import down_quaternion

GRASPED, ABOVE, PLACED = 'grasped', 'above', 'placed'
MAX_ATTEMPTS = 8
_MAX_WIDTH_M = 0.072  # that fits between open fingers
_APPROACH_M = 0.10
_CLEARANCE_M = 0.04
_RIM_DEPTH_M = 0.022
_WALL_M = 0.004
_CARRY_REACH_M = 0.02  # target this far ahead, so that what is held does not slip
_LONG_ASPECT = 2.5
_FINGERTIP_M = 0.008  # of fingertip below the tool centre point
_YAWS_RAD = tuple(math.radians(d) for d in (0, 30, -30, 60, -60, 90))


@dataclass(frozen=True, kw_only=True)
class Move:
    """A tool target to go to; ``reached`` names the sub-goal that its end stands for."""

    position_m: Array
    quaternion_xyzw: Array
    closedness: float
    tolerance_m: float = 0.006
    min_steps: int = 0
    max_steps: int = 60
    reached: str = ''


@dataclass(frozen=True)
class Grasp:
    """Where and how the fingers take hold."""

    position_m: Array
    yaw_rad: float


def pick_and_place_goals(sim: ArenaSim) -> tuple[tuple[str, str, str], ...]:
    """Return (predicate, object, target) of each goal condition, empty where one is another."""
    found = []
    for condition in sim.engine.goal_conditions:
        if len(condition) != 3 or str(condition[0]).lower() not in ('on', 'in'):
            return ()
        found.append((str(condition[0]).lower(), str(condition[1]), str(condition[2])))
    return tuple(found)


class Oracle:
    """Carries out one episode's task, one control step at a time.

    Not thread-safe. It reads the simulator it was made with, which has to be at an episode's start.
    """

    def __init__(self, sim: ArenaSim, attempt: int = 0) -> None:
        self._sim = sim
        self._attempt = attempt
        self._moves = self._script(pick_and_place_goals(sim))
        self._move: Move | None = None
        self._steps = 0

    def next_move(self, state: RobotState) -> tuple[Move | None, str]:
        """Return where to go from ``state`` and which sub-goal has just been reached, if one has.

        No move means that the script has come to its end.
        """
        reached = ''
        while self._move is None or self._has_arrived(state, self._move):
            reached = self._move.reached if self._move is not None else reached
            self._move, self._steps = next(self._moves, None), 0
            if self._move is None:
                return None, reached
            if reached:
                break
        self._steps += 1
        return _near(self._move, state), reached

    def _has_arrived(self, state: RobotState, move: Move) -> bool:
        if self._steps >= move.max_steps:
            return True  # blocked: go on rather than press for ever
        is_near = float(np.linalg.norm(state.position_m - move.position_m)) < move.tolerance_m
        is_aligned = float(rotation_angle(state.quaternion_xyzw, move.quaternion_xyzw)) < 0.08
        return self._steps >= move.min_steps and is_near and is_aligned

    def _script(self, goals: tuple[tuple[str, str, str], ...]) -> Iterator[Move]:
        for predicate, name, target in goals:
            yield from self._pick(name)
            yield from self._place(predicate, name, target)

    def _pick(self, name: str) -> Iterator[Move]:
        grasps = self._grasps(name)
        grasp = grasps[self._attempt % len(grasps)]
        quaternion, place = down_quaternion(grasp.yaw_rad), grasp.position_m
        start = self._sim.robot_state().position_m
        above = place + [0.0, 0.0, _APPROACH_M]
        height = max(float(above[2]), float(start[2]))
        turn = {'quaternion_xyzw': quaternion, 'tolerance_m': 0.02}
        yield Move(position_m=np.array([*place[:2], height]), closedness=0.0, **turn)
        yield Move(position_m=above, closedness=0.0, **turn)
        down = {'position_m': place, 'quaternion_xyzw': quaternion}
        yield Move(closedness=0.0, tolerance_m=0.004, max_steps=35, **down)
        yield Move(closedness=1.0, min_steps=14, max_steps=14, **down)
        yield Move(
            position_m=place + [0.0, 0.0, 0.06],
            quaternion_xyzw=quaternion,
            closedness=1.0,
            tolerance_m=0.015,
            reached=GRASPED,
        )

    def _place(self, predicate: str, name: str, target: str) -> Iterator[Move]:
        sim = self._sim
        tool = sim.robot_state()
        held = self._points(name)
        hang = float(tool.position_m[2] - held[:, 2].min())
        carried = sim.object_position(name) - tool.position_m
        centre, top = self._landing(predicate, target)
        spot = np.array([*(centre[:2] - carried[:2]), top + hang + 0.006])
        safe = max(float(spot[2]), self._tallest(name) + hang) + _CLEARANCE_M
        quaternion = tool.quaternion_xyzw
        common = {'quaternion_xyzw': quaternion, 'closedness': 1.0}
        yield Move(position_m=np.array([*tool.position_m[:2], safe]), tolerance_m=0.02, **common)
        above = np.array([*spot[:2], safe])
        yield Move(position_m=above, tolerance_m=0.01, max_steps=90, reached=ABOVE, **common)
        yield Move(position_m=spot, max_steps=40, **common)
        opened = {'quaternion_xyzw': quaternion, 'closedness': 0.0}
        yield Move(position_m=spot, min_steps=12, max_steps=12, reached=PLACED, **opened)
        yield Move(position_m=spot + [0.0, 0.0, 0.10], max_steps=30, tolerance_m=0.02, **opened)

    # -- geometry, all in the base frame ---------------------------------------------------------

    def _points(self, name: str) -> Array:
        points: Array = object_points(self._sim.engine, name) - self._sim.base_world_m
        return points

    def _grasps(self, name: str) -> list[Grasp]:
        points = self._points(name)
        low, high = points.min(axis=0), points.max(axis=0)
        height = max(0.5 * (low[2] + high[2]), high[2] - 0.03)
        height = max(float(height), float(low[2]) + _FINGERTIP_M)
        fitting = []
        for yaw in _YAWS_RAD:
            along = points[:, :2] @ _closing_axis(yaw)
            width = float(np.ptp(along))
            if width <= _MAX_WIDTH_M:
                fitting.append((round(width, 2), abs(yaw), yaw))
        centre = 0.5 * (low + high)[:2]
        body = self._sim.object_position(name)[:2]
        found = [Grasp(np.array([*centre, height]), yaw) for _, _, yaw in sorted(fitting)]
        if found:
            found.insert(1, Grasp(np.array([*body, height]), found[0].yaw_rad))
            found.insert(2, Grasp(np.array([*centre, height - 0.008]), found[0].yaw_rad))
            found = self._along(points, found[0]) + found
        rim = self._rim_grasps(points)
        if not found:
            return (rim[:2] + _narrow_grasps(points, height) + rim[2:])[:MAX_ATTEMPTS]
        return (found + rim)[:MAX_ATTEMPTS]

    def _along(self, points: Array, grasp: Grasp) -> list[Grasp]:
        """Return grasps elsewhere along a long thing such as a knife, whose blade slips."""
        closing = _closing_axis(grasp.yaw_rad)
        long_axis = np.array([-closing[1], closing[0]])
        length, width = (float(np.ptp(points[:, :2] @ axis)) for axis in (long_axis, closing))
        if length < _LONG_ASPECT * width:
            return []
        found = []
        for share in (0.0, 0.15, -0.15, 0.3, -0.3):
            near = points[
                np.abs((points[:, :2] - grasp.position_m[:2]) @ long_axis - share * length) < 0.02
            ]
            place = grasp.position_m + [*(share * length * long_axis), 0.0]
            if len(near):  # across, the middle of what is there
                middle = 0.5 * np.ptp(near[:, :2] @ closing) + (near[:, :2] @ closing).min()
                place[:2] += closing * (middle - place[:2] @ closing)
            found.append(Grasp(place, grasp.yaw_rad))
        return found

    def _rim_grasps(self, points: Array) -> list[Grasp]:
        """Return grasps of the rim of what is too wide, one finger inside."""
        top = float(points[:, 2].max())
        rim = points[points[:, 2] > top - 0.012][:, :2]
        centre = 0.5 * (rim.min(axis=0) + rim.max(axis=0))
        found = []
        for yaw in (0.0, math.radians(45), math.radians(-45), math.radians(90)):
            axis = _closing_axis(yaw)
            along = (rim - centre) @ axis
            for reach in sorted((float(along.max()), float(along.min())), key=abs):
                place = centre + axis * (reach - math.copysign(_WALL_M, reach))
                found.append(Grasp(np.array([*place, top - _RIM_DEPTH_M]), yaw))
        return found

    def _landing(self, predicate: str, target: str) -> tuple[Array, float]:
        """Return where an object is to come down [3], and the height of what is there [m]."""
        sim = self._sim
        centre = sim.object_position(target)
        if target not in sim.engine.bodies:
            if predicate == 'in':
                return centre, float(centre[2]) + 0.03
            return centre, float(centre[2])
        points = self._points(target)
        near = points[np.linalg.norm(points[:, :2] - centre[:2], axis=1) < 0.09]
        return centre, float((near if len(near) else points)[:, 2].max()) - 0.01

    def _tallest(self, held: str) -> float:
        """Return the height of the tallest object on the table but the one that is held."""
        engine = self._sim.engine
        others = [n for n in engine.movable_objects if n != held]
        tops = [float(self._points(n)[:, 2].max()) for n in others]
        return max([t for t in tops if t < 0.35], default=0.0)


def _narrow_grasps(points: Array, height_m: float) -> list[Grasp]:
    """Return up to 3 grasps where a thing that is too wide as a whole is narrow, inmost first."""
    centre = 0.5 * (points.min(axis=0) + points.max(axis=0))[:2]
    level = points[np.abs(points[:, 2] - height_m) < 0.025][:, :2] - centre
    found = []
    for yaw in _YAWS_RAD:
        closing = _closing_axis(yaw)
        long_axis = np.array([-closing[1], closing[0]])
        along, across = level @ long_axis, level @ closing
        for offset in np.arange(-0.05, 0.051, 0.01):
            slab = across[np.abs(along - offset) < 0.012]
            if len(slab) < 4 or not 0.01 < np.ptp(slab) < _MAX_WIDTH_M - 0.006:
                continue
            middle = 0.5 * (slab.min() + slab.max())
            place = centre + offset * long_axis + middle * closing
            found.append((abs(float(offset)), abs(yaw), Grasp(np.array([*place, height_m]), yaw)))
    return [grasp for _, _, grasp in sorted(found, key=lambda entry: entry[:2])[:3]]


def _near(move: Move, state: RobotState) -> Move:
    """Return ``move`` with its target no further away than it may be while something is held."""
    offset = move.position_m - state.position_m
    distance = float(np.linalg.norm(offset))
    if move.closedness < 0.5 or distance <= _CARRY_REACH_M:
        return move
    return replace(move, position_m=state.position_m + offset * (_CARRY_REACH_M / distance))


def _closing_axis(yaw_rad: float) -> Array:
    """Return the direction [2] that the fingers close along for a tool pointing down."""
    return np.array([math.sin(yaw_rad), -math.cos(yaw_rad)])


def edit_state_to_goal(sim: ArenaSim, *, max_steps: int = 40) -> bool:
    """Put things where the goal wants them, without the arm; return whether it holds then.

    For goals that the oracle fails: the picture shows the end with the arm at home.
    """
    engine = sim.engine
    for condition in engine.goal_conditions:
        predicate = str(condition[0]).lower()
        if predicate in ('on', 'in') and len(condition) == 3:
            name, target = str(condition[1]), str(condition[2])
            points = object_points(engine, name)
            hang = float(engine.object_pose(name)[0][2] - points[:, 2].min())
            centre = engine.object_pose(target)[0].copy()
            if target in engine.bodies:
                shape = object_points(engine, target)
                near = shape[np.linalg.norm(shape[:, :2] - centre[:2], axis=1) < 0.03]
                centre[2] = float((near if len(near) else shape)[:, 2].max())
            engine.set_object_position(name, centre + [0.0, 0.0, hang + 0.003])
        elif predicate in ('open', 'close', 'turnon', 'turnoff'):
            _set_joint(engine, condition)
    for _ in range(max_steps):
        sim.advance(sim.timestep_s)
        if engine.is_solved():
            return True
    return False


def _set_joint(engine: Any, condition: tuple[Any, ...]) -> None:
    """Move a drawer, door or knob to the first position at which its condition holds."""
    for position in np.concatenate([np.linspace(0.0, 0.4, 41), np.linspace(0.0, -0.4, 41)]):
        engine.set_joint(str(condition[1]), float(position))
        if engine.holds(condition):
            return
    raise SimulatorError(f'no joint position fulfils {condition}.')
