# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""StopListener: the emergency stop button, the wrench and the other publishers, as guards.

It listens from configure to cleanup, also while the node is inactive: a button that was pressed
then is still pressed when the node is activated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from geometry_msgs.msg import WrenchStamped
from rclpy.clock import Clock as RclpyClock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from std_msgs.msg import Bool

from wm_planner.control.guards import Guard, SoleSpeaker, SpeedGuard, StopLine, WrenchGuard
from wm_planner.control.safety import SafetyConfig
from wm_planner.core.profile import RobotProfile
from wm_planner.core.protocols import Clock
from wm_planner.ros import qos
from wm_planner.ros.spinning import CallbackGuard

if TYPE_CHECKING:
    from wm_planner.control.controller import Controller

_LOOK_AROUND_S = 0.2


class StopListener:
    """Feeds the guards of a robot from the graph. Thread: the executor's."""

    def __init__(
        self,
        node: Node,
        profile: RobotProfile,
        clock: Clock,
        config: SafetyConfig,
        callbacks: CallbackGuard,
    ) -> None:
        self._node = node
        self._profile = profile
        self._clock = clock
        self._callbacks = callbacks
        stops, factor = profile.stops, config.overspeed_factor * config.limit_scale
        self.speed = SpeedGuard(
            max_speed_m_s=factor * profile.max_speed_m_s,
            max_rotation_speed_rad_s=factor * profile.max_rotation_speed_rad_s,
        )
        self._line = StopLine(stops) if stops.estop_topic else None
        self._wrench = WrenchGuard(stops) if stops.wrench_topic else None
        self._speaker = SoleSpeaker()
        self._own: Counter[str] = Counter()
        self._emergency_stop: Callable[[str], None] = lambda reason: None
        self._handles: list[Callable[[], Any]] = []

    @property
    def guards(self) -> Sequence[Guard]:
        """Return the guards for the controller."""
        every: list[Guard | None] = [self._line, self._wrench, self._speaker, self.speed]
        return [guard for guard in every if guard is not None]

    def listen(self, controller: Controller, command_topics: Sequence[str]) -> None:
        """Subscribe, and look around who else publishes on ``command_topics``, one entry each."""
        self._emergency_stop = controller.emergency_stop
        self._own = Counter(command_topics)
        stops, node = self._profile.stops, self._node
        if self._line is not None:
            # No button is to be unheard for its quality of service: a reliable reader loses
            # nothing of a reliable one, a best-effort reader also matches the others.
            for profile in (qos.STATUS, qos.STATE):
                self._subscribe(Bool, stops.estop_topic, self._on_estop, profile)
        if self._wrench is not None:
            self._subscribe(WrenchStamped, stops.wrench_topic, self._on_wrench, qos.WRENCH)
        if self._own:
            steady = RclpyClock(clock_type=ClockType.STEADY_TIME)
            look = self._callbacks.wrap('look_around', self._look_around)
            timer = node.create_timer(_LOOK_AROUND_S, look, clock=steady)
            self._handles.append(lambda: node.destroy_timer(timer))

    def close(self) -> None:
        """Stop listening."""
        for destroy in self._handles:
            destroy()
        self._handles.clear()

    def values(self, monotonic_ns: int) -> dict[str, object]:
        """Return what there is to say on /diagnostics."""
        values: dict[str, object] = {}
        if self._line is not None:
            values['estop_age_s'] = self._line.age_s(monotonic_ns)
        if self._wrench is not None:
            values['wrench_age_s'] = self._wrench.age_s(monotonic_ns)
        troubles = [guard.trouble(monotonic_ns) for guard in self.guards]
        values['stops'] = ' '.join(str(error) for error in troubles if error) or 'none'
        return values

    def _subscribe(self, kind: type, topic: str, callback: Callable[[Any], None], qos: Any) -> None:
        node, guarded = self._node, self._callbacks.wrap(topic, callback)
        subscription = node.create_subscription(kind, topic, guarded, qos)
        self._handles.append(lambda: node.destroy_subscription(subscription))

    def _on_estop(self, message: Bool) -> None:
        assert self._line is not None
        self._line.heard(bool(message.data), self._clock.monotonic_ns())
        if message.data:
            self._emergency_stop(f'{self._profile.stops.estop_topic} says so.')

    def _on_wrench(self, message: WrenchStamped) -> None:
        assert self._wrench is not None
        force, torque = message.wrench.force, message.wrench.torque
        self._wrench.heard(
            [force.x, force.y, force.z],
            [torque.x, torque.y, torque.z],
            self._clock.monotonic_ns(),
        )

    def _look_around(self) -> None:
        self._speaker.heard(
            {
                topic: self._node.count_publishers(topic) - count
                for topic, count in self._own.items()
            }
        )
