# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Agreement with the reference implementation, on the tensors it computed (test/data)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file
import torch
from torch import Tensor

from wm_planner.core.errors import ModelLoadError
from wm_planner.models.vjepa2_ac.parity import Agreement, Golden
from wm_planner.tools.model_parity import parity_report

DATA = Path(__file__).resolve().parents[3] / 'data'
GOLDEN = {name: DATA / f'vjepa2_ac_{name}.safetensors' for name in ('a', 'b')}
BOUNDS = {
    'encoder/tokens': 2e-5,
    'encoder/tokens_normalised': 2e-5,
    'encoder/video_tokens': 2e-5,
    'predictor/T1': 2e-5,
    'predictor/T2': 2e-5,
    'predictor/T4': 2e-5,
    'rollout/context1/tokens': 2e-5,
    'rollout/context1/poses': 1e-6,
    'rollout/context1/energy': 2e-5,
    'rollout/context2/tokens': 2e-5,
    'rollout/context2/poses': 1e-6,
    'rollout/context2/energy': 2e-5,
    'pose/next_state': 1e-6,
    'pose/difference': 1e-6,
    'cem/h1': 1e-5,
    'cem/h2': 1e-5,
    'cem/h2_close': 1e-5,
}
"""Written out here as well, so that none can grow, or a group go missing, unnoticed."""


def changed(path: Path, target: Path, change: Callable[[dict[str, Tensor]], object]) -> Path:
    """Write a golden file with other tensors; return its path."""
    with safe_open(path, framework='pt') as file:
        metadata = file.metadata()
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, target, metadata)
    return target


def add(key: str, amount: float) -> Callable[[dict[str, Tensor]], object]:
    def change(tensors: dict[str, Tensor]) -> None:
        tensors[key].view(-1)[-1] += amount

    return change


def beyond(report: dict[str, Any]) -> set[str]:
    return {name for name, group in report['groups'].items() if not group['ok']}


@pytest.mark.parametrize('name', GOLDEN)
def test_every_group_agrees_when_the_reference_computed_it(name: str) -> None:
    report = parity_report(GOLDEN[name])
    assert report['ok'] is True
    assert {group: found['bound'] for group, found in report['groups'].items()} == BOUNDS
    for group, found in report['groups'].items():
        assert 0.0 <= found['max_difference'] <= BOUNDS[group], group
    assert report['versions']['torch'] == torch.__version__


@pytest.mark.parametrize(
    ('key', 'amount', 'groups'),
    [
        ('encoder/tokens', 5e-5, {'encoder/tokens'}),
        ('encoder/video_tokens', 1.0, {'encoder/video_tokens'}),
        ('predictor/T2/out', -5e-5, {'predictor/T2'}),
        ('rollout/context2/predicted_tokens', 5e-5, {'rollout/context2/tokens'}),
        ('rollout/context1/predicted_poses', 3e-6, {'rollout/context1/poses'}),
        ('rollout/context1/energy_last', 5e-5, {'rollout/context1/energy'}),
        ('pose/next_state', 3e-6, {'pose/next_state'}),
        ('pose/diff', torch.nan, {'pose/difference'}),
        ('cem/h2/action', 3e-5, {'cem/h2'}),
        # What goes in counts as well.
        (
            'rollout/context2/past_actions',
            0.5,
            {'rollout/context2/tokens', 'rollout/context2/energy'},
        ),
        ('cem/h1/setting/maxnorm', -0.01, {'cem/h1'}),
    ],
)
def test_group_is_named_when_one_of_its_tensors_differs(
    tmp_path: Path, key: str, amount: float, groups: set[str]
) -> None:
    path = changed(GOLDEN['b'], tmp_path / 'other.safetensors', add(key, amount))
    report = parity_report(path)
    assert report['ok'] is False
    assert beyond(report) == groups


@pytest.mark.parametrize(
    ('key', 'untouched'),
    [
        ('weights/encoder/module.backbone.blocks.1.attn.proj.bias', 'predictor'),
        ('weights/predictor/module.predictor_blocks.1.mlp.fc2.bias', 'encoder'),
    ],
)
def test_all_groups_of_a_network_differ_when_one_weight_does(
    tmp_path: Path, key: str, untouched: str
) -> None:
    path = changed(GOLDEN['b'], tmp_path / 'other.safetensors', add(key, 0.5))
    found = beyond(parity_report(path))
    part = ({'encoder', 'predictor'} - {untouched}).pop()
    assert {group for group in BOUNDS if group.startswith(f'{part}/')} <= found
    assert not any(group.startswith((f'{untouched}/', 'pose/')) for group in found)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda tensors: tensors.pop('encoder/video'), 'lacks .*video'),
        (lambda tensors: tensors.pop('predictor/T1/out'), 'lacks .*out'),
        (lambda tensors: tensors.pop('cem/h1/setting/topk'), 'lacks .*topk'),
        (lambda tensors: tensors.pop('pose/action'), 'lacks .*action'),
        (lambda tensors: tensors.pop('weights/encoder/module.backbone.norm.bias'), r'norm\.bias'),
        (lambda tensors: [tensors.pop(key) for key in list(tensors) if 'weights/' in key], 'lacks'),
        (
            lambda tensors: tensors.update({'predictor/T1/out': torch.zeros(2, 35, 176)}),
            r'predictor/T1 has shape \(2, 35, 176\) in the golden file; valid: \(2, 36, 176\)',
        ),
    ],
)
def test_file_is_refused_when_a_tensor_is_missing_or_of_another_shape(
    tmp_path: Path, change: Callable[[dict[str, Tensor]], object], message: str
) -> None:
    path = changed(GOLDEN['b'], tmp_path / 'other.safetensors', change)
    with pytest.raises(ModelLoadError, match=message):
        parity_report(path)


@pytest.mark.parametrize('prefix', ['encoder/', 'predictor/', 'rollout/', 'cem/', 'pose/'])
def test_file_is_refused_when_it_has_nothing_to_compare_of_a_kind(
    tmp_path: Path, prefix: str
) -> None:
    """Else a file without any would agree with everything."""

    def change(tensors: dict[str, Tensor]) -> None:
        for key in [key for key in tensors if key.startswith(prefix)]:
            del tensors[key]

    path = changed(GOLDEN['b'], tmp_path / 'other.safetensors', change)
    with pytest.raises(ModelLoadError, match=f'lacks .*{prefix[:-1]}'):
        parity_report(path)


@pytest.mark.parametrize(
    'metadata', [None, {'config': 'eh'}, {'config': "{'img': 64, 'eh': 2}"}, {'config': '[1]'}]
)
def test_file_is_refused_when_its_metadata_have_no_sizes(tmp_path: Path, metadata) -> None:
    path = tmp_path / 'other.safetensors'
    save_file({'weight': torch.zeros(3)}, path, metadata)
    with pytest.raises(ModelLoadError, match="valid: a golden file, with 'config' holding img"):
        Golden.load(path)


def test_file_is_refused_when_it_is_no_safetensors_file_or_none(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match='does not exist; valid: a .safetensors file'):
        Golden.load(tmp_path / 'nowhere.safetensors')
    (tmp_path / 'noise.safetensors').write_bytes(GOLDEN['b'].read_bytes()[:5000])
    with pytest.raises(ModelLoadError, match='is not safetensors'):
        Golden.load(tmp_path / 'noise.safetensors')


@pytest.mark.parametrize(
    ('difference', 'is_within'), [(0.0, True), (1.0, True), (1.1, False), (float('nan'), False)]
)
def test_difference_is_within_when_it_is_no_larger_than_its_bound(
    difference: float, is_within: bool
) -> None:
    found = Agreement(group='any', max_difference=difference, bound=1.0)
    assert found.is_within is is_within
