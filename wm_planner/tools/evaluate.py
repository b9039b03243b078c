# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""``wm_planner evaluate``: the success rate of a planner on a suite, with its interval."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
import logging
from pathlib import Path
import time
from typing import Annotated

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
import typer

from wm_planner.core.errors import UnknownNameError
from wm_planner.evaluation.direct import open_direct_runner
from wm_planner.evaluation.environments import SuiteName
from wm_planner.evaluation.metrics import Interval, percentile
from wm_planner.evaluation.records import EpisodeRecord, RunReport
from wm_planner.evaluation.runner import EpisodeRunner, EvaluationConfig, RunRequest, sweep
from wm_planner.evaluation.settings import PlannerChoice, parse_values
from wm_planner.planning.presets import PRESETS
from wm_planner.tools.interrupts import interrupt_on_sigterm

WAYS = ('direct', 'ros')
INTERRUPTED = 130  # what shells report for SIGINT


def evaluate(
    suite: Annotated[str, typer.Option(help='ENVIRONMENT/SUITE, e.g. tabletop/reach.')],
    planner: Annotated[
        str, typer.Option(help='Optimizer or policy: cem, random, noop, ...')
    ] = 'cem',
    model: Annotated[str, typer.Option(help='World model to plan with.')] = 'tabletop',
    preset: Annotated[
        str, typer.Option(help=f'Named planning settings: {", ".join(PRESETS)}.')
    ] = '',
    episodes: Annotated[int, typer.Option(help='Episodes to run.')] = 40,
    seed: Annotated[int, typer.Option(help='Seed of starts, goals and planner.')] = 0,
    through: Annotated[
        str,
        typer.Option(
            help='direct: planner and simulator in one process; ros: over the live graph.'
        ),
    ] = 'direct',
    device: Annotated[str, typer.Option(help='Torch device of the planner.')] = 'cpu',
    robot: Annotated[
        str, typer.Option(help='Robot profile (a name, or a .yaml file) that commands are held to.')
    ] = 'panda_sim',
    json_file: Annotated[
        Path | None, typer.Option('--json', help='Write the report here, after every episode.')
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Option('--set', help='NAME=VALUE, e.g. cem.num_samples=64; can be repeated.'),
    ] = None,
) -> None:
    """Run episodes and print the success rate with its 95 % interval.

    The exit status is 0 when the run was completed, whatever the rate. Ctrl-C keeps the episodes
    that have finished: the report then says "complete": false.
    """
    if through not in WAYS:
        raise UnknownNameError.among('way (--through)', through, WAYS)
    request = RunRequest(
        suite=SuiteName.parse(suite),
        choice=PlannerChoice(
            planner=planner, model=model, preset=preset, values=parse_values(values or [])
        ),
        config=EvaluationConfig(episodes=episodes, seed=seed),
        through=through,
        device=device,
        robot=robot,
    )
    console = Console(stderr=True)
    session = _Session(request, json_file)
    try:
        with interrupt_on_sigterm(), _logging_to(console), _open_runner(request) as runner:
            session.has_begun = True
            _run(session, runner, console)
    except KeyboardInterrupt:
        console.print(f'Stopped after {len(session.records)} of {episodes} episodes.')
        raise typer.Exit(INTERRUPTED) from None
    finally:
        if session.has_begun:
            session.write()
            Console().print(summary_table(session.report()))


@dataclass
class _Session:
    """The records so far and where they go."""

    request: RunRequest
    json_file: Path | None
    records: list[EpisodeRecord] = field(default_factory=list)
    has_begun: bool = False
    begin: float = field(default_factory=time.monotonic)

    def report(self) -> RunReport:
        return self.request.report(self.records, wall_s=time.monotonic() - self.begin)

    def write(self) -> None:
        if self.json_file is not None:
            self.report().write(self.json_file)


def _open_runner(request: RunRequest) -> AbstractContextManager[EpisodeRunner]:
    if request.through == 'direct':
        return open_direct_runner(request)
    # A machine without ROS can evaluate directly, so ROS is imported only here.
    from wm_planner.tools.live_runner import open_live_runner

    return open_live_runner(request)


def _run(session: _Session, runner: EpisodeRunner, console: Console) -> None:
    columns = (
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn('{task.fields[rate]}'),
        TimeElapsedColumn(),
        TextColumn('left'),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        request = session.request
        bar = progress.add_task(
            f'{request.suite} {request.choice.planner}', total=request.config.episodes, rate=''
        )
        for record in sweep(runner, request.config):
            session.records.append(record)
            session.write()
            report = session.report()
            progress.update(bar, advance=1, rate=f'success {_percent(report.success_rate)}')


@contextmanager
def _logging_to(console: Console) -> Iterator[None]:
    """Let log lines pass above the progress bar rather than through it."""
    root = logging.getLogger()
    former = root.handlers[:]
    root.handlers[:] = [RichHandler(console=console, show_path=False, show_time=False)]
    try:
        yield
    finally:
        root.handlers[:] = former


def summary_table(report: RunReport) -> Table:
    """Return the result as a table for a terminal."""
    table = Table(title=f'{report.suite}: {report.planner} on {report.model}', show_header=False)
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


def _interval(interval: Interval | None) -> str:
    return '-' if interval is None else f'{_percent(interval.low)} to {_percent(interval.high)}'


def _centimetres(distances_m: list[float]) -> str:
    median, high = percentile(distances_m, 50.0), percentile(distances_m, 90.0)
    if median is None or high is None:
        return '-'
    return f'median {100.0 * median:.1f} cm, p90 {100.0 * high:.1f} cm'
