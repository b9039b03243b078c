# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""``wm_planner up``: the whole graph comes up in processes of its own and leaves none behind."""

from __future__ import annotations

from collections.abc import Iterator
import itertools
import os
from pathlib import Path
import signal
import subprocess
import sys
import threading

import pytest

from fakes.processes import children_of, is_running
from fakes.waiting import wait_for

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')

NODES = {'sim_bridge', 'wm_planner', 'recorder'}
_DOMAINS = itertools.count(os.getpid() * 7)


class Up:
    """``wm_planner up PROFILE`` as a user starts it; its output is kept."""

    def __init__(self, domain: int, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, '-m', 'wm_planner.tools.cli', 'up', *arguments],
            env={**os.environ, 'ROS_DOMAIN_ID': str(domain)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for_children(self, count: int) -> list[int]:
        """Return the process ids of the nodes once there are ``count``."""
        wait_for(
            lambda: (
                any('started' in line for line in self.lines)
                and len(children_of(self.process.pid)) == count
            ),
            what=f'{count} children',
        )
        return children_of(self.process.pid)

    def output(self) -> str:
        """Return what was printed so far; all of it once the process has ended."""
        if self.process.poll() is not None:
            self._reader.join(5.0)
        return '\n'.join(self.lines)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            self.lines.extend(iter(self._line, ''))

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


@pytest.fixture
def domain() -> int:
    """Return a ROS domain that no other test of this process has used lately."""
    return 1 + next(_DOMAINS) % 101


@pytest.fixture
def up(domain: int, tmp_path: Path) -> Iterator[Up]:
    graph = Up(domain, 'sim', 'record:=true', f'bag_dir:={tmp_path}')
    yield graph
    if graph.process.poll() is None:
        graph.process.kill()
        graph.process.wait(10)
    print(graph.output())  # pytest shows it when the test has failed


def test_graph_appears_and_interrupt_leaves_no_process(up: Up, domain: int, tmp_path: Path) -> None:
    pids = up.wait_for_children(3)
    context = rclpy.Context()
    context.init(domain_id=domain)
    watcher = rclpy.create_node('watcher', context=context)
    try:
        wait_for(
            lambda: set(watcher.get_node_names()) >= NODES or up.process.poll() is not None,
            timeout_s=90.0,
            what='the graph',
        )
        services = {'/wm_planner/set_goal_image', '/sim_bridge/reset_episode'}
        wait_for(
            lambda: (
                services <= {name for name, _ in watcher.get_service_names_and_types()}
                or up.process.poll() is not None
            ),
            timeout_s=90.0,
            what='the services',
        )
        assert up.process.poll() is None, up.output()
    finally:
        watcher.destroy_node()
        context.try_shutdown()
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(30.0) == 0, up.output()
    assert not any(map(is_running, pids))
    assert 'Traceback' not in up.output()
    assert list(tmp_path.glob('*/metadata.yaml')), 'the recorder did not close its bag'


def test_death_of_one_node_is_reported_and_stops_the_others(up: Up) -> None:
    pids = up.wait_for_children(3)
    bridge = next(pid for pid in pids if 'bridge_node' in Path(f'/proc/{pid}/cmdline').read_text())
    os.kill(bridge, signal.SIGKILL)
    assert up.process.wait(30.0) == 1
    assert 'sim_bridge was ended by SIGKILL; stopping the others' in up.output()
    assert not any(map(is_running, pids))


def test_no_orphan_when_up_itself_is_killed(up: Up) -> None:
    pids = up.wait_for_children(3)
    up.process.kill()
    up.process.wait(10.0)
    wait_for(lambda: not any(map(is_running, pids)), timeout_s=30.0, what='the end of the nodes')
