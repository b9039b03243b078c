# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Endurance: goals one after another over the live graph, and what changes in the meantime.

After each goal, and after ``~/hold`` in the middle of every fifth, the arm must stand: a target
that moves more than a tenth of a second after the planner said that it holds is a missed hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
import threading
import time
from typing import TYPE_CHECKING, Any

from geometry_msgs.msg import PoseStamped
import numpy as np
from std_srvs.srv import Trigger

from wm_planner.core.errors import NoDataError, WmPlannerError
from wm_planner.core.profile import Topics
from wm_planner.evaluation.records import TERMINATIONS
from wm_planner.ros import qos
from wm_planner.ros.stamps import stamp_to_ns
from wm_planner.tools.bench_live import Listener
from wm_planner.tools.live_graph import GraphConfig, LiveGraph
from wm_planner_msgs.msg import PlannerStatus

if TYPE_CHECKING:
    from rclpy.node import Node

HOLD_S = 0.1
_WATCH_S = 0.4  # simulated, for which the arm is watched after it should stand
_MOVED_M = 0.0005
_STEPS = 12
_HOLD_EVERY = 5
_SAMPLE_S = 2.0
_UNDER_WAY = (PlannerStatus.PLANNING, PlannerStatus.EXECUTING, PlannerStatus.WAITING_FOR_DATA)


@dataclass
class _Wire:
    """Targets and states as they come, by the planner's clock [ns]. The spinning thread's."""

    targets: list[tuple[int, np.ndarray]] = field(default_factory=list)
    state: int = PlannerStatus.INACTIVE
    stands_since_ns: int = 0

    def attach(self, node: Node) -> None:
        node.create_subscription(PoseStamped, Topics().target_pose, self._on_target, qos.STATUS)
        node.create_subscription(PlannerStatus, '/wm_planner/status', self._on_status, qos.STATUS)

    def last_move_ns(self) -> int:
        """Return when a target last differed from the one before."""
        moves = [
            after[0]
            for before, after in zip(self.targets, self.targets[1:], strict=False)
            if float(np.linalg.norm(after[1] - before[1])) > _MOVED_M
        ]
        return max(moves, default=0)

    def _on_target(self, message: PoseStamped) -> None:
        point = message.pose.position
        place = np.array([point.x, point.y, point.z])
        self.targets.append((stamp_to_ns(message.header.stamp), place))

    def _on_status(self, message: PlannerStatus) -> None:
        was_under_way = self.state in _UNDER_WAY
        self.state = message.state
        if was_under_way and message.state not in _UNDER_WAY:
            self.stands_since_ns = stamp_to_ns(message.header.stamp)


class _Memory:
    """Samples the resident memory of processes [MiB] in a thread of its own; a context manager."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self.samples: dict[str, list[tuple[float, float]]] = {name: [] for name in pids}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name='memory', daemon=True)

    def __enter__(self) -> _Memory:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_SAMPLE_S):
            for name, pid in self._pids.items():
                self.samples[name].append((time.monotonic(), resident_mib(pid)))


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process [MiB], NaN once it has ended."""
    try:
        pages = int(Path(f'/proc/{pid}/statm').read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return float('nan')
    return pages * 4096 / 2**20


def run_endurance(
    minutes: float, *, seed: int = 0, on_minute: Callable[[dict[str, Any]], None] | None = None
) -> dict[str, Any]:
    """Drive for ``minutes`` of wall time; return counts, memory and rates, minute by minute.

    Raises what the graph raises; a goal that does not end REACHED is counted and not an error.
    """
    with LiveGraph(GraphConfig(arguments={'seed': str(seed)})) as graph:
        graph.wait_until_ready()
        run = _Run(graph, seed)
        with _Memory(graph.pids()) as memory:
            end_s = time.monotonic() + 60.0 * minutes
            while time.monotonic() < end_s:
                run.one_goal()
                run.close_minutes(memory, on_minute)
    return run.summary(memory)


class _Run:
    """The goals of one run and what is noted about them."""

    def __init__(self, graph: LiveGraph, seed: int) -> None:
        self._graph = graph
        self._seed = seed
        self._wire, self._listener = _Wire(), Listener()
        self._wire.attach(graph.client.node)
        self._listener.attach(graph.client.node)
        self._holder = graph.client.node.create_client(Trigger, '/wm_planner/hold')
        self._minute_s = time.monotonic()
        self._goals_before = 0
        self.goals = self.held = self.missed = self.errors = 0
        self.ends: dict[str, int] = {}
        self.troubles: list[str] = []
        self.minutes: list[dict[str, Any]] = []

    def one_goal(self) -> None:
        """Start an episode, drive, and see that the arm stands after it."""
        graph, client = self._graph, self._graph.client
        is_held = self.goals % _HOLD_EVERY == _HOLD_EVERY - 1
        asked: list[Any] = []

        def hold(feedback: Any) -> None:
            if is_held and not asked and feedback.steps_executed >= 2:
                asked.append(self._holder.call_async(Trigger.Request()))

        goals = graph.begin_episode('reach', seed=self._seed, episode=self.goals).goals
        self._wire.targets.clear()
        client.enable()
        try:
            result = client.reach_goal(
                goals, steps_per_goal=[_STEPS] * len(goals), timeout_s=120.0, on_feedback=hold
            )
        except WmPlannerError as error:
            self.errors += 1
            self.troubles.append(f'goal {self.goals}: {error}')
        else:
            name = TERMINATIONS[result.termination]
            self.ends[name] = self.ends.get(name, 0) + 1
            if result.error_code and not asked:
                self.troubles.append(f'goal {self.goals}: [{result.error_code}] {result.message}')
        self._watch_hold()
        self.goals += 1
        self.held += bool(asked)

    def _watch_hold(self) -> None:
        """Let a while pass in which nothing may move."""
        client, wire = self._graph.client, self._wire
        client.spin_until(
            lambda: wire.state not in _UNDER_WAY,
            lambda: NoDataError('the planner does not come to rest.'),
            10.0,
        )
        until_ns = wire.stands_since_ns + round((HOLD_S + _WATCH_S) * 1e9)
        client.spin_until(
            lambda: bool(wire.targets) and wire.targets[-1][0] >= until_ns,
            lambda: NoDataError(f'no more targets come; the planner says: {client.status}.'),
            15.0,
        )
        if wire.last_move_ns() > wire.stands_since_ns + round(HOLD_S * 1e9):
            self.missed += 1

    def close_minutes(
        self, memory: _Memory, on_minute: Callable[[dict[str, Any]], None] | None
    ) -> None:
        """Sum up the minute that is over, if one is."""
        seconds = time.monotonic() - self._minute_s
        if seconds < 60.0:
            return
        listener = self._listener
        row = {
            'minute': len(self.minutes) + 1,
            'goals': self.goals - self._goals_before,
            'missed_holds': self.missed,
            'target_rate_hz': _median(listener.target_rates_hz()),
            'capture_to_command_ms': _median(listener.capture_to_command_ms()),
            'realtime_factor': _median(listener.realtime_factors()),
            **{
                f'{name}_mib': _median([mib for at, mib in values if at >= self._minute_s])
                for name, values in memory.samples.items()
            },
        }
        self.minutes.append(row)
        listener.clear()
        self._minute_s, self._goals_before = time.monotonic(), self.goals
        if on_minute is not None:
            on_minute(row)

    def summary(self, memory: _Memory) -> dict[str, Any]:
        """Return the whole run; growth and drift are of the last fifth over the second fifth."""
        result: dict[str, Any] = {
            'goals': self.goals,
            'ends': self.ends,
            'errors': self.errors,
            'troubles': self.troubles,
            'held_in_motion': self.held,
            'missed_holds': self.missed,
            'minutes': self.minutes,
        }
        if len(self.minutes) < 5:
            return result
        fifth = len(self.minutes) // 5
        early, late = self.minutes[fifth : 2 * fifth], self.minutes[-fifth:]
        for key in self.minutes[0]:
            if key.endswith(('_mib', '_hz', '_ms', '_factor')):
                before = _median([row[key] for row in early])
                after = _median([row[key] for row in late])
                result[f'change_of_{key}'] = (after - before) / before
        return result


def _median(values: list[float]) -> float:
    return float(np.median(values)) if values else float('nan')
