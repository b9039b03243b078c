# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""LoopbackEnv: a simulator in a few lines, for closed loops without physics."""

from __future__ import annotations

import numpy as np

from wm_planner.core.geometry import quaternion_to_euler, rotation_angle, slerp
from wm_planner.core.types import (
    ArmCommand,
    EpisodeStart,
    Goal,
    Image,
    Observation,
    RobotState,
    StepResult,
)
from wm_planner.models.point_mass import PointMassConfig, PointMassRenderer

DOWN_XYZW = (1.0, 0.0, 0.0, 0.0)
NEAR_M = 0.02


class LoopbackEnv:
    """A tool that moves toward its target at a given speed, and pictures of it.

    The Environment protocol (suite ``reach``), and a CommandSink: ``send`` sets the target that
    ``advance`` moves to.
    """

    def __init__(
        self,
        config: PointMassConfig | None = None,
        *,
        speed_m_s: float = 0.6,
        rotation_speed_rad_s: float = 3.0,
        gripper_rate_1_s: float = 5.0,
    ) -> None:
        self.renderer = PointMassRenderer(config or PointMassConfig())
        self._speeds = (speed_m_s, rotation_speed_rad_s, gripper_rate_1_s)
        self.time_ns = 0
        self.place([0.5, 0.0, 0.3])

    # -- the world -------------------------------------------------------------------------------

    def place(
        self,
        position_m: object,
        quaternion_xyzw: object = DOWN_XYZW,
        gripper_closedness: float = 0.0,
    ) -> None:
        """Put the tool somewhere, at rest."""
        self._state = RobotState(
            stamp_ns=self.time_ns,
            position_m=np.asarray(position_m, float),
            quaternion_xyzw=np.asarray(quaternion_xyzw, float),
            gripper_closedness=gripper_closedness,
        )
        self._target = ArmCommand.hold_at(self._state)

    def advance(self, duration_s: float) -> None:
        """Let time pass."""
        self.time_ns += round(duration_s * 1e9)
        state, target = self._state, self._target
        move, turn, grip = (speed * duration_s for speed in self._speeds)
        way = target.position_m - state.position_m
        distance = float(np.linalg.norm(way))
        angle = float(rotation_angle(state.quaternion_xyzw, target.quaternion_xyzw))
        change = target.gripper_closedness - state.gripper_closedness
        self._state = RobotState(
            stamp_ns=self.time_ns,
            position_m=state.position_m + way * min(1.0, move / max(distance, 1e-12)),
            quaternion_xyzw=slerp(
                state.quaternion_xyzw, target.quaternion_xyzw, min(1.0, turn / max(angle, 1e-12))
            ),
            gripper_closedness=state.gripper_closedness + float(np.clip(change, -grip, grip)),
        )

    def state(self) -> RobotState:
        """Return the tool now."""
        return self._state

    def image(self) -> Image:
        """Return a picture of the tool now."""
        return picture_of(self.renderer, self._state)

    # -- CommandSink -----------------------------------------------------------------------------

    def send(self, command: ArmCommand) -> ArmCommand:
        self._target = command
        return command

    def hold(self) -> None:
        self._target = ArmCommand.hold_at(self._state)

    def stay(self) -> None:
        pass  # the target is the last one

    def forget(self) -> None:
        pass

    def close(self) -> None:
        self.hold()

    # -- Environment -----------------------------------------------------------------------------

    def suites(self) -> tuple[str, ...]:
        return ('reach',)

    def reset(self, suite: str, *, seed: int, episode: int) -> EpisodeStart:
        assert suite in self.suites()
        rng = np.random.default_rng([seed, episode])
        start, end = rng.uniform([0.35, -0.3, 0.1], [0.7, 0.3, 0.5], (2, 3))
        self.place(end)
        self._goal = Goal(goal_id='goal', image=self.image(), pose=self._state)
        self.place(start)
        return EpisodeStart(
            episode_id=f'{suite}/{seed}/{episode}',
            observation=self._observe(),
            goals=(self._goal,),
            steps_per_goal=(12,),
            metrics={'distance_m': self._distance_m()},
        )

    def step(self, command: ArmCommand, duration_s: float) -> StepResult:
        self.send(command)
        self.advance(duration_s)
        distance_m = self._distance_m()
        return StepResult(
            observation=self._observe(),
            success=distance_m < NEAR_M,
            metrics={'distance_m': distance_m},
        )

    def _observe(self) -> Observation:
        return Observation(
            images=self.image()[np.newaxis],
            image_stamps_ns=(self.time_ns,),
            states=(self._state,),
        )

    def _distance_m(self) -> float:
        assert self._goal.pose is not None
        return float(np.linalg.norm(self._state.position_m - self._goal.pose.position_m))


def picture_of(renderer: PointMassRenderer, state: RobotState) -> Image:
    """Return the picture of a tool that points down."""
    yaw = float(quaternion_to_euler(state.quaternion_xyzw)[2])
    return renderer.draw(state.position_m, yaw_rad=yaw, gripper_closedness=state.gripper_closedness)
