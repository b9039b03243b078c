# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The moments of a bag that a planner can plan at again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from wm_planner.core.errors import DemonstrationError, InputError, RecordingError
from wm_planner.core.profile import RobotProfile
from wm_planner.core.types import ActionSpec, Goal, Image, Observation, RobotState
from wm_planner.evaluation.replay import Moment
from wm_planner.ros.bag_reader import BagReader
from wm_planner.ros.frame_source import Frame, image_of, read_recording
from wm_planner.ros.plan_record import goal_from_record, start_from_message
from wm_planner.ros.stamps import stamp_to_ns

_NO_FRAME = 'frame not in the bag'
_NO_GOAL = 'goal not in the bag'
_NO_STATE = 'robot state not in the bag'
_UNREADABLE = 'plan of another action space'


@dataclass(kw_only=True)
class RecordedRun:
    """What a bag says of its run: the planner's settings and its plans. ``plans`` in order."""

    settings: dict[str, Any] = field(default_factory=dict)
    goals: dict[str, list[tuple[int, Goal]]] = field(default_factory=dict)  # by id: log time, goal
    plans: list[tuple[int, Any, Any]] = field(default_factory=list)  # log time, start, diagnostics


def read_run(bag: BagReader, planner: str = '/wm_planner') -> RecordedRun:
    """Return settings, goals and plans of a planner node; empty where it was not recorded."""
    run = RecordedRun()
    names = {
        f'{planner}/{name}': name
        for name in ('planner_settings', 'goal_record', 'plan_start', 'plan_diagnostics')
    }
    starts: dict[tuple[int, str], tuple[int, Any]] = {}
    for topic, time_ns, message in bag.messages(names):
        name = names[topic]
        if name == 'planner_settings':
            run.settings = _settings(message.data, bag.path)
        elif name == 'goal_record':
            run.goals.setdefault(message.goal_id, []).append((time_ns, goal_from_record(message)))
        else:
            key = (stamp_to_ns(message.header.stamp), message.goal_id)
            if name == 'plan_start':
                starts[key] = (time_ns, message)
            elif key in starts:
                begun_ns, start = starts.pop(key)
                run.plans.append((begun_ns, start, message))
    return run


def run_moments(
    bag: BagReader, run: RecordedRun, profile: RobotProfile, spec: ActionSpec, *, camera: str = ''
) -> tuple[list[Moment], dict[str, int]]:
    """Return a moment for each recorded plan, and how many could not be made and why.

    Each has exactly the frames and states that the planner saw. Raises RecordingError for a bag
    without the camera.
    """
    topic = camera or profile.topics.image
    bag.require(topic, 'the camera')
    wanted = {int(stamp) for _, start, _ in run.plans for stamp in start.image_stamps}
    frames: dict[int, Image] = {}
    for _, _, message in bag.messages([topic]):
        stamp_ns = stamp_to_ns(message.header.stamp)
        if stamp_ns in wanted:
            frames[stamp_ns] = image_of(message)
    moments: list[Moment] = []
    skipped: Counter[str] = Counter()
    is_unbroken = False
    for time_ns, message, diagnostics in run.plans:
        found = _moment(time_ns, message, diagnostics, run, frames, spec, is_unbroken)
        is_unbroken = isinstance(found, Moment)
        if isinstance(found, Moment):
            moments.append(found)
        else:
            skipped[found] += 1
    return moments, dict(skipped)


def _moment(
    time_ns: int,
    message: Any,
    diagnostics: Any,
    run: RecordedRun,
    frames: dict[int, Image],
    spec: ActionSpec,
    is_unbroken: bool,
) -> Moment | str:
    """Return the moment of a plan, or why there is none."""
    if len(diagnostics.action_names) != spec.size:
        return _UNREADABLE
    start = start_from_message(message, spec.size)
    if not all(stamp in frames for stamp in start.image_stamps_ns):
        return _NO_FRAME
    goals = [goal for told_ns, goal in run.goals.get(message.goal_id, []) if told_ns <= time_ns]
    if not goals:
        return _NO_GOAL
    return Moment(
        observation=Observation(
            images=np.stack([frames[stamp] for stamp in start.image_stamps_ns]),
            image_stamps_ns=start.image_stamps_ns,
            states=start.states,
        ),
        goal=goals[-1],
        follows=is_unbroken and start.executed_steps == 1,
        start=start,
        actions=np.array(diagnostics.actions, np.float64).reshape(-1, spec.size),
        stop_reason=str(diagnostics.stop_reason),
    )


def demonstration_moments(
    path: Path,
    profile: RobotProfile,
    spec: ActionSpec,
    *,
    context_frames: int,
    camera: str = '',
    goal: Goal | None = None,
) -> tuple[list[Moment], dict[str, int]]:
    """Return the moments of a bag without plans, one a step, toward ``goal`` or its last frame.

    Frames without a robot state are left out and counted. Raises DemonstrationError where fewer
    than two moments are left.
    """
    found = read_recording(path, profile, period_s=spec.step_duration_s, camera=camera)
    known = [(frame, frame.state) for frame in found.frames if frame.state is not None]
    missing = len(found.frames) - len(known)
    if len(known) < context_frames + 1:
        raise DemonstrationError(
            f'{found.source} has {len(known)} frames {spec.step_duration_s:g} s apart with a robot '
            f'state; valid: at least {context_frames + 1}, with {profile.topics.tool_pose} and '
            f'{profile.topics.joint_states} recorded beside the camera.'
        )
    last, last_state = known[-1]
    target = goal or Goal(
        goal_id='last frame',
        image=last.image,
        gripper_closedness=last_state.gripper_closedness,
        pose=last_state,
    )
    step_ns = round(spec.step_duration_s * 1e9)
    moments = []
    for index in range(context_frames - 1, len(known)):
        context = known[index - context_frames + 1 : index + 1]
        since_ns = known[index][0].stamp_ns - known[index - 1][0].stamp_ns if index else 0
        moments.append(
            Moment(
                observation=_observation(context),
                goal=target,
                follows=bool(moments) and abs(since_ns - step_ns) <= 0.25 * step_ns,
            )
        )
    return moments, ({_NO_STATE: missing} if missing else {})


def _observation(context: list[tuple[Frame, RobotState]]) -> Observation:
    return Observation(
        images=np.stack([frame.image for frame, _ in context]),
        image_stamps_ns=tuple(frame.stamp_ns for frame, _ in context),
        states=tuple(state for _, state in context),
    )


def _settings(text: str, path: Path) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except ValueError as error:
        raise RecordingError(f'the settings in {path} are not JSON ({error}).') from error
    if not isinstance(values, dict) or not {'planner', 'model', 'values'} <= set(values):
        raise RecordingError(f'the settings in {path} name no planner and model.')
    return values


def plan_at(run: RecordedRun, at_s: float) -> int:
    """Return the index of the plan made ``at_s`` after the first, the nearest one.

    Raises InputError where the bag has no plans.
    """
    if not run.plans:
        raise InputError('the bag holds no plans; valid: one recorded beside an active planner.')
    first = run.plans[0][0]
    times = [(time_ns - first) * 1e-9 for time_ns, _, _ in run.plans]
    wanted = times[-1] if math.isinf(at_s) else at_s
    return int(np.argmin([abs(time_s - wanted) for time_s in times]))
