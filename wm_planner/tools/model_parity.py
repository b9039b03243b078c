# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Agreement of V-JEPA 2-AC with its reference, plans included, as a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wm_planner.core.types import ActionSpec
from wm_planner.evaluation.records import installed_versions
from wm_planner.models.vjepa2_ac import VJepa2AcWorldModel
from wm_planner.models.vjepa2_ac.model import ACTION_NAMES
from wm_planner.models.vjepa2_ac.parity import (
    ACTION_BOUND,
    Agreement,
    Golden,
    Group,
    agreement,
    compare,
)
from wm_planner.planning.cem import CemConfig, CemOptimizer
from wm_planner.planning.objectives import ObjectiveConfig, make_objective
from wm_planner.planning.shooting import ChunkSize, ShootingEnergy

_REFERENCE_GRIPPER_REACH = 0.75


def parity_report(path: Path) -> dict[str, Any]:
    """Compare all that a golden file holds; return the report, ``ok`` telling whether all agree.

    Raises ModelLoadError for a file of another kind.
    """
    golden = Golden.load(path)
    model = golden.load_model()
    found = [*compare(golden, model), *compare_plans(golden, model)]
    return {
        'file': str(path),
        'ok': all(agreement.is_within for agreement in found),
        'groups': {
            item.group: {
                'max_difference': item.max_difference,
                'bound': item.bound,
                'ok': item.is_within,
            }
            for item in found
        },
        'versions': installed_versions(),
    }


@torch.inference_mode()
def compare_plans(golden: Golden, model: VJepa2AcWorldModel) -> Iterator[Agreement]:
    """Yield the agreement of each plan from the reference's settings and draws."""
    for name in golden.members('cem'):
        case, settings = golden.group(f'cem/{name}'), golden.group(f'cem/{name}/setting')
        found = reference_plan(
            model,
            case,
            Group(settings.name, {key: float(value) for key, value in settings.items()}),
            draws=case['noise'],
        )
        yield agreement(f'cem/{name}', found, case['action'], ACTION_BOUND)


def reference_plan(
    model: VJepa2AcWorldModel,
    case: Mapping[str, Tensor],
    settings: Mapping[str, float],
    *,
    draws: Tensor,
) -> Tensor:
    """Return the actions [H, 7] that CEM in reference mode finds from recorded ``draws``.

    ``case`` holds context_tokens [N, D], context_pose [7] and goal_tokens [N, D]; ``settings`` are
    named as the reference's arguments; ``draws`` [iterations, H, S, 4] are standard normal.
    """
    config = CemConfig(
        reference=True,
        num_samples=int(settings['samples']),
        num_elites=int(settings['topk']),
        num_iterations=int(settings['cem_steps']),
        horizon=int(settings['rollout']),
        momentum_mean=settings['momentum_mean'],
        momentum_std=settings['momentum_std'],
        close_gripper_step=int(settings.get('close_gripper', -1)),
    )
    remaining = iter(draws.flatten(0, 1))  # one [S, 4] an iteration and step, in order
    optimizer = CemOptimizer(
        config, device=model.device, normal=lambda shape, generator: next(remaining)
    )
    objective = make_objective(ObjectiveConfig(name='l1'), horizon=config.horizon)
    state = model.context(case['context_tokens'][None], case['context_pose'][None].cpu().numpy())
    energy = ShootingEnergy(
        model,
        objective,
        state=state,
        goal_latent=case['goal_tokens'],
        chunk_size=ChunkSize(),
    )
    found: Tensor = optimizer.minimize(
        energy,
        reference_spec(settings['maxnorm']),
        init_mean=None,
        generator=torch.Generator(device=model.device),
        should_stop=lambda: None,
    ).actions
    return found


def reference_spec(max_delta_m: float) -> ActionSpec:
    """Return the reference's action space: a box of displacements, no rotation, the gripper."""
    reach = np.array([*(max_delta_m,) * 3, 0.0, 0.0, 0.0, _REFERENCE_GRIPPER_REACH])
    return ActionSpec(low=-reach, high=reach, names=ACTION_NAMES, step_duration_s=1.0)
