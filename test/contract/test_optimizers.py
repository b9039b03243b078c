# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Every registered optimizer against the Optimizer protocol, each at its own defaults."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from wm_planner.core.errors import NoFiniteEnergyError
from wm_planner.core.protocols import OptimizationResult, Optimizer
from wm_planner.core.types import ActionSpec, StopReason
from wm_planner.planning.registry import OPTIMIZERS

SPEC = ActionSpec(
    low=np.array([-0.06, -0.1, 0.0, 1.0]),
    high=np.array([0.06, 0.3, 1.0, 1.0]),  # the last is pinned
    names=('dx', 'dy', 'gripper', 'dz'),
    step_duration_s=0.25,
)
LOW, HIGH = torch.tensor(SPEC.low).float(), torch.tensor(SPEC.high).float()
OPTIMUM = torch.tensor([0.03, 0.2, 0.25, 1.0])


def energy(actions: Tensor) -> Tensor:
    scaled = (actions - OPTIMUM) / (HIGH - LOW + 1e-6)
    return scaled.square().sum(dim=(1, 2))


@pytest.fixture(params=OPTIMIZERS.names())
def optimizer(request: pytest.FixtureRequest) -> Optimizer:
    entry = OPTIMIZERS.get(request.param)
    return entry.make(entry.config_class(), device='cpu')


def run(
    optimizer: Optimizer, energy_fn=energy, *, seed: int = 0, stop=None, mean=None, elites=None
) -> OptimizationResult:
    return optimizer.minimize(
        energy_fn,
        SPEC,
        init_mean=mean,
        init_elites=elites,
        generator=torch.Generator().manual_seed(seed),
        should_stop=lambda: stop,
    )


def test_follows_the_protocol(optimizer: Optimizer) -> None:
    assert isinstance(optimizer, Optimizer)


def test_comes_near_the_optimum_at_its_defaults(optimizer: Optimizer) -> None:
    result = run(optimizer)
    start = float(energy(((LOW + HIGH) / 2).expand(1, result.actions.shape[0], 4))[0])
    assert result.energy < 0.2 * start
    assert result.energy == pytest.approx(float(energy(result.actions[None])[0]), rel=1e-4)


def test_same_seed_same_plan(optimizer: Optimizer) -> None:
    assert torch.equal(run(optimizer, seed=1).actions, run(optimizer, seed=1).actions)
    assert not torch.equal(run(optimizer, seed=1).actions, run(optimizer, seed=2).actions)


def test_candidates_and_plan_stay_inside_the_bounds(optimizer: Optimizer) -> None:
    seen: list[Tensor] = []

    def recorded(actions: Tensor) -> Tensor:
        seen.append(actions.clone())
        return energy(actions)

    result = run(optimizer, recorded)
    for actions in (*seen, result.actions):
        assert bool(((actions >= LOW) & (actions <= HIGH)).all())
    assert result.rollouts == sum(batch.shape[0] for batch in seen)


def test_non_finite_energies_never_win(optimizer: Optimizer) -> None:
    def broken(actions: Tensor) -> Tensor:
        return torch.where(actions[:, 0, 0] > 0.0, -math.inf, energy(actions))

    result = run(optimizer, broken)
    assert float(result.actions[0, 0]) <= 0.0
    assert math.isfinite(result.energy)
    assert result.non_finite_count > 0
    assert bool(torch.isfinite(result.elite_energies).all())


def test_nothing_finite_raises(optimizer: Optimizer) -> None:
    with pytest.raises(NoFiniteEnergyError):
        run(optimizer, lambda actions: torch.full((actions.shape[0],), math.nan))


def test_stops_when_told_after_the_first_iteration(optimizer: Optimizer) -> None:
    result = run(optimizer, stop=StopReason.CANCELED)
    assert (result.stop_reason, result.iterations) == (StopReason.CANCELED, 1)
    assert bool(torch.isfinite(result.actions).all())


def test_energies_may_be_those_of_the_first_candidates_alone(optimizer: Optimizer) -> None:
    """When time is over in the second iteration, what was scored of it counts, and that is all."""
    sizes: list[int] = []

    def cut(actions: Tensor) -> Tensor:
        is_mean = actions.shape[0] == 1
        scored = actions if not sizes or is_mean else actions[: actions.shape[0] - 7]
        sizes.append(scored.shape[0])
        return energy(scored)

    result = run(optimizer, cut)
    assert (result.stop_reason, result.iterations) == (StopReason.DEADLINE, 2)
    assert result.rollouts == sum(sizes)
    assert bool(torch.isfinite(result.elite_energies).all())


def test_too_few_energies_in_time_change_nothing_but_the_best(optimizer: Optimizer) -> None:
    calls: list[int] = []

    def cut(actions: Tensor) -> Tensor:
        calls.append(actions.shape[0])
        return energy(actions if len(calls) == 1 else actions[:1])

    short, first = run(optimizer, cut), run(optimizer, stop=StopReason.CANCELED)
    assert short.iterations == 2
    assert torch.equal(short.mean, first.mean)
    assert torch.equal(short.elites, first.elites)
    assert short.energy <= first.energy


def test_enough_elites_are_waited_for_however_little_time_there_is(optimizer: Optimizer) -> None:
    """The first iteration asks again for what it cannot do without, and for no more."""
    seen: list[Tensor] = []

    def slow(actions: Tensor) -> Tensor:
        seen.append(actions[:3])
        return energy(actions[:3])

    result = run(optimizer, slow, stop=StopReason.DEADLINE)
    assert (result.stop_reason, result.iterations) == (StopReason.DEADLINE, 1)
    number = len(result.elite_energies)
    assert number <= result.rollouts <= number + 3 + 1
    assert len(torch.cat(seen).unique(dim=0)) >= number  # none was scored twice


def test_nothing_finite_raises_however_little_time_there_is(optimizer: Optimizer) -> None:
    with pytest.raises(NoFiniteEnergyError):
        run(optimizer, lambda actions: torch.full((1,), math.nan))


def test_warm_start_at_the_optimum_stays_there(optimizer: Optimizer) -> None:
    cold = run(optimizer)
    mean = OPTIMUM.expand(cold.actions.shape)
    warm = run(optimizer, mean=mean, elites=mean.expand(cold.elites.shape))
    assert warm.energy < 0.02
    assert bool(((warm.actions - OPTIMUM).abs() / (HIGH - LOW + 1e-6) < 0.2).all())


@pytest.mark.parametrize('name', OPTIMIZERS.names())
def test_narrow_distribution_ends_the_search_early(name: str) -> None:
    """With a start whose mean is good, too: the elites then lie close around it."""
    entry = OPTIMIZERS.get(name)
    config = entry.config_class(num_iterations=200, early_stop_std_scale=0.1)
    optimizer = entry.make(config, device='cpu')
    cold = run(optimizer)
    warm = run(optimizer, mean=OPTIMUM.expand(cold.mean.shape), elites=cold.elites)
    for found in (cold, warm):
        assert found.stop_reason is StopReason.EARLY_STOP
        assert 1 < found.iterations < 100
        assert found.energy < 0.05


def test_result_is_complete(optimizer: Optimizer) -> None:
    result = run(optimizer)
    assert result.mean.shape == result.std.shape == result.actions.shape
    assert bool((result.std >= 0.0).all())
    assert bool((result.std[:, 3] == 0.0).all())  # pinned
    assert result.iterations >= 1
    assert result.elites.shape == (len(result.elite_energies), *result.actions.shape)
    assert torch.allclose(energy(result.elites), result.elite_energies, rtol=1e-5)
