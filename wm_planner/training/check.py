# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What a trained tabletop model knows, measured on held-out episodes, and its goal tolerance."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from wm_planner.training.datasets import Dataset
from wm_planner.training.trainer import Trainer

ROLLOUT_STEPS = 3
NEAR_M = 0.035
"""A pair of frames whose tools are this near counts as the same place when the goal tolerance is
calibrated: a little inside the 4 cm that V-JEPA 2-AC reports for reaching."""


@torch.inference_mode()
def check(trainer: Trainer, held_out: Dataset) -> dict[str, Any]:
    """Return measured facts: readout errors, object probe, rollout error, calibrated tolerance.

    Object positions are probed with a linear map fitted on the first half of the held-out episodes
    and measured on the rest; it is a probe only, the model never saw them.
    """
    network = trainer.network.eval()
    latents = torch.stack([trainer.encode(images).cpu() for images in held_out.images])
    readouts = network.readout(latents.to(trainer.device)).cpu()
    readouts = readouts * trainer.readout_std + trainer.readout_mean
    errors = (readouts - held_out.readouts).abs().mean((0, 1))
    scaled = trainer.scale_actions(held_out.actions).to(trainer.device)
    predicted = latents[:, 0].to(trainer.device)
    for step in range(ROLLOUT_STEPS):
        predicted = network.predictor(predicted, scaled[:, step])
    rollout = F.mse_loss(predicted.cpu(), latents[:, ROLLOUT_STEPS])
    stay = F.mse_loss(latents[:, 0], latents[:, ROLLOUT_STEPS])
    tolerance, share = calibrate_tolerance(latents, held_out.readouts[..., :3])
    return {
        'held_out_episodes': int(latents.shape[0]),
        'readout_mean_abs_error': [round(float(e), 4) for e in errors],
        'object_probe_mean_abs_error_m': round(object_probe_error(latents, held_out.objects), 4),
        'rollout_mse_3_steps': round(float(rollout), 4),
        'stay_mse_3_steps': round(float(stay), 4),
        'goal_tolerance': tolerance,
        'near_pairs_within_tolerance': round(share, 3),
    }


def object_probe_error(latents: Tensor, objects: Tensor) -> float:
    """Return the mean absolute error [m] of a linear map from latents to object positions."""
    half = latents.shape[0] // 2
    features = torch.cat([latents, torch.ones_like(latents[..., :1])], dim=-1)
    train_x, train_y = features[:half].flatten(0, 1), objects[:half].flatten(0, 1)
    solution = torch.linalg.lstsq(train_x, train_y).solution
    return float(
        (features[half:].flatten(0, 1) @ solution - objects[half:].flatten(0, 1)).abs().mean()
    )


def calibrate_tolerance(latents: Tensor, positions_m: Tensor) -> tuple[float, float]:
    """Return (tolerance, share of near pairs under it) from pairs of frames of one episode.

    ``latents`` [E, L, D], ``positions_m`` [E, L, 3]. The tolerance is the largest energy (mean
    squared latent difference) below which 99 % of the pairs have their tools within NEAR_M.
    """
    energies, distances = [], []
    upper = torch.triu_indices(latents.shape[1], latents.shape[1], offset=1)
    for z, p in zip(latents, positions_m, strict=True):
        energies.append((z[upper[0]] - z[upper[1]]).square().mean(-1))
        distances.append((p[upper[0]] - p[upper[1]]).norm(dim=-1))
    energy, distance = torch.cat(energies).numpy(), torch.cat(distances).numpy()
    order = np.argsort(energy)
    near = distance[order] <= NEAR_M
    precision = np.cumsum(near) / np.arange(1, near.size + 1)
    passing = np.flatnonzero(precision >= 0.99)
    if passing.size == 0:
        return float('nan'), 0.0
    tolerance = float(energy[order][passing[-1]])
    return tolerance, float((energy[distance <= NEAR_M] <= tolerance).mean())
