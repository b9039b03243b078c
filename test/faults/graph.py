# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The live graph that faults are injected into: bridge, planner and recorder as processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
import os
from pathlib import Path
import signal
from types import TracebackType
from typing import Any

import numpy as np
from rclpy.action import ActionClient

from fakes.processes import children_of, is_running
from fakes.waiting import wait_for
from faults.faulty_planner import FILE_VARIABLE
from faults.injector import ESTOP_TOPIC, RAW, STREAMS, WRENCH_TOPIC, Injector
from wm_planner.bringup import NodeStart, profile
from wm_planner.core.errors import WmPlannerError
from wm_planner.core.paths import robot_profile_file
from wm_planner.core.profile import RobotProfile
from wm_planner.ros.client import PlannerClient
from wm_planner.ros.conversions import image_to_message
from wm_planner.tools.process_group import ProcessGroup
from wm_planner_msgs.action import ReachGoal
from wm_planner_msgs.msg import PlannerStatus

ROOT = Path(__file__).resolve().parents[2]
MOVED_M = 0.0005
BOX_TOLERANCE_M = 1e-6
IMAGE_AGE_S, STATE_AGE_S, PLANNER_TIMEOUT_S = 0.4, 0.2, 4.0
HEARTBEAT_S, WRENCH_S = 2.0, 1.5  # what a machine keeps that others use too
_GOALS = 40
_WAY_M = 0.03
_TICK_M = 0.025  # the profile's speed limit and a little
_STEPS = 5
_READY_S = 120.0

UNDER_WAY = (PlannerStatus.PLANNING, PlannerStatus.EXECUTING)

PARAMETERS: dict[str, dict[str, Any]] = {
    'sim_bridge': {
        'image_width': 128,
        'image_height': 128,
        'wrist_rate_hz': 0.0,
        'clock_rate_hz': 100.0,
    },
    'wm_planner': {
        'num_threads': 1,
        'executor.execute_steps': 2,
        'buffer.max_image_age_s': IMAGE_AGE_S,
        'buffer.max_state_age_s': STATE_AGE_S,
        'controller.planner_timeout_s': PLANNER_TIMEOUT_S,
        'controller.stale_timeout_s': 30.0,
        'profile.stops.estop_topic': ESTOP_TOPIC,
        'profile.stops.estop_heartbeat_s': HEARTBEAT_S,
        'profile.stops.wrench_topic': WRENCH_TOPIC,
        'profile.stops.wrench_timeout_s': WRENCH_S,
    },
    'recorder': {'bag_name': 'bag'},
}


class FaultGraph:
    """The processes, the injector between them, and a client. A context manager.

    ``ready`` brings everything back to an arm that moves from goal to goal without end; it is the
    proof that the graph has recovered from whatever came before.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fault_file = folder / 'fault'
        self.robot = RobotProfile.from_yaml(robot_profile_file('panda_sim'))
        environment = profile('sim').missing_environment()
        os.environ.update(environment)
        paths = [str(ROOT / 'test'), os.environ.get('PYTHONPATH', '')]
        self._environment = {
            'PYTHONPATH': os.pathsep.join(paths),
            FILE_VARIABLE: str(self.fault_file),
        }
        self.groups: dict[str, ProcessGroup] = {}
        self.pids: set[int] = set()
        self.lines: list[str] = []

    def __enter__(self) -> FaultGraph:
        for name in ('sim_bridge', 'wm_planner', 'recorder'):
            self.start(name)
        self.injector = Injector()
        self.client = PlannerClient()
        self._reach = ActionClient(self.client.node, ReachGoal, '/wm_planner/reach_goal')
        self.results: list[ReachGoal.Result] = []
        self.client.wait_until_active(_READY_S)
        self.client.wait_for_data(_READY_S)
        start = self.client.reset_episode('reach', seed=3, episode=0)
        home = self.client.reset_episode('reach', seed=3, episode=1)
        self.goals = [start.goals[-1], home.goals[-1]]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._reach.destroy()
        self.client.close()
        for group in self.groups.values():
            group.stop()
        self.injector.close()

    # -- processes -------------------------------------------------------------------------------

    def start(self, name: str, **parameters: Any) -> None:
        """Start a node, again if it was killed."""
        node = self._node('recorder' if name.startswith('recorder') else name)
        node = replace(node, name=name, parameters={**node.parameters, **parameters})
        self.groups[name] = ProcessGroup(
            [node], environment=self._environment, on_line=self._on_line
        )
        self.groups[name].start()
        self.pids.add(self.groups[name].pid(name))

    def pid(self, name: str) -> int:
        return self.groups[name].pid(name)

    def kill(self, name: str) -> None:
        """Kill a node as the kernel does when memory runs out."""
        self.pids.update(children_of(self.pid(name)))
        os.kill(self.pid(name), signal.SIGKILL)
        wait_for(lambda: not is_running(self.pid(name)) or self.groups[name].ended(), what='death')

    def orphans(self) -> list[int]:
        """Return which of the processes ever started still run."""
        return [pid for pid in self.pids if is_running(pid)]

    def remember_children(self) -> None:
        """Note what the nodes have started themselves, to be looked for at the end."""
        for name, group in self.groups.items():
            self.pids.update(children_of(group.pid(name)))

    def _node(self, name: str) -> NodeStart:
        values = {'record': 'true', 'bag_dir': str(self.folder)}
        node = next(n for n in profile('sim').resolve(values) if n.name == name)
        node = replace(node, parameters={**node.parameters, **PARAMETERS[name]})
        if name == 'sim_bridge':
            raw = tuple((topic, RAW + topic) for _, topic, _ in STREAMS.values())
            return replace(node, remappings=raw)
        if name == 'wm_planner':
            return replace(node, module='faults.faulty_planner')
        return node

    def _on_line(self, name: str, line: str) -> None:
        self.lines.append(f'[{name}] {line}')

    # -- the arm ---------------------------------------------------------------------------------

    def wait(self, claim: Callable[[], object], what: str, timeout_s: float = 20.0) -> None:
        """Spin the client until ``claim()``; what the nodes said last is printed if it fails."""
        try:
            wait_for(
                claim,
                timeout_s=timeout_s,
                what=what,
                poll=lambda: self.client.spin_once(0.01),
            )
        except AssertionError:
            print('\n'.join([*self.lines[-30:], f'last status: {self.status}']))
            raise

    @property
    def status(self) -> PlannerStatus | None:
        statuses = self.injector.statuses
        return statuses[-1] if statuses else None

    def ready(self, timeout_s: float = 60.0) -> None:
        """Take every fault away, and wait until the arm moves, after a reset where it must be."""
        self.clear()
        has_moved = self._movement()
        self.wait(lambda: has_moved() or not self._is_under_way(), 'the arm under way, or its end')
        if has_moved():
            return
        self.wait(self._accepts(self.client.reset), 'the reset', timeout_s)
        self.wait(self._accepts(self.client.enable), 'motion enabled', timeout_s)
        self.set_off()

    def clear(self) -> None:
        """Take every fault away."""
        injector = self.injector
        injector.change.clear()
        injector.is_pressed, injector.wrench = False, (1.0, 0.1)
        self.fault_file.unlink(missing_ok=True)

    def set_off(self) -> None:
        """Ask for a way that does not end, and wait until the arm is on it."""
        pictures = [image_to_message(goal.image) for goal in self.goals]
        request = ReachGoal.Goal(
            goal_images=pictures * (_GOALS // 2),
            steps_per_goal=[_STEPS] * _GOALS,
            tolerance=-1.0,
        )
        sent: list[Any] = []

        def is_accepted() -> bool:
            # Refused while no frame has come since the clock jumped (201): asked again.
            if not sent or (sent[-1].done() and not sent[-1].result().accepted):
                sent.append(self._reach.send_goal_async(request))
            return bool(sent[-1].done() and sent[-1].result().accepted)

        self.wait(is_accepted, 'the goal accepted')
        answer = sent[-1].result().get_result_async()
        answer.add_done_callback(lambda done: self.results.append(done.result().result))
        self.wait_until_moving()

    def wait_until_moving(self, timeout_s: float = 30.0) -> None:
        """Wait until the targets of from now on have gone a few centimetres, tick by tick.

        A hold that is taken anew where the arm is now (after a jump of the clock) is one large
        step, and no way.
        """
        self.wait(self._movement(), 'the arm under way', timeout_s)

    def _movement(self) -> Callable[[], bool]:
        first = len(self.injector.commands)

        def has_moved() -> bool:
            steps = [moved_m(*pair) for pair in pairwise(self.injector.commands[first:])]
            return sum(step for step in steps if step < _TICK_M) > _WAY_M

        return has_moved

    def _is_under_way(self) -> bool:
        status = self.status
        return status is not None and status.state in UNDER_WAY and status.error_code == 0

    def wait_until_executing(self) -> None:
        """Wait for the middle of a step, so that the fault comes while the arm moves."""
        commands = self.injector.commands

        def is_moving() -> bool:
            return len(commands) > 2 and moved_m(commands[-2], commands[-1]) > MOVED_M

        self.wait(is_moving, 'the arm moving')

    def _accepts(self, ask: Callable[[], None]) -> Callable[[], bool]:
        def is_accepted() -> bool:
            try:
                ask()
            except WmPlannerError:
                return False
            return True

        return is_accepted

    def outside_m(self) -> float:
        """Return how far any command so far was outside the workspace box [m]."""
        low, high = self.robot.workspace
        places = np.array([command.position_m for command in self.injector.commands])
        return float(np.max(np.maximum(low - places, places - high), initial=0.0))


def moved_m(before: Any, after: Any) -> float:
    """Return how far one target is from the one before [m]."""
    return float(np.linalg.norm(after.position_m - before.position_m))
