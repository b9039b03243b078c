# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for gripper action servers: they refuse what the real ones do, and keep the goals."""

from __future__ import annotations

import math
from typing import Any

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.node import Node


class GripperServer:
    """One action. ``goals`` has what was taken, ``refused`` why others were not.

    ``range_of_position`` is what the fingers can do, in the action's units. ``is_refusing`` makes
    it take nothing, as a driver in a fault does.
    """

    def __init__(
        self, node: Node, action: type, name: str, position: Any, range_of_position: tuple
    ) -> None:
        self._position = position
        self._low, self._high = range_of_position
        self.action = action
        self.goals: list[Any] = []
        self.refused: list[str] = []
        self.is_refusing = False
        self._server = ActionServer(
            node,
            action,
            name,
            self._execute,
            goal_callback=self._goal,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )

    def close(self) -> None:
        """Leave the graph; the action server keeps its node in it else, until it is collected."""
        self._server.destroy()

    @property
    def positions(self) -> list[float]:
        """Return the positions of the goals taken."""
        return [self._position(goal) for goal in self.goals]

    def _goal(self, goal: Any) -> GoalResponse:
        value = self._position(goal)
        is_inside = math.isfinite(value) and self._low - 1e-9 <= value <= self._high + 1e-9
        if self.is_refusing or not is_inside:
            self.refused.append(f'position {value}')
            return GoalResponse.REJECT
        self.goals.append(goal)
        return GoalResponse.ACCEPT

    def _execute(self, handle: Any) -> Any:
        handle.succeed()
        return self.action.Result()
