# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""From an action, whose dimensions an ActionSpec names, to an absolute target for the arm."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from wm_planner.core.errors import InvalidActionError
from wm_planner.core.geometry import Array, apply_delta, pose_delta
from wm_planner.core.types import ActionKind, ActionSpec, ArmCommand, RobotState

_DELTA_POSITION = (ActionKind.DX, ActionKind.DY, ActionKind.DZ)
_DELTA_EULER = (ActionKind.DROLL, ActionKind.DPITCH, ActionKind.DYAW)
_GRIPPER_SLACK = 0.05  # closedness
_GRIPPER_STILL = 0.02  # closedness a step


def action_to_command(
    action: npt.ArrayLike, spec: ActionSpec, reference: RobotState, stamp_ns: int
) -> ArmCommand:
    """Return the absolute target that ``action`` [A] asks for, starting from ``reference``.

    Deltas apply in the base frame (position added, rotation left-multiplied). Dimensions that the
    spec does not name keep the reference's value, the gripper included. Non-finite numbers pass
    through to the command on purpose: refusing them is the safety filter's job.
    """
    values = np.asarray(action, dtype=np.float64)
    if values.shape != (spec.size,):
        raise InvalidActionError(f'action has shape {values.shape}; valid: ({spec.size},).')
    by_name = dict(zip(spec.names, values.tolist(), strict=True))
    delta_position = [by_name.get(kind.value, 0.0) for kind in _DELTA_POSITION]
    delta_euler = [by_name.get(kind.value, 0.0) for kind in _DELTA_EULER]
    if not np.all(np.isfinite(values)):
        position, quaternion = np.full(3, np.nan), np.full(4, np.nan)
    else:
        position, quaternion = apply_delta(
            reference.position_m, reference.quaternion_xyzw, delta_position, delta_euler
        )
    closedness = reference.gripper_closedness
    if ActionKind.GRIPPER.value in by_name:
        closedness = by_name[ActionKind.GRIPPER.value]
    elif ActionKind.DGRIPPER.value in by_name:
        closedness = min(max(closedness + by_name[ActionKind.DGRIPPER.value], 0.0), 1.0)
    return ArmCommand(
        stamp_ns=stamp_ns,
        position_m=position,
        quaternion_xyzw=quaternion,
        gripper_closedness=closedness,
    )


def action_between(before: RobotState, after: RobotState, spec: ActionSpec) -> Array:
    """Return the action [A] that leads from one state to the other, clipped to the spec's bounds.

    The inverse of ``action_to_command``; rotations the spec does not name are left out.
    """
    delta_position, delta_euler = pose_delta(
        before.position_m, before.quaternion_xyzw, after.position_m, after.quaternion_xyzw
    )
    values = {
        **dict(zip((kind.value for kind in _DELTA_POSITION), delta_position, strict=True)),
        **dict(zip((kind.value for kind in _DELTA_EULER), delta_euler, strict=True)),
        ActionKind.GRIPPER.value: after.gripper_closedness,
        ActionKind.DGRIPPER.value: after.gripper_closedness - before.gripper_closedness,
    }
    action: Array = np.clip([values[name] for name in spec.names], spec.low, spec.high)
    return action


def planner_steps(count: int, count_step_s: float, step_duration_s: float) -> int:
    """Return how many steps of a planner fill ``count`` steps of ``count_step_s`` [s].

    The last one is not cut short. ``count_step_s`` 0 = they are the planner's own steps already.
    """
    if count_step_s == 0.0:
        return count
    return math.ceil(count * count_step_s / step_duration_s - 1e-6)


def gripper_pin(
    spec: ActionSpec, goal_closedness: float, state: RobotState, closed_above: float
) -> dict[str, float]:
    """Return the ``ActionSpec.pinned`` values that drive the gripper to a goal's recorded state.

    A goal recorded while the fingers held an object shows them stopped by it, and a command to that
    very width would hold it with no force. So a recorded closedness above ``closed_above`` asks for
    fully closed (the object stops the fingers), below it for fully open.
    """
    target = 1.0 if goal_closedness > closed_above else 0.0
    return {
        ActionKind.GRIPPER.value: target,
        ActionKind.DGRIPPER.value: target - state.gripper_closedness,
    }


def is_gripper_there(goal: float, now: float, before: float, closed_above: float) -> bool:
    """Return whether fingers at closedness ``now`` are where a goal's recorded ``goal`` has them.

    Open or closed is told by the rule of ``gripper_pin``; on the right side of it they are there
    once they are as far as the goal, or stand still (``before`` is a step ago, NaN = unknown): a
    thicker object stops them earlier.
    """
    is_closed = goal > closed_above
    if is_closed != (now > closed_above):
        return False
    short = goal - now if is_closed else now - goal
    return short <= _GRIPPER_SLACK or abs(now - before) <= _GRIPPER_STILL
