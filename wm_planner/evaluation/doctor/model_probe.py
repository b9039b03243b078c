# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What the doctor finds out about a world model on this machine: weights, memory, plan times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
import statistics
import time
from typing import Any

import numpy as np
import torch

from wm_planner.control.executor import ExecutorConfig
from wm_planner.core.errors import WmPlannerError, as_wm_planner_error
from wm_planner.core.protocols import MemoryBound, WorldModel
from wm_planner.core.types import Goal, Image, Observation, Plan, RobotState
from wm_planner.evaluation.doctor.picture_checks import ModelInput
from wm_planner.evaluation.doctor.planning_checks import CheckpointSample, PlanSample
from wm_planner.evaluation.settings import PlannerChoice
from wm_planner.factory import resolve_planning_config
from wm_planner.models.registry import load_model
from wm_planner.models.tabletop.checkpoint import (
    SHIPPED_WEIGHTS,
    ModelCard,
    card_path,
    shipped_weights,
)
from wm_planner.models.vjepa2_ac.checkpoint import read_manifest
from wm_planner.models.vjepa2_ac.config import Architecture
from wm_planner.models.vjepa2_ac.memory import free_bytes
from wm_planner.models.vjepa2_ac.preprocessing import crop_box
from wm_planner.planning.registry import PlanningConfig, make_world_model_planner

_ELEMENT_BYTES = 2  # bfloat16, what V-JEPA 2-AC has on a GPU
_FIRST_SAMPLES = 4
_LONG_ENOUGH_S = 0.3
_MEASURED_BELOW_S = 3.0
_ROUNDS = 3


@dataclass(frozen=True, kw_only=True)
class PlanTrial:
    """Plan times, and how far the goal is from here by the model's own energy."""

    time: PlanSample
    goal_energy: float
    goal_tolerance: float


def choose_device(name: str) -> torch.device:
    """Return the device that ``auto``, ``cpu`` or ``cuda`` stands for, as the planner node does."""
    if name == 'auto':
        name = 'cuda' if torch.cuda.is_available() else 'cpu'
    return torch.device(name)


def model_input(choice: PlannerChoice, image: Image) -> ModelInput:
    """Return what the chosen world model sees of a picture; without loading its weights."""
    height, width = image.shape[:2]
    settings: Mapping[str, Any] = choice.settings().model
    weights = str(settings.get('weights', ''))
    if choice.model == 'vjepa2_ac':
        size = Architecture().image_size
        if weights and Path(weights).is_file():
            size = read_manifest(Path(weights)).architecture.image_size
        crop = str(settings.get('crop', 'square'))
    elif choice.model == 'tabletop':
        file = shipped_weights(weights) if weights else SHIPPED_WEIGHTS
        size, crop = ModelCard.load(card_path(file)).architecture.image_size, 'square'
    else:  # a model of somebody else's: all of the picture, as it is
        return ModelInput(size_px=min(height, width), box=(0, 0, height, width))
    return ModelInput(size_px=size, box=crop_box(height, width, crop))


def probe_checkpoint(
    choice: PlannerChoice, device: torch.device
) -> tuple[CheckpointSample, WorldModel | None]:
    """Return what is known of the weights, and the model where it could be loaded.

    Weights that cannot fit are not loaded: a machine that swaps is no use to anybody.
    """
    weights = str(choice.settings().model.get('weights', ''))
    file = weights or f'the weights of {choice.model} that ship'
    sample = CheckpointSample(model=choice.model, file=file, device=str(device))
    if device.type == 'cuda' and not torch.cuda.is_available():
        return replace(sample, problem='there is no CUDA GPU on this machine.'), None
    try:
        need = needed_bytes(choice, device)
        sample = replace(sample, need_bytes=need, free_bytes=free_bytes(device))
        if need is not None and sample.free_bytes is not None and need > sample.free_bytes:
            return sample, None
        begin = time.perf_counter()
        model = load_model(choice.model, choice.settings().model, device=device)
        sample = replace(sample, load_s=time.perf_counter() - begin)
        if isinstance(model, MemoryBound):
            horizon = resolve_planning_config(
                choice.planner, choice.model, choice.settings()
            ).optimizer.horizon
            sample = replace(sample, samples_at_once=model.samples_that_fit(horizon))
        return sample, model
    except (WmPlannerError, RuntimeError, MemoryError) as error:
        return replace(sample, problem=as_wm_planner_error(error).message), None


def needed_bytes(choice: PlannerChoice, device: torch.device) -> int | None:
    """Return what the weights take on the device [bytes], None where no file says so.

    The file's own size, but that V-JEPA 2-AC is held in bfloat16 on a GPU and float32 on a CPU.
    """
    weights = str(choice.settings().model.get('weights', ''))
    if choice.model == 'vjepa2_ac' and Path(weights).is_file():
        manifest = read_manifest(Path(weights))
        parameters = sum(int(part['parameters']) for part in manifest.counts.values())
        wanted = str(choice.settings().model.get('precision', 'auto'))
        is_double = wanted == 'float32' or (wanted == 'auto' and device.type == 'cpu')
        return parameters * _ELEMENT_BYTES * (2 if is_double else 1)
    if choice.model == 'tabletop':
        file = shipped_weights(weights) if weights else SHIPPED_WEIGHTS
        return file.stat().st_size if file.is_file() else None
    return None


def try_plans(
    choice: PlannerChoice,
    model: WorldModel,
    image: Image,
    goal: Image | None,
    state: RobotState,
    device: torch.device,
) -> PlanTrial:
    """Time plans on a live picture: a small one first, whole ones where they are quick.

    Without a goal the picture itself is the goal, which costs the same. Raises what planning does.
    """
    config = resolve_planning_config(choice.planner, choice.model, choice.settings())
    wanted = Goal(goal_id='doctor', image=image if goal is None else goal)
    observation = _observation(image, state, model.context_frames)

    def timed(trial: PlanningConfig) -> tuple[float, Plan]:
        planner = make_world_model_planner(choice.planner, model, trial, device=device)
        planner.plan(observation, wanted)  # the first pays for warming up
        begin = time.perf_counter()
        plan = planner.plan(observation, wanted)
        return time.perf_counter() - begin, plan

    rollouts = config.optimizer.num_samples * config.optimizer.num_iterations
    samples = min(_FIRST_SAMPLES, config.optimizer.num_samples)
    while True:
        seconds, plan = timed(_with_samples(config, samples))
        if seconds > _LONG_ENOUGH_S or samples == config.optimizer.num_samples:
            break
        # Few sequences at once are slower each than many, so more are tried while it is quick.
        samples = min(4 * samples, config.optimizer.num_samples)
    search_s = plan.diagnostics.milliseconds.get('optimize', 1e3 * seconds) * 1e-3
    estimate_s = seconds - search_s + search_s * rollouts / max(plan.diagnostics.rollouts, 1)
    is_estimate = estimate_s > _MEASURED_BELOW_S
    if not is_estimate:
        estimate_s = statistics.median(timed(config)[0] for _ in range(_ROUNDS))
    return PlanTrial(
        time=PlanSample(
            seconds=estimate_s,
            is_estimate=is_estimate,
            rollouts=rollouts,
            limit_s=ExecutorConfig().max_plan_age_s,
            step_s=model.action_spec.step_duration_s,
        ),
        goal_energy=float('nan') if goal is None else plan.goal_energy,
        goal_tolerance=model.goal_tolerance,
    )


def _with_samples(config: PlanningConfig, samples: int) -> PlanningConfig:
    """Return the settings with one iteration of so many samples."""
    search = config.optimizer
    elites = {'num_elites': max(1, samples // 2)} if hasattr(search, 'num_elites') else {}
    smaller = replace(search, num_samples=samples, num_iterations=1, **elites)
    return replace(config, optimizer=smaller)


def _observation(image: Image, state: RobotState, frames: int) -> Observation:
    """Return an observation for timing: the same picture in each place, a step apart."""
    return Observation(
        images=np.stack([image] * frames),
        image_stamps_ns=tuple(state.stamp_ns + i for i in range(frames)),
        states=(state,) * frames,
    )
