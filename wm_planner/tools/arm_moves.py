# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Small scripted moves of a live arm, through a planner node of their own and its safety filter.

`wm_planner calibrate --move` and `wm_planner doctor --move` move an arm in this one way: a planner
node is started with the policy ``calibration_moves``, told to take so many steps, and stopped, upon
which it holds. Nothing is published to the arm from here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
import os

from wm_planner.bringup import ParameterValue, profile
from wm_planner.core.errors import ArmInUseError, CommandIgnoredError, DriverError, NoDataError
from wm_planner.core.paths import robot_profile_file
from wm_planner.core.profile import RobotProfile
from wm_planner.core.types import Goal
from wm_planner.ros.client import PlannerClient
from wm_planner.ros.doctor_sampler import DoctorSampler
from wm_planner.ros.move_recorder import Moment, MoveRecorder
from wm_planner.tools.process_group import ProcessGroup
from wm_planner_msgs.action import ReachGoal

POLICY = 'calibration_moves'
_READY_TIMEOUT_S = 120.0
_DATA_TIMEOUT_S = 10.0
_S_PER_STEP = 12.0
_SETTLED: Mapping[str, ParameterValue] = {
    'executor.settle_s': 1.0,
    'executor.arrival_tolerance_m': 0.002,
    'executor.arrival_tolerance_rad': 0.01,
    'num_threads': 1,
}


@dataclass(frozen=True, kw_only=True)
class MoveRequest:
    """What to do with which arm; ``parameters`` are those of the policy, by name."""

    robot: str
    steps: int
    parameters: Mapping[str, ParameterValue]
    is_simulated: bool = False
    frames: int = 1
    step_s: float = 0.25


def make_moves(request: MoveRequest) -> list[Moment]:
    """Move the arm and return the moments at rest around each of ``request.steps`` moves.

    Raises ArmInUseError where somebody else commands the arm, CommandIgnoredError where the moves
    did not end as they should, and what the planner node answers.
    """
    robot = RobotProfile.from_yaml(robot_profile_file(request.robot))
    check_arm_is_free(robot)
    with _planner_node(request) as group, _Client(group) as client:
        recorder = MoveRecorder(robot, frames=request.frames, step_s=request.step_s)
        recorder.listen(client)
        client.wait_until_active(_READY_TIMEOUT_S)
        return drive(client, recorder, request.steps)


def drive(client: PlannerClient, recorder: MoveRecorder, steps: int) -> list[Moment]:
    """Let an active planner node with the policy take ``steps`` moves; see ``make_moves``."""
    client.wait_for_data(_DATA_TIMEOUT_S)
    client.spin_until(
        lambda: recorder.latest_image is not None,
        lambda: NoDataError('the planner node has pictures, and none came here.'),
        _DATA_TIMEOUT_S,
    )
    picture = recorder.latest_image
    assert picture is not None
    client.enable(True)
    try:
        # One step more than there are moves: its observation is the one after the last.
        result = client.reach_goal(
            [Goal(goal_id='moves', image=picture)],
            steps_per_goal=[steps + 1],
            tolerance=-1.0,
            max_duration_s=steps * _S_PER_STEP,
            timeout_s=2.0 * steps * _S_PER_STEP,
        )
    finally:
        client.enable(False)
    if result.termination != ReachGoal.Result.TIMEOUT or result.error_code:
        raise CommandIgnoredError(
            f'the moves ended after {len(recorder.moments)} of {steps}: [{result.error_code}] '
            f'{result.message or "no reason given"}'
        )
    return recorder.moments[: steps + 1]


def check_arm_is_free(robot: RobotProfile) -> None:
    """Raise ArmInUseError if somebody publishes to the command topic."""
    with DoctorSampler(robot, name='wm_planner_arm_check') as sampler:
        sampler.sample(0.5)
        commands = sampler.commands()
    if commands.senders:
        raise ArmInUseError(
            f'{", ".join(commands.senders)} publishes {commands.topic}; valid: nobody. Stop it: '
            'the moves are made by a planner node that is started for them.'
        )


@contextmanager
def _planner_node(request: MoveRequest) -> Iterator[ProcessGroup]:
    """Run the planner node with the policy in the graph of this process."""
    chosen = profile('planner')
    parameters: dict[str, ParameterValue] = {
        **_SETTLED,
        **{f'planning.{name}': value for name, value in request.parameters.items()},
        'use_sim_time': request.is_simulated,
    }
    nodes = chosen.resolve({'robot': request.robot, 'planner': POLICY})
    nodes = tuple(
        replace(node, parameters={**node.parameters, **parameters})
        for node in nodes
        if node.name == 'wm_planner'
    )
    group = ProcessGroup(
        nodes, environment=chosen.missing_environment(), on_line=lambda name, line: None
    )
    os.environ.update(chosen.missing_environment())
    with group:
        yield group


class _Client(PlannerClient):
    """A client none of whose waits outlives the node that it waits for."""

    def __init__(self, group: ProcessGroup) -> None:
        self._group = group
        super().__init__(name='wm_planner_moves', timeout_s=15.0)

    def spin_once(self, timeout_s: float = 0.05) -> None:
        ended = self._group.ended()
        if ended is not None:
            words = '\n'.join(ended.tail[-8:])
            raise DriverError(f'{ended.reason}. Its last lines:\n{words}')
        super().spin_once(timeout_s)
