# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""A controller with everything around it, driven by hand, tick by tick."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fakes.clock import ManualClock
from fakes.loopback_env import LoopbackEnv
from fakes.planners import FakePlanner, InlineWorker
from fakes.recording_sink import RecordingSink
from fakes.values import a_goal, a_plan, a_profile
from wm_planner.control.controller import Controller, ControllerConfig, ControllerStatus
from wm_planner.control.executor import ExecutorConfig, PlanExecutor
from wm_planner.control.frame_buffer import FrameBuffer, FrameBufferConfig
from wm_planner.control.safety import SafetyConfig, SafetyFilter
from wm_planner.core.profile import RobotProfile
from wm_planner.core.types import ArmCommand

TICK_S = 0.02


class _Wire:
    """Both ends of the command topic: it records, and the robot moves."""

    def __init__(self, recorder: RecordingSink, robot: LoopbackEnv) -> None:
        self._recorder, self._robot = recorder, robot

    def send(self, command: ArmCommand) -> ArmCommand:
        sent = self._recorder.send(command)
        self._robot.send(sent)
        return sent

    def hold(self) -> None:
        self._recorder.hold()
        self._robot.hold()

    def stay(self) -> None:
        self._recorder.stay()

    def forget(self) -> None:
        self._recorder.forget()

    def close(self) -> None:
        self._recorder.close()


class ControlRig:
    """Clock, robot, buffer, planner and controller.

    ``tick`` lets 20 ms pass, feeds the buffer unless ``feeds_images`` and ``feeds_states`` say
    otherwise, and ticks. The planner answers, with ``actions`` and ``energy``, when
    ``worker.answer`` is called.
    """

    def __init__(
        self,
        *,
        robot: LoopbackEnv | None = None,
        profile: RobotProfile | None = None,
        guards: Sequence[Any] = (),
        **config: Any,
    ) -> None:
        self.clock = ManualClock()
        self.robot = robot or LoopbackEnv(speed_m_s=5.0, rotation_speed_rad_s=30.0)
        self.robot.time_ns = self.clock.now_ns()
        self.robot.place((0.5, 0.0, 0.3))
        self.sink = RecordingSink()
        self.actions: Any = [0.02, 0.0, 0.0, 0.0, 0.0]
        self.energy = 1.0
        self.planner = FakePlanner(self._plan)
        self.worker = InlineWorker(self.planner)
        self.buffer = FrameBuffer(FrameBufferConfig(), context_frames=1)
        self.safety = SafetyFilter(profile or a_profile(), SafetyConfig())
        executor = {k: config.pop(k) for k in ('execute_steps', 'max_plan_age_s') if k in config}
        self.controller = Controller(
            ControllerConfig(**config),
            buffer=self.buffer,
            worker=self.worker,  # type: ignore[arg-type]
            executor=PlanExecutor(ExecutorConfig(**executor), safety=self.safety),
            safety=self.safety,
            sink=_Wire(self.sink, self.robot),
            goal_tolerance=0.1,
            guards=guards,
        )
        self.feeds_images = self.feeds_states = True
        self.statuses: list[ControllerStatus] = []

    def _plan(self, observation: Any, goal: Any) -> Any:
        return a_plan(
            self.actions,
            self.actions,
            goal_id=goal.goal_id,
            stamp_ns=observation.stamp_ns,
            goal_energy=self.energy,
        )

    @property
    def status(self) -> ControllerStatus:
        """Return the last status."""
        return self.statuses[-1]

    @property
    def sent(self) -> list[ArmCommand]:
        """Return what went out so far."""
        return self.sink.sent

    def feed(self) -> None:
        """Push a frame and a state of now."""
        now, wall = self.clock.now_ns(), self.clock.monotonic_ns()
        if self.feeds_images:
            self.buffer.push_image(now, self.robot.image(), now_ns=now, monotonic_ns=wall)
        if self.feeds_states:
            self.buffer.push_state(self.robot.state(), now_ns=now, monotonic_ns=wall)

    def tick(self, times: int = 1) -> ControllerStatus:
        """Let time pass, tick by tick; return the last status."""
        for _ in range(times):
            self.clock.advance(TICK_S)
            self.robot.advance(TICK_S)
            self.feed()
            self.tick_frozen()
        return self.status

    def tick_frozen(self) -> ControllerStatus:
        """Tick at the present time."""
        status = self.controller.tick(self.clock.now_ns(), self.clock.monotonic_ns())
        self.statuses.append(status)
        return status

    def tick_until(
        self, claim: Callable[[ControllerStatus], object], *, at_most: int = 200
    ) -> ControllerStatus:
        """Tick, answering requests at once, until a status is as claimed."""
        for _ in range(at_most):
            if self.worker.request is not None:
                self.worker.answer()
            if claim(self.tick()):
                return self.status
        raise AssertionError(f'not within {at_most} ticks; the last status is {self.status}')

    def pursue(self, *names: str, steps: Sequence[int] = (), **arguments: Any) -> int:
        """Enable motion and set goals."""
        self.controller.enable(True)
        self.tick()
        goals = [a_goal(name) for name in names or ('goal',)]
        return self.controller.set_goals(
            goals, steps_per_goal=steps, now_ns=self.clock.now_ns(), **arguments
        )
