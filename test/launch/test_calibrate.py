# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""``wm_planner calibrate``: a live arm before a turned camera, the bag of it, a simulator."""

from __future__ import annotations

import json
import os
from pathlib import Path
import signal
import subprocess
import sys
from typing import Any

import pytest

from fakes.node_process import NodeProcess
from wm_planner.core.paths import robot_profile_file
from wm_planner.core.profile import RobotProfile
from wm_planner.ros.client import PlannerClient

AZIMUTH_DEG = -40.0
START = 11  # an episode whose tool begins in the middle
CAMERAS = ('--checkpoint', 'tabletop_cameras')


def calibrate(*arguments: str, cwd: Path, **variables: str) -> tuple[int, dict[str, Any], str]:
    """Run the command; return exit status, its JSON and what it said."""
    done = subprocess.run(
        [sys.executable, '-m', 'wm_planner.tools.cli', 'calibrate', *arguments],
        env={**os.environ, **variables},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    lines = done.stdout.strip().splitlines()
    return done.returncode, json.loads(lines[-1]) if lines else {}, done.stdout + done.stderr


def test_live_arm_and_the_bag_of_it(tmp_path: Path) -> None:
    """The moves go through a planner node; the same run, recorded, gives the same angle."""
    bridge = NodeProcess(
        'wm_planner_sim.bridge_node', 'sim_bridge', exterior_azimuth_deg=AZIMUTH_DEG
    )
    recorder = NodeProcess('wm_planner.ros.recorder_node', 'recorder', bag_dir=tmp_path / 'bags')
    with bridge, recorder:
        bridge.wait_for_output('runs')
        recorder.wait_for_output('recording')
        with PlannerClient() as client:  # into the middle of the workspace, as one would do by hand
            client.reset_episode('reach', seed=7, episode=START)
        options = ('--move', '--sim-time', '--moves', '24', '--out', 'live.yaml')
        code, found, said = calibrate(*options, *CAMERAS, cwd=tmp_path)
        assert code in (0, 1), said
        assert found['moves'] >= 22, said
        assert found['yaw_deg'] == pytest.approx(AZIMUTH_DEG, abs=12.0), said
        assert (code == 0) == found['is_trusted'] == (tmp_path / 'live.yaml').is_file()
        assert recorder.stop(signal.SIGINT) == 0
    (bag,) = (tmp_path / 'bags').iterdir()
    code, again, said = calibrate(
        '--from-bag', str(bag), '--out', 'bag.yaml', *CAMERAS, cwd=tmp_path
    )
    assert code in (0, 1), said
    assert again['yaw_deg'] == pytest.approx(found['yaw_deg'], abs=2.0), said


def test_in_a_simulator_the_profile_is_written_and_can_be_used(tmp_path: Path) -> None:
    code, found, said = calibrate(
        *('--environment', 'tabletop/reach', '--seed', '3', *CAMERAS),
        cwd=tmp_path,
        WM_PLANNER_TABLETOP_EXTERIOR_AZIMUTH_DEG='40',
    )
    assert code == 0, said
    assert found['yaw_deg'] == pytest.approx(40.0, abs=8.0)
    profile = RobotProfile.from_yaml(tmp_path / 'panda_sim.yaml')  # a copy: the shipped one stays
    assert profile.calibration.weights == 'tabletop_cameras'
    assert profile.calibration.moves == found['moves']
    assert RobotProfile.from_yaml(robot_profile_file('panda_sim')).calibration.is_identity


def test_what_is_not_trusted_is_not_written(tmp_path: Path) -> None:
    code, found, said = calibrate(
        *('--environment', 'tabletop/reach', '--moves', '5'), cwd=tmp_path
    )
    assert code == 1, said
    assert 'too few' in found['verdict'] and 'not trusted' in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ((), 'one of --move'),
        (('--move', '--from-bag', 'x'), 'one of --move'),
        (('--from-bag', 'nowhere'), 'no .mcap'),
        (('--environment', 'tabletop/reach', '--planner', 'random'), 'is a policy'),
        (('--environment', 'tabletop/nosuch'), 'nosuch'),
    ],
)
def test_wrong_input_is_named(options: tuple[str, ...], words: str, tmp_path: Path) -> None:
    code, _, said = calibrate(*options, cwd=tmp_path)
    assert code == 2, said
    assert words in said
