# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Objectives against formulas written out again."""

from __future__ import annotations

import pytest
import torch

from wm_planner.core.errors import InvalidParameterError
from wm_planner.core.protocols import Objective
from wm_planner.planning.objectives import ObjectiveConfig, make_objective

GENERATOR = torch.Generator().manual_seed(0)
PREDICTED = torch.randn((5, 3, 4, 6), generator=GENERATOR)  # [S, H, N, D]
GOAL = torch.randn((4, 6), generator=GENERATOR)
ACTIONS = torch.zeros(5, 3, 2)


def energies(**settings):
    return make_objective(ObjectiveConfig(**settings), horizon=3)(PREDICTED, GOAL, ACTIONS)


def distance(step, power):
    total = torch.zeros(5)
    for token in range(4):
        for width in range(6):
            total += (PREDICTED[:, step, token, width] - GOAL[token, width]).abs() ** power
    return total / 24.0


@pytest.mark.parametrize(('name', 'power'), [('l1', 1), ('mse', 2)])
def test_energy_is_the_distance_of_the_last_step(name, power) -> None:
    assert torch.allclose(energies(name=name), distance(2, power))


@pytest.mark.parametrize(('name', 'power'), [('l1', 1), ('mse', 2)])
def test_earlier_steps_count_with_step_weight(name, power) -> None:
    expected = 0.5 * distance(0, power) + 0.5 * distance(1, power) + 2.0 * distance(2, power)
    assert torch.allclose(energies(name=name, step_weight=0.5, final_weight=2.0), expected)


def test_step_weights_are_taken_one_by_one() -> None:
    expected = 0.1 * distance(0, 2) + 0.2 * distance(1, 2) + distance(2, 2)
    assert torch.allclose(energies(step_weights=(0.1, 0.2), step_weight=9.0), expected)


def test_distance_is_the_energy_of_a_single_latent() -> None:
    objective = make_objective(ObjectiveConfig(), horizon=1)
    assert torch.allclose(
        objective.distance(PREDICTED[:, 0], GOAL), objective(PREDICTED[:, :1], GOAL, ACTIONS)
    )
    assert float(objective.distance(GOAL, GOAL)) == 0.0


def test_a_broken_latent_in_an_unweighted_step_does_not_matter() -> None:
    predicted = PREDICTED.clone()
    predicted[:, 0] = torch.nan
    objective = make_objective(ObjectiveConfig(), horizon=3)
    assert torch.equal(objective(predicted, GOAL, ACTIONS), energies())


def test_objectives_follow_the_protocol() -> None:
    assert isinstance(make_objective(ObjectiveConfig(name='l1'), horizon=1), Objective)


@pytest.mark.parametrize(
    ('settings', 'horizon'),
    [
        ({'step_weights': (0.1,)}, 3),
        ({'final_weight': 0.0}, 3),
        ({'final_weight': 0.0, 'step_weight': 1.0}, 1),
    ],
)
def test_weights_that_do_not_fit_the_horizon_are_refused(settings, horizon) -> None:
    with pytest.raises(InvalidParameterError, match='valid'):
        make_objective(ObjectiveConfig(**settings), horizon=horizon)


def test_unknown_objective_is_refused_with_the_names() -> None:
    with pytest.raises(InvalidParameterError, match='l1, mse'):
        ObjectiveConfig(name='cosine')
