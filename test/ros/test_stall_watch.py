# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""A node that stands still is reported from outside of it."""

from __future__ import annotations

from pathlib import Path
import re
import subprocess
import sys

from fakes.waiting import wait_for

# PyDLL, unlike CDLL, calls with the interpreter's lock held, as rclpy's publish does.
STANDS_STILL = """
import ctypes, sys, time
from wm_planner.ros.stall_watch import StallWatch
with StallWatch('some_node') as watch:
    print(watch._process.pid, flush=True)
    time.sleep(0.3)
    ctypes.PyDLL(None).usleep(int(sys.argv[1]))
    time.sleep(0.3)
print('done', flush=True)
"""


def started(still_us: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, '-c', STANDS_STILL, str(still_us)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def is_alive(pid: int) -> bool:
    try:
        state = Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[0]
    except OSError:
        return False
    return state != 'Z'


def test_standing_still_is_said_while_it_lasts_and_when_it_is_over() -> None:
    with started(2_500_000) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        said = process.stderr.readline()
        assert process.poll() is None, 'it was told while the process stood still'
        assert '[504] some_node has stood still for 0.7 s' in said
        assert 'so the arm holds' in said
        again = process.stderr.readline()
        seconds = re.search(r'some_node\]: runs again after ([\d.]+) s', again)
        assert seconds is not None, again
        assert float(seconds[1]) >= 2.0
        assert process.wait(30) == 0


def test_nothing_is_said_of_a_node_that_runs_and_the_watch_ends_with_it() -> None:
    with started(1) as process:
        assert process.stdout is not None and process.stderr is not None
        watch = int(process.stdout.readline())
        assert is_alive(watch)
        assert process.wait(30) == 0
        assert process.stderr.read() == ''
        assert not is_alive(watch)


def test_watch_of_a_killed_node_ends_by_itself() -> None:
    with started(60_000_000) as process:
        assert process.stdout is not None
        watch = int(process.stdout.readline())
        process.kill()
        wait_for(lambda: not is_alive(watch), what='the end of the watch', timeout_s=10)
