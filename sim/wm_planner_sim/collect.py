# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Episodes of scripted motion, for training (entry point ``wm_planner.collectors``)."""

from __future__ import annotations

import numpy as np

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
from wm_planner_sim.scene import BLOCKS
from wm_planner_sim.tabletop import TabletopConfig, TabletopSim

_MIX: tuple[tuple[float, Behaviour], ...] = (
    (0.40, wander),
    (0.30, push),
    (0.30, grasp),
)
_NOISE_M = 0.008
_NOISE_DECAY = 0.7  # Ornstein-Uhlenbeck: neighbouring steps err the same way, as planners do


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

    def close(self) -> None:
        """Release the simulator."""
        self._sim.close()


def _readout(state: RobotState) -> list[float]:
    return [*state.position_m, tool_yaw(state), state.gripper_closedness]


def _objects(sim: TabletopSim) -> list[float]:
    return [float(v) for block in BLOCKS for v in sim.block_position(block)]
