# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""``wm_planner demo``: goal images drive the simulated arm over a live graph, and a record stays.

Everything goes the way a user's program would go: the picture through ``~/set_goal_image``, motion
through ``~/enable``, progress from ``~/status``. What the simulator knows (the true distance) is
only measured.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
import json
import math
from pathlib import Path
import time
from typing import Annotated, Any

import typer
import yaml

from wm_planner.core.errors import DriverError, PlannerFailedError, RecorderError, WmPlannerError
from wm_planner.core.types import Image
from wm_planner.evaluation.metrics import summarise_times
from wm_planner.evaluation.records import describe_machine, installed_versions, jsonable, write_json
from wm_planner.ros.stamps import stamp_to_ns
from wm_planner.tools.interrupts import interrupt_on_sigterm
from wm_planner.tools.live_graph import GraphConfig, LiveGraph
from wm_planner.tools.strip import Moment, StripRow, draw_strip, pick_moments
from wm_planner.tools.witness import Witness
from wm_planner_msgs.msg import PlanDiagnostics, PlannerStatus

SUITE = 'reach'
SUCCESS_M = 0.04
"""A goal is reached when the tool is truly this near it at the end."""

BAG_NAME = 'bag'
_LATCHED = (PlannerStatus.FAULT, PlannerStatus.EMERGENCY_STOP)


def demo(
    goals: Annotated[int, typer.Option(min=1, max=100, help='Goal images to pursue.')] = 3,
    out: Annotated[Path, typer.Option(help='Folder that the record is left in.')] = Path('runs'),
    seed: Annotated[int, typer.Option(min=0, help='Seed of starts, goals and planner.')] = 0,
    planner: Annotated[str, typer.Option(help='Optimizer or policy that decides.')] = 'cem',
    model: Annotated[str, typer.Option(help='World model to plan with.')] = 'tabletop',
    image_size: Annotated[
        int, typer.Option(min=64, max=640, help='Width and height of the camera images [px].')
    ] = 256,
    timeout_s: Annotated[
        float, typer.Option('--timeout', min=1.0, help='Most time a goal may take [s, wall].')
    ] = 90.0,
) -> None:
    """Bring simulator, planner and recorder up and drive the arm to goal images.

    Leaves OUT/<date>_<time>/ with summary.json, a bag, the picture strip.png and the nodes' log.
    The last line is the result as JSON; the exit status is 0 if every goal was reached.
    """
    folder = _new_folder(out)
    run = DemoRun(folder=folder, goals=goals, seed=seed)
    config = GraphConfig(
        arguments={
            'planner': planner,
            'model': model,
            'seed': str(seed),
            'image_width': str(image_size),
            'image_height': str(image_size),
            'record': 'true',
            'bag_dir': str(folder),
        },
        parameters={'recorder': {'bag_name': BAG_NAME, 'compression': 'zstd'}},
        log_file=folder / 'nodes.log',
    )
    try:
        with interrupt_on_sigterm():
            _drive(run, config, timeout_s)
        run.bag_messages = count_bag_messages(folder / BAG_NAME)
    except WmPlannerError as error:
        run.message = str(error)
    except KeyboardInterrupt:
        run.message = 'stopped by the user.'
    summary = _finish(run, f'{planner} on {model}')
    typer.echo(json.dumps(jsonable(summary)))
    if not summary['success']:
        typer.echo(f'wm_planner demo: {run.why_failed()}', err=True)
        raise typer.Exit(1)


@dataclass(kw_only=True)
class GoalRun:
    """How one goal went; distances by the simulator's truth [m]."""

    name: str
    start_distance_m: float
    final_distance_m: float
    planner_says_reached: bool
    simulated_s: float
    plans: int
    goal_energy: float
    goal_tolerance: float
    message: str

    @property
    def is_reached(self) -> bool:
        """Return whether the tool truly is at the goal."""
        return self.final_distance_m <= SUCCESS_M


@dataclass(kw_only=True)
class DemoRun:
    """What has come of the demonstration so far."""

    folder: Path
    goals: int
    seed: int
    runs: list[GoalRun] = field(default_factory=list)
    rows: list[StripRow] = field(default_factory=list)
    plan_ms: list[float] = field(default_factory=list)
    bag_messages: int = 0
    message: str = ''
    begin: float = field(default_factory=time.monotonic)

    @property
    def goals_reached(self) -> int:
        """Return how many goals were reached."""
        return sum(run.is_reached for run in self.runs)

    @property
    def is_success(self) -> bool:
        """Return whether every goal was reached and the bag was written."""
        return self.goals_reached == self.goals and not self.message

    def why_failed(self) -> str:
        """Return a sentence for a run that was no success."""
        if self.message:
            return self.message
        left = [
            f'{r.name}: {100 * r.final_distance_m:.1f} cm' for r in self.runs if not r.is_reached
        ]
        return (
            f'{self.goals_reached} of {self.goals} goals were reached; valid: within '
            f'{100 * SUCCESS_M:.0f} cm. Not reached: {", ".join(left)}.'
        )


def _drive(run: DemoRun, config: GraphConfig, timeout_s: float) -> None:
    graph = LiveGraph(config)
    typer.echo(
        f'Starting simulator, planner and recorder, with ROS_DOMAIN_ID={graph.domain_id} '
        '(set it to watch from another terminal) ...'
    )
    with graph:
        graph.wait_until_ready()
        typer.echo(f'Ready after {time.monotonic() - run.begin:.0f} s.')
        witness = Witness(graph.client.node)

        def on_plan(message: PlanDiagnostics) -> None:
            stages = dict(zip(message.stage_names, message.stage_milliseconds, strict=True))
            run.plan_ms.append(float(stages['total']))

        graph.client.on_plan = on_plan
        for number in range(run.goals):
            _pursue(run, graph, witness, number, timeout_s)
        graph.client.enable(False)
        typer.echo('Stopping the nodes ...')


def _pursue(
    run: DemoRun, graph: LiveGraph, witness: Witness, number: int, timeout_s: float
) -> None:
    """Drive to one goal image and note how it went."""
    client = graph.client
    name = f'goal {number + 1} of {run.goals}'
    goal = graph.begin_episode(SUITE, seed=run.seed, episode=number).goals[-1]
    witness.begin(stamp_to_ns(graph.episode.header.stamp))
    client.spin_until(
        lambda: witness.has_frame, lambda: DriverError('no camera image has come.'), timeout_s
    )
    start_distance_m = float(graph.episode.distance_m)
    typer.echo(f'{name}: {100 * start_distance_m:.1f} cm away; setting its picture ...')
    plans_before = len(run.plan_ms)
    goal_id = client.set_goal_image(
        goal.image, goal_id=f'demo_{number + 1}', gripper_closedness=goal.gripper_closedness
    )
    begin_ns = stamp_to_ns(graph.status.header.stamp)
    client.enable()
    message = _wait_for_arm(graph, goal_id, timeout_s)
    status = graph.status
    end = graph.wait_for_episode_after(stamp_to_ns(status.header.stamp))
    went = GoalRun(
        name=name,
        start_distance_m=start_distance_m,
        final_distance_m=float(end.distance_m),
        planner_says_reached=not message,
        simulated_s=(stamp_to_ns(end.header.stamp) - begin_ns) * 1e-9,
        plans=len(run.plan_ms) - plans_before,
        goal_energy=float(status.goal_energy),
        goal_tolerance=float(status.goal_tolerance),
        message=message,
    )
    run.runs.append(went)
    run.rows.append(_row(went, goal.image, witness, begin_ns))
    typer.echo(f'    {_verdict(went)}, after {went.simulated_s:.1f} s and {went.plans} plans')
    if message:
        typer.echo(f'    the planner: {message}')


def _wait_for_arm(graph: LiveGraph, goal_id: str, timeout_s: float) -> str:
    """Wait until the planner says that it is there; return why not, or nothing.

    Raises PlannerFailedError for a fault that is latched: no further goal would move the arm.
    """
    has_begun = False
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        graph.client.spin_once()
        status = graph.status
        if status.state in _LATCHED:
            raise PlannerFailedError(f'the planner has stopped: {status.message}')
        has_begun = has_begun or status.goal_id == goal_id
        if status.state == PlannerStatus.REACHED and status.goal_id == goal_id:
            return ''
        if has_begun and status.goal_count == 0:
            return status.message or 'it gave the goal up.'
    return f'not there after {timeout_s:g} s: {graph.status.message or "still on its way"}'


def _row(went: GoalRun, goal_image: Image, witness: Witness, begin_ns: int) -> StripRow:
    frames = witness.moments(begin_ns)
    first = frames[0]
    start = Moment(image=first.image, time_s=0.0, distance_m=went.start_distance_m)
    return StripRow(
        title=went.name,
        start=start,
        moments=pick_moments(frames),
        goal=goal_image,
        reached=went.is_reached,
        verdict=_verdict(went),
    )


def _verdict(went: GoalRun) -> str:
    word = 'reached' if went.is_reached else 'not reached'
    return f'{word}: {100 * went.final_distance_m:.1f} cm from the goal'


def _finish(run: DemoRun, chosen: str) -> dict[str, Any]:
    """Draw the picture, write summary.json, and return what the last line says."""
    times = summarise_times(run.plan_ms)
    picture = _draw(run, chosen) if run.rows else None
    distances = [r.final_distance_m for r in run.runs if not math.isnan(r.final_distance_m)]
    bag = run.folder / BAG_NAME
    summary: dict[str, Any] = {
        'success': run.is_success,
        'goals_reached': run.goals_reached,
        'goals': run.goals,
        'final_distance_m': max(distances, default=None),
        'plans': len(run.plan_ms),
        'plan_ms_p50': None if times is None else times.p50,
        'plan_ms_p99': None if times is None else times.p99,
        'bag': str(bag) if run.bag_messages else None,
        'picture': picture,
        'summary': str(run.folder / 'summary.json'),
    }
    if run.message:
        summary['message'] = run.message
    details = {
        'seed': run.seed,
        'success_distance_m': SUCCESS_M,
        'bag_messages': run.bag_messages,
        'wall_s': time.monotonic() - run.begin,
        'device': describe_machine(),
        'versions': installed_versions(),
        'per_goal': [{**asdict(r), 'is_reached': r.is_reached} for r in run.runs],
    }
    write_json(run.folder / 'summary.json', {**summary, **details})
    if run.bag_messages:
        typer.echo(f'Bag:     {bag} ({run.bag_messages} messages)')
    if picture:
        typer.echo(f'Picture: {picture}')
    return summary


def _draw(run: DemoRun, chosen: str) -> str:
    plural = 's' if run.goals > 1 else ''
    times = summarise_times(run.plan_ms)
    speed = f', {times.count} plans of {times.p50:.0f} ms (median)' if times else ''
    path = draw_strip(
        run.rows,
        run.folder / 'strip.png',
        title=f'wm_planner: {run.goals} goal image{plural}, {run.goals_reached} reached',
        caption=f'{chosen}{speed}. Distances are those of the tool from the goal, measured by the '
        'simulator; the planner sees pictures alone.',
    )
    return str(path)


def count_bag_messages(bag: Path) -> int:
    """Return how many messages a closed bag holds; raises RecorderError if it was not closed."""
    metadata = bag / 'metadata.yaml'
    try:
        information = yaml.safe_load(metadata.read_text())['rosbag2_bagfile_information']
        count = int(information['message_count'])
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise RecorderError(
            f'the bag {bag} was not finished ({type(error).__name__}: {error}); nodes.log beside '
            'it says what the recorder met.'
        ) from error
    if count == 0:
        raise RecorderError(f'the bag {bag} holds no message.')
    return count


def _new_folder(out: Path) -> Path:
    """Make and return a folder named by date and time; raises DriverError where it cannot."""
    stamp = time.strftime('%Y%m%d_%H%M%S')
    for suffix in ('', *(f'_{n}' for n in range(1, 100))):
        folder = out.expanduser().resolve() / f'{stamp}{suffix}'
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise DriverError(f'{folder} cannot be made: {error.strerror}.') from error
        return folder
    raise DriverError(f'{out} has a hundred folders of this second; valid: another --out.')
