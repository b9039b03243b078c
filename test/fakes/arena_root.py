# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The official tasks for tests: laid out once a test process, or skipped with the reason."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
import tempfile

import pytest

from wm_planner.core.errors import MissingAssetError
from wm_planner_sim.assets import lay_out

ARCHIVES = Path(__file__).resolve().parents[3] / 'shared' / 'vla_arena'
_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []


@functools.cache
def arena_root() -> Path:
    """Return an asset root with the official tasks; skips the test where there can be none."""
    if importlib.util.find_spec('vla_arena') is None:
        pytest.skip('the VLA-Arena engine is not installed: ./dev setup --arena')
    archives = sorted(ARCHIVES.glob('*.tar.xz')) if ARCHIVES.is_dir() else []
    if not archives:
        pytest.skip(f'no archive of VLA-Arena tasks in {ARCHIVES.parent.name}/{ARCHIVES.name}')
    _FOLDERS.append(tempfile.TemporaryDirectory(prefix='arena_root_'))
    root = Path(_FOLDERS[-1].name)
    try:
        lay_out(archives[0], root)
    except MissingAssetError as error:
        pytest.skip(str(error))
    return root
