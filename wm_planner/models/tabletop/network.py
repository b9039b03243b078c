# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The tabletop model's network: a convolutional encoder, a residual action-conditioned MLP.

One token a frame (N = 1). The heads after the predictor exist for training only: the readout of the
robot's own state and the inverse dynamics shape the latent, and no plan is made with them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wm_planner.models.tabletop.config import TabletopModelConfig


class Encoder(nn.Module):
    """Pictures [B, 3, s, s] in [-0.5, 0.5] to latents [B, D]."""

    def __init__(self, config: TabletopModelConfig) -> None:
        super().__init__()
        width = config.channels
        self.convolutions = nn.Sequential(
            nn.Conv2d(3, width, kernel_size=6, stride=4, padding=1),  # s -> s/4
            nn.GELU(),
            nn.Conv2d(width, 64, kernel_size=3, stride=2, padding=1),  # -> s/8
            nn.GELU(),
            nn.Conv2d(64, 64, kernel_size=3, padding=1),
            nn.GELU(),
            nn.Conv2d(64, 32, kernel_size=1),
            nn.GELU(),
        )
        cells = (config.image_size // 8) ** 2
        self.head = nn.Sequential(
            nn.Flatten(),  # [B, 32 * cells]: keeps where things are, which pooling would lose
            nn.Linear(32 * cells, config.hidden),
            nn.BatchNorm1d(config.hidden),
            nn.GELU(),
            nn.Linear(config.hidden, config.latent_size),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Return latents [B, D]."""
        latents: Tensor = self.head(self.convolutions(pictures))
        return latents


class Block(nn.Module):
    """A residual block whose normalised input is scaled and shifted by the action (FiLM)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.film = nn.Linear(width, 2 * width)
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return x [B, W] after the block, conditioned on [B, W]."""
        scale, shift = self.film(condition).chunk(2, dim=-1)
        update: Tensor = self.mlp(self.norm(x) * (1.0 + scale) + shift)
        return x + update


class Predictor(nn.Module):
    """Next latent from latent [B, D] and action [B, A] scaled to [-1, 1]: z' = z + f(z, a)."""

    def __init__(self, config: TabletopModelConfig) -> None:
        super().__init__()
        width = config.predictor_width
        self.latent_in = nn.Linear(config.latent_size, width)
        self.action_in = nn.Sequential(nn.Linear(config.actions, width), nn.GELU())
        self.blocks = nn.ModuleList(Block(width) for _ in range(config.predictor_blocks))
        self.latent_out = nn.Linear(width, config.latent_size)

    def forward(self, latent: Tensor, action: Tensor) -> Tensor:
        """Return the latents [B, D] one step later."""
        condition = self.action_in(action)
        x = self.latent_in(latent)
        for block in self.blocks:
            x = block(x, condition)
        change: Tensor = self.latent_out(F.gelu(x))
        return latent + change


class TabletopNetwork(nn.Module):
    """Encoder, predictor, and the two heads that only training uses."""

    def __init__(self, config: TabletopModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.predictor = Predictor(config)
        self.readout = nn.Linear(config.latent_size, config.readouts)
        self.inverse = nn.Sequential(
            nn.Linear(2 * config.latent_size, 128),
            nn.GELU(),
            nn.Linear(128, config.actions),
        )


def to_network_input(images: Tensor, size: int) -> Tensor:
    """Return pictures [B, 3, size, size] in [-0.5, 0.5] from uint8 RGB images [B, H, W, 3].

    Central square crop, then area averaging: every source pixel counts, so that a 480-pixel camera
    and a 128-pixel one with the same vertical field of view give nearly the same input.
    """
    height, width = images.shape[1:3]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = images[:, top : top + side, left : left + side].permute(0, 3, 1, 2).float()
    if side != size:
        square = F.interpolate(square, size=(size, size), mode='area')
    return square / 255.0 - 0.5


def parameter_count(module: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(p.numel() for p in module.parameters())


def check_finite(module: nn.Module) -> list[str]:
    """Return the names of parameters and buffers that hold NaN or infinity."""
    return [n for n, t in module.state_dict().items() if not bool(torch.isfinite(t.float()).all())]
