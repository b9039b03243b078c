# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Collecting episodes to disk, and the tensors that training draws from.

A dataset is a folder: ``dataset.json`` (what it is) and ``episode_00000.npz`` and so on. Each
episode depends on (seed, number, steps) alone, so an interrupted collection goes on where it
stopped and the result does not depend on how many processes made it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import metadata
import json
import multiprocessing
import os
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from wm_planner.core.errors import (
    InvalidParameterError,
    MissingAssetError,
    SimulatorError,
    UnknownNameError,
)
from wm_planner.core.types import ActionSpec
from wm_planner.models.tabletop.network import to_network_input
from wm_planner.training.episode import Collector

COLLECTOR_GROUP = 'wm_planner.collectors'
_MANIFEST = 'dataset.json'


def make_collector(name: str) -> Collector:
    """Return a collector registered under the entry-point group ``wm_planner.collectors``."""
    found = {e.name: e for e in metadata.entry_points(group=COLLECTOR_GROUP)}
    if not found:
        raise MissingAssetError(
            'no simulator is installed; run: pip install ./sim  (or ./dev setup)'
        )
    if name not in found:
        raise UnknownNameError.among('collector', name, found)
    collector: Collector = found[name].load()()
    return collector


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """What a dataset folder holds; written once, checked when a collection goes on."""

    collector: str
    seed: int
    steps: int
    image_size: int
    action_spec: ActionSpec
    readout_names: tuple[str, ...]
    object_names: tuple[str, ...]

    def to_json(self) -> str:
        """Return the manifest text."""
        spec = self.action_spec
        content = {
            'collector': self.collector,
            'seed': self.seed,
            'steps': self.steps,
            'image_size': self.image_size,
            'action_spec': {
                'names': list(spec.names),
                'low': spec.low.tolist(),
                'high': spec.high.tolist(),
                'step_duration_s': spec.step_duration_s,
            },
            'readout_names': list(self.readout_names),
            'object_names': list(self.object_names),
        }
        return json.dumps(content, indent=2) + '\n'


def collect(
    folder: Path,
    *,
    collector: str,
    seed: int,
    episodes: int,
    steps: int,
    image_size: int,
    workers: int,
    on_episode: Callable[[int], None],
) -> DatasetInfo:
    """Collect the episodes that ``folder`` does not have yet, in ``workers`` processes.

    ``on_episode`` is called in this process with the number of episodes that are there. Raises
    InvalidParameterError if the folder holds a dataset made with other settings, SimulatorError if
    a process died.
    """
    probe = make_collector(collector)
    info = DatasetInfo(
        collector=collector,
        seed=seed,
        steps=steps,
        image_size=image_size,
        action_spec=probe.action_spec,
        readout_names=tuple(probe.readout_names),
        object_names=tuple(probe.object_names),
    )
    probe.close()
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / _MANIFEST
    if manifest.exists() and manifest.read_text() != info.to_json():
        raise InvalidParameterError(
            f'{folder} holds a dataset made with other settings; valid: an empty folder, or the '
            f'settings in {manifest}.'
        )
    manifest.write_text(info.to_json())
    missing = [n for n in range(episodes) if not _is_complete(episode_path(folder, n))]
    done = episodes - len(missing)
    on_episode(done)
    if not missing:
        return info
    # Spawned, not forked: an OpenGL context and torch's threads do not survive a fork.
    pool = ProcessPoolExecutor(
        max_workers=workers,
        mp_context=multiprocessing.get_context('spawn'),
        initializer=_start_worker,
        initargs=(collector,),
    )
    try:
        tasks = ((folder, seed, number, steps, image_size) for number in missing)
        for _ in pool.map(_collect_one, tasks):
            done += 1
            on_episode(done)
    except multiprocessing.ProcessError as error:  # pragma: no cover - a worker was killed
        raise SimulatorError(f'a collecting process died: {error}') from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return info


def episode_path(folder: Path, number: int) -> Path:
    """Return the file of an episode."""
    return folder / f'episode_{number:05d}.npz'


_worker_collector: Collector | None = None


def _start_worker(name: str) -> None:
    global _worker_collector
    os.environ['OMP_NUM_THREADS'] = '1'
    torch.set_num_threads(1)
    _worker_collector = make_collector(name)


def _collect_one(task: tuple[Path, int, int, int, int]) -> int:
    folder, seed, number, steps, image_size = task
    assert _worker_collector is not None
    episode = _worker_collector.collect(seed=seed, episode=number, steps=steps)
    small = to_network_input(torch.from_numpy(episode.images), image_size)
    images = ((small + 0.5) * 255.0).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    file = episode_path(folder, number)
    temporary = file.with_suffix('.part')
    with temporary.open('wb') as stream:
        np.savez(
            stream,
            images=images,
            actions=episode.actions,
            readouts=episode.readouts,
            objects=episode.objects,
        )
    temporary.replace(file)  # a killed collection leaves whole episodes only
    return number


def _is_complete(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Episodes in memory: images uint8 [E, L+1, s, s, 3], the rest float32 [E, L(+1), .]."""

    images: Tensor
    actions: Tensor
    readouts: Tensor
    objects: Tensor

    @classmethod
    def load(cls, folder: Path, episodes: range) -> Dataset:
        """Load episodes. Raises InvalidParameterError naming a file that is missing or damaged."""
        parts: dict[str, list[np.ndarray]] = {}
        for number in episodes:
            file = episode_path(folder, number)
            try:
                with np.load(file, allow_pickle=False) as content:
                    for name in ('images', 'actions', 'readouts', 'objects'):
                        parts.setdefault(name, []).append(content[name])
            except (OSError, KeyError, ValueError, BadZipFile) as error:
                raise InvalidParameterError(
                    f'{file} is missing or damaged ({error}); delete it and collect again.'
                ) from error
        return cls(**{name: torch.from_numpy(np.stack(arrays)) for name, arrays in parts.items()})

    def windows(
        self, batch: int, steps: int, generator: torch.Generator
    ) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Yield random windows for ever: images [B, K+1, s, s, 3], actions [B, K, A], the rest."""
        episodes, length = self.actions.shape[:2]
        while True:
            episode = torch.randint(0, episodes, (batch, 1), generator=generator)
            start = torch.randint(0, length - steps + 1, (batch, 1), generator=generator)
            moments = start + torch.arange(steps + 1)
            yield (
                self.images[episode, moments],
                self.actions[episode, moments[:, :-1]],
                self.readouts[episode, moments],
                self.objects[episode, moments],
            )
