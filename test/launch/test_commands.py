# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The commands that bring a graph up themselves: demo, evaluate --through ros, bench."""

from __future__ import annotations

from collections.abc import Iterator
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import threading
from typing import Any

import cv2
import pytest

from fakes.processes import children_of, is_running
from fakes.waiting import wait_for

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('mujoco', reason='mujoco is not installed')

PATIENCE_S = 300.0  # for a machine with other work to do; a quiet one needs a tenth


class Command:
    """``wm_planner ARGUMENTS`` as a user starts it; what it prints is kept."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, '-m', 'wm_planner.tools.cli', *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.out: list[str] = []
        self.err: list[str] = []
        self._readers = [
            threading.Thread(target=lines.extend, args=(stream,), daemon=True)
            for lines, stream in ((self.out, self.process.stdout), (self.err, self.process.stderr))
        ]
        for reader in self._readers:
            reader.start()

    def wait(self) -> int:
        """Return the exit status; everything that was printed has been read by then."""
        status = self.process.wait(PATIENCE_S)
        for reader in self._readers:
            reader.join(10.0)
        return status

    def result(self) -> dict[str, Any]:
        """Return the JSON of the last line."""
        value: dict[str, Any] = json.loads(self.out[-1])
        return value

    def explain(self) -> str:
        """Return all that was printed, for a failing assertion."""
        return ''.join([*self.out, *self.err])


@pytest.fixture
def start() -> Iterator[Any]:
    """Return a function that starts commands, and end those that a failing test leaves."""
    commands: list[Command] = []

    def begin(*arguments: object) -> Command:
        commands.append(Command(*map(str, arguments)))
        return commands[-1]

    yield begin
    for command in commands:
        if command.process.poll() is None:
            command.process.kill()
            command.process.wait()


def test_demo_reaches_its_goal_and_leaves_a_record(start: Any, tmp_path: Path) -> None:
    command = start('demo', '--goals', 1, '--out', tmp_path, '--image-size', 128)
    assert command.wait() == 0, command.explain()
    result = command.result()
    assert result['success'] is True
    assert (result['goals'], result['goals_reached']) == (1, 1)
    assert 0.0 <= result['final_distance_m'] <= 0.04
    assert result['plans'] >= 2
    assert 0.0 < result['plan_ms_p50'] <= result['plan_ms_p99']
    picture = cv2.imread(result['picture'])
    assert picture.shape[0] > 300 and picture.shape[1] > 6 * 300
    bag = Path(result['bag'])
    assert bag.parent.parent == tmp_path
    assert (bag / 'metadata.yaml').is_file() and (bag / 'bag_0.mcap').stat().st_size > 10_000
    summary = json.loads(Path(result['summary']).read_text())
    assert summary['bag_messages'] > 100
    (went,) = summary['per_goal']
    assert went['start_distance_m'] >= 0.10 and went['planner_says_reached']
    assert (bag.parent / 'nodes.log').read_text().count('[recorder]') >= 1


def test_demo_that_is_interrupted_leaves_no_process_and_a_summary(
    start: Any, tmp_path: Path
) -> None:
    command = start('demo', '--goals', 2, '--out', tmp_path, '--image-size', 64)
    wait_for(
        lambda: any('setting its picture' in line for line in command.out),
        timeout_s=PATIENCE_S,
        what='the first goal',
    )
    nodes = children_of(command.process.pid)
    assert len(nodes) == 3
    command.process.send_signal(signal.SIGINT)
    assert command.wait() == 1, command.explain()
    assert not any(is_running(pid) for pid in nodes)
    result = command.result()
    assert result['success'] is False
    assert 'stopped by the user' in result['message']
    assert json.loads(Path(result['summary']).read_text())['goals'] == 2


def test_demo_says_so_when_a_node_dies(start: Any, tmp_path: Path) -> None:
    """The planner is killed on the way: a sentence at once, not after the time limit."""
    command = start('demo', '--goals', 1, '--out', tmp_path, '--image-size', 64)
    wait_for(
        lambda: any('setting its picture' in line for line in command.out),
        timeout_s=PATIENCE_S,
        what='the first goal',
    )
    nodes = children_of(command.process.pid)
    planner = next(pid for pid in nodes if b'planner_node' in _command_line(pid))
    os.kill(planner, signal.SIGKILL)
    assert command.wait() == 1, command.explain()
    assert 'wm_planner was ended by SIGKILL' in command.result()['message']
    assert not any(is_running(pid) for pid in nodes)


def test_evaluation_over_the_graph_leaves_the_records_of_a_direct_one(
    start: Any, tmp_path: Path
) -> None:
    report = tmp_path / 'report.json'
    common = ('--suite', 'tabletop/reach', '--episodes', 1, '--seed', 7, '--json', report)
    chosen = ('--preset', 'realtime', '--set', 'cem.num_samples=200')
    command = start('evaluate', *common, '--through', 'ros', *chosen)
    assert command.wait() == 0, command.explain()
    values = json.loads(report.read_text())
    assert values['complete'] is True and values['through'] == 'ros'
    assert values['config']['cem']['num_samples'] == 200
    assert values['config']['planning']['deadline_s'] == 0.1
    for number, episode in enumerate(values['episodes']):
        assert episode['episode_id'] == f'tabletop/reach/7/{number}'
        assert episode['termination'] == 'timeout', 'all steps were used'
        assert (episode['steps'], len(episode['plan_ms'])) == (12, 12)
        assert episode['start_distance_m'] >= 0.10
        assert episode['final_distance_m'] < 0.5 * episode['start_distance_m']
        assert episode['success'] is (episode['final_distance_m'] < 0.04)


def test_chain_by_progress_over_the_graph_tells_its_decisions(start: Any, tmp_path: Path) -> None:
    report = tmp_path / 'report.json'
    common = ('--suite', 'tabletop/pick', '--episodes', 1, '--seed', 7, '--json', report)
    chosen = ('--chain', 'progress', '--set', 'controller.chain_flat_plans=3')
    command = start('evaluate', *common, '--through', 'ros', *chosen)
    assert command.wait() == 0, command.explain()
    values = json.loads(report.read_text())
    assert values['config']['chain']['chain_flat_plans'] == 3
    (episode,) = values['episodes']
    decisions = episode['message'].split('; ')
    assert [text.split()[0] for text in decisions] == [str(n + 1) for n in range(len(decisions))]
    assert {text.split()[1] for text in decisions} & {'advance:', 'flattened:'}
    assert 0 < episode['steps'] <= 22, 'the goals share the steps of the schedule'


def test_bench_measures_every_quantity(start: Any, tmp_path: Path) -> None:
    report = tmp_path / 'bench.json'
    small = ('--plans', 2, '--samples', 16, '--frames', 5, '--seconds', 3)
    command = start('bench', 'tabletop', '--json', report, *small)
    assert command.wait() == 0, command.explain()
    results = json.loads(report.read_text())['results']
    assert set(results) == {
        'plan',
        'image_callback',
        'free_realtime_factor',
        'command_rate',
        'command_jitter',
        'capture_to_command',
        'realtime_factor',
    }
    for values in results.values():
        assert values['count'] >= 1
        assert values['p25'] <= values['p50'] <= values['p75'] <= values['p99']
    assert 'cores' in command.explain()


def _command_line(pid: int) -> bytes:
    return Path(f'/proc/{pid}/cmdline').read_bytes()
