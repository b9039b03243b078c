# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Planning on V-JEPA 2-AC end to end: from a weights file and a preset to a plan."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fakes.values import a_goal, an_observation
from fakes.vjepa2 import write_tiny_weights
from wm_planner.core.errors import InvalidParameterError
from wm_planner.core.types import Goal, Observation, Plan
from wm_planner.factory import PlannerSettings, make_planner
from wm_planner.models.registry import load_model

SHRUNK = {'num_samples': 48, 'num_elites': 6, 'num_iterations': 4}
X, Y, Z, ROLL, PITCH, YAW, GRIPPER = range(7)


@pytest.fixture(scope='module')
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_weights(tmp_path_factory.mktemp('vjepa2') / 'tiny.safetensors'))


def picture(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=0).repeat(8, axis=1)


OBSERVATION = an_observation(0, image=picture(0))
GOAL = a_goal(image=picture(1))


def plan(
    weights: str,
    *,
    planner: str = 'cem',
    preset: str = 'paper',
    observation: Observation = OBSERVATION,
    goal: Goal = GOAL,
    model: dict[str, Any] | None = None,
    optimizer: dict[str, Any] | None = None,
    **settings: Any,
) -> Plan:
    made = make_planner(
        planner,
        'vjepa2_ac',
        PlannerSettings(
            preset=preset,
            model={'weights': weights, **(model or {})},
            optimizer={**SHRUNK, **(optimizer or {})},
            planner=settings,
        ),
        device='cpu',
    )
    return made.plan(observation, goal)


def test_plan_is_better_than_staying_and_than_most_guesses_when_made_as_the_paper_does(
    weights: str,
) -> None:
    found = plan(weights)
    assert found.actions.shape == (1, 7)
    assert found.diagnostics.rollouts == 48 * 4 + 1  # the mean, at the end
    model = load_model('vjepa2_ac', {'weights': weights}, device='cpu')
    state, goal = model.encode(OBSERVATION), model.encode_goal(GOAL)
    reach = torch.tensor(model.action_spec.high).float()
    guesses = reach * (2 * torch.rand(200, 1, 7, generator=torch.Generator().manual_seed(1)) - 1)
    guesses[0] = 0.0
    energies = (model.rollout(state, guesses)[:, -1] - goal).abs().mean(dim=(-2, -1))
    assert found.energy < float(energies[0])
    assert found.energy < float(energies.quantile(0.1))
    again = model.rollout(state, torch.tensor(found.actions[None]).float())[0, -1]
    assert float((again - goal).abs().mean()) == pytest.approx(found.energy, abs=1e-5)
    now = float((model.current(state) - goal).abs().mean())
    assert found.goal_energy == pytest.approx(now, abs=1e-6)


@pytest.mark.parametrize(
    # MPPI weighs candidates by an exponential of their energies, which makes rounding larger.
    ('planner', 'bound'),
    [('cem', 1e-5), ('icem', 1e-5), ('mppi', 1e-3)],
)
@pytest.mark.parametrize('horizon', [1, 3])
def test_plan_does_not_depend_on_the_chunk_when_samples_are_rolled_out_in_chunks(
    weights: str, planner: str, bound: float, horizon: int
) -> None:
    plans = [
        plan(weights, planner=planner, optimizer={'horizon': horizon}, max_samples_per_chunk=chunk)
        for chunk in (0, 17, 1)
    ]
    for other in plans[1:]:
        assert np.allclose(plans[0].actions, other.actions, atol=bound, rtol=0.0)
        assert other.energy == pytest.approx(plans[0].energy, abs=1e-5)


def test_rotation_stays_zero_when_pinned_and_is_planned_about_free_axes_only(weights: str) -> None:
    pinned = plan(weights).actions[0]
    assert pinned[[ROLL, PITCH, YAW]].tolist() == [0.0, 0.0, 0.0]
    free = plan(weights, model={'max_rotation_rad': [0.0, 0.0, 0.2]}).actions[0]
    assert free[[ROLL, PITCH]].tolist() == [0.0, 0.0]
    assert 0.0 < abs(free[YAW]) <= 0.2


def test_gripper_goes_where_the_goal_has_it_when_the_goal_says(weights: str) -> None:
    observation = an_observation(0, image=picture(0), closedness=0.75)
    goal = a_goal(image=picture(1), gripper_closedness=0.0)
    found = plan(weights, observation=observation, goal=goal).actions[0]
    assert found[GRIPPER] == pytest.approx(-0.75)


def test_plan_uses_the_past_when_the_model_takes_several_frames(weights: str) -> None:
    images = np.stack([picture(seed) for seed in (2, 3, 0)])
    stamps = (0, 10**9, 2 * 10**9)
    observation = an_observation(*stamps)
    observation = Observation(images=images, image_stamps_ns=stamps, states=observation.states)
    found = plan(weights, observation=observation, model={'context_frames': 3})
    assert found.goal_energy == pytest.approx(plan(weights).goal_energy, abs=1e-5)
    assert not np.allclose(found.actions, plan(weights).actions, atol=1e-4)


def test_reset_makes_plans_repeatable_when_asked_again(weights: str) -> None:
    settings = PlannerSettings(preset='realtime', model={'weights': weights}, optimizer=SHRUNK)
    made = make_planner('icem', 'vjepa2_ac', settings, device='cpu')
    first = made.plan(OBSERVATION, GOAL, deadline_s=0.0)
    made.reset()
    assert np.array_equal(first.actions, made.plan(OBSERVATION, GOAL, deadline_s=0.0).actions)


def test_planner_is_not_made_when_its_horizon_is_beyond_the_model(weights: str) -> None:
    with pytest.raises(InvalidParameterError, match='horizon 40 are 41 frames; valid: at most 32'):
        plan(weights, preset='', optimizer={'horizon': 40})
