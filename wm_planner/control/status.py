# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What the controller says of itself; the numbers are those of the messages."""

from __future__ import annotations

from dataclasses import dataclass
import enum

from wm_planner.core.errors import WmPlannerError
from wm_planner.core.types import ArmCommand, Plan


class ControllerState(enum.IntEnum):
    """States of wm_planner_msgs/PlannerStatus."""

    INACTIVE = 0
    DISABLED = 1
    IDLE = 2
    WAITING_FOR_DATA = 3
    PLANNING = 4
    EXECUTING = 5
    HOLDING = 6
    REACHED = 7
    FAULT = 8
    EMERGENCY_STOP = 9


class Termination(enum.IntEnum):
    """Why a list of goals ended: the values of wm_planner_msgs/ReachGoal."""

    REACHED = 0
    TIMEOUT = 1
    CANCELED = 2
    STALLED = 3
    SAFETY_STOP = 4
    STALE_DATA = 5
    PLANNER_FAILED = 6


@dataclass(frozen=True)
class Notice:
    """An error number (0 = all is well) and a sentence."""

    code: int = 0
    message: str = ''

    @classmethod
    def of(cls, error: WmPlannerError) -> Notice:
        """Return number and sentence of an error."""
        return cls(error.code, error.message)


ALL_IS_WELL = Notice()


@dataclass(frozen=True, kw_only=True)
class ControllerStatus:
    """The controller after one tick; fields as in PlannerStatus and in ReachGoal's result.

    ``goal_list_id`` is what ``set_goals`` returned for the list that all goal fields, the counts
    and ``termination`` are about (0 before the first). ``termination`` is set on one tick only, the
    first after the list ended, and then ``error_code`` and ``message`` say why it ended.
    ``latest_plan`` is set on the tick a plan arrived, ``sent`` where a setpoint went out.
    """

    state: ControllerState
    error_code: int
    message: str
    goal_list_id: int
    goal_id: str
    goal_index: int
    goal_count: int
    goal_energy: float
    goal_tolerance: float
    steps_executed: int
    plans: int
    plans_dropped: int
    commands_clamped: int
    commands_refused: int
    image_age_s: float
    state_age_s: float
    goal_energies: tuple[float, ...]
    goal_steps: tuple[int, ...]
    best_energies: tuple[float, ...]
    decision: str
    termination: Termination | None
    latest_plan: Plan | None
    sent: ArmCommand | None
