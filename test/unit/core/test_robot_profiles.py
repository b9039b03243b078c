# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The robot profiles that ship, and what a wrong one is told."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from wm_planner.core.errors import InvalidParameterError
from wm_planner.core.paths import robot_profile_file, share_folder
from wm_planner.core.profile import RobotProfile

FILES = sorted((share_folder() / 'config' / 'robots').glob('*.yaml'))
SHIPPED = {file.stem for file in FILES}


def test_the_robots_people_have_are_there() -> None:
    assert {'franka_fr3_crisp', 'franka_fr3_jtc', 'ur5e_servo', 'panda_sim'} <= SHIPPED


@pytest.mark.parametrize('file', FILES, ids=lambda f: f.stem)
def test_profile_that_ships_is_complete(file: Path) -> None:
    profile = RobotProfile.from_yaml(file)
    assert profile.name == file.stem
    assert profile.arm_joint_names and profile.gripper_joint_names
    assert profile.topics.image.startswith('/')
    is_real = not profile.name.startswith('panda')
    assert not is_real or profile.max_speed_m_s <= 0.25, 'a first motion is slow'


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        ({'sinc': 'crisp'}, 'unknown parameter sinc .*valid: name, '),
        ({'state_source': 'gps'}, 'valid: one of topic, tf, joints'),
        ({'joint_limits': {'low_rad': [0.0]}}, 'one for each of the 7 arm_joint_names'),
        ({'joint_limits': {'low_rad': [1.0] * 7, 'high_rad': [0.0] * 7}}, 'low < high'),
        ({'kinematics': {'tool_offset_xyzw': [0, 0, 0, 2]}}, 'norm 2'),
        ({'kinematics': {'tool_offset_m': [0, 0]}}, 'three numbers'),
        ({'gripper_settings': {'command_range': [1.0, 1.0]}}, 'two different numbers'),
        ({'servo': {'trajectory_s': 9.0}}, r'in \[0.02, 1\]'),
    ],
)
def test_wrong_value_names_the_file_and_what_is_valid(
    tmp_path: Path, change: dict[str, object], sentence: str
) -> None:
    values = yaml.safe_load(robot_profile_file('panda_sim').read_text())
    path = tmp_path / 'mine.yaml'
    path.write_text(yaml.safe_dump({**values, **change}))
    with pytest.raises(InvalidParameterError, match=sentence) as caught:
        RobotProfile.from_yaml(path)
    assert 'mine.yaml' in caught.value.message
