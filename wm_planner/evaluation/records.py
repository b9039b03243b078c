# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What an evaluation leaves behind: one record an episode, and the report over them as JSON."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
import json
import math
import os
from pathlib import Path
import platform
from typing import Any

from wm_planner import __version__
from wm_planner.core.errors import InvalidParameterError
from wm_planner.evaluation.metrics import (
    Interval,
    Times,
    success_rate,
    summarise_times,
    wilson_interval,
)

SCHEMA_VERSION = 1

TERMINATIONS = (
    'reached',
    'timeout',
    'canceled',
    'stalled',
    'safety_stop',
    'stale_data',
    'planner_failed',
)
"""Why an episode ended, in the order of ReachGoal.action. ``timeout``: all steps were used."""

LOST = ('simulator_failed', 'worker_lost')
"""Why an episode has no end of its own; it counts as failed, with the reason in ``message``."""


@dataclass(frozen=True, kw_only=True)
class EpisodeRecord:
    """One episode. ``success`` is the suite's predicate at the end, by the simulator's truth."""

    episode_id: str
    suite: str
    planner: str
    model: str
    seed: int
    episode: int
    success: bool
    start_distance_m: float | None  # what the suite measures, at the start; None where unknown
    final_distance_m: float | None
    steps: int  # actions executed
    termination: str  # one of TERMINATIONS or LOST
    error_code: int = 0  # 0 when all went well
    message: str = ''
    goal_energies: tuple[float, ...] = ()  # last energy against each goal tried; NaN without one
    plan_ms: tuple[float, ...] = ()  # wall time of each plan [ms]
    plan_rollouts: tuple[int, ...] = ()  # action sequences that each plan scored
    energy_curve: tuple[float, ...] = ()  # energy against the goal of the moment, at each plan
    cost: float = 0.0  # cumulative: the sum over the policy's steps, before a score scales it
    cost_upstream: float = 0.0
    commands_clamped: int = 0
    commands_refused: int = 0
    wall_s: float = 0.0
    pictures: Mapping[str, str] = field(default_factory=dict)  # files by name: first, goal, ...

    @property
    def is_lost(self) -> bool:
        """Return whether the episode could not be run to an end of its own."""
        return self.termination in LOST

    def without_times(self) -> EpisodeRecord:
        """Return the record less its wall times: what a repetition must reproduce."""
        return dataclasses.replace(self, plan_ms=(), wall_s=0.0)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> EpisodeRecord:
        """Return the record that ``jsonable`` turned into ``values``; null in a list was NaN.

        Raises InvalidParameterError for values that lack a field; fields of a later version are
        passed over.
        """
        fields = {f.name: f for f in dataclasses.fields(cls)}
        missing = [
            name
            for name, f in fields.items()
            if name not in values
            and f.default is dataclasses.MISSING
            and f.default_factory is dataclasses.MISSING
        ]
        if missing:
            raise InvalidParameterError(
                f'an episode without {", ".join(missing)}; valid: what wm_planner evaluate writes.'
            )
        return cls(**{name: _restored(values[name]) for name in fields if name in values})


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """All of a run: what was asked, on what, and the records of the episodes that finished."""

    suite: str
    planner: str
    model: str
    seed: int
    through: str  # direct | ros
    episodes_requested: int
    episodes: tuple[EpisodeRecord, ...]
    device: str
    versions: Mapping[str, str | None]
    config: Mapping[str, Any] = field(default_factory=dict)
    wall_s: float = 0.0

    @property
    def is_complete(self) -> bool:
        """Return whether every episode asked for has a record."""
        return len(self.episodes) == self.episodes_requested

    @property
    def successes(self) -> int:
        """Return the number of successful episodes."""
        return sum(record.success for record in self.episodes)

    @property
    def success_rate(self) -> float | None:
        """Return the success rate, None before the first episode ends."""
        return success_rate([record.success for record in self.episodes])

    @property
    def interval(self) -> Interval | None:
        """Return the 95 % Wilson interval of the success rate."""
        return wilson_interval(self.successes, len(self.episodes))

    @property
    def plan_times(self) -> Times | None:
        """Return the summary of all planning times [ms], None when nothing was planned."""
        return summarise_times(ms for record in self.episodes for ms in record.plan_ms)

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values; a number that is not finite becomes null."""
        interval, times = self.interval, self.plan_times
        nothing = {'p50': None, 'p99': None, 'mean': None, 'count': 0}
        values: dict[str, Any] = jsonable(
            {
                'schema_version': SCHEMA_VERSION,
                'suite': self.suite,
                'planner': self.planner,
                'model': self.model,
                'seed': self.seed,
                'through': self.through,
                'complete': self.is_complete,
                'episodes_requested': self.episodes_requested,
                'success_rate': self.success_rate,
                'successes': self.successes,
                'interval': None if interval is None else [interval.low, interval.high],
                'plan_ms': nothing if times is None else dataclasses.asdict(times),
                'wall_s': self.wall_s,
                'device': self.device,
                'versions': dict(self.versions),
                'config': dict(self.config),
                'episodes': [dataclasses.asdict(record) for record in self.episodes],
            }
        )
        return values

    def write(self, path: Path) -> None:
        """Write the report; a reader never sees half a file, and a crash leaves the former one."""
        write_json(path, self.as_json())


def jsonable(value: Any) -> Any:
    """Return ``value`` in JSON types: tuples as lists, paths as text, NaN and infinity as None."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return jsonable(dataclasses.asdict(value))
    return str(value)


def _restored(value: Any) -> Any:
    """Return a field's value as it was before ``jsonable``."""
    if isinstance(value, list):
        return tuple(math.nan if item is None else item for item in value)
    return value


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` to ``path`` in one go; parent folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'.{path.name}.partial')
    partial.write_text(json.dumps(jsonable(value), indent=2, allow_nan=False) + '\n')
    os.replace(partial, path)


def installed_versions() -> dict[str, str | None]:
    """Return the versions that a figure depends on; None for what is not installed."""
    found: dict[str, str | None] = {'wm_planner': __version__, 'python': platform.python_version()}
    for name in ('torch', 'mujoco', 'numpy', 'rclpy', 'robosuite', 'vla-arena'):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def describe_machine() -> str:
    """Return processor architecture and the number of cores this process may use."""
    return f'{platform.machine()}, {usable_cores()} cores'


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
