# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""WorldModelPlanner on a model of one line, with time in the test's hand."""

from __future__ import annotations

from dataclasses import replace
import math

import numpy as np
import pytest
import torch

from fakes.sum_model import SumModel, planner_on
from fakes.values import SPEC, a_goal, an_image, an_observation
from wm_planner.core.errors import (
    InvalidImageError,
    NoFiniteEnergyError,
    PlannerFailedError,
)
from wm_planner.core.protocols import OptimizationResult
from wm_planner.core.types import StopReason
from wm_planner.planning.objectives import ObjectiveConfig, make_objective
from wm_planner.planning.planner import PlannerConfig, WorldModelPlanner, shift_steps
from wm_planner.planning.shooting import ShootingEnergy

GOAL = a_goal(image=an_image(130))
OBSERVATION = an_observation(7, image=an_image(100))


def test_plan_goes_straight_to_the_goal() -> None:
    """130 - 100 = 30 units of brightness = 0.03 on each axis, in one step of at most 0.06."""
    cem = {'num_samples': 512, 'num_elites': 50, 'num_iterations': 30, 'min_std_scale': 0.0}
    plan = planner_on(SumModel(), cem=cem).plan(OBSERVATION, GOAL)
    assert plan.actions[0, :3] == pytest.approx([0.03] * 3, abs=2e-3)
    assert plan.actions[1:, :3] == pytest.approx(np.zeros((2, 3)), abs=4e-3)
    assert plan.goal_energy == pytest.approx(0.03**2)
    assert plan.goal_id == 'goal'
    assert plan.observation_stamp_ns == 7
    assert set(plan.diagnostics.milliseconds) == {
        'goal',
        'encode',
        'optimize',
        'total',
    }
    assert plan.diagnostics.rollouts == 30 * 512 + 1
    assert len(plan.diagnostics.std) == SPEC.size


def test_same_seed_gives_the_same_plans_after_reset_and_in_a_new_planner() -> None:
    planner = planner_on(SumModel(), seed=5)
    first = [planner.plan(OBSERVATION, GOAL).actions for _ in range(2)]
    planner.reset()
    again = [planner.plan(OBSERVATION, GOAL).actions for _ in range(2)]
    other = planner_on(SumModel(), seed=5).plan(OBSERVATION, GOAL).actions
    assert np.array_equal(first, again)
    assert np.array_equal(first[0], other)
    assert not np.array_equal(first[0], first[1])  # the draws go on in between


def test_seed_changes_the_draws() -> None:
    planner = planner_on(SumModel())
    first = planner.plan(OBSERVATION, GOAL).actions
    planner.reset()
    planner.seed(99)
    assert not np.array_equal(first, planner.plan(OBSERVATION, GOAL).actions)


def test_plan_does_not_depend_on_the_chunk_size() -> None:
    plans = [
        planner_on(SumModel(), max_samples_per_chunk=chunk).plan(OBSERVATION, GOAL)
        for chunk in (0, 1, 7, 64, 1000)
    ]
    for plan in plans[1:]:
        assert np.array_equal(plan.actions, plans[0].actions)
        assert plan.energy == plans[0].energy


def test_chunks_are_no_larger_than_asked() -> None:
    model = SumModel()
    planner_on(model, max_samples_per_chunk=7).plan(OBSERVATION, GOAL)
    assert max(model.rollout_sizes) == 7
    assert sum(model.rollout_sizes) == 6 * 64 + 1


def test_shooting_energy_is_the_objective_of_the_rollout() -> None:
    model, objective = SumModel(), make_objective(ObjectiveConfig(), horizon=2)
    state, goal_latent = model.encode(OBSERVATION), model.encode_goal(GOAL)
    energy = ShootingEnergy(model, objective, state=state, goal_latent=goal_latent)
    actions = torch.randn(9, 2, 5)
    expected = ((0.1 + actions[:, :, :3].sum(1) - 0.13) ** 2).mean(-1)
    assert torch.allclose(energy(actions), expected, atol=1e-6)


def test_actions_are_inside_the_bounds_in_double_precision() -> None:
    """In single precision 0.1 is 0.10000000149: just outside."""
    model = SumModel()
    model.action_spec = replace(SPEC, high=np.array([0.1, 0.1, 0.1, 0.35, 1.0]))
    cem = {'plan_from': 'best', 'horizon': 1, 'init_std_scale': 3.0}
    plan = planner_on(model, cem=cem).plan(OBSERVATION, a_goal(image=an_image(255)))
    assert plan.actions[0, :3].tolist() == [0.1] * 3
    assert np.all(plan.actions <= model.action_spec.high)


# goals ------------------------------------------------------------------------------------------


def test_goal_is_encoded_once() -> None:
    model = SumModel()
    planner = planner_on(model)
    planner.prepare_goal(GOAL)
    for _ in range(3):
        planner.plan(OBSERVATION, GOAL)
    assert model.encoded_goals == ['goal']


def test_another_picture_under_the_same_name_is_encoded_anew() -> None:
    planner = planner_on(SumModel())
    planner.plan(OBSERVATION, GOAL)
    plan = planner.plan(OBSERVATION, a_goal(image=an_image(110)))
    assert plan.goal_energy == pytest.approx(0.01**2)


def test_goal_cache_is_bounded() -> None:
    model = SumModel()
    planner = planner_on(model, goal_cache_size=2)
    goals = [a_goal(name) for name in 'abc']
    for goal in (*goals, goals[2], goals[0]):
        planner.prepare_goal(goal)
    assert model.encoded_goals == ['a', 'b', 'c', 'a']


def test_goal_that_the_model_refuses_is_an_input_error() -> None:
    with pytest.raises(InvalidImageError):
        planner_on(SumModel()).prepare_goal(a_goal(image=an_image(0)))


# the gripper ------------------------------------------------------------------------------------


@pytest.mark.parametrize(('recorded', 'commanded'), [(0.26, 1.0), (0.25, 0.0), (0.0, 0.0)])
def test_gripper_is_pinned_to_the_recorded_state(recorded, commanded) -> None:
    plan = planner_on(SumModel()).plan(OBSERVATION, replace(GOAL, gripper_closedness=recorded))
    assert np.all(plan.actions[:, 4] == commanded)


@pytest.mark.parametrize(('config', 'closedness'), [({'pin_gripper': False}, 1.0), ({}, None)])
def test_gripper_is_free_where_it_is_not_pinned(config, closedness) -> None:
    goal = replace(GOAL, gripper_closedness=closedness)
    plan = planner_on(SumModel(), **config).plan(OBSERVATION, goal)
    assert not np.any(np.isin(plan.actions[:, 4], [0.0, 1.0]))


# warm start -------------------------------------------------------------------------------------


class RecordingOptimizer:
    """Returns a fixed plan and records what it was started with."""

    MEAN = torch.arange(15.0).reshape(3, 5) / 1000.0

    def __init__(self):
        self.init_means = []
        self.init_elites = []
        self.actions = self.MEAN
        self.energy = 1.0
        self.error = None

    def minimize(self, energy_fn, spec, *, init_mean, init_elites, generator, should_stop):
        self.init_means.append(init_mean)
        self.init_elites.append(init_elites)
        if self.error is not None:
            raise self.error
        return OptimizationResult(
            actions=self.actions,
            energy=self.energy,
            mean=self.MEAN,
            std=torch.ones(3, 5),
            elites=torch.stack([self.MEAN + 1.0, self.MEAN + 2.0]),
            elite_energies=torch.ones(2),
            iterations=1,
            rollouts=1,
            non_finite_count=0,
            stop_reason=StopReason.CONVERGED,
        )


def recording_planner(**config):
    optimizer = RecordingOptimizer()
    planner = WorldModelPlanner(
        SumModel(),
        make_objective(ObjectiveConfig(), horizon=3),
        optimizer,
        PlannerConfig(**config),
        device='cpu',
    )
    return planner, optimizer


@pytest.mark.parametrize(('executed', 'rows'), [(0, [0, 1, 2]), (1, [1, 2, 2]), (2, [2, 2, 2])])
def test_warm_start_is_the_last_mean_shifted_with_its_tail_repeated(executed, rows) -> None:
    planner, optimizer = recording_planner()
    planner.plan(OBSERVATION, GOAL)
    planner.plan(OBSERVATION, GOAL, executed_steps=executed)
    assert optimizer.init_means[0] is None
    assert torch.equal(optimizer.init_means[1], RecordingOptimizer.MEAN[rows])
    assert optimizer.init_elites[0] is None
    kept = torch.stack([RecordingOptimizer.MEAN[rows] + 1.0, RecordingOptimizer.MEAN[rows] + 2.0])
    assert torch.equal(optimizer.init_elites[1], kept)


def test_nothing_is_left_to_start_from_when_the_plan_is_used_up() -> None:
    assert shift_steps(torch.ones(3, 5), 3) is None
    assert shift_steps(torch.ones(3, 5), 7) is None


def test_warm_start_is_dropped_when_the_goal_changes() -> None:
    planner, optimizer = recording_planner()
    planner.plan(OBSERVATION, GOAL)
    planner.plan(OBSERVATION, a_goal('other'))
    planner.plan(OBSERVATION, GOAL)
    assert optimizer.init_means == optimizer.init_elites == [None, None, None]


def test_warm_start_is_dropped_by_reset_and_by_config() -> None:
    planner, optimizer = recording_planner()
    planner.plan(OBSERVATION, GOAL)
    planner.reset()
    planner.plan(OBSERVATION, GOAL)
    cold, cold_optimizer = recording_planner(warm_start=False)
    cold.plan(OBSERVATION, GOAL)
    cold.plan(OBSERVATION, GOAL)
    assert optimizer.init_means == [None, None]
    assert cold_optimizer.init_means == [None, None]


def test_warm_start_is_dropped_after_a_plan_that_failed() -> None:
    planner, optimizer = recording_planner()
    planner.plan(OBSERVATION, GOAL)
    optimizer.error = NoFiniteEnergyError('none')
    with pytest.raises(NoFiniteEnergyError):
        planner.plan(OBSERVATION, GOAL)
    optimizer.error = None
    planner.plan(OBSERVATION, GOAL)
    assert optimizer.init_means[2] is None


# what must not get out --------------------------------------------------------------------------


@pytest.mark.parametrize('broken', [math.nan, math.inf])
@pytest.mark.parametrize(
    ('part', 'error'),
    [
        ('break_observation', NoFiniteEnergyError),
        ('break_goal', PlannerFailedError),
        ('break_rollout', NoFiniteEnergyError),
    ],
)
def test_numbers_that_are_not_finite_raise_and_never_reach_a_plan(part, error, broken) -> None:
    model = SumModel()
    model.broken = broken
    setattr(model, part, True)
    with pytest.raises(error, match='finite'):
        planner_on(model).plan(OBSERVATION, GOAL)


@pytest.mark.parametrize(
    'damage',
    [
        {'actions': torch.full((3, 5), math.nan)},
        {'actions': torch.full((3, 5), -math.inf)},
        {'energy': math.nan},
    ],
)
def test_a_plan_that_is_not_finite_is_a_failure(damage) -> None:
    planner, optimizer = recording_planner()
    for name, value in damage.items():
        setattr(optimizer, name, value)
    with pytest.raises(PlannerFailedError, match='not finite'):
        planner.plan(OBSERVATION, GOAL)


def test_observation_with_another_number_of_frames_is_refused() -> None:
    with pytest.raises(PlannerFailedError, match='2 frames; valid: 1'):
        planner_on(SumModel()).plan(an_observation(1, 2), GOAL)


# -- what a plan carries ---------------------------------------------------------------------------


def test_plan_carries_what_the_model_predicts_without_another_rollout() -> None:
    model = SumModel()
    plan = planner_on(model).plan(OBSERVATION, GOAL)
    assert sum(model.rollout_sizes) == 6 * 64 + 1  # as many as a plan that shows nothing
    imagined = plan.imagination
    assert imagined is not None
    actions = torch.tensor(plan.actions, dtype=torch.float32)
    expected = model.rollout(model.encode(OBSERVATION), actions.unsqueeze(0))[0]
    assert torch.allclose(imagined.latents, expected, atol=1e-6)
    energies = [float(imagined.distance(latent, imagined.goal)) for latent in imagined.latents]
    assert plan.energy == pytest.approx(energies[-1] + 0.5 * sum(energies[:-1]), rel=1e-4)
    assert imagined.image is not GOAL.image and np.array_equal(imagined.goal_image, GOAL.image)


def test_plan_shows_nothing_where_that_is_not_wanted() -> None:
    assert planner_on(SumModel(), keep_prediction=False).plan(OBSERVATION, GOAL).imagination is None


def test_any_plan_can_be_made_again_from_its_start() -> None:
    """Also one in the middle, warm-started, by a planner that has planned something else."""
    planner = planner_on(SumModel(), seed=5)
    plans = [planner.plan(OBSERVATION, GOAL, executed_steps=min(i, 1)) for i in range(4)]
    other = planner_on(SumModel(), seed=99)
    other.plan(OBSERVATION, GOAL)
    for plan in (plans[3], plans[0], plans[2]):
        assert plan.start is not None
        other.restore(plan.start, GOAL)
        steps = plan.start.executed_steps
        again = other.plan(OBSERVATION, GOAL, executed_steps=steps)
        assert np.array_equal(again.actions, plan.actions)
        assert again.energy == plan.energy
    assert plans[0].start is not None and plans[0].start.mean is None
    assert plans[1].start is not None and plans[1].start.elites is not None


def test_start_of_another_kind_of_generator_is_refused() -> None:
    planner = planner_on(SumModel())
    start = planner.plan(OBSERVATION, GOAL).start
    assert start is not None
    with pytest.raises(PlannerFailedError, match='does not fit this generator'):
        planner.restore(replace(start, generator_state=b'123'), GOAL)


def test_scorer_says_what_the_plan_said_and_changes_nothing() -> None:
    planner = planner_on(SumModel(), seed=5)
    plan = planner.plan(OBSERVATION, GOAL)
    scorer = planner.scorer(OBSERVATION, GOAL)
    actions = torch.tensor(plan.actions, dtype=torch.float32).unsqueeze(0)
    assert float(scorer.energies(actions)[0]) == pytest.approx(plan.energy, rel=1e-5)
    assert float(scorer.distance(scorer.now)) == pytest.approx(plan.goal_energy)
    planner.reset()
    assert np.array_equal(planner.plan(OBSERVATION, GOAL).actions, plan.actions)


def test_wide_plan_starts_cold_and_draws_more_until_told_otherwise() -> None:
    planner = planner_on(SumModel(), seed=5)
    first = planner.plan(OBSERVATION, GOAL)
    planner.widen(True)
    wide = planner.plan(OBSERVATION, GOAL, executed_steps=1)
    planner.widen(False)
    after = planner.plan(OBSERVATION, GOAL, executed_steps=1)
    assert wide.start is not None and wide.start.is_wide and wide.start.mean is None
    assert after.start is not None and not after.start.is_wide and after.start.mean is not None
    rollouts = [plan.diagnostics.rollouts for plan in (first, wide, after)]
    assert rollouts == [6 * 64 + 1, 6 * 128 + 1, 6 * 64 + 1]


def test_reset_ends_a_wide_search() -> None:
    planner = planner_on(SumModel())
    planner.widen(True)
    planner.reset()
    assert planner.plan(OBSERVATION, GOAL).diagnostics.rollouts == 6 * 64 + 1


def test_wide_plan_can_be_made_again_from_its_start() -> None:
    planner = planner_on(SumModel(), seed=5)
    planner.plan(OBSERVATION, GOAL)
    planner.widen(True)
    wide = planner.plan(OBSERVATION, GOAL, executed_steps=1)
    assert wide.start is not None
    other = planner_on(SumModel(), seed=99)
    other.restore(wide.start, GOAL)
    again = other.plan(OBSERVATION, GOAL, executed_steps=1)
    assert np.array_equal(again.actions, wide.actions)
