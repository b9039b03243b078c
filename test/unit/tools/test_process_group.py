# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Children are small modules written by the test: what is tested is how they live and die."""

from __future__ import annotations

from collections.abc import Iterator
import os
from pathlib import Path
import signal
import subprocess
import sys
import threading

import pytest

from fakes.processes import is_running
from fakes.waiting import wait_for
from wm_planner.bringup import NodeStart
from wm_planner.tools.process_group import ProcessExit, ProcessGroup, StopTimes

OBEDIENT = """
import signal, threading
def main():
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    print('ready', flush=True)
    stop.wait(60)
    print('bye', flush=True)
    return 0
"""
STUBBORN = """
import signal, time
def main():
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    print('ready', flush=True)
    time.sleep(60)
"""
FAILING = """
def main():
    print('cannot go on', flush=True)
    return 3
"""
QUICK = StopTimes(interrupt_s=0.3, terminate_s=0.3, kill_s=5.0)


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that children import from."""
    for name, code in (('obedient', OBEDIENT), ('stubborn', STUBBORN), ('failing', FAILING)):
        (tmp_path / f'{name}.py').write_text(code)
    path = os.pathsep.join([str(tmp_path), os.environ.get('PYTHONPATH', '')])
    monkeypatch.setenv('PYTHONPATH', path)
    return tmp_path


def node(module: str, folder: Path) -> NodeStart:
    return NodeStart(
        package='test',
        executable=module,
        module=module,
        name=f'the_{module}',
        namespace='',
        parameter_file=folder / 'none.yaml',
        parameters={},
        remappings=(),
    )


class Output:
    """Collects the lines of all children."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __call__(self, name: str, line: str) -> None:
        self.lines.append((name, line))


@pytest.fixture
def output() -> Iterator[Output]:
    yield Output()


def test_children_stop_on_interrupt_and_their_last_words_are_heard(
    modules: Path, output: Output
) -> None:
    group = ProcessGroup([node('obedient', modules)], on_line=output)
    with group:
        wait_for(lambda: ('the_obedient', 'ready') in output.lines)
        assert group.ended() is None
    assert output.lines[-1] == ('the_obedient', 'bye')
    assert group.stop()['the_obedient'].is_clean


def test_child_that_ignores_signals_is_killed(modules: Path, output: Output) -> None:
    group = ProcessGroup(
        [node('stubborn', modules), node('obedient', modules)], on_line=output, stop_times=QUICK
    )
    with group:
        wait_for(lambda: len(output.lines) == 2)
        pids = [group.pid(name) for name in group.names]
    ends = group.stop()
    assert ends['the_stubborn'].reason == 'the_stubborn was ended by SIGKILL'
    assert not ends['the_stubborn'].is_clean and ends['the_obedient'].is_clean
    assert not any(map(is_running, pids))


def test_wait_reports_which_child_ended_and_why(modules: Path, output: Output) -> None:
    with ProcessGroup(
        [node('obedient', modules), node('failing', modules)], on_line=output
    ) as group:
        exited = group.wait(threading.Event(), timeout_s=20.0)
        assert exited is not None
        wait_for(lambda: ('the_failing', 'cannot go on') in output.lines)
        exited = group.ended()
    assert exited == ProcessExit(name='the_failing', returncode=3, tail=('cannot go on',))
    assert exited.reason == 'the_failing ended with exit status 3'


def test_reason_names_the_signal() -> None:
    killed = ProcessExit(name='sim_bridge', returncode=-signal.SIGKILL, tail=())
    assert killed.reason == 'sim_bridge was ended by SIGKILL'


def test_wait_returns_when_told_to(modules: Path, output: Output) -> None:
    stop = threading.Event()
    with ProcessGroup([node('obedient', modules)], on_line=output) as group:
        stop.set()
        assert group.wait(stop) is None
        assert group.wait(threading.Event(), timeout_s=0.01) is None


@pytest.mark.parametrize('module', ['obedient', 'stubborn'])
def test_no_orphan_when_the_parent_is_killed(module: str, modules: Path) -> None:
    """A parent that is killed outright cannot stop its children; they notice by themselves."""
    code = (
        'import sys, time; from pathlib import Path;'
        'from wm_planner.tools import child, process_group as p;'
        'from wm_planner.bringup import NodeStart;'
        f'start = NodeStart(package="t", executable="e", module="{module}", name="n",'
        ' namespace="", parameter_file=Path("none"), parameters={}, remappings=());'
        'group = p.ProcessGroup([start], '
        'on_line=lambda name, line: print(line, group.pid(name), flush=True));'
        'group.start(); time.sleep(60)'
    )
    parent = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    word, pid = parent.stdout.readline().split()
    assert word == 'ready' and is_running(int(pid))
    parent.kill()
    parent.wait(10)
    wait_for(lambda: not is_running(int(pid)), timeout_s=20.0, what='the end of the orphan')
    parent.stdout.close()


def test_child_hears_interrupt_even_when_the_parent_ignores_it(
    modules: Path, output: Output
) -> None:
    """A shell's ``command &`` makes all below it ignore SIGINT; nodes must still hear it."""
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        (modules / 'plain.py').write_text(
            "import time\ndef main():\n    print('ready', flush=True)\n    time.sleep(60)\n"
        )
        with ProcessGroup([node('plain', modules)], on_line=output) as group:
            wait_for(lambda: ('the_plain', 'ready') in output.lines)
    finally:
        signal.signal(signal.SIGINT, former)
    assert group.stop()['the_plain'].returncode == 128 + signal.SIGINT
