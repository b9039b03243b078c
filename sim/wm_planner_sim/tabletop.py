# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""TabletopSim: physics, tool-pose servo and rendering of the tabletop scene."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
import math
import os

import numpy as np

from wm_planner.core.config import from_mapping, parameter, validate
from wm_planner.core.errors import SimulatorError, UnknownNameError
from wm_planner.core.geometry import Array, multiply_quaternions
from wm_planner.core.types import ArmCommand, Image, RobotState
from wm_planner_sim import rendering
from wm_planner_sim.scene import (
    ARM_JOINTS,
    BLOCK_HALF_M,
    BLOCKS,
    FINGER_JOINTS,
    FINGER_TRAVEL_M,
    HOME_QPOS,
    build_model,
    exterior_camera_pose,
    mujoco,
)
from wm_planner_sim.servo import ServoState, ToolServo
from wm_planner_sim.variables import values_from_variables

TOOL_DOWN_XYZW = (1.0, 0.0, 0.0, 0.0)
"""Tool orientation with the fingers pointing straight down and zero yaw (roll of pi)."""

PREFIX = 'WM_PLANNER_TABLETOP_'

_WXYZ_TO_XYZW = [1, 2, 3, 0]


@dataclass(frozen=True, kw_only=True)
class TabletopConfig:
    """Sizes and rates of the tabletop simulation."""

    image_width: int = parameter(128, 'camera image width [px]', low=16, high=1920)
    image_height: int = parameter(128, 'camera image height [px]', low=16, high=1920)
    exterior_azimuth_deg: float = parameter(
        0.0,
        'turn of the exterior camera about the vertical axis through what it looks at, '
        'counter-clockwise from above [deg]',
        low=-180.0,
        high=180.0,
    )
    timestep_s: float = parameter(0.004, 'physics time step [s]', low=0.0005, high=0.01)
    servo_rate_hz: float = parameter(50.0, 'rate of the tool-pose servo [Hz]', low=20.0, high=250.0)
    servo_speed_m_s: float = parameter(0.6, 'speed of the servo ramp [m/s]', low=0.01, high=2.0)
    servo_rotation_speed_rad_s: float = parameter(
        3.0, 'rotation speed of the servo ramp [rad/s]', low=0.1, high=10.0
    )

    def __post_init__(self) -> None:
        validate(self)

    @classmethod
    def from_variables(cls, variables: Mapping[str, str] | None = None) -> TabletopConfig:
        """Return settings from PREFIX and a name in capitals; raises InvalidParameterError."""
        variables = os.environ if variables is None else variables
        values = values_from_variables(cls, PREFIX, variables)
        return from_mapping(cls, values, where='environment')


@dataclass(frozen=True, kw_only=True)
class CameraIntrinsics:
    """A pinhole camera without distortion; all values in pixels."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float


@dataclass(frozen=True, kw_only=True)
class TabletopState:
    """Everything that decides what happens next, but for time."""

    qpos: Array
    qvel: Array
    ctrl: Array
    target: ArmCommand
    servo: ServoState


class TabletopSim:
    """A Panda over a table with two blocks, servoed to absolute tool targets.

    Not thread-safe: one thread owns it, and the first ``render`` binds the OpenGL context to that
    thread. Make one a process (a second software renderer in a process is unreliable).
    Poses are in the base frame, which is the world frame. ``time_ns`` never goes back, not even at
    ``reset``, so that it can drive a ROS clock.
    """

    def __init__(self, config: TabletopConfig | None = None) -> None:
        self.config = config or TabletopConfig()
        width, height = self.config.image_width, self.config.image_height
        self._model = build_model(
            self.config.timestep_s, offscreen_width=width, offscreen_height=height
        )
        self._data = mujoco.MjData(self._model)
        self._elsewhere = mujoco.MjData(self._model)  # for poses that the arm is not in
        self._servo = ToolServo(
            self._model,
            speed_m_s=self.config.servo_speed_m_s,
            rotation_speed_rad_s=self.config.servo_rotation_speed_rad_s,
        )
        self._mj_renderer: mujoco.Renderer | None = None
        self._scene_option = mujoco.MjvOption()
        self._scene_option.flags[mujoco.mjtVisFlag.mjVIS_CONVEXHULL] = True
        self._scene_option.geomgroup[:] = [1, 1, 0, 0, 0, 0]
        self._scene_option.sitegroup[:] = 0
        self._arm_qpos = np.array([self._model.joint(n).qposadr[0] for n in ARM_JOINTS])
        self._arm_dof = np.array([self._model.joint(n).dofadr[0] for n in ARM_JOINTS])
        fingers = [self._model.joint(f'hand/{n}') for n in FINGER_JOINTS]
        self._finger_qpos = np.array([j.qposadr[0] for j in fingers])
        self._finger_dof = np.array([j.dofadr[0] for j in fingers])
        self._block_qpos = {n: self._model.joint(f'{n}_joint').qposadr[0] for n in BLOCKS}
        self._substeps_per_servo = max(
            1, round(1.0 / (self.config.servo_rate_hz * self.config.timestep_s))
        )
        self._steps_total = 0
        self._substeps_left = 0
        self.turn_exterior(math.radians(self.config.exterior_azimuth_deg))
        self.reset(seed=0)

    # -- state -----------------------------------------------------------------------------------

    @property
    def timestep_s(self) -> float:
        """Return the physics time step [s]."""
        return float(self._model.opt.timestep)

    @property
    def time_ns(self) -> int:
        """Return simulated time since construction [ns]; strictly rising, resets included."""
        return round(self._steps_total * self.timestep_s * 1e9)

    def robot_state(self) -> RobotState:
        """Return tool pose and gripper closedness now."""
        position, quaternion = self._servo.tool_pose(self._data)
        width = float(self._data.qpos[self._finger_qpos].sum())
        closedness = 1.0 - width / (2.0 * FINGER_TRAVEL_M)
        return RobotState(
            stamp_ns=self.time_ns,
            position_m=position,
            quaternion_xyzw=quaternion,
            gripper_closedness=min(max(closedness, 0.0), 1.0),
        )

    def tool_at(self, joints_rad: Array) -> tuple[Array, Array]:
        """Return position [3] and quaternion xyzw of the tool with the arm's joints [7] there."""
        self._elsewhere.qpos[self._arm_qpos] = joints_rad
        mujoco.mj_kinematics(self._model, self._elsewhere)
        return self._servo.tool_pose(self._elsewhere)

    def joint_state(self) -> tuple[tuple[str, ...], Array, Array]:
        """Return names, positions [rad | m] and velocities of arm and finger joints."""
        qpos = np.concatenate([self._arm_qpos, self._finger_qpos])
        dof = np.concatenate([self._arm_dof, self._finger_dof])
        return (
            ARM_JOINTS + FINGER_JOINTS,
            self._data.qpos[qpos].copy(),
            self._data.qvel[dof].copy(),
        )

    def block_position(self, name: str) -> Array:
        """Return the centre of a block [3] in the base frame: simulator truth, for scoring."""
        if name not in self._block_qpos:
            raise UnknownNameError.among('block', name, BLOCKS)
        start = self._block_qpos[name]
        return self._data.qpos[start : start + 3].copy()

    def block_yaw(self, name: str) -> float:
        """Return the yaw [rad] of a block, in [-pi, pi]."""
        start = self._block_qpos[name]
        w, x, y, z = self._data.qpos[start + 3 : start + 7]
        return math.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))

    # -- episodes --------------------------------------------------------------------------------

    def reset(
        self,
        *,
        seed: int,
        tool_position_m: Array | None = None,
        tool_yaw_rad: float = 0.0,
        blocks: dict[str, tuple[float, float, float]] | None = None,
        gripper_closedness: float = 0.0,
    ) -> None:
        """Put the arm and the blocks in place, at rest, and hold there.

        ``tool_position_m`` [3] or None for home; ``blocks`` maps names to (x, y, yaw) on the table;
        blocks not named go where ``seed`` puts them. Time goes on.
        """
        mujoco.mj_resetData(self._model, self._data)
        self._data.qpos[self._arm_qpos] = HOME_QPOS
        rng = np.random.default_rng(seed)
        placed = dict(blocks or {})
        for name in BLOCKS:
            if name not in placed:
                placed[name] = self._free_spot(rng, placed)
            x, y, yaw = placed[name]
            start = self._block_qpos[name]
            self._data.qpos[start : start + 3] = [x, y, BLOCK_HALF_M]
            self._data.qpos[start + 3 : start + 7] = [
                math.cos(yaw / 2),
                0,
                0,
                math.sin(yaw / 2),
            ]
        if tool_position_m is not None:
            self.place_tool(np.asarray(tool_position_m, float), tool_yaw_rad)
        self._data.qpos[self._finger_qpos] = (1.0 - gripper_closedness) * FINGER_TRAVEL_M
        mujoco.mj_forward(self._model, self._data)
        self._substeps_left = 0
        self._hold(gripper_closedness)

    def place_tool(self, position_m: Array, yaw_rad: float) -> None:
        """Set the arm to a tool pose at once, without physics; fingers point down.

        Raises SimulatorError where inverse kinematics leaves more than 2 mm.
        """
        quaternion = down_quaternion(yaw_rad)
        joints = self._servo.solve(np.array(HOME_QPOS), position_m, quaternion, iterations=60)
        self._data.qpos[self._arm_qpos] = joints
        mujoco.mj_forward(self._model, self._data)
        error = float(np.linalg.norm(self._servo.tool_pose(self._data)[0] - position_m))
        if error > 2e-3:
            raise SimulatorError(
                f'tool position {np.round(position_m, 3).tolist()} is out of reach '
                f'({error * 1e3:.0f} mm left); valid: inside the workspace.'
            )

    def snapshot(self) -> TabletopState:
        """Return the full physics and servo state, for ``restore``."""
        data = self._data
        return TabletopState(
            qpos=data.qpos.copy(),
            qvel=data.qvel.copy(),
            ctrl=data.ctrl.copy(),
            target=self._target,
            servo=self._servo.state,
        )

    def restore(self, state: TabletopState) -> None:
        """Return to a state of ``snapshot``; time goes on."""
        data = self._data
        data.qpos[:], data.qvel[:], data.ctrl[:] = state.qpos, state.qvel, state.ctrl
        data.qacc_warmstart[:] = 0.0
        self._target, self._servo.state = state.target, state.servo
        self._substeps_left = 0
        mujoco.mj_forward(self._model, data)

    @staticmethod
    def _free_spot(
        rng: np.random.Generator, placed: dict[str, tuple[float, float, float]]
    ) -> tuple[float, float, float]:
        while True:
            x, y = rng.uniform([0.36, -0.22], [0.62, 0.22])
            if all(math.hypot(x - px, y - py) > 0.10 for px, py, _ in placed.values()):
                return float(x), float(y), float(rng.uniform(-math.pi / 4, math.pi / 4))

    # -- servo -----------------------------------------------------------------------------------

    @property
    def target(self) -> ArmCommand:
        """Return the target the servo is going to or holding."""
        return self._target

    def set_target(self, command: ArmCommand) -> None:
        """Servo to an absolute tool and gripper target, which is kept until replaced.

        The setpoint ramps from where it is at the configured speeds, so a far target makes a
        straight, bounded motion. Raises SimulatorError for non-finite numbers.
        """
        numbers = [
            *command.position_m,
            *command.quaternion_xyzw,
            command.gripper_closedness,
        ]
        if not np.all(np.isfinite(numbers)):
            raise SimulatorError('target holds NaN or infinity; valid: finite numbers.')
        self._target = command
        self._gripper_ctrl(command.gripper_closedness)

    def hold(self) -> None:
        """Make where the tool is now the target; the gripper keeps its command."""
        self._hold(self._target.gripper_closedness)

    def _hold(self, gripper_closedness: float) -> None:
        state = self.robot_state()
        joints = self._data.qpos[self._arm_qpos].copy()
        self._servo.start_at(state.position_m, state.quaternion_xyzw, joints)
        self._data.ctrl[: len(ARM_JOINTS)] = joints
        self._gripper_ctrl(gripper_closedness)
        self._target = replace(ArmCommand.hold_at(state), gripper_closedness=gripper_closedness)

    def advance(self, duration_s: float) -> None:
        """Run physics for ``duration_s`` (rounded to time steps), servo included."""
        steps = round(duration_s / self.timestep_s)
        while steps > 0:
            if self._substeps_left == 0:
                period_s = self._substeps_per_servo * self.timestep_s
                joints = self._servo.step(self.target, period_s)
                self._data.ctrl[: len(ARM_JOINTS)] = joints
                self._substeps_left = self._substeps_per_servo
            count = min(steps, self._substeps_left)
            mujoco.mj_step(self._model, self._data, nstep=count)
            self._substeps_left -= count
            self._steps_total += count
            steps -= count
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)

    def _gripper_ctrl(self, closedness: float) -> None:
        opening = (1.0 - min(max(closedness, 0.0), 1.0)) * FINGER_TRAVEL_M
        self._data.ctrl[len(ARM_JOINTS) :] = opening

    # -- cameras ---------------------------------------------------------------------------------

    @property
    def cameras(self) -> tuple[str, ...]:
        """Return the camera names."""
        return tuple(self._model.camera(i).name.rpartition('/')[2] for i in range(self._model.ncam))

    @property
    def renderer(self) -> str:
        """Return the OpenGL platform that MuJoCo renders with: osmesa, egl or glfw."""
        return rendering.select_renderer()

    def render(self, camera: str) -> Image:
        """Return an upright RGB picture uint8 [H, W, 3] of the present state."""
        if self._mj_renderer is None:
            self._mj_renderer = mujoco.Renderer(
                self._model, self.config.image_height, self.config.image_width
            )
            self._mj_renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = False
            self._mj_renderer.scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        self._mj_renderer.update_scene(self._data, self._camera_id(camera), self._scene_option)
        return self._mj_renderer.render().copy()

    def turn_exterior(self, azimuth_rad: float) -> None:
        """Turn the exterior camera to an azimuth and leave it there, resets included."""
        position, quaternion = exterior_camera_pose(azimuth_rad)
        index = self._camera_id('exterior')
        self._model.cam_pos[index], self._model.cam_quat[index] = position, quaternion
        mujoco.mj_forward(self._model, self._data)

    def intrinsics(self, camera: str) -> CameraIntrinsics:
        """Return the pinhole intrinsics of a camera at the configured image size."""
        width, height = self.config.image_width, self.config.image_height
        fovy = math.radians(float(self._model.cam_fovy[self._camera_id(camera)]))
        focal = 0.5 * height / math.tan(0.5 * fovy)
        return CameraIntrinsics(
            width=width,
            height=height,
            fx=focal,
            fy=focal,
            cx=(width - 1) / 2,
            cy=(height - 1) / 2,
        )

    def camera_pose(self, camera: str) -> tuple[Array, Array]:
        """Return position [m] and quaternion xyzw of the optical frame (z forward, y down)."""
        index = self._camera_id(camera)
        wxyz = np.zeros(4)
        mujoco.mju_mat2Quat(wxyz, self._data.cam_xmat[index])
        # MuJoCo looks along -z, y up; the optical frame of ROS (REP 103) is half a turn about x.
        quaternion = multiply_quaternions(wxyz[_WXYZ_TO_XYZW], [1.0, 0.0, 0.0, 0.0])
        return self._data.cam_xpos[index].copy(), quaternion

    def _camera_id(self, camera: str) -> int:
        for index in range(self._model.ncam):
            if self._model.camera(index).name.rpartition('/')[2] == camera:
                return index
        raise UnknownNameError.among('camera', camera, self.cameras)

    def close(self) -> None:
        """Release the renderer; safe to call twice."""
        if self._mj_renderer is not None:
            self._mj_renderer.close()
            self._mj_renderer = None


def down_quaternion(yaw_rad: float) -> Array:
    """Return the tool orientation xyzw with fingers down, turned by ``yaw_rad`` about base z."""
    half = 0.5 * yaw_rad
    return multiply_quaternions([0.0, 0.0, math.sin(half), math.cos(half)], TOOL_DOWN_XYZW)
