# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""ViewNode: listens to a running graph for a ViewScene. It publishes nothing."""

from __future__ import annotations

from collections.abc import Callable
import os
import time
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions

from wm_planner.ros import qos
from wm_planner.tools.view_scene import ViewScene

_SPIN_S = 0.1
_NEWEST = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=ReliabilityPolicy.BEST_EFFORT,
    durability=DurabilityPolicy.VOLATILE,
)
"""Whoever looks wants the newest, and must never make a publisher wait or send again."""


class ViewNode:
    """A node of its own in a context of its own. One thread; a context manager."""

    def __init__(self, scene: ViewScene) -> None:
        self._scene = scene
        self._context = rclpy.Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node(
            f'wm_planner_view_{os.getpid()}',
            context=self._context,
            use_global_arguments=False,
            start_parameter_services=False,
        )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        for source in scene.sources:
            profile = qos.LATCHED if source.is_latched else _NEWEST
            self.node.create_subscription(source.kind, source.topic, self._take(source), profile)

    def __enter__(self) -> ViewNode:
        """Return the node itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.try_shutdown()

    def spin_once(self) -> None:
        """Show one message, or wait a moment for it."""
        self._executor.spin_once(timeout_sec=_SPIN_S)

    def _take(self, source: Any) -> Callable[[Any], None]:
        return lambda message: self._scene.show(source.topic, message, time.time_ns())
