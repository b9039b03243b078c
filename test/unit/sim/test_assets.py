# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Laying out an asset root and linking the engine to it, with small files."""

from __future__ import annotations

import os
from pathlib import Path
import subprocess
import sys
import tarfile

import pytest

from wm_planner.core.errors import MissingAssetError
from wm_planner_sim import assets

BDDL = """(define (problem Tabletop_Manipulation)
  (:fixtures main_table - table)
  (:objects
    lemon_1 lemon_2 - lemon
    mug_1 - mug
  )
)"""
XML = '<mujoco><asset><mesh file="visual/a.obj"/><texture file="skin.png"/></asset></mujoco>'


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / 'source'
    for name, text in {
        'bddl_files/suite/level_0/task.bddl': BDDL,
        'assets/stable_scanned_objects/lemon/lemon.xml': XML,
        'assets/stable_scanned_objects/lemon/visual/a.obj': 'v 0 0 0',
        'assets/stable_scanned_objects/lemon/skin.png': '-',
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def snapshot(folder: Path) -> dict[str, float]:
    return {str(p): p.lstat().st_mtime_ns for p in sorted(folder.rglob('*'))}


def test_folder_is_linked_twice_the_same_and_left_alone(source: Path, tmp_path: Path) -> None:
    before, root = snapshot(source), tmp_path / 'root'
    assert list(assets.lay_out(source, root)) == ['suite/L0/task']
    first = snapshot(root)
    assets.lay_out(source, root)
    assert snapshot(root) == first
    assert snapshot(source) == before


def test_archive_is_unpacked(source: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / 'a.tar.xz', 'w:xz') as archive:
        archive.add(source, '.')
    assert list(assets.lay_out(tmp_path / 'a.tar.xz', tmp_path / 'root')) == ['suite/L0/task']


def test_meshes_that_only_liberos_own_suites_need_are_linked_as_well(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every episode of a LIBERO suite used to end with a missing file."""
    wheel, root = tmp_path / 'wheel', tmp_path / 'root'
    for name in (
        'objects/bowl.xml',
        'objects/cookies.xml',
        'stable_scanned_objects/lemon/skin.png',
    ):
        (wheel / name).parent.mkdir(parents=True, exist_ok=True)
        (wheel / name).write_text('of the wheel')
    (source / assets.FROM_LIBERO).write_text('{"objects/plate.xml": "objects/bowl.xml"}')
    monkeypatch.setattr(assets, 'libero_assets', lambda: wheel)
    assets.lay_out(source, root)
    assert (root / 'assets/objects/plate.xml').read_text() == 'of the wheel'
    assert (root / 'assets/objects/cookies.xml').read_text() == 'of the wheel'
    assert (root / 'assets/stable_scanned_objects/lemon/skin.png').read_text() == '-'


def test_missing_files_are_named_with_the_command(source: Path, tmp_path: Path) -> None:
    bddl = source / 'bddl_files/suite/level_0/task.bddl'
    assert assets.missing_files(source / 'assets', bddl) == ()
    (source / 'assets/stable_scanned_objects/lemon/visual/a.obj').unlink()
    found = assets.missing_files(source / 'assets', bddl)
    assert found == ('stable_scanned_objects/lemon/visual/a.obj',)


def test_link_of_the_engine_is_idempotent_and_follows_the_root(tmp_path: Path) -> None:
    engine, one, two = (tmp_path / name for name in ('engine', 'one', 'two'))
    for folder in (engine, one, two):
        folder.mkdir()
    (engine / '.gitkeep').touch()
    for wanted in (one, one, two):
        assets.link_engine(wanted, engine)
        assert os.readlink(engine) == str(wanted)


def test_several_processes_link_at_once(tmp_path: Path) -> None:
    """As the workers of a first sweep do; each finds the link, and the package's own are kept."""
    root = tmp_path / 'root'
    root.mkdir()
    code = (
        'import pathlib, sys; from wm_planner_sim import assets\n'
        'for line in sys.stdin: assets.link_engine(*map(pathlib.Path, line.split()))'
    )
    workers = [
        subprocess.Popen([sys.executable, '-c', code], stdin=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    engines = [tmp_path / f'engine{number}' / 'assets' for number in range(60)]
    for engine in engines:
        engine.mkdir(parents=True)
        (engine / 'mesh.obj').touch()
    text = ''.join(f'{root} {engine}\n' for engine in engines)
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(text)
        worker.stdin.flush()
    for worker in workers:
        worker.communicate(timeout=60.0)
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    for engine in engines:
        assert os.readlink(engine) == str(root)
        assert (engine.parent / 'assets_of_the_package' / 'mesh.obj').exists()


def test_assets_that_the_package_holds_itself_are_kept(tmp_path: Path) -> None:
    engine, root = tmp_path / 'engine', tmp_path / 'root'
    root.mkdir()
    engine.mkdir()
    (engine / 'mesh.obj').touch()
    assets.link_engine(root, engine)
    assert (tmp_path / 'assets_of_the_package' / 'mesh.obj').exists()


def test_absent_source_and_empty_source(tmp_path: Path) -> None:
    with pytest.raises(MissingAssetError, match='does not exist'):
        assets.lay_out(tmp_path / 'absent', tmp_path / 'root')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(MissingAssetError, match='holds no bddl_files'):
        assets.lay_out(tmp_path / 'empty', tmp_path / 'root')


def test_setting_that_names_no_root(tmp_path: Path) -> None:
    with pytest.raises(MissingAssetError, match='lay-out SOURCE ROOT'):
        assets.find_asset_root(str(tmp_path))


def test_command_line(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / 'root'
    assert assets.main(['lay-out', str(source), str(root)]) == 0
    assert '1 tasks (L0 1)' in capsys.readouterr().out
    assert assets.main(['list', str(root)]) == 0
    assert assets.main(['lay-out', str(tmp_path / 'absent'), str(root)]) == 1
    assert '[502]' in capsys.readouterr().err
    assert assets.main(['--help']) == 0
    assert assets.main([]) == 2
