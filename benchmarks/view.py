# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What `wm_planner view` costs: its memory over time, and the control loop's jitter beside it.

Brings the simulated graph up, pursues goals without end, and prints
  memory: resident memory of the view and of the viewer's server every 30 s, and how much it grew
          in the second half;
  jitter: the planner's own tick jitter (percentiles of its newest 1000 control ticks), in turn
          without and with the view, and the ratio of each pair.
Usage: python benchmarks/view.py [--memory-s 600] [--pairs 4] [--window-s 24] [--no-imagined]
A page that looks at it may be opened at the address that it prints.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
import platform
import signal
import subprocess
import sys
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
import numpy as np
import psutil
import rerun

from wm_planner.core.errors import SimulatorError
from wm_planner.ros import qos
from wm_planner.tools.live_graph import GraphConfig, LiveGraph

PERCENTILES = ('p50', 'p95', 'p99')
SAMPLE_S = 30.0
STEPS = 60  # a goal; each is pursued beyond its tolerance


class View:
    """``wm_planner view`` as a user starts it; ``page`` once it serves."""

    def __init__(self, imagined: bool = True) -> None:
        self.process = subprocess.Popen(
            [
                *(sys.executable, '-m', 'wm_planner.tools.cli', 'view', '--no-open'),
                *('--port', '0', '--web-port', '0'),
                '--imagined' if imagined else '--no-imagined',
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.page = json.loads(self.process.stdout.readline())['page']

    def memory_mb(self) -> tuple[float, float]:
        """Return resident memory of the Python process, and of all that it started [MB]."""
        own = psutil.Process(self.process.pid)
        others = sum(child.memory_info().rss for child in own.children(recursive=True))
        return own.memory_info().rss * 1e-6, others * 1e-6

    def stop(self) -> None:
        """Stop it as Ctrl-C does, and see that nothing is left."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(30.0)
        _, left = psutil.wait_procs(children, timeout=5.0)
        if status or left:
            print(f'view ended with {status}, left over: {left}', flush=True)


class Bench:
    """A graph whose planner is kept busy while something is measured."""

    def __init__(self, graph: LiveGraph) -> None:
        self._graph = graph
        self._episode = 0
        self._jitter: dict[str, float] = {}
        graph.client.node.create_subscription(
            DiagnosticArray, '/diagnostics', self._on_diagnostics, qos.STATUS
        )

    def busy(self, seconds: float, each: Any = None) -> None:
        """Pursue goals for ``seconds``, calling ``each`` all the while."""
        deadline = time.monotonic() + seconds

        def is_over() -> bool:
            if each is not None:
                each()
            return time.monotonic() >= deadline

        while not is_over():
            self._episode += 1
            try:
                goals = self._graph.begin_episode('reach', seed=0, episode=self._episode % 20)
            except SimulatorError:
                continue
            self._graph.client.enable()
            self._graph.client.reach_goal(
                goals.goals, steps_per_goal=[STEPS], tolerance=-1.0, is_over=is_over
            )

    def memory(self, seconds: float) -> None:
        """Print the memory of a view beside the busy graph."""
        view = View()
        print(f'page {view.page}', flush=True)
        begin, rows = time.monotonic(), []

        def sample() -> None:
            at = time.monotonic() - begin
            if at >= len(rows) * SAMPLE_S:
                rows.append((at, *view.memory_mb()))
                print('memory at {:4.0f} s: view {:.1f} MB, server {:.1f} MB'.format(*rows[-1]))
                sys.stdout.flush()

        self.busy(seconds, sample)
        table = np.array(rows)
        half = table[len(table) // 2 :]
        for column, name in ((1, 'view'), (2, 'server')):
            slope = np.polyfit(half[:, 0], half[:, column], 1)[0] * 60
            print(
                f'{name}: second half {half[:, column].min():.1f} to {half[:, column].max():.1f} '
                f'MB, {slope:+.2f} MB a minute',
                flush=True,
            )
        view.stop()

    def jitter(self, pairs: int, window_s: float, imagined: bool) -> None:
        """Print tick jitter without and with a view, in turn, and the ratios of the pairs."""
        self.busy(10.0)
        ratios = []
        for pair in range(pairs):
            found = {}
            for with_view in (False, True) if pair % 2 == 0 else (True, False):
                view = View(imagined) if with_view else None
                self.busy(window_s)
                found[with_view] = dict(self._jitter)
                if view is not None:
                    view.stop()
            ratios.append([found[True][p] / found[False][p] for p in PERCENTILES])
            print(
                f'pair {pair}: '
                + ', '.join(
                    f'{p} {found[False][p]:.3f} / {found[True][p]:.3f} ms' for p in PERCENTILES
                )
                + f' (without / with), load {os.getloadavg()[0]:.1f}',
                flush=True,
            )
        for index, name in enumerate(PERCENTILES):
            column = np.array(ratios)[:, index]
            print(
                f'tick jitter {name}, with over without: median {np.median(column):.3f}, '
                f'{column.min():.3f} to {column.max():.3f}',
                flush=True,
            )

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for entry in message.status:
            values = {value.key: value.value for value in entry.values}
            for p in PERCENTILES:
                if f'tick_jitter_ms_{p}' in values:
                    self._jitter[p] = float(values[f'tick_jitter_ms_{p}'])


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--memory-s', type=float, default=600.0)
    parser.add_argument('--pairs', type=int, default=4)
    parser.add_argument('--window-s', type=float, default=24.0)
    parser.add_argument('--imagined', action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument('--log', type=Path, default=Path('runs/view_bench.log'))
    options = parser.parse_args()
    print(
        f'python {platform.python_version()}, rerun {rerun.__version__}, {os.cpu_count()} cores, '
        f'load {os.getloadavg()[0]:.1f}',
        flush=True,
    )
    with LiveGraph(GraphConfig(log_file=options.log)) as graph:
        graph.wait_until_ready()
        bench = Bench(graph)
        if options.memory_s:
            bench.memory(options.memory_s)
        if options.pairs:
            bench.jitter(options.pairs, options.window_s, options.imagined)


if __name__ == '__main__':
    main()
