# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Two official tasks through bridge, planner node and recorder, beside the same runs without ROS.

An arm that follows the oracle's recorded motion succeeds in both, at the same cost, and the bag of
the live episode plays back into another planner. Skipped, with the reason, where the engine or the
tasks are absent.
"""

from __future__ import annotations

from collections.abc import Iterator
import json
import os
from pathlib import Path
import subprocess
import sys
from typing import Any

import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('mujoco', reason='mujoco is not installed')

from rosbags.highlevel import AnyReader  # noqa: E402

from fakes.arena_root import arena_root  # noqa: E402
from fakes.bag_player import BagPlayer  # noqa: E402
from fakes.planner_harness import PlannerHarness  # noqa: E402

SPEED = 0.7
PATIENCE_S = 300.0
TASKS = {
    # Upstream charges a mug that falls at every success here, fallen or not.
    'safety_static_obstacles/L1/pick_the_tomato_and_place_it_on_the_bowl_1': 10.0,
    'safety_static_obstacles/L0/pick_the_lemon_and_place_it_on_the_bowl_0': 0.0,
}


def evaluate(task: str, report: Path, *more: str) -> dict[str, Any]:
    """Run one episode and return its record."""
    command = ('evaluate', '--suite', f'arena/{task}', '--episodes', '1', '--seed', '7')
    done = subprocess.run(
        [sys.executable, '-m', 'wm_planner.tools.cli', *command, '--json', str(report), *more],
        env={
            **os.environ,
            'WM_PLANNER_ASSET_ROOT': str(arena_root()),
            'WM_PLANNER_ARENA_GOALS': 'none',
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (episode,) = json.loads(report.read_text())['episodes']
    return {**episode, 'folder': report.parent}


class Runs:
    """The same motion directly and over the live graph, for each task."""

    def __init__(self, folder: Path) -> None:
        self.oracle: dict[str, Any] = {}
        self.direct: dict[str, Any] = {}
        self.live: dict[str, Any] = {}
        for number, task in enumerate(TASKS):
            place = folder / str(number)
            oracle = evaluate(task, place / 'o.json', '--planner', 'oracle', '--save-motion')
            motion = place / oracle['pictures']['motion']
            values = (f'planning.file={motion}', f'planning.speed={SPEED}')
            follow = ('--planner', 'playback', '--set', values[0], '--set', values[1])
            self.oracle[task] = oracle
            self.direct[task] = evaluate(task, place / 'direct.json', *follow)
            live = (*follow, '--through', 'ros', '--save-bag')
            self.live[task] = evaluate(task, place / 'live.json', *live)


@pytest.fixture(scope='module')
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    arena_root()
    yield Runs(tmp_path_factory.mktemp('runs'))


@pytest.mark.parametrize('task', TASKS)
def test_live_graph_agrees_with_the_direct_run(runs: Runs, task: str) -> None:
    for record in (runs.oracle[task], runs.direct[task], runs.live[task]):
        assert record['success'] is True, record
        assert record['termination'] == 'reached'
        assert record['cost_upstream'] == TASKS[task]
        assert record['cost'] == 0.0
        assert record['model'] == '', 'no world model has a part in it'
    assert abs(runs.live[task]['steps'] - runs.direct[task]['steps']) <= 6


@pytest.mark.parametrize('task', TASKS)
def test_bag_holds_the_episode_and_plays_back(runs: Runs, task: str) -> None:
    record = runs.live[task]
    bag = record['folder'] / record['pictures']['bag']
    with AnyReader([bag]) as reader:
        counts = {c.topic: c.msgcount for c in reader.connections}
        statuses = [
            reader.deserialize(data, connection.msgtype)
            for connection, _, data in reader.messages(
                [c for c in reader.connections if c.topic == '/episode_status']
            )
        ]
    for topic in ('/camera/exterior/image_raw', '/tool_pose', '/target_pose', '/joint_states'):
        assert counts[topic] > 30, counts
    assert statuses[-1].suite == task and statuses[-1].success and statuses[-1].is_over
    assert statuses[-1].cost_upstream == TASKS[task]

    parameters = {
        'robot': 'panda_arena',
        'planner': 'noop',
        'dry_run': True,
        'use_sim_time': True,
        'buffer.stream_timeout_s': 10.0,
    }
    with (
        PlannerHarness(parameters, is_active=False, has_robot=False) as harness,
        BagPlayer(harness.context, bag) as player,
    ):
        harness.client.wait_until_active(30.0)
        seen = 0

        def follows() -> bool:
            nonlocal seen
            assert player.play_due(), harness.statuses[-1].message
            new, seen = harness.statuses[seen:], len(harness.statuses)
            return any(s.error_code == 0 and abs(s.image_age_s) < 0.5 for s in new)

        harness.wait(follows, 'the planner follows the streams of the bag')
