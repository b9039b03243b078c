# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The clamped Gaussian that action sequences are drawn from."""

from __future__ import annotations

import pytest
import torch

from fakes.values import SPEC
from wm_planner.planning.distribution import ActionBounds, ActionDistribution

BOUNDS = ActionBounds.of(SPEC, device=torch.device('cpu'), dtype=torch.float64)


def started(**settings):
    given = {'horizon': 2, 'init_mean': None, 'init_std_scale': 1.0, **settings}
    return ActionDistribution.start(BOUNDS, **given)


def noise(number):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(number, 2, SPEC.size, generator=generator, dtype=torch.float64)


def refit(distribution, elites, **settings):
    given = {'momentum_mean': 0.0, 'momentum_std': 0.0, 'min_std_scale': 0.0, **settings}
    return distribution.refit(elites, **given)


def test_samples_have_the_mean_and_std_they_are_drawn_with() -> None:
    distribution = started(init_std_scale=0.1)  # narrow: clamping plays no part
    samples = distribution.sample(noise(20_000))
    assert samples.shape == (20_000, 2, SPEC.size)
    assert torch.allclose(samples.mean(dim=0), distribution.mean, atol=2e-3)
    assert torch.allclose(
        samples.std(dim=0) / distribution.std, torch.ones(2, 5).double(), atol=0.05
    )


def test_samples_outside_the_bounds_land_on_them() -> None:
    samples = started(init_std_scale=3.0).sample(noise(1000))
    assert bool((samples[..., 0].max() == 0.06) & (samples[..., 0].min() == -0.06))
    assert float((samples[..., 0] == 0.06).double().mean()) > 0.3


def test_refit_takes_mean_and_population_std_of_the_elites() -> None:
    elites = torch.zeros(2, 1, SPEC.size, dtype=torch.float64)
    elites[0, 0, 0], elites[1, 0, 0] = 0.01, 0.05
    fitted = refit(started(horizon=1), elites)
    assert float(fitted.mean[0, 0]) == pytest.approx(0.03)
    assert float(fitted.std[0, 0]) == pytest.approx(0.02)  # divided by K = 2, not K - 1


def test_refit_to_one_elite_has_std_zero_and_not_nan() -> None:
    fitted = refit(started(), torch.zeros(1, 2, SPEC.size, dtype=torch.float64))
    assert bool((fitted.std == 0.0).all())


def test_floor_is_a_part_of_each_half_range() -> None:
    fitted = refit(started(), torch.zeros(3, 2, SPEC.size, dtype=torch.float64), min_std_scale=0.1)
    expected = torch.tensor([0.006, 0.006, 0.006, 0.035, 0.05]).double()
    assert torch.allclose(fitted.std, expected.expand(2, 5))
