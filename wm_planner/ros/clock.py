# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""RosClock: the Clock protocol over a node's clock."""

from __future__ import annotations

import time

from rclpy.node import Node


class RosClock:
    """Time of a node: simulated under ``use_sim_time``, else the system's. Any thread."""

    def __init__(self, node: Node) -> None:
        self._clock = node.get_clock()

    def now_ns(self) -> int:
        """Return ROS time [ns]; 0 under ``use_sim_time`` until the first /clock message."""
        return int(self._clock.now().nanoseconds)

    def monotonic_ns(self) -> int:
        """Return the steady wall clock [ns]."""
        return time.monotonic_ns()
