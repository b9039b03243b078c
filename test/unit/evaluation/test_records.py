# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The report: its JSON can be read by anything, and says how much of the run there is."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from wm_planner.evaluation.records import (
    EpisodeRecord,
    RunReport,
    installed_versions,
    jsonable,
    write_json,
)

EPISODE_KEYS = {
    'episode_id',
    'suite',
    'planner',
    'model',
    'seed',
    'episode',
    'success',
    'start_distance_m',
    'final_distance_m',
    'steps',
    'termination',
    'error_code',
    'message',
    'goal_energies',
    'energy_curve',
    'plan_ms',
    'plan_rollouts',
    'cost',
    'cost_upstream',
    'wall_s',
    'pictures',
    'commands_clamped',
    'commands_refused',
}
REPORT_KEYS = {
    'schema_version',
    'suite',
    'planner',
    'model',
    'seed',
    'through',
    'complete',
    'episodes_requested',
    'success_rate',
    'successes',
    'interval',
    'plan_ms',
    'wall_s',
    'device',
    'versions',
    'config',
    'episodes',
}


def record(episode: int, *, success: bool = True, **changes: object) -> EpisodeRecord:
    values: dict[str, object] = {
        'episode_id': f'loopback/reach/7/{episode}',
        'suite': 'loopback/reach',
        'planner': 'cem',
        'model': 'point_mass',
        'seed': 7,
        'episode': episode,
        'success': success,
        'start_distance_m': 0.2,
        'final_distance_m': 0.01,
        'steps': 12,
        'termination': 'timeout',
        'goal_energies': (0.5,),
        'plan_ms': (10.0, 20.0),
    }
    return EpisodeRecord(**{**values, **changes})  # type: ignore[arg-type]


def report(*records: EpisodeRecord, requested: int | None = None) -> RunReport:
    return RunReport(
        suite='loopback/reach',
        planner='cem',
        model='point_mass',
        seed=7,
        through='direct',
        episodes_requested=len(records) if requested is None else requested,
        episodes=records,
        device='cpu',
        versions=installed_versions(),
        config={'samples': 8},
    )


def test_json_has_the_agreed_keys_and_the_interval_of_the_rate() -> None:
    values = report(record(0), record(1, success=False)).as_json()
    assert set(values) == REPORT_KEYS
    assert set(values['episodes'][0]) == EPISODE_KEYS
    assert values['success_rate'] == 0.5
    low, high = values['interval']
    assert low < 0.5 < high
    assert values['plan_ms'] == {'p50': 15.0, 'p99': 20.0, 'mean': 15.0, 'count': 4}
    assert values['complete'] is True


def test_a_run_that_was_stopped_is_marked_incomplete() -> None:
    values = report(record(0), requested=5).as_json()
    assert values['complete'] is False
    assert values['episodes_requested'] == 5
    assert len(values['episodes']) == 1


def test_a_run_without_an_episode_says_null_rather_than_zero() -> None:
    values = report(requested=3).as_json()
    assert values['success_rate'] is None
    assert values['interval'] is None
    assert values['plan_ms'] == {'p50': None, 'p99': None, 'mean': None, 'count': 0}


def test_the_written_file_is_strict_json_when_energies_are_not_finite(tmp_path: Path) -> None:
    """json.dumps writes NaN by default, which other readers refuse."""
    path = tmp_path / 'made' / 'report.json'
    report(record(0, goal_energies=(math.nan, math.inf, 1.5))).write(path)

    def refuse(constant: str) -> None:
        raise AssertionError(f'{constant} is not JSON')

    values = json.loads(path.read_text(), parse_constant=refuse)
    assert values['episodes'][0]['goal_energies'] == [None, None, 1.5]


def test_a_failing_write_leaves_the_former_file(tmp_path: Path) -> None:
    path = tmp_path / 'report.json'
    write_json(path, {'a': 1})

    class Unwritable:
        def __str__(self) -> str:
            raise RuntimeError('no')

    with pytest.raises(RuntimeError):
        write_json(path, {'a': Unwritable()})
    assert json.loads(path.read_text()) == {'a': 1}


def test_values_of_other_types_become_json_types(tmp_path: Path) -> None:
    assert jsonable({'path': tmp_path, 'tuple': (1, True, None)}) == {
        'path': str(tmp_path),
        'tuple': [1, True, None],
    }


def test_versions_name_what_figures_depend_on() -> None:
    versions = installed_versions()
    assert {'wm_planner', 'python', 'torch', 'mujoco', 'numpy'} <= set(versions)
    assert versions['numpy'] is not None
