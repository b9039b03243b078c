# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The report: results of several runs, and published ones, as one HTML page without other files."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
import json
import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from wm_planner.evaluation.leaderboard import PublishedRow, published
from wm_planner.evaluation.records import EpisodeRecord, jsonable
from wm_planner.evaluation.replay_page import replay_context
from wm_planner.evaluation.report_figures import (
    Point,
    Series,
    draw_energies,
    draw_intervals,
    run_colour,
)
from wm_planner.evaluation.results import Result, read_picture
from wm_planner.evaluation.scores import MeanCost, Score, ScoreRow, TaskName, score_rows

TEMPLATE = 'report.html.j2'
STRIPS_PER_RUN = 4
_ENDINGS = {'timeout': 'all steps used', 'reached': 'reached'}
_REASONS = 12  # different ones that are listed


@dataclass(frozen=True, kw_only=True)
class _Run:
    """A result and its scores."""

    result: Result
    colour: str
    rows: Sequence[ScoreRow]

    def find(self, key: _Key) -> Score | None:
        """Return the score of a suite and level over all its tasks."""
        for row in self.rows:
            if not row.task and (row.environment, row.suite, row.level) == key:
                return row.score
        return None


_Key = tuple[str, str, int | None]


def render_report(
    results: Sequence[Result],
    *,
    title: str,
    replays: Sequence[tuple[Path, dict[str, Any]]] = (),
) -> str:
    """Return the page over ``results`` and ``replays``: HTML without other files or a network."""
    runs = [
        _Run(result=result, colour=run_colour(place), rows=score_rows(result.episodes))
        for place, result in enumerate(results)
    ]
    keys = _keys(runs)
    board = published()
    names = {key: _name(key) for key in keys}
    rows = [row for row in board.rows if any(_published(row, key) for key in keys)]
    has_cost = any(_cost_of(run, key) for run in runs for key in keys)
    context = {
        'title': title,
        'runs': [_run_facts(run) for run in runs],
        'board': board,
        'published_rows': rows,
        'table': [_line(key, names[key], runs, rows) for key in keys],
        'has_cost': has_cost,
        'rate_figure': _data_uri(_rate_figure(keys, names, runs, rows)) if runs else '',
        'cost_figure': _data_uri(_cost_figure(keys, names, runs)) if has_cost else '',
        'energy_figure': _energy_figure(runs),
        'strips': [strip for run in runs for strip in _strips(run)],
        'tasks': _task_lines(runs),
        'endings': [_endings(run) for run in runs],
        'replays': _replays(replays),
    }
    return _template().render(context)


def _replays(replays: Sequence[tuple[Path, dict[str, Any]]]) -> dict[str, Any] | None:
    if not replays:
        return None
    context = replay_context(replays)
    return {**context, 'figure': _data_uri(context['figure'])}


def _template() -> Any:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters['percent'] = _percent
    return environment.from_string(files('wm_planner.evaluation').joinpath(TEMPLATE).read_text())


def _keys(runs: Iterable[_Run]) -> list[_Key]:
    """Return the lines of the tables: each suite's levels, or the suite where it has none."""
    found: dict[_Key, None] = {}
    for run in runs:
        rows = [row for row in run.rows if row.suite and not row.task]
        with_levels = {(row.environment, row.suite) for row in rows if row.level is not None}
        for row in rows:
            if row.level is not None or (row.environment, row.suite) not in with_levels:
                found[(row.environment, row.suite, row.level)] = None
    order = {key[:2]: place for place, key in reversed(list(enumerate(found)))}
    return sorted(found, key=lambda key: (order[key[:2]], -1 if key[2] is None else key[2]))


def _name(key: _Key) -> str:
    _, suite, level = key
    return suite if level is None else f'{TaskName(*key).short_suite} L{level}'


def _published(row: PublishedRow, key: _Key) -> tuple[float | None, float | None] | None:
    """Return a model's published SR and CC for a line, None where it has none."""
    environment, suite, level = key
    task = TaskName(environment, suite, level)
    if level is None or not task.is_of_benchmark:
        return None
    rates = row.rates.get(task.published_name)
    costs = row.costs.get(task.published_name)
    if rates is None:
        return None
    return rates[level], None if costs is None else costs[level]


def _cost_of(run: _Run, key: _Key) -> MeanCost | None:
    score = run.find(key)
    return None if score is None else score.cost_upstream


def _line(
    key: _Key, name: str, runs: Sequence[_Run], rows: Sequence[PublishedRow]
) -> dict[str, Any]:
    """Return a line of the two tables: what each run and each published model has in it."""
    given = [_published(row, key) for row in rows]
    return {
        'name': name,
        'scores': [run.find(key) for run in runs],
        'rates': [None if pair is None else pair[0] for pair in given],
        'costs': [None if pair is None else pair[1] for pair in given],
        'has_cost': any(_cost_of(run, key) for run in runs),
    }


def _rate_figure(
    keys: Sequence[_Key],
    names: Mapping[_Key, str],
    runs: Sequence[_Run],
    rows: Sequence[PublishedRow],
) -> str:
    def points(run: _Run) -> dict[str, Point]:
        scores = {key: run.find(key) for key in keys}
        return {
            names[key]: Point(
                value=100.0 * s.rate, low=100.0 * s.wilson.low, high=100.0 * s.wilson.high
            )
            for key, s in scores.items()
            if s is not None
        }

    others = {
        names[key]: [
            100.0 * pair[0]
            for row in rows
            if (pair := _published(row, key)) and pair[0] is not None
        ]
        for key in keys
    }
    series = [Series(name=r.result.label, colour=r.colour, points=points(r)) for r in runs]
    label = 'success rate [%], 95 % Wilson interval'
    return draw_intervals([names[key] for key in keys], series, others, label=label, limit=100.0)


def _cost_figure(keys: Sequence[_Key], names: Mapping[_Key, str], runs: Sequence[_Run]) -> str:
    with_cost = [key for key in keys if any(_cost_of(run, key) for run in runs)]

    def points(run: _Run, kind: str) -> dict[str, Point]:
        found = {}
        for key in with_cost:
            score = run.find(key)
            cost = None if score is None else getattr(score, kind)
            if cost is not None:
                found[names[key]] = Point(value=cost.mean, low=cost.low, high=cost.high)
        return found

    series = [
        Series(
            name=run.result.label,
            colour=run.colour,
            points=points(run, 'cost_upstream'),
            hollow=points(run, 'cost'),
        )
        for run in runs
    ]
    label = 'cumulative cost an episode, 95 % bootstrap interval; filled: upstream, hollow: cleaned'
    return draw_intervals([names[key] for key in with_cost], series, {}, label=label)


def _energy_figure(runs: Sequence[_Run]) -> str:
    """Return the panels of the suites in which some run has energies, '' where none has."""
    curves: dict[str, list[tuple[str, str, list[Sequence[float]]]]] = {}
    for run in runs:
        by_suite: dict[str, list[Sequence[float]]] = {}
        for record in run.result.episodes:
            if any(map(math.isfinite, record.energy_curve)):
                task = TaskName.parse(record.suite)
                by_suite.setdefault(_name((task.environment, task.suite, task.level)), []).append(
                    record.energy_curve
                )
        for name, episodes in by_suite.items():
            curves.setdefault(name, []).append((run.result.label, run.colour, episodes))
    return _data_uri(draw_energies(curves)) if curves else ''


def _strips(run: _Run) -> list[dict[str, Any]]:
    """Return start, imagined, end and goal pictures of some episodes, one of each suite first.

    ``imagined`` is what the model expected to see when it was at the end; only some draw it.
    """
    chosen: dict[str, list[EpisodeRecord]] = {}
    for record in run.result.episodes:
        if {'first', 'last', 'goal'} <= set(record.pictures):
            chosen.setdefault(record.suite, []).append(record)
    in_turn = [
        group[place]
        for place in range(max(map(len, chosen.values()), default=0))
        for group in chosen.values()
        if place < len(group)
    ]
    strips = []
    for record in in_turn[:STRIPS_PER_RUN]:
        found = {name: read_picture(record, name) for name in ('first', 'last', 'goal')}
        if None not in found.values():
            imagined = read_picture(record, 'imagined') if 'imagined' in record.pictures else None
            found['imagined'] = imagined
            uris = {name: _data_uri(data, 'image/png') for name, data in found.items() if data}
            ending = _ENDINGS.get(record.termination, record.termination.replace('_', ' '))
            strip = {'label': run.result.label, 'record': record, 'ending': ending}
            strips.append({**strip, 'pictures': uris})
    return strips


def _run_facts(run: _Run) -> dict[str, Any]:
    result, times = run.result, run.result.plan_times
    config = json.dumps(jsonable(result.config), indent=2)
    return {
        'label': result.label,
        'colour': run.colour,
        'result': result,
        'successes': sum(record.success for record in result.episodes),
        'plan_ms': None if times is None else times.p50,
        'versions': ', '.join(f'{k} {v}' for k, v in result.versions.items() if v),
        'config': config,
        'files': ', '.join(path.name for path in result.paths),
    }


def _task_lines(runs: Sequence[_Run]) -> list[dict[str, Any]]:
    """Return a line a task with each run's score; none where suites have no tasks."""
    found: dict[tuple[str, str, int | None, str], dict[str, Any]] = {}
    for place, run in enumerate(runs):
        for row in run.rows:
            if row.task:
                key = (row.environment, row.suite, row.level, row.task)
                line = found.setdefault(
                    key, {'suite': _name(key[:3]), 'task': row.task, 'scores': [None] * len(runs)}
                )
                line['scores'][place] = row.score
    return list(found.values())


def _endings(run: _Run) -> dict[str, Any]:
    episodes = run.result.episodes
    reasons = Counter((r.termination, r.error_code, r.message) for r in episodes if r.error_code)
    return {
        'label': run.result.label,
        'colour': run.colour,
        'counts': dict(Counter(record.termination for record in episodes).most_common()),
        'reasons': reasons.most_common(_REASONS),
    }


def _data_uri(content: str | bytes, kind: str = 'image/svg+xml') -> str:
    data = content.encode() if isinstance(content, str) else content
    return f'data:{kind};base64,{base64.b64encode(data).decode()}'


def _percent(rate: float) -> str:
    return f'{100.0 * rate:.0f}'
