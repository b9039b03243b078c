# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The tabletop world model: shapes, independence, causality, and what loading refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
import torch

from wm_planner.core.errors import ChecksumError, InvalidImageError, ModelLoadError
from wm_planner.core.protocols import WorldModel
from wm_planner.core.types import ActionSpec, Goal, Observation, RobotState
from wm_planner.models.tabletop.checkpoint import (
    SHIPPED_WEIGHTS,
    card_path,
    load_weights,
    save_weights,
    sha256_of,
)
from wm_planner.models.tabletop.config import TabletopModelConfig
from wm_planner.models.tabletop.model import TabletopWorldModel
from wm_planner.models.tabletop.network import TabletopNetwork

SPEC = ActionSpec(
    low=np.array([-0.06, -0.06, -0.06, -0.35, 0.0]),
    high=np.array([0.06, 0.06, 0.06, 0.35, 1.0]),
    names=('dx', 'dy', 'dz', 'dyaw', 'gripper'),
    step_duration_s=0.25,
)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Return a small seeded model on disk."""
    torch.manual_seed(0)
    network = TabletopNetwork(TabletopModelConfig(channels=8, hidden=32, latent_size=8))
    path = tmp_path / 'tiny.safetensors'
    save_weights(
        network, path, action_spec=SPEC, goal_tolerance=0.1, training={'seed': 0}, measured={}
    )
    return path


def _picture(seed: int, height: int = 128, width: int = 128) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def _observation(image: np.ndarray) -> Observation:
    state = RobotState(
        stamp_ns=1, position_m=[0.5, 0, 0.2], quaternion_xyzw=[1, 0, 0, 0], gripper_closedness=0.0
    )
    return Observation(images=image[None], image_stamps_ns=(1,), states=(state,))


def test_shapes_and_protocol(weights: Path) -> None:
    """[S, H, A] actions give [S, H, 1, D] latents; goal and current latents are [1, D]."""
    model = TabletopWorldModel.load(weights)
    assert isinstance(model, WorldModel)
    state = model.encode(_observation(_picture(0)))
    assert model.rollout(state, torch.zeros(7, 3, 5)).shape == (7, 3, 1, 8)
    assert model.current(state).shape == (1, 8)
    assert model.encode_goal(Goal(goal_id='g', image=_picture(1))).shape == (1, 8)


def test_row_of_a_batch_equals_the_same_sample_alone(weights: Path) -> None:
    """Batch normalisation runs on its stored statistics: samples do not see each other."""
    model = TabletopWorldModel.load(weights)
    state = model.encode(_observation(_picture(0)))
    actions = torch.rand(16, 4, 5, generator=torch.Generator().manual_seed(0)) * 0.05
    together = model.rollout(state, actions)
    for row in (0, 7, 15):
        alone = model.rollout(state, actions[row : row + 1])
        assert torch.allclose(together[row], alone[0], atol=1e-5)


def test_a_later_action_leaves_earlier_latents_unchanged(weights: Path) -> None:
    """Causality: changing action 2 changes latents 2 and 3 only."""
    model = TabletopWorldModel.load(weights)
    state = model.encode(_observation(_picture(0)))
    actions = torch.zeros(1, 4, 5)
    changed = actions.clone()
    changed[0, 2, 0] = 0.05
    one, other = model.rollout(state, actions), model.rollout(state, changed)
    assert torch.equal(one[:, :2], other[:, :2])
    assert (one[:, 2:] != other[:, 2:]).any(-1).all()


def test_camera_size_hardly_matters_when_the_view_is_the_same(weights: Path) -> None:
    """A smooth picture at 128x128 and the same at 480x640 with side bars give near latents."""
    model = TabletopWorldModel.load(weights)
    ramp = np.linspace(0, 255, 480)
    square = np.stack(
        [np.tile(ramp, (480, 1)), np.tile(ramp[:, None], 480), np.full((480, 480), 90)]
    )
    square = square.transpose(1, 2, 0).astype(np.uint8)
    wide = np.zeros((480, 640, 3), np.uint8)
    wide[:, 80:560] = square
    small = square.reshape(120, 4, 120, 4, 3).mean((1, 3)).astype(np.uint8)
    latents = [model.encode(_observation(image)) for image in (square, wide, small)]
    assert torch.allclose(latents[0], latents[1], atol=1e-5)
    assert (latents[0] - latents[2]).norm() < 0.05 * latents[0].norm()


def test_single_coloured_goal_is_refused(weights: Path) -> None:
    """A black picture would be planned toward with a straight face."""
    model = TabletopWorldModel.load(weights)
    with pytest.raises(InvalidImageError, match='single colour'):
        model.encode_goal(Goal(goal_id='black', image=np.zeros((64, 64, 3), np.uint8)))


def test_one_flipped_bit_fails_the_checksum(weights: Path) -> None:
    """A corrupt file is named, with what to do."""
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ChecksumError, match='corrupt'):
        load_weights(weights)


def test_truncated_file_is_refused_even_when_its_card_was_made_to_match(weights: Path) -> None:
    """The safetensors reader is the second gate."""
    weights.write_bytes(weights.read_bytes()[:1000])
    _rewrite_checksum(weights)
    with pytest.raises(ModelLoadError, match='not safetensors'):
        load_weights(weights)


def test_foreign_tensors_are_refused(weights: Path) -> None:
    """Strict keys: a missing tensor is named."""
    tensors = load_file(weights)
    del tensors['predictor.latent_in.weight']
    save_file(tensors, weights)
    _rewrite_checksum(weights)
    with pytest.raises(ModelLoadError, match='latent_in'):
        load_weights(weights)


def test_nan_weights_are_refused(weights: Path) -> None:
    """Named before anything is planned with them."""
    tensors = load_file(weights)
    tensors['predictor.latent_in.bias'][0] = float('nan')
    save_file(tensors, weights)
    _rewrite_checksum(weights)
    with pytest.raises(ModelLoadError, match=r'predictor\.latent_in\.bias'):
        load_weights(weights)


def test_missing_weights_and_missing_card_are_named(weights: Path) -> None:
    """Both messages name the file."""
    with pytest.raises(ModelLoadError, match='does not exist'):
        load_weights(weights.with_name('other.safetensors'))
    card_path(weights).unlink()
    with pytest.raises(ModelLoadError, match='model card'):
        load_weights(weights)


@pytest.mark.parametrize(
    ('key', 'value'), [('format', 99), ('architecture', {'width': 3}), ('sha256', None)]
)
def test_damaged_card_is_refused(weights: Path, key: str, value: object) -> None:
    """Another format, an unknown architecture field, a missing key."""
    card = json.loads(card_path(weights).read_text())
    card[key] = value
    if value is None:
        del card[key]
    card_path(weights).write_text(json.dumps(card))
    with pytest.raises(ModelLoadError, match='card'):
        load_weights(weights)


def test_shipped_weights_match_their_card_and_predict_better_than_standing_still() -> None:
    """What the package ships loads, is a few megabytes, and its card says it learned something."""
    network, card = load_weights(SHIPPED_WEIGHTS)
    assert sha256_of(SHIPPED_WEIGHTS) == card.sha256
    assert SHIPPED_WEIGHTS.stat().st_size < 8_000_000
    assert network.config == card.architecture
    assert card.measured['rollout_mse_3_steps'] < 0.2 * card.measured['stay_mse_3_steps']
    assert card.goal_tolerance > 0.0
    text = (SHIPPED_WEIGHTS.parent / 'MODEL_CARD.md').read_text()
    assert card.sha256 in text


def _rewrite_checksum(weights: Path) -> None:
    card = json.loads(card_path(weights).read_text())
    card['sha256'] = sha256_of(weights)
    card_path(weights).write_text(json.dumps(card))
