# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""A live planner node with a loopback robot, and a client that has seen every status."""

from __future__ import annotations

from collections.abc import Callable
import time
from types import TracebackType
from typing import Any

import numpy as np
import rclpy
from rclpy.parameter import Parameter

from fakes.loopback_robot import LoopbackRobot, Spinner
from fakes.waiting import wait_for
from wm_planner.core.types import Goal
from wm_planner.ros import qos
from wm_planner.ros.client import PlannerClient
from wm_planner.ros.planner_config import load_planner
from wm_planner.ros.planner_node import PlannerNode
from wm_planner_msgs.msg import PlannerStatus

QUICK = {
    'model': 'point_mass',
    'num_threads': 1,
    'control_rate_hz': 25.0,
    'world_model.step_duration_s': 0.1,
    'buffer.interval_tolerance_s': 0.04,
    'buffer.max_image_age_s': 1.0,
    'buffer.max_state_age_s': 1.0,
    'buffer.stream_timeout_s': 1.2,
    'safety.max_state_age_s': 2.0,
    'executor.settle_s': 0.0,
    'stop_timeout_s': 10.0,
}
"""Short steps, so that a test takes seconds; ages that a busy machine keeps."""

SLOW_ARM = {**QUICK, 'world_model.max_delta_m': 0.008}
"""An arm that stays under way: it takes many steps to the goals that tests use."""


class PlannerHarness:
    """The planner node and a robot, each spun by its own thread; the client by the test.

    A context manager. ``statuses`` holds every PlannerStatus since the start; ``client`` is spun
    inside the waits.
    """

    def __init__(
        self,
        parameters: dict[str, Any],
        *,
        load: Any = load_planner,
        is_active: bool = True,
        robot: type[LoopbackRobot] = LoopbackRobot,
        has_robot: bool = True,
    ) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        clock = [p for p in overrides if p.name == 'use_sim_time']
        self.robot = robot(self.context, parameter_overrides=clock)
        try:
            self.planner = PlannerNode(
                context=self.context, parameter_overrides=overrides, load=load
            )
        except BaseException:
            self.robot.node.destroy_node()
            self.context.shutdown()  # destroys what there is of the planner; of two nodes, only one
            raise
        if not has_robot:
            self.robot.is_running = False
        self.spinners = [
            Spinner(self.context, self.robot.node),
            Spinner(self.context, self.planner),
        ]
        self.client = PlannerClient()
        self.statuses: list[PlannerStatus] = []
        self.client.node.create_subscription(
            PlannerStatus, '/wm_planner/status', self.statuses.append, qos.STATUS
        )
        if is_active:
            self.client.wait_until_active(30.0)
            self.client.wait_for_data(10.0)

    def __enter__(self) -> PlannerHarness:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop everything; nothing may have left a spin loop."""
        self.client.close()
        for spinner in self.spinners:
            spinner.stop()
        errors = [error for spinner in self.spinners for error in spinner.errors]
        is_stopped = self.planner.close()
        self.planner.destroy_node()
        self.robot.node.destroy_node()
        rclpy.try_shutdown(context=self.context)
        assert errors == [], 'an exception left spin()'
        assert is_stopped, 'the planning thread did not stop'

    @property
    def status(self) -> PlannerStatus:
        """The newest status."""
        return self.statuses[-1]

    def wait(self, claim: Callable[[], object], what: str, timeout_s: float = 20.0) -> None:
        """Spin the client until ``claim()``."""
        wait_for(claim, timeout_s=timeout_s, what=what, poll=lambda: self.client.spin_once(0.02))

    def wait_for_status(
        self, claim: Callable[[PlannerStatus], object], what: str, timeout_s: float = 20.0
    ) -> PlannerStatus:
        """Return the first status from now on of which ``claim`` is true."""
        seen = len(self.statuses)
        found: list[PlannerStatus] = []

        def look() -> bool:
            nonlocal seen
            new, seen = self.statuses[seen:], len(self.statuses)
            found.extend(status for status in new if claim(status))
            return bool(found)

        self.wait(look, f'{what} (last: {self.statuses[-1] if self.statuses else None})', timeout_s)
        return found[0]

    def goal(self, position_m: Any, closedness: float | None = None, name: str = 'goal') -> Goal:
        """Return a goal with the tool there."""
        image = self.robot.picture(position_m, closedness or 0.0)
        return Goal(goal_id=name, image=image, gripper_closedness=closedness)

    def set_off(self) -> None:
        """Set a goal half the workspace away, enable motion and wait until the arm moves."""
        x, y, z = self.robot.position_m
        far = np.array([0.36 if x > 0.5 else 0.62, -0.2 if y > 0.0 else 0.2, z])
        goal = self.goal(far)
        self.client.enable()
        self.client.set_goal_image(goal.image, goal_id='far')
        self.wait_for_status(
            lambda s: s.goal_id == 'far' and s.steps_executed >= 1, 'the arm is under way'
        )


def held_still(harness: PlannerHarness, *, statuses: int = 12) -> float:
    """Return how far the arm is moved [m] while ``statuses`` more arrive."""
    harness.wait_for_status(lambda _: True, 'a status')  # what was under way has arrived by now
    start_s, count = time.monotonic(), len(harness.statuses)
    place = np.array(harness.robot.position_m)
    number = len(harness.robot.targets)
    harness.wait(lambda: len(harness.statuses) >= count + statuses, 'more statuses')
    assert time.monotonic() > start_s
    moved = [float(np.linalg.norm(p - place)) for _, p, _ in harness.robot.targets[number:]]
    return max(moved, default=0.0)
