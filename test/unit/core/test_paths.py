# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from wm_planner.core import paths
from wm_planner.core.errors import MissingAssetError, UnknownNameError


def test_shipped_file_is_found() -> None:
    assert paths.share_file('config/fastdds_loopback.xml').is_file()


def test_missing_file_is_refused_with_what_lies_beside_it() -> None:
    with pytest.raises(MissingAssetError, match='recorder.yaml'):
        paths.share_file('config/nothing.yaml')


def test_robot_is_found_by_name_and_by_path(tmp_path: Path) -> None:
    own = tmp_path / 'own.yaml'
    own.write_text('name: own\n')
    assert paths.robot_profile_file('panda_sim').name == 'panda_sim.yaml'
    assert paths.robot_profile_file(str(own)) == own


def test_unknown_robot_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="mean 'panda_sim'"):
        paths.robot_profile_file('panda_sin')


def test_installed_share_folder_is_found_through_the_ament_prefix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'share' / 'wm_planner' / 'config').mkdir(parents=True)
    installed_code = tmp_path / 'lib' / 'site-packages' / 'wm_planner' / 'core' / 'paths.py'
    monkeypatch.setattr(paths, '__file__', str(installed_code))
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'/nowhere:{tmp_path}')
    assert paths.share_folder() == tmp_path / 'share' / 'wm_planner'


def test_absence_is_an_error_that_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, '__file__', str(tmp_path / 'wm_planner' / 'core' / 'paths.py'))
    monkeypatch.setattr(paths.sys, 'prefix', str(tmp_path))
    monkeypatch.delenv('AMENT_PREFIX_PATH', raising=False)
    with pytest.raises(MissingAssetError, match='dev setup'):
        paths.share_folder()
