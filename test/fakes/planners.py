# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Planners and a planning worker that do as a test says."""

from __future__ import annotations

from collections.abc import Callable
import threading
from typing import Any

from fakes.values import SPEC, a_plan
from wm_planner.control.worker import PlannerInfo, PlanOutcome, PlanRequest
from wm_planner.core.errors import WmPlannerError
from wm_planner.core.types import Goal, Observation, Plan


class FakePlanner:
    """Answers with ``answer(observation, goal)``; records calls and the threads they came from.

    While ``gate`` is clear, ``plan`` waits: a planner that takes its time.
    """

    def __init__(self, answer: Callable[[Observation, Goal], Any] | None = None) -> None:
        self.answer = answer or (
            lambda observation, goal: a_plan(goal_id=goal.goal_id, stamp_ns=observation.stamp_ns)
        )
        self.action_spec = SPEC
        self.context_frames = 1
        self.goal_tolerance = 0.5
        self.calls: list[str] = []
        self.threads: set[str] = set()
        self.executed_steps: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.is_stop_requested = False

    def prepare_goal(self, goal: Goal) -> None:
        self._note(f'prepare {goal.goal_id}')

    def plan(
        self,
        observation: Observation,
        goal: Goal,
        *,
        deadline_s: float | None = None,
        executed_steps: int = 0,
    ) -> Plan:
        self._note(f'plan {goal.goal_id}')
        self.executed_steps.append(executed_steps)
        assert self.gate.wait(30.0), 'the test never opened the gate'
        return self.answer(observation, goal)

    def reset(self) -> None:
        self._note('reset')

    def request_stop(self) -> None:
        self.is_stop_requested = True
        self.gate.set()

    def _note(self, call: str) -> None:
        self.calls.append(call)
        self.threads.add(threading.current_thread().name)


class InlineWorker:
    """The face of a PlanningWorker without a thread: ``answer`` makes the plan asked for."""

    def __init__(self, planner: FakePlanner | None = None) -> None:
        self.planner = planner or FakePlanner()
        self.request: PlanRequest | None = None
        self.requests: list[PlanRequest] = []
        self.resets = 0
        self.tasks: list[str] = []
        self.busy_ns: int | None = None
        self.is_dead = False
        self.is_loading = False
        self.revivals = 0
        self.start_error: Exception | None = None
        self._outcome: PlanOutcome | None = None

    @property
    def info(self) -> PlannerInfo:
        return self.start(0.0)

    def start(self, timeout_s: float) -> PlannerInfo:
        planner = self.planner
        return PlannerInfo(
            action_spec=planner.action_spec,
            context_frames=planner.context_frames,
            goal_tolerance=planner.goal_tolerance,
        )

    def prepare_goal(self, goal: Goal, done: Callable[[WmPlannerError | None], None]) -> None:
        self.planner.prepare_goal(goal)
        done(None)

    def begin_task(self, instruction: str) -> None:
        self.tasks.append(instruction)

    def submit(self, request: PlanRequest) -> None:
        self.request = request
        self.requests.append(request)

    def answer(self, *, error: WmPlannerError | None = None) -> None:
        """Answer the request in the mailbox."""
        request, self.request = self.request, None
        assert request is not None, 'nothing was asked for'
        plan = None
        if error is None:
            plan = self.planner.plan(
                request.observation, request.goal, executed_steps=request.executed_steps
            )
        self._outcome = PlanOutcome(request=request, plan=plan, error=error)

    def poll(self) -> PlanOutcome | None:
        outcome, self._outcome = self._outcome, None
        return outcome

    def reset_planner(self) -> None:
        self.request = None
        self.resets += 1

    def when_idle(self, work: Any, done: Callable[[WmPlannerError | None], None]) -> None:
        for _ in work(self.planner):
            pass
        done(None)

    def busy_since_ns(self) -> int | None:
        return self.busy_ns

    def is_alive(self) -> bool:
        return not self.is_dead

    def revive(self) -> None:
        self.revivals += 1
        self.is_dead = False
        self.busy_ns = None

    def stop(self, timeout_s: float) -> bool:
        return True
