# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Losses for latent world models."""

from __future__ import annotations

import torch
from torch import Tensor


def sigreg(latents: Tensor, generator: torch.Generator, *, projections: int = 256) -> Tensor:
    """Return how far latents [B, D] are from an isotropic standard Gaussian (a scalar).

    Sketched Isotropic Gaussian Regularisation (LeJEPA, arXiv 2511.08544): along random directions,
    the Epps-Pulley distance between the empirical characteristic function and exp(-t^2 / 2), with a
    Gaussian window. It keeps latents from collapsing with no negative pairs and no target network.
    """
    directions = torch.randn(
        latents.shape[1], projections, generator=generator, device=generator.device
    ).to(latents)
    directions = directions / directions.norm(dim=0, keepdim=True)
    projected = latents @ directions  # [B, P]
    t = torch.linspace(0.2, 4.0, 17, device=latents.device, dtype=latents.dtype)
    window = torch.exp(-0.5 * t**2)  # both the target's characteristic function and the weight
    angles = projected.unsqueeze(-1) * t  # [B, P, 17]
    error = (angles.cos().mean(0) - window).square() + angles.sin().mean(0).square()  # [P, 17]
    statistic: Tensor = (error * window).sum(-1).mean() * latents.shape[0] * (t[1] - t[0])
    return statistic
