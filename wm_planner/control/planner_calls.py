# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What is asked of a planner and what it answers; whatever it raises becomes an error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
import logging

from wm_planner.core.errors import DeviceMemoryError, PlannerFailedError, WmPlannerError
from wm_planner.core.protocols import (
    Calibrated,
    LooksThroughWrist,
    Planner,
    SearchesWider,
    TakesInstruction,
)
from wm_planner.core.types import ActionSpec, Goal, Observation, Plan, UncertaintyLimits

_logger = logging.getLogger(__name__)

_OUT_OF_MEMORY = {'MemoryError', 'OutOfMemoryError'}  # torch's by name: control knows no torch

GoalDone = Callable[[WmPlannerError | None], None]


@dataclass(frozen=True, kw_only=True)
class PlanRequest:
    """One plan to make; ``request_id`` tells an answer from that to an earlier request."""

    observation: Observation
    goal: Goal
    deadline_s: float | None
    executed_steps: int
    request_id: int
    is_wide: bool = False  # search wider than set, where the planner can


@dataclass(frozen=True, kw_only=True)
class PlanOutcome:
    """The answer to a request: a plan, or why there is none."""

    request: PlanRequest
    plan: Plan | None
    error: WmPlannerError | None


@dataclass(frozen=True, kw_only=True)
class PlannerInfo:
    """What is known of a planner once it is loaded."""

    action_spec: ActionSpec
    context_frames: int
    goal_tolerance: float
    uncertainty_limits: UncertaintyLimits = field(default_factory=UncertaintyLimits)
    wants_wrist_image: bool = False


def describe(planner: Planner) -> PlannerInfo:
    """Return what is known of a planner."""
    limits = UncertaintyLimits()
    if isinstance(planner, Calibrated):
        limits = planner.uncertainty_limits
    return PlannerInfo(
        action_spec=planner.action_spec,
        context_frames=planner.context_frames,
        goal_tolerance=planner.goal_tolerance,
        uncertainty_limits=limits,
        wants_wrist_image=isinstance(planner, LooksThroughWrist) and planner.wants_wrist_image,
    )


def begin_task(planner: Planner, instruction: str) -> None:
    """Let the planner begin anew with an instruction."""
    planner.reset()
    if isinstance(planner, TakesInstruction):
        planner.set_instruction(instruction)


def attempt(action: Callable[[], None]) -> WmPlannerError | None:
    """Run a planner's method; return what it raised as an error of this package."""
    try:
        action()
    except WmPlannerError as error:
        return error
    except Exception as error:  # a planner may raise anything; the thread must live on
        _logger.exception('the planner raised')
        kinds = {kind.__name__ for kind in type(error).__mro__}
        if kinds & _OUT_OF_MEMORY:
            return DeviceMemoryError(
                f'out of memory while planning ({type(error).__name__}: {error}); valid: fewer '
                'samples, a smaller model or precision, or a device with more free memory.'
            )
        return PlannerFailedError(f'the planner raised {type(error).__name__}: {error}')
    return None


def answer(planner: Planner, request: PlanRequest) -> PlanOutcome:
    """Ask for a plan; whatever comes of it is an outcome."""
    plan: object = None

    def run() -> None:
        nonlocal plan
        if isinstance(planner, SearchesWider):
            planner.widen(request.is_wide)
        plan = planner.plan(
            request.observation,
            request.goal,
            deadline_s=request.deadline_s,
            executed_steps=request.executed_steps,
        )

    error = attempt(run)
    if error is not None:
        return no_plan(request, error)
    if not isinstance(plan, Plan):
        return no_plan(
            request, PlannerFailedError(f'the planner returned {type(plan).__name__}; valid: Plan.')
        )
    return PlanOutcome(request=request, plan=plan, error=None)


def no_plan(request: PlanRequest, error: WmPlannerError) -> PlanOutcome:
    """Return the outcome of a request that has no plan."""
    return PlanOutcome(request=request, plan=None, error=error)


def call(done: GoalDone, error: WmPlannerError | None) -> None:
    """Tell whoever brought a goal what became of it."""
    try:
        done(error)
    except Exception:  # a caller's mistake must not end the planning thread
        _logger.exception('the callback of prepare_goal raised')


def not_loaded_error(error: BaseException) -> PlannerFailedError:
    """Return what to say of a planner whose making ended the thread, e.g. with SystemExit."""
    return PlannerFailedError(f'loading the planner raised {type(error).__name__}: {error}')


def stopped_error() -> PlannerFailedError:
    """Return what to say of a goal that nobody will encode."""
    return PlannerFailedError('the planning thread has stopped; valid: while the node is active.')
