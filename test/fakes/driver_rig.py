# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Controller, safety filter and a real sink against a stand-in driver, over a real rclpy graph.

Time is the test's: each tick is 20 ms of it, and the next begins when the messages of this one have
arrived, however long that takes. So the stamps and timeouts of drivers are those of a 50 Hz loop on
any machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
import itertools
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor

from fakes.clock import ManualClock
from fakes.controllers import CONTROLLERS, Controller
from fakes.kinematic_arm import panda_kinematics, panda_profile
from fakes.planners import FakePlanner, InlineWorker
from fakes.values import a_goal, a_plan, an_image
from fakes.waiting import wait_for
from wm_planner.control.controller import Controller as ArmController
from wm_planner.control.controller import ControllerConfig, ControllerStatus
from wm_planner.control.executor import ExecutorConfig, PlanExecutor
from wm_planner.control.frame_buffer import FrameBuffer, FrameBufferConfig
from wm_planner.control.safety import SafetyConfig, SafetyFilter
from wm_planner.core.profile import RobotProfile, Topics
from wm_planner.ros.ingest import Ingest
from wm_planner.ros.sinks import commands_joints, make_sink

TICK_S = 0.02
_numbers = itertools.count()
WAYPOINTS = np.array(
    [[0.55, 0.12, 0.24], [0.42, 0.15, 0.12], [0.42, -0.15, 0.26], [0.58, -0.10, 0.10]]
)
"""A tour through the workspace; a quarter of a second for each 6 cm."""


class TourPlanner(FakePlanner):
    """Goes round the waypoints, turning the tool and closing the gripper on half of the way."""

    def __init__(self) -> None:
        super().__init__(self._step)
        self._leg = 0

    def _step(self, observation: Any, goal: Any) -> Any:
        state = observation.state
        way = WAYPOINTS[self._leg] - state.position_m
        if np.linalg.norm(way) < 0.03:
            self._leg = (self._leg + 1) % len(WAYPOINTS)
            way = WAYPOINTS[self._leg] - state.position_m
        move = way * min(1.0, 0.055 / float(np.linalg.norm(way)))
        turn = 0.08 if self._leg % 2 else -0.08
        action = [*move, turn, 1.0 if self._leg >= 2 else 0.0]
        return a_plan(action, action, stamp_ns=observation.stamp_ns, goal_id=goal.goal_id)


def rig_profile(sink: str, **fields: Any) -> RobotProfile:
    """Return the Panda's profile with another sink; joint sinks read their state from joints."""
    profile = panda_profile()
    is_joints = sink.startswith('joint')
    # Names of its own for each rig: publishers of the last one may be seen for a moment.
    prefix = f'/{sink}_{next(_numbers)}'
    topics = replace(
        Topics(),
        target_pose=f'{prefix}/target_pose',
        target_joints=f'{prefix}/target_joints',
        joint_states=f'{prefix}/joint_states',
        tool_pose=f'{prefix}/tool_pose',
        servo=f'{prefix}/servo_node',
    )
    values = {'sink': sink, 'topics': topics, 'state_source': 'joints' if is_joints else 'topic'}
    return replace(profile, **{**values, **fields})


class DriverRig:
    """One sink and its driver. A context manager; ``tick`` is 20 ms of the test's time."""

    def __init__(self, profile: RobotProfile, driver: str | None = None) -> None:
        self.profile = profile
        self.clock = ManualClock(now_ns=100_000_000_000)
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.nodes = [rclpy.create_node(n, context=self.context) for n in ('planner', 'driver')]
        self.executor = SingleThreadedExecutor(context=self.context)
        for node in self.nodes:
            self.executor.add_node(node)
        kind = CONTROLLERS[driver or profile.sink]
        self.driver: Controller = kind(self.nodes[1], profile, self.clock)
        self.statuses: list[ControllerStatus] = []
        self._build()

    def _build(self) -> None:
        profile, node = self.profile, self.nodes[0]
        config = FrameBufferConfig()
        self.buffer = FrameBuffer(config, context_frames=1)
        kinematics = panda_kinematics()
        self.ingest = Ingest(self.buffer, profile, self.clock, config, kinematics=kinematics)
        from geometry_msgs.msg import PoseStamped
        from sensor_msgs.msg import JointState

        from wm_planner.ros import qos

        topics = profile.topics
        self.joints_seen = self.poses_seen = 0

        def on_joints(message: JointState) -> None:
            self.ingest.on_joint_states(message)
            self.joints_seen += 1

        def on_pose(message: PoseStamped) -> None:
            if profile.state_source == 'topic':
                self.ingest.on_tool_pose(message)
            self.poses_seen += 1

        node.create_subscription(JointState, topics.joint_states, on_joints, qos.STATE)
        node.create_subscription(PoseStamped, topics.tool_pose, on_pose, qos.STATE)
        self.sink = make_sink(
            profile.sink,
            node,
            profile,
            self.clock,
            self.buffer.latest_state,
            latest_joints=self.ingest.latest_joints,
            kinematics=kinematics if commands_joints(profile) else None,
        )
        self.safety = SafetyFilter(profile, SafetyConfig())
        self.worker = InlineWorker(TourPlanner())
        self.controller = ArmController(
            ControllerConfig(),
            buffer=self.buffer,
            worker=self.worker,  # type: ignore[arg-type]
            executor=PlanExecutor(ExecutorConfig(), safety=self.safety),
            safety=self.safety,
            sink=self.sink,
            goal_tolerance=0.1,
        )

    @property
    def status(self) -> ControllerStatus:
        """Return the last status."""
        return self.statuses[-1]

    def spin(self) -> None:
        """Let whatever has arrived be handled."""
        self.executor.spin_once(timeout_sec=0.005)

    def settle(self, times: int = 12) -> None:
        """Handle what is there and what follows from it, without waiting for more."""
        for _ in range(times):
            self.executor.spin_once(timeout_sec=0)

    def wait(self, claim: Callable[[], object], what: str) -> None:
        """Spin until ``claim()``; the test's time stands still."""
        wait_for(claim, what=what, poll=self.spin)

    def connect(self) -> None:
        """Wait until both nodes have found each other, and the first state has arrived."""
        names = [t.name for t in self._command_topics()]
        self.wait(lambda: all(self.nodes[1].count_publishers(n) for n in names), 'the publisher')
        self.wait(lambda: all(self.nodes[0].count_subscribers(n) for n in names), 'the driver')

        def is_seen() -> bool:
            self.driver.publish()
            self.spin()
            return bool(self.joints_seen and self.poses_seen)

        self.wait(is_seen, 'the first state')
        servo = getattr(self.driver, 'servo', None)
        if servo is not None:
            self.wait(lambda: servo.command_type == servo.wanted_type, 'the command type')
        self.settle()

    def _command_topics(self) -> list[Any]:
        from wm_planner.ros.sinks import SINKS

        streams = SINKS.get(self.profile.sink).streams(self.profile)
        return [s for s in streams if s.kind == 'publisher']

    def feed(self) -> None:
        """Publish the driver's state and wait until it has been taken in; push a frame."""
        joints, poses = self.joints_seen, self.poses_seen
        self.driver.publish()
        self.wait(
            lambda: self.joints_seen > joints and self.poses_seen > poses, 'the state of the arm'
        )
        now, wall = self.clock.now_ns(), self.clock.monotonic_ns()
        self.buffer.push_image(now, an_image(), now_ns=now, monotonic_ns=wall)

    def tick(self, times: int = 1) -> None:
        """Let 20 ms pass: the arm moves, says where it is, and is told where to go."""
        for _ in range(times):
            self.clock.advance(TICK_S)
            self.driver.advance(TICK_S)
            self.feed()
            if self.worker.request is not None:
                self.worker.answer()
            received = self.driver.received
            status = self.controller.tick(self.clock.now_ns(), self.clock.monotonic_ns())
            self.statuses.append(status)
            if status.sent is not None:
                self.wait(lambda: self.driver.received > received, 'the command')  # noqa: B023
            self.settle(1)

    def set_off(self) -> None:
        """Enable motion and pursue a goal that never ends."""
        self.controller.enable(True)
        self.tick()
        self.controller.set_goals([a_goal()], tolerance=-1.0, now_ns=self.clock.now_ns())

    def __enter__(self) -> DriverRig:
        self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.controller.shutdown()
        self.sink.close()
        self.executor.shutdown()
        for node in self.nodes:
            node.destroy_node()
        rclpy.try_shutdown(context=self.context)
