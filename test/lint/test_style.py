# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The tree reads as the house style asks: formatting, docstrings, types, spelling, licence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEADER = (
    'Copyright 2026 The wm_planner Authors',
    'SPDX-License-Identifier: Apache-2.0',
)
# Not written here, or not kept: hidden folders are skipped as well.
OTHER_FOLDERS = {'build', 'install', 'log', 'runs', 'data', 'goals', '__pycache__'}


def run(*command: str) -> None:
    """Run a checker in the root; fail with what it printed."""
    done = subprocess.run(
        [sys.executable, '-m', *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f'{" ".join(command)}\n{done.stdout}'


def source_files(folder: Path = ROOT) -> Iterator[Path]:
    """Yield the files that people write, in the whole tree."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            is_kept = path.name == '.ci' or not path.name.startswith('.')
            if is_kept and path.name not in OTHER_FOLDERS and path.suffix != '.egg-info':
                yield from source_files(path)
        elif not path.is_symlink():
            yield path


def is_code(path: Path) -> bool:
    """Return whether a file has a place for comments."""
    by_suffix = path.suffix in ('.py', '.toml', '.cmake', '.yaml', '.xml', '.sh')
    return by_suffix or path.name == 'CMakeLists.txt' or path.read_bytes().startswith(b'#!')


def test_ruff_finds_nothing() -> None:
    run('ruff', 'check', '.')


def test_files_are_formatted() -> None:
    run('ruff', 'format', '--check', '.')


def test_types_hold_strictly_in_core_planning_and_control() -> None:
    run('mypy')


def test_spelling() -> None:
    run('codespell_lib', '.')


def test_code_files_begin_with_copyright_and_licence() -> None:
    without = []
    for path in filter(is_code, source_files()):
        beginning = '\n'.join(path.read_text().splitlines()[:6])
        if not all(line in beginning for line in HEADER):
            without.append(str(path.relative_to(ROOT)))
    assert not without, f'no copyright or licence line in {without}'


@pytest.mark.parametrize('script', ['dev', '.ci/run'])
def test_bash_scripts_parse(script: str) -> None:
    subprocess.run(['bash', '-n', str(ROOT / script)], check=True)
    assert 'set -euo pipefail' in (ROOT / script).read_text()
