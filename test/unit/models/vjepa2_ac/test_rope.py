# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Rotary positions against the formula written out again, one number at a time."""

from __future__ import annotations

from dataclasses import replace
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from fakes.vjepa2 import CPU
from wm_planner.models.vjepa2_ac.config import TransformerConfig, transformer
from wm_planner.models.vjepa2_ac.rope import Rotary, action_rotary, rotate, video_rotary

HEADS_OF = {16: transformer(32, 1, 2), 64: transformer(128, 1, 2), 88: transformer(176, 1, 2)}


def rotated_by_hand(vector: list[float], position: tuple[float, ...], form: str) -> list[float]:
    """Return one head's channels at (time, height, width), from the published formula."""
    width = len(vector)
    axis_width = 2 * (width // 3 // 2)
    pairs = axis_width // 2
    found = list(vector)
    for axis in range(3):
        for channel in range(axis_width):
            index = channel % pairs if form == 'tiled' else channel // 2
            angle = position[axis] * 10000.0 ** (-index / pairs)
            here = axis * axis_width + channel
            other = -vector[here + 1] if channel % 2 == 0 else vector[here - 1]
            found[here] = vector[here] * math.cos(angle) + other * math.sin(angle)
    return found


def some_rows(config: TransformerConfig, tokens: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, tokens, 2, config.heads, config.head_width, generator=generator)


def assert_rotated(
    config: TransformerConfig, rotary: Rotary, positions: list[tuple[float, ...]]
) -> None:
    """Compare every token, query and key, head and batch with the formula."""
    x = some_rows(config, len(positions))
    found = rotate(x, rotary)
    for batch, token, which, head in np.ndindex(*x.shape[:4]):
        row = x[batch, token, which, head].tolist()
        expected = torch.tensor(rotated_by_hand(row, positions[token], config.rope))
        assert torch.allclose(found[batch, token, which, head], expected, atol=1e-5, rtol=0.0)


@pytest.mark.parametrize('form', ['tiled', 'interleaved'])
@pytest.mark.parametrize('head_width', HEADS_OF)
def test_patches_rotate_as_the_formula_says_when_they_are_in_time_row_order(
    head_width: int, form: str
) -> None:
    config = replace(HEADS_OF[head_width], rope=form)
    positions = [(t, h, w) for t in range(2) for h in range(3) for w in range(3)]
    assert_rotated(config, video_rotary(config, frames=2, grid=3, device=CPU), positions)


@pytest.mark.parametrize('conditions', [2, 3])
def test_condition_tokens_rotate_along_time_alone_when_they_stand_before_the_patches(
    conditions: int,
) -> None:
    config = HEADS_OF[16]
    positions = [
        position
        for t in range(3)
        for position in [(t, 0, 0)] * conditions + [(t, h, w) for h in range(2) for w in range(2)]
    ]
    rotary = action_rotary(config, frames=3, grid=2, conditions=conditions, device=CPU)
    assert_rotated(config, rotary, positions)


def test_rows_and_columns_are_stretched_to_the_training_grid_when_rope_grid_is_set() -> None:
    """V-JEPA 2.1: positions times (16 - 1) / (grid - 1); time is left alone."""
    config = replace(HEADS_OF[16], rope='interleaved', rope_grid=16)
    positions = [(t, 7.5 * h, 7.5 * w) for t in range(2) for h in range(3) for w in range(3)]
    assert_rotated(config, video_rotary(config, frames=2, grid=3, device=CPU), positions)


def test_nothing_is_stretched_when_the_grid_is_that_of_training() -> None:
    config = HEADS_OF[16]
    plain = video_rotary(config, frames=2, grid=16, device=CPU)
    stretched = video_rotary(replace(config, rope_grid=16), frames=2, grid=16, device=CPU)
    assert torch.equal(plain.cos, stretched.cos) and torch.equal(plain.sin, stretched.sin)


def test_one_patch_a_side_has_position_zero_when_rope_grid_is_set() -> None:
    config = replace(HEADS_OF[16], rope_grid=16)
    rotary = video_rotary(config, frames=1, grid=1, device=CPU)
    assert bool((rotary.cos == 1.0).all()) and bool((rotary.sin == 0.0).all())


def test_norms_are_kept_when_the_form_is_interleaved() -> None:
    config = replace(HEADS_OF[64], rope='interleaved')
    x = some_rows(config, 2 * 16)
    found = rotate(x, video_rotary(config, frames=2, grid=4, device=CPU))
    pairs = (x.unflatten(-1, (-1, 2)).norm(dim=-1), found.unflatten(-1, (-1, 2)).norm(dim=-1))
    assert torch.allclose(*pairs, atol=1e-5)
    assert not torch.allclose(x, found, atol=0.1)


def test_norms_are_not_kept_when_the_form_is_tiled() -> None:
    """The released form is no rotation; weights trained with it work with nothing else."""
    config = HEADS_OF[64]
    x = some_rows(config, 2 * 16)
    found = rotate(x, video_rotary(config, frames=2, grid=4, device=CPU))
    assert float((x.norm(dim=-1) - found.norm(dim=-1)).abs().max()) > 0.1


@pytest.mark.parametrize(('head_width', 'untouched'), [(16, 4), (64, 4), (88, 4)])
def test_last_channels_stay_when_three_axes_do_not_fill_a_head(
    head_width: int, untouched: int
) -> None:
    config = HEADS_OF[head_width]
    x = some_rows(config, 2 * 9)
    found = rotate(x, video_rotary(config, frames=2, grid=3, device=CPU))
    assert torch.equal(found[..., -untouched:], x[..., -untouched:])
    moved = (found[:, -1] != x[:, -1])[..., :-untouched]  # the last token: 1, 2, 2
    assert bool(moved.all())


def test_precision_is_that_of_the_rows_when_they_are_bfloat16() -> None:
    config = HEADS_OF[16]
    x, rotary = some_rows(config, 9), video_rotary(config, frames=1, grid=3, device=CPU)
    found = rotate(x.bfloat16(), rotary)
    assert found.dtype == torch.bfloat16
    assert torch.allclose(found.float(), rotate(x, rotary), atol=0.05)


def test_rows_are_those_of_the_whole_table_when_a_part_is_asked_for() -> None:
    rotary = video_rotary(HEADS_OF[16], frames=2, grid=2, device=CPU)
    part = rotary.rows(3, 6)
    assert torch.equal(part.cos, rotary.cos[3:6]) and torch.equal(part.sin, rotary.sin[3:6])
