# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a weights file can be planned with on this machine, and about how fast."""

from __future__ import annotations

from pathlib import Path
import statistics
import time
from typing import Any

import numpy as np
import torch

from wm_planner.core.errors import InvalidParameterError, ModelLoadError
from wm_planner.core.types import Goal
from wm_planner.evaluation.records import describe_machine, installed_versions
from wm_planner.factory import PlannerSettings, resolve_planning_config
from wm_planner.models.vjepa2_ac import VJepa2AcConfig, VJepa2AcWorldModel
from wm_planner.models.vjepa2_ac.checkpoint import read_manifest
from wm_planner.models.vjepa2_ac.memory import free_bytes
from wm_planner.models.vjepa2_ac.rollout import Context, bytes_per_sample
from wm_planner.planning.presets import PRESETS

_GRIPPER_DOWN = (0.45, 0.0, 0.3, np.pi, 0.0, 0.0, 0.0)
_ROUNDS = 3
_MIB, _GIB = 1 << 20, 1 << 30


def check_model(path: Path, device: str) -> dict[str, Any]:
    """Return what was found: checks in words, and estimated plan times [s] by name.

    The estimate is the measured time of one sample and step, times those a plan has. Raises what
    loading raises, ModelLoadError for weights that do not compute, and InvalidParameterError for a
    device that is not there.
    """
    place = _device(device)
    # Any camera will do here; a planner has to be told where its own stands.
    camera = (0.0,) * 6 if read_manifest(path).architecture.use_extrinsics else ()
    config = VJepa2AcConfig(weights=str(path), camera_extrinsics=camera)
    begin = time.perf_counter()
    model = VJepa2AcWorldModel.load(config, place)
    load_s = time.perf_counter() - begin
    context, goal = _encode(model)
    free = free_bytes(model.device)
    per_sample = bytes_per_sample(model.predictor, context_frames=1, horizon=1)
    seconds = _seconds_per_sample(model, context)
    return {
        'file': str(path),
        'checks': {
            'checksum, keys and shapes, finite weights': f'fine (loaded in {load_s:.1f} s)',
            'a forward pass': f'fine ({goal.shape[0]} tokens of width {goal.shape[1]})',
            'precision': str(model.predictor.predictor_embed.weight.dtype).removeprefix('torch.'),
            'compiled': model.compile_state,
            'device': f'{model.device} ({describe_machine()})',
            'memory free': 'unknown' if free is None else f'{free / _GIB:.1f} GiB',
            'memory per sample, horizon 1': f'{per_sample / _MIB:.1f} MiB',
            'samples at once, horizon 1': model.samples_that_fit(1),
            'one sample, one step': f'{seconds * 1e3:.3g} ms',
        },
        'plan_s': _plan_times(seconds),
        'versions': installed_versions(),
    }


def _device(name: str) -> torch.device:
    has_cuda = torch.cuda.is_available()
    if name == 'auto':
        name = 'cuda' if has_cuda else 'cpu'
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InvalidParameterError(f'device is {name!r}; valid: cpu, cuda or auto.') from error
    if device.type == 'cuda' and not has_cuda:
        raise InvalidParameterError(f'device is {name!r} and there is no CUDA GPU; valid: cpu.')
    return device


def _encode(model: VJepa2AcWorldModel) -> tuple[Context, torch.Tensor]:
    size = model.predictor.architecture.image_size
    noise = np.random.default_rng(0)
    images = noise.integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    context = model.encode_frames(images[:1], [_GRIPPER_DOWN])
    goal = model.encode_goal(Goal(goal_id='check', image=images[1]))
    predicted = model.rollout(context, torch.zeros(2, 2, 7))
    if not all(bool(torch.isfinite(t).all()) for t in (context.tokens, goal, predicted)):
        raise ModelLoadError('the networks return NaN or infinity; valid: finite tokens.')
    return context, goal


def _seconds_per_sample(model: VJepa2AcWorldModel, context: Context) -> float:
    """Return the median time of one sample and step [s], in batches as large as a plan's."""
    wanted = 256 if model.device.type == 'cuda' else 8
    batch = min(wanted, model.samples_that_fit(1))
    seconds = []
    for _ in range(1 + _ROUNDS):
        begin = time.perf_counter()
        model.rollout(context, torch.zeros(batch, 1, 7))[-1, -1, -1, -1].item()  # waits for it
        seconds.append((time.perf_counter() - begin) / batch)
    return statistics.median(seconds[1:])


def _plan_times(seconds: float) -> dict[str, float]:
    times = {}
    for preset in ('', *PRESETS):
        config = resolve_planning_config('cem', 'vjepa2_ac', PlannerSettings(preset=preset))
        search = config.optimizer
        steps = search.num_samples * search.num_iterations * search.horizon
        name = (
            f'{preset or "default"}, {search.num_samples} x {search.num_iterations} x '
            f'{search.horizon}'
        )
        times[name] = seconds * steps
    return times
