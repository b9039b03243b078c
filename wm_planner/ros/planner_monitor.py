# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What the planner node knows of its own health: rates, latencies, jitter, bad input."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
import math
from typing import TYPE_CHECKING

import numpy as np

from wm_planner.core.errors import DataError, WmPlannerError
from wm_planner.core.types import Plan
from wm_planner.ros.diagnostics import Level

if TYPE_CHECKING:
    from wm_planner.control.status import ControllerStatus

_WINDOW = 1000
_LATE_CALLBACK_MS = 2.0
_LATE_TICK_MS = 10.0


class RollingValues:
    """The newest thousand values of something, and their percentiles."""

    def __init__(self) -> None:
        self._values: deque[float] = deque(maxlen=_WINDOW)

    def add(self, value: float) -> None:
        """Take one value."""
        self._values.append(value)

    def percentile(self, percent: float) -> float:
        """Return a percentile, or NaN when there is no value."""
        return float(np.percentile(self._values, percent)) if self._values else math.nan


class PlannerMonitor:
    """Collects measurements and sums them up for /diagnostics. Thread: the executor's.

    ``inputs`` names the streams whose callbacks are watched.
    """

    def __init__(self, inputs: tuple[str, ...], control_rate_hz: float) -> None:
        self._period_ns = round(1e9 / control_rate_hz)
        self._counts = dict.fromkeys(inputs, 0)
        self._errors: dict[str, WmPlannerError] = {}
        self._refused = dict.fromkeys(inputs, 0)
        self._callback_ms = {name: RollingValues() for name in inputs}
        self._tick_jitter_ms = RollingValues()
        self._plan_ms = RollingValues()
        self._latency_ms = RollingValues()
        self._last_tick_ns = 0
        self._last_report_ns = 0
        self._ticks = 0

    def watch(self, name: str) -> None:
        """Watch one more stream."""
        self._counts.setdefault(name, 0)
        self._refused.setdefault(name, 0)
        self._callback_ms.setdefault(name, RollingValues())

    # -- measurements ----------------------------------------------------------------------------

    def callback_done(self, name: str, seconds: float, error: WmPlannerError | None) -> None:
        """Take the end of a callback, as CallbackGuard reports it."""
        if name not in self._counts:
            return
        self._callback_ms[name].add(seconds * 1e3)
        if error is None:
            self._counts[name] += 1
            self._errors.pop(name, None)
        else:
            self._refused[name] += 1
            self._errors[name] = error

    def tick_begins(self, monotonic_ns: int) -> None:
        """Take the start of a control tick."""
        if self._last_tick_ns:
            late_ns = monotonic_ns - self._last_tick_ns - self._period_ns
            self._tick_jitter_ms.add(abs(late_ns) * 1e-6)
        self._last_tick_ns = monotonic_ns
        self._ticks += 1

    def plan_done(self, plan: Plan, command_stamp_ns: int | None) -> None:
        """Take a plan and the ROS time of the first command it led to, if it led to one."""
        self._plan_ms.add(plan.diagnostics.milliseconds.get('total', math.nan))
        if command_stamp_ns is not None:
            self._latency_ms.add((command_stamp_ns - plan.observation_stamp_ns) * 1e-6)

    def forget_inputs(self) -> None:
        """Forget what was wrong with the streams: they were cut off on purpose."""
        self._errors.clear()

    # -- summaries -------------------------------------------------------------------------------

    def explained(self, status: ControllerStatus) -> ControllerStatus:
        """Return ``status`` with the bad input behind it as its error, if there is one.

        A controller that lacks data only knows that; why nothing usable arrives (a wrong encoding,
        a NaN) is the sentence that helps.
        """
        is_about_data = status.error_code == 0 or 200 <= status.error_code < 300
        if not is_about_data or not self._errors:
            return status
        # What a message says of itself comes before what only its time says.
        cause = min(self._errors.values(), key=lambda error: isinstance(error, DataError))
        return replace(status, error_code=cause.code, message=cause.message)

    def summary(
        self, status: ControllerStatus | None, fault: WmPlannerError | None, monotonic_ns: int
    ) -> tuple[Level, str, Mapping[str, object]]:
        """Return level, message and values for /diagnostics; rates are since the last call."""
        seconds = max((monotonic_ns - self._last_report_ns) * 1e-9, 1e-3)
        values: dict[str, object] = {'control_rate_hz': self._ticks / seconds}
        for name in self._counts:
            values[f'{name}_rate_hz'] = self._counts[name] / seconds
            values[f'{name}_refused'] = self._refused[name]
            values[f'{name}_callback_ms_p99'] = self._callback_ms[name].percentile(99)
        values['tick_jitter_ms_p99'] = self._tick_jitter_ms.percentile(99)
        for key, found in (('plan_ms', self._plan_ms), ('latency_ms', self._latency_ms)):
            values[f'{key}_p50'] = found.percentile(50)
            values[f'{key}_p99'] = found.percentile(99)
        if status is not None:
            values |= {
                'image_age_s': status.image_age_s,
                'state_age_s': status.state_age_s,
                'plans': status.plans,
                'plans_dropped': status.plans_dropped,
                'commands_clamped': status.commands_clamped,
                'commands_refused': status.commands_refused,
            }
        self._last_report_ns, self._ticks = monotonic_ns, 0
        self._counts = dict.fromkeys(self._counts, 0)
        return (*self._verdict(status, fault), values)

    def _verdict(
        self, status: ControllerStatus | None, fault: WmPlannerError | None
    ) -> tuple[Level, str]:
        if fault is not None:
            return Level.ERROR, str(fault)
        if status is not None and status.error_code:
            level = Level.WARN if status.error_code < 300 else Level.ERROR
            return level, f'[{status.error_code}] {status.message}'
        for name, error in self._errors.items():
            return Level.WARN, f'{name}: {error}'
        slow = [n for n, v in self._callback_ms.items() if v.percentile(99) > _LATE_CALLBACK_MS]
        if slow:
            return (
                Level.WARN,
                f'callbacks of {", ".join(slow)} take more than {_LATE_CALLBACK_MS} ms',
            )
        if self._tick_jitter_ms.percentile(99) > _LATE_TICK_MS:
            return Level.WARN, f'control ticks are up to {_LATE_TICK_MS} ms off and more'
        return Level.OK, 'running' if status is not None else 'not active'
