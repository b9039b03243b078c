# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Short ways to the values that tests are made of."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from wm_planner.core.profile import RobotProfile
from wm_planner.core.types import (
    ActionSpec,
    ArmCommand,
    Goal,
    Image,
    Observation,
    Plan,
    PlanDiagnostics,
    RobotState,
    StopReason,
)

DOWN_XYZW = (1.0, 0.0, 0.0, 0.0)
SPEC = ActionSpec(
    low=np.array([-0.06, -0.06, -0.06, -0.35, 0.0]),
    high=np.array([0.06, 0.06, 0.06, 0.35, 1.0]),
    names=('dx', 'dy', 'dz', 'dyaw', 'gripper'),
    step_duration_s=0.25,
)


def a_state(
    position_m: Any = (0.5, 0.0, 0.3),
    *,
    stamp_ns: int = 0,
    quaternion_xyzw: Any = DOWN_XYZW,
    closedness: float = 0.0,
) -> RobotState:
    return RobotState(
        stamp_ns=stamp_ns,
        position_m=np.asarray(position_m, float),
        quaternion_xyzw=np.asarray(quaternion_xyzw, float),
        gripper_closedness=closedness,
    )


def a_command(
    position_m: Any = (0.5, 0.0, 0.3),
    *,
    stamp_ns: int = 0,
    quaternion_xyzw: Any = DOWN_XYZW,
    closedness: float = 0.0,
) -> ArmCommand:
    return ArmCommand(
        stamp_ns=stamp_ns,
        position_m=np.asarray(position_m, float),
        quaternion_xyzw=np.asarray(quaternion_xyzw, float),
        gripper_closedness=closedness,
    )


def an_image(value: int = 100, side: int = 32) -> Image:
    return np.full((side, side, 3), value, np.uint8)


def an_observation(*stamps_ns: int, image: Image | None = None, **state: Any) -> Observation:
    stamps = stamps_ns or (0,)
    picture = an_image() if image is None else image
    return Observation(
        images=np.stack([picture] * len(stamps)),
        image_stamps_ns=stamps,
        states=tuple(a_state(stamp_ns=stamp, **state) for stamp in stamps),
    )


def a_goal(goal_id: str = 'goal', image: Image | None = None, **fields: Any) -> Goal:
    return Goal(goal_id=goal_id, image=an_image() if image is None else image, **fields)


def a_plan(
    *actions: Any,
    goal_id: str = 'goal',
    stamp_ns: int = 0,
    goal_energy: float = 1.0,
    spec: ActionSpec = SPEC,
) -> Plan:
    return Plan(
        goal_id=goal_id,
        observation_stamp_ns=stamp_ns,
        actions=np.array(actions or [[0.0] * spec.size], float),
        action_spec=spec,
        energy=math.nan,
        goal_energy=goal_energy,
        diagnostics=PlanDiagnostics(
            stop_reason=StopReason.NOT_OPTIMIZED, milliseconds={'total': 0.0}
        ),
    )


def a_profile(**fields: Any) -> RobotProfile:
    return RobotProfile(**{'name': 'test', 'base_frame': 'base', 'tool_frame': 'tool', **fields})
