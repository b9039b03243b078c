# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Goals from a demonstration: what is picked, kept, written and refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner
import yaml

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('mujoco', reason='mujoco is not installed')

from wm_planner.core.errors import (
    AspectMismatchError,
    DemonstrationError,
    InvalidGoalError,
    InvalidParameterError,
    RecordingError,
    UnknownNameError,
)
from wm_planner.ros.goal_set import SET_FILE, SHEET_FILE, is_goal_set, load_goal_set
from wm_planner.ros.goal_store import GoalStore, read_picture, write_picture
from wm_planner.tools.goal_extract import extract_goals
from wm_planner_sim.demonstration import record_demonstration
from wm_planner_sim.suites import TabletopEnvironment


@pytest.fixture(scope='module')
def demonstrations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a bag of a pick and one of a push, and a video of the pick."""
    folder = tmp_path_factory.mktemp('demonstrations')
    environment = TabletopEnvironment()
    for suite in ('push_subgoals', 'pick'):
        record_demonstration(environment, suite, seed=7, episode=1, folder=folder / suite)
    images = [observation.images[-1] for observation, _ in environment.demonstration]
    environment.close()
    video = cv2.VideoWriter(
        str(folder / 'pick.avi'), cv2.VideoWriter.fourcc(*'MJPG'), 8.0, (128, 128)
    )
    for image in np.repeat(images, 2, axis=0):
        video.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    video.release()
    return folder


def extract(source: Path, out: Path, *options: str) -> str:
    from typer import Typer

    app = Typer(pretty_exceptions_enable=False)
    app.command()(extract_goals)
    arguments = [str(source), '--out', str(out), *options]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_pick_needs_where_the_gripper_moves_and_the_end(
    demonstrations: Path, tmp_path: Path
) -> None:
    extract(demonstrations / 'pick', tmp_path / 'set')
    found = load_goal_set(tmp_path / 'set')
    assert [entry.reason for entry in found.goals] == [
        'gripper moves next',
        'gripper has moved',
        'final',
    ]
    closedness = [goal.gripper_closedness for goal in found.pursued()]
    assert closedness[0] == pytest.approx(0.0, abs=0.05)
    assert all(value is not None and 0.3 < value < 0.6 for value in closedness[1:])
    poses = [goal.pose for goal in found.pursued()]
    assert poses[0] is not None and poses[2] is not None
    assert poses[2].position_m[2] > poses[0].position_m[2] + 0.1  # lifted
    assert found.steps(0.25)[0] >= 4 and min(found.steps(0.25)) >= 2
    # A goal set is a folder of goals like any other, with the camera and the time of each.
    stored = GoalStore(tmp_path / 'set').load('00_gripper_moves_next')
    assert stored.camera_frame == 'exterior_camera_optical'
    assert stored.stamp_ns > 0 and stored.base_frame == 'panda_link0'
    sheet = read_picture(tmp_path / 'set' / 'contact_sheet.png')
    assert sheet.shape[1] == 3 * 163 + 3


def test_push_needs_where_the_way_turns(demonstrations: Path, tmp_path: Path) -> None:
    extract(demonstrations / 'push_subgoals', tmp_path / 'set')
    found = load_goal_set(tmp_path / 'set')
    assert 2 <= len(found.goals) <= 5
    assert {entry.reason for entry in found.goals[:-1]} == {'turn'}
    heights = [goal.pose.position_m[2] for goal in found.pursued() if goal.pose]
    assert heights[-2] < 0.06  # behind the block, before it is pushed


def test_video_has_no_states_and_its_goals_no_gripper(demonstrations: Path, tmp_path: Path) -> None:
    output = extract(demonstrations / 'pick.avi', tmp_path / 'set')
    assert 'the aspect of the pictures is not checked' in output
    found = load_goal_set(tmp_path / 'set')
    assert found.goals[-1].reason == 'final'
    assert {goal.gripper_closedness for goal in found.pursued()} == {None}


def test_what_is_not_kept_is_dropped_and_its_time_goes_to_the_next(
    demonstrations: Path, tmp_path: Path
) -> None:
    extract(demonstrations / 'pick', tmp_path / 'all')
    extract(demonstrations / 'pick', tmp_path / 'some', '--keep', '0,2')
    both = [load_goal_set(tmp_path / name) for name in ('all', 'some')]
    seconds = [[entry.seconds for entry in found.goals] for found in both]
    assert len(seconds[1]) == 2
    assert seconds[1] == pytest.approx([seconds[0][0], seconds[0][1] + seconds[0][2]], abs=2e-3)
    with pytest.raises(InvalidParameterError, match='numbers from 0 to 2'):
        extract(demonstrations / 'pick', tmp_path / 'none', '--keep', '7')
    with pytest.raises(InvalidParameterError, match='numbers from 0 to 2'):
        extract(demonstrations / 'pick', tmp_path / 'none', '--keep', 'all')


def test_sets_are_not_overwritten_unasked_and_can_be_edited(
    demonstrations: Path, tmp_path: Path
) -> None:
    folder = tmp_path / 'set'
    extract(demonstrations / 'pick', folder)
    sheet = (folder / SHEET_FILE).read_bytes()
    with pytest.raises(InvalidGoalError, match='--overwrite'):
        extract(demonstrations / 'push_subgoals', folder)
    assert (folder / SHEET_FILE).read_bytes() == sheet, 'it still shows the set'
    extract(demonstrations / 'pick', folder, '--overwrite')
    content = yaml.safe_load((folder / SET_FILE).read_text())
    del content['goals'][1]
    (folder / SET_FILE).write_text(yaml.safe_dump(content))
    assert is_goal_set(folder) and len(load_goal_set(folder).goals) == 2
    (folder / SET_FILE).write_text('goals: [{goal: 00_none}]')
    with pytest.raises(UnknownNameError, match='00_none'):
        load_goal_set(folder)
    (folder / SET_FILE).write_text('goals: []')
    with pytest.raises(InvalidGoalError, match='lists no goals'):
        load_goal_set(folder)


def test_bad_demonstrations_are_refused_by_number(demonstrations: Path, tmp_path: Path) -> None:
    out = tmp_path / 'set'
    with pytest.raises(RecordingError, match=r'has no /camera/none'):
        extract(demonstrations / 'pick', out, '--camera', '/camera/none')
    with pytest.raises(AspectMismatchError, match='128x128 px and the camera gives 640x480 px'):
        extract(demonstrations / 'pick.avi', out, '--like', '640x480')
    picture = GoalStore(tmp_path).folder / 'wide.png'
    write_picture(picture, np.zeros((60, 120, 3), np.uint8))
    with pytest.raises(AspectMismatchError, match='gives 120x60 px'):
        extract(demonstrations / 'pick', out, '--like', str(picture))
    still = tmp_path / 'still'
    still.mkdir()
    environment = TabletopEnvironment()
    image = environment.reset('reach', seed=0, episode=0).observation.images[-1]
    environment.close()
    for number in range(6):
        write_picture(still / f'{number}.png', image)
    with pytest.raises(DemonstrationError, match='nothing moves'):
        extract(still, out)
    assert [error.code for error in (RecordingError(), DemonstrationError())] == [110, 111]
    assert not is_goal_set(out)
