# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of the planner on this machine: the checkpoint fits, and a plan is done in time."""

from __future__ import annotations

from dataclasses import dataclass
import math

from wm_planner.evaluation.doctor.findings import Check, Finding, error, fine, skipped, warning

_GIB = 1 << 30


@dataclass(frozen=True, kw_only=True)
class CheckpointSample:
    """A world model's weights and the device they are to go on; None where nobody knows."""

    model: str
    file: str
    device: str
    problem: str = ''  # why they cannot be read or loaded
    need_bytes: int | None = None  # weights and one action sequence
    free_bytes: int | None = None
    samples_at_once: int | None = None
    load_s: float = math.nan


@dataclass(frozen=True, kw_only=True)
class PlanSample:
    """How long plans take: measured where they were done, else estimated from a part of one."""

    seconds: float
    is_estimate: bool
    rollouts: int
    limit_s: float  # age at which the executor drops a plan
    step_s: float


def check_checkpoint(sample: CheckpointSample) -> list[Finding]:
    """10: whether the weights are whole and fit the device."""
    if sample.problem:
        return [
            error(
                Check.CHECKPOINT,
                f'{sample.model}: {sample.problem}',
                'get the file again, or convert it: wm_planner model convert.',
            )
        ]
    need, free = sample.need_bytes, sample.free_bytes
    if need is not None and free is not None and need > free:
        return [
            error(
                Check.CHECKPOINT,
                f'{sample.file} needs {need / _GIB:.1f} GiB and {sample.device} has '
                f'{free / _GIB:.1f} GiB free.',
                'close what else uses the device, convert to bfloat16 (wm_planner model convert), '
                'or take a device with more memory.',
            )
        ]
    words = [f'{sample.file} on {sample.device}']
    if need is not None and free is not None:
        words.append(f'{need / _GIB:.2f} of {free / _GIB:.1f} GiB free')
    if sample.samples_at_once is not None:
        words.append(f'{sample.samples_at_once} sequences at once')
    if not math.isnan(sample.load_s):
        words.append(f'loaded in {sample.load_s:.1f} s')
    return [fine(Check.CHECKPOINT, ', '.join(words))]


def check_plan_time(sample: PlanSample | None) -> list[Finding]:
    """11: whether a plan is done before it is too old to be carried out."""
    if sample is None:
        return [skipped(Check.PLAN_TIME, 'not measured: no picture, or no world model')]
    how = 'about ' if sample.is_estimate else ''
    what = f'a plan takes {how}{sample.seconds:.3g} s ({sample.rollouts} rollouts)'
    if sample.seconds > sample.limit_s:
        return [
            error(
                Check.PLAN_TIME,
                f'{what}; dropped as too old after {sample.limit_s:g} s (executor.max_plan_age_s).',
                'use a GPU, preset:=realtime, or planning.deadline_s below that limit.',
            )
        ]
    if sample.seconds > 4.0 * sample.step_s:
        return [
            warning(
                Check.PLAN_TIME,
                f'{what}, {sample.seconds / sample.step_s:.0f} steps of {sample.step_s:g} s: the '
                'arm waits most of the time.',
                'use a GPU, preset:=realtime, or planning.deadline_s.',
            )
        ]
    return [fine(Check.PLAN_TIME, what)]
