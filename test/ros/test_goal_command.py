# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""``wm_planner goal set`` and ``capture`` against a live planner node, and against none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')

from fakes.planner_harness import QUICK, PlannerHarness  # noqa: E402
from wm_planner.ros.goal_set import GoalSet, SetGoal, save_goal_set  # noqa: E402
from wm_planner.ros.goal_store import GoalStore, StoredGoal, write_picture  # noqa: E402
from wm_planner.tools.cli import main  # noqa: E402
from wm_planner_msgs.msg import PlannerStatus  # noqa: E402


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('goals')


@pytest.fixture(scope='module')
def harness(folder: Path) -> Iterator[PlannerHarness]:
    with PlannerHarness({**QUICK, 'goals_dir': str(folder)}) as found:
        yield found


def test_no_planner_is_answered_with_how_to_start_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_picture(tmp_path / 'goal.png', np.full((32, 32, 3), 7, np.uint8))
    arguments = ['goal', 'set', str(tmp_path / 'goal.png'), '--timeout', '0.3']
    assert main([*arguments, '--node', '/nobody']) == 1
    sentence = capsys.readouterr().err
    assert 'node /nobody was not found' in sentence
    assert 'wm_planner up sim' in sentence


def test_captured_goal_is_set_with_its_gripper_state_and_reached(
    harness: PlannerHarness, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['goal', 'capture', 'here']) == 0
    stored = GoalStore(folder).load('here')
    assert stored.goal.pose is not None and stored.goal.gripper_closedness is not None
    assert str(folder) in capsys.readouterr().out

    assert main(['goal', 'set', 'here', '--dir', str(folder), '--enable']) == 0
    assert "pursues goal 'here'" in capsys.readouterr().out
    harness.wait_for_status(
        lambda s: s.state == PlannerStatus.REACHED and s.goal_id == 'here', 'the goal is reached'
    )


def test_goal_without_enable_says_what_is_missing(
    harness: PlannerHarness, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    harness.client.enable(False)
    path = folder.parent / 'there.png'
    write_picture(path, harness.goal([0.45, 0.1, 0.3]).image)
    assert main(['goal', 'set', str(path), '--gripper', '0']) == 0
    assert 'pass --enable' in capsys.readouterr().out
    status = harness.wait_for_status(lambda s: True, 'a status')
    assert status.state == PlannerStatus.DISABLED


def test_goal_that_is_only_checked_leaves_the_goal_in_force(
    harness: PlannerHarness, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder.parent / 'checked.png'
    write_picture(path, harness.goal([0.5, -0.1, 0.3]).image)
    assert main(['goal', 'set', str(path), '--no-start']) == 0
    assert 'not being pursued' in capsys.readouterr().out
    assert harness.wait_for_status(lambda s: True, 'a status').goal_id != 'checked'


def test_picture_that_the_planner_refuses_is_answered_with_its_error(
    harness: PlannerHarness, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder.parent / 'wide.png'
    write_picture(path, harness.goal([0.5, 0.0, 0.3]).image[:64])
    assert main(['goal', 'set', str(path)]) == 2
    assert '[102]' in capsys.readouterr().err


def test_captured_goal_is_not_replaced_unless_asked_for(
    harness: PlannerHarness, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['goal', 'capture', 'twice']) == 0
    assert main(['goal', 'capture', 'twice']) == 2
    assert 'exists' in capsys.readouterr().err
    assert main(['goal', 'capture', 'twice', '--overwrite']) == 0


def save_turns(harness: PlannerHarness, folder: Path) -> np.ndarray:
    """Save a set of two goals inside the workspace; return where the tool is in the last."""
    place = np.array(harness.robot.position_m)
    inwards = -0.05 if place[0] > 0.5 else 0.05
    ways = [place + [0.0, 0.0, -0.05], place + [inwards, 0.0, -0.05]]
    goals = tuple(
        SetGoal(
            stored=StoredGoal(goal=harness.goal(way, 0.0, name=f'{number:02d}_turn')),
            reason='turn',
            time_s=float(number),
            seconds=4.0,
        )
        for number, way in enumerate(ways)
    )
    save_goal_set(folder, GoalSet(source='test', goals=goals))
    return ways[1]


@pytest.mark.parametrize('way', [('--until-reached',), ('--chain', 'progress')])
def test_goals_of_a_set_are_pursued_in_order(
    harness: PlannerHarness,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    way: tuple[str, ...],
) -> None:
    end_m = save_turns(harness, tmp_path / 'set')
    assert main(['goal', 'set', str(tmp_path / 'set'), '--enable', *way]) == 0
    told = capsys.readouterr().out
    assert 'goal 1 of 2: 00_turn' in told and 'goal 2 of 2: 01_turn' in told
    assert 'the last goal is reached' in told
    assert np.linalg.norm(np.array(harness.robot.position_m) - end_m) < 0.03
    decisions = [line.split()[1] for line in told.splitlines() if line.startswith('  ')]
    assert decisions[-1:] == (['reached:'] if 'progress' in way else [])


def test_chain_of_an_unknown_kind_is_answered_with_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(['goal', 'set', 'here', '--chain', 'hope']) == 2
    assert 'progress, schedule' in capsys.readouterr().err


def test_set_that_is_not_finished_in_the_time_of_its_demonstration_fails(
    harness: PlannerHarness, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = np.array(harness.robot.position_m)
    far = harness.goal(place + [-0.05, 0.18, -0.1], 0.0, name='00_final')
    entry = SetGoal(stored=StoredGoal(goal=far), reason='final', time_s=0.1, seconds=0.01)
    save_goal_set(tmp_path / 'set', GoalSet(source='test', goals=(entry,)))
    assert main(['goal', 'set', str(tmp_path / 'set'), '--enable', '--step-s', '0.1']) == 1
    assert 'the steps of the last goal are used up' in capsys.readouterr().out
