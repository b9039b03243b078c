# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Plays a bag into a ROS graph at the pace of its record, messages as they are on the wire."""

from __future__ import annotations

from pathlib import Path
import time
from types import TracebackType
from typing import Any

import rclpy
from rosbags.highlevel import AnyReader

from wm_planner.ros.interfaces import message_class

TOPICS = ('/clock', '/camera/exterior/image_raw', '/joint_states', '/tool_pose')


class BagPlayer:
    """Publishes ``TOPICS`` of a bag when they are due, as ``ros2 bag play`` does.

    Faster than recorded, topics overtake each other on their way and look late or early to whoever
    compares their stamps with the clock.
    """

    def __init__(self, context: Any, bag: Path) -> None:
        self.node = rclpy.create_node('bag_player', context=context)
        self._reader = AnyReader([bag])
        self._reader.open()
        chosen = [c for c in self._reader.connections if c.topic in TOPICS]
        self._publishers = {
            c.topic: self.node.create_publisher(message_class(c.msgtype), c.topic, 10)
            for c in chosen
        }
        self._messages = self._reader.messages(chosen)
        self._next = next(self._messages)
        self._recorded_start_ns = self._next[1]
        self._start_ns = 0

    def __enter__(self) -> BagPlayer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._reader.close()
        self.node.destroy_node()

    def play_due(self) -> bool:
        """Publish what is due by now; False once there is nothing left."""
        now_ns = time.monotonic_ns()
        self._start_ns = self._start_ns or now_ns
        due_ns = self._recorded_start_ns + now_ns - self._start_ns
        while self._next is not None and self._next[1] <= due_ns:
            connection, _, data = self._next
            self._publishers[connection.topic].publish(data)
            self._next = next(self._messages, None)
        return self._next is not None
