# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from wm_planner.core.errors import RobotDescriptionError
from wm_planner.kinematics.description import (
    RobotDescription,
    check_description,
    read_description,
)

URDF = '<?xml version="1.0"?><robot name="arm"><link name="base"/></robot>'


def test_file_wheel_and_package_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share = tmp_path / 'share' / 'arm_description' / 'urdf'
    share.mkdir(parents=True)
    (share / 'arm.urdf').write_text(URDF)
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    for source in (str(share / 'arm.urdf'), 'package://arm_description/urdf/arm.urdf'):
        found = read_description(source)
        assert found.is_urdf and found.text == URDF and found.origin == source
    assert read_description('wheel://dm-robotics-panda/panda.xml').is_mjcf


@pytest.mark.parametrize(
    ('source', 'sentence'),
    [
        ('/nowhere/arm.urdf', 'No such file'),
        ('package://arm_description/arm.urdf', 'apt install ros-.*-arm-description'),
        ('wheel://no-such-thing/arm.urdf', 'pip install'),
        ('wheel://dm-robotics-panda/no.xml', 'has no file no.xml'),
    ],
)
def test_description_that_is_not_there_says_how_to_get_it(source: str, sentence: str) -> None:
    with pytest.raises(RobotDescriptionError, match=sentence):
        read_description(source)


@pytest.mark.parametrize(
    ('text', 'sentence'),
    [
        ('hello', "begins with 'hello'"),
        ('', 'valid: a URDF'),
        ('<robot xmlns:xacro="x"><xacro:arm/></robot>', 'xacro FILE.xacro'),
    ],
)
def test_text_that_is_no_description_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(RobotDescriptionError, match=sentence):
        check_description(RobotDescription(text=text, origin='/robot_description'))
