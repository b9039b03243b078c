# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The results of an evaluation as tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from wm_planner.evaluation.metrics import Interval, percentile
from wm_planner.evaluation.records import RunReport
from wm_planner.evaluation.scores import MeanCost, ScoreRow, TaskName


def is_worth_a_table(rows: Sequence[ScoreRow]) -> bool:
    """Return whether there is more to say than the rate of a single suite."""
    return len(rows) > 1 or any(row.score.cost is not None for row in rows)


def score_table(rows: Sequence[ScoreRow], width: int) -> Table:
    """Return success rate and costs by task, level and suite, for a terminal of ``width``.

    Groups are bold. Names of tasks are cut short where there is no room for them.
    """
    has_cost = any(row.score.cost is not None for row in rows)
    numbers = ['n', 'SR, Wilson', *(['CC upstream', 'CC cleaned'] if has_cost else [])]
    lines = [_cells(row)[: len(numbers)] for row in rows]
    costs = ' and cumulative cost (CC)' if has_cost else ''
    table = Table(title=f'success rate (SR) [%]{costs}, 95 % intervals', title_justify='left')
    widths = [max(map(len, column)) for column in zip(numbers, *lines, strict=True)]
    room = width - sum(widths) - 3 * (len(widths) + 1) - 1
    table.add_column(
        'suite, level, task', no_wrap=True, overflow='ellipsis', max_width=max(20, room)
    )
    for name in numbers:
        table.add_column(name, justify='right', no_wrap=True)
    for row, line in zip(rows, lines, strict=True):
        table.add_row(_label(row), *map(escape, line), style='' if row.task else 'bold')
    return table


def _cells(row: ScoreRow) -> list[str]:
    score = row.score
    span = _span(100.0 * score.wilson.low, 100.0 * score.wilson.high)
    rate = f'{100.0 * score.rate:.0f} {span}'
    return [str(score.episodes), rate, _cost(score.cost_upstream), _cost(score.cost)]


def summary_table(report: RunReport) -> Table:
    """Return what the whole run came to."""
    on_model = f' on {report.model}' if report.model else ''
    table = Table(title=f'{report.suite}: {report.planner}{on_model}', show_header=False)
    finished = f'{len(report.episodes)} of {report.episodes_requested}'
    mark = '' if report.is_complete else ' (incomplete)'
    table.add_row('episodes', f'{finished}{mark}, seed {report.seed}, through {report.through}')
    preset = report.config.get('preset')
    if preset:
        table.add_row('preset', str(preset))
    table.add_row('success rate', f'[bold]{_percent(report.success_rate)}[/]')
    table.add_row('95 % interval (Wilson)', _interval(report.interval))
    distances = [r.final_distance_m for r in report.episodes if r.final_distance_m is not None]
    table.add_row('final distance', _centimetres(distances))
    times = report.plan_times
    if times is not None:
        table.add_row(
            'planning time',
            f'p50 {times.p50:.0f} ms, p99 {times.p99:.0f} ms, mean {times.mean:.0f} ms '
            f'({times.count} plans)',
        )
    failed = [r for r in report.episodes if r.error_code]
    if failed:
        table.add_row('ended with an error', f'{len(failed)}, first: {failed[0].message}')
    table.add_row('safety', _safety(report))
    versions = ', '.join(f'{k} {v}' for k, v in report.versions.items() if v)
    table.add_row('device', report.device)
    table.add_row('versions', versions)
    table.add_row('wall time', f'{report.wall_s:.0f} s')
    return table


def _safety(report: RunReport) -> str:
    clamped = sum(record.commands_clamped for record in report.episodes)
    refused = sum(record.commands_refused for record in report.episodes)
    return f'{clamped} commands shortened, {refused} refused'


def _percent(rate: float | None) -> str:
    return '-' if rate is None else f'{100.0 * rate:.1f} %'


def _label(row: ScoreRow) -> str:
    """Return the task, set in below its level, or what a group is."""
    if row.task:
        return f'  {row.task.replace("_", " ")}'
    suite = TaskName(row.environment, row.suite, row.level).short_suite or 'all'
    return suite if row.level is None else f'{suite} L{row.level}'


def _span(low: float, high: float) -> str:
    return f'[{low:.0f}, {high:.0f}]'


def _cost(cost: MeanCost | None) -> str:
    return '-' if cost is None else f'{cost.mean:.1f} {_span(cost.low, cost.high)}'


def _interval(interval: Interval | None) -> str:
    return '-' if interval is None else f'{_percent(interval.low)} to {_percent(interval.high)}'


def _centimetres(distances_m: list[float]) -> str:
    median, high = percentile(distances_m, 50.0), percentile(distances_m, 90.0)
    if median is None or high is None:
        return '-'
    return f'median {100.0 * median:.1f} cm, p90 {100.0 * high:.1f} cm'
