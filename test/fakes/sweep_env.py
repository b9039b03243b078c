# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""SweepEnv: a simulator with several tasks, costs and mishaps, for processes that a test starts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
import os
from pathlib import Path
import signal

from fakes.loopback_env import LoopbackEnv
from wm_planner.core.errors import SimulatorError
from wm_planner.core.types import ArmCommand, EpisodeStart, StepResult

LEMON, MUG, DRAWER = (
    'safety_static_obstacles/L0/lemon',
    'safety_static_obstacles/L1/mug',
    'long_horizon/L0/drawer',
)
ROBOT = '{name: roomy, base_frame: base, tool_frame: tool, max_speed_m_s: 1.0}'
TESTS = Path(__file__).resolve().parents[1]


class SweepEnv(LoopbackEnv):
    """Three tasks; what happens in an episode is said by environment variables.

    All begin with WM_PLANNER_SWEEP_. LOG: a file that gets a line for each episode begun. KILL: the
    episode, as ``TASK:EPISODE``, in which the process is killed, KILLS times (1). BREAK: the one
    that the simulator cannot run.
    """

    def suites(self) -> tuple[str, ...]:
        return (LEMON, MUG, DRAWER)

    def reset(self, suite: str, *, seed: int, episode: int) -> EpisodeStart:
        name = f'{suite}:{episode}'
        log = Path(os.environ['WM_PLANNER_SWEEP_LOG'])
        with log.open('a') as file:
            file.write(f'{name}\n')
        begun = episodes_begun(log)[name]
        if name == os.environ.get('WM_PLANNER_SWEEP_KILL') and begun <= int(
            os.environ.get('WM_PLANNER_SWEEP_KILLS', 1)
        ):
            os.kill(os.getpid(), signal.SIGKILL)
        if name == os.environ.get('WM_PLANNER_SWEEP_BREAK'):
            raise SimulatorError('the cereal fell off the table.')
        return super().reset(suite, seed=seed, episode=episode)

    def step(self, command: ArmCommand, duration_s: float) -> StepResult:
        return replace(super().step(command, duration_s), cost=0.5, cost_upstream=1.0)


def episodes_begun(log: Path) -> Counter[str]:
    """Return how often each episode was begun."""
    return Counter(log.read_text().split())


def install(folder: Path, name: str = 'sweep') -> str:
    """Leave a package's metadata in ``folder``; return the PYTHONPATH that makes it installed."""
    metadata = folder / 'fake_environments-1.0.dist-info'
    metadata.mkdir(parents=True)
    (metadata / 'METADATA').write_text('Metadata-Version: 2.1\nName: fake_environments\n')
    (metadata / 'entry_points.txt').write_text(
        f'[wm_planner.environments]\n{name} = fakes.sweep_env:SweepEnv\n'
        'loopback = fakes.loopback_env:LoopbackEnv\n'
    )
    return os.pathsep.join([str(folder), str(TESTS)])
