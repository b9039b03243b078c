# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""``wm_planner landscape``: the energy landscape as a PNG, from pictures, a bag or a live graph."""

from __future__ import annotations

from dataclasses import dataclass, replace
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from wm_planner.core.aspect import has_aspect_of
from wm_planner.core.errors import AspectMismatchError, InvalidParameterError
from wm_planner.core.geometry import Array
from wm_planner.core.paths import robot_profile_file
from wm_planner.core.profile import RobotProfile
from wm_planner.core.protocols import Planner
from wm_planner.core.types import ActionSpec, Goal, Observation, RobotState
from wm_planner.evaluation.records import jsonable
from wm_planner.evaluation.runner import Seedable
from wm_planner.evaluation.settings import parse_values
from wm_planner.evaluation.threads import planning_threads
from wm_planner.imagination.figures import draw_landscape
from wm_planner.planning.landscape import Landscape, LandscapeConfig, run_landscape
from wm_planner.tools.recorded_choice import choose

if TYPE_CHECKING:
    from wm_planner.core.types import Image

_DOWN_XYZW = (1.0, 0.0, 0.0, 0.0)
_AXES = ('dx', 'dy', 'dz')
_ROBOT = 'panda_sim'
_RESOLUTION = LandscapeConfig().resolution


@dataclass(frozen=True, kw_only=True)
class _Scene:
    """What a landscape is of; ``chosen_m`` None = to be planned."""

    observation: Observation
    goal: Goal
    chosen_m: Array | None = None


def landscape(
    bag: Annotated[Path | None, typer.Argument(help='A bag recorded beside a planner.')] = None,
    out: Annotated[Path, typer.Option(help='The PNG to write.')] = Path('landscape.png'),
    live: Annotated[bool, typer.Option('--live', help='Of the running planner node.')] = False,
    now: Annotated[Path | None, typer.Option(help='Picture of the present.')] = None,
    goal: Annotated[Path | None, typer.Option(help='Picture of the goal.')] = None,
    pose: Annotated[
        str, typer.Option(help='x,y,z of the tool in the base frame [m], with --now and --goal.')
    ] = '',
    gripper: Annotated[
        float, typer.Option(min=0.0, max=1.0, help='Gripper closedness in --now, 0 = open.')
    ] = 0.0,
    at: Annotated[
        float, typer.Option(min=0.0, help='Bag: which plan, in seconds after the first.')
    ] = 0.0,
    true: Annotated[
        str, typer.Option(help='dx,dy,dz of the true displacement [m]: marked as well.')
    ] = '',
    planner: Annotated[
        str, typer.Option(help='Optimizer that chooses the action; none: the recorded one, or cem.')
    ] = '',
    model: Annotated[
        str, typer.Option(help='World model; none: the recorded one, or tabletop.')
    ] = '',
    extent: Annotated[
        float | None, typer.Option(min=0.0, help='Half the side of a slice [m]; none: one step.')
    ] = None,
    resolution: Annotated[
        int | None, typer.Option(min=3, help='Points along a side; none: 21.')
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help='Seed of the plan; none: the recorded one, or 0.')
    ] = None,
    robot: Annotated[
        str,
        typer.Option(help='Robot profile, its topics and calibration; none: the recorded one.'),
    ] = '',
    node: Annotated[str, typer.Option('--node', help='Full name of the planner.')] = '/wm_planner',
    values: Annotated[
        list[str] | None, typer.Option('--set', help='NAME=VALUE, as for evaluate; repeatable.')
    ] = None,
) -> None:
    """Draw how good the planner thinks each displacement of the tool would be, and what it chose.

    One of three sources: --live, a BAG, or --now with --goal and --pose. A running node computes
    with its own settings, ~/landscape.* among them; a bag's are those recorded, unless others are
    given.
    """
    sources = [live, bag is not None, now is not None or goal is not None]
    if sum(sources) != 1:
        raise InvalidParameterError(
            f'{sum(sources)} sources were given; valid: one of --live, a BAG, or --now with --goal.'
        )
    asked = {
        '--planner': planner or None,
        '--model': model or None,
        '--extent': extent,
        '--resolution': resolution,
        '--seed': seed,
        '--set': values or None,
        '--pose': pose or None,
        '--gripper': gripper or None,
        '--at': at or None,
    }
    given = [name for name, value in asked.items() if value is not None]
    if live and given:
        raise InvalidParameterError(
            f'{", ".join(given)} with --live: the node computes with its own settings; valid: its '
            'parameters landscape.*, or a BAG.'
        )
    true_m = _vector(true, '--true') if true else None
    if live:
        from wm_planner.tools.landscape_live import live_landscape

        found, chosen, pictures = live_landscape(
            node, RobotProfile.from_yaml(robot_profile_file(robot or _ROBOT))
        )
    else:
        recording = None if bag is None else _Recording(bag, node)
        recorded = {} if recording is None else recording.run.settings
        profile = RobotProfile.from_yaml(
            robot_profile_file(robot or str(recorded.get('robot') or _ROBOT))
        )
        choice = choose(recorded, profile, parse_values(values or []), planner=planner, model=model)
        config = LandscapeConfig(extent_m=extent or 0.0, resolution=resolution or _RESOLUTION)
        with planning_threads():
            made = choice.make()
            if isinstance(made, Seedable):
                made.seed(choice.seed if seed is None else seed)
            if recording is None:
                scene = _from_pictures(now, goal, pose, gripper, made)
            else:
                scene = recording.scene(profile, at, made.action_spec)
            if {'--planner', '--model', '--seed', '--set'} & set(given):
                scene = replace(scene, chosen_m=None)  # the recorded choice is another's
            found, chosen = _computed(made, scene, config)
        pictures = (scene.observation.images[-1], scene.goal.image)
    draw_landscape(found, out, now=pictures[0], goal=pictures[1], chosen_m=chosen, true_m=true_m)
    typer.echo(json.dumps(jsonable({'picture': str(out), **summary(found, chosen)})))


def summary(found: Landscape, chosen_m: Array | None) -> dict[str, Any]:
    """Return what a landscape says, as plain values."""
    return {
        'goal_id': found.goal_id,
        'energy_now': found.energy_now,
        'lowest_xy_m': found.minimum('xy').round(4).tolist(),
        'lowest_xz_m': found.minimum('xz').round(4).tolist(),
        'chosen_m': None if chosen_m is None else np.asarray(chosen_m).round(4).tolist(),
        'steps': found.steps,
    }


def displacement_of(action: Array, spec: ActionSpec) -> Array:
    """Return the displacement [3] of an action [A]."""
    values = dict(zip(spec.names, action.tolist(), strict=True))
    return np.array([values.get(name, 0.0) for name in _AXES])


def _computed(
    planner: Planner, scene: _Scene, config: LandscapeConfig
) -> tuple[Landscape, Array | None]:
    found = run_landscape(planner, scene.observation, scene.goal, config)
    chosen = scene.chosen_m
    if chosen is None:
        planner.reset()
        plan = planner.plan(scene.observation, scene.goal)
        chosen = displacement_of(plan.actions[0], plan.action_spec)
    return found, chosen


def _from_pictures(
    now: Path | None, goal: Path | None, pose: str, gripper: float, planner: Planner
) -> _Scene:
    if now is None or goal is None or not pose:
        raise InvalidParameterError('--now, --goal and --pose go together; valid: all three.')
    from wm_planner.ros.goal_store import read_picture

    images = [read_picture(path) for path in (now, goal)]
    check_aspect(images[1], images[0], str(goal))
    state = RobotState(
        stamp_ns=0,
        position_m=_vector(pose, '--pose'),
        quaternion_xyzw=np.array(_DOWN_XYZW),
        gripper_closedness=gripper,
    )
    frames = planner.context_frames
    if frames != 1:
        raise InvalidParameterError(
            f'the world model looks at {frames} frames and --now is one; valid: a bag, or a model '
            'with context_frames 1.'
        )
    return _Scene(
        observation=Observation(
            images=images[0][np.newaxis], image_stamps_ns=(0,), states=(state,)
        ),
        goal=Goal(goal_id=goal.stem, image=images[1]),
    )


class _Recording:
    """A bag, read without ROS being imported by those who do not need it."""

    def __init__(self, path: Path, node: str) -> None:
        from wm_planner.ros.bag_reader import BagReader
        from wm_planner.ros.replay_source import read_run

        self._bag = BagReader(path)
        self.run = read_run(self._bag, node)

    def scene(self, profile: RobotProfile, at_s: float, spec: ActionSpec) -> _Scene:
        """Return what the plan made ``at_s`` after the first was made from."""
        from wm_planner.ros.replay_source import plan_at, run_moments

        self._bag.require(profile.topics.image, 'the camera')
        plans = [self.run.plans[plan_at(self.run, at_s)]]
        moments, skipped = run_moments(self._bag, replace(self.run, plans=plans), profile, spec)
        if not moments:
            raise InvalidParameterError(
                f'that plan cannot be looked at ({", ".join(skipped)}); valid: another --at.'
            )
        moment = moments[0]
        assert moment.actions is not None
        return _Scene(
            observation=moment.observation,
            goal=moment.goal,
            chosen_m=displacement_of(moment.actions[0], spec),
        )


def check_aspect(image: Image, like: Image, what: str) -> None:
    """Raise AspectMismatchError unless two pictures can be of one camera."""
    (height, width), (own_height, own_width) = like.shape[:2], image.shape[:2]
    if not has_aspect_of((own_height, own_width), (height, width)):
        raise AspectMismatchError(
            f'{what} is {own_width}x{own_height} px and the camera gives {width}x{height} px; '
            'valid: whole pictures of one camera, at any scale.'
        )


def _vector(text: str, what: str) -> Array:
    try:
        values = np.array([float(part) for part in text.split(',')])
    except ValueError:
        values = np.array([math.nan])
    if values.shape != (3,) or not np.all(np.isfinite(values)):
        raise InvalidParameterError(f'{what} is {text!r}; valid: x,y,z in metres, e.g. 0.5,0,0.2.')
    return values
