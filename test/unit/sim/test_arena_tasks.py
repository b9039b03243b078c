# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Tasks and initial states on disk."""

from __future__ import annotations

import io
import os
from pathlib import Path
import pickle
import zipfile

import numpy as np
import pytest

from wm_planner.core.errors import MissingAssetError, SimulatorError, UnknownNameError
from wm_planner_sim.arena_tasks import find_task, initial_states, levels, tasks_under


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for suite, level, task in (
        ('safety_static_obstacles', 1, 'pick_the_lemon'),
        ('safety_static_obstacles', 0, 'pick_the_tomato'),
        ('long_horizon', 1, 'tidy_up'),
    ):
        file = tmp_path / 'bddl_files' / suite / f'level_{level}' / f'{task}.bddl'
        file.parent.mkdir(parents=True)
        file.write_text('(define (problem Tabletop_Manipulation))')
    return tmp_path


def write_states(file: Path, content: object) -> Path:
    with zipfile.ZipFile(file, 'w') as archive:
        archive.writestr('states/data.pkl', pickle.dumps(content, protocol=2))
    return file


def test_tasks_are_named_suite_level_task(root: Path) -> None:
    tasks = tasks_under(root)
    assert list(tasks) == [
        'long_horizon/L1/tidy_up',
        'safety_static_obstacles/L0/pick_the_tomato',
        'safety_static_obstacles/L1/pick_the_lemon',
    ]
    assert levels(tasks.values()) == {0: 1, 1: 2}
    assert [task.max_steps for task in tasks.values()] == [600, 300, 300]


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('safety_static_obstacle/L1/pick_the_lemon', "mean 'safety_static_obstacles'"),
        ('safety_static_obstacles/L2/pick_the_lemon', 'arena level .* Valid: L0, L1'),
        ('safety_static_obstacles/L1/pick_the_melon', "mean 'pick_the_lemon'"),
        ('safety_static_obstacles/L1', 'not complete'),
    ],
)
def test_unknown_names_get_the_nearest_ones(root: Path, name: str, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        find_task(tasks_under(root), name)


def test_no_task_at_all_says_how_to_get_some(tmp_path: Path) -> None:
    with pytest.raises(MissingAssetError, match='WM_PLANNER_ASSET_ROOT'):
        find_task(tasks_under(tmp_path), 'a/L0/b')


def test_initial_states_are_read_as_the_benchmark_writes_them(tmp_path: Path) -> None:
    wanted = [np.arange(5.0), np.ones(5)]
    found = initial_states(write_states(tmp_path / 'a.pruned_init', wanted))
    assert [state.tolist() for state in found] == [state.tolist() for state in wanted]


def test_initial_states_of_libero_are_an_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / 'a.npz', states=np.ones((50, 3)))
    assert len(initial_states(tmp_path / 'a.npz')) == 50


def test_nothing_in_a_file_of_states_runs(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / 'ran'),)

    with pytest.raises(SimulatorError, match=r'asks for (posix|nt)\.mkdir'):
        initial_states(write_states(tmp_path / 'evil.pruned_init', [Evil()]))
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('content', [b'', b'not a zip'])
def test_broken_file_of_states(tmp_path: Path, content: bytes) -> None:
    (tmp_path / 'broken').write_bytes(content)
    with pytest.raises(SimulatorError, match='no initial states'):
        initial_states(tmp_path / 'broken')


def test_missing_file_of_states(tmp_path: Path) -> None:
    with pytest.raises(MissingAssetError, match='lay-out|assets --help'):
        initial_states(tmp_path / 'absent')


def test_numpy_scalars_are_no_arrays(tmp_path: Path) -> None:
    with pytest.raises(SimulatorError, match='flat arrays'):
        initial_states(write_states(tmp_path / 'scalars', [np.float64(1.0)]))


def test_pickle_of_another_protocol_is_read(tmp_path: Path) -> None:
    file, raw = tmp_path / 'p4', io.BytesIO()
    pickle.dump([np.zeros(4)], raw, protocol=4)
    with zipfile.ZipFile(file, 'w') as archive:
        archive.writestr('x/data.pkl', raw.getvalue())
    assert initial_states(file)[0].shape == (4,)
