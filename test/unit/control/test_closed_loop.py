# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""From picture to motion and back in one process: the whole planner but ROS."""

from __future__ import annotations

import numpy as np
import pytest

from fakes.clock import ManualClock
from fakes.loopback_env import DOWN_XYZW, LoopbackEnv, picture_of
from fakes.values import a_profile, a_state
from fakes.waiting import wait_for
from wm_planner.control.controller import Controller, ControllerConfig, Termination
from wm_planner.control.executor import ExecutorConfig, PlanExecutor
from wm_planner.control.frame_buffer import FrameBuffer, FrameBufferConfig
from wm_planner.control.safety import SafetyConfig, SafetyFilter
from wm_planner.control.worker import PlanningWorker
from wm_planner.core.geometry import euler_to_quaternion, rotation_angle
from wm_planner.core.types import Goal
from wm_planner.factory import make_planner

TICK_S = 0.02
IMAGE_EVERY_TICKS = 5  # 10 Hz


class ClosedLoop:
    """LoopbackEnv, a controller and a planning thread that plans on the point-mass model."""

    def __init__(self, planner='cem'):
        self.clock = ManualClock()
        self.env = LoopbackEnv()
        self.env.time_ns = self.clock.now_ns()
        self.env.place((0.4, -0.2, 0.2))
        self.worker = PlanningWorker(lambda: make_planner(planner, 'point_mass', device='cpu'))
        info = self.worker.start(60.0)
        config = FrameBufferConfig(step_interval_s=info.action_spec.step_duration_s)
        self.buffer = FrameBuffer(config, context_frames=info.context_frames)
        safety = SafetyFilter(a_profile(), SafetyConfig())
        self.controller = Controller(
            ControllerConfig(),
            buffer=self.buffer,
            worker=self.worker,
            executor=PlanExecutor(ExecutorConfig(), safety=safety),
            safety=safety,
            sink=self.env,
            goal_tolerance=info.goal_tolerance,
        )
        self._ticks = 0
        self._asked = 0

    def tick(self):
        """Let time pass, but not while the thread plans: a slow machine is no matter."""
        wait_for(lambda: self.worker.busy_since_ns() is None, timeout_s=60.0, interval_s=0.001)
        self.clock.advance(TICK_S)
        self.env.advance(TICK_S)
        times = {'now_ns': self.clock.now_ns(), 'monotonic_ns': self.clock.monotonic_ns()}
        if self._ticks % IMAGE_EVERY_TICKS == 0:
            self.buffer.push_image(self.env.time_ns, self.env.image(), **times)
        self.buffer.push_state(self.env.state(), **times)
        self._ticks += 1
        return self.controller.tick(times['now_ns'], times['monotonic_ns'])

    def goal(self, position, *, yaw=0.0, closedness=None):
        quaternion = euler_to_quaternion([np.pi, 0.0, yaw])
        there = a_state(position, quaternion_xyzw=quaternion, closedness=closedness or 0.0)
        image = picture_of(self.env.renderer, there)
        return Goal(goal_id=f'{position}', image=image, gripper_closedness=closedness)

    def run(self, *goals, at_most, **arguments):
        self.controller.enable(True)
        self.controller.set_goals(goals, now_ns=self.clock.now_ns(), **arguments)
        for tick in range(at_most):
            status = self.tick()
            if status.termination is not None:
                return status, tick
        raise AssertionError(f'the goals did not end within {at_most} ticks: {status}')

    def distance_m(self, position):
        return float(np.linalg.norm(self.env.state().position_m - np.array(position)))


@pytest.fixture
def make():
    loops = []

    def build(**arguments):
        loops.append(ClosedLoop(**arguments))
        return loops[-1]

    yield build
    for loop in loops:
        loop.controller.shutdown()
        assert loop.worker.stop(30.0)


def test_goal_image_is_reached(make) -> None:
    """At most 30 cm an axis in steps of 6 cm: 5 steps, then two looks."""
    loop = make()
    there = (0.6, 0.1, 0.2)
    status, ticks = loop.run(loop.goal(there, yaw=0.4), at_most=400)
    assert status.termination is Termination.REACHED
    assert loop.distance_m(there) < 0.02
    expected = euler_to_quaternion([np.pi, 0.0, 0.4])
    assert float(rotation_angle(loop.env.state().quaternion_xyzw, expected)) < 0.2
    assert status.commands_refused == 0
    assert 5 <= status.steps_executed <= 12


def test_goals_are_reached_in_order_with_the_gripper_they_were_taken_with(make) -> None:
    loop = make()
    first, second = (0.45, -0.1, 0.3), (0.5, 0.0, 0.2)
    goals = (loop.goal(first, closedness=0.0), loop.goal(second, closedness=1.0))
    status, _ = loop.run(*goals, at_most=600)
    assert status.termination is Termination.REACHED
    assert len(status.goal_energies) == 2
    assert loop.distance_m(second) < 0.02
    assert loop.env.state().gripper_closedness == pytest.approx(1.0)


def test_noop_policy_reaches_nothing(make) -> None:
    """Else the goals above would prove nothing."""
    loop = make(planner='noop')
    status, _ = loop.run(loop.goal((0.6, 0.1, 0.2)), at_most=600, steps_per_goal=(8,))
    assert status.termination is Termination.TIMEOUT
    assert status.goal_steps == (8,)
    assert loop.env.state().position_m == pytest.approx((0.4, -0.2, 0.2), abs=1e-6)
    assert loop.env.state().quaternion_xyzw == pytest.approx(DOWN_XYZW, abs=1e-6)


def test_goal_replaced_on_the_way_is_the_one_that_is_reached(make) -> None:
    loop = make()
    loop.controller.enable(True)
    loop.controller.set_goals([loop.goal((0.6, 0.2, 0.4))], now_ns=loop.clock.now_ns())
    for _ in range(40):
        loop.tick()
    there = (0.45, -0.3, 0.15)
    status, _ = loop.run(loop.goal(there), at_most=500)
    assert status.termination is Termination.REACHED
    assert loop.distance_m(there) < 0.02
