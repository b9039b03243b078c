# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""V-JEPA 2-AC small enough for a test: seeded networks, weights files, trainer's checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wm_planner.models.vjepa2_ac import Architecture, VJepa2AcConfig, VJepa2AcWorldModel
from wm_planner.models.vjepa2_ac.checkpoint import write_weights
from wm_planner.models.vjepa2_ac.config import transformer
from wm_planner.models.vjepa2_ac.conversion import Hints
from wm_planner.models.vjepa2_ac.network import Encoder, Predictor

TINY = Architecture(
    encoder=transformer(48, 2, 3),
    predictor=transformer(32, 2, 2),
    image_size=64,
)
"""Heads of 16 channels, of which rotary positions leave 4 untouched; 4 x 4 tokens a frame."""

HINTS = Hints(encoder_heads=3, predictor_heads=2, image_size=64)
"""What a conversion has to be told of TINY."""

CONVERT_OPTIONS = ('--encoder-heads', '3', '--predictor-heads', '2', '--image-size', '64')
"""The same on the command line."""

CPU = torch.device('cpu')

States = dict[str, dict[str, Tensor]]


def tiny_networks(architecture: Architecture = TINY, seed: int = 0) -> tuple[Encoder, Predictor]:
    """Return seeded networks whose every parameter matters."""
    networks = Encoder(architecture), Predictor(architecture)
    generator = torch.Generator().manual_seed(seed)
    for network in networks:
        for name, weight in network.named_parameters():
            _fill(name, weight, generator)
        network.eval().requires_grad_(False)
    return networks


def tiny_model(
    architecture: Architecture = TINY,
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    **settings: Any,
) -> VJepa2AcWorldModel:
    """Return a model made in memory; ``settings`` are of VJepa2AcConfig."""
    encoder, predictor = tiny_networks(architecture, seed)
    config = VJepa2AcConfig(**settings)
    return VJepa2AcWorldModel(encoder.to(dtype), predictor.to(dtype), config, device=CPU)


def tiny_states(architecture: Architecture = TINY, seed: int = 0) -> States:
    """Return the state dicts of encoder and predictor."""
    encoder, predictor = tiny_networks(architecture, seed)
    return {'encoder': encoder.state_dict(), 'predictor': predictor.state_dict()}


def write_tiny_weights(
    path: Path, architecture: Architecture = TINY, *, dtype: str = 'float32', seed: int = 0
) -> Path:
    """Write a converted file; return its path."""
    states = tiny_states(architecture, seed)
    write_weights(states, path, architecture=architecture, dtype=dtype, source={})
    return path


def trainer_checkpoint(states: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Any]:
    """Return what the trainer saves: the keys and prefixes of facebookresearch/vjepa2."""
    encoder = {f'module.backbone.{name}': t for name, t in states['encoder'].items()}
    encoder['module.backbone.pos_embed'] = torch.zeros(1, 16, 48)
    predictor = {f'module.{name}': t for name, t in states['predictor'].items()}
    moments = [torch.zeros_like(t) for t in predictor.values()]
    return {
        'encoder': encoder,
        'predictor': predictor,
        'opt': {
            'state': {i: {'exp_avg': m, 'exp_avg_sq': m + 1.0} for i, m in enumerate(moments)},
            'param_groups': [{'lr': 4.25e-4, 'params': list(range(len(moments)))}],
        },
        'scaler': {'scale': 65536.0, 'growth_factor': 2.0},
        'target_encoder': {name: t.clone() for name, t in encoder.items()},
        'epoch': 315,
        'loss': 0.5,
        'batch_size': 8,
        'world_size': 32,
        'lr': 4.25e-4,
    }


def write_checkpoint(path: Path, states: Mapping[str, Mapping[str, Tensor]] | None = None) -> Path:
    """Write a trainer's checkpoint of ``states``, by default those of TINY; return its path."""
    torch.save(trainer_checkpoint(states or tiny_states()), path)
    return path


def _fill(name: str, weight: nn.Parameter, generator: torch.Generator) -> None:
    noise = torch.randn(weight.shape, generator=generator)
    with torch.no_grad():
        if weight.ndim == 1:  # biases, and the weights of norms
            is_norm = 'norm' in name and name.endswith('weight')
            weight.copy_(0.1 * noise + float(is_norm))
        elif name.startswith('action_encoder'):  # actions are centimetres and tenths of radians
            weight.copy_(4.0 * noise)
        else:
            weight.copy_(noise * weight[0].numel() ** -0.5)
