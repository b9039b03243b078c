# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""``wm_planner evaluate`` from its command line: the report, its partial form, wrong input."""

from __future__ import annotations

from importlib.metadata import EntryPoint
import json
import os
from pathlib import Path
import signal
from typing import Any

import pytest

from fakes.loopback_env import LoopbackEnv
from wm_planner.core.types import EpisodeStart
from wm_planner.evaluation import environments
from wm_planner.tools.cli import main


class StoppedEnv(LoopbackEnv):
    """A simulator during whose third episode the user presses Ctrl-C."""

    stop_with = signal.SIGINT

    def reset(self, suite: str, *, seed: int, episode: int) -> EpisodeStart:
        if episode == 2:
            os.kill(os.getpid(), self.stop_with)
        return super().reset(suite, seed=seed, episode=episode)


class TerminatedEnv(StoppedEnv):
    """The same, stopped by a supervisor."""

    stop_with = signal.SIGTERM


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the fakes as environments."""
    group = environments.ENTRY_POINT_GROUP
    classes = {'loopback': LoopbackEnv, 'stopped': StoppedEnv, 'terminated': TerminatedEnv}

    class Entry(EntryPoint):
        def load(self) -> Any:
            return classes[self.name]

    entries = [Entry(name, 'a fake', group) for name in classes]
    monkeypatch.setattr(environments, 'entry_points', lambda group: entries)


def evaluate(suite: str, report: Path, *more: str) -> int:
    robot = report.with_name('roomy.yaml')
    robot.write_text('{name: roomy, base_frame: base, tool_frame: tool, max_speed_m_s: 1.0}')
    common = ['--model', 'point_mass', '--robot', str(robot), '--json', str(report)]
    return main(['evaluate', '--suite', suite, *common, '--episodes', '4', '--seed', '7', *more])


def test_report_is_written_and_the_table_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / 'report.json'
    assert evaluate('loopback/reach', report, '--set', 'cem.num_samples=120') == 0
    values = json.loads(report.read_text())
    assert values['complete'] is True
    assert values['success_rate'] == 1.0
    assert [episode['episode'] for episode in values['episodes']] == [0, 1, 2, 3]
    assert values['config']['cem']['num_samples'] == 120
    assert (values['through'], values['seed'], values['planner']) == ('direct', 7, 'cem')
    printed = capsys.readouterr().out
    assert '100.0 %' in printed and 'Wilson' in printed


@pytest.mark.parametrize('planner', ['cem', 'icem', 'mppi'])
def test_preset_is_in_force_and_in_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], planner: str
) -> None:
    report = tmp_path / 'report.json'
    assert evaluate('loopback/reach', report, '--planner', planner, '--preset', 'realtime') == 0
    values = json.loads(report.read_text())
    assert values['success_rate'] > 0.0
    assert values['config']['preset'] == 'realtime'
    assert values['config'][planner]['num_samples'] == 64
    assert 'realtime' in capsys.readouterr().out


@pytest.mark.parametrize('planner', ['random', 'noop'])
def test_planners_that_do_not_look_do_not_succeed(tmp_path: Path, planner: str) -> None:
    report = tmp_path / 'report.json'
    assert evaluate('loopback/reach', report, '--planner', planner) == 0
    values = json.loads(report.read_text())
    assert values['success_rate'] == 0.0
    assert values['episodes'][0]['goal_energies'] == [None], 'a policy has no energy'


@pytest.mark.parametrize('suite', ['stopped/reach', 'terminated/reach'])
def test_finished_episodes_are_kept_when_the_run_is_stopped(
    tmp_path: Path, suite: str, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / 'report.json'
    assert evaluate(suite, report) == 130
    values = json.loads(report.read_text())
    assert values['complete'] is False
    assert [episode['episode'] for episode in values['episodes']] == [0, 1]
    printed = capsys.readouterr()
    assert 'incomplete' in printed.out
    assert 'Stopped after 2 of 4' in printed.err


@pytest.mark.parametrize(
    ('suite', 'more', 'sentence'),
    [
        ('/', (), 'valid: ENVIRONMENT or ENVIRONMENT/SUITE'),
        ('lopback', (), "Did you mean 'loopback'"),
        ('loopback/push', (), "unknown suite of loopback 'push'"),
        ('lopback/reach', (), "Did you mean 'loopback'"),
        ('loopback/reach', ('--planner', 'cme'), "Did you mean 'cem'"),
        ('loopback/reach', ('--model', 'pointmass'), "Did you mean 'point_mass'"),
        ('loopback/reach', ('--robot', 'panda_sym'), "Did you mean 'panda_sim'"),
        ('loopback/reach', ('--through', 'air'), 'Valid: direct, ros'),
        ('loopback/reach', ('--episodes', '0'), 'valid: in [1, 100000]'),
        ('loopback/reach', ('--set', 'cem.num_sample=3'), 'unknown parameter num_sample'),
        ('loopback/reach', ('--set', 'num_samples=3'), 'Valid: cem.NAME'),
        ('loopback/reach', ('--preset', 'papre'), "Did you mean 'paper'"),
        ('loopback/reach', ('--planner', 'noop', '--preset', 'paper'), 'valid: no preset'),
    ],
)
def test_wrong_input_is_answered_with_what_is_valid(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    suite: str,
    more: tuple[str, ...],
    sentence: str,
) -> None:
    report = tmp_path / 'report.json'
    assert evaluate(suite, report, *more) == 2
    assert sentence in ' '.join(capsys.readouterr().err.split())
    assert not report.exists(), 'nothing was run, so there is nothing to report'
