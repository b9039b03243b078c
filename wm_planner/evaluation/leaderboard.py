# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The results of VLA-Arena's public leaderboard: the rows that are there, and ours in its format.

The rows in ``published.json`` were copied from the leaderboard and are marked so wherever they are
shown: nothing of them was run here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
import json
from typing import Any

from wm_planner.core.errors import InvalidParameterError, UnknownNameError
from wm_planner.evaluation.records import EpisodeRecord
from wm_planner.evaluation.scores import LEVELS, SUITES, TaskName, score_episodes
from wm_planner.policies.registry import POLICIES

MODEL_TYPES = ('vla', 'wam')
PUBLISHED_FILE = 'published.json'


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """A model on the leaderboard: SR and CC by suite name and level, None where not given."""

    name: str
    size: str
    model_type: str
    rates: Mapping[str, Sequence[float | None]]
    costs: Mapping[str, Sequence[float | None]]


@dataclass(frozen=True, kw_only=True)
class Published:
    """The rows that are published elsewhere, and where they are from."""

    mark: str
    source: str
    url: str
    date: str
    notes: Sequence[str]
    rows: Sequence[PublishedRow]


def published() -> Published:
    """Return the leaderboard's rows that ship with the package."""
    text = files('wm_planner.evaluation').joinpath(PUBLISHED_FILE).read_text()
    values = json.loads(text)
    return Published(
        **{key: values[key] for key in ('mark', 'source', 'url', 'date', 'notes')},
        rows=tuple(map(_row, values['rows'])),
    )


def leaderboard_entry(
    records: Iterable[EpisodeRecord], *, name: str, size: str = '', model_type: str = 'wam'
) -> dict[str, Any]:
    """Return our results as the leaderboard takes them; null for a level without episodes.

    CC is upstream's reading, the only one that the leaderboard knows. Raises UnknownNameError for a
    ``model_type`` and InvalidParameterError without an episode of the benchmark.
    """
    if model_type not in MODEL_TYPES:
        raise UnknownNameError.among('model type', model_type, MODEL_TYPES)
    listed = list(records)
    check_of_benchmark(record.suite for record in listed)
    by_suite: dict[str, dict[int, list[EpisodeRecord]]] = {}
    for record in listed:
        task = TaskName.parse(record.suite)
        if task.is_of_benchmark and task.level in LEVELS:
            levels = by_suite.setdefault(task.short_suite, {})
            levels.setdefault(task.level, []).append(record)
    tasks = [_task(suite, by_suite[suite]) for suite in SUITES if suite in by_suite]
    return {'name': name, 'size': size, 'modelType': model_type, 'tasks': tasks}


def model_type_of(planner: str) -> str:
    """Return what the leaderboard calls a planner: an optimizer plans in a world model ('wam')."""
    return POLICIES.get(planner).model_type if planner in POLICIES.names() else 'wam'


def check_of_benchmark(suites: Iterable[str]) -> None:
    """Raise InvalidParameterError where none of ``suites`` is on the leaderboard."""
    if not any(TaskName.parse(suite).is_of_benchmark for suite in suites):
        raise InvalidParameterError(
            'no episode of VLA-Arena; valid for its leaderboard: results of --suite arena.'
        )


def _task(suite: str, levels: Mapping[int, Sequence[EpisodeRecord]]) -> dict[str, Any]:
    name, category = SUITES[suite]
    has_cost = category == 'Safety'
    scores = {level: score_episodes(records) for level, records in levels.items()}
    data: dict[str, Any] = {
        'sr': [_rounded(scores[n].rate) if n in scores else None for n in LEVELS]
    }
    if has_cost:
        costs = [scores[n].cost_upstream if n in scores else None for n in LEVELS]
        data['cc'] = [None if cost is None else _rounded(cost.mean) for cost in costs]
    return {
        'name': name,
        'category': category,
        'hasCC': has_cost,
        'data': data,
        'numEpisodes': sum(score.episodes for score in scores.values()),
        'numSuccesses': sum(score.successes for score in scores.values()),
    }


def _rounded(value: float) -> float:
    return round(value, 4)


def _row(values: Mapping[str, Any]) -> PublishedRow:
    tasks = values['tasks']
    return PublishedRow(
        name=values['name'],
        size=values['size'],
        model_type=values['modelType'],
        rates={task['name']: tuple(task['data']['sr']) for task in tasks},
        costs={task['name']: tuple(task['data']['cc']) for task in tasks if task['hasCC']},
    )
