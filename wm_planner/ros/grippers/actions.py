# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Grippers that are action servers: a goal when the target has changed, and nobody waits for it."""

from __future__ import annotations

from functools import partial
from typing import Any

from action_msgs.msg import GoalStatus
from rclpy.action import ActionClient
from rclpy.node import Node
from rclpy.task import Future
from sensor_msgs.msg import JointState

from wm_planner.core.profile import RobotProfile
from wm_planner.core.protocols import Clock
from wm_planner.ros.grippers.conversions import (
    command_value,
    half_width_range,
    joint_range,
    width_range,
)
from wm_planner.ros.grippers.settling import Settling
from wm_planner.ros.optional import require

_LOG_PERIOD_S = 5.0
_GRASP_ABOVE = 0.5
_ENDED_WELL = (GoalStatus.STATUS_SUCCEEDED, GoalStatus.STATUS_CANCELED)


class ActionGripper:
    """Sends action goals without blocking: one when the closedness has settled on another value.

    A goal that is refused, or a server that is not there, is said in the log and tried again a
    second later while the target stays. A goal that ends ABORTED is said and left: fingers that
    were stopped by an object end so with some drivers. Subclasses make clients and goals. Thread:
    the executor's.
    """

    def __init__(self, node: Node, profile: RobotProfile, clock: Clock) -> None:
        self._node = node
        self._clock = clock
        self._log = node.get_logger()
        self._settings = profile.gripper_settings
        self._settling = Settling(profile.gripper_settings.min_change)
        self._name = profile.topics.gripper_target
        self._clients: list[ActionClient] = []
        self.goals = 0
        self.refused = 0

    def begin(self, measured: float) -> None:
        """Send no goal for the closedness that is measured as motion begins."""
        self._settling.assume(measured)

    def send(self, closedness: float) -> None:
        """Send a goal if one is due."""
        now_ns = self._clock.now_ns()
        due = self._settling.due(closedness, now_ns)
        if due is None:
            return
        client, goal = self._goal(due)
        if not client.server_is_ready():
            self._settling.failed(now_ns)
            self._log.warning(
                f'gripper: no action server {self._name}; valid: the gripper driver running',
                throttle_duration_sec=_LOG_PERIOD_S,
            )
            return
        self._settling.sent(due)
        self.goals += 1
        client.send_goal_async(goal).add_done_callback(partial(self._answered, due))

    def publishers(self) -> list[object]:
        """Return none: an action goal is answered, not acknowledged."""
        return []

    def close(self) -> None:
        """Let go of the clients; a goal under way goes on."""
        for client in self._clients:
            client.destroy()
        self._clients.clear()

    def _client(self, kind: type, name: str) -> ActionClient:
        client = ActionClient(self._node, kind, name)
        self._clients.append(client)
        return client

    def _goal(self, closedness: float) -> tuple[ActionClient, Any]:
        """Return the client to use and the goal message."""
        raise NotImplementedError

    def _answered(self, closedness: float, future: Future) -> None:
        handle = future.result()
        if handle is None or not handle.accepted:
            self.refused += 1
            self._settling.failed(self._clock.now_ns())
            self._log.warning(f'gripper: {self._name} refused the goal closedness {closedness:.2f}')
            return
        handle.get_result_async().add_done_callback(self._ended)

    def _ended(self, future: Future) -> None:
        result = future.result()
        if result is not None and result.status not in _ENDED_WELL:
            self._log.info(f'gripper: a goal of {self._name} ended with status {result.status}')


class GripperCommandGripper(ActionGripper):
    """control_msgs/action/GripperCommand: position is the opening [m] by default, or by range."""

    def __init__(self, node: Node, profile: RobotProfile, clock: Clock) -> None:
        super().__init__(node, profile, clock)
        self._type = require('control_msgs.action', 'the gripper action').GripperCommand
        self._range = width_range(profile)
        self._only = self._client(self._type, self._name)

    def _goal(self, closedness: float) -> tuple[ActionClient, Any]:
        goal = self._type.Goal()
        goal.command.position = command_value(closedness, self._range)
        goal.command.max_effort = float(self._settings.max_effort)
        return self._only, goal


class FrankaGripper(GripperCommandGripper):
    """franka_gripper's gripper_action: a GripperCommand whose position is *half* the width."""

    def __init__(self, node: Node, profile: RobotProfile, clock: Clock) -> None:
        super().__init__(node, profile, clock)
        self._range = half_width_range(profile)


class ParallelGripperCommandGripper(ActionGripper):
    """control_msgs/action/ParallelGripperCommand: a JointState with the named joints.

    The joints are ``command_joints``, or ``gripper_joint_names``; each is told its share of the
    opening [m] by default, and a ``command_range`` is that of one joint.
    """

    def __init__(self, node: Node, profile: RobotProfile, clock: Clock) -> None:
        super().__init__(node, profile, clock)
        self._type = require('control_msgs.action', 'the gripper action').ParallelGripperCommand
        self._joints = self._settings.command_joints or profile.gripper_joint_names
        self._range = joint_range(profile, len(self._joints))
        self._only = self._client(self._type, self._name)

    def _goal(self, closedness: float) -> tuple[ActionClient, Any]:
        goal = self._type.Goal()
        value = command_value(closedness, self._range)
        goal.command = JointState(
            name=list(self._joints),
            position=[value] * len(self._joints),
            effort=[float(self._settings.max_effort)] * len(self._joints),
        )
        return self._only, goal


class FrankaGraspGripper(ActionGripper):
    """franka_gripper's grasp and move: grasps with force above closedness 0.5, else moves there.

    ``topics.gripper_target`` is the node (/franka_gripper); width is the whole opening [m] here,
    force ``max_effort`` [N]. Any width counts as a grasp: what the fingers hold is not known.
    """

    def __init__(self, node: Node, profile: RobotProfile, clock: Clock) -> None:
        super().__init__(node, profile, clock)
        actions = require('franka_msgs.action', "franka_gripper's grasp and move")
        self._move_type, self._grasp_type = actions.Move, actions.Grasp
        self._move = self._client(actions.Move, f'{self._name}/move')
        self._grasp = self._client(actions.Grasp, f'{self._name}/grasp')
        self._range = width_range(profile)
        self._max_width_m = profile.gripper_max_width_m

    def _goal(self, closedness: float) -> tuple[ActionClient, Any]:
        width = command_value(closedness, self._range)
        if closedness <= _GRASP_ABOVE:
            return self._move, self._move_type.Goal(width=width, speed=self._settings.speed_m_s)
        goal = self._grasp_type.Goal(
            width=0.0, speed=self._settings.speed_m_s, force=float(self._settings.max_effort)
        )
        goal.epsilon.inner = goal.epsilon.outer = float(self._max_width_m)
        return self._grasp, goal
