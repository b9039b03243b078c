# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""V-JEPA 2-AC behind the WorldModel protocol: settings, limits, precision, memory."""

from __future__ import annotations

from dataclasses import replace
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fakes.values import a_goal, a_state, an_observation
from fakes.vjepa2 import TINY, tiny_model, write_tiny_weights
from wm_planner.core.errors import (
    DeviceMemoryError,
    InvalidActionError,
    InvalidImageError,
    InvalidParameterError,
    InvalidStateError,
)
from wm_planner.core.protocols import HorizonBound, MemoryBound, WorldModel
from wm_planner.core.types import Observation
from wm_planner.models.registry import load_model
from wm_planner.models.vjepa2_ac import VJepa2AcConfig, VJepa2AcWorldModel, checkpoint, memory
from wm_planner.models.vjepa2_ac.config import transformer
from wm_planner.models.vjepa2_ac.model import CPU_WORKING_SET_BYTES
from wm_planner.models.vjepa2_ac.poses import actions_between
from wm_planner.models.vjepa2_ac.rollout import bytes_at_work, bytes_per_sample
from wm_planner.planning.objectives import ObjectiveConfig, make_objective

WITH_CAMERA = replace(TINY, use_extrinsics=True)
CAMERA = (0.3, -0.5, 0.6, 0.1, 1.2, -0.4)
DOWN = (0.45, 0.0, 0.3, math.pi, 0.0, 0.0, 0.2)


def picture(seed: int = 0, height: int = 72, width: int = 96) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def some_actions(samples: int, horizon: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.15 * torch.rand(samples, horizon, 7, generator=generator) - 0.075


def test_model_follows_the_protocols_when_made() -> None:
    model = tiny_model()
    assert isinstance(model, WorldModel)
    assert isinstance(model, MemoryBound) and isinstance(model, HorizonBound)
    assert (model.context_frames, model.compile_state, model.manifest) == (1, 'off', None)
    assert model.device == torch.device('cpu')


def test_settings_reach_the_model_when_it_is_loaded_by_name(tmp_path: Path) -> None:
    weights = write_tiny_weights(tmp_path / 'tiny.safetensors')
    settings = {
        'weights': str(weights),
        'context_frames': 2,
        'max_delta_m': 0.05,
        'max_rotation_rad': [0.0, 0.1, 0.2],
        'max_delta_gripper': 0.5,
        'step_duration_s': 2.0,
        'goal_tolerance': 0.4,
    }
    model = load_model('vjepa2_ac', settings, device='cpu')
    spec = model.action_spec
    assert spec.high.tolist() == [0.05, 0.05, 0.05, 0.0, 0.1, 0.2, 0.5]
    assert spec.low.tolist() == (-spec.high).tolist()
    assert spec.names == ('dx', 'dy', 'dz', 'droll', 'dpitch', 'dyaw', 'dgripper')
    assert (spec.step_duration_s, model.context_frames, model.goal_tolerance) == (2.0, 2, 0.4)
    assert isinstance(model, VJepa2AcWorldModel) and model.manifest is not None
    assert model.manifest.architecture == TINY


def test_rotation_is_pinned_and_no_goal_counts_as_reached_when_nothing_is_set() -> None:
    model = tiny_model()
    assert model.action_spec.high.tolist() == [0.075] * 3 + [0.0] * 3 + [0.75]
    assert math.isnan(model.goal_tolerance)


def test_missing_weights_are_an_error_that_names_the_command_when_loading() -> None:
    with pytest.raises(InvalidParameterError, match='wm_planner model convert') as caught:
        load_model('vjepa2_ac', device='cpu')
    assert caught.value.code == 104


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'max_rotation_rad': (0.1, 0.1)}, r'has 2 values; valid: 3, about x, y, z; 0 pins'),
        ({'camera_extrinsics': (0.1,) * 5}, 'has 5 values; valid: 6, or none'),
        ({'crop': 'centre'}, 'valid: one of square, wide'),
        ({'precision': 'float16'}, 'valid: one of auto, float32, bfloat16'),
        ({'max_delta_m': 0.0}, 'valid'),
        ({'goal_tolerance': math.nan}, 'valid: a finite number'),
    ],
)
def test_settings_are_refused_when_they_cannot_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        VJepa2AcConfig(**settings)


def test_camera_pose_is_asked_for_when_the_weights_need_it_and_refused_when_not() -> None:
    with pytest.raises(InvalidParameterError, match='need world_model.camera_extrinsics; valid: 6'):
        tiny_model(WITH_CAMERA)
    with pytest.raises(InvalidParameterError, match='take no camera_extrinsics; valid: an empty'):
        tiny_model(camera_extrinsics=CAMERA)


def test_camera_pose_matters_when_the_weights_use_it() -> None:
    predicted = []
    for pose in (CAMERA, (0.0,) * 6):
        model = tiny_model(WITH_CAMERA, camera_extrinsics=pose)
        state = model.encode_frames(picture()[None], [DOWN])
        predicted.append(model.rollout(state, some_actions(2, 2)))
    assert float((predicted[0] - predicted[1]).abs().max()) > 1e-3


def test_robot_state_matters_when_rolling_out_and_not_for_what_is_seen() -> None:
    model = tiny_model()
    here = an_observation(0, image=picture())
    there = Observation(
        images=here.images, image_stamps_ns=(0,), states=(a_state((0.3, 0.2, 0.5)),)
    )
    one, other = model.encode(here), model.encode(there)
    assert torch.equal(model.current(one), model.current(other))
    actions = some_actions(2, 1)
    assert float((model.rollout(one, actions) - model.rollout(other, actions)).abs().max()) > 1e-3


def test_observation_is_its_pictures_and_tool_poses_when_encoded() -> None:
    model = tiny_model(context_frames=2)
    stamped = an_observation(0, 10, image=picture(), closedness=0.5)
    state = model.encode(stamped)
    assert state.frames == 2 and state.tokens.shape == (2, 16, 48)
    expected = np.stack([found.as_vector() for found in stamped.states])
    assert np.array_equal(state.states.numpy(), expected)


def test_past_actions_lead_from_state_to_state_when_they_are_not_given() -> None:
    model = tiny_model(context_frames=3)
    images = np.stack([picture(seed) for seed in range(3)])
    states = np.array([DOWN, DOWN, DOWN])
    states[1:, :3] += 0.05
    states[2:, 5] += 0.2
    states[2:, 6] += 0.5
    tensor = torch.tensor(states)
    tokens = model.encode_frames(images, states).tokens
    given = actions_between(tensor[:-1], tensor[1:])
    assert torch.allclose(given[:, 5], torch.tensor([0.0, 0.2]).double())
    actions = some_actions(2, 2)
    found = model.rollout(model.context(tokens, states), actions)
    assert torch.allclose(found, model.rollout(model.context(tokens, states, given), actions))
    other = model.rollout(model.context(tokens, states, given + 0.05), actions)
    assert float((found - other).abs().max()) > 1e-4


def test_states_are_refused_when_they_are_degrees_or_too_few() -> None:
    model = tiny_model()
    with pytest.raises(InvalidStateError, match='degrees'):
        model.encode_frames(picture()[None], [[0.4, 0.0, 0.3, 180.0, 0.0, 0.0, 0.0]])
    with pytest.raises(InvalidStateError, match=r'\(1, 7\) with 2 frame.*valid: \[2, 7\]'):
        model.encode_frames(np.stack([picture(), picture()]), [DOWN])
    with pytest.raises(InvalidStateError, match=r'shape \(1, 6\)'):
        model.encode_frames(picture()[None], [DOWN[:6]])


def test_past_actions_are_refused_when_their_number_does_not_fit() -> None:
    model = tiny_model(context_frames=2)
    tokens = torch.zeros(2, 16, 48)
    with pytest.raises(InvalidActionError, match=r'shape \(2, 7\) with 2 frame.*valid: \(1, 7\)'):
        model.context(tokens, [DOWN, DOWN], np.zeros((2, 7)))


def test_goal_is_refused_when_it_is_a_single_colour() -> None:
    image = np.full((64, 64, 3), 100, np.uint8)
    image[0, 0] = 107  # noise of a covered lens
    with pytest.raises(InvalidImageError, match=r"goal 'dark' image is a single colour; valid"):
        tiny_model().encode_goal(a_goal('dark', image))


def test_extrapolation_is_warned_of_once_when_more_frames_than_trained_on_are_planned(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = tiny_model(context_frames=2)
    state = model.encode_frames(np.stack([picture(), picture(1)]), [DOWN, DOWN])
    with caplog.at_level(logging.WARNING):
        model.rollout(state, some_actions(1, 6))
        assert not caplog.records  # 8 frames
        model.rollout(state, some_actions(1, 7))
        model.rollout(state, some_actions(1, 8))
    assert [record.getMessage()[:49] for record in caplog.records] == [
        '2 context frame(s) and horizon 7 are more frames '
    ]


def test_horizon_is_refused_when_the_predictor_cannot_hold_it() -> None:
    model = tiny_model()
    state = model.encode_frames(picture()[None], [DOWN])
    assert model.rollout(state, some_actions(1, 31)).shape == (1, 31, 16, 48)
    with pytest.raises(InvalidParameterError, match='horizon 32 are 33 frames; valid: at most 32'):
        model.rollout(state, some_actions(1, 32))
    model.check_horizon(31)
    with pytest.raises(InvalidParameterError, match='valid: at most 32'):
        model.check_horizon(32)
    with pytest.raises(InvalidParameterError, match='2 context.* horizon 31 are 33 frames'):
        tiny_model(context_frames=2).check_horizon(31)


def test_crop_decides_what_is_seen_when_the_picture_is_wide() -> None:
    tokens = [
        tiny_model(crop=crop).encode_frames(picture(0, 64, 128)[None], [DOWN]).tokens
        for crop in ('square', 'wide')
    ]
    assert not torch.allclose(*tokens, atol=0.01)


def ranks(energies: torch.Tensor) -> torch.Tensor:
    return energies.argsort().argsort().double()


def test_samples_rank_alike_when_the_precision_is_bfloat16(tmp_path: Path) -> None:
    """Spearman's correlation of the energies; CEM looks at nothing but their order."""
    weights = write_tiny_weights(tmp_path / 'tiny.safetensors')
    objective = make_objective(ObjectiveConfig(name='l1'), horizon=1)
    energies = []
    for precision in ('float32', 'bfloat16'):
        settings = {'weights': str(weights), 'precision': precision}
        model = load_model('vjepa2_ac', settings, device='cpu')
        assert model.predictor.predictor_embed.weight.dtype == getattr(torch, precision)
        state = model.encode_frames(picture()[None], [DOWN])
        goal = model.encode_goal(a_goal(image=picture(1)))
        predicted = model.rollout(state, some_actions(64, 1))
        assert state.tokens.dtype == goal.dtype == predicted.dtype == torch.float32
        energies.append(objective(predicted, goal, some_actions(64, 1)))
    one, other = (ranks(e) - 31.5 for e in energies)
    assert float((one * other).sum() / one.square().sum()) >= 0.99
    assert not torch.equal(*energies)


def test_precision_is_float32_when_it_is_left_to_the_device(tmp_path: Path) -> None:
    path = write_tiny_weights(tmp_path / 'tiny.safetensors', dtype='bfloat16')
    model = load_model('vjepa2_ac', {'weights': str(path)}, device='cpu')
    assert model.predictor.predictor_embed.weight.dtype == torch.float32


def test_loading_says_what_is_missing_when_the_device_has_too_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any, **settings: Any) -> None:
        raise torch.OutOfMemoryError('no more')

    weights = write_tiny_weights(tmp_path / 'tiny.safetensors')
    monkeypatch.setattr(checkpoint, 'load_networks', full)  # no GPU here that could be filled
    with pytest.raises(DeviceMemoryError, match='cpu has no memory for the networks.*bfloat16'):
        VJepa2AcWorldModel.load(VJepa2AcConfig(weights=str(weights)))


def test_samples_at_once_stay_near_the_cores_when_on_a_cpu() -> None:
    small = tiny_model()
    assert small.samples_that_fit(1) == CPU_WORKING_SET_BYTES // bytes_at_work(small.predictor)
    wide = tiny_model(replace(TINY, predictor=transformer(512, 1, 8), image_size=512))
    assert bytes_at_work(wide.predictor) > CPU_WORKING_SET_BYTES
    assert wide.samples_that_fit(1) == 2


def test_samples_at_once_are_what_free_memory_holds_when_it_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meminfo = tmp_path / 'meminfo'
    monkeypatch.setattr(memory, '_MEMINFO', meminfo)
    model = tiny_model(context_frames=2, memory_fraction=0.5)
    need = bytes_per_sample(model.predictor, context_frames=2, horizon=3)
    for samples in (0, 1, 5, 40):
        kilobytes = -(-2 * samples * need // 1024)
        meminfo.write_text(f'MemTotal: 99999999 kB\nMemAvailable:   {kilobytes} kB\n')
        assert model.samples_that_fit(3) == max(1, samples)
        assert model.samples_that_fit(8) <= max(1, samples)
    meminfo.unlink()  # nobody knows
    assert model.samples_that_fit(3) == tiny_model().samples_that_fit(3)


def test_free_memory_is_part_of_the_whole_when_read_from_the_system() -> None:
    found = memory.free_bytes(torch.device('cpu'))
    if found is None:
        pytest.skip('needs /proc/meminfo')
    total = Path('/proc/meminfo').read_text().split('MemTotal:')[1].split()[0]
    assert 1 << 20 < found < int(total) * 1024


def test_free_memory_is_unknown_when_the_system_does_not_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, '_MEMINFO', tmp_path / 'meminfo')
    assert memory.free_bytes(torch.device('cpu')) is None
    (tmp_path / 'meminfo').write_text('MemTotal: 99 kB\nMemFree: 9 kB\n')
    assert memory.free_bytes(torch.device('cpu')) is None
