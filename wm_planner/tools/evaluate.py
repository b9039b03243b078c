# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""``wm_planner evaluate``: success rate and cost of a planner on one suite or many."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
import os
from pathlib import Path
from typing import Annotated

from rich.console import Console
import typer

from wm_planner.core.errors import InvalidParameterError, SimulatorError, UnknownNameError
from wm_planner.evaluation.direct import (
    ASSET_ROOT_VARIABLE,
    open_direct_runner,
    use_asset_root,
)
from wm_planner.evaluation.environments import SuiteName, default_robot, expand_suite
from wm_planner.evaluation.leaderboard import check_of_benchmark, leaderboard_entry, model_type_of
from wm_planner.evaluation.pictures import BAG, MOTION, PICTURES, VIDEO
from wm_planner.evaluation.records import write_json
from wm_planner.evaluation.runner import EvaluationConfig, RunRequest
from wm_planner.evaluation.scores import score_rows
from wm_planner.evaluation.settings import PlannerChoice, parse_values
from wm_planner.evaluation.workers import Workers, in_process
from wm_planner.planning.presets import PRESETS
from wm_planner.tools.evaluation_session import Session, logging_to
from wm_planner.tools.interrupts import interrupt_on_sigterm
from wm_planner.tools.score_tables import is_worth_a_table, score_table, summary_table

WAYS = ('direct', 'ros')
INTERRUPTED = 130  # what shells report for SIGINT


def evaluate(
    suite: Annotated[
        str,
        typer.Option(
            help='ENVIRONMENT/SUITE, e.g. tabletop/reach; the leading parts alone stand for all '
            'below: arena/safety_static_obstacles/L0, arena.'
        ),
    ],
    planner: Annotated[
        str, typer.Option(help='Optimizer or policy: cem, random, noop, ...')
    ] = 'cem',
    model: Annotated[str, typer.Option(help='World model to plan with.')] = 'tabletop',
    preset: Annotated[
        str, typer.Option(help=f'Named planning settings: {", ".join(PRESETS)}.')
    ] = '',
    episodes: Annotated[int, typer.Option(help='Episodes to run of each task.')] = 40,
    seed: Annotated[int, typer.Option(help='Seed of starts, goals and planner.')] = 0,
    through: Annotated[
        str,
        typer.Option(
            help='direct: planner and simulator in one process; ros: over the live graph.'
        ),
    ] = 'direct',
    chain: Annotated[
        str,
        typer.Option(
            help='What a list of goals advances by: schedule (the steps of each) or progress (the '
            'energy; all share the steps of the schedule).'
        ),
    ] = 'schedule',
    steps_scale: Annotated[
        float, typer.Option(help='Multiple of the steps that the suite gives each goal.')
    ] = 1.0,
    device: Annotated[str, typer.Option(help='Torch device of the planner.')] = 'cpu',
    robot: Annotated[
        str,
        typer.Option(
            help='Robot profile (a name, or a .yaml file) that commands are held to. None: that of '
            'the environment.'
        ),
    ] = '',
    asset_root: Annotated[
        Path | None,
        typer.Option(help="Folder of the environment's own data; sets WM_PLANNER_ASSET_ROOT."),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option('--json', help='Write the report here, and every finished episode beside it.'),
    ] = None,
    restart: Annotated[
        bool, typer.Option('--restart', help='Begin anew instead of going on.')
    ] = False,
    workers: Annotated[
        int, typer.Option(min=1, max=10_000, help='Worker processes; more than 1 need Ray.')
    ] = 1,
    ray_address: Annotated[
        str, typer.Option(help='Ray cluster to use: HOST:PORT or auto. None: this machine.')
    ] = '',
    save_pictures: Annotated[
        bool, typer.Option('--save-pictures', help='Keep first, last and goal picture as PNG.')
    ] = False,
    save_video: Annotated[
        bool, typer.Option('--save-video', help='Keep a video of every episode.')
    ] = False,
    save_motion: Annotated[
        bool,
        typer.Option('--save-motion', help='Keep the motion as CSV; the policy playback follows.'),
    ] = False,
    save_bag: Annotated[
        bool, typer.Option('--save-bag', help='Keep a bag of every episode (--through ros).')
    ] = False,
    leaderboard: Annotated[
        Path | None, typer.Option(help="Write VLA-Arena's leaderboard entry here.")
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Option('--set', help='NAME=VALUE, e.g. cem.num_samples=64; can be repeated.'),
    ] = None,
) -> None:
    """Run episodes and print the success rate with its 95 % interval, and costs where there are.

    With --json, finished episodes outlive any kill: the same command goes on where it was stopped.
    The exit status is 0 when the run was completed, whatever the rate. Ctrl-C keeps the episodes
    that have finished: the report then says "complete": false.
    """
    if through not in WAYS:
        raise UnknownNameError.among('way (--through)', through, WAYS)
    name = SuiteName.parse_prefix(suite)
    request = RunRequest(
        suite=name,
        choice=PlannerChoice(
            planner=planner, model=model, preset=preset, values=parse_values(values or [])
        ),
        config=EvaluationConfig(episodes=episodes, seed=seed, chain=chain, steps_scale=steps_scale),
        through=through,
        device=device,
        robot=robot or default_robot(name.environment),
        asset_root=_folder(asset_root or os.environ.get(ASSET_ROOT_VARIABLE)),
        save=_wanted(pictures=save_pictures, video=save_video, motion=save_motion, bag=save_bag),
    )
    _check_together(request, json_file, workers, ray_address)
    use_asset_root(request.asset_root)
    request = replace(request, tasks=expand_suite(request.suite))
    if leaderboard is not None:
        check_of_benchmark(map(str, request.tasks))
    with Session(request, json_file, restart=restart) as session:
        _run(session, workers, ray_address)
    if leaderboard is not None:
        entry = leaderboard_entry(
            session.records, name=request.choice.label, model_type=model_type_of(planner)
        )
        write_json(leaderboard, entry)


def _wanted(**kinds: bool) -> tuple[str, ...]:
    return tuple(kind for kind, is_wanted in kinds.items() if is_wanted)


def _folder(path: Path | str | None) -> str:
    return str(Path(path).expanduser().resolve()) if path else ''


def _check_together(
    request: RunRequest, json_file: Path | None, workers: int, ray_address: str
) -> None:
    """Raise InvalidParameterError for options that do not go together."""
    if request.through == 'ros' and (workers > 1 or ray_address):
        raise InvalidParameterError(
            f'--through ros with {workers} workers; valid: 1, or --through direct.'
        )
    valid = (BAG,) if request.through == 'ros' else (PICTURES, VIDEO, MOTION)
    for kind in request.save:
        if kind not in valid:
            raise InvalidParameterError(
                f'--save-{kind} with --through {request.through}; valid there: '
                f'{", ".join(f"--save-{name}" for name in valid)}.'
            )
    if request.save and json_file is None:
        raise InvalidParameterError(
            f'--save-{request.save[0]} without --json; valid: with --json FILE, beside which it is '
            'written.'
        )


def _run(session: Session, workers: int, ray_address: str) -> None:
    """Run what is left and print the result, however it ends."""
    console = Console(stderr=True)
    session.announce(console)
    has_begun = not session.todo
    try:
        if session.todo:
            with (
                interrupt_on_sigterm(),
                logging_to(console),
                _open_workers(
                    session.request, min(workers, len(session.todo)), ray_address
                ) as opened,
            ):
                has_begun = True
                session.run(opened, console)
    except KeyboardInterrupt:
        total = len(session.request.specs())
        console.print(f'Stopped after {len(session.records)} of {total} episodes.')
        raise typer.Exit(INTERRUPTED) from None
    finally:
        if has_begun:
            _print_result(session)
    if all(record.is_lost for record in session.records):
        raise SimulatorError(f'no episode could be run; the first: {session.records[0].message}')


def _print_result(session: Session) -> None:
    rows = score_rows(session.records)
    session.write(rows)
    console = Console()
    if is_worth_a_table(rows):
        console.print(score_table(rows, console.width))
    console.print(summary_table(session.report()))


def _open_workers(
    request: RunRequest, count: int, ray_address: str
) -> AbstractContextManager[Workers]:
    if count > 1 or ray_address:
        # One machine can evaluate without Ray, so it is imported only here.
        from wm_planner.evaluation.ray_workers import ray_workers

        return ray_workers(request, count=count, address=ray_address)
    if request.through == 'direct':
        return in_process(open_direct_runner(request), request)
    # A machine without ROS can evaluate directly, so ROS is imported only here.
    from wm_planner.tools.live_runner import open_live_runner

    return in_process(open_live_runner(request), request)
