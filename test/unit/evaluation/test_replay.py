# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Replay: the run's own plans come back, and what a bad model thinks of good actions shows."""

from __future__ import annotations

from dataclasses import replace
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from fakes.values import SPEC, a_state
from wm_planner.core.actions import action_between, action_to_command
from wm_planner.core.calibration import CameraCalibration, actions_to_base
from wm_planner.core.errors import DemonstrationError, PlannerFailedError
from wm_planner.core.geometry import euler_to_quaternion
from wm_planner.core.types import Goal, Observation
from wm_planner.evaluation.replay import (
    Moment,
    Replay,
    ReplayConfig,
    action_errors,
    check_comparable,
    done_after,
    rank_of,
    replay_moments,
)
from wm_planner.evaluation.replay_page import split_replays
from wm_planner.evaluation.report_page import render_report
from wm_planner.factory import PlannerSettings, make_planner
from wm_planner.models.point_mass import PointMassConfig, PointMassRenderer
from wm_planner.planning.planner import WorldModelPlanner

RENDERER = PointMassRenderer(PointMassConfig())
GOAL_M = np.array([0.62, 0.15, 0.40])


def a_planner(model: str = 'point_mass', seed: int = 3, **settings: object) -> WorldModelPlanner:
    made = make_planner(
        'cem', model, PlannerSettings(planner={'seed': seed}, model=settings), device='cpu'
    )
    assert isinstance(made, WorldModelPlanner)
    return made


def a_run(planner: WorldModelPlanner, steps: int = 6) -> list[Moment]:
    """Let a planner drive the point mass and return the moments a bag would have."""
    state = a_state((0.40, -0.1, 0.2))
    goal = Goal(goal_id='goal', image=RENDERER.draw(GOAL_M), gripper_closedness=0.0)
    moments: list[Moment] = []
    for number in range(steps):
        observation = Observation(
            images=RENDERER.draw(state.position_m)[None],
            image_stamps_ns=(number,),
            states=(replace(state, stamp_ns=number),),
        )
        plan = planner.plan(observation, goal, executed_steps=min(number, 1))
        moments.append(
            Moment(
                observation=observation,
                goal=goal,
                follows=number > 0,
                start=plan.start,
                actions=plan.actions,
                stop_reason=plan.diagnostics.stop_reason.value,
            )
        )
        command = action_to_command(plan.actions[0], plan.action_spec, state, number)
        state = replace(
            state, position_m=command.position_m, quaternion_xyzw=command.quaternion_xyzw
        )
    return moments


def test_recorded_plans_are_made_again_to_the_last_bit() -> None:
    moments = a_run(a_planner())
    steps = replay_moments(a_planner(seed=77), moments, ReplayConfig(), is_reproduction=True)
    assert [step.reproduced for step in steps] == [True] * 6
    assert max(step.position_error_m for step in steps[:-1]) < 1e-9  # it did what it planned


def test_a_plan_that_is_missing_or_in_another_order_does_not_matter() -> None:
    moments = a_run(a_planner())
    chosen = [moments[4], moments[1]]
    steps = replay_moments(a_planner(), chosen, ReplayConfig(), is_reproduction=True)
    assert [step.reproduced for step in steps] == [True, True]


def test_rank_does_not_depend_on_how_the_camera_stands() -> None:
    """What was done in base_frame is ranked among what the search could draw, in its own axes."""
    turn = tuple(euler_to_quaternion([0.0, 0.0, math.pi / 3]))
    settings = PlannerSettings(calibration=CameraCalibration(quaternion_xyzw=turn))
    turned = make_planner('cem', 'point_mass', settings, device='cpu')
    straight = a_planner()
    assert isinstance(turned, WorldModelPlanner)
    moment = a_run(straight, 1)[0]
    done = np.random.default_rng(0).uniform(-0.05, 0.05, (2, 5)) * [1.0, 1.0, 1.0, 1.0, 0.0]
    in_base = actions_to_base(done, straight.action_spec, turn)
    config = ReplayConfig(samples=64, elites=8)
    expected, found = (
        rank_of(actions, planner.scorer(moment.observation, moment.goal), config, 0)
        for planner, actions in ((straight, done), (turned, in_base))
    )
    assert found == pytest.approx(expected, rel=1e-3)


def test_another_seed_makes_other_plans_and_is_not_compared() -> None:
    moments = a_run(a_planner())
    steps = replay_moments(a_planner(), moments, ReplayConfig(seed=5), is_reproduction=False)
    assert {step.reproduced for step in steps} == {None}
    assert max(step.position_error_m for step in steps[:-1]) > 1e-6


def test_a_changed_record_is_noticed() -> None:
    moments = a_run(a_planner(), steps=2)
    assert moments[1].actions is not None
    changed = moments[1].actions.copy()
    changed[0, 0] = np.nextafter(changed[0, 0], 1.0)
    steps = replay_moments(
        a_planner(),
        [moments[0], replace(moments[1], actions=changed)],
        ReplayConfig(),
        is_reproduction=True,
    )
    assert [step.reproduced for step in steps] == [True, False]


def test_plans_that_a_clock_cut_short_are_not_compared() -> None:
    moments = [replace(moment, stop_reason='deadline') for moment in a_run(a_planner(), steps=2)]
    steps = replay_moments(a_planner(), moments, ReplayConfig(), is_reproduction=True)
    assert {step.reproduced for step in steps} == {None}


def test_good_actions_rank_high_with_a_model_that_knows_the_world() -> None:
    moments = a_run(a_planner(), steps=5)
    steps = replay_moments(a_planner(), moments, ReplayConfig(), is_reproduction=False)
    known = [step for step in steps if np.isfinite(step.rank)]
    assert len(known) == 3  # horizon 2: the last two moments have too little after them
    assert max(step.rank for step in known) < 0.05
    assert max(step.regret for step in known) < 0.3
    assert len(known[0].prediction) == 2
    assert max(known[0].prediction) < 0.01 < min(known[0].unmoved)


def test_elite_regret_separates_the_trained_model_from_an_untrained_one(tmp_path: Path) -> None:
    """The same network with seeded random weights, on what an expert did with a block."""
    pytest.importorskip('mujoco', reason='mujoco is not installed')
    from wm_planner.models.tabletop.checkpoint import SHIPPED_WEIGHTS, load_weights, save_weights
    from wm_planner.models.tabletop.network import TabletopNetwork
    from wm_planner_sim.suites import TabletopEnvironment

    environment = TabletopEnvironment()
    environment.keep_demonstration = True
    environment.reset('pick', seed=11, episode=0)
    environment.close()
    seen = [observation for observation, _ in environment.demonstration[:-1]]
    goal = Goal(goal_id='last', image=seen[-1].images[-1], gripper_closedness=1.0)
    moments = [
        Moment(observation=observation, goal=goal, follows=number > 0)
        for number, observation in enumerate(seen[5:])  # from the lift on, straight to the goal
    ]
    _, card = load_weights(SHIPPED_WEIGHTS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        untrained = TabletopNetwork(card.architecture)
    file = tmp_path / 'untrained.safetensors'
    save_weights(
        untrained,
        file,
        action_spec=card.action_spec,
        goal_tolerance=card.goal_tolerance,
        training=card.training,
        measured=card.measured,
    )
    regrets = {}
    for name, settings in (('trained', {}), ('untrained', {'weights': str(file)})):
        planner = a_planner('tabletop', **settings)
        steps = replay_moments(planner, moments, ReplayConfig(), is_reproduction=False)
        regrets[name] = [step.regret for step in steps if np.isfinite(step.regret)]
    assert regrets['trained'] and regrets['untrained']
    assert np.median(regrets['trained']) < 0.3 < np.median(regrets['untrained'])


def test_done_is_what_the_states_show_and_ends_at_a_gap() -> None:
    moments = a_run(a_planner(), steps=5)
    spec = a_planner().action_spec
    done = done_after(moments, 0, 10, spec)
    assert done.shape == (4, spec.size)
    assert moments[0].actions is not None
    assert done[0] == pytest.approx(moments[0].actions[0], abs=1e-9)
    gap = [*moments[:2], replace(moments[2], follows=False), *moments[3:]]
    assert len(done_after(gap, 0, 10, spec)) == 1
    assert len(done_after(gap, 4, 10, spec)) == 0


def test_action_between_is_the_inverse_of_a_command() -> None:
    state = a_state((0.5, 0.1, 0.3), closedness=0.2)
    action = np.array([0.02, -0.03, 0.01, 0.25, 0.9])
    command = action_to_command(action, SPEC, state, 0)
    after = a_state(command.position_m, quaternion_xyzw=command.quaternion_xyzw, closedness=0.9)
    assert action_between(state, after, SPEC) == pytest.approx(action)
    far = a_state((0.9, 0.1, 0.3))
    assert action_between(state, far, SPEC)[0] == 0.06  # bounded


def test_errors_are_per_kind_of_dimension() -> None:
    found = action_errors(np.array([0.03, 0.04, 0, 0.1, 1.0]), np.zeros(5), SPEC)
    assert found == pytest.approx(
        {'position_error_m': 0.05, 'rotation_error_rad': 0.1, 'gripper_error': 1.0}
    )


def test_nothing_to_replay_and_another_action_space_are_refused() -> None:
    with pytest.raises(DemonstrationError, match='no moment to plan at'):
        replay_moments(a_planner(), [], ReplayConfig(), is_reproduction=False)
    moment = a_run(a_planner(), steps=1)[0]
    with pytest.raises(PlannerFailedError, match=r'\[3\] action dimensions'):
        check_comparable(a_planner(), [replace(moment, actions=np.zeros((2, 3)))])


def test_policies_are_replayed_without_energies() -> None:
    moments = a_run(a_planner(), steps=3)
    policy = make_planner('noop', 'point_mass', device='cpu')
    steps = replay_moments(policy, moments, ReplayConfig(), is_reproduction=False)
    assert steps[0].position_error_m > 0.01 and np.isnan(steps[0].rank)


def test_replays_are_on_the_report_page(tmp_path: Path) -> None:
    moments = a_run(a_planner(), steps=5)
    steps = replay_moments(a_planner(), moments, ReplayConfig(), is_reproduction=True)
    result = Replay(
        source='runs/some_bag',
        planner='cem',
        model='point_mass',
        settings={},
        seed=0,
        is_reproduction=True,
        steps=steps,
        skipped={'frame not in the bag': 2},
    )
    file = tmp_path / 'mine.json'
    file.write_text(json.dumps(result.as_json()))
    others, replays = split_replays([tmp_path])
    assert others == [] and [path for path, _ in replays] == [file]
    page = render_report([], title='t', replays=replays)
    for text in ('Replays', 'cem on point_mass (mine)', '5 of 5', '2 frame not in the bag', 'rank'):
        assert text in page
    summary = result.summary()
    assert summary['plans_reproduced'] == 5
    assert summary['prediction'][0] < summary['unmoved'][0]
