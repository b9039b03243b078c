# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What the planning benchmarks report; how fast anything is, is no matter of tests."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import pytest
import torch

from wm_planner.core.errors import MissingAssetError
from wm_planner.models.vjepa2_ac import Architecture
from wm_planner.tools.bench_device import (
    SIZES,
    DeviceBench,
    encoder_flop,
    rollout_flop,
    spearman,
)
from wm_planner.tools.bench_quality import Budget, measure_quality, plot_quality
from wm_planner.tools.bench_reference import HORIZONS, measure_reference

SCRIPT = Path(__file__).resolve().parents[3] / 'benchmarks' / 'vjepa2_ac.py'
REFERENCE = os.environ.get('WM_PLANNER_VJEPA2_REFERENCE', '')


def test_script_for_a_gpu_runs_whole_when_small_and_on_a_cpu(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = importlib.util.spec_from_file_location('benchmark_vjepa2_ac', SCRIPT)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    report = tmp_path / 'report.json'
    options = ['--size', 'tiny', '--device', 'cpu', '--precision', 'bfloat16', '--rounds', '1']
    assert script.main([*options, '--json', str(report)]) == 0
    result = json.loads(report.read_text())
    assert result['precision'] == 'bfloat16' and result['compiled'] == 'off'
    names = [row['what'] for row in result['rows']]
    assert names[0] == 'matmul ceiling' and result['rows'][0]['share_of_ceiling'] == 1.0
    for part in ('encode one frame', 'attention x 2', 'horizon 4', 'plan, 32 x 3 x 1'):
        assert any(part in name for name in names), part
    assert all(row['ms'] > 0.0 and row['tflop_per_s'] > 0.0 for row in result['rows'])
    assert result['ranking']['spearman'] > 0.9
    assert 'plan, 32 x 3 x 1' in capsys.readouterr().out


def test_float32_has_no_other_precision_to_be_compared_with() -> None:
    assert DeviceBench(SIZES['tiny'], device='cpu', precision='float32').ranking() is None


def test_flop_are_those_counted_on_the_reference() -> None:
    """By torch's counter on the meta device: 163.85 and 532.6 GFLOP; 170.4 for a second frame."""
    released = Architecture()
    assert rollout_flop(released, 1) == pytest.approx(163.85e9, rel=2e-3)
    assert rollout_flop(released, 2) - rollout_flop(released, 1) == pytest.approx(170.4e9, rel=2e-3)
    assert encoder_flop(released) == pytest.approx(532.6e9, rel=2e-3)


def test_rank_correlation_by_hand() -> None:
    """Ranks 0 1 2 3 against 0 1 3 2: 1 - 6 * 2 / (4 * 15) = 0.8."""
    first, second = torch.tensor([0.1, 0.2, 0.5, 9.0]), torch.tensor([1.0, 2.0, 7.0, 5.0])
    assert spearman(first, second) == pytest.approx(0.8)
    assert spearman(first, -first) == pytest.approx(-1.0)


def test_quality_is_measured_with_the_rollouts_that_were_really_used(tmp_path: Path) -> None:
    budgets = (
        Budget(planner='cem', samples=40, iterations=2, is_warm=False),
        Budget(planner='icem', samples=10, iterations=2),
    )
    seen: list[str] = []
    rows = measure_quality(
        'tabletop/reach',
        model='tabletop',
        episodes=1,
        seed=3,
        budgets=budgets,
        on_row=lambda row: seen.append(row['label']),
    )
    assert seen == ['cem 40 x 2, cold', 'icem 10 x 2, warm']
    assert rows[0]['rollouts_per_plan'] == 2 * 40 + 1  # the final mean is scored too
    assert rows[0]['times_fewer_rollouts'] == 1.0
    assert rows[1]['times_fewer_rollouts'] == pytest.approx(81 / rows[1]['rollouts_per_plan'])
    for row in rows:
        assert row['episodes'] == 1 and row['interval'][0] <= row['success_rate']
        assert row['final_energy_median'] > 0.0
    picture = tmp_path / 'new folder' / 'quality.png'
    plot_quality(rows, picture, title='a title')
    assert picture.read_bytes().startswith(b'\x89PNG')


def test_folder_without_the_reference_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MissingAssetError, match='no checkout of the reference.*git clone'):
        measure_reference(tmp_path)


@pytest.mark.skipif(not REFERENCE, reason='WM_PLANNER_VJEPA2_REFERENCE names no checkout')
def test_reference_and_ours_find_the_same() -> None:
    result = measure_reference(Path(REFERENCE), width=64, depth=2, samples=8, rounds=1)
    assert [row['horizon'] for row in result['rows']] == list(HORIZONS)
    for row in result['rows']:
        assert row['rollouts']['max_difference'] < 1e-4
        assert row.get('plan', row['rollouts'])['max_difference'] < 1e-4
