# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""``wm_planner goal set | capture | list | extract``: goal images, and chains of them."""

from __future__ import annotations

from dataclasses import replace
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.console import Console
from rich.table import Table
import typer

from wm_planner.control.chain import CHAINS
from wm_planner.core.errors import InvalidGoalError, InvalidImageError, UnknownNameError
from wm_planner.core.types import Goal
from wm_planner.ros.goal_set import GoalSet, is_goal_set, load_goal_set
from wm_planner.ros.goal_store import GoalStore, StoredGoal, check_name, read_picture

if TYPE_CHECKING:
    from wm_planner.ros.client import PlannerClient

DEFAULT_FOLDER = Path('goals')
"""Where the planner node puts captured goals, under the folder it was started in."""

app = typer.Typer(no_args_is_help=True, help='Set, capture or list goal images.')

_Folder = Annotated[Path, typer.Option('--dir', help='Folder of the captured goals.')]
_Node = Annotated[str, typer.Option('--node', help='Full name of the planner node.')]
_Timeout = Annotated[
    float, typer.Option('--timeout', min=0.1, help='How long to look for the node [s].')
]


@app.command('set')
def set_goal(
    goal: Annotated[
        str,
        typer.Argument(
            metavar='IMAGE|NAME|SET', help='A picture file, a captured goal, or a goal set.'
        ),
    ],
    gripper: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help='Gripper closedness in the picture, 0 = open; default: what was captured with it.',
        ),
    ] = None,
    start: Annotated[
        bool, typer.Option('--start/--no-start', help='Pursue it now, or only check and encode it.')
    ] = True,
    enable: Annotated[bool, typer.Option('--enable', help='Also allow motion.')] = False,
    until_reached: Annotated[
        bool,
        typer.Option(
            '--until-reached',
            help='Set: pursue each goal until it is reached, however long, not for the time the '
            'demonstration took and half as much again.',
        ),
    ] = False,
    step_s: Annotated[
        float, typer.Option(min=0.01, help='Set: what its times are counted in [s].')
    ] = 0.25,
    chain: Annotated[
        str,
        typer.Option(
            help='Set: what it advances by: schedule (the time of each goal) or progress (the '
            'energy; the goals share the time).'
        ),
    ] = 'schedule',
    folder: _Folder = DEFAULT_FOLDER,
    node: _Node = '/wm_planner',
    timeout_s: _Timeout = 5.0,
) -> None:
    """Give the planner a goal: a picture (PNG or JPEG), a captured goal's name, or a goal set.

    The goals of a set are pursued in order, and the command waits for the end.
    """
    if chain not in CHAINS:
        raise UnknownNameError.among('chain (--chain)', chain, CHAINS)
    if is_goal_set(Path(goal).expanduser()):
        found = load_goal_set(Path(goal).expanduser())
        steps_of_s = 0.0 if until_reached else step_s
        _pursue_set(found, steps_of_s, node, timeout_s, chain=chain, enable=enable)
        return
    wanted = find_goal(goal, GoalStore(folder))
    if gripper is not None:
        wanted = replace(wanted, gripper_closedness=gripper)
    with _client(node, timeout_s) as client:
        name = client.set_goal_image(
            wanted.image,
            goal_id=wanted.goal_id,
            gripper_closedness=wanted.gripper_closedness,
            start=start,
        )
        if enable:
            client.enable()
    if not start:
        typer.echo(f'Goal {name!r} can be used; it is not being pursued.')
    elif enable:
        typer.echo(f'The planner pursues goal {name!r}.')
    else:
        typer.echo(
            f'Goal {name!r} is set. The arm moves only once motion is enabled: pass --enable, or '
            f'call {node}/enable.'
        )


def _pursue_set(
    found: GoalSet,
    step_s: float,
    node: str,
    timeout_s: float,
    *,
    chain: str,
    enable: bool,
) -> None:
    """Pursue the goals of a set through ReachGoal and say how it ended; exit status 1 if not.

    Each for the time of the demonstration, counted in steps of ``step_s`` that the planner turns
    into its own; ``step_s`` 0 = without limit. The planner's to end, so this waits as long.
    """
    shown, decision = -1, ''

    def feed(feedback: Any) -> None:
        nonlocal shown, decision
        if feedback.decision != decision:
            decision = str(feedback.decision)
            typer.echo(f'  {decision}')
        if feedback.goal_index != shown:
            shown = int(feedback.goal_index)
            entry = found.goals[shown]
            typer.echo(f'goal {shown + 1} of {len(found.goals)}: {entry.stored.goal.goal_id}')

    with _client(node, timeout_s) as client:
        if enable:
            client.enable()
        result = client.reach_goal(
            found.pursued(),
            steps_per_goal=found.steps(step_s) if step_s else (),
            goal_step_s=step_s,
            timeout_s=math.inf,
            chain=CHAINS.index(chain),
            on_feedback=feed,
        )
    energies = ', '.join(f'{energy:.3g}' for energy in result.goal_energies)
    typer.echo(f'{result.message} Energies: {energies}')
    if not result.is_reached:
        raise typer.Exit(1)


@app.command('capture')
def capture_goal(
    name: Annotated[str, typer.Argument(help='Name to save the live view under.')],
    overwrite: Annotated[bool, typer.Option('--overwrite', help='Replace a goal of that name.')] = (
        False
    ),
    node: _Node = '/wm_planner',
    timeout_s: _Timeout = 5.0,
) -> None:
    """Save what the planner's camera sees now, with gripper state and tool pose, as a goal."""
    check_name(name)
    with _client(node, timeout_s) as client:
        typer.echo(f'Captured in {client.capture_goal(name, overwrite=overwrite)}')


@app.command('list')
def list_goals(folder: _Folder = DEFAULT_FOLDER) -> None:
    """List the captured goals; needs no running node."""
    store = GoalStore(folder)
    names = store.names()
    if not names:
        typer.echo(
            f'No goals in {folder}. Capture one with: wm_planner goal capture NAME', err=True
        )
        return
    Console().print(_table(store, names))


def find_goal(text: str, store: GoalStore) -> Goal:
    """Return the goal that ``text`` stands for: a picture file if there is one, else a name.

    Raises InvalidImageError for a file that is no picture, UnknownNameError for an unknown name.
    """
    path = Path(text).expanduser()
    if path.is_file():
        return Goal(goal_id=path.stem, image=read_picture(path))
    if path.suffix or len(path.parts) > 1:
        raise InvalidImageError(
            f'{text} does not exist; valid: a PNG or JPEG file, or the name of a goal in '
            f'{store.folder} ({", ".join(store.names()) or "there are none"}).'
        )
    return store.load(text).goal


def _table(store: GoalStore, names: tuple[str, ...]) -> Table:
    table = Table('goal', 'size', 'gripper', 'tool position [m]', 'camera')
    for name in names:
        try:
            table.add_row(name, *_columns(store.load(name)))
        except (InvalidGoalError, InvalidImageError) as error:
            table.add_row(name, f'cannot be used: {error.message}')
    return table


def _columns(stored: StoredGoal) -> tuple[str, str, str, str]:
    goal = stored.goal
    height, width = goal.image.shape[:2]
    closedness, pose = goal.gripper_closedness, goal.pose
    return (
        f'{width} x {height}',
        'unknown' if closedness is None else f'{closedness:.2f}',
        'unknown' if pose is None else ', '.join(f'{value:.3f}' for value in pose.position_m),
        stored.camera_frame or 'unknown',
    )


def _client(node: str, timeout_s: float) -> PlannerClient:
    """Return a client of the running planner; the caller closes it.

    ROS is imported only here, so that ``list`` and ``--help`` stay quick.
    """
    from wm_planner.ros.client import PlannerClient

    return PlannerClient(name='wm_planner_goal', planner=node, timeout_s=timeout_s)


def _register_extract() -> None:
    """Add ``extract``, whose imports (torch) take seconds, only when it is asked for."""
    import sys

    if 'extract' in sys.argv:
        from wm_planner.tools.goal_extract import extract_goals

        app.command('extract')(extract_goals)
    else:
        app.command('extract', help='Pick goal pictures of a demonstration.')(lambda: None)


_register_extract()
