# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""NullSink: a dry run; everything happens but the motion."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node

from wm_planner.core.profile import RobotProfile
from wm_planner.core.protocols import Clock
from wm_planner.core.types import ArmCommand, RobotState

_LOG_PERIOD_S = 2.0


class NullSink:
    """Publishes nothing; says now and then what it would have sent. Thread: the executor's."""

    def __init__(
        self,
        node: Node,
        profile: RobotProfile,
        clock: Clock,
        latest_state: Callable[[], RobotState | None],
    ) -> None:
        self._log = node.get_logger()
        self._base_frame = profile.base_frame

    def send(self, command: ArmCommand) -> ArmCommand:
        """Return ``command`` as if it had gone out."""
        x, y, z = command.position_m
        self._log.info(
            f'dry run: target ({x:.3f}, {y:.3f}, {z:.3f}) m in {self._base_frame}, closedness '
            f'{command.gripper_closedness:.2f}',
            throttle_duration_sec=_LOG_PERIOD_S,
        )
        return command

    def hold(self) -> None:
        """Do nothing: nothing moves."""

    def close(self) -> None:
        """Do nothing: nothing is held open."""
