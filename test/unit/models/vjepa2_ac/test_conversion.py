# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""From a trainer's checkpoint to a weights file: what is kept, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
import hashlib
from pathlib import Path
import pickle
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import load_file
import torch

from fakes.vjepa2 import HINTS, TINY, States, tiny_states, trainer_checkpoint, write_checkpoint
from wm_planner.core.errors import InvalidParameterError, ModelLoadError
from wm_planner.models.vjepa2_ac.checkpoint import FORMAT, read_manifest
from wm_planner.models.vjepa2_ac.config import ENCODERS, RELEASED_PREDICTOR
from wm_planner.models.vjepa2_ac.conversion import (
    Hints,
    clean_state_dict,
    convert,
    infer_architecture,
)
from wm_planner.models.vjepa2_ac.network import Encoder, Predictor


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / 'trained.pt')


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / 'out' / 'weights.safetensors'


def refuse(source: Path, match: str, hints: Hints = HINTS) -> None:
    """Convert, expect a refusal, and that nothing was written, not even half."""
    before = sorted(source.parent.rglob('*'))
    with pytest.raises(ModelLoadError, match=match):
        convert(source, source.parent / 'weights.safetensors', hints=hints)
    assert sorted(source.parent.rglob('*')) == before


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_tensors_are_those_of_the_checkpoint_when_converted(
    checkpoint: Path, target: Path, dtype: str
) -> None:
    """And of encoder and predictor alone: no optimizer, no second encoder, no position table."""
    convert(checkpoint, target, dtype=dtype, hints=HINTS)
    expected = {
        f'{part}.{name}': tensor.to(getattr(torch, dtype))
        for part, state in tiny_states().items()
        for name, tensor in state.items()
    }
    found = load_file(target)  # the safetensors library's own reader
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert all(found[name].dtype == expected[name].dtype for name in expected)


def test_tensor_data_begins_at_a_multiple_of_eight_when_written(
    checkpoint: Path, target: Path
) -> None:
    """Of its header readers are promised that, and mapped tensors are then aligned."""
    convert(checkpoint, target, hints=HINTS)
    length = int.from_bytes(target.read_bytes()[:8], 'little')
    assert length % 8 == 0
    data = target.read_bytes()[8 + length :]
    manifest = read_manifest(target)
    assert hashlib.sha256(data).hexdigest() == manifest.data_sha256


def test_manifest_says_what_and_where_from_when_converted(checkpoint: Path, target: Path) -> None:
    written = convert(checkpoint, target, dtype='float32', hints=HINTS)
    assert read_manifest(target) == written
    with safe_open(target, framework='pt') as file:
        assert file.metadata()['format'] == FORMAT
    assert written.architecture == TINY
    assert written.dtype == 'float32'
    assert written.source == {
        'file': 'trained.pt',
        'bytes': checkpoint.stat().st_size,
        'sha256': hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
    }
    for part, state in tiny_states().items():
        assert written.counts[part] == {
            'tensors': len(state),
            'parameters': sum(t.numel() for t in state.values()),
        }


def test_same_file_comes_out_when_converted_twice_over_an_old_one(
    checkpoint: Path, target: Path
) -> None:
    convert(checkpoint, target, hints=HINTS)
    first = target.read_bytes()
    target.write_bytes(b'old')
    convert(checkpoint, target, hints=HINTS)
    assert target.read_bytes() == first
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_checkpoint_is_left_as_it_was_when_converted(checkpoint: Path, target: Path) -> None:
    """Pages of its mapping are let go of; none may be written back."""
    before = checkpoint.read_bytes()
    convert(checkpoint, target, dtype='float32', hints=HINTS)
    assert checkpoint.read_bytes() == before


@pytest.mark.parametrize(
    ('key', 'name'),
    [
        ('module.backbone.norm.weight', 'norm.weight'),
        ('backbone.module.norm.weight', 'norm.weight'),
        ('module.predictor_blocks.0.attn.qkv.bias', 'predictor_blocks.0.attn.qkv.bias'),
        ('norm.weight', 'norm.weight'),
        ('module.backbone.pos_embed', None),
        ('pos_embed', None),
    ],
)
def test_prefixes_and_the_position_table_go_when_keys_are_cleaned(
    key: str, name: str | None
) -> None:
    assert list(clean_state_dict({key: torch.zeros(1)})) == ([name] if name else [])


@pytest.mark.parametrize(
    ('changes', 'hints'),
    [
        ({'rope': 'interleaved'}, {'rope': 'interleaved'}),
        ({'rope_grid': 16}, {'rope_grid': 16}),
        ({}, {'use_extrinsics': True}),
    ],
)
def test_architecture_has_what_was_said_when_no_tensor_tells(
    checkpoint: Path, target: Path, changes: dict[str, Any], hints: dict[str, Any]
) -> None:
    found = convert(checkpoint, target, hints=replace(HINTS, **hints)).architecture
    assert found == replace(
        TINY,
        encoder=replace(TINY.encoder, **changes),
        predictor=replace(TINY.predictor, **changes),
        use_extrinsics=hints.get('use_extrinsics', False),
    )


@pytest.mark.parametrize('name', ENCODERS)
def test_architecture_is_the_released_one_when_its_tensors_are_given_without_hints(
    name: str,
) -> None:
    expected = replace(TINY, encoder=ENCODERS[name], predictor=RELEASED_PREDICTOR, image_size=256)
    with torch.device('meta'):
        states = {
            'encoder': Encoder(expected).state_dict(),
            'predictor': Predictor(expected).state_dict(),
        }
    assert infer_architecture(states, Hints()) == expected


def without(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda content: content.pop(key)


def drop(part: str, name: str) -> Callable[[States], object]:
    return lambda states: states[part].pop(name)


def put(part: str, name: str, tensor: torch.Tensor) -> Callable[[States], object]:
    return lambda states: states[part].__setitem__(name, tensor)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (without('predictor'), "no state dict 'predictor'; it holds batch_size, encoder, epoch"),
        (without('encoder'), "no state dict 'encoder'; it holds .*; valid: a checkpoint of the"),
        (lambda content: content.update(predictor=[1, 2]), "no state dict 'predictor'"),
        (lambda content: content.update(encoder={'epoch': 3}), "no state dict 'encoder'"),
        (lambda content: content.clear(), 'it holds nothing'),
    ],
)
def test_checkpoint_is_refused_when_a_part_is_missing(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    content = trainer_checkpoint(tiny_states())
    change(content)
    torch.save(content, tmp_path / 'other.pt')
    refuse(tmp_path / 'other.pt', message)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (drop('predictor', 'action_encoder.weight'), r'without actions \(pre-training\); valid'),
        (put('predictor', 'mask_tokens.0', torch.zeros(1, 1, 32)), 'without actions'),
        (drop('predictor', 'state_encoder.weight'), 'without state tokens, as the jepa-wms'),
        (drop('predictor', 'predictor_embed.weight'), 'lacks .predictor_embed.weight'),
        (drop('encoder', 'patch_embed.proj.weight'), 'lacks .patch_embed.proj.weight'),
        (drop('encoder', 'blocks.0.mlp.fc1.weight'), 'lacks .blocks.0.mlp.fc1.weight'),
        (drop('encoder', 'norm.bias'), r"encoder lacks \['norm.bias'\] and has nothing too much"),
        (drop('predictor', 'predictor_blocks.1.norm2.bias'), 'predictor lacks .*1.norm2.bias'),
        (drop('predictor', 'extrinsics_encoder.bias'), 'predictor lacks .*extrinsics_encoder'),
        (put('encoder', 'cls_token', torch.zeros(1)), r"lacks nothing and has \['cls_token'\] too"),
        (put('predictor', 'predictor_blocks.2.norm1.bias', torch.zeros(32)), 'for depth 3'),
        (put('encoder', 'norm.bias', torch.zeros(47)), r'encoder.norm.bias has shape \(47,\); va'),
        (put('predictor', 'action_encoder.weight', torch.zeros(32, 8)), r'valid: \(32, 7\)'),
        (put('encoder', 'norm.weight', torch.full((48,), torch.nan)), 'encoder.norm.weight.*NaN'),
        (put('predictor', 'predictor_norm.bias', torch.full((32,), torch.inf)), 'infinity'),
        (put('encoder', 'patch_embed.proj.weight', torch.zeros(48)), 'other names or shapes'),
        (put('encoder', 'blocks.last.bias', torch.zeros(48)), "names or shapes .*'last'"),
    ],
)
def test_checkpoint_is_refused_when_its_tensors_are_not_those_of_the_model(
    tmp_path: Path, change: Callable[[States], object], message: str
) -> None:
    states = tiny_states()
    change(states)
    refuse(write_checkpoint(tmp_path / 'other.pt', states), message)


def test_both_widths_are_named_when_encoder_and_predictor_do_not_belong_together(
    tmp_path: Path,
) -> None:
    other = replace(TINY, encoder=replace(TINY.encoder, width=64, heads=4, mlp_hidden=256))
    states = {'encoder': tiny_states(other)['encoder'], 'predictor': tiny_states()['predictor']}
    path = write_checkpoint(tmp_path / 'other.pt', states)
    message = 'tokens of width 64, the predictor takes 48 and returns 48; valid: a predictor tr'
    refuse(path, message, replace(HINTS, encoder_heads=4))


@pytest.mark.parametrize(
    ('hints', 'message'),
    [
        (replace(HINTS, encoder_heads=None), 'encoder is 48 wide.*valid: .*--encoder-heads'),
        (replace(HINTS, predictor_heads=None), 'predictor is 32 wide.*valid: .*--predictor-heads'),
        (replace(HINTS, encoder_heads=5), 'width 48 with 5 heads; valid'),
        (replace(HINTS, image_size=72), 'image_size 72 with patch_size 16; valid'),
    ],
)
def test_checkpoint_is_refused_when_what_is_said_of_it_cannot_be(
    checkpoint: Path, hints: Hints, message: str
) -> None:
    refuse(checkpoint, message, hints)


def test_file_is_refused_when_it_does_not_exist(tmp_path: Path) -> None:
    refuse(tmp_path / 'nowhere.pt', 'nowhere.pt does not exist; valid: e.g. vjepa2-ac-vitg.pt')


@pytest.mark.parametrize('kept', [0, 100, 50_000, -1])
def test_file_is_refused_when_it_is_cut_short(checkpoint: Path, kept: int) -> None:
    """A download that broke off, anywhere."""
    checkpoint.write_bytes(checkpoint.read_bytes()[:kept])
    refuse(checkpoint, 'truncated or no checkpoint')


def test_file_is_refused_when_it_is_noise(tmp_path: Path) -> None:
    noise = torch.randint(0, 256, (5000,), generator=torch.Generator().manual_seed(0))
    (tmp_path / 'noise.pt').write_bytes(bytes(noise.tolist()))
    refuse(tmp_path / 'noise.pt', 'truncated or no checkpoint')


def test_file_is_refused_when_it_holds_a_tensor_alone(tmp_path: Path) -> None:
    torch.save(torch.zeros(3), tmp_path / 'other.pt')
    refuse(tmp_path / 'other.pt', "holds a Tensor; valid: the mapping.*'encoder' and 'predictor'")


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    ('write', 'message'),
    [
        (torch.save, 'could run foreign code'),
        (lambda content, path: path.write_bytes(pickle.dumps(content)), 'no checkpoint of torch'),
    ],
    ids=['as the trainer writes', 'a plain pickle'],
)
def test_code_in_a_checkpoint_does_not_run_when_it_is_converted(
    tmp_path: Path, write: Callable[[object, Path], object], message: str
) -> None:
    sprung, path = tmp_path / 'sprung', tmp_path / 'evil.pt'
    write({**trainer_checkpoint({'encoder': {}, 'predictor': {}}), 'epoch': Trap(sprung)}, path)
    refuse(path, message)
    assert not sprung.exists()
    pickle.loads(pickle.dumps(Trap(sprung)))
    assert sprung.exists()  # the trap does work


def test_nothing_is_left_when_writing_breaks_off(tmp_path: Path) -> None:
    """NaN in the last tensor is found when all others have been written."""
    states = tiny_states()
    states['predictor']['state_encoder.weight'][-1, -1] = torch.nan
    path = write_checkpoint(tmp_path / 'other.pt', states)
    refuse(path, 'predictor.state_encoder.weight holds NaN')


def test_checkpoint_is_not_written_over_when_it_is_given_as_the_target(checkpoint: Path) -> None:
    """It took hours to download."""
    before = checkpoint.read_bytes()
    with pytest.raises(InvalidParameterError, match='is the checkpoint itself.*valid: another'):
        convert(checkpoint, checkpoint.parent / 'x' / '..' / checkpoint.name, hints=HINTS)
    assert checkpoint.read_bytes() == before


def test_target_is_refused_with_the_room_it_needs_when_it_cannot_be_written(
    checkpoint: Path,
) -> None:
    """It used to end in a traceback. A file stands where the folder should be."""
    with pytest.raises(InvalidParameterError, match=r'cannot be written.*room for \d+ MiB'):
        convert(checkpoint, checkpoint / 'weights.safetensors', hints=HINTS)
