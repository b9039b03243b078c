# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""``wm_planner report``: the results of evaluations as one HTML page, beside published ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from wm_planner.core.errors import InvalidParameterError
from wm_planner.evaluation.leaderboard import MODEL_TYPES, leaderboard_entry, model_type_of
from wm_planner.evaluation.records import write_json
from wm_planner.evaluation.replay_page import split_replays
from wm_planner.evaluation.report_page import render_report
from wm_planner.evaluation.results import read_results


def report(
    results: Annotated[
        list[Path],
        typer.Argument(help='Files of evaluate --json and replay --json, or folders of them.'),
    ],
    out: Annotated[Path, typer.Option(help='The page to write.')] = Path('report.html'),
    title: Annotated[str, typer.Option(help='Heading of the page.')] = 'wm_planner evaluation',
    leaderboard: Annotated[
        Path | None,
        typer.Option(help="Write VLA-Arena's leaderboard entry here; for results of one planner."),
    ] = None,
    name: Annotated[str, typer.Option(help='Name in the leaderboard entry.')] = '',
    size: Annotated[str, typer.Option(help='Model size in the entry, e.g. 1B.')] = '',
    model_type: Annotated[
        str,
        typer.Option(
            help=f'Kind of model in the entry: {" or ".join(MODEL_TYPES)}. None: by the planner.'
        ),
    ] = '',
) -> None:
    """Write one self-contained HTML page: success rates and costs with intervals, side by side.

    Where the results are of VLA-Arena, published rows stand beside them, marked as such.
    """
    evaluations, replays = split_replays(results)
    runs = read_results(evaluations) if evaluations or not replays else []
    if leaderboard is not None and not runs:
        raise InvalidParameterError('--leaderboard for replays; valid: results of evaluations.')
    if leaderboard is not None:
        planners = {(run.planner, run.model, run.preset) for run in runs}
        if len(planners) > 1:
            raise InvalidParameterError(
                f'--leaderboard for {len(planners)} planners; valid: results of one.'
            )
        records = [record for run in runs for record in run.episodes]
        entry = leaderboard_entry(
            records,
            name=name or runs[0].label,
            size=size,
            model_type=model_type or model_type_of(runs[0].planner),
        )
        write_json(leaderboard, entry)
    write_page(out, render_report(runs, title=title, replays=replays))
    episodes = sum(len(run.episodes) for run in runs)
    more = f', {len(replays)} replays' if replays else ''
    typer.echo(f'{out}: {len(runs)} runs, {episodes} episodes{more}')


def write_page(path: Path, page: str) -> None:
    """Write the page; a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'.{path.name}.partial')
    partial.write_text(page)
    os.replace(partial, path)
