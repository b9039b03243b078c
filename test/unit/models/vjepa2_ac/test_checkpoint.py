# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Weights files: what loading gives, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
import json
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file
import torch

from fakes.vjepa2 import CPU, TINY, tiny_networks, tiny_states, write_tiny_weights
from wm_planner.core.errors import ChecksumError, InvalidParameterError, ModelLoadError
from wm_planner.models.vjepa2_ac.checkpoint import (
    FORMAT,
    Manifest,
    is_finite,
    load_networks,
    read_manifest,
    write_weights,
)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return write_tiny_weights(tmp_path / 'tiny.safetensors')


def load(path: Path, **options: Any):
    return load_networks(path, device=CPU, dtype=torch.float32, **options)


def rewrite(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Change tensors of a file and leave its manifest."""
    with safe_open(path, framework='pt') as file:
        metadata = file.metadata()
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata)


def rewrite_manifest(path: Path, manifest: str) -> None:
    save_file(load_file(path), path, {'format': FORMAT, 'manifest': manifest})


def test_networks_are_those_that_were_written_when_loaded(weights: Path) -> None:
    encoder, predictor, manifest = load(weights)
    for found, expected in zip((encoder, predictor), tiny_networks(), strict=True):
        state = expected.state_dict()
        assert found.state_dict().keys() == state.keys()
        assert all(torch.equal(t, state[name]) for name, t in found.state_dict().items())
        assert not found.training
        assert not any(p.requires_grad or p.is_meta for p in found.parameters())
    assert manifest.architecture == encoder.architecture == predictor.architecture == TINY


@pytest.mark.parametrize('stored', ['float32', 'bfloat16'])
@pytest.mark.parametrize('wanted', [torch.float32, torch.bfloat16])
def test_precision_is_the_wanted_one_when_the_file_has_any(
    tmp_path: Path, stored: str, wanted: torch.dtype
) -> None:
    path = write_tiny_weights(tmp_path / 'tiny.safetensors', dtype=stored)
    encoder, predictor, _ = load_networks(path, device=CPU, dtype=wanted)
    source = tiny_states()['encoder']['norm.weight'].to(getattr(torch, stored))
    assert torch.equal(encoder.norm.weight, source.to(wanted))
    assert {p.dtype for p in (*encoder.parameters(), *predictor.parameters())} == {wanted}


def test_networks_stay_when_their_file_is_replaced(weights: Path) -> None:
    """They used to be a mapping of it.

    A file copied over it changed the weights of a running planner, a shorter one would have killed
    the process.
    """
    encoder, _, _ = load(weights)
    before = encoder.norm.weight.clone()
    weights.write_bytes(bytes(weights.stat().st_size))
    assert torch.equal(encoder.norm.weight, before)


@pytest.mark.parametrize('place', [-1, -50_000])
def test_one_flipped_bit_fails_the_checksum_when_loaded(weights: Path, place: int) -> None:
    content = bytearray(weights.read_bytes())
    content[place] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ChecksumError, match='corrupt: convert the checkpoint again'):
        load(weights)
    load(weights, verify_checksum=False)  # for those who do not want to wait for it


@pytest.mark.parametrize('kept', [0, 7, 1000, -1])
def test_file_is_refused_when_it_is_cut_short(weights: Path, kept: int) -> None:
    weights.write_bytes(weights.read_bytes()[:kept])
    for verify in (True, False):
        with pytest.raises(ModelLoadError, match='truncated or not safetensors'):
            load(weights, verify_checksum=verify)


def test_file_is_refused_when_it_is_no_safetensors_file(weights: Path) -> None:
    torch.save(tiny_states(), weights)
    with pytest.raises(ModelLoadError, match='truncated or not safetensors'):
        load(weights)


@pytest.mark.parametrize('metadata', [None, {'format': 'pt'}, {'format': 'wm_planner/vjepa2_ac/9'}])
def test_file_is_refused_when_it_is_of_another_kind(weights: Path, metadata) -> None:
    """Any safetensors file; also of a later format, which must not be read as if of this one."""
    save_file(load_file(weights), weights, metadata)
    message = f"is of format .*; valid: '{FORMAT}', written by: wm_planner model convert"
    with pytest.raises(ModelLoadError, match=message):
        load(weights)


def test_file_is_refused_when_it_does_not_exist(tmp_path: Path) -> None:
    for path in (tmp_path / 'nowhere.safetensors', tmp_path):
        with pytest.raises(ModelLoadError, match='does not exist; valid: .*model convert'):
            load(path)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda tensors: tensors.pop('encoder.norm.bias'), r'(?s)fit its manifest.*norm\.bias'),
        (lambda tensors: tensors.update({'predictor.extra': torch.zeros(1)}), 'extra'),
        (lambda tensors: tensors.update({'encoder.norm.bias': torch.zeros(9)}), r'norm\.bias'),
        (
            lambda tensors: tensors.update({'encoder.norm.bias': torch.full((48,), torch.nan)}),
            'NaN',
        ),
    ],
)
def test_file_is_refused_when_its_tensors_are_not_those_of_its_manifest(
    weights: Path, change: Callable[[dict[str, torch.Tensor]], object], message: str
) -> None:
    rewrite(weights, change)
    with pytest.raises(ModelLoadError, match=message):
        load(weights, verify_checksum=False)


def manifest_with(**changes: Any) -> str:
    content = {
        'architecture': asdict(TINY),
        'dtype': 'float32',
        'data_sha256': '0' * 64,
        'counts': {part: {'tensors': 1, 'parameters': 1} for part in ('encoder', 'predictor')},
        'source': {},
    }
    content.update(changes)
    return json.dumps({key: value for key, value in content.items() if value is not None})


@pytest.mark.parametrize(
    'manifest',
    [
        '',
        '{',
        '[]',
        '3',
        manifest_with(architecture=None),
        manifest_with(architecture=5),
        manifest_with(architecture={'encoder': {'width': 48}}),
        manifest_with(architecture={**asdict(TINY), 'image_size': 72}),
        manifest_with(architecture={**asdict(TINY), 'layers': 2}),
        manifest_with(data_sha256=None),
        manifest_with(data_sha256=7),
        manifest_with(counts=7),
        manifest_with(counts={'encoder': {}}),
        manifest_with(source='here'),
        manifest_with(source={'file': 'trained.pt'}),
        manifest_with(author='me'),
    ],
)
def test_file_is_refused_when_its_manifest_is_broken(weights: Path, manifest: str) -> None:
    """Some of these used to be read, and to end `model info` or loading in a traceback."""
    rewrite_manifest(weights, manifest)
    with pytest.raises(ModelLoadError, match=r'tiny\.safetensors has a broken manifest'):
        read_manifest(weights)


def test_manifest_is_the_same_when_it_passes_through_json() -> None:
    manifest = Manifest.from_json(manifest_with(), 'here')
    assert manifest.architecture == TINY
    assert Manifest.from_json(manifest.to_json(), 'here') == manifest


def test_written_weights_are_refused_with_their_name_when_not_finite(tmp_path: Path) -> None:
    states = tiny_states()
    states['encoder']['norm.bias'][3] = torch.inf
    path = tmp_path / 'new' / 'tiny.safetensors'
    with pytest.raises(ModelLoadError, match=r'encoder\.norm\.bias holds NaN or infinity'):
        write_weights(states, path, architecture=TINY, dtype='float32', source={})
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(
    ('values', 'expected'),
    [
        ([1.0, -2.0], True),
        ([3e38, 3e38], True),  # whose sum is not finite
        ([torch.inf, 1.0], False),
        ([torch.inf, -torch.inf], False),
        ([torch.nan, 1.0], False),
        ([], True),
    ],
)
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float64])
def test_infinity_and_nan_are_found_when_they_are_there(
    values: list[float], expected: bool, dtype: torch.dtype
) -> None:
    assert is_finite(torch.tensor(values, dtype=dtype)) is expected


def test_folder_of_the_file_is_made_when_missing(tmp_path: Path) -> None:
    path = write_tiny_weights(tmp_path / 'a' / 'b' / 'tiny.safetensors')
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_unwritable_target_is_an_error_with_the_room_needed_when_written(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(InvalidParameterError, match=r'valid: a folder .* room for \d+ MiB'):
        write_tiny_weights(tmp_path / 'file' / 'tiny.safetensors')
