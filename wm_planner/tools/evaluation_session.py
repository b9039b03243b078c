# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""A run of ``wm_planner evaluate``: what is left to do, its progress, and what is on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
import logging
from pathlib import Path
import time

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

from wm_planner.core.errors import MissingAssetError
from wm_planner.evaluation.journal import Journal, journal_file, run_settings, spec_key
from wm_planner.evaluation.metrics import success_rate
from wm_planner.evaluation.pictures import write_files
from wm_planner.evaluation.records import EpisodeRecord, RunReport, jsonable, write_json
from wm_planner.evaluation.runner import RunRequest
from wm_planner.evaluation.scores import ScoreRow
from wm_planner.evaluation.workers import EpisodeResult, Workers

_Advance = Callable[[str], None]

_WRITE_EVERY_S = 5.0
"""How often the whole report is written while a run goes on; the journal has every episode."""

_LINE_EVERY_S = 10.0
"""How often progress is said where there is no terminal to draw a bar in."""


class Session:
    """The episodes of a request: those in the journal of a former run and those run now.

    A context manager, because it has the journal open. Without a file for the report there is no
    journal, and nothing outlives the process. Main thread.
    """

    def __init__(
        self, request: RunRequest, json_file: Path | None, *, restart: bool = False
    ) -> None:
        self.request = request
        self.records: list[EpisodeRecord] = []
        self._json_file = json_file
        self._begin = time.monotonic()
        self._written = self._begin
        self._journal: Journal | None = None
        settings = run_settings(request)  # complains about wrong names before anything is written
        if json_file is not None:
            self._journal = Journal(journal_file(json_file), settings, restart=restart)
        known = self._journal.records if self._journal else {}
        specs = request.specs()
        self.todo = tuple(spec for spec in specs if spec_key(spec) not in known)
        self.records += [known[spec_key(spec)] for spec in specs if spec_key(spec) in known]
        self.resumed = len(self.records)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        if self._journal is not None:
            self._journal.close()

    def announce(self, console: Console) -> None:
        """Say how many episodes of a former run are taken over."""
        if self._journal is not None and self.resumed:
            console.print(
                f'{self.resumed} of {self.resumed + len(self.todo)} episodes are in '
                f'{self._journal.path}; {len(self.todo)} are left. --restart begins anew.',
                soft_wrap=True,
            )

    def run(self, workers: Workers, console: Console) -> None:
        """Run what is left; each episode is on disk before the next counts."""
        name = f'{self.request.suite} {self.request.choice.planner}'
        with _progress(console, name, len(self.todo)) as advance:
            for result in workers.run(self.todo):
                record = self._keep(result)
                self.records.append(record)
                if self._journal is not None and not _is_to_be_run_again(record):
                    self._journal.append(record)
                if time.monotonic() - self._written > _WRITE_EVERY_S:
                    self.write()
                rate = success_rate([record.success for record in self.records])
                advance(f'success {_percent(rate)}')

    def report(self) -> RunReport:
        """Return the report over all episodes there are."""
        return self.request.report(self.records, wall_s=time.monotonic() - self._begin)

    def write(self, rows: Sequence[ScoreRow] = ()) -> None:
        """Write the report, with the scores by task, level and suite where they are given."""
        if self._json_file is None:
            return
        values = self.report().as_json()
        values['episodes_resumed'] = self.resumed
        if rows:
            values['scores'] = [jsonable({**asdict(r), 'rate': r.score.rate}) for r in rows]
        write_json(self._json_file, values)
        self._written = time.monotonic()

    def _keep(self, result: EpisodeResult) -> EpisodeRecord:
        """Write the files of an episode; return its record with their places beside the report."""
        if not result.files or self._json_file is None:
            return result.record
        record, beside = result.record, self._json_file.parent
        folder = beside / f'{self._json_file.stem}_pictures' / record.suite
        paths = write_files(folder / f'{record.seed}_{record.episode}', result.files)
        pictures = {name: path.relative_to(beside).as_posix() for name, path in paths.items()}
        return replace(record, pictures=pictures)


@contextmanager
def _progress(console: Console, name: str, total: int) -> Iterator[_Advance]:
    """Give a function to call after each episode, which shows how far the run is."""
    if not console.is_terminal:
        yield _Lines(console, name, total)
        return
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
        bar = progress.add_task(name, total=total, rate='')
        yield lambda rate: progress.update(bar, advance=1, rate=rate)


class _Lines:
    """Progress as lines, for logs: the first episode, the last, and one every ten seconds."""

    def __init__(self, console: Console, name: str, total: int) -> None:
        self._console = console
        self._name = name
        self._total = total
        self._done = 0
        self._begin = time.monotonic()
        self._said = -_LINE_EVERY_S

    def __call__(self, rate: str) -> None:
        self._done += 1
        now = time.monotonic()
        if self._done < self._total and now - self._said < _LINE_EVERY_S:
            return
        self._said = now
        left_s = (now - self._begin) / self._done * (self._total - self._done)
        self._console.print(
            f'{self._name}: {self._done}/{self._total}, {rate}, {_duration(left_s)} left',
            soft_wrap=True,
        )


@contextmanager
def logging_to(console: Console) -> Iterator[None]:
    """Let log lines pass above the progress bar rather than through it."""
    root = logging.getLogger()
    former = root.handlers[:]
    root.handlers[:] = [RichHandler(console=console, show_path=False, show_time=False)]
    try:
        yield
    finally:
        root.handlers[:] = former


def _is_to_be_run_again(record: EpisodeRecord) -> bool:
    """Return whether a later run has to try an episode anew: once its assets are there."""
    return record.is_lost and record.error_code == MissingAssetError.code


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02d}:{rest:02d}'


def _percent(rate: float | None) -> str:
    return '-' if rate is None else f'{100.0 * rate:.1f} %'
