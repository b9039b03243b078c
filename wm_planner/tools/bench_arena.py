# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Benchmark of VLA-Arena without a model: whole episodes, steps, pictures and resets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
import os
import time
from typing import Protocol, runtime_checkable

from wm_planner.core.protocols import Environment
from wm_planner.core.types import ArmCommand
from wm_planner.evaluation.environments import SuiteName, expand_suite, open_environment
from wm_planner.tools.measurement import Measurement

PLAN_STEP_S = 0.25
EPISODE_S = 15.0
"""300 control steps of 50 ms."""


@runtime_checkable
class TimesResets(Protocol):
    """An environment that says what its last reset spent its time on."""

    @property
    def reset_milliseconds(self) -> Mapping[str, float]:
        """Return milliseconds by part."""


@contextmanager
def variables_set(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def measure_arena(
    suite: str, *, episodes: int, resets: int, side_px: int, camera: str
) -> list[Measurement]:
    """Measure a task: episodes of 300 control steps with one camera at 4 Hz, and resets.

    ``suite`` is as users write it; of several tasks the first is taken. The arm goes back and
    forth, so that servo and controller work. Raises MissingAssetError where there is no task.
    """
    settings = {
        'WM_PLANNER_ARENA_GOALS': 'none',
        'WM_PLANNER_ARENA_HAS_WRIST_CAMERA': 'false',
        'WM_PLANNER_ARENA_CAMERA': camera,
        'WM_PLANNER_ARENA_IMAGE_WIDTH': str(side_px),
        'WM_PLANNER_ARENA_IMAGE_HEIGHT': str(side_px),
    }
    with variables_set(settings):
        task = expand_suite(SuiteName.parse_prefix(suite))[0]
        environment = open_environment(task)
        try:
            return _measure(environment, task, episodes, resets, side_px)
        finally:
            environment.close()


def _measure(
    environment: Environment, task: SuiteName, episodes: int, resets: int, side_px: int
) -> list[Measurement]:
    begin = time.perf_counter()
    environment.reset(task.suite, seed=0, episode=0)
    first_s = time.perf_counter() - begin
    parts: dict[str, list[float]] = {'whole': []}
    for episode in range(1, resets + 1):
        begin = time.perf_counter()
        environment.reset(task.suite, seed=0, episode=episode)
        parts['whole'].append((time.perf_counter() - begin) * 1e3)
        if isinstance(environment, TimesResets):
            for name, value in environment.reset_milliseconds.items():
                parts.setdefault(name, []).append(value)
    seconds = [_episode_s(environment, task, episode) for episode in range(episodes)]
    what = {
        'whole': 'reset after the first, as a whole',
        'engine': '... of that: the engine, to an initial state',
        'settling': '... of that: the 10 settling steps of the protocol',
        'picture': f'... of that: one picture of {side_px}x{side_px} px',
    }
    return [
        Measurement(
            name='episode',
            what=f'episode of 300 control steps, one {side_px}x{side_px} camera at 4 Hz, no model',
            unit='s',
            values=seconds,
        ),
        Measurement(name='first_reset', what='first reset: building', unit='s', values=[first_s]),
        *(
            Measurement(name=f'reset_{name}', what=what.get(name, name), unit='ms', values=values)
            for name, values in parts.items()
        ),
    ]


def _episode_s(environment: Environment, task: SuiteName, episode: int) -> float:
    """Return the wall time of one whole episode [s], its reset included."""
    begin = time.perf_counter()
    state = environment.reset(task.suite, seed=0, episode=episode).observation.state
    for number in range(round(EPISODE_S / PLAN_STEP_S)):
        offset_m = [0.04 * (-1) ** number, 0.0, 0.0]
        command = ArmCommand(
            stamp_ns=state.stamp_ns,
            position_m=state.position_m + offset_m,
            quaternion_xyzw=state.quaternion_xyzw,
            gripper_closedness=0.0,
        )
        if environment.step(command, PLAN_STEP_S).is_over:
            break
    return time.perf_counter() - begin
