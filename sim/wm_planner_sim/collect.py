# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Episodes of scripted motion, for training (entry point ``wm_planner.collectors``)."""

from __future__ import annotations

from dataclasses import replace
import math

import numpy as np
import numpy.typing as npt

from wm_planner.core.types import RobotState
from wm_planner.training.episode import Episode
from wm_planner_sim.behaviours import (
    DATA_HIGH_M,
    DATA_LOW_M,
    DATA_YAW_RAD,
    TABLETOP_ACTIONS,
    Behaviour,
    Driver,
    apply_action,
    grasp,
    push,
    tool_yaw,
    wander,
)
from wm_planner_sim.scene import BLOCKS, EXTERIOR_TARGET_M
from wm_planner_sim.tabletop import TabletopConfig, TabletopSim

_MIX: tuple[tuple[float, Behaviour], ...] = (
    (0.40, wander),
    (0.30, push),
    (0.30, grasp),
)
_NOISE_M = 0.008
_NOISE_DECAY = 0.7  # Ornstein-Uhlenbeck: neighbouring steps err the same way, as planners do

CAMERA_AZIMUTH_RAD = math.radians(75.0)
"""Largest turn of the camera in the data: a little beyond the 60 degrees that are promised."""


class TabletopCollector:
    """Collects episodes: 40 % random waypoints, 30 % pushes, 30 % grasps, all with noise.

    Not thread-safe; one a process (it renders).
    """

    action_spec = TABLETOP_ACTIONS
    readout_names = ('x', 'y', 'z', 'yaw', 'gripper')
    object_names = tuple(f'{block}_{axis}' for block in BLOCKS for axis in 'xyz')

    def __init__(self) -> None:
        self._sim = TabletopSim(TabletopConfig())

    def collect(self, *, seed: int, episode: int, steps: int) -> Episode:
        """Return one episode of ``steps`` actions; (seed, episode, steps) fixes it."""
        sim, rng = self._sim, np.random.default_rng([seed, episode])
        start = rng.uniform(DATA_LOW_M + [0, 0, 0.05], DATA_HIGH_M)
        sim.reset(
            seed=int(rng.integers(2**31)),
            tool_position_m=start,
            tool_yaw_rad=rng.uniform(-DATA_YAW_RAD, DATA_YAW_RAD),
            gripper_closedness=float(rng.integers(2)),
        )
        pick = rng.choice(len(_MIX), p=[share for share, _ in _MIX])
        driver = Driver(_MIX[pick][1](sim, rng))
        images, readouts, objects, actions = [], [], [], []
        noise = np.zeros(3)
        for _ in range(steps):
            images.append(sim.render('exterior'))
            readouts.append(_readout(sim.robot_state()))
            objects.append(_objects(sim))
            noise = _NOISE_DECAY * noise + rng.normal(0.0, _NOISE_M, 3)
            action = driver.action(sim.robot_state(), noise)
            assert action is not None  # the behaviours of the mix never end
            apply_action(sim, action)
            actions.append(action)
        images.append(sim.render('exterior'))
        readouts.append(_readout(sim.robot_state()))
        objects.append(_objects(sim))
        return Episode(
            images=np.stack(images),
            actions=np.asarray(actions, np.float32),
            readouts=np.asarray(readouts, np.float32),
            objects=np.asarray(objects, np.float32),
        )

    def turn_camera(self, azimuth_rad: float) -> None:
        """Turn the exterior camera for the episodes from now on."""
        self._sim.turn_exterior(azimuth_rad)

    def close(self) -> None:
        """Release the simulator."""
        self._sim.close()


class TabletopCamerasCollector:
    """The same episodes, each seen by an exterior camera turned by up to CAMERA_AZIMUTH_RAD.

    Everything is told in the *camera's* frame: base axes turned about the vertical by the camera's
    azimuth, through the point that it looks at. What moves alike in the picture is then the same
    action, wherever the camera stands, and nothing in the data says where the base frame is. So a
    model of these episodes has action axes that turn with the camera, as those of V-JEPA 2-AC do
    on a camera that its data did not have, but by an angle that is known. At azimuth 0 its frame is
    the base frame.

    Not thread-safe; one a process (it renders).
    """

    action_spec = TabletopCollector.action_spec
    readout_names = TabletopCollector.readout_names
    object_names = TabletopCollector.object_names

    def __init__(self) -> None:
        self._base = TabletopCollector()

    def collect(self, *, seed: int, episode: int, steps: int) -> Episode:
        """Return one episode of ``steps`` actions; (seed, episode, steps) fixes it."""
        azimuth = azimuth_of(seed, episode)
        self._base.turn_camera(azimuth)
        return turned_episode(self._base.collect(seed=seed, episode=episode, steps=steps), azimuth)

    def close(self) -> None:
        """Release the simulator."""
        self._base.close()


def azimuth_of(seed: int, episode: int) -> float:
    """Return the azimuth [rad] that the camera has in an episode."""
    rng = np.random.default_rng([seed, episode, 1])
    return float(rng.uniform(-CAMERA_AZIMUTH_RAD, CAMERA_AZIMUTH_RAD))


def turned_episode(episode: Episode, azimuth_rad: float) -> Episode:
    """Return an episode, told in base axes, in those turned by ``azimuth_rad`` about the vertical.

    Positions turn about EXTERIOR_TARGET_M, displacements and yaw with them.
    """
    pivot = np.asarray(EXTERIOR_TARGET_M[:2], np.float32)
    actions, readouts = episode.actions.copy(), episode.readouts.copy()
    objects = episode.objects.reshape(len(readouts), -1, 3).copy()
    actions[:, :2] = _turned(actions[:, :2], -azimuth_rad)
    readouts[:, :2] = pivot + _turned(readouts[:, :2] - pivot, -azimuth_rad)
    readouts[:, 3] -= azimuth_rad
    objects[..., :2] = pivot + _turned(objects[..., :2] - pivot, -azimuth_rad)
    return replace(
        episode,
        actions=actions,
        readouts=readouts,
        objects=objects.reshape(len(readouts), -1),
    )


def _turned(vectors: npt.NDArray[np.float32], angle_rad: float) -> npt.NDArray[np.float32]:
    """Return vectors [..., 2] turned counter-clockwise."""
    cosine, sine = math.cos(angle_rad), math.sin(angle_rad)
    turned: npt.NDArray[np.float32] = vectors @ np.array([[cosine, sine], [-sine, cosine]], 'f4')
    return turned


def _readout(state: RobotState) -> list[float]:
    return [*state.position_m, tool_yaw(state), state.gripper_closedness]


def _objects(sim: TabletopSim) -> list[float]:
    return [float(v) for block in BLOCKS for v in sim.block_position(block)]
