# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""``wm_planner replay``: plan at every recorded step of a bag without a robot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from rich.console import Console
from rich.progress import track
from rich.table import Table
import typer

from wm_planner.core.errors import DemonstrationError
from wm_planner.core.paths import robot_profile_file
from wm_planner.core.profile import RobotProfile
from wm_planner.core.protocols import Planner
from wm_planner.core.types import Goal
from wm_planner.evaluation.records import write_json
from wm_planner.evaluation.replay import (
    Moment,
    Replay,
    ReplayConfig,
    check_comparable,
    replay_moments,
)
from wm_planner.evaluation.settings import parse_values
from wm_planner.evaluation.threads import planning_threads
from wm_planner.factory import check_names
from wm_planner.ros.bag_reader import BagReader
from wm_planner.ros.goal_store import read_picture
from wm_planner.ros.replay_source import (
    RecordedRun,
    demonstration_moments,
    read_run,
    run_moments,
)
from wm_planner.tools.recorded_choice import choose


def replay(
    bag: Annotated[Path, typer.Argument(help='A bag: of a run, or of a demonstration.')],
    planner: Annotated[
        str, typer.Option(help='Optimizer or policy; none: the one that was recorded.')
    ] = '',
    model: Annotated[str, typer.Option(help='World model; none: the recorded one.')] = '',
    preset: Annotated[str, typer.Option(help='Named planning settings.')] = '',
    seed: Annotated[
        int | None, typer.Option(min=0, help='Seed of the draws; none: the recorded one.')
    ] = None,
    goal: Annotated[
        Path | None, typer.Option(help='Goal picture of a demonstration; none: its last frame.')
    ] = None,
    camera: Annotated[str, typer.Option(help="Image topic; none: the robot profile's.")] = '',
    robot: Annotated[str, typer.Option(help='Robot profile; none: the recorded one.')] = '',
    samples: Annotated[
        int, typer.Option(min=8, help='Random sequences that what was done is ranked among.')
    ] = 256,
    limit: Annotated[int, typer.Option(min=0, help='Most steps to plan at; 0 = all.')] = 0,
    device: Annotated[str, typer.Option(help='Torch device; none: the recorded one.')] = '',
    node: Annotated[str, typer.Option('--node', help='Full name of the planner.')] = '/wm_planner',
    json_file: Annotated[Path | None, typer.Option('--json', help='Write the result here.')] = None,
    values: Annotated[
        list[str] | None, typer.Option('--set', help='NAME=VALUE, as for evaluate; repeatable.')
    ] = None,
) -> None:
    """Plan at every step of a bag and hold it against what was done; nothing moves.

    Without other settings than those recorded, the run's own plans are made again, and compared to
    the last bit. wm_planner report shows the JSON beside others.
    """
    source = BagReader(bag)
    run = read_run(source, node)
    profile = RobotProfile.from_yaml(
        robot_profile_file(robot or str(run.settings.get('robot') or 'panda_sim'))
    )
    source.require(camera or profile.topics.image, 'the camera')
    is_reproduction = bool(run.settings and run.plans) and not any(
        (planner, model, preset, seed is not None, device, values)
    )
    chosen = choose(
        run.settings,
        profile,
        parse_values(values or []),
        planner=planner,
        model=model,
        preset=preset,
        device=device,
    )
    check_names(chosen.planner, preset)
    threads = int(run.settings.get('num_threads', 0)) if is_reproduction else 0
    with planning_threads(threads):
        made = chosen.make()
        moments, skipped = _moments(source, run, profile, made, goal, camera)
        moments = moments[:limit] if limit else moments
        if is_reproduction:
            check_comparable(made, moments)
        config = ReplayConfig(
            seed=chosen.seed if seed is None else seed,
            samples=samples,
            elites=max(1, samples // 10),
        )
        console = Console(stderr=True)
        bar = iter(track(moments, description='replay', console=console, transient=True))
        next(bar, None)
        steps = replay_moments(
            made,
            moments,
            config,
            is_reproduction=is_reproduction,
            on_step=lambda step: next(bar, None) and None,
        )
    result = Replay(
        source=str(bag),
        planner=chosen.planner,
        model=chosen.model,
        settings={'preset': chosen.preset, 'values': chosen.shown_values},
        seed=config.seed,
        is_reproduction=is_reproduction,
        steps=steps,
        skipped=skipped,
    )
    if json_file is not None:
        write_json(json_file, result.as_json())
    Console().print(replay_table(result))


def _moments(
    source: BagReader,
    run: RecordedRun,
    profile: RobotProfile,
    planner: Planner,
    goal: Path | None,
    camera: str,
) -> tuple[list[Moment], dict[str, int]]:
    spec = planner.action_spec
    if run.plans and goal is None:
        moments, skipped = run_moments(source, run, profile, spec, camera=camera)
        if not moments:
            raise DemonstrationError(
                f'none of the {len(run.plans)} plans in {source.path} can be made again '
                f'({", ".join(skipped)}); valid: a bag with its frames and ~/goal_record.'
            )
        return moments, skipped
    picture = None if goal is None else Goal(goal_id=goal.stem, image=read_picture(goal))
    return demonstration_moments(
        source.path,
        profile,
        spec,
        context_frames=planner.context_frames,
        camera=camera,
        goal=picture,
    )


def replay_table(result: Replay) -> Table:
    """Return the summary as a table for a terminal."""
    found = result.summary()
    table = Table('what', 'median', title=f'replay of {result.source}', caption=_caption(result))
    rows = (
        ('position error against what was done', 'position_error_m', 100.0, 'cm'),
        ('rotation error', 'rotation_error_rad', 57.29578, 'deg'),
        ('gripper error', 'gripper_error', 1.0, ''),
        ('rank of what was done among random sequences', 'rank', 100.0, '%'),
        ('elite regret (0 elites, 1 random)', 'elite_regret', 1.0, ''),
        ('plan', 'plan_ms', 1.0, 'ms'),
    )
    for text, key, scale, unit in rows:
        table.add_row(text, _number(found[key], scale, unit))
    for step, (error, unmoved) in enumerate(
        zip(found['prediction'], found['unmoved'], strict=True), 1
    ):
        table.add_row(
            f'prediction error after {step} step(s), beside predicting nothing',
            f'{_number(error)} ({_number(unmoved)})',
        )
    return table


def _caption(result: Replay) -> str:
    found = result.summary()
    text = f'{found["steps"]} steps, {result.planner} on {result.model}'
    if result.is_reproduction:
        text += (
            f'; {found["plans_reproduced"]} of {found["plans_compared"]} plans made again exactly'
        )
    skipped = ', '.join(f'{count} left out: {why}' for why, count in result.skipped.items())
    return f'{text}; {skipped}' if skipped else text


def _number(value: float | None, scale: float = 1.0, unit: str = '') -> str:
    return '-' if value is None else f'{value * scale:.3g} {unit}'.strip()
