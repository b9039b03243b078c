# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""PlanExecutor: which target is due now."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wm_planner.control.safety import SafetyFilter, SafetyLimits
from wm_planner.core.actions import action_to_command
from wm_planner.core.config import parameter, validate
from wm_planner.core.errors import StaleCommandError
from wm_planner.core.geometry import rotation_angle, slerp
from wm_planner.core.types import ArmCommand, Plan, RobotState


@dataclass(frozen=True, kw_only=True)
class ExecutorConfig:
    """How plans are carried out. Times are on the ROS clock."""

    execute_steps: int = parameter(
        1, 'steps of a plan that are executed before the next observation', low=1, high=100
    )
    max_plan_age_s: float = parameter(
        5.0,
        'age of the observation at which a plan made from it is not executed any more [s]',
        low=0.01,
    )
    settle_s: float = parameter(
        0.1,
        'longest wait for the tool to arrive after the last step, before the next observation [s]',
        low=0.0,
        high=10.0,
    )
    arrival_tolerance_m: float = parameter(
        0.01, 'distance to the target at which the tool has arrived [m]', low=0.0, high=0.5
    )
    arrival_tolerance_rad: float = parameter(
        0.05, 'angle to the target at which the tool has arrived [rad]', low=0.0, high=3.2
    )

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True, kw_only=True)
class _Ramp:
    """The straight way of the setpoint from where it is to a step's target, at the speed limits.

    Position, rotation and gripper move at their own limits, so that a slow gripper does not slow
    the arm.
    """

    start: ArmCommand
    target: ArmCommand
    start_ns: int
    travel_s: tuple[float, float, float]  # position, rotation, gripper

    @classmethod
    def between(
        cls, start: ArmCommand, target: ArmCommand, start_ns: int, limits: SafetyLimits
    ) -> _Ramp:
        distance = float(np.linalg.norm(target.position_m - start.position_m))
        angle = float(rotation_angle(start.quaternion_xyzw, target.quaternion_xyzw))
        change = abs(target.gripper_closedness - start.gripper_closedness)
        return cls(
            start=start,
            target=target,
            start_ns=start_ns,
            travel_s=(
                distance / limits.max_speed_m_s,
                angle / limits.max_rotation_speed_rad_s,
                change / limits.max_gripper_rate_1_s,
            ),
        )

    def at(self, now_ns: int) -> ArmCommand:
        """Return the setpoint due at ``now_ns``, stamped so."""
        elapsed_s = max((now_ns - self.start_ns) * 1e-9, 0.0)
        move, turn, grip = (1.0 if elapsed_s >= t else elapsed_s / t for t in self.travel_s)
        start, target = self.start, self.target
        quaternion = target.quaternion_xyzw
        if turn < 1.0:
            quaternion = slerp(start.quaternion_xyzw, target.quaternion_xyzw, turn)
        grip_change = target.gripper_closedness - start.gripper_closedness
        return ArmCommand(
            stamp_ns=now_ns,
            position_m=start.position_m + move * (target.position_m - start.position_m),
            quaternion_xyzw=quaternion,
            gripper_closedness=start.gripper_closedness + grip * grip_change,
        )


class PlanExecutor:
    """Turns a plan into the absolute setpoint that is due, step by step.

    A step's target is its action applied to the robot state at the start of the plan, for later
    steps to the target before. The safety filter vets it before the setpoint leaves for it; then
    the setpoint goes there in a straight line at the speed limits and stays. A step lasts
    ``action_spec.step_duration_s``, or as long as the setpoint needs. The last one ends when the
    tool has arrived too, or ``settle_s`` later, so that the next observation shows an arm at rest.

    One thread at a time (the controller's lock).
    """

    def __init__(self, config: ExecutorConfig, *, safety: SafetyFilter) -> None:
        self._config = config
        self._safety = safety
        self._plan: Plan | None = None
        self._steps = 0
        self._executed = 0
        self._ramp: _Ramp | None = None
        self._end_ns = 0

    @property
    def executed_steps(self) -> int:
        """Return how many steps of the present plan are over."""
        return self._executed

    def start(
        self,
        plan: Plan,
        state: RobotState,
        now_ns: int,
        *,
        setpoint: ArmCommand | None = None,
        max_steps: int | None = None,
    ) -> None:
        """Begin ``plan`` from ``state``; the setpoint moves from ``setpoint``, or from the state.

        Raises StaleCommandError for a plan older than ``max_plan_age_s`` and what the safety filter
        says of its first target (SafetyError); the executor is idle then.
        """
        self.abort()
        age_s = (now_ns - plan.observation_stamp_ns) * 1e-9
        if age_s > self._config.max_plan_age_s:
            raise StaleCommandError(
                f'the plan was made from an observation {age_s:.2f} s old; valid: at most '
                f'{self._config.max_plan_age_s:g} s. Give the planner a deadline, or raise '
                'max_plan_age_s.'
            )
        steps = min(self._config.execute_steps, plan.horizon)
        self._steps = steps if max_steps is None else min(steps, max_steps)
        self._plan = plan
        self._executed = 0
        start = setpoint or ArmCommand.hold_at(state, now_ns)
        self._begin_step(state, start, now_ns, now_ns, state)

    def target(self, now_ns: int, state: RobotState) -> ArmCommand | None:
        """Return the setpoint due now, None when idle. Raises SafetyError for a refused step."""
        self._advance(now_ns, state)
        return self._ramp.at(now_ns) if self._ramp is not None else None

    def is_done(self, now_ns: int, state: RobotState) -> bool:
        """Return whether all steps to execute are over and the tool has arrived or had its time."""
        self._advance(now_ns, state)
        if self._plan is None or self._ramp is None or self._executed < self._steps:
            return False
        if now_ns >= self._end_ns + round(self._config.settle_s * 1e9):
            return True
        target = self._ramp.target
        distance = float(np.linalg.norm(target.position_m - state.position_m))
        angle = float(rotation_angle(target.quaternion_xyzw, state.quaternion_xyzw))
        return (
            distance <= self._config.arrival_tolerance_m
            and angle <= self._config.arrival_tolerance_rad
        )

    def abort(self) -> None:
        """Forget the plan; a step that was under way does not count as executed."""
        self._plan = self._ramp = None

    def _advance(self, now_ns: int, state: RobotState) -> None:
        """Count the steps that are over and begin the next."""
        while self._ramp is not None and self._executed < self._steps and now_ns >= self._end_ns:
            self._executed += 1
            if self._executed < self._steps:
                before = self._ramp.target
                reached = RobotState(
                    stamp_ns=self._end_ns,
                    position_m=before.position_m,
                    quaternion_xyzw=before.quaternion_xyzw,
                    gripper_closedness=before.gripper_closedness,
                )
                self._begin_step(reached, before, self._end_ns, now_ns, state)

    def _begin_step(
        self,
        reference: RobotState,
        setpoint: ArmCommand,
        begin_ns: int,
        now_ns: int,
        state: RobotState,
    ) -> None:
        """Set out from ``setpoint`` for what the next action makes of ``reference``."""
        plan = self._plan
        assert plan is not None, 'a step belongs to a plan'
        wanted = action_to_command(
            plan.actions[self._executed], plan.action_spec, reference, now_ns
        )
        verdict = self._safety.check_target(wanted, state, now_ns)
        if verdict.command is None:
            self.abort()
            assert verdict.error is not None, 'a refusal has a reason'
            raise verdict.error
        self._ramp = _Ramp.between(setpoint, verdict.command, begin_ns, self._safety.limits)
        duration_s = max(plan.action_spec.step_duration_s, *self._ramp.travel_s)
        self._end_ns = begin_ns + round(duration_s * 1e9)
