# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""MPPI: its weights, and an energy whose optimum is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fakes.values import SPEC
from wm_planner.core.types import StopReason
from wm_planner.planning.mppi import MppiConfig, MppiOptimizer, elite_weights

OPTIMUM = torch.tensor([[0.03, -0.02, 0.01, 0.2, 0.8], [0.01, 0.05, 0.0, -0.1, 0.6]])  # [H, A]
SCALE = torch.tensor([0.06, 0.06, 0.06, 0.35, 0.5])
ENERGIES = torch.tensor([1.0, 1.5, 3.0])


def quadratic(actions: Tensor) -> Tensor:
    return (((actions - OPTIMUM) / SCALE) ** 2).sum(dim=(1, 2))


def minimize(energy_fn=quadratic, *, spec=SPEC, init_mean=None, **config):
    settings = {'num_samples': 256, 'num_elites': 32, 'num_iterations': 20, 'horizon': 2, **config}
    return MppiOptimizer(MppiConfig(**settings), device='cpu').minimize(
        energy_fn,
        spec,
        init_mean=init_mean,
        generator=torch.Generator().manual_seed(0),
        should_stop=lambda: None,
    )


def test_reaches_the_known_optimum() -> None:
    result = minimize(min_std_scale=0.01)
    assert torch.allclose(result.actions / SCALE, OPTIMUM / SCALE, atol=0.05)


def test_classic_mppi_over_all_samples_reaches_it_too() -> None:
    """All samples weigh, with a std that stays: the mean still settles, though less exactly."""
    result = minimize(
        num_samples=1024,
        num_elites=1024,
        temperature=0.1,
        adapt_std=False,
        init_std_scale=0.3,
        num_iterations=30,
    )
    assert torch.allclose(result.actions / SCALE, OPTIMUM / SCALE, atol=0.2)
    assert torch.allclose(result.std, (0.3 * SCALE).expand(2, 5))


def test_weights_are_exponential_in_the_energy_above_the_best() -> None:
    """Written out: spread is the population std of 1, 1.5, 3."""
    mean = (1.0 + 1.5 + 3.0) / 3
    spread = math.sqrt(sum((e - mean) ** 2 for e in (1.0, 1.5, 3.0)) / 3)
    raw = torch.tensor([math.exp(-(e - 1.0) / (0.7 * spread)) for e in (1.0, 1.5, 3.0)])
    assert torch.allclose(elite_weights(ENERGIES, 0.7), raw / raw.sum())


@pytest.mark.parametrize(('scale', 'shift'), [(1e-4, 0.0), (1e4, 0.0), (1.0, -7.0)])
def test_weights_do_not_depend_on_the_scale_of_the_energies(scale, shift) -> None:
    moved = elite_weights(ENERGIES * scale + shift, 0.5)
    assert torch.allclose(moved, elite_weights(ENERGIES, 0.5), atol=1e-5)


@pytest.mark.parametrize('energies', [torch.full((4,), 2.0), torch.tensor([3.0])])
def test_equal_energies_weigh_alike(energies) -> None:
    weights = elite_weights(energies, 0.5)
    assert torch.allclose(weights, torch.full_like(weights, 1.0 / len(weights)))


def test_temperature_goes_from_the_best_alone_to_all_alike() -> None:
    assert torch.allclose(elite_weights(ENERGIES, 1e-3), torch.tensor([1.0, 0.0, 0.0]))
    assert torch.allclose(elite_weights(ENERGIES, 1e3), torch.full((3,), 1 / 3), atol=1e-3)


def test_mean_and_std_are_those_of_the_weighted_elites() -> None:
    seen: list[Tensor] = []

    def recorded(actions: Tensor) -> Tensor:
        seen.append(actions.clone())
        return quadratic(actions)

    result = minimize(recorded, num_iterations=1, num_elites=8, min_std_scale=0.0)
    elites = seen[0][quadratic(seen[0]).argsort()[:8]]
    weights = elite_weights(quadratic(elites), 0.5)
    mean = torch.einsum('k,kha->ha', weights, elites)
    variance = torch.einsum('k,kha->ha', weights, (elites - mean) ** 2)
    assert torch.allclose(result.mean, mean, atol=1e-6)
    assert torch.allclose(result.std, variance.sqrt(), atol=1e-6)


def test_std_is_never_under_its_floor() -> None:
    result = minimize(min_std_scale=0.3)
    assert bool((result.std >= 0.3 * SCALE - 1e-7).all())


def test_pinned_dimension_keeps_its_value_to_the_last_bit() -> None:
    result = minimize(spec=SPEC.pinned({'gripper': 0.3}))
    assert torch.equal(result.mean[:, 4], torch.full((2,), 0.3))
    assert bool((result.std[:, 4] == 0.0).all())


def test_stops_early_when_the_distribution_is_narrow() -> None:
    result = minimize(num_iterations=100, early_stop_std_scale=0.1)
    assert result.stop_reason is StopReason.EARLY_STOP
    assert 1 < result.iterations < 100


def test_std_that_stays_stops_nothing() -> None:
    result = minimize(num_iterations=30, early_stop_std_scale=0.1, adapt_std=False)
    assert result.stop_reason is StopReason.CONVERGED


def test_one_sample_works() -> None:
    result = minimize(num_samples=1, num_elites=1, num_iterations=2)
    assert bool(torch.isfinite(result.mean).all())
