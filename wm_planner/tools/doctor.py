# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""``wm_planner doctor``: what is wrong with a set-up, in plain words, before the arm moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from rich.console import Console
from rich.table import Table
import typer

from wm_planner.core.errors import WmPlannerError
from wm_planner.core.paths import robot_profile_file
from wm_planner.core.profile import RobotProfile
from wm_planner.core.types import Image, RobotState
from wm_planner.evaluation.doctor.findings import (
    Check,
    Finding,
    Severity,
    error,
    exit_code,
    skipped,
)
from wm_planner.evaluation.doctor.motion_checks import check_driver, check_gripper
from wm_planner.evaluation.doctor.picture_checks import (
    check_crop,
    check_goal,
    check_orientation,
)
from wm_planner.evaluation.doctor.planning_checks import check_checkpoint, check_plan_time
from wm_planner.evaluation.doctor.samples import GripperSample, MoveSample, SetupSample
from wm_planner.evaluation.doctor.stream_checks import (
    check_camera,
    check_encoding,
    check_frames,
    check_stamps,
    check_topics,
    check_units,
)
from wm_planner.evaluation.settings import PlannerChoice, parse_values

_COLOURS = {
    Severity.OK: 'green',
    Severity.SKIPPED: 'dim',
    Severity.WARNING: 'yellow',
    Severity.ERROR: 'bold red',
}
_MOVE_M = 0.03


@dataclass(frozen=True, kw_only=True)
class DoctorRequest:
    """What to look at."""

    robot: str = 'panda_sim'
    goal: str = ''
    choice: PlannerChoice = PlannerChoice()
    device: str = 'auto'
    seconds: float = 3.0
    is_moving: bool = False
    preview: str = ''
    goals_dir: Path = Path('goals')


def doctor(
    robot: Annotated[str, typer.Option(help='Robot profile: a name, or a .yaml file.')] = (
        'panda_sim'
    ),
    goal: Annotated[
        str, typer.Option(metavar='IMAGE|NAME', help='A goal: picture file or captured goal.')
    ] = '',
    model: Annotated[str, typer.Option(help='World model to plan with.')] = 'tabletop',
    checkpoint: Annotated[str, typer.Option(help="The world model's weights file.")] = '',
    planner: Annotated[str, typer.Option(help='Planner: cem, icem or mppi.')] = 'cem',
    preset: Annotated[str, typer.Option(help='Named set of planning settings.')] = '',
    settings: Annotated[
        list[str] | None, typer.Option('--set', help='Setting NAME=VALUE, as for evaluate.')
    ] = None,
    device: Annotated[str, typer.Option(help='Device to plan on: auto, cpu or cuda.')] = 'auto',
    seconds: Annotated[
        float, typer.Option(min=0.5, max=600.0, help='How long to listen to the streams [s].')
    ] = 3.0,
    move: Annotated[
        bool,
        typer.Option(
            '--move',
            help='Also move: 3 cm along each axis and back, and the gripper, through the planner '
            "node's safety filter.",
        ),
    ] = False,
    preview: Annotated[
        str, typer.Option(help='Where to write what the model sees of the picture (PNG).')
    ] = 'doctor_preview.png',
    goals_dir: Annotated[Path, typer.Option('--dir', help='Folder of the captured goals.')] = Path(
        'goals'
    ),
    json_file: Annotated[
        Path | None, typer.Option('--json', help='Also write the findings as JSON.')
    ] = None,
) -> None:
    """Examine a running set-up; nothing moves without --move.

    Exit status: 0 all is well, 1 there are warnings, 2 there are errors.
    """
    values = parse_values(settings or [])
    if checkpoint:
        values['world_model.weights'] = checkpoint
    request = DoctorRequest(
        robot=robot,
        goal=goal,
        choice=PlannerChoice(planner=planner, model=model, preset=preset, values=values),
        device=device,
        seconds=seconds,
        is_moving=move,
        preview=preview,
        goals_dir=goals_dir,
    )
    findings = examine(request)
    code = exit_code(findings)
    Console().print(findings_table(findings))
    if json_file is not None:
        content = {'exit_code': code, 'robot': robot, 'findings': [f.to_dict() for f in findings]}
        json_file.write_text(json.dumps(content, indent=2) + '\n')
    if code:
        raise typer.Exit(code)


def examine(request: DoctorRequest) -> list[Finding]:
    """Return the findings of all checks, by their number. Needs a ROS graph and no node.

    Raises InputError for a robot, goal or planner that does not exist.
    """
    from wm_planner.ros.doctor_sampler import DoctorSampler
    from wm_planner.ros.goal_store import GoalStore
    from wm_planner.tools.goal import find_goal

    profile = RobotProfile.from_yaml(robot_profile_file(request.robot))
    picture = find_goal(request.goal, GoalStore(request.goals_dir)).image if request.goal else None
    with DoctorSampler(profile) as sampler:
        setup = sampler.sample(request.seconds)
    findings = stream_findings(setup, profile)
    if request.is_moving and exit_code(findings) == 2:
        request = replace(request, is_moving=False)  # nobody moves what is not understood
        findings.append(skipped(Check.DRIVER, 'nothing was moved: there are errors above'))
    findings += planning_findings(request, setup, picture)
    findings += motion_findings(request, setup, profile, picture)
    return sorted(findings, key=lambda finding: finding.check.number)


def stream_findings(setup: SetupSample, profile: RobotProfile) -> list[Finding]:
    """Return what the streams alone tell: checks 1 to 6."""
    return [
        *check_topics(setup),
        *check_stamps(setup),
        *check_encoding(setup.image),
        *check_camera(setup),
        *check_units(setup),
        *check_frames(setup, profile),
    ]


def planning_findings(
    request: DoctorRequest, setup: SetupSample, goal: Image | None
) -> list[Finding]:
    """Return what the model makes of it: checks 8 to 11."""
    from wm_planner.evaluation.doctor.model_probe import (
        choose_device,
        model_input,
        probe_checkpoint,
        try_plans,
    )
    from wm_planner.evaluation.threads import planning_threads

    live = setup.image.frames[-1] if setup.image.frames else None
    findings: list[Finding] = []
    device = choose_device(request.device)
    checkpoint, model = probe_checkpoint(request.choice, device)
    findings += check_checkpoint(checkpoint)
    if live is not None:
        try:
            seen = model_input(request.choice, live)
            findings += check_crop(live, seen, _write_preview(request.preview, seen.preview(live)))
        except WmPlannerError:  # no card, no size: check 10 has said so
            findings.append(skipped(Check.CROP, 'unknown without the weights'))
    trial = None
    if model is not None and live is not None:
        try:
            with planning_threads():  # as many as the planner node takes
                trial = try_plans(request.choice, model, live, goal, _state(setup), device)
        except WmPlannerError as problem:
            findings.append(error(Check.PLAN_TIME, f'no plan: {problem}', 'see the error number.'))
    if not any(finding.check is Check.PLAN_TIME for finding in findings):
        findings += check_plan_time(trial.time if trial else None)
    energies = {'energy': trial.goal_energy, 'tolerance': trial.goal_tolerance} if trial else {}
    return [*findings, *check_goal(live, goal, **energies)]


def motion_findings(
    request: DoctorRequest, setup: SetupSample, profile: RobotProfile, goal: Image | None
) -> list[Finding]:
    """Return what moving tells, where it is asked for: checks 7, 12 and 13."""
    moves: Sequence[MoveSample] = ()
    changes: Sequence[GripperSample] = ()
    findings: list[Finding] = []
    # Nobody is moved into who knows what: an arm that is commanded by others, or not listening.
    if request.is_moving and setup.commands.listeners and not setup.commands.senders:
        from wm_planner.policies.calibration_moves import AXES, AXES_STEPS
        from wm_planner.tools.arm_moves import MoveRequest, make_moves

        try:
            moments = make_moves(
                MoveRequest(
                    robot=request.robot,
                    steps=AXES_STEPS,
                    parameters={'script': AXES, 'move_m': _MOVE_M, 'step_duration_s': 0.5},
                    is_simulated=setup.is_simulated,
                )
            )
            moves, changes = samples_from_moments(moments)
        except WmPlannerError as problem:
            findings.append(
                error(Check.DRIVER, f'the moves were not made: {problem}', 'see the error number.')
            )
    live = setup.image.frames[-1] if setup.image.frames else None
    if not findings:
        findings += check_driver(setup.commands, moves, is_moving=request.is_moving)
    findings += check_gripper(setup.gripper, profile, changes)
    return [*findings, *check_orientation(live, goal, moves)]


def samples_from_moments(moments: Sequence[Any]) -> tuple[list[MoveSample], list[GripperSample]]:
    """Return the moves and the gripper changes between the moments of the script ``axes``."""
    moves, changes = [], []
    told: float | None = None  # what the gripper was told before
    for before, after in zip(moments, moments[1:], strict=False):
        if not after.follows:  # two moves and what was asked for in one of them
            told = None
            continue
        first, second = before.observation, after.observation
        if float(np.linalg.norm(before.asked_m)) > 1e-6:
            moves.append(
                MoveSample(
                    commanded_m=before.asked_m,
                    done_m=second.state.position_m - first.state.position_m,
                    before=first.images[-1],
                    after=second.images[-1],
                )
            )
        asked = before.asked_closedness
        if asked is not None and told is not None and abs(asked - told) > 0.2:
            changes.append(
                GripperSample(
                    commanded_before=told,
                    commanded_after=asked,
                    measured_before=first.state.gripper_closedness,
                    measured_after=second.state.gripper_closedness,
                )
            )
        told = asked
    return moves, changes


def findings_table(findings: Sequence[Finding]) -> Table:
    """Return the findings as a table for a terminal."""
    table = Table('', 'check', 'verdict', 'what to do', show_lines=False)
    for finding in findings:
        colour = _COLOURS[finding.severity]
        table.add_row(
            str(finding.check.number),
            f'{finding.check.title}\n[{colour}]{finding.severity.value}[/]',
            finding.sentence,
            finding.advice,
        )
    return table


def _state(setup: SetupSample) -> RobotState:
    """Return a robot state to time plans with: the measured one where it can be used."""
    pose = setup.pose
    fallback = RobotState(
        stamp_ns=1,
        position_m=np.array([0.45, 0.0, 0.3]),
        quaternion_xyzw=np.array([1.0, 0.0, 0.0, 0.0]),
        gripper_closedness=0.0,
    )
    if len(pose.positions) == 0:
        return fallback
    try:
        return replace(
            fallback, position_m=pose.positions[-1], quaternion_xyzw=pose.quaternions[-1]
        )
    except WmPlannerError:  # check 5 has said so
        return fallback


def _write_preview(file: str, picture: Image) -> str:
    """Write the preview; return the file's name, or '' where there is none."""
    if not file:
        return ''
    from wm_planner.ros.goal_store import write_picture

    try:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        write_picture(file, picture)
    except OSError:
        return ''
    return file
