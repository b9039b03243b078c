# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Sweeps over many tasks in processes of their own, some of which are killed."""

from __future__ import annotations

import json
import os
from pathlib import Path
import signal
import subprocess
import sys
from typing import Any

import pytest

from fakes.sweep_env import DRAWER, LEMON, MUG, ROBOT, episodes_begun, install

MAIN = 'import sys; from wm_planner.tools.cli import main; sys.exit(main())'
TIMES = ('plan_ms', 'wall_s')


class Sweep:
    """``wm_planner evaluate`` in a folder, with its log of the episodes begun."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python_path = install(folder / 'site')
        self.json = folder / 'out.json'
        self.journal = folder / 'out.json.episodes.jsonl'
        self.log = folder / 'begun.log'
        self.robot = folder / 'roomy.yaml'
        self.robot.write_text(ROBOT)

    def run(
        self, *more: str, suite: str = 'sweep', planner: str = 'cem', **variables: str
    ) -> subprocess.CompletedProcess[str]:
        arguments = ['--suite', suite, '--planner', planner, '--model', 'point_mass']
        arguments += ['--robot', str(self.robot), '--episodes', '3', '--seed', '7']
        return subprocess.run(
            [sys.executable, '-c', MAIN, 'evaluate', *arguments, '--json', str(self.json), *more],
            env={
                **os.environ,
                'PYTHONPATH': self.python_path,
                'WM_PLANNER_SWEEP_LOG': str(self.log),
                'COLUMNS': '200',
                **variables,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def report(self) -> dict[str, Any]:
        return json.loads(self.json.read_text())

    def episodes(self) -> list[dict[str, Any]]:
        """Return the records less their wall times."""
        return [
            {k: v for k, v in episode.items() if k not in TIMES}
            for episode in self.report()['episodes']
        ]


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return Sweep(tmp_path / 'sweep')


@pytest.fixture(autouse=True)
def folders(tmp_path: Path) -> None:
    for name in ('sweep', 'undisturbed'):
        (tmp_path / name).mkdir()


def table_of(done: subprocess.CompletedProcess[str]) -> str:
    """Return the printed table of scores, which has no times in it."""
    return done.stdout[: done.stdout.index('through direct')]


def test_run_killed_with_sigkill_goes_on_and_gives_the_table_of_an_undisturbed_one(
    tmp_path: Path, sweep: Sweep
) -> None:
    undisturbed = Sweep(tmp_path / 'undisturbed')
    expected = undisturbed.run()
    assert expected.returncode == 0, expected.stderr
    killed = sweep.run(WM_PLANNER_SWEEP_KILL=f'{MUG}:1')
    assert killed.returncode == -signal.SIGKILL
    assert len(sweep.journal.read_text().splitlines()) == 1 + 4
    with sweep.journal.open('a') as file:
        file.write('{"settings": "torn by the')
    resumed = sweep.run(WM_PLANNER_SWEEP_KILL=f'{MUG}:1')
    assert resumed.returncode == 0, resumed.stderr
    assert '4 of 9 episodes are in' in resumed.stderr
    assert sweep.episodes() == undisturbed.episodes()
    assert sweep.report()['scores'] == undisturbed.report()['scores']
    assert table_of(resumed) == table_of(expected)
    begun = episodes_begun(sweep.log)
    assert begun.pop(f'{MUG}:1') == 2, 'the one that was running when the process was killed'
    assert set(begun.values()) == {1} and len(begun) == 8, 'no finished episode is run again'
    assert sweep.report()['episodes_resumed'] == 4


def test_complete_run_runs_nothing_again_and_more_episodes_run_only_those(sweep: Sweep) -> None:
    assert sweep.run(planner='noop').returncode == 0
    before = sweep.episodes()
    assert sweep.run(planner='noop').returncode == 0
    assert sweep.episodes() == before and sum(episodes_begun(sweep.log).values()) == 9
    assert sweep.run('--episodes', '4', planner='noop').returncode == 0
    assert set(episodes_begun(sweep.log).values()) == {1}
    assert len(sweep.episodes()) == 12


def test_journal_of_other_settings_is_refused_and_dropped_on_demand(sweep: Sweep) -> None:
    assert sweep.run('--set', 'cem.num_samples=64', suite=f'sweep/{LEMON}').returncode == 0
    other = sweep.run('--set', 'cem.num_samples=32', suite=f'sweep/{LEMON}')
    assert other.returncode == 2
    sentence = ' '.join(other.stderr.split())
    assert '[104]' in sentence and 'cem.num_samples: 64, now 32' in sentence
    assert '--restart' in sentence
    again = sweep.run('--set', 'cem.num_samples=32', '--restart', suite=f'sweep/{LEMON}')
    assert again.returncode == 0
    assert sweep.report()['config']['cem']['num_samples'] == 32
    assert set(episodes_begun(sweep.log).values()) == {2}


def test_leading_parts_of_a_suite_stand_for_all_below_and_costs_are_in_the_scores(
    sweep: Sweep,
) -> None:
    board = sweep.folder / 'board.json'
    done = sweep.run('--leaderboard', str(board), suite='sweep/safety_static_obstacles')
    assert done.returncode == 0, done.stderr
    assert 'CC upstream' in done.stdout and 'CC cleaned' in done.stdout
    suites = {episode['suite'] for episode in sweep.episodes()}
    assert suites == {f'sweep/{LEMON}', f'sweep/{MUG}'}
    assert {(e['cost'], e['cost_upstream']) for e in sweep.episodes()} == {(6.0, 12.0)}
    entry = json.loads(board.read_text())
    assert (entry['name'], entry['modelType']) == ('cem (point_mass)', 'wam')
    (task,) = entry['tasks']
    assert (task['name'], task['data']['cc']) == ('StaticObstacles', [12.0, 12.0, None])


def test_leaderboard_entry_of_a_policy_names_no_world_model(sweep: Sweep) -> None:
    board = sweep.folder / 'board.json'
    done = sweep.run('--leaderboard', str(board), suite=f'sweep/{LEMON}', planner='noop')
    assert done.returncode == 0, done.stderr
    entry = json.loads(board.read_text())
    assert (entry['name'], entry['modelType']) == ('noop', 'vla')


def test_episode_that_the_simulator_cannot_run_has_failed_and_the_sweep_goes_on(
    sweep: Sweep,
) -> None:
    done = sweep.run(WM_PLANNER_SWEEP_BREAK=f'{DRAWER}:0')
    assert done.returncode == 0, done.stderr
    lost = [e for e in sweep.episodes() if e['termination'] == 'simulator_failed']
    assert [(e['suite'], e['episode'], e['success']) for e in lost] == [
        (f'sweep/{DRAWER}', 0, False)
    ]
    assert lost[0]['message'] == 'the cereal fell off the table.'
    assert sweep.report()['successes'] == 8


def test_pictures_and_videos_lie_beside_the_report(sweep: Sweep) -> None:
    done = sweep.run('--save-pictures', '--save-video', suite=f'sweep/{LEMON}', planner='noop')
    assert done.returncode == 0, done.stderr
    for episode in sweep.episodes():
        assert set(episode['pictures']) == {'first', 'last', 'goal', 'video'}
        for place in episode['pictures'].values():
            assert (sweep.folder / place).stat().st_size > 100


@pytest.mark.parametrize(
    ('more', 'sentence'),
    [
        (('--through', 'ros', '--workers', '2'), '--through ros with 2 workers'),
        (('--through', 'ros', '--save-video'), 'valid there: --save-bag'),
        (('--save-bag',), 'valid there: --save-pictures, --save-video, --save-motion'),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    sweep: Sweep, more: tuple[str, ...], sentence: str
) -> None:
    done = sweep.run(*more)
    assert done.returncode == 2
    assert sentence in ' '.join(done.stderr.split())
    assert not sweep.json.exists() and not sweep.journal.exists()


def test_leaderboard_of_a_suite_that_is_not_on_it_is_refused_before_the_run(
    sweep: Sweep,
) -> None:
    board = sweep.folder / 'board.json'
    done = sweep.run('--leaderboard', str(board), suite='loopback/reach')
    assert done.returncode == 2
    assert 'results of --suite arena' in ' '.join(done.stderr.split())
    assert not sweep.json.exists() and not board.exists()


def test_wrong_part_of_a_suite_is_named_with_what_there_is_at_its_place(sweep: Sweep) -> None:
    done = sweep.run(suite='sweep/safety_static_obstacles/L3/lemon')
    assert done.returncode == 2
    sentence = ' '.join(done.stderr.split())
    assert "unknown suite of sweep 'safety_static_obstacles/L3'" in sentence
    assert 'Valid: safety_static_obstacles/L0, safety_static_obstacles/L1.' in sentence
