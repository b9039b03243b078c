# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Three-axis rotary position tables of V-JEPA 2, precomputed.

Inside a head the channels are [time | height | width | untouched], each axis
``m = 2 * (head_width // 3 // 2)`` wide with frequencies ``10000 ** (-i / (m / 2))``. A channel pair
``(x0, x1)`` with angles becomes ``x * cos + (-x1, x0) * sin``.

Where a pair's two channels should share one angle, the released code repeats the list of angles as
a whole instead (``[a0 .. a9, a0 .. a9]``), so the pairs hold different angles and the map is no
rotation. The published weights were trained with that ('tiled'; facebookresearch/vjepa2 PR 15) and
only work with it; V-JEPA 2.1 was trained with the corrected form ('interleaved').
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from wm_planner.models.vjepa2_ac.config import TransformerConfig

_BASE = 10000.0


class Rotary(NamedTuple):
    """Tables for a row of tokens: ``cos`` [T, head_width] and ``sin``, its sign already in it."""

    cos: Tensor
    sin: Tensor

    def rows(self, start: int, end: int) -> Rotary:
        """Return the tables of the tokens from ``start`` up to ``end``."""
        return Rotary(self.cos[start:end], self.sin[start:end])


def rotate(x: Tensor, rotary: Rotary) -> Tensor:
    """Return x [B, T, 2, heads, head_width], queries and keys, rotated; in x's own precision."""
    swapped = torch.empty_like(x)  # (x1, x0) of each pair; the minus stands in the table
    swapped[..., 0::2] = x[..., 1::2]
    swapped[..., 1::2] = x[..., 0::2]
    cos, sin = rotary.cos[:, None, None], rotary.sin[:, None, None]  # [T, 1, 1, head_width]
    return torch.addcmul(x * cos, swapped, sin).to(x.dtype)


def video_rotary(
    config: TransformerConfig, *, frames: int, grid: int, device: torch.device
) -> Rotary:
    """Return the tables of an encoder: ``frames`` x ``grid`` x ``grid`` patch tokens, in order."""
    return _tables(config, _patch_positions(frames, grid, config.rope_grid), device)


def action_rotary(
    config: TransformerConfig, *, frames: int, grid: int, conditions: int, device: torch.device
) -> Rotary:
    """Return the tables of a predictor whose frames are [conditions, patches].

    A condition token (action, state, extrinsics) rotates along time alone.
    """
    patches = _patch_positions(frames, grid, config.rope_grid).view(frames, grid * grid, 3)
    first = torch.zeros(frames, conditions, 3, dtype=torch.float64)
    first[:, :, 0] = torch.arange(frames, dtype=torch.float64)[:, None]
    return _tables(config, torch.cat([first, patches], dim=1).flatten(0, 1), device)


def _patch_positions(frames: int, grid: int, rope_grid: int) -> Tensor:
    """Return (time, height, width) [frames * grid * grid, 3] of each patch."""
    stretch = (rope_grid - 1) / (grid - 1) if rope_grid and grid > 1 else 1.0
    side = torch.arange(grid, dtype=torch.float64) * stretch
    time = torch.arange(frames, dtype=torch.float64)
    return torch.cartesian_prod(time, side, side)


def _tables(config: TransformerConfig, positions: Tensor, device: torch.device) -> Rotary:
    """Return cosines and signed sines for ``positions`` [T, 3], computed in double precision."""
    pairs = config.head_width // 3 // 2
    frequencies = _BASE ** (-torch.arange(pairs, dtype=torch.float64) / pairs)
    angles = []
    for axis in range(3):
        angle = positions[:, axis : axis + 1] * frequencies  # [T, pairs]
        if config.rope == 'tiled':
            angles.append(angle.repeat(1, 2))
        else:
            angles.append(angle.repeat_interleave(2, dim=1))
    untouched = positions.new_zeros(positions.shape[0], config.head_width - 6 * pairs)
    angle = torch.cat([*angles, untouched], dim=1)  # an angle of 0 leaves a channel as it is
    sign = torch.tensor([-1.0, 1.0], dtype=torch.float64).repeat(config.head_width // 2)
    return Rotary(angle.cos().float().to(device), (angle.sin() * sign).float().to(device))
