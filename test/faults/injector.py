# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Stands between the simulator's streams and the planner, and spoils them on demand.

The bridge publishes under ``/raw``; what it says goes on to the planner through ``change``, unless
that keeps it back. The same node hears every command and every status of the planner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
import threading
from typing import Any

from geometry_msgs.msg import PoseStamped, WrenchStamped
import numpy as np
import rclpy
from rclpy.clock import Clock as RclpyClock
from rclpy.clock_type import ClockType
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Bool

from fakes.loopback_robot import Spinner
from wm_planner.core.profile import Topics
from wm_planner.ros import qos
from wm_planner.ros.stamps import stamp_from_ns, stamp_to_ns
from wm_planner_msgs.msg import PlannerStatus

RAW = '/raw'
ESTOP_TOPIC = '/estop_button'
WRENCH_TOPIC = '/wrench'
STREAMS = {
    'clock': (Clock, '/clock', QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)),
    'image': (Image, Topics().image, qos.IMAGE),
    'joints': (JointState, Topics().joint_states, qos.STATE),
    'pose': (PoseStamped, Topics().tool_pose, qos.STATE),
}
Change = Callable[[Any], Iterable[Any]]
"""What becomes of a message: none, one or several to go on, now."""


@dataclass(frozen=True)
class Command:
    """A target as it came: its stamp [ns, the planner's clock] and place [m]."""

    stamp_ns: int
    position_m: np.ndarray


class Injector:
    """One node, spun by a thread of its own. ``change`` may be set from any thread."""

    def __init__(self) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node('fault_injector', context=self.context)
        self.change: dict[str, Change] = {}
        self.shift_ns = 0  # of the clock and of all stamps
        self.clock_ns = 0  # the planner's
        self.commands: list[Command] = []
        self.statuses: list[PlannerStatus] = []
        self.is_pressed: bool | None = False  # None: the button is silent
        self.wrench: tuple[float, float] | None = (1.0, 0.1)  # N, Nm; None: silent
        self._lock = threading.Lock()
        self._out: dict[str, Any] = {}
        for name, (kind, topic, quality) in STREAMS.items():
            self._out[name] = self.node.create_publisher(kind, topic, quality)
            relay = self._relay(name)
            self.node.create_subscription(kind, RAW + topic, relay, quality)
        self._button = self.node.create_publisher(Bool, ESTOP_TOPIC, qos.STATUS)
        self._feeler = self.node.create_publisher(WrenchStamped, WRENCH_TOPIC, qos.STATE)
        listening = QoSProfile(depth=200, reliability=ReliabilityPolicy.RELIABLE)
        subscribe = self.node.create_subscription
        subscribe(PoseStamped, Topics().target_pose, self._on_command, listening)
        subscribe(PlannerStatus, '/wm_planner/status', self.statuses.append, listening)
        steady = RclpyClock(clock_type=ClockType.STEADY_TIME)
        self.node.create_timer(0.05, self._beat, clock=steady)
        self._spinner = Spinner(self.context, self.node)

    def close(self) -> None:
        """Leave the graph; nothing may have left the spin loop."""
        self._spinner.stop()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)
        assert self._spinner.errors == []

    def send(self, name: str, message: Any) -> None:
        """Send a message of a stream now."""
        self._out[name].publish(message)

    def _relay(self, name: str) -> Callable[[Any], None]:
        def take(message: Any) -> None:
            self._shift(message)
            change = self.change.get(name)
            for changed in [message] if change is None else change(message):
                if name == 'clock':
                    self.clock_ns = stamp_to_ns(changed.clock)
                self._out[name].publish(changed)

        return take

    def _shift(self, message: Any) -> None:
        if self.shift_ns == 0:
            return
        if isinstance(message, Clock):
            message.clock = stamp_from_ns(stamp_to_ns(message.clock) + self.shift_ns)
        else:
            stamp_ns = stamp_to_ns(message.header.stamp)
            message.header.stamp = stamp_from_ns(stamp_ns + self.shift_ns)

    def _on_command(self, message: PoseStamped) -> None:
        point = message.pose.position
        stamp_ns = stamp_to_ns(message.header.stamp)
        self.commands.append(Command(stamp_ns, np.array([point.x, point.y, point.z])))

    def _beat(self) -> None:
        if self.is_pressed is not None:
            self._button.publish(Bool(data=self.is_pressed))
        if self.wrench is not None:
            message = WrenchStamped()
            message.wrench.force.z, message.wrench.torque.x = self.wrench
            self._feeler.publish(message)
