# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The tasks of VLA-Arena (and LIBERO) that are on this machine, and their initial states."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
import functools
import importlib.util
import io
from pathlib import Path
import pickle
import re
from typing import Any
import zipfile

import numpy as np

from wm_planner.core.errors import MissingAssetError, SimulatorError, UnknownNameError
from wm_planner.core.geometry import Array

LIBERO_SUITES = ('libero_spatial', 'libero_object', 'libero_goal', 'libero_10', 'libero_90')
SHORT_EPISODE_STEPS, LONG_EPISODE_STEPS = 300, 600
_LEVEL_FOLDER = re.compile(r'level_(\d+)')


@dataclass(frozen=True, kw_only=True, order=True)
class ArenaTask:
    """One task: ``suite``, difficulty ``level`` and ``name``, and the files that define it."""

    suite: str
    level: int
    name: str
    bddl_file: Path
    init_file: Path

    def __str__(self) -> str:
        return f'{self.suite}/L{self.level}/{self.name}'

    @property
    def max_steps(self) -> int:
        """Return how many control steps an episode may take, as the benchmark publishes it."""
        is_long = self.suite == 'long_horizon' and self.level >= 1
        return LONG_EPISODE_STEPS if is_long else SHORT_EPISODE_STEPS


def tasks_under(root: Path) -> dict[str, ArenaTask]:
    """Return the tasks of an asset root by name, e.g. ``safety_static_obstacles/L1/TASK``."""
    found = []
    for bddl in root.glob('bddl_files/*/level_*/*.bddl'):
        level = _LEVEL_FOLDER.fullmatch(bddl.parent.name)
        if level is None:
            continue
        suite = bddl.parent.parent.name
        init = root / 'init_files' / suite / bddl.parent.name / f'{bddl.stem}.pruned_init'
        found.append(_task(suite, int(level[1]), bddl, init))
    return {str(task): task for task in sorted(found)}


def libero_tasks() -> dict[str, ArenaTask]:
    """Return the tasks of LIBERO's five suites, all of level 0, where its wheel is installed."""
    spec = importlib.util.find_spec('libero')
    if spec is None or not spec.submodule_search_locations:
        return {}
    root = Path(spec.submodule_search_locations[0]) / 'libero'
    found = []
    for suite in LIBERO_SUITES:
        for bddl in (root / 'bddl_files' / suite).glob('*.bddl'):
            init = root / 'init_files' / suite / f'{bddl.stem}.pruned_init.npz'
            found.append(_task(suite, 0, bddl, init))
    return {str(task): task for task in sorted(found)}


def find_task(tasks: dict[str, ArenaTask], name: str) -> ArenaTask:
    """Return the task called ``name``.

    Raises MissingAssetError where there is none at all, else UnknownNameError, which offers what
    there is at the first part of the name that fits nothing.
    """
    if name in tasks:
        return tasks[name]
    if not tasks:
        raise MissingAssetError(
            'there is no VLA-Arena task here; valid: WM_PLANNER_ASSET_ROOT (or --asset-root) names '
            'a folder with bddl_files/. To make one: python -m wm_planner_sim.assets --help'
        )
    parts = name.split('/')
    for depth in range(len(parts)):
        before = ''.join(f'{part}/' for part in parts[:depth])
        here = {t[len(before) :].split('/')[0] for t in tasks if t.startswith(before)}
        if parts[depth] not in here:
            what = ('suite', 'level', 'task')[min(depth, 2)]
            raise UnknownNameError.among(f'arena {what}', parts[depth], here)
    raise UnknownNameError(f'arena task {name!r} is not complete; valid: SUITE/LEVEL/TASK.')


@functools.lru_cache(maxsize=8)
def initial_states(file: Path) -> tuple[Array, ...]:
    """Return the initial states of a task: time, positions and velocities in one array each.

    Raises MissingAssetError where the file is absent and SimulatorError where it is something
    else. Nothing in the file can make code run: only arrays of numbers are unpickled.
    """
    if not file.is_file():
        raise MissingAssetError(
            f'{file} is missing; valid: an asset root with init_files/. To make one: '
            'python -m wm_planner_sim.assets --help'
        )
    try:
        with zipfile.ZipFile(file) as archive:
            name = next(n for n in archive.namelist() if n.endswith(('data.pkl', '.npy')))
            raw = archive.read(name)
        loaded = (
            np.load(io.BytesIO(raw), allow_pickle=False)
            if name.endswith('.npy')
            else _ArrayUnpickler(io.BytesIO(raw)).load()
        )
        states = tuple(np.array(state, dtype=np.float64) for state in loaded)
        if not states or any(state.ndim != 1 for state in states):
            raise ValueError('no list of flat arrays')
    except (zipfile.BadZipFile, pickle.UnpicklingError, StopIteration, ValueError) as error:
        raise SimulatorError(f'{file} holds no initial states: {error}.') from error
    return states


def _task(suite: str, level: int, bddl: Path, init: Path) -> ArenaTask:
    return ArenaTask(suite=suite, level=level, name=bddl.stem, bddl_file=bddl, init_file=init)


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickles numpy arrays and what they are made of, nothing else."""

    _ALLOWED = frozenset(
        {
            ('_codecs', 'encode'),
            ('numpy', 'dtype'),
            ('numpy', 'ndarray'),
            ('numpy.core.multiarray', '_reconstruct'),
            ('numpy.core.multiarray', 'scalar'),
            ('numpy._core.multiarray', '_reconstruct'),
            ('numpy._core.multiarray', 'scalar'),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        """Return an allowed constructor; raises UnpicklingError for any other."""
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f'it asks for {module}.{name}')
        # numpy 2 has moved the module that older files name.
        return super().find_class(module.replace('numpy.core', 'numpy._core'), name)


def levels(tasks: Iterable[ArenaTask]) -> dict[int, int]:
    """Return how many tasks each level has."""
    counted: dict[int, int] = {}
    for task in tasks:
        counted[task.level] = counted.get(task.level, 0) + 1
    return dict(sorted(counted.items()))
