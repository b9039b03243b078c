# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Witness: what a bystander of a simulated episode sees and measures."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from sensor_msgs.msg import Image as ImageMessage

from wm_planner.core.profile import Topics
from wm_planner.core.types import Image
from wm_planner.ros import qos
from wm_planner.ros.images import image_from_message
from wm_planner.ros.stamps import stamp_to_ns
from wm_planner.tools.strip import Moment
from wm_planner_msgs.msg import EpisodeStatus

if TYPE_CHECKING:
    from rclpy.node import Node

_MAX_FRAMES = 600


class Witness:
    """Keeps camera frames and true distances with their stamps, from ``begin`` on.

    Beyond _MAX_FRAMES every other frame is dropped, so that a long wait costs no memory. Thread:
    the one that spins the node.
    """

    def __init__(self, node: Node) -> None:
        self._begin_ns = 0
        self._frames: list[tuple[int, Image]] = []
        self._distances: list[tuple[int, float]] = []
        node.create_subscription(ImageMessage, Topics().image, self._on_image, qos.IMAGE)
        node.create_subscription(EpisodeStatus, '/episode_status', self._on_episode, qos.STATUS)

    @property
    def has_frame(self) -> bool:
        """Return whether a frame has come since ``begin``."""
        return bool(self._frames)

    def begin(self, stamp_ns: int) -> None:
        """Forget everything, and take nothing that was acquired before ``stamp_ns``."""
        self._begin_ns = stamp_ns
        self._frames.clear()
        self._distances.clear()

    def moments(self, zero_ns: int) -> list[Moment]:
        """Return what was seen, oldest first; times count from ``zero_ns``, 0 before it."""
        return [
            Moment(
                image=image,
                time_s=max(stamp_ns - zero_ns, 0) * 1e-9,
                distance_m=self._distance_at(stamp_ns),
            )
            for stamp_ns, image in self._frames
        ]

    def _distance_at(self, stamp_ns: int) -> float | None:
        """Return the distance measured nearest to ``stamp_ns``."""
        if not self._distances:
            return None
        index = bisect_left(self._distances, (stamp_ns, 0.0))
        around = self._distances[max(index - 1, 0) : index + 1]
        return min(around, key=lambda known: abs(known[0] - stamp_ns))[1]

    def _on_image(self, message: ImageMessage) -> None:
        stamp_ns = stamp_to_ns(message.header.stamp)
        if stamp_ns < self._begin_ns:
            return
        self._frames.append((stamp_ns, image_from_message(message)))
        if len(self._frames) > _MAX_FRAMES:
            del self._frames[1::2]

    def _on_episode(self, message: EpisodeStatus) -> None:
        stamp_ns = stamp_to_ns(message.header.stamp)
        if stamp_ns >= self._begin_ns:
            self._distances.append((stamp_ns, float(message.distance_m)))
