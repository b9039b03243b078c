# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""CEM against energies whose optimum is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from wm_planner.core.errors import InvalidParameterError, NoFiniteEnergyError
from wm_planner.core.protocols import OptimizationResult
from wm_planner.core.types import ActionSpec, StopReason
from wm_planner.planning.cem import CemConfig, CemOptimizer

SPEC = ActionSpec(
    low=np.array([-0.06, -0.06, 0.0]),
    high=np.array([0.06, 0.06, 1.0]),
    names=('dx', 'dy', 'gripper'),
    step_duration_s=0.25,
)
OPTIMUM = torch.tensor([[0.03, -0.02, 0.8], [0.01, 0.05, 0.1]])  # [H, A], inside the bounds
SCALE = torch.tensor([0.06, 0.06, 0.5])


def quadratic(actions: Tensor) -> Tensor:
    return (((actions - OPTIMUM) / SCALE) ** 2).sum(dim=(1, 2))


def minimize(energy_fn=quadratic, *, seed=0, spec=SPEC, should_stop=None, init_mean=None, **config):
    settings = {'num_samples': 128, 'num_elites': 12, 'num_iterations': 8, 'horizon': 2, **config}
    settings.setdefault('min_std_scale', 0.0)
    optimizer = CemOptimizer(CemConfig(**settings), device='cpu')
    return optimizer.minimize(
        energy_fn,
        spec,
        init_mean=init_mean,
        generator=torch.Generator().manual_seed(seed),
        should_stop=should_stop or (lambda: None),
    )


class Recorder:
    """An energy function that keeps what it was asked."""

    def __init__(self, energy_fn=quadratic):
        self.batches: list[Tensor] = []
        self._energy_fn = energy_fn

    def __call__(self, actions: Tensor) -> Tensor:
        self.batches.append(actions.clone())
        return self._energy_fn(actions)


def assert_same(first: OptimizationResult, second: OptimizationResult) -> None:
    assert torch.equal(first.actions, second.actions)
    assert first.energy == second.energy


@pytest.mark.parametrize('plan_from', ['mean', 'best'])
def test_reaches_the_known_optimum(plan_from) -> None:
    result = minimize(num_iterations=15, plan_from=plan_from)
    assert torch.allclose(result.actions / SCALE, OPTIMUM / SCALE, atol=0.05)
    assert result.energy == pytest.approx(float(quadratic(result.actions[None])[0]), rel=1e-5)


def test_optimum_outside_the_bounds_is_met_at_the_bounds() -> None:
    far = torch.tensor([1.0, -1.0, 5.0])
    result = minimize(lambda a: ((a - far) ** 2).sum(dim=(1, 2)), num_iterations=10)
    assert torch.allclose(result.actions, torch.tensor([0.06, -0.06, 1.0]).expand(2, 3), atol=5e-4)


def test_same_seed_gives_the_same_plan() -> None:
    assert_same(minimize(seed=3), minimize(seed=3))


def test_another_seed_gives_another_plan() -> None:
    assert not torch.equal(minimize(seed=3).actions, minimize(seed=4).actions)


def test_draws_come_from_the_generator_alone() -> None:
    torch.manual_seed(1)
    first = minimize(seed=5)
    torch.manual_seed(2)
    assert_same(first, minimize(seed=5))


def test_every_candidate_is_inside_the_bounds() -> None:
    recorder = Recorder()
    minimize(recorder, init_std_scale=5.0, init_mean=torch.full((2, 3), 9.0))
    scored = torch.cat(recorder.batches)
    low, high = torch.tensor(SPEC.low).float(), torch.tensor(SPEC.high).float()
    assert bool(((scored >= low) & (scored <= high)).all())
    assert len(scored) > 1000  # the test looked at something


def test_bounds_hold_for_a_method_that_draws_outside_them() -> None:
    class Wild(CemOptimizer):
        def _draw(self, *arguments):
            return super()._draw(*arguments) * 100.0

    recorder = Recorder()
    Wild(CemConfig(horizon=2), device='cpu').minimize(
        recorder,
        SPEC,
        init_mean=None,
        generator=torch.Generator().manual_seed(0),
        should_stop=lambda: None,
    )
    assert float(torch.cat(recorder.batches).abs().max()) == 1.0


def test_pinned_dimension_keeps_its_value() -> None:
    recorder = Recorder()
    result = minimize(recorder, spec=SPEC.pinned({'gripper': 1.0}), min_std_scale=0.2)
    assert bool((torch.cat(recorder.batches)[..., 2] == 1.0).all())
    assert bool((result.std[:, 2] == 0.0).all())


def test_std_is_never_under_its_floor() -> None:
    result = minimize(num_iterations=20, min_std_scale=0.3)
    half_range = torch.tensor([0.06, 0.06, 0.5])
    assert bool((result.std >= 0.3 * half_range - 1e-7).all())
    assert bool((minimize(num_iterations=20).std < 0.3 * half_range).all())  # else it was no floor


def test_nan_half_space_is_avoided() -> None:
    """Non-finite energies must look worst: mapped to 0 they would win."""

    def energy_fn(actions):
        energies = quadratic(actions)
        return torch.where(actions[:, 0, 0] > 0.0, torch.nan, energies)  # the optimum is in there

    result = minimize(energy_fn, num_iterations=12)
    assert float(result.actions[0, 0]) <= 0.0
    assert math.isfinite(result.energy)
    assert bool(torch.isfinite(result.elite_energies).all())
    assert result.non_finite_count > 0


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
def test_no_finite_energy_raises(value) -> None:
    with pytest.raises(NoFiniteEnergyError, match='0 of 128'):
        minimize(lambda actions: torch.full((actions.shape[0],), value))


def test_fewer_finite_candidates_than_elites_raises() -> None:
    def energy_fn(actions):
        energies = torch.full((actions.shape[0],), torch.nan)
        energies[:11] = 1.0
        return energies

    with pytest.raises(NoFiniteEnergyError, match='11 of 128'):
        minimize(energy_fn, num_elites=12)


def test_mean_with_a_broken_energy_gives_way_to_the_best_sample() -> None:
    """The mean of elites on both sides of an obstacle lies in the obstacle."""

    def energy_fn(actions):
        x = actions[:, 0, 0]
        return torch.where(x.abs() < 0.02, torch.nan, 1.0 - x.abs())

    symmetric = Recorder(energy_fn)
    result = minimize(
        symmetric, num_iterations=1, num_elites=64, include_mean=False, num_samples=256
    )
    assert abs(float(result.actions[0, 0])) >= 0.02
    assert result.energy == pytest.approx(1.0 - abs(float(result.actions[0, 0])))


def test_one_sample_works() -> None:
    result = minimize(num_samples=1, num_elites=1, num_iterations=1, plan_from='best')
    assert result.actions.shape == (2, 3)
    assert result.rollouts == 1
    assert bool(torch.isfinite(result.std).all())


def test_init_mean_is_where_the_search_starts() -> None:
    recorder = Recorder()
    minimize(recorder, init_mean=OPTIMUM, init_std_scale=0.001, num_iterations=1)
    assert torch.allclose(recorder.batches[0].mean(dim=0), OPTIMUM, atol=1e-3)


def test_without_a_warm_start_the_search_starts_in_the_middle_of_the_bounds() -> None:
    recorder = Recorder()
    minimize(recorder, init_std_scale=0.001, num_iterations=1)
    middle = torch.tensor([0.0, 0.0, 0.5])
    assert torch.allclose(recorder.batches[0].mean(dim=0), middle.expand(2, 3), atol=1e-3)


def test_the_mean_is_one_of_the_samples() -> None:
    recorder = Recorder()
    minimize(recorder, init_mean=OPTIMUM, num_iterations=1)
    assert torch.equal(recorder.batches[0][0], OPTIMUM)


def test_momentum_keeps_part_of_the_old_mean_and_std() -> None:
    """Momentum m gives m * old + (1 - m) * elites', by hand from the recorded samples."""
    recorder = Recorder()
    settings = {'num_iterations': 1, 'init_mean': OPTIMUM * 0.5}
    result = minimize(recorder, momentum_mean=0.25, momentum_std=0.75, **settings)
    samples = recorder.batches[0]
    elites = samples[quadratic(samples).argsort()[:12]]
    half_range = torch.tensor([0.06, 0.06, 0.5])
    assert torch.allclose(result.mean, 0.25 * 0.5 * OPTIMUM + 0.75 * elites.mean(0), atol=1e-6)
    assert torch.allclose(
        result.std, 0.75 * half_range + 0.25 * elites.std(0, correction=0), atol=1e-6
    )


def test_should_stop_is_asked_after_the_first_iteration() -> None:
    result = minimize(should_stop=lambda: StopReason.DEADLINE)
    assert result.stop_reason is StopReason.DEADLINE
    assert result.iterations == 1


def test_all_iterations_are_done_when_nothing_stops_them() -> None:
    result = minimize(num_iterations=3)
    assert (result.stop_reason, result.iterations) == (StopReason.CONVERGED, 3)
    assert result.rollouts == 3 * 128 + 1  # the final mean is scored too
    assert len(result.elite_energies) == 12
    assert bool((result.elite_energies.diff() >= 0.0).all())


def test_stops_early_when_the_distribution_is_narrow() -> None:
    result = minimize(num_iterations=100, early_stop_std_scale=0.1)
    assert result.stop_reason is StopReason.EARLY_STOP
    assert 1 < result.iterations < 100


def test_best_never_gets_worse_with_more_iterations() -> None:
    energies = [minimize(num_iterations=n, plan_from='best').energy for n in (1, 2, 4, 8)]
    assert energies == sorted(energies, reverse=True)


@pytest.mark.parametrize(
    'settings',
    [
        {'num_samples': 4, 'num_elites': 5},
        {'horizon': 0},
        {'init_std_scale': math.nan},
        {'plan_from': 'median'},
        {'min_std_scale': 0.2, 'early_stop_std_scale': 0.1},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings) -> None:
    with pytest.raises(InvalidParameterError, match='valid'):
        CemConfig(**settings)
