# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""``wm_planner goal extract``: from a demonstration to a chain of goal pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
import sys
from typing import Annotated

import numpy as np
from rich.console import Console
from rich.table import Table
import typer

from wm_planner.core.aspect import has_aspect_of
from wm_planner.core.errors import AspectMismatchError, InvalidParameterError
from wm_planner.core.paths import robot_profile_file
from wm_planner.core.profile import RobotProfile
from wm_planner.core.protocols import WorldModel
from wm_planner.core.types import Goal
from wm_planner.evaluation.settings import parse_values
from wm_planner.evaluation.threads import planning_threads
from wm_planner.imagination.demonstration import (
    ExtractionConfig,
    Latents,
    SubGoal,
    find_sub_goals,
    settled_index,
)
from wm_planner.imagination.strip import Panel, draw_panels
from wm_planner.models.registry import load_model
from wm_planner.ros.frame_source import Frame, Recording, read_recording
from wm_planner.ros.goal_set import SHEET_FILE, GoalSet, SetGoal, check_free, save_goal_set
from wm_planner.ros.goal_store import StoredGoal, read_picture, write_picture

_SHEET_PX = 160
_COLUMNS = 6


def extract_goals(
    source: Annotated[Path, typer.Argument(metavar='BAG|VIDEO|FOLDER', help='The demonstration.')],
    out: Annotated[Path, typer.Option(help='Folder of the goal set to write.')],
    keep: Annotated[
        str, typer.Option(help='Numbers of the goals to keep, e.g. 0,2,3; none: ask, or all.')
    ] = '',
    like: Annotated[
        str, typer.Option(help="The planner's camera: a picture from it, or WIDTHxHEIGHT.")
    ] = '',
    most: Annotated[int, typer.Option(min=1, help='Most goals.')] = ExtractionConfig().most,
    model: Annotated[str, typer.Option(help='World model whose latents are watched.')] = 'tabletop',
    robot: Annotated[str, typer.Option(help='Robot profile: topics of a bag.')] = 'panda_sim',
    camera: Annotated[str, typer.Option(help="Image topic of a bag; none: the profile's.")] = '',
    period: Annotated[
        float, typer.Option(min=0.0, help='Time between frames [s]; 0 = a step of the model.')
    ] = 0.0,
    overwrite: Annotated[bool, typer.Option('--overwrite', help='Replace a set.')] = False,
    yes: Annotated[bool, typer.Option('--yes', help='Keep all without asking.')] = False,
    values: Annotated[
        list[str] | None, typer.Option('--set', help='world_model.NAME=VALUE; repeatable.')
    ] = None,
) -> None:
    """Pick the final frame of a demonstration and as few sub-goals before it as are needed.

    Writes a folder that `wm_planner goal set` takes, with a contact sheet to look at.
    """
    settings = _model_settings(values or [])
    with planning_threads():
        loaded = load_model(model, settings, device='cpu')
        found, recording = extract(
            source,
            loaded,
            RobotProfile.from_yaml(robot_profile_file(robot)),
            period_s=period,
            camera=camera,
            like=like,
            config=ExtractionConfig(most=most),
        )
    console = Console(stderr=True)
    console.print(_table(found))
    if not like and not recording.camera_frame:
        console.print(
            'The camera is not known, so the aspect of the pictures is not checked; --like does.'
        )
    check_free(out, overwrite=overwrite)
    out.mkdir(parents=True, exist_ok=True)
    sheet = out / SHEET_FILE
    write_picture(sheet, contact_sheet(found.goals))
    if not keep and not yes and sys.stdin.isatty():
        console.print(f'Contact sheet: {sheet}')
        keep = typer.prompt('Keep which (e.g. 0,2; nothing: all)', default='', show_default=False)
    kept = GoalSet(source=found.source, goals=_kept(found.goals, keep))
    save_goal_set(out, kept, overwrite=overwrite)
    write_picture(sheet, contact_sheet(kept.goals))
    typer.echo(f'{out}: {len(kept.goals)} goals; pursue them with: wm_planner goal set {out}')


def extract(
    source: Path,
    model: WorldModel,
    profile: RobotProfile,
    *,
    period_s: float = 0.0,
    camera: str = '',
    like: str = '',
    config: ExtractionConfig | None = None,
) -> tuple[GoalSet, Recording]:
    """Return the goals of a demonstration, and its frames.

    Raises RecordingError, AspectMismatchError, or DemonstrationError where nothing moves.
    """
    step_s = period_s or model.action_spec.step_duration_s
    recording = read_recording(source, profile, period_s=step_s, camera=camera)
    frames = recording.frames
    if like:
        _check_aspect(frames[0], like, str(source))
    latents = latents_of(frames, model)
    states = [frame.state for frame in frames if frame.state is not None]
    has_states = len(states) == len(frames)
    closedness = np.array([state.gripper_closedness for state in states]) if has_states else None
    picked = find_sub_goals(latents, closedness, config)
    ends = [min(goal.index, settled_index(latents, config) or goal.index) for goal in picked]
    return GoalSet(source=str(source), goals=_goals(picked, ends, recording)), recording


def latents_of(frames: Sequence[Frame], model: WorldModel) -> Latents:
    """Return the latents [F, N D] of frames."""
    return np.stack(
        [
            model.encode_goal(Goal(goal_id=f'frame {number}', image=frame.image))
            .float()
            .cpu()
            .numpy()
            .ravel()
            for number, frame in enumerate(frames)
        ]
    )


def contact_sheet(goals: Sequence[SetGoal]) -> np.ndarray:
    """Return the goals side by side, numbered."""
    panels = [
        Panel(
            image=entry.stored.goal.image,
            label=f'{number}: {entry.time_s:.2f} s {entry.reason}',
        )
        for number, entry in enumerate(goals)
    ]
    rows = [panels[begin : begin + _COLUMNS] for begin in range(0, len(panels), _COLUMNS)]
    return draw_panels(rows, _SHEET_PX)


def _goals(
    picked: Sequence[SubGoal], ends: Sequence[int], recording: Recording
) -> tuple[SetGoal, ...]:
    frames = recording.frames
    begin_ns = before_ns = frames[0].stamp_ns
    goals = []
    for number, (goal, end) in enumerate(zip(picked, ends, strict=True)):
        frame = frames[goal.index]
        there_ns = max(frames[end].stamp_ns, before_ns)
        state = frame.state
        goals.append(
            SetGoal(
                stored=StoredGoal(
                    goal=Goal(
                        goal_id=f'{number:02d}_{goal.reason.replace(" ", "_")}',
                        image=frame.image,
                        gripper_closedness=None if state is None else state.gripper_closedness,
                        pose=state,
                    ),
                    stamp_ns=frame.stamp_ns,
                    camera_frame=recording.camera_frame,
                    base_frame=recording.base_frame,
                ),
                reason=goal.reason,
                time_s=(frame.stamp_ns - begin_ns) * 1e-9,
                seconds=(there_ns - before_ns) * 1e-9,
            )
        )
        before_ns = there_ns
    return tuple(goals)


def _kept(goals: tuple[SetGoal, ...], text: str) -> tuple[SetGoal, ...]:
    """Return the goals whose numbers ``text`` names; the time of those dropped goes to the next."""
    if not text.strip():
        return goals
    try:
        numbers = sorted({int(part) for part in text.replace(' ', ',').split(',') if part})
    except ValueError:
        numbers = [-1]
    if not numbers or numbers[0] < 0 or numbers[-1] >= len(goals):
        raise InvalidParameterError(
            f'--keep {text!r}; valid: numbers from 0 to {len(goals) - 1}, e.g. 0,{len(goals) - 1}.'
        )
    kept, waiting = [], 0.0
    for number, entry in enumerate(goals):
        if number in numbers:
            kept.append(
                SetGoal(
                    stored=entry.stored,
                    reason=entry.reason,
                    time_s=entry.time_s,
                    seconds=entry.seconds + waiting,
                )
            )
        waiting = 0.0 if number in numbers else waiting + entry.seconds
    return tuple(kept)


def _check_aspect(frame: Frame, like: str, what: str) -> None:
    width, _, height = like.partition('x')
    if width.isdigit() and height.isdigit() and int(width) and int(height):
        size = (int(width), int(height))
    else:
        image = read_picture(like)
        size = (image.shape[1], image.shape[0])
    own_height, own_width = frame.image.shape[:2]
    if not has_aspect_of((own_height, own_width), size[::-1]):
        raise AspectMismatchError(
            f'{what} has pictures of {own_width}x{own_height} px and the camera gives '
            f'{size[0]}x{size[1]} px; valid: whole pictures of that camera, at any scale.'
        )


def _model_settings(values: Sequence[str]) -> dict[str, object]:
    settings: dict[str, object] = {}
    for name, value in parse_values(values).items():
        prefix, _, key = name.partition('.')
        if prefix != 'world_model' or not key:
            raise InvalidParameterError(f'--set {name}; valid: world_model.NAME=VALUE.')
        settings[key] = value
    return settings


def _table(found: GoalSet) -> Table:
    table = Table('', 'time', 'since the last', 'why', 'gripper', title=f'goals of {found.source}')
    for number, entry in enumerate(found.goals):
        closedness = entry.stored.goal.gripper_closedness
        table.add_row(
            str(number),
            f'{entry.time_s:.2f} s',
            f'{entry.seconds:.2f} s',
            entry.reason,
            'unknown' if closedness is None else f'{closedness:.2f}',
        )
    return table
