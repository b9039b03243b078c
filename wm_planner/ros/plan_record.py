# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What a bag needs beside frames so that its plans can be made again: starts, goals, settings.

Pure functions between messages and the package's values, and the publishers. No bag is opened here.
"""

from __future__ import annotations

import array
from collections.abc import Mapping
import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from rclpy.node import Node
from std_msgs.msg import String

from wm_planner import __version__
from wm_planner.core.errors import RecordingError
from wm_planner.core.imagination import PlanStart
from wm_planner.core.types import Goal, Plan, RobotState
from wm_planner.ros import qos
from wm_planner.ros.images import image_from_message, image_to_message
from wm_planner.ros.stamps import stamp_from_ns
from wm_planner_msgs.msg import GoalRecord
from wm_planner_msgs.msg import PlanStart as PlanStartMessage

STATE_SIZE = 8  # position, quaternion, closedness


class PlanRecords:
    """Publishes ~/plan_start with each plan and ~/planner_settings once. The executor's thread."""

    def __init__(self, node: Node) -> None:
        self._starts = node.create_publisher(PlanStartMessage, '~/plan_start', qos.STATUS)
        self._settings = node.create_publisher(String, '~/planner_settings', qos.LATCHED)

    def on_plan(self, plan: Plan, base_frame: str) -> None:
        """Publish what ``plan`` was made from; policies have nothing."""
        if plan.start is not None:
            self._starts.publish(start_to_message(plan, plan.start, base_frame))

    def on_configured(self, settings: Mapping[str, Any]) -> None:
        """Publish the settings in force, as JSON."""
        self._settings.publish(String(data=json.dumps({**settings, 'wm_planner': __version__})))


def start_to_message(plan: Plan, start: PlanStart, base_frame: str) -> PlanStartMessage:
    """Return the message of a plan's start."""
    message = PlanStartMessage()
    message.header.stamp = stamp_from_ns(plan.observation_stamp_ns)
    message.header.frame_id = base_frame
    message.goal_id = plan.goal_id
    message.executed_steps = int(start.executed_steps)
    message.deadline_s = float(start.deadline_s)
    message.is_wide = bool(start.is_wide)
    message.image_stamps = [int(stamp) for stamp in start.image_stamps_ns]
    message.states = [float(value) for state in start.states for value in _numbers(state)]
    message.generator_state = array.array('B', start.generator_state)
    if start.mean is not None and start.elites is not None:
        message.horizon = int(start.mean.shape[0])
        message.mean = _floats(start.mean)
        message.elites = _floats(start.elites)
    return message


def start_from_message(message: PlanStartMessage, actions: int) -> PlanStart:
    """Return the start in a message of plans with ``actions`` dimensions. Raises RecordingError."""
    states = np.array(message.states, np.float64)
    stamps = tuple(int(stamp) for stamp in message.image_stamps)
    if not stamps or states.size != len(stamps) * STATE_SIZE:
        raise RecordingError(
            f'a PlanStart has {len(stamps)} frames and {states.size} numbers of states; valid: '
            f'{STATE_SIZE} a frame.'
        )
    mean = elites = None
    if message.horizon:
        shape = (int(message.horizon), actions)
        try:
            mean = np.array(message.mean, np.float32).reshape(shape)
            elites = np.array(message.elites, np.float32).reshape(-1, *shape)
        except ValueError as error:
            raise RecordingError(
                f'the warm start of a PlanStart does not have {actions} action dimensions; valid: '
                'a bag of the same world model.'
            ) from error
    rows = zip(stamps, states.reshape(-1, STATE_SIZE), strict=True)
    return PlanStart(
        executed_steps=int(message.executed_steps),
        deadline_s=float(message.deadline_s),
        image_stamps_ns=stamps,
        states=tuple(_state(stamp, row) for stamp, row in rows),
        generator_state=bytes(message.generator_state),
        mean=mean,
        elites=elites,
        is_wide=bool(message.is_wide),
    )


def goal_to_message(goal: Goal, *, stamp_ns: int, camera_frame: str) -> GoalRecord:
    """Return the message of a goal that comes into force at ``stamp_ns``."""
    message = GoalRecord()
    message.header.stamp = stamp_from_ns(stamp_ns)
    message.header.frame_id = camera_frame
    message.goal_id = goal.goal_id
    message.image = image_to_message(goal.image, stamp_ns=stamp_ns, frame_id=camera_frame)
    closedness = goal.gripper_closedness
    message.gripper_closedness = math.nan if closedness is None else float(closedness)
    return message


def goal_from_record(message: GoalRecord) -> Goal:
    """Return the goal in a message. Raises InvalidImageError or InvalidGoalError."""
    closedness = float(message.gripper_closedness)
    return Goal(
        goal_id=message.goal_id,
        image=image_from_message(message.image),
        gripper_closedness=None if math.isnan(closedness) else closedness,
    )


def _numbers(state: RobotState) -> list[float]:
    return [*state.position_m, *state.quaternion_xyzw, state.gripper_closedness]


def _state(stamp_ns: int, row: npt.NDArray[np.float64]) -> RobotState:
    return RobotState(
        stamp_ns=stamp_ns,
        position_m=row[:3],
        quaternion_xyzw=row[3:7],
        gripper_closedness=float(row[7]),
    )


def _floats(values: npt.NDArray[np.float32]) -> array.array[float]:
    numbers = array.array('f')
    numbers.frombytes(np.ascontiguousarray(values, np.float32).tobytes())
    return numbers
