# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Plays a bag into a ROS graph, message by message as they are on the wire."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import rclpy
from rosbags.highlevel import AnyReader

from wm_planner.ros.interfaces import message_class

TOPICS = ('/clock', '/camera/exterior/image_raw', '/joint_states', '/tool_pose')


class BagPlayer:
    """Publishes ``TOPICS`` of a bag in the order of time; one call, ``batch`` messages."""

    def __init__(self, context: Any, bag: Path, *, batch: int = 10) -> None:
        self.node = rclpy.create_node('bag_player', context=context)
        self._reader = AnyReader([bag])
        self._reader.open()
        chosen = [c for c in self._reader.connections if c.topic in TOPICS]
        self._publishers = {
            c.topic: self.node.create_publisher(message_class(c.msgtype), c.topic, 10)
            for c in chosen
        }
        self._messages = self._reader.messages(chosen)
        self._batch = batch

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

    def play_some(self) -> bool:
        """Publish the next messages; False once there are none left."""
        for _ in range(self._batch):
            item = next(self._messages, None)
            if item is None:
                return False
            connection, _, data = item
            self._publishers[connection.topic].publish(data)
        return True
