# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Every planner and policy by name against the Planner protocol."""

from __future__ import annotations

from collections.abc import Iterator
import inspect
import math
from pathlib import Path

import numpy as np
import pytest

from fakes.motion import motion_file
from fakes.planners import FakePlanner, InlineWorker
from fakes.policy_servers_rigs import KINDS, QUICK, a_seen
from fakes.values import a_goal
from wm_planner.control.worker import PlanningWorker
from wm_planner.core.protocols import Planner
from wm_planner.core.types import Goal, Observation
from wm_planner.evaluation.environments import WantsEnvironment
from wm_planner.factory import PlannerSettings, make_planner, planner_names
from wm_planner.models.point_mass import PointMassConfig, PointMassRenderer

RENDERER = PointMassRenderer(PointMassConfig())


@pytest.fixture(params=planner_names())
def planner(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Planner]:
    name = request.param
    if name not in KINDS:
        needed = {'file': str(motion_file(tmp_path))} if name == 'playback' else {}
        settings = PlannerSettings(planner=needed)
        planner = make_planner(name, 'point_mass', settings, device='cpu')
        if isinstance(planner, WantsEnvironment):
            pytest.skip(f'{name} acts by the truth of a simulator and has tests of its own')
        yield planner
        return
    kind = KINDS[name]  # a policy on a server
    with kind.serve(lambda _: kind.put(kind.chunk())) as server:
        settings = PlannerSettings(planner={**QUICK, 'port': server.port})
        planner = make_planner(name, 'point_mass', settings, device='cpu')
        yield planner
        planner.close()


@pytest.fixture
def observation() -> Observation:
    return a_seen(image=RENDERER.draw([0.4, 0.1, 0.2]), image_stamps_ns=(5,))


@pytest.fixture
def goal() -> Goal:
    return a_goal(image=RENDERER.draw([0.6, -0.2, 0.4]), gripper_closedness=1.0)


def test_follows_the_protocol(planner: Planner) -> None:
    assert isinstance(planner, Planner)
    assert planner.context_frames == 1
    assert math.isnan(planner.goal_tolerance) or planner.goal_tolerance > 0.0


def test_plan_is_finite_inside_the_bounds_and_labelled(
    planner: Planner, observation: Observation, goal: Goal
) -> None:
    planner.prepare_goal(goal)
    plan = planner.plan(observation, goal, deadline_s=10.0)
    assert plan.goal_id == goal.goal_id
    assert plan.observation_stamp_ns == observation.stamp_ns
    assert np.all(np.isfinite(plan.actions))
    assert np.all(plan.actions >= planner.action_spec.low)
    assert np.all(plan.actions <= planner.action_spec.high)
    assert plan.action_spec is planner.action_spec
    assert plan.diagnostics.milliseconds['total'] >= 0.0


def test_goal_needs_no_preparation(planner: Planner, observation: Observation, goal: Goal) -> None:
    assert planner.plan(observation, goal).horizon >= 1


def test_plans_repeat_themselves_after_reset(
    planner: Planner, observation: Observation, goal: Goal
) -> None:
    planner.reset()
    first = [planner.plan(observation, goal).actions for _ in range(2)]
    planner.reset()
    again = [planner.plan(observation, goal).actions for _ in range(2)]
    assert np.array_equal(first, again)


def test_executed_steps_beyond_the_plan_do_no_harm(
    planner: Planner, observation: Observation, goal: Goal
) -> None:
    planner.plan(observation, goal)
    assert np.all(np.isfinite(planner.plan(observation, goal, executed_steps=99).actions))


def test_fake_planner_follows_the_protocol() -> None:
    assert isinstance(FakePlanner(), Planner)


def test_inline_worker_has_the_face_of_the_real_one() -> None:
    """The controller is tested on it; a method that is renamed must not be missed."""
    for name, method in inspect.getmembers(PlanningWorker, inspect.isfunction):
        if not name.startswith('_'):
            fake = inspect.signature(getattr(InlineWorker, name))
            assert list(fake.parameters) == list(inspect.signature(method).parameters), name
