# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The arena as a robot in a simulator: targets in, tool, joints and pictures out, time going on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
import time

import numpy as np

from wm_planner.core.errors import SimulatorError
from wm_planner.core.geometry import Array
from wm_planner.core.types import ArmCommand, Image, RobotState
from wm_planner_sim import rendering
from wm_planner_sim.arena_camera import ArenaCameras
from wm_planner_sim.arena_config import ArenaConfig
from wm_planner_sim.arena_engine import CONTROL_STEP_NS, CONTROL_STEP_S, ArenaEngine
from wm_planner_sim.arena_servo import ArenaServo
from wm_planner_sim.arena_tasks import ArenaTask, initial_states
from wm_planner_sim.conventions import (
    GRIPPER_OPEN,
    base_from_world,
    closedness_of_fingers,
)
from wm_planner_sim.scene import ARM_JOINTS, FINGER_JOINTS
from wm_planner_sim.tabletop import CameraIntrinsics

SETTLE_STEPS = 10
StepHook = Callable[[bool, float], bool]


class ArenaSim:
    """A Panda in a scene of VLA-Arena, servoed to absolute tool targets at 20 Hz.

    Not thread-safe, and the first ``render`` binds OpenGL to its thread. Poses are in the base
    frame. ``time_ns`` never goes back, not even at ``begin``, so that it can drive a ROS clock. It
    advances in control steps of 50 ms.

    ``on_step`` is told success and the engine's cost after each control step and returns whether
    ``advance`` has to end there. ``go_home`` brings a scene about for ``reset``.
    """

    def __init__(self, config: ArenaConfig) -> None:
        self.config = config
        self.on_step: StepHook = lambda success, cost: False
        self.go_home: Callable[[int], None] = lambda seed: None
        self.begin_milliseconds: dict[str, float] = {}
        self._servo = ArenaServo(config)
        self._engine: ArenaEngine | None = None
        self._cameras: ArenaCameras | None = None
        self._base_world_m = np.zeros(3)
        self._steps_total = 0

    # -- the scene -------------------------------------------------------------------------------

    @property
    def engine(self) -> ArenaEngine:
        """Return the engine; raises SimulatorError before ``load``."""
        if self._engine is None:
            raise SimulatorError('no task has been loaded; valid: reset to an episode first.')
        return self._engine

    @property
    def has_scene(self) -> bool:
        """Return whether a task has been loaded."""
        return self._engine is not None

    def load(self, task: ArenaTask) -> None:
        """Build a task unless it is there already; where that fails the one before stays."""
        if self._engine is not None and self._engine.task == task:
            return
        engine = ArenaEngine(task)
        self.close()
        self._engine = engine

    def reset(self, *, seed: int) -> None:
        """Go to the home state: the present task's first initial state, or the first task's."""
        self.go_home(seed)

    @contextmanager
    def without_time(self) -> Iterator[None]:
        """Let what happens inside, which nobody sees, take no simulated time."""
        before = self._steps_total
        try:
            yield
        finally:
            self._steps_total = before

    def begin(self, index: int, *, seed: int, watch: Callable[[], None] = lambda: None) -> None:
        """Start at initial state ``index`` (modulo their number) and let the scene settle.

        ``watch`` is called right after the reset and again once the scene has settled, which takes
        10 control steps with the gripper opening, as the benchmark does it.
        """
        engine = self.engine
        states = initial_states(engine.task.init_file)
        begin_ns = time.perf_counter_ns()
        engine.reset(states[index % len(states)], seed=seed)
        reset_ns = time.perf_counter_ns()
        self._servo.reset()
        self._base_world_m = engine.base_world_m
        watch()
        for _ in range(SETTLE_STEPS):
            engine.step(np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, GRIPPER_OPEN]))
            self._steps_total += 1
        self.begin_milliseconds = {
            'engine': (reset_ns - begin_ns) * 1e-6,
            'settling': (time.perf_counter_ns() - reset_ns) * 1e-6,
        }
        watch()

    # -- state -----------------------------------------------------------------------------------

    @property
    def timestep_s(self) -> float:
        """Return the control step [s], the finest time that can be asked for."""
        return CONTROL_STEP_S

    @property
    def time_ns(self) -> int:
        """Return simulated time since construction [ns]; strictly rising, resets included."""
        return self._steps_total * CONTROL_STEP_NS

    def robot_state(self) -> RobotState:
        """Return tool pose and gripper closedness now."""
        position, quaternion = self.engine.tool_pose()
        return RobotState(
            stamp_ns=self.time_ns,
            position_m=base_from_world(position, self._base_world_m),
            quaternion_xyzw=quaternion,
            gripper_closedness=closedness_of_fingers(self.engine.fingers_m()),
        )

    def tool_at(self, joints_rad: Array) -> tuple[Array, Array]:
        """Return position [3] and quaternion xyzw of the tool with the arm's joints [7] there."""
        position, quaternion = self.engine.tool_pose(joints_rad)
        return base_from_world(position, self._base_world_m), quaternion

    def joint_state(self) -> tuple[tuple[str, ...], Array, Array]:
        """Return names, positions [rad | m] and velocities of arm and finger joints.

        Fingers count from 0 = closed, as the driver of the real arm has it.
        """
        positions, velocities = self.engine.arm_joints()
        return (
            ARM_JOINTS + FINGER_JOINTS,
            np.concatenate([positions, np.abs(self.engine.fingers_m())]),
            np.concatenate([velocities, np.zeros(2)]),
        )

    def object_position(self, name: str) -> Array:
        """Return where an object is [3] in the base frame: truth, for scoring and the oracle."""
        return base_from_world(self.engine.object_pose(name)[0], self._base_world_m)

    @property
    def base_world_m(self) -> Array:
        """Return the base [3] in the world frame."""
        return self._base_world_m

    # -- servo -----------------------------------------------------------------------------------

    @property
    def target(self) -> ArmCommand:
        """Return the target the servo is going to or holding."""
        return self._servo.target or ArmCommand.hold_at(self.robot_state())

    def set_target(self, command: ArmCommand) -> None:
        """Servo to an absolute target, kept until replaced; raises SimulatorError for NaN."""
        self._servo.set_target(command)

    def hold(self) -> None:
        """Make where the tool is now the target; the gripper keeps its command."""
        kept = self.target.gripper_closedness
        held = ArmCommand.hold_at(self.robot_state())
        self._servo.set_target(replace(held, gripper_closedness=kept))

    def advance(self, duration_s: float, *, is_exact: bool = False) -> None:
        """Run physics for ``duration_s``, rounded to control steps, or until ``on_step`` ends it.

        ``is_exact`` passes displacements on as they are, without the servo's gain.
        """
        for _ in range(round(duration_s / CONTROL_STEP_S)):
            action = self._servo.action(self.robot_state(), is_exact=is_exact)
            success, cost = self.engine.step(action)
            self._steps_total += 1
            if self.on_step(success, cost):
                return

    # -- cameras ---------------------------------------------------------------------------------

    @property
    def cameras(self) -> tuple[str, ...]:
        """Return the camera names."""
        return self._camera_rig().names

    @property
    def renderer(self) -> str:
        """Return the OpenGL platform that MuJoCo renders with: osmesa, egl or glfw."""
        return rendering.select_renderer()

    def render(self, camera: str) -> Image:
        """Return an upright RGB picture uint8 [H, W, 3] of the present state."""
        return self._camera_rig().render(camera)

    def intrinsics(self, camera: str) -> CameraIntrinsics:
        """Return the pinhole intrinsics of a camera at the configured image size."""
        return self._camera_rig().intrinsics(camera)

    def camera_pose(self, camera: str) -> tuple[Array, Array]:
        """Return position [m] in the base frame and quaternion xyzw of the optical frame."""
        return self._camera_rig().pose(camera)

    def close(self) -> None:
        """Release engine and renderer; safe to call twice."""
        if self._cameras is not None:
            self._cameras.close()
        if self._engine is not None:
            self._engine.close()
        self._cameras = self._engine = None

    def _camera_rig(self) -> ArenaCameras:
        if self._cameras is None:
            self._cameras = ArenaCameras(
                self.engine.model,
                self.engine.data,
                self.engine.base_world_m,
                self.config.image_width,
                self.config.image_height,
            )
        return self._cameras
