# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""``wm_planner report`` from its command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fakes.records import a_record, a_request, arena
from wm_planner.tools.cli import main


def write(path: Path, planner: str = 'cem') -> Path:
    records = [a_record(k, arena('long_horizon', 0), success=k == 0) for k in range(4)]
    a_request(*records, planner=planner).report(records, wall_s=1.0).write(path)
    return path


def test_page_is_written_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / 'new' / 'page.html'
    assert main(['report', str(write(tmp_path / 'a.json')), '--out', str(out)]) == 0
    page = out.read_text()
    assert page.startswith('<!DOCTYPE html>') and page.rstrip().endswith('</html>')
    assert '1 runs, 4 episodes' in capsys.readouterr().out
    assert [path.name for path in out.parent.iterdir()] == ['page.html']


def test_leaderboard_entry_is_that_of_one_planner(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cem, noop = write(tmp_path / 'a.json'), write(tmp_path / 'b.json', 'noop')
    board, page = tmp_path / 'board.json', str(tmp_path / 'page.html')
    options = ['--leaderboard', str(board), '--name', 'ours', '--size', '2M', '--out', page]
    assert main(['report', str(cem), *options]) == 0
    entry = json.loads(board.read_text())
    assert (entry['name'], entry['size'], entry['modelType']) == ('ours', '2M', 'wam')
    assert entry['tasks'][0]['data'] == {'sr': [0.25, None, None]}
    board.unlink()
    assert main(['report', str(cem), str(noop), *options]) == 2
    assert 'for 2 planners; valid: results of one' in capsys.readouterr().err
    assert not board.exists()


def test_kind_of_model_in_the_entry_is_that_of_the_planner_unless_it_is_said(
    tmp_path: Path,
) -> None:
    board, page = tmp_path / 'board.json', str(tmp_path / 'page.html')
    options = ['--leaderboard', str(board), '--out', page]

    def kind(planner: str, *more: str) -> str:
        result = write(tmp_path / f'{planner}.json', planner)
        assert main(['report', str(result), *options, *more]) == 0
        return json.loads(board.read_text())['modelType']

    assert [kind(name) for name in ('icem', 'openpi', 'dreamzero')] == ['wam', 'vla', 'wam']
    assert kind('openpi', '--model-type', 'wam') == 'wam'


def test_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / 'page.html'
    assert main(['report', str(tmp_path / 'none.json'), '--out', str(out)]) == 2
    assert 'none.json cannot be read' in ' '.join(capsys.readouterr().err.split())
    assert not out.exists()
