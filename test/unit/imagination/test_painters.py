# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Painters: what the tabletop's decoder draws is what came, and token colours do not flip."""

from __future__ import annotations

from dataclasses import replace
import json
from pathlib import Path
import shutil

import numpy as np
import pytest
import torch

from fakes.values import a_goal, an_observation
from fakes.vjepa2 import tiny_model
from wm_planner.core.errors import ChecksumError, ModelLoadError
from wm_planner.imagination.painters import DecoderPainter, TokenPainter, make_painter
from wm_planner.models.tabletop.checkpoint import (
    SHIPPED_WEIGHTS,
    ModelCard,
    card_path,
    load_weights,
)
from wm_planner.models.tabletop.decoder import (
    SHIPPED_DECODER,
    load_decoder,
    psnr_db,
    to_uint8,
)
from wm_planner.training.model_card import decoder_card_text

RNG = np.random.default_rng(0)


def test_shipped_decoder_belongs_to_the_shipped_weights() -> None:
    _, card = load_decoder()
    assert card.encoder_sha256 == ModelCard.load(card_path(SHIPPED_WEIGHTS)).sha256
    assert SHIPPED_DECODER.stat().st_size < 2_000_000
    text = SHIPPED_DECODER.with_name('DECODER_CARD.md').read_text()
    assert text == decoder_card_text(card)
    assert card.measured['psnr_db_imagined'][0] >= 22.0


def test_decoded_imagination_of_executed_steps_is_what_came() -> None:
    """On an episode that no training has seen: at least 22 dB a step ahead, in the mean."""
    pytest.importorskip('mujoco', reason='mujoco is not installed')
    from wm_planner.models.tabletop.network import to_network_input
    from wm_planner.training.datasets import make_collector

    collector = make_collector('tabletop')
    episode = collector.collect(seed=9_999, episode=0, steps=12)
    collector.close()
    network, card = load_weights(SHIPPED_WEIGHTS)
    network.eval()
    decoder, _ = load_decoder()
    middle = torch.tensor(card.action_spec.low + card.action_spec.high, dtype=torch.float32) / 2
    half = torch.tensor(card.action_spec.high - card.action_spec.low, dtype=torch.float32) / 2
    frames = to_network_input(torch.from_numpy(episode.images), 64)
    with torch.inference_mode():
        scaled = (torch.from_numpy(episode.actions) - middle) / half
        ahead = decoder(network.predictor(network.encoder(frames[:-1]), scaled))
    assert float(psnr_db(ahead, frames[1:]).mean()) >= 22.0
    still = psnr_db(frames[:1].expand_as(ahead), frames[1:]).mean()
    assert float(psnr_db(ahead, frames[1:]).mean()) > float(still) + 3.0


def test_damaged_and_foreign_decoders_are_refused(tmp_path: Path) -> None:
    for name in ('decoder.safetensors', 'decoder.json'):
        shutil.copy(SHIPPED_DECODER.with_name(name), tmp_path)
    file = tmp_path / 'decoder.safetensors'
    card = json.loads((tmp_path / 'decoder.json').read_text())
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(ChecksumError, match='SHA-256'):
        load_decoder(file)
    shutil.copy(SHIPPED_DECODER, tmp_path)
    card['encoder_sha256'] = '0' * 64
    (tmp_path / 'decoder.json').write_text(json.dumps(card))
    with pytest.raises(ModelLoadError, match='belongs to the weights 0000'):
        make_painter('tabletop', '', str(file))
    (tmp_path / 'decoder.json').unlink()
    with pytest.raises(ModelLoadError, match='missing or damaged'):
        load_decoder(file)
    with pytest.raises(ModelLoadError, match='does not exist'):
        load_decoder(tmp_path / 'none.safetensors')


def test_each_model_has_the_painter_that_suits_it() -> None:
    assert isinstance(make_painter('tabletop'), DecoderPainter)
    assert isinstance(make_painter('vjepa2_ac'), TokenPainter)
    assert make_painter('point_mass') is None


def test_pictures_are_clamped_bytes() -> None:
    pixels = to_uint8(torch.tensor([-2.0, -0.5, 0.0, 0.5, 3.0]).reshape(1, 1, 1, 5))
    assert pixels.flatten().tolist() == [0, 0, 128, 255, 255]


def test_colours_of_tokens_are_those_of_the_first_frames_for_ever() -> None:
    """A basis fitted anew to each plan would turn: principal directions have no sign."""
    model = tiny_model()
    pictures = [RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(3)]
    tokens = torch.stack([model.encode_goal(a_goal(image=picture)) for picture in pictures])
    painter = TokenPainter()
    painter.begin(tokens[:2])
    first = painter.paint(tokens)
    assert first.shape == (3, 4, 4, 3) and first.dtype == np.uint8
    painter.begin(-5.0 * tokens)  # a later plan changes nothing
    assert np.array_equal(painter.paint(tokens), first)
    assert np.array_equal(painter.paint(tokens[2:]), first[2:])  # whatever is drawn beside it
    again = TokenPainter()
    again.begin(tokens[:2].flip(0))  # the same frames in another order
    assert np.abs(again.paint(tokens).astype(int) - first.astype(int)).max() <= 1
    assert first.std(axis=(0, 1, 2)).min() > 5.0  # all three colours say something


def test_predicted_tokens_of_a_token_model_are_drawn_beside_real_ones() -> None:
    model = tiny_model()
    observation = an_observation(1, image=RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    state = model.encode(observation)
    actions = torch.zeros(1, 2, 7)
    predicted = model.rollout(state, actions)[0]
    painter = TokenPainter()
    painter.begin(model.current(state).unsqueeze(0))
    assert painter.paint(predicted).shape == (2, 4, 4, 3)


def test_card_of_another_format_is_refused(tmp_path: Path) -> None:
    _, card = load_decoder()
    shutil.copy(SHIPPED_DECODER, tmp_path)
    (tmp_path / 'decoder.json').write_text(
        replace(card).to_json().replace('"format": 1', '"format": 7')
    )
    with pytest.raises(ModelLoadError, match='format 1'):
        load_decoder(tmp_path / 'decoder.safetensors')
