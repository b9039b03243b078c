# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Reading back what ``wm_planner evaluate --json`` has written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
import json
from pathlib import Path
from typing import Any

from wm_planner.core.errors import InvalidParameterError
from wm_planner.evaluation.metrics import Times, summarise_times
from wm_planner.evaluation.records import SCHEMA_VERSION, EpisodeRecord


@dataclass(frozen=True, kw_only=True)
class Result:
    """A planner's episodes: of one run, or of several that differ in their suites alone."""

    paths: tuple[Path, ...]
    label: str  # what to call it beside others
    suite: str
    planner: str
    model: str
    preset: str
    seed: int
    through: str
    device: str
    is_complete: bool
    episodes_requested: int
    wall_s: float
    versions: Mapping[str, str | None]
    config: Mapping[str, Any]
    episodes: tuple[EpisodeRecord, ...]

    @property
    def plan_times(self) -> Times | None:
        """Return the summary of all planning times [ms], None when nothing was planned."""
        return summarise_times(ms for record in self.episodes for ms in record.plan_ms)

    @property
    def suites(self) -> frozenset[str]:
        """Return the suites of the episodes."""
        return frozenset(record.suite for record in self.episodes)

    def joined(self, other: Result) -> Result:
        """Return both as one."""
        return replace(
            self,
            paths=self.paths + other.paths,
            suite=f'{self.suite}, {other.suite}',
            is_complete=self.is_complete and other.is_complete,
            episodes_requested=self.episodes_requested + other.episodes_requested,
            wall_s=self.wall_s + other.wall_s,
            episodes=self.episodes + other.episodes,
        )

    def belongs_to(self, other: Result) -> bool:
        """Return whether the two differ in nothing but their suites."""
        return self._settings() == other._settings() and not self.suites & other.suites

    def _settings(self) -> tuple[object, ...]:
        asked = dict(self.config.get('evaluation', {}))
        asked.pop('episodes', None)
        config = {**self.config, 'evaluation': asked}
        return (self.label, self.seed, self.through, self.device, dict(self.versions), config)


def read_picture(record: EpisodeRecord, name: str) -> bytes | None:
    """Return a picture that a run kept of an episode, None where there is none."""
    place = record.pictures.get(name)
    path = Path(place) if place else None
    return path.read_bytes() if path is not None and path.is_file() else None


def read_results(paths: Iterable[Path]) -> list[Result]:
    """Return the runs in JSON files, or in those of folders; labels are told apart.

    Runs of one planner on different suites become one.

    Raises InvalidParameterError for a file that is none, and where there is nothing at all.
    """
    found = [read_result(file) for path in paths for file in _files(path)]
    if not found:
        raise InvalidParameterError(
            'no results; valid: files of wm_planner evaluate --json, or folders of them.'
        )
    joined: list[Result] = []
    for result in found:
        for place, other in enumerate(joined):
            if result.belongs_to(other):
                joined[place] = other.joined(result)
                break
        else:
            joined.append(result)
    labels = [result.label for result in joined]
    return [
        result
        if labels.count(result.label) == 1
        else replace(result, label=f'{result.label} ({result.paths[0].stem})')
        for result in joined
    ]


def read_result(path: Path) -> Result:
    """Return the run in a JSON file; raises InvalidParameterError for anything else."""
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InvalidParameterError(
            f'{path} cannot be read ({error}); valid: a file of wm_planner evaluate --json.'
        ) from error
    if not is_result(values):
        raise InvalidParameterError(
            f'{path} is no result of schema {SCHEMA_VERSION}; valid: a file of wm_planner evaluate '
            '--json.'
        )
    config = values.get('config', {})
    preset = config.get('preset') or ''
    planner, model = values['planner'], values['model']
    return Result(
        paths=(path,),
        label=_label(planner, model, preset, is_policy='policy' in config),
        suite=values['suite'],
        planner=planner,
        model=model,
        preset=preset,
        seed=values['seed'],
        through=values['through'],
        device=values['device'],
        is_complete=values['complete'],
        episodes_requested=values['episodes_requested'],
        wall_s=values['wall_s'] or 0.0,
        versions=values['versions'],
        config=config,
        episodes=tuple(_record(episode, path.parent) for episode in values['episodes']),
    )


def is_result(values: Any) -> bool:
    """Return whether JSON values are a run's report."""
    return (
        isinstance(values, dict)
        and values.get('schema_version') == SCHEMA_VERSION
        and isinstance(values.get('episodes'), list)
        and 'planner' in values
    )


def _record(values: Mapping[str, Any], folder: Path) -> EpisodeRecord:
    """Return an episode, its pictures found from here."""
    record = EpisodeRecord.from_json(values)
    pictures = {name: str(folder / place) for name, place in record.pictures.items()}
    return replace(record, pictures=pictures)


def _label(planner: str, model: str, preset: str, *, is_policy: bool) -> str:
    if is_policy:  # its model only lends the bounds of the actions
        return planner
    return f'{planner}/{preset} on {model}' if preset else f'{planner} on {model}'


def _files(path: Path) -> list[Path]:
    """Return the files of a folder that are results, or the file itself, whatever it is."""
    if not path.is_dir():
        return [path]
    return [file for file in sorted(path.glob('*.json')) if _is_result_file(file)]


def _is_result_file(path: Path) -> bool:
    try:
        return is_result(json.loads(path.read_text()))
    except (OSError, ValueError):
        return False
