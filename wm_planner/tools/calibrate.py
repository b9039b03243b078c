# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""``wm_planner calibrate``: how the world model's action axes lie in the robot's base frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from rich.console import Console
from rich.progress import track
import typer

from wm_planner.core.axis_fit import AxisFit
from wm_planner.core.calibration import profile_text_with
from wm_planner.core.errors import CalibrationError, InvalidParameterError
from wm_planner.core.paths import robot_profile_file
from wm_planner.core.profile import RobotProfile
from wm_planner.core.protocols import Planner
from wm_planner.core.types import ActionSpec
from wm_planner.evaluation.calibration import (
    CalibrationConfig,
    CalibrationResult,
    Move,
    calibration_planner,
    moves_in_environment,
)
from wm_planner.evaluation.calibration import (
    calibrate as fit_moves,
)
from wm_planner.evaluation.environments import SuiteName, open_environment
from wm_planner.evaluation.settings import PlannerChoice, parse_values
from wm_planner.evaluation.threads import planning_threads
from wm_planner.policies.calibration_moves import CalibrationMovesConfig

if TYPE_CHECKING:
    from wm_planner.ros.move_recorder import Moment

_console = Console(stderr=True)
_SHARE_OF_STEP = 0.75  # of the model's largest displacement: the answer is to lie inside the bounds
_LONGEST_OVER_STEP = 2.5  # between two plans: more is no single move


@dataclass(frozen=True, kw_only=True)
class _Source:
    """Where the moves come from; exactly one is set."""

    environment: str = ''
    bag: Path | None = None
    is_moving: bool = False
    is_simulated: bool = False

    def check(self) -> None:
        """Raise InvalidParameterError unless exactly one source is given."""
        if bool(self.environment) + (self.bag is not None) + self.is_moving != 1:
            raise InvalidParameterError(
                'where do the moves come from? Valid: one of --move (this robot, now), --from-bag '
                'BAG (a recorded run) and --environment SUITE (a simulator in this process).'
            )


def calibrate(
    robot: Annotated[str, typer.Option(help='Robot profile: a name, or a .yaml file.')] = (
        'panda_sim'
    ),
    model: Annotated[str, typer.Option(help='World model to calibrate.')] = 'tabletop',
    checkpoint: Annotated[str, typer.Option(help="The world model's weights file.")] = '',
    planner: Annotated[str, typer.Option(help='Optimizer that is asked: cem, icem, mppi.')] = 'cem',
    settings: Annotated[
        list[str] | None, typer.Option('--set', help='Setting NAME=VALUE, as for evaluate.')
    ] = None,
    device: Annotated[str, typer.Option(help='Device of the model: auto, cpu or cuda.')] = 'auto',
    move: Annotated[
        bool, typer.Option('--move', help='Move this robot, through the safety filter.')
    ] = False,
    sim_time: Annotated[
        bool, typer.Option('--sim-time', help='With --move: the robot is simulated (/clock).')
    ] = False,
    bag: Annotated[
        Path | None, typer.Option('--from-bag', help='Take the moves from a recorded run (MCAP).')
    ] = None,
    environment: Annotated[
        str, typer.Option(metavar='SUITE', help='Move in a simulator, e.g. tabletop/reach.')
    ] = '',
    moves: Annotated[int, typer.Option(min=3, help='How many moves.')] = CalibrationConfig().moves,
    move_m: Annotated[
        float, typer.Option(min=0.0, max=0.14, help='Length of a move [m]; 0: as suits the model.')
    ] = 0.0,
    reach: Annotated[
        float,
        typer.Option(min=0.02, max=0.5, help='Farthest from where the tool is at the start [m].'),
    ] = 0.12,
    full: Annotated[
        bool, typer.Option('--full', help='A rotation about any axis, not the vertical alone.')
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help='Seed of moves and search.')] = 0,
    out: Annotated[
        Path | None,
        typer.Option(help='Profile to write; default: the .yaml of --robot, or NAME.yaml here.'),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option('--json', help='Also write the result as JSON.')
    ] = None,
) -> None:
    """Measure the rotation from the model's action axes to the base frame; write it if trusted.

    Exit status: 0 written, 1 not trusted (nothing is written), 2 wrong input.
    """
    source = _Source(environment=environment, bag=bag, is_moving=move, is_simulated=sim_time)
    source.check()
    values = parse_values(settings or [])
    if checkpoint:
        values['world_model.weights'] = checkpoint
    choice = PlannerChoice(planner=planner, model=model, values=values)
    config = CalibrationConfig(moves=moves, is_full=full, seed=seed)
    file = robot_profile_file(robot)
    profile = RobotProfile.from_yaml(file)
    with planning_threads():
        asked = calibration_planner(choice, config, device=_device(device))
        script = moves_for(asked.action_spec, move_m=move_m, reach_m=reach, seed=seed)
        found = _moves(source, robot, profile, config, asked, script)
        steps = track(found, 'asking the model', console=_console, transient=True)
        result = fit_moves(asked, steps, config)
    _console.print(_summary(result.fit))
    report = {**result.to_dict(), 'robot': robot, 'model': model, 'weights': checkpoint}
    if result.fit.is_trusted:
        report['profile'] = str(_write(result, file, out, choice, profile))
        _console.print(f'[green]Written to {report["profile"]}[/]; use it as robot:=that file.')
    if json_file is not None:
        json_file.write_text(json.dumps(report, indent=2) + '\n')
    shown = {k: v for k, v in report.items() if not k.endswith('_m')}
    typer.echo(json.dumps(shown))
    if not result.fit.is_trusted:
        raise typer.Exit(1)


def _moves(
    source: _Source,
    robot: str,
    profile: RobotProfile,
    config: CalibrationConfig,
    planner: Planner,
    script: CalibrationMovesConfig,
) -> list[Move]:
    """Return the moves of the source; raises CalibrationError where there are none to use."""
    spec, frames = planner.action_spec, planner.context_frames
    if source.environment:
        name = SuiteName.parse(source.environment)
        simulator = open_environment(name)
        try:
            return moves_in_environment(
                simulator,
                name.suite,
                profile,
                config,
                context_frames=frames,
                script=script,
                seed=config.seed,
            )
        finally:
            simulator.close()
    if source.bag is not None:
        from wm_planner.ros.bag_moves import moments_from_bag

        moments = moments_from_bag(source.bag, profile, frames=frames, step_s=spec.step_duration_s)
        return moves_between(moments, largest_step_m(spec))
    return moves_between(_live(source, robot, config, script, frames, spec), largest_step_m(spec))


def moves_for(
    spec: ActionSpec, *, move_m: float, reach_m: float, seed: int
) -> CalibrationMovesConfig:
    """Return moves of a length that suits a model's actions, or of ``move_m`` where it is given."""
    return CalibrationMovesConfig(
        move_m=move_m or _SHARE_OF_STEP * largest_step_m(spec),
        reach_m=reach_m,
        step_duration_s=spec.step_duration_s,
        seed=seed,
    )


def _live(
    source: _Source,
    robot: str,
    config: CalibrationConfig,
    script: CalibrationMovesConfig,
    frames: int,
    spec: ActionSpec,
) -> list[Moment]:
    from wm_planner.tools.arm_moves import MoveRequest, make_moves

    return make_moves(
        MoveRequest(
            robot=robot,
            steps=config.moves,
            parameters={
                'move_m': script.move_m,
                'reach_m': script.reach_m,
                'seed': script.seed,
                'step_duration_s': max(0.5, script.step_duration_s),
            },
            is_simulated=source.is_simulated,
            frames=frames,
            step_s=spec.step_duration_s,
        )
    )


def moves_between(moments: Sequence[Moment], step_m: float) -> list[Move]:
    """Return the moves from each moment to the next, less those that are no single step."""
    found = []
    for before, after in zip(moments, moments[1:], strict=False):
        first, second = before.observation, after.observation
        displacement = second.state.position_m - first.state.position_m
        if 1e-3 < float(np.linalg.norm(displacement)) <= _LONGEST_OVER_STEP * step_m:
            found.append(Move(before=first, after=second.images[-1], displacement_m=displacement))
    if not found:
        raise CalibrationError(
            f'none of {len(moments)} plans is followed by a move of at most '
            f'{_LONGEST_OVER_STEP * step_m:.2f} m; valid: a run in which the arm moves.'
        )
    return found


def largest_step_m(spec: ActionSpec) -> float:
    """Return the largest displacement along any one axis that an action can ask for."""
    columns = [i for i, name in enumerate(spec.names) if name in ('dx', 'dy')]
    if not columns:
        raise CalibrationError(
            f'the world model acts in {", ".join(spec.names)}; valid: one that moves along x, y.'
        )
    return float(np.min(spec.high[columns]))


def _write(
    result: CalibrationResult,
    source: Path,
    out: Path | None,
    choice: PlannerChoice,
    profile: RobotProfile,
) -> Path:
    """Write the profile with its new block; a profile that ships is copied, not changed."""
    from wm_planner.core.paths import share_folder

    is_shipped = share_folder() in source.parents
    target = out or (Path(source.name) if is_shipped else source)
    block = result.block(
        model=choice.model,
        weights=str(choice.values.get('world_model.weights', '')),
        camera=profile.topics.image,
        date=datetime.now(timezone.utc).isoformat(timespec='seconds'),
    )
    target.write_text(profile_text_with(source.read_text(), block))
    RobotProfile.from_yaml(target)  # what was written can be read
    return target.resolve()


def _summary(fit: AxisFit) -> str:
    colour = 'green' if fit.is_trusted else 'bold red'
    return (
        f'{fit.moves} moves: turned by {fit.yaw_deg:+.1f} deg, residual {fit.residual:.2f}, '
        f'+-{fit.error_deg:.1f} deg\n[{colour}]{fit.verdict}[/]'
    )


def _device(name: str) -> str:
    import torch

    if name != 'auto':
        return name
    return 'cuda' if torch.cuda.is_available() else 'cpu'
