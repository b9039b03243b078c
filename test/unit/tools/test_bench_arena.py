# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The arena benchmark on an official task: it runs and keeps the limits that it is there for."""

from __future__ import annotations

import os

import pytest

from fakes.arena_root import arena_root
from wm_planner.core.errors import MissingAssetError
from wm_planner.tools.bench_arena import measure_arena, variables_set


def test_variables_are_as_they_were_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('WM_PLANNER_TEST_A', 'before')
    with variables_set({'WM_PLANNER_TEST_A': 'x', 'WM_PLANNER_TEST_B': 'y'}):
        assert os.environ['WM_PLANNER_TEST_A'] == 'x' and 'WM_PLANNER_TEST_B' in os.environ
    assert os.environ['WM_PLANNER_TEST_A'] == 'before'
    assert 'WM_PLANNER_TEST_B' not in os.environ


def test_measures_episodes_and_resets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('WM_PLANNER_ASSET_ROOT', str(arena_root()))
    found = measure_arena(
        'arena/safety_static_obstacles/L1', episodes=1, resets=3, side_px=64, camera='exterior'
    )
    names = [measurement.name for measurement in found]
    assert names[:3] == ['episode', 'first_reset', 'reset_whole']
    assert set(names[3:]) == {'reset_engine', 'reset_settling', 'reset_picture'}
    assert found[0].at(50.0) < 120.0  # a busy machine included


def test_no_task_says_how_to_get_some(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    arena_root()
    monkeypatch.setenv('WM_PLANNER_ASSET_ROOT', str(tmp_path_factory.mktemp('empty')))
    with pytest.raises(MissingAssetError, match='lay-out'):
        measure_arena('arena', episodes=1, resets=1, side_px=64, camera='exterior')
