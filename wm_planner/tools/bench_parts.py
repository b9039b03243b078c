# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of parts in this process: a plan, and what becomes of a camera frame."""

from __future__ import annotations

import time

import numpy as np

from wm_planner.control.frame_buffer import FrameBuffer, FrameBufferConfig
from wm_planner.core.paths import robot_profile_file
from wm_planner.core.profile import RobotProfile
from wm_planner.core.types import EpisodeStart, Image
from wm_planner.evaluation.environments import SuiteName, open_environment
from wm_planner.factory import PlannerSettings, make_planner
from wm_planner.ros.images import image_to_message
from wm_planner.ros.ingest import Ingest
from wm_planner.ros.stamps import stamp_from_ns
from wm_planner.tools.measurement import Measurement

SAMPLES, ITERATIONS, HORIZON = 256, 4, 3
FRAME_WIDTH, FRAME_HEIGHT, FRAME_RATE_HZ = 640, 480, 30
_WARM_UP = 3


def measure_plan(count: int, *, device: str, samples: int = SAMPLES) -> Measurement:
    """Time ``count`` plans of the shipped model from pictures of the simulator, warm-started."""
    settings = PlannerSettings(
        optimizer={
            'num_samples': samples,
            'num_elites': max(1, samples // 10),
            'num_iterations': ITERATIONS,
            'horizon': HORIZON,
        }
    )
    planner = make_planner('cem', 'tabletop', settings, device=device)
    start = _start_of_reach()
    planner.prepare_goal(start.goals[-1])
    milliseconds = []
    for number in range(_WARM_UP + count):
        begin_ns = time.perf_counter_ns()
        planner.plan(start.observation, start.goals[-1], executed_steps=1 if number else 0)
        milliseconds.append((time.perf_counter_ns() - begin_ns) * 1e-6)
    return Measurement(
        name='plan',
        what=f'plan, {samples} samples x {ITERATIONS} iterations x horizon {HORIZON}, encoding '
        'included',
        unit='ms',
        values=milliseconds[_WARM_UP:],
    )


def measure_deadline(count: int, *, planner: str, deadline_s: float, device: str) -> Measurement:
    """Time ``count`` plans that would take far longer than their deadline.

    256 samples x 1000 iterations x horizon 3 of the shipped model, rolled out 64 at a time.
    """
    settings = PlannerSettings(
        optimizer={'num_samples': SAMPLES, 'num_iterations': 1000, 'horizon': HORIZON},
        planner={'max_samples_per_chunk': 64, 'deadline_s': deadline_s},
    )
    made = make_planner(planner, 'tabletop', settings, device=device)
    start = _start_of_reach()
    made.prepare_goal(start.goals[-1])
    milliseconds = []
    for number in range(_WARM_UP + count):
        begin_ns = time.perf_counter_ns()
        made.plan(start.observation, start.goals[-1], executed_steps=1 if number else 0)
        milliseconds.append((time.perf_counter_ns() - begin_ns) * 1e-6)
    return Measurement(
        name=f'deadline_{planner}',
        what=f'{planner}, plan with a deadline of {deadline_s * 1e3:g} ms',
        unit='ms',
        values=milliseconds[_WARM_UP:],
    )


def _start_of_reach() -> EpisodeStart:
    environment = open_environment(SuiteName('tabletop', 'reach'))
    try:
        return environment.reset('reach', seed=0, episode=0)
    finally:
        environment.close()


class _TickingClock:
    """Simulated time that is set by hand; the Clock protocol."""

    def __init__(self) -> None:
        self.time_ns = 1_000_000_000

    def now_ns(self) -> int:
        return self.time_ns

    def monotonic_ns(self) -> int:
        return self.time_ns


def _a_scene() -> Image:
    """Return a frame with shades and edges: noise would be refused as what no camera shows."""
    across = np.linspace(0, 255, FRAME_WIDTH)
    down = np.linspace(0, 255, FRAME_HEIGHT)[:, None]
    picture = np.empty((FRAME_HEIGHT, FRAME_WIDTH, 3), np.uint8)
    picture[..., 0], picture[..., 1], picture[..., 2] = across, down, (across + down) / 2.0
    picture[FRAME_HEIGHT // 3 : FRAME_HEIGHT // 2, FRAME_WIDTH // 3 : FRAME_WIDTH // 2] = 230
    return picture


def measure_image_callback(count: int, *, robot: str = 'panda_sim') -> Measurement:
    """Time the planner node's image callback: conversion, checks, and the push into the buffer."""
    profile = RobotProfile.from_yaml(robot_profile_file(robot))
    clock = _TickingClock()
    config = FrameBufferConfig()
    ingest = Ingest(FrameBuffer(config, context_frames=1), profile, clock, config)
    message = image_to_message(_a_scene(), frame_id=profile.camera_frame)
    milliseconds = []
    for _ in range(_WARM_UP + count):
        clock.time_ns += round(1e9 / FRAME_RATE_HZ)
        message.header.stamp = stamp_from_ns(clock.time_ns)
        begin_ns = time.perf_counter_ns()
        ingest.on_image(message)
        milliseconds.append((time.perf_counter_ns() - begin_ns) * 1e-6)
    return Measurement(
        name='image_callback',
        what=f'image callback, {FRAME_WIDTH}x{FRAME_HEIGHT} rgb8 (conversion and buffer)',
        unit='ms',
        values=milliseconds[_WARM_UP:],
    )
