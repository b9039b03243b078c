# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""``wm_planner goal``: which goal a word means, and the list of those on disk; no ROS."""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys

import numpy as np
import pytest

from fakes.values import a_goal, a_state, an_image
from wm_planner.core.errors import InvalidImageError, UnknownNameError
from wm_planner.ros.goal_store import GoalStore, StoredGoal, write_picture
from wm_planner.tools.cli import main
from wm_planner.tools.goal import find_goal


@pytest.fixture
def store(tmp_path: Path) -> GoalStore:
    """Return a store with one goal, taken with the gripper nearly closed."""
    store = GoalStore(tmp_path / 'goals')
    goal = a_goal('above_red', an_image(50), gripper_closedness=0.75, pose=a_state((0.5, 0.1, 0.2)))
    store.save(StoredGoal(goal=goal, camera_frame='exterior', base_frame='base'))
    return store


def test_name_stands_for_the_captured_goal_with_its_gripper_state(store: GoalStore) -> None:
    goal = find_goal('above_red', store)
    assert (goal.goal_id, goal.gripper_closedness) == ('above_red', 0.75)


def test_file_stands_for_a_bare_picture_named_after_it(store: GoalStore, tmp_path: Path) -> None:
    write_picture(tmp_path / 'mug.png', an_image(80))
    goal = find_goal(str(tmp_path / 'mug.png'), store)
    assert (goal.goal_id, goal.gripper_closedness) == ('mug', None)
    np.testing.assert_array_equal(goal.image, an_image(80))


def test_unknown_name_is_answered_with_the_goals_there_are(store: GoalStore) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'above_red'"):
        find_goal('above_read', store)


@pytest.mark.parametrize('text', ['mug.png', 'some/where', '../mug.jpg'])
def test_missing_file_is_not_taken_for_a_name(store: GoalStore, text: str) -> None:
    with pytest.raises(InvalidImageError, match='does not exist.*above_red'):
        find_goal(text, store)


def test_file_that_is_no_picture_is_refused(store: GoalStore, tmp_path: Path) -> None:
    (tmp_path / 'text.png').write_text('not a picture')
    with pytest.raises(InvalidImageError, match='is not a picture'):
        find_goal(str(tmp_path / 'text.png'), store)


def test_list_shows_what_is_known_of_each_goal(
    store: GoalStore, capsys: pytest.CaptureFixture[str]
) -> None:
    (store.folder / 'broken').mkdir()
    (store.folder / 'broken' / 'image.png').write_text('not a picture')
    assert main(['goal', 'list', '--dir', str(store.folder)]) == 0
    printed = capsys.readouterr().out
    for expected in ('above_red', '32 x 32', '0.75', '0.500, 0.100, 0.200', 'broken', 'cannot be'):
        assert expected in printed


def test_empty_list_says_how_to_capture_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['goal', 'list', '--dir', str(tmp_path)]) == 0
    assert 'wm_planner goal capture NAME' in capsys.readouterr().err


def test_list_needs_no_ros(store: GoalStore) -> None:
    program = (
        'import sys; from wm_planner.tools.cli import main; '
        f'status = main(["goal", "list", "--dir", {str(store.folder)!r}]); '
        'sys.exit(status or "rclpy" in sys.modules)'
    )
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_capture_refuses_a_name_that_cannot_be_a_folder(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(['goal', 'capture', '../away']) == 2
    assert 'letters, digits' in capsys.readouterr().err
