# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""``wm_planner model`` from its command line: exit codes, JSON, sentences."""

from __future__ import annotations

from dataclasses import asdict, replace
import json
from pathlib import Path
import subprocess
import sys

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file
import torch

from fakes.vjepa2 import (
    CONVERT_OPTIONS,
    TINY,
    tiny_states,
    write_checkpoint,
    write_tiny_weights,
)
from wm_planner.models.vjepa2_ac.checkpoint import read_manifest
from wm_planner.planning.presets import PRESETS
from wm_planner.tools.cli import main

GOLDEN = Path(__file__).resolve().parents[2] / 'data' / 'vjepa2_ac_b.safetensors'
WITH_CAMERA = replace(TINY, use_extrinsics=True)


def model(*arguments: object) -> int:
    return main(['model', *map(str, arguments)])


def printed(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """Return what was printed and what was said on the side, each as one line."""
    found = capsys.readouterr()
    return ' '.join(found.out.split()), ' '.join(found.err.split())


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tables from folding what is looked for."""
    monkeypatch.setenv('COLUMNS', '120')


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / 'trained.pt')


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return write_tiny_weights(tmp_path / 'tiny.safetensors')


@pytest.mark.parametrize('dtype', ['bfloat16', 'float32'])
def test_file_stands_beside_the_checkpoint_when_no_other_is_named(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], dtype: str
) -> None:
    more = () if dtype == 'bfloat16' else ('--dtype', dtype)
    assert model('convert', checkpoint, *CONVERT_OPTIONS, *more) == 0
    target = checkpoint.with_name(f'trained.{dtype}.safetensors')
    manifest = read_manifest(target)
    assert (manifest.dtype, manifest.architecture) == (dtype, TINY)
    out, _ = printed(capsys)
    assert 'width 48, depth 2, 3 heads, MLP 192, rope tiled' in out
    assert '64 px, 16 tokens a frame, 2 condition tokens' in out
    assert 'trained.pt' in out


def test_options_reach_the_file_when_given(checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / 'new' / 'weights.safetensors'
    more = ('--rope', 'interleaved', '--rope-grid', 16, '--extrinsics', '--out', target)
    assert model('convert', checkpoint, *CONVERT_OPTIONS, *more) == 0
    found = read_manifest(target).architecture
    assert (found.encoder.rope, found.predictor.rope) == ('interleaved', 'interleaved')
    assert (found.encoder.rope_grid, found.use_extrinsics) == (16, True)


def test_whole_way_is_walked_when_a_checkpoint_is_converted_and_checked(
    checkpoint: Path, tmp_path: Path
) -> None:
    target, report = tmp_path / 'weights.safetensors', tmp_path / 'report.json'
    assert model('convert', checkpoint, *CONVERT_OPTIONS, '--out', target) == 0
    assert model('check', target, '--device', 'cpu', '--json', report) == 0
    assert json.loads(report.read_text())['checks']['precision'] == 'float32'


@pytest.mark.parametrize(
    ('options', 'status', 'message'),
    [
        ((), 1, '[301] the encoder is 48 wide, which no released one is'),
        (('--encoder-heads', 5, *CONVERT_OPTIONS[2:]), 1, '[301] width 48 with 5 heads; valid'),
        ((*CONVERT_OPTIONS, '--image-size', 72), 1, '[301] image_size 72 with patch_size 16'),
        ((*CONVERT_OPTIONS, '--encoder-heads', 0), 2, "Invalid value for '--encoder-heads'"),
        ((*CONVERT_OPTIONS, '--dtype', 'int8'), 2, "Invalid value for '--dtype'"),
        ((*CONVERT_OPTIONS, '--rope', 'half'), 2, "Invalid value for '--rope'"),
    ],
)
def test_conversion_is_refused_when_what_is_said_of_the_checkpoint_cannot_be(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], options, status: int, message: str
) -> None:
    assert model('convert', checkpoint, *options) == status
    _, err = printed(capsys)
    assert message in err
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


def test_conversion_is_refused_when_the_target_is_the_checkpoint_or_cannot_be_written(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = checkpoint.read_bytes()
    assert model('convert', checkpoint, *CONVERT_OPTIONS, '--out', checkpoint) == 2
    assert 'error [104]' in printed(capsys)[1]
    assert model('convert', checkpoint, *CONVERT_OPTIONS, '--out', checkpoint / 'x') == 2
    assert 'error [104] weights cannot be written to' in printed(capsys)[1]
    assert checkpoint.read_bytes() == before


@pytest.mark.parametrize('command', ['convert', 'info', 'check', 'parity'])
def test_missing_file_is_a_numbered_error_when_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert model(command, tmp_path / 'nowhere') == 1
    _, err = printed(capsys)
    assert 'wm_planner: error [301]' in err and 'does not exist; valid: ' in err


@pytest.mark.parametrize('command', ['convert', 'info', 'check', 'parity'])
def test_foreign_file_is_a_numbered_error_when_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """A safetensors file, but not one of ours."""
    path = tmp_path / 'foreign.safetensors'
    save_file({'weight': torch.zeros(4)}, path)
    assert model(command, path) == 1
    assert 'wm_planner: error [301]' in printed(capsys)[1]


def test_manifest_is_printed_as_json_when_asked_for(
    weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert model('info', weights, '--json') == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads(json.dumps(asdict(read_manifest(weights))))
    assert found['counts']['predictor'] == {
        'tensors': len(tiny_states()['predictor']),
        'parameters': sum(t.numel() for t in tiny_states()['predictor'].values()),
    }


def test_checksum_is_printed_whole_when_the_terminal_is_narrow(
    weights: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('COLUMNS', '60')
    assert model('info', weights) == 0
    out = capsys.readouterr().out
    letters = ''.join(character for character in out if character in '0123456789abcdef')
    assert read_manifest(weights).data_sha256 in letters


def test_check_tells_memory_speed_and_plan_times_when_the_weights_are_fine(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / 'new' / 'report.json'
    assert model('check', weights, '--device', 'cpu', '--json', report) == 0
    found = json.loads(report.read_text())
    assert found['checks']['a forward pass'] == 'fine (16 tokens of width 48)'
    assert found['checks']['samples at once, horizon 1'] >= 1
    times = {name.split(',')[0]: seconds for name, seconds in found['plan_s'].items()}
    assert times.keys() == {'default', *PRESETS}
    assert all(seconds > 0.0 for seconds in times.values())
    assert times['long'] == pytest.approx(16 * times['paper'])
    out, _ = printed(capsys)
    assert 'paper, 800 x 10 x 1' in out and 'checksum, keys and shapes, finite weights' in out


def test_check_passes_when_the_weights_use_a_camera_pose(tmp_path: Path) -> None:
    """It used to ask for world_model.camera_extrinsics, which nobody can give it."""
    path = write_tiny_weights(tmp_path / 'camera.safetensors', WITH_CAMERA)
    assert model('check', path, '--device', 'cpu') == 0


def test_check_fails_when_a_bit_is_wrong(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert model('check', weights, '--device', 'cpu') == 1
    assert 'wm_planner: error [302]' in printed(capsys)[1]


@pytest.mark.parametrize('device', ['gpu', 'cuda'])
def test_check_is_refused_when_the_device_is_not_there(
    weights: Path, capsys: pytest.CaptureFixture[str], device: str
) -> None:
    """It used to end in a traceback out of torch."""
    if device == 'cuda' and torch.cuda.is_available():
        pytest.skip('there is a CUDA GPU')
    assert model('check', weights, '--device', device) == 2
    _, err = printed(capsys)
    assert f'error [104] device is {device!r}' in err and 'valid: cpu' in err


def test_parity_prints_json_and_exits_0_when_all_groups_agree() -> None:
    """In a process of its own, as people run it: nothing but JSON on standard output."""
    code = 'import sys; from wm_planner.tools.cli import main; sys.exit(main())'
    done = subprocess.run(
        [sys.executable, '-c', code, 'model', 'parity', GOLDEN],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found['ok'] is True and len(found['groups']) == 17
    for group in found['groups'].values():
        assert group['ok'] is True and group['max_difference'] <= group['bound']


@pytest.mark.parametrize('amount', [1e-3, float('nan')])
def test_parity_exits_1_and_names_the_group_when_one_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], amount: float
) -> None:
    with safe_open(GOLDEN, framework='pt') as file:
        metadata = file.metadata()
    tensors = load_file(GOLDEN)
    tensors['predictor/T2/out'][0, 0, 0] += amount
    save_file(tensors, tmp_path / 'other.safetensors', metadata)
    assert model('parity', tmp_path / 'other.safetensors') == 1

    def refuse(constant: str) -> None:
        raise AssertionError(f'{constant} is no JSON')

    found = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert found['ok'] is False
    assert [name for name, group in found['groups'].items() if not group['ok']] == ['predictor/T2']


def test_commands_are_listed_when_none_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert model('--help') == 0
    out, _ = printed(capsys)
    assert all(command in out for command in ('convert', 'info', 'check', 'parity'))
