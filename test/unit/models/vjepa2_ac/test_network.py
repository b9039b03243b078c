# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The two transformers: shapes, independence, causality, and what the tokens look at."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fakes.vjepa2 import TINY, tiny_networks
from wm_planner.core.errors import InvalidParameterError
from wm_planner.models.vjepa2_ac.config import (
    ENCODERS,
    RELEASED_PREDICTOR,
    Architecture,
    transformer,
)
from wm_planner.models.vjepa2_ac.network import Encoder, Predictor, normalise_tokens

ENCODER, PREDICTOR = tiny_networks()
WITH_CAMERA = replace(TINY, use_extrinsics=True)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def clip(batch: int, frames: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return tokens [B, F, N, D], actions and states [B, F, 7]."""
    tokens = normalise_tokens(noise(batch, frames, 16, 48))
    return tokens, 0.1 * noise(batch, frames, 7, seed=1), noise(batch, frames, 7, seed=2)


@pytest.mark.parametrize(
    ('name', 'millions', 'tensors'),
    [('vit_large', 303.885, 292), ('vit_huge', 631.648, 388), ('vit_giant', 1012.174, 484)],
)
def test_encoder_is_as_large_as_the_released_one_when_made_from_its_name(
    name: str, millions: float, tensors: int
) -> None:
    with torch.device('meta'):
        state = Encoder(Architecture(encoder=ENCODERS[name])).state_dict()
    assert len(state) == tensors
    assert sum(t.numel() for t in state.values()) / 1e6 == pytest.approx(millions, abs=1e-3)


def test_predictor_is_as_large_as_the_released_one_when_nothing_is_set() -> None:
    with torch.device('meta'):
        state = Predictor(Architecture()).state_dict()
    assert Architecture().predictor == RELEASED_PREDICTOR
    assert len(state) == 300
    assert sum(t.numel() for t in state.values()) / 1e6 == pytest.approx(305.221, abs=1e-3)


def test_frames_are_encoded_alone_when_they_come_together() -> None:
    images = noise(3, 3, 64, 64)
    together = ENCODER.encode_frames(images)
    assert together.shape == (3, 16, 48)
    for row in range(3):
        alone = ENCODER.encode_frames(images[row : row + 1])[0]
        assert torch.allclose(together[row], alone, atol=1e-5)


def test_frame_is_a_clip_that_stands_still_when_it_is_encoded() -> None:
    image = noise(1, 3, 64, 64)
    twice = torch.stack([image, image], dim=2)
    assert torch.allclose(ENCODER.encode_frames(image), normalise_tokens(ENCODER(twice)), atol=1e-6)
    moving = torch.stack([image, noise(1, 3, 64, 64, seed=1)], dim=2)
    assert not torch.allclose(ENCODER(twice), ENCODER(moving), atol=0.1)


def test_tokens_are_in_time_row_order_when_a_video_is_embedded() -> None:
    video = noise(1, 3, 4, 64, 64)
    before = ENCODER.patch_embed(video)
    video[0, :, 2:4, 16:32, 48:64] += 1.0  # second tubelet, row 1, column 3
    changed = (ENCODER.patch_embed(video) != before).any(dim=-1)[0].nonzero().flatten()
    assert changed.tolist() == [16 + 4 * 1 + 3]


def test_encoder_tokens_look_at_all_frames_when_it_is_given_a_video() -> None:
    video = noise(1, 3, 4, 64, 64)
    changed = video.clone()
    changed[:, :, 3] += 1.0
    difference = (ENCODER(changed) - ENCODER(video)).abs().amax(dim=-1)
    assert bool((difference > 1e-4).all())


def test_normalised_tokens_have_mean_0_and_variance_1_and_are_float32_when_made_from_any() -> None:
    tokens = normalise_tokens(3.0 * noise(2, 5, 48).bfloat16() + 1.0)
    assert tokens.dtype == torch.float32
    assert torch.allclose(tokens.mean(dim=-1), torch.zeros(2, 5), atol=1e-5)
    assert torch.allclose(tokens.var(dim=-1, unbiased=False), torch.ones(2, 5), atol=1e-4)


def test_prediction_of_a_sample_stays_when_others_are_in_the_batch() -> None:
    tokens, actions, states = clip(4, 3)
    together = PREDICTOR(tokens, actions, states)
    assert together.shape == (4, 3, 16, 48)
    for row in range(4):
        one = slice(row, row + 1)
        alone = PREDICTOR(tokens[one], actions[one], states[one])[0]
        assert torch.allclose(together[row], alone, atol=1e-5)


@pytest.mark.parametrize('what', ['tokens', 'actions', 'states'])
def test_earlier_predictions_stay_when_a_later_frame_changes(what: str) -> None:
    given = dict(zip(('tokens', 'actions', 'states'), clip(1, 4), strict=True))
    before = PREDICTOR(**given)
    given[what] = given[what].clone()
    given[what][:, 2] += 0.5
    after = PREDICTOR(**given)
    assert torch.equal(before[:, :2], after[:, :2])
    # All tokens of a frame see all of it: every patch of this frame and the next one changes.
    assert bool(((before - after)[:, 2:].abs().amax(dim=-1) > 1e-4).all())


def test_first_frames_are_predicted_alike_when_more_follow() -> None:
    """What lets a rollout keep keys and values: a prefix does not know what comes after it."""
    tokens, actions, states = clip(2, 4)
    whole = PREDICTOR(tokens, actions, states)
    for frames in (1, 2, 3):
        part = PREDICTOR(tokens[:, :frames], actions[:, :frames], states[:, :frames])
        assert torch.allclose(part, whole[:, :frames], atol=1e-5)


def test_camera_pose_is_a_third_condition_when_the_architecture_has_it() -> None:
    _, predictor = tiny_networks(WITH_CAMERA)
    assert predictor.row == 3 + 16 == PREDICTOR.row + 1
    tokens, actions, states = clip(2, 2)
    here, there = torch.zeros(6), torch.tensor([0.1, 0.0, 0.4, 0.0, 1.0, 0.0])
    one = predictor(tokens, actions, states, here)
    other = predictor(tokens, actions, states, there)
    assert one.shape == (2, 2, 16, 48)
    assert bool(((one - other).abs().amax(dim=-1) > 1e-4).all())


def test_tables_are_right_when_fewer_frames_are_asked_for_after_more() -> None:
    """They are kept from call to call, and only the first of them are used then."""
    _, fresh = tiny_networks()
    tokens, actions, states = clip(1, 4)
    expected = fresh(tokens[:, :1], actions[:, :1], states[:, :1])
    fresh(tokens, actions, states)
    again = fresh(tokens[:, :1], actions[:, :1], states[:, :1])
    assert torch.equal(again, expected)


@pytest.mark.parametrize(
    'make',
    [
        lambda: transformer(30, 2, 4),  # no whole head
        lambda: transformer(30, 2, 2),  # heads of 15
        lambda: transformer(32, 0, 2),
        lambda: transformer(32, 2, 2, rope='half'),
        lambda: replace(TINY, image_size=72),
    ],
)
def test_sizes_are_refused_when_they_do_not_go_together(make) -> None:
    with pytest.raises(InvalidParameterError, match='valid'):
        make()
