# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The bridge process with an official task of VLA-Arena: the topics and services of the tabletop.

Skipped, with the reason, where the engine or the tasks are absent.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('mujoco', reason='mujoco is not installed')

from fakes.arena_root import arena_root  # noqa: E402
from fakes.bridge_client import BASE, MS, BridgeClient, stamp_ns  # noqa: E402
from fakes.node_process import NodeProcess  # noqa: E402

MODULE = 'wm_planner_sim.bridge_node'
SUITE = 'safety_static_obstacles/L1/pick_the_lemon_and_place_it_on_the_bowl_1'
OTHER = 'safety_static_obstacles/L0/pick_the_lemon_and_place_it_on_the_bowl_0'
SIZE_PX = 64


@pytest.fixture(scope='module')
def goal_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('goals')


@pytest.fixture(scope='module')
def client(goal_folder: Path) -> Iterator[BridgeClient]:
    parameters = {
        'environment': 'arena',
        'asset_root': str(arena_root()),
        'goal_folder': str(goal_folder),
        'goals': 'sub_goals',
        'image_width': SIZE_PX,
        'image_height': SIZE_PX,
    }
    with NodeProcess(MODULE, 'sim_bridge', **parameters) as process:
        process.wait_for_output('arena runs')
        made = BridgeClient()
        yield made
        made.close()
        assert process.stop() == 0, process.output


def test_episode_comes_with_goals_instruction_and_costs(client: BridgeClient) -> None:
    response = client.reset(SUITE, seed=1, episode=0)
    assert response.success, response.message
    assert len(response.goal_images) == len(response.goal_poses) == 3
    assert {(i.width, i.height) for i in response.goal_images} == {(SIZE_PX, SIZE_PX)}
    assert sum(response.steps_per_goal) == 300
    assert response.instruction == 'pick the lemon and place it on the bowl'
    client.forget()
    client.spin_until(lambda: client.newest('status') is not None, 'a status')
    status = client.newest('status')
    assert (status.suite, status.goal_count, status.success) == (SUITE, 3, False)
    assert (status.cost, status.cost_upstream) == (0.0, 0.0)


def test_episode_that_cannot_be_started_leaves_the_one_before(client: BridgeClient) -> None:
    """The file of initial states is gone: that is noticed when the scene of it is there already."""
    assert client.reset(SUITE, seed=1, episode=0).success
    suite, level, task = OTHER.split('/')
    file = arena_root() / 'init_files' / suite / f'level_{level[1:]}' / f'{task}.pruned_init'
    kept = file.rename(file.with_suffix('.kept'))
    try:
        response = client.reset(OTHER, seed=1, episode=0)
    finally:
        kept.rename(file)
    assert not response.success and 'is missing' in response.message
    client.forget()
    client.spin_until(lambda: client.newest('status') is not None, 'a status')
    status = client.newest('status')
    assert (status.suite, status.goal_count) == (SUITE, 3)
    assert client.reset(OTHER, seed=1, episode=0).success
    assert client.reset(SUITE, seed=1, episode=0).success


def test_episode_that_is_ended_is_over_and_stays_so(client: BridgeClient) -> None:
    assert client.reset(SUITE, seed=1, episode=0).success
    for _ in range(2):
        assert client.end_episode().success
    client.forget()
    client.spin_until(lambda: client.newest('status') is not None, 'a status')
    status = client.newest('status')
    assert status.is_over and status.failed and not status.success
    assert client.reset('', seed=1, episode=0).success
    response = client.end_episode()
    assert not response.success and 'no episode' in response.message


def test_arm_goes_to_a_target_and_time_to_the_clock(client: BridgeClient) -> None:
    client.pause(False)
    assert client.reset(SUITE, seed=1, episode=0).success
    client.pause(True)
    client.forget()
    client.step(0.05)
    client.spin_until(lambda: client.newest('tool') is not None, 'the tool')
    assert client.newest('tool').header.frame_id == BASE
    goal = client.tool() + [0.02, 0.03, -0.02]
    for _ in range(30):
        client.send((float(goal[0]), float(goal[1]), float(goal[2])))
        before = stamp_ns(client.newest('tool').header.stamp)
        client.step(0.05)
        client.spin_until(
            lambda before=before: stamp_ns(client.newest('tool').header.stamp) > before, 'a step'
        )
    assert np.linalg.norm(client.tool() - goal) < 0.01
    assert set(np.diff([stamp_ns(m.clock) for m in client.seen['clock']])) <= {50 * MS}
    client.pause(False)


def test_joint_target_is_gone_to(client: BridgeClient) -> None:
    """The first joint turns the tool about the base's z axis: 0.1 rad, whatever the posture."""
    client.pause(False)
    assert client.reset(SUITE, seed=1, episode=0).success
    client.pause(True)
    client.forget()
    client.step(0.05)
    client.spin_until(lambda: client.newest('tool') and client.newest('joints'), 'the arm')
    x, y, z = client.tool()
    client.go_to_joints({'panda_joint1': 0.1}, steps=30)
    turned = [x * np.cos(0.1) - y * np.sin(0.1), x * np.sin(0.1) + y * np.cos(0.1), z]
    assert np.linalg.norm(client.tool() - turned) < 0.01
    client.pause(False)


def test_unknown_task_offers_the_nearest_and_changes_nothing(client: BridgeClient) -> None:
    assert client.reset(SUITE, seed=1, episode=0).success
    response = client.reset(SUITE.replace('lemon', 'melon'), seed=1, episode=0)
    assert not response.success and response.error_code == 103
    assert 'pick_the_lemon_and_place_it_on_the_bowl_1' in response.message
    client.forget()
    client.spin_until(lambda: client.newest('status') is not None, 'a status')
    assert client.newest('status').suite == SUITE


def test_reset_that_fails_goes_home_and_the_next_one_works(
    client: BridgeClient, goal_folder: Path
) -> None:
    assert client.reset(SUITE, seed=1, episode=0).success
    (file,) = (goal_folder / SUITE).glob('000-*.npz')
    file.write_bytes(b'cut off')
    response = client.reset(SUITE, seed=1, episode=0)
    assert not response.success and 'holds no goals' in response.message
    client.forget()
    client.spin_until(lambda: client.newest('status') is not None, 'a status')
    assert (client.newest('status').suite, client.newest('status').failed) == ('', False)
    file.unlink()
    assert client.reset(SUITE, seed=1, episode=0).success
    client.forget()
    client.spin_until(lambda: client.newest('status') is not None, 'a status')
    assert client.newest('status').suite == SUITE


def test_asset_root_without_tasks_ends_the_bridge(tmp_path: Path) -> None:
    arena_root()
    with NodeProcess(
        MODULE, 'sim_bridge', environment='arena', asset_root=str(tmp_path)
    ) as process:
        assert process.wait() == 1
        assert '[502]' in process.output and 'lay-out' in process.output
