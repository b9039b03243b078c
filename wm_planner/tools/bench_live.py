# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of the live graph, measured from outside by when messages left their senders.

Each message carries the wall time at which its sender published it, so what this process does with
it later does not count, beyond the processor time that listening takes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
import time
from typing import TYPE_CHECKING, Any

from geometry_msgs.msg import PoseStamped
import numpy as np
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import MessageInfo
from rosgraph_msgs.msg import Clock

from wm_planner.core.errors import NoDataError
from wm_planner.core.profile import Topics
from wm_planner.ros.stamps import stamp_to_ns
from wm_planner.tools.live_graph import GraphConfig, LiveGraph
from wm_planner.tools.measurement import Measurement
from wm_planner_msgs.msg import PlanDiagnostics

if TYPE_CHECKING:
    from rclpy.node import Node

COMMAND_RATE_HZ = 50.0
_STEP_S = 0.25  # simulated
_LISTENER_QOS = QoSProfile(depth=200, reliability=ReliabilityPolicy.BEST_EFFORT)
_ONE_CAMERA: Mapping[str, Mapping[str, Any]] = {
    'sim_bridge': {'exterior_rate_hz': 10.0, 'wrist_rate_hz': 0.0}
}
_SIZE = {'image_width': '128', 'image_height': '128'}


@dataclass
class Listener:
    """Wall times of publication [ns] of what the benchmark is about. The spinning thread's."""

    targets_ns: list[int] = field(default_factory=list)
    clock: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=100_000))
    plans: list[tuple[int, int]] = field(default_factory=list)  # frame stamp, publication

    def attach(self, node: Node, planner: str = '/wm_planner') -> None:
        """Subscribe."""
        for kind, topic, take in (
            (PoseStamped, Topics().target_pose, self._on_target),
            (Clock, '/clock', self._on_clock),
            (PlanDiagnostics, f'{planner}/plan_diagnostics', self._on_plan),
        ):
            node.create_subscription(kind, topic, take, _LISTENER_QOS)

    def clear(self) -> None:
        """Forget what was heard."""
        self.targets_ns.clear()
        self.clock.clear()
        self.plans.clear()

    def jitter_ms(self) -> list[float]:
        """Return how far each interval between targets is from the period [ms]."""
        intervals = np.diff(np.sort(self.targets_ns)) * 1e-6
        return [abs(float(interval) - 1e3 / COMMAND_RATE_HZ) for interval in intervals]

    def target_rates_hz(self) -> list[float]:
        """Return the rate of targets in each whole second."""
        times = np.sort(self.targets_ns)
        seconds = ((times - times[0]) // 1_000_000_000) if len(times) else np.zeros(0, int)
        return [float(count) for count in np.bincount(seconds)[:-1]] if len(seconds) else []

    def capture_to_command_ms(self) -> list[float]:
        """Return wall time from a frame's acquisition to the first target planned from it [ms].

        The simulator publishes /clock with the frame's stamp right before it renders the frame. The
        planner sends the first target of a plan, and then publishes the plan, in one control tick.
        """
        acquired = dict(self.clock)
        targets = np.sort(self.targets_ns)
        found = []
        for frame_stamp_ns, published_ns in self.plans:
            index = int(np.searchsorted(targets, published_ns)) - 1
            if frame_stamp_ns in acquired and index >= 0:
                found.append(float(targets[index] - acquired[frame_stamp_ns]) * 1e-6)
        return found

    def realtime_factors(self) -> list[float]:
        """Return simulated over wall time of each whole second of wall time."""
        if len(self.clock) < 2:
            return []
        factors = []
        first_sim_ns, first_wall_ns = self.clock[0]
        for sim_ns, wall_ns in self.clock:
            if wall_ns - first_wall_ns >= 1_000_000_000:
                factors.append((sim_ns - first_sim_ns) / (wall_ns - first_wall_ns))
                first_sim_ns, first_wall_ns = sim_ns, wall_ns
        return factors

    def _on_target(self, _message: PoseStamped, info: MessageInfo) -> None:
        self.targets_ns.append(info['source_timestamp'])

    def _on_clock(self, message: Clock, info: MessageInfo) -> None:
        self.clock.append((stamp_to_ns(message.clock), info['source_timestamp']))

    def _on_plan(self, message: PlanDiagnostics, info: MessageInfo) -> None:
        self.plans.append((stamp_to_ns(message.header.stamp), info['source_timestamp']))


def measure_free_run(seconds: float) -> list[Measurement]:
    """Let the simulator run as fast as it can beside an idle planner, and compare the clocks."""
    config = GraphConfig(arguments={**_SIZE, 'realtime_factor': '0'}, parameters=_ONE_CAMERA)
    with LiveGraph(config) as graph:
        graph.wait_until_ready()
        listener = Listener()
        listener.attach(graph.client.node)
        _listen(graph, listener, seconds)
    return [
        Measurement(
            name='free_realtime_factor',
            what='simulated over wall time as fast as it can, one 128x128 camera at 10 Hz, planner '
            'idle',
            unit='x',
            values=listener.realtime_factors(),
        )
    ]


def measure_loop(seconds: float) -> list[Measurement]:
    """Let the planner plan and drive at real time, and measure what comes out of it."""
    config = GraphConfig(arguments={**_SIZE, 'seed': '0'}, parameters=_ONE_CAMERA)
    with LiveGraph(config) as graph:
        graph.wait_until_ready()
        listener = Listener()
        listener.attach(graph.client.node)
        goals = graph.begin_episode('reach', seed=0, episode=0).goals
        graph.client.enable()
        _listen(graph, listener, 1.0)
        listener.clear()
        graph.client.reach_goal(
            goals,
            steps_per_goal=[max(2, round(seconds / (1.6 * _STEP_S)))],
            tolerance=-1.0,
            timeout_s=60.0 + 20.0 * seconds,
        )
    conditions = 'while planning'
    return [
        Measurement(
            name='command_rate',
            what=f'targets in each second {conditions}',
            unit='Hz',
            values=listener.target_rates_hz(),
        ),
        Measurement(
            name='command_jitter',
            what=f'interval between targets less {1e3 / COMMAND_RATE_HZ:.0f} ms, {conditions}',
            unit='ms',
            values=listener.jitter_ms(),
        ),
        Measurement(
            name='capture_to_command',
            what='frame acquired to first target planned from it',
            unit='ms',
            values=listener.capture_to_command_ms(),
        ),
        Measurement(
            name='realtime_factor',
            what=f'simulated over wall time {conditions}, one 128x128 camera at 10 Hz, 1 asked for',
            unit='x',
            values=listener.realtime_factors(),
        ),
    ]


def _listen(graph: LiveGraph, listener: Listener, seconds: float) -> None:
    """Let messages in for a while; raises NoDataError if time stands still."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        graph.client.spin_once(0.01)
    if not listener.clock:
        raise NoDataError('nothing has come on /clock; valid: a running simulator.')
