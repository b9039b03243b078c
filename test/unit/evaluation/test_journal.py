# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The journal: what was appended is there again, and nothing of another run ever is."""

from __future__ import annotations

from dataclasses import replace
import json
import math
from pathlib import Path
from typing import Any

import pytest

from fakes.records import a_record
from wm_planner.core.errors import InvalidParameterError, RecorderError
from wm_planner.evaluation.environments import SuiteName
from wm_planner.evaluation.journal import Journal, differences, fingerprint, run_settings
from wm_planner.evaluation.records import EpisodeRecord
from wm_planner.evaluation.runner import EvaluationConfig, RunRequest
from wm_planner.evaluation.settings import PlannerChoice

SETTINGS = {'planner': 'cem', 'choice': {'cem': {'num_samples': 64}}}


def fill(path: Path, *episodes: int, **more: Any) -> None:
    with Journal(path, SETTINGS, **more) as journal:
        for episode in episodes:
            journal.append(a_record(episode=episode))


def read(path: Path, settings: Any = None) -> dict[Any, EpisodeRecord]:
    with Journal(path, settings or SETTINGS) as journal:
        return journal.records


def request(**values: Any) -> RunRequest:
    return RunRequest(
        suite=SuiteName('tabletop', 'reach'),
        choice=PlannerChoice(values=values),
        config=EvaluationConfig(),
    )


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / 'j.jsonl'
    record = a_record(episode=3, goal_energies=(0.5, math.nan), pictures={'first': 'a/first.png'})
    with Journal(path, SETTINGS) as journal:
        journal.append(record)
    (back,) = read(path).values()
    assert math.isnan(back.goal_energies[1])
    assert repr(back) == repr(record)
    assert list(read(path)) == [('tabletop/reach', 7, 3)]


@pytest.mark.parametrize('torn', ['{"settings": "', '{"suite": "tabletop/reach"}', 'x' * 5000])
def test_torn_last_line_is_dropped_and_what_follows_does_not_join_it(
    tmp_path: Path, torn: str
) -> None:
    path = tmp_path / 'j.jsonl'
    fill(path, 0, 1)
    with path.open('a') as file:
        file.write(torn)
    fill(path, 2)
    assert [key[2] for key in read(path)] == [0, 1, 2]
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_line_cut_anywhere_never_gives_a_wrong_record(tmp_path: Path) -> None:
    path = tmp_path / 'j.jsonl'
    fill(path, 0, 1)
    content = path.read_bytes()
    second = content.rindex(b'\n', 0, len(content) - 1) + 1
    for cut in range(second, len(content), 37):
        path.write_bytes(content[:cut])
        assert [key[2] for key in read(path)] == [0]


def test_other_settings_are_refused_with_what_differs(tmp_path: Path) -> None:
    path = tmp_path / 'j.jsonl'
    fill(path, 0)
    other = {'planner': 'cem', 'choice': {'cem': {'num_samples': 32}}}
    with pytest.raises(InvalidParameterError, match='choice.cem.num_samples: 64, now 32'):
        read(path, other)
    assert len(read(path)) == 1, 'what was refused is still there'


def test_journal_without_an_episode_belongs_to_nobody(tmp_path: Path) -> None:
    path = tmp_path / 'j.jsonl'
    fill(path)
    assert read(path, {'planner': 'mppi'}) == {}


def test_restart_drops_what_there_was(tmp_path: Path) -> None:
    path = tmp_path / 'j.jsonl'
    fill(path, 0, 1)
    fill(path, 5, restart=True)
    assert [key[2] for key in read(path)] == [5]


def test_damage_before_the_end_is_no_torn_line(tmp_path: Path) -> None:
    path = tmp_path / 'j.jsonl'
    fill(path, 0, 1)
    lines = path.read_text().splitlines()
    path.write_text('\n'.join([lines[0], lines[1][:40], lines[2]]) + '\n')
    with pytest.raises(RecorderError, match='line 2'):
        read(path)


def test_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / 'j.jsonl'
    path.write_text('{"mine": 1}\n')
    with pytest.raises(InvalidParameterError, match='no journal of version 2'):
        read(path)
    assert path.read_text() == '{"mine": 1}\n'


def test_two_runs_cannot_write_one_journal(tmp_path: Path) -> None:
    path = tmp_path / 'j.jsonl'
    with (
        Journal(path, SETTINGS),
        pytest.raises(InvalidParameterError, match='written by another run'),
    ):
        Journal(path, SETTINGS)
    assert read(path) == {}


def test_folder_that_cannot_be_written_is_an_error_with_a_number(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(RecorderError, match='cannot be written'):
        read(tmp_path / 'file' / 'j.jsonl')


def test_settings_are_equal_for_equal_requests_and_know_every_value() -> None:
    same = [fingerprint(run_settings(request(**{'cem.num_samples': 64}))) for _ in range(2)]
    assert same[0] == same[1]
    assert fingerprint(run_settings(request(**{'cem.num_samples': 65}))) != same[0]


@pytest.mark.parametrize(
    ('config', 'values', 'says'),
    [
        ({'steps_scale': 2.0}, {}, 'evaluation.steps_scale: 2.0, now 1.0'),
        ({'chain': 'schedule'}, {}, 'evaluation.chain: schedule, now progress'),
        ({}, {'controller.chain_within': 0.2}, 'chain.chain_within: 0.2, now 0.1'),
    ],
)
def test_how_goals_are_pursued_is_a_setting(
    config: dict[str, Any], values: dict[str, Any], says: str
) -> None:
    by_progress = {'chain': 'progress'}
    now = replace(request(), config=EvaluationConfig(**by_progress))
    before = replace(request(**values), config=EvaluationConfig(**{**by_progress, **config}))
    found = differences(run_settings(before), run_settings(now))
    assert says in found


def test_number_and_seed_of_the_episodes_are_no_settings() -> None:
    other = replace(request(), config=EvaluationConfig(episodes=2, seed=5))
    assert run_settings(other) == run_settings(request())


def test_weights_that_were_trained_anew_are_other_settings(tmp_path: Path) -> None:
    weights = tmp_path / 'w.safetensors'
    weights.write_text('a')
    before = run_settings(request(**{'world_model.weights': str(weights)}))
    weights.write_text('ab')
    after = run_settings(request(**{'world_model.weights': str(weights)}))
    (difference,) = differences(before, after)
    assert difference.startswith('files.world_model.weights: 1 bytes')


def test_variables_of_the_environment_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    before = run_settings(request())
    monkeypatch.setenv('WM_PLANNER_TABLETOP_CAMERA', 'side')
    monkeypatch.setenv('WM_PLANNER_ARENA_CAMERA', 'another environment')
    (difference,) = differences(before, run_settings(request()))
    assert difference == 'environment.WM_PLANNER_TABLETOP_CAMERA: None, now side'
