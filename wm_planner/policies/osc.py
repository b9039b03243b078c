# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What LIBERO-trained policies speak, and what it is in this package's conventions.

They act on robosuite's operational-space controller (OSC_POSE): [x, y, z, rx, ry, rz, gripper],
each clipped to [-1, 1], of which 1 is 0.05 m or 0.5 rad, the rotation as a rotation vector in the
robot's base frame, left-multiplied. They sense the tool in the *world* frame, its rotation as an
axis times an angle, and two finger positions.
"""

from __future__ import annotations

from dataclasses import dataclass
import math

import numpy as np
import numpy.typing as npt

from wm_planner.core.geometry import (
    Array,
    euler_to_quaternion,
    multiply_quaternions,
    normalise_quaternion,
    quaternion_to_euler,
    rotation_between,
    rotation_vector_to_quaternion,
)
from wm_planner.core.types import ActionKind, ActionSpec, RobotState

OSC_SIZE = 7
GRIPPERS = ('closed_positive', 'one_open', 'one_closed')
"""What the last number of an action means: -1 open and +1 closed as the controller takes it; 1 open
and 0 closed as RLDS datasets store it; 0 open and 1 closed."""

_ACTION_NAMES = tuple(
    kind.value
    for kind in (
        ActionKind.DX,
        ActionKind.DY,
        ActionKind.DZ,
        ActionKind.DROLL,
        ActionKind.DPITCH,
        ActionKind.DYAW,
        ActionKind.GRIPPER,
    )
)


@dataclass(frozen=True, kw_only=True)
class OscScale:
    """What a component of 1 asks the controller for."""

    position_m: float = 0.05
    rotation_rad: float = 0.5


def tool_spec(reach_m: float, reach_rad: float, step_duration_s: float) -> ActionSpec:
    """Return the spec of [dx, dy, dz, droll, dpitch, dyaw, gripper] within +-reach."""
    reach = np.array([reach_m] * 3 + [reach_rad] * 3)
    return ActionSpec(
        low=np.append(-reach, 0.0),
        high=np.append(reach, 1.0),
        names=_ACTION_NAMES,
        step_duration_s=step_duration_s,
    )


def osc_spec(scale: OscScale, step_duration_s: float) -> ActionSpec:
    """Return the spec that holds every action the controller takes.

    A rotation vector with components up to r is an angle up to sqrt(3) r, and no Euler angle of a
    rotation is larger than its angle.
    """
    return tool_spec(scale.position_m, math.sqrt(3.0) * scale.rotation_rad, step_duration_s)


def osc_to_actions(osc: npt.ArrayLike, scale: OscScale, gripper: str) -> Array:
    """Return controller inputs [H, 7] as actions of ``osc_spec`` [H, 7].

    ``gripper`` is one of GRIPPERS; closedness comes out as 0 or 1, since the controller only knows
    opening and closing.
    """
    values = np.asarray(osc, dtype=np.float64)
    arm = np.clip(values[:, :6], -1.0, 1.0)
    rotation = rotation_vector_to_quaternion(arm[:, 3:] * scale.rotation_rad)
    return np.column_stack(
        [
            arm[:, :3] * scale.position_m,
            quaternion_to_euler(rotation),
            is_closed(values[:, 6], gripper).astype(np.float64),
        ]
    )


def is_closed(values: npt.ArrayLike, gripper: str) -> npt.NDArray[np.bool_]:
    """Return whether gripper values of a convention ask for closed fingers."""
    array = np.asarray(values, dtype=np.float64)
    if gripper == 'closed_positive':
        return array > 0.0
    return array < 0.5 if gripper == 'one_open' else array > 0.5


def pose_error_to_osc(
    state: RobotState,
    target_position_m: npt.ArrayLike,
    target_quaternion_xyzw: npt.ArrayLike,
    scale: OscScale,
    gain: float = 1.0,
) -> Array:
    """Return the controller's arm input [6] that leads from ``state`` towards a target pose.

    A component beyond [-1, 1] is clipped; the next step asks for the rest.
    """
    way = np.asarray(target_position_m, np.float64) - state.position_m
    vector = rotation_between(state.quaternion_xyzw, target_quaternion_xyzw)
    osc: Array = gain * np.concatenate([way / scale.position_m, vector / scale.rotation_rad])
    return np.clip(osc, -1.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class ToolSense:
    """How a policy senses the arm, in terms of this package's base and tool frames.

    ``base_in_world_m`` is the robot's base in the frame its positions are in (axes parallel),
    ``tool_yaw_rad`` turns the tool frame about its own z into the frame its rotations are of,
    ``finger_travel_m`` is a finger's position at closedness 0.
    """

    base_in_world_m: tuple[float, ...] = (-0.66, 0.0, 0.912)
    tool_yaw_rad: float = 0.0
    finger_travel_m: float = 0.04

    def proprioception(
        self, state: RobotState, base_in_world_m: npt.ArrayLike | None = None
    ) -> npt.NDArray[np.float32]:
        """Return [x, y, z (m, world), axis times angle (3, rad), two finger positions (m)].

        Where the environment itself knows ``base_in_world_m``, it counts.
        """
        base = self.base_in_world_m if base_in_world_m is None else base_in_world_m
        fingers = self.finger_travel_m * (1.0 - state.gripper_closedness)
        return np.concatenate(
            [
                state.position_m + np.asarray(base),
                _axis_angle(multiply_quaternions(state.quaternion_xyzw, self._yaw())),
                [fingers, -fingers],
            ]
        ).astype(np.float32)

    def state(self, proprioception: npt.ArrayLike, stamp_ns: int) -> RobotState:
        """Return the state that ``proprioception`` [8] was made from."""
        values = np.asarray(proprioception, dtype=np.float64)
        yaw = self._yaw() * np.array([-1.0, -1.0, -1.0, 1.0])
        opening = (values[6] - values[7]) / (2.0 * self.finger_travel_m)
        return RobotState(
            stamp_ns=stamp_ns,
            position_m=values[:3] - np.asarray(self.base_in_world_m),
            quaternion_xyzw=multiply_quaternions(rotation_vector_to_quaternion(values[3:6]), yaw),
            gripper_closedness=float(np.clip(1.0 - opening, 0.0, 1.0)),
        )

    def _yaw(self) -> Array:
        return euler_to_quaternion([0.0, 0.0, self.tool_yaw_rad])


def _axis_angle(quaternion_xyzw: Array) -> Array:
    """Return axis times angle [3] with the axis on the side of +x and the angle in [0, 2 pi].

    A rotation has two such vectors. Of a tool that points down, the simulator's is the one about
    +x, above and below pi without a jump, and that is what the policies were trained on.
    """
    quaternion = normalise_quaternion(quaternion_xyzw)
    if quaternion[0] < 0.0:
        quaternion = -quaternion
    sine = float(np.linalg.norm(quaternion[:3]))
    if sine < 1e-9:
        return np.zeros(3)
    angle = 2.0 * math.atan2(sine, float(quaternion[3]))
    return np.asarray(quaternion[:3] * (angle / sine))
