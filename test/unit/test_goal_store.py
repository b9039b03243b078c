# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Goals on disk: round trip, names, atomic writing, and folders that somebody else made."""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys

import numpy as np
import pytest
import yaml

pytest.importorskip('cv2', reason='OpenCV is not installed')

from wm_planner.core.errors import InvalidGoalError, InvalidImageError, UnknownNameError
from wm_planner.core.types import Goal, RobotState
from wm_planner.ros import goal_store
from wm_planner.ros.goal_store import GoalStore, StoredGoal, read_picture, write_picture


def stored(name: str = 'above_cup', **changes: object) -> StoredGoal:
    image = np.random.default_rng(3).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    pose = RobotState(
        stamp_ns=12,
        position_m=[0.5, 0.1, 0.2],
        quaternion_xyzw=[1, 0, 0, 0],
        gripper_closedness=0.4,
    )
    values = {'goal_id': name, 'image': image, 'gripper_closedness': 0.25, 'pose': pose, **changes}
    goal = Goal(**values)
    return StoredGoal(goal=goal, stamp_ns=34, camera_frame='camera', base_frame='base')


def test_goal_survives_the_round_trip(tmp_path: Path) -> None:
    store = GoalStore(tmp_path / 'new' / 'goals')
    wanted = stored()
    folder = store.save(wanted)
    assert folder == tmp_path / 'new' / 'goals' / 'above_cup'
    found = store.load('above_cup')
    assert (found.stamp_ns, found.camera_frame, found.base_frame) == (34, 'camera', 'base')
    assert found.goal.goal_id == 'above_cup' and found.goal.gripper_closedness == 0.25
    np.testing.assert_array_equal(found.goal.image, wanted.goal.image)
    pose, wanted_pose = found.goal.pose, wanted.goal.pose
    assert pose is not None and wanted_pose is not None
    assert pose.stamp_ns == 12 and pose.gripper_closedness == 0.4
    np.testing.assert_array_equal(pose.as_vector(), wanted_pose.as_vector())


def test_goal_survives_the_round_trip_when_only_the_picture_is_known(tmp_path: Path) -> None:
    store = GoalStore(tmp_path)
    store.save(stored(gripper_closedness=None, pose=None))
    goal = store.load('above_cup').goal
    assert goal.gripper_closedness is None and goal.pose is None


def test_details_say_size_and_state_in_plain_yaml(tmp_path: Path) -> None:
    GoalStore(tmp_path).save(stored())
    details = yaml.safe_load((tmp_path / 'above_cup' / 'goal.yaml').read_text())
    assert (details['width'], details['height']) == (30, 20)
    assert details['pose']['position_m'] == [0.5, 0.1, 0.2]
    assert details['gripper_closedness'] == 0.25


def test_bare_picture_in_a_folder_is_a_goal(tmp_path: Path) -> None:
    (tmp_path / 'mine').mkdir()
    write_picture(tmp_path / 'mine' / 'image.png', stored().goal.image)
    assert GoalStore(tmp_path).names() == ('mine',)
    assert GoalStore(tmp_path).load('mine').goal.gripper_closedness is None


def test_goal_is_replaced_only_when_told_to(tmp_path: Path) -> None:
    store = GoalStore(tmp_path)
    store.save(stored())
    with pytest.raises(InvalidGoalError, match="'above_cup' exists.*overwrite"):
        store.save(stored(gripper_closedness=0.75))
    assert store.load('above_cup').goal.gripper_closedness == 0.25
    store.save(stored(gripper_closedness=0.75), overwrite=True)
    assert store.load('above_cup').goal.gripper_closedness == 0.75


@pytest.mark.parametrize('name', ['', '.', '..', '../up', 'a/b', '.hidden', 'a b', 'x' * 101, 'ö'])
def test_name_is_refused_when_it_could_leave_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidGoalError, match='valid: 1 to 100 letters'):
        GoalStore(tmp_path).save(stored(name))
    with pytest.raises(UnknownNameError):
        GoalStore(tmp_path).load(name)


def test_unknown_goal_names_the_goals_there_are(tmp_path: Path) -> None:
    store = GoalStore(tmp_path)
    store.save(stored('left'))
    store.save(stored('right'))
    with pytest.raises(UnknownNameError, match="Did you mean 'right'.*left, right"):
        store.load('rigth')


def test_goal_is_refused_when_its_files_are_damaged(tmp_path: Path) -> None:
    store = GoalStore(tmp_path)
    folder = store.save(stored())
    for text in ('pose: {position_m: [1]}', '- a list', 'pose: [', 'gripper_closedness: shut'):
        (folder / 'goal.yaml').write_text(text)
        with pytest.raises(InvalidGoalError, match='goal.yaml cannot be read'):
            store.load('above_cup')
    (folder / 'image.png').write_bytes(b'no picture')
    with pytest.raises(InvalidImageError, match='is not a picture; valid'):
        store.load('above_cup')


def test_nothing_is_left_behind_when_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = GoalStore(tmp_path)
    store.save(stored())

    def fail(*_: object) -> None:
        raise OSError('disk full')

    monkeypatch.setattr(goal_store, 'write_picture', fail)
    with pytest.raises(InvalidGoalError, match='disk full'):
        store.save(stored(gripper_closedness=0.5), overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ['above_cup'], 'no half goal, no scratch'
    assert store.load('above_cup').goal.gripper_closedness == 0.25


def test_goal_is_refused_when_the_folder_is_a_file(tmp_path: Path) -> None:
    (tmp_path / 'goals').write_text('in the way')
    with pytest.raises(InvalidGoalError, match='cannot be written'):
        GoalStore(tmp_path / 'goals').save(stored())


def test_missing_picture_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidImageError, match='does not exist'):
        read_picture(tmp_path / 'nothing.png')


def test_goal_store_needs_no_ros() -> None:
    code = 'import sys, wm_planner.ros.goal_store; assert "rclpy" not in sys.modules'
    subprocess.run([sys.executable, '-c', code], check=True, timeout=60)
