# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The tabletop suites: starts, goals, scores."""

from __future__ import annotations

import numpy as np
import pytest

from wm_planner.core.errors import UnknownNameError
from wm_planner.core.protocols import Environment
from wm_planner.core.types import ArmCommand
from wm_planner_sim.behaviours import Driver, apply_action, grasp_yaw, pick_waypoints
from wm_planner_sim.suites import TabletopEnvironment


@pytest.fixture(scope='module')
def environment() -> TabletopEnvironment:
    """One environment for the module: a process should have one renderer."""
    made = TabletopEnvironment()
    yield made
    made.close()


def test_environment_keeps_the_protocol(environment: TabletopEnvironment) -> None:
    """What evaluation calls is there."""
    assert isinstance(environment, Environment)


@pytest.mark.parametrize('suite', ['reach', 'push', 'pick', 'push_subgoals'])
def test_episode_repeats_exactly_when_seed_and_number_are_the_same(
    environment: TabletopEnvironment, suite: str
) -> None:
    """(suite, seed, episode) fixes start and goal pictures, whatever ran before."""
    first = environment.reset(suite, seed=11, episode=2)
    environment.reset('reach', seed=1, episode=0)
    second = environment.reset(suite, seed=11, episode=2)
    assert np.array_equal(first.observation.images, second.observation.images)
    for one, other in zip(first.goals, second.goals, strict=True):
        assert np.array_equal(one.image, other.image)
    assert environment.reset(suite, seed=11, episode=3).metrics != first.metrics


def test_reach_starts_between_10_and_30_cm_from_the_goal(environment: TabletopEnvironment) -> None:
    """Never solved at the start, never farther than the suite says."""
    for episode in range(8):
        start = environment.reset('reach', seed=5, episode=episode)
        assert 0.10 <= start.metrics['distance_m'] <= 0.301
        assert not environment.score().success


def test_reach_succeeds_when_the_tool_is_at_the_goal_pose(environment: TabletopEnvironment) -> None:
    """The goal's own pose, servoed to, is success; the start is not."""
    start = environment.reset('reach', seed=5, episode=1)
    pose = start.goals[-1].pose
    assert pose is not None
    command = ArmCommand(
        stamp_ns=0,
        position_m=pose.position_m,
        quaternion_xyzw=pose.quaternion_xyzw,
        gripper_closedness=0.0,
    )
    result = environment.step(command, 2.0)
    assert result.success
    assert result.metrics['distance_m'] < 0.005


def test_goal_picture_is_what_the_camera_sees_at_the_goal(environment: TabletopEnvironment) -> None:
    """Reaching the goal pose reproduces the goal picture almost everywhere."""
    start = environment.reset('reach', seed=5, episode=2)
    pose = start.goals[-1].pose
    assert pose is not None
    command = ArmCommand(
        stamp_ns=0,
        position_m=pose.position_m,
        quaternion_xyzw=pose.quaternion_xyzw,
        gripper_closedness=0.0,
    )
    seen = environment.step(command, 2.0).observation.images[-1].astype(int)
    goal = start.goals[-1].image.astype(int)
    first = start.observation.images[-1].astype(int)
    assert np.abs(seen - goal).mean() < 0.15 * np.abs(first - goal).mean()


def test_pick_goals_carry_the_gripper_state_they_were_taken_with(
    environment: TabletopEnvironment,
) -> None:
    """Open at the block, then closed on it; the suite of bare pictures carries none."""
    closedness = [g.gripper_closedness for g in environment.reset('pick', seed=3, episode=0).goals]
    assert closedness[0] == pytest.approx(0.0, abs=0.02)
    assert closedness[1] > 0.25
    assert closedness[2] > 0.25
    bare = environment.reset('pick_pictures', seed=3, episode=0).goals
    assert [g.gripper_closedness for g in bare] == [None, None, None]


def test_scripted_pick_solves_the_pick_suite(environment: TabletopEnvironment) -> None:
    """The score agrees with an expert that really lifts the block."""
    start = environment.reset('pick', seed=3, episode=1)
    block = next(b for b in ('red_block', 'blue_block') if b.split('_')[0] in start.instruction)
    driver = Driver(pick_waypoints(environment.sim, block, 0.14))
    while (action := driver.action(environment.sim.robot_state())) is not None:
        apply_action(environment.sim, action)
    assert environment.score().success


def test_unknown_suite_names_the_nearest(environment: TabletopEnvironment) -> None:
    """A typo gets the nearest name and the whole list."""
    with pytest.raises(UnknownNameError, match="Did you mean 'reach'"):
        environment.reset('reech', seed=0, episode=0)


@pytest.mark.parametrize('yaw', np.linspace(-3.1, 3.1, 13))
def test_grasp_yaw_is_a_face_of_the_block_within_an_eighth_turn(yaw: float) -> None:
    """Congruent to the block's yaw modulo a quarter turn, and inside the arm's easy range."""
    grasp = grasp_yaw(float(yaw))
    assert -np.pi / 4 <= grasp <= np.pi / 4
    quarters = (grasp - yaw) / (np.pi / 2)
    assert quarters == pytest.approx(round(quarters), abs=1e-9)
