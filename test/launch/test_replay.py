# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Replay of a bag that was recorded beside a run, and landscapes of both."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
from typer.testing import CliRunner

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('mujoco', reason='mujoco is not installed')

from wm_planner.core.errors import InvalidParameterError, RecordingError
from wm_planner.ros.goal_store import write_picture
from wm_planner.tools.cli import make_app
from wm_planner.tools.live_graph import GraphConfig, LiveGraph


def command(*arguments: str) -> str:
    """Run a command in this process; return what it printed."""
    result = CliRunner().invoke(make_app(arguments), list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope='module')
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a bag of a run over two sub-goals, and the landscape of the live graph in it."""
    folder = tmp_path_factory.mktemp('run')
    config = GraphConfig(
        arguments={'seed': '5', 'record': 'true', 'bag_dir': str(folder)},
        parameters={'recorder': {'bag_name': 'bag'}, 'wm_planner': {'cem.num_samples': 128}},
    )
    with LiveGraph(config) as graph:
        graph.wait_until_ready()
        goals = graph.begin_episode('pick', seed=5, episode=0).goals
        graph.client.enable()
        graph.client.reach_goal(goals, steps_per_goal=[3, 3, 2], tolerance=-1.0, timeout_s=200.0)
        from wm_planner.core.profile import RobotProfile
        from wm_planner.imagination.figures import draw_landscape
        from wm_planner.tools.landscape_live import live_landscape

        profile = RobotProfile(name='t', base_frame='b', tool_frame='t')
        found, _, pictures = live_landscape('/wm_planner', profile)
        draw_landscape(found, folder / 'live.png', now=pictures[0], goal=pictures[1])
    return folder / 'bag', folder / 'live.png'


def test_replay_makes_every_plan_of_the_run_again_exactly(
    recorded: tuple[Path, Path], tmp_path: Path
) -> None:
    """Warm starts, three sub-goals with pinned grippers, and settings given on the command line."""
    bag, _ = recorded
    output = command('replay', str(bag), '--json', str(tmp_path / 'replay.json'))
    values = json.loads((tmp_path / 'replay.json').read_text())
    assert values['is_reproduction'] and values['summary']['steps'] >= 8, output
    assert values['summary']['plans_reproduced'] == values['summary']['plans_compared'] >= 8
    assert values['settings']['values']['cem.num_samples'] == 128
    assert values['summary']['prediction'][0] < values['summary']['unmoved'][0]
    goals = {step['goal_id'] for step in values['steps']}
    assert len(goals) == 3


def test_replay_with_another_seed_or_planner_is_compared_with_what_was_done(
    recorded: tuple[Path, Path], tmp_path: Path
) -> None:
    bag, _ = recorded
    files = []
    for name, options in (
        ('seed', ['--seed', '9']),
        ('icem', ['--planner', 'icem', '--set', 'icem.num_samples=64']),
    ):
        files.append(str(tmp_path / f'{name}.json'))
        command('replay', str(bag), '--json', files[-1], '--limit', '4', *options)
        values = json.loads(Path(files[-1]).read_text())
        assert not values['is_reproduction'] and values['summary']['plans_compared'] == 0
        assert 0.0 < values['summary']['position_error_m'] < 0.1
    command('report', *files, '--out', str(tmp_path / 'report.html'))
    assert 'icem on tabletop (icem)' in (tmp_path / 'report.html').read_text()


def test_landscape_of_a_bag_and_of_the_live_graph_are_pictures(
    recorded: tuple[Path, Path], tmp_path: Path
) -> None:
    bag, live = recorded
    told = json.loads(command('landscape', str(bag), '--at', '1', '--out', str(tmp_path / 'l.png')))
    assert told['chosen_m'] is not None and told['steps'] == 1
    for file in (live, tmp_path / 'l.png'):
        picture = cv2.imread(str(file))
        assert picture is not None and picture.shape[1] > 1200 and picture.std() > 20.0


def test_wrong_recordings_are_refused_by_number(
    recorded: tuple[Path, Path], tmp_path: Path
) -> None:
    bag, _ = recorded
    with pytest.raises(RecordingError, match=r'has no /camera/none .*exterior/image_raw'):
        command('replay', str(bag), '--camera', '/camera/none')
    with pytest.raises(RecordingError, match='does not exist'):
        command('replay', str(tmp_path / 'none'))
    with pytest.raises(InvalidParameterError, match='--set nonsense'):
        command('replay', str(bag), '--set', 'nonsense.x=1')


def test_landscape_of_two_pictures_and_a_pose(tmp_path: Path) -> None:
    from wm_planner_sim.suites import TabletopEnvironment

    environment = TabletopEnvironment()
    start = environment.reset('reach', seed=1, episode=2)
    environment.close()
    write_picture(tmp_path / 'now.png', start.observation.images[-1])
    write_picture(tmp_path / 'goal.png', start.goals[-1].image)
    pose = ','.join(f'{value:.4f}' for value in start.observation.state.position_m)
    common = ['--now', str(tmp_path / 'now.png'), '--goal', str(tmp_path / 'goal.png')]
    told = json.loads(
        command(
            *('landscape', *common, '--pose', pose, '--extent', '0.12'),
            *('--true', '0.01,0.02,0.03', '--out', str(tmp_path / 'l.png')),
        )
    )
    assert told['steps'] == 2 and (tmp_path / 'l.png').is_file()
    with pytest.raises(InvalidParameterError, match='go together'):
        command('landscape', *common)
    with pytest.raises(InvalidParameterError, match='0 sources were given'):
        command('landscape')
    with pytest.raises(InvalidParameterError, match='x,y,z in metres'):
        command('landscape', *common, '--pose', '1,2')
    write_picture(tmp_path / 'wide.png', start.goals[-1].image[:64])
    with pytest.raises(Exception, match=r'\[112\].*128x64 px and the camera gives 128x128'):
        command('landscape', *common[:3], str(tmp_path / 'wide.png'), '--pose', pose)
