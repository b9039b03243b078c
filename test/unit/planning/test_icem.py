# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""iCEM: its noise, its memory, its sample counts, and an energy whose optimum is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fakes.values import SPEC
from wm_planner.core.errors import InvalidParameterError
from wm_planner.core.types import StopReason
from wm_planner.planning.icem import IcemConfig, IcemOptimizer, coloured_noise, white_shape

OPTIMUM = torch.tensor([[0.03, -0.02, 0.01, 0.2, 0.8], [0.01, 0.05, 0.0, -0.1, 0.6]])  # [H, A]
SCALE = torch.tensor([0.06, 0.06, 0.06, 0.35, 0.5])


def quadratic(actions: Tensor) -> Tensor:
    return (((actions - OPTIMUM) / SCALE) ** 2).sum(dim=(1, 2))


class Recorder:
    """An energy function that keeps what it was asked."""

    def __init__(self) -> None:
        self.batches: list[Tensor] = []

    def __call__(self, actions: Tensor) -> Tensor:
        self.batches.append(actions.clone())
        return quadratic(actions)


def minimize(energy_fn=quadratic, *, seed=0, init_mean=None, init_elites=None, **config):
    settings = {'num_samples': 100, 'num_elites': 10, 'num_iterations': 8, 'horizon': 2, **config}
    return IcemOptimizer(IcemConfig(**settings), device='cpu').minimize(
        energy_fn,
        SPEC,
        init_mean=init_mean,
        init_elites=init_elites,
        generator=torch.Generator().manual_seed(seed),
        should_stop=lambda: None,
    )


@pytest.mark.parametrize('plan_from', ['mean', 'best'])
@pytest.mark.parametrize('noise_beta', [0.0, 2.0])
def test_reaches_the_known_optimum(plan_from, noise_beta) -> None:
    result = minimize(
        num_iterations=25, plan_from=plan_from, noise_beta=noise_beta, min_std_scale=0.01
    )
    assert torch.allclose(result.actions / SCALE, OPTIMUM / SCALE, atol=0.06)
    assert result.energy == pytest.approx(float(quadratic(result.actions[None])[0]), rel=1e-5)


# the noise --------------------------------------------------------------------------------------


def noise_of(samples, horizon, beta):
    generator = torch.Generator().manual_seed(0)
    white = torch.randn(white_shape(samples, horizon, 3), generator=generator)
    return coloured_noise(white, horizon, beta)


@pytest.mark.parametrize('beta', [0.0, 1.0, 2.0, 4.0])
@pytest.mark.parametrize('horizon', [1, 2, 3, 7, 16])
def test_noise_has_unit_variance_at_each_step(horizon, beta) -> None:
    noise = noise_of(20_000, horizon, beta)
    assert noise.shape == (20_000, horizon, 3)
    assert torch.allclose(noise.mean(dim=0), torch.zeros(horizon, 3), atol=0.03)
    assert torch.allclose(noise.std(dim=0), torch.ones(horizon, 3), atol=0.03)


@pytest.mark.parametrize('beta', [0.0, 1.0, 2.0, 3.0])
def test_power_falls_with_the_frequency_by_the_exponent(beta) -> None:
    """Log power over log frequency is a line of slope -beta; frequency 0 is as the lowest."""
    power = torch.fft.rfft(noise_of(4000, 32, beta), dim=1).abs().square().mean(dim=(0, 2))
    logs = torch.stack([torch.log(torch.arange(1.0, 17.0)), torch.ones(16)], dim=1)
    slope = torch.linalg.lstsq(logs, torch.log(power[1:]).unsqueeze(1)).solution[0, 0]
    assert float(slope) == pytest.approx(-beta, abs=0.05)
    assert float(power[0] / power[1]) == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize('beta', [0.0, 3.0])
def test_noise_of_one_step_is_white(beta) -> None:
    generator = torch.Generator().manual_seed(0)
    white = torch.randn(white_shape(50, 1, 3), generator=generator)
    assert torch.allclose(coloured_noise(white, 1, beta)[:, 0], white[:, :, 0, 0])


def test_white_noise_has_independent_steps_and_coloured_noise_lasting_ones() -> None:
    def correlation(beta):
        noise = noise_of(20_000, 8, beta)
        return float((noise[:, 0] * noise[:, 1]).mean())

    assert correlation(0.0) == pytest.approx(0.0, abs=0.02)
    assert 0.3 < correlation(2.0) < correlation(4.0) < 1.0


def test_dimensions_are_independent() -> None:
    noise = noise_of(20_000, 8, 2.0)
    assert float((noise[..., 0] * noise[..., 1]).mean()) == pytest.approx(0.0, abs=0.02)


# how many samples -------------------------------------------------------------------------------


def test_samples_decay_down_to_twice_the_elites_and_are_counted() -> None:
    recorder = Recorder()
    result = minimize(recorder, sample_decay=2.0, num_iterations=5, plan_from='mean')
    assert [len(batch) for batch in recorder.batches] == [100, 50, 25, 20, 20, 1]
    assert result.rollouts == 216


def test_without_decay_every_iteration_has_all_samples() -> None:
    recorder = Recorder()
    assert minimize(recorder, sample_decay=1.0, num_iterations=3).rollouts == 300
    assert [len(batch) for batch in recorder.batches] == [100, 100, 100]


def test_few_samples_are_not_made_more() -> None:
    assert [IcemConfig(num_samples=12, num_elites=10).samples(n) for n in (0, 5)] == [12, 12]


# the memory -------------------------------------------------------------------------------------


def elites_of(batch: Tensor, number: int) -> Tensor:
    return batch[quadratic(batch).argsort()[:number]]


def test_best_elites_are_scored_again_in_the_next_iteration() -> None:
    recorder = Recorder()
    minimize(recorder, keep_elites=0.25, num_iterations=3)
    before, after, _ = recorder.batches
    assert torch.equal(after[:3], elites_of(before, 3))  # 0.25 * 10, rounded up


def test_nothing_is_kept_when_nothing_is_to_be() -> None:
    recorder = Recorder()
    minimize(recorder, keep_elites=0.0, num_iterations=2, include_mean=False)
    first, second = recorder.batches
    assert not bool((second[:, None] == elites_of(first, 10)[None]).all(dim=(2, 3)).any())


def test_elites_of_a_warm_start_are_scored_in_the_first_iteration() -> None:
    recorder = Recorder()
    kept = torch.stack([OPTIMUM, OPTIMUM * 0.9, OPTIMUM * 0.8, OPTIMUM * 9.0])
    result = minimize(recorder, init_elites=kept, keep_elites=1.0, num_iterations=1, num_elites=4)
    assert torch.equal(recorder.batches[0][1:4], kept[:3])  # behind the mean
    assert bool((recorder.batches[0][4] <= torch.tensor(SPEC.high).float()).all())  # 9x, clamped
    assert result.energy == 0.0


def best_energies(**config) -> list[float]:
    """Return the lowest energy of each of 12 iterations of 12 samples."""
    recorder = Recorder()
    minimize(recorder, num_samples=12, num_elites=4, num_iterations=12, **config)
    return [float(quadratic(batch).min()) for batch in recorder.batches]


def test_best_never_gets_worse_between_iterations_with_a_memory() -> None:
    with_memory, without = best_energies(keep_elites=0.1), best_energies(keep_elites=0.0)
    assert with_memory == sorted(with_memory, reverse=True)
    assert without != sorted(without, reverse=True)  # or the test would show nothing


def test_best_never_gets_worse_between_plans_with_a_memory() -> None:
    def energies(keep_elites):
        found, mean, elites = [], None, None
        for seed in range(12):
            result = minimize(
                seed=seed,
                init_mean=mean,
                init_elites=elites,
                keep_elites=keep_elites,
                num_samples=12,
                num_elites=4,
                num_iterations=1,
            )
            mean, elites = result.mean, result.elites
            found.append(result.energy)
        return found

    with_memory, without = energies(0.1), energies(0.0)
    assert with_memory == sorted(with_memory, reverse=True)
    assert without != sorted(without, reverse=True)


def test_mean_is_scored_in_the_last_iteration_alone() -> None:
    recorder = Recorder()
    minimize(recorder, init_mean=OPTIMUM, num_iterations=1)
    assert torch.equal(recorder.batches[0][0], OPTIMUM)
    recorder = Recorder()
    minimize(recorder, init_mean=OPTIMUM, num_iterations=2)
    assert not bool((recorder.batches[0] == OPTIMUM).all(dim=(1, 2)).any())


def test_stops_early_when_the_distribution_is_narrow() -> None:
    result = minimize(num_iterations=100, early_stop_std_scale=0.1)
    assert result.stop_reason is StopReason.EARLY_STOP
    assert 1 < result.iterations < 100


def test_one_sample_works() -> None:
    kept = OPTIMUM[None]
    result = minimize(num_samples=1, num_elites=1, num_iterations=2, init_elites=kept)
    assert result.rollouts == 2


@pytest.mark.parametrize('settings', [{'sample_decay': 0.5}, {'keep_elites': 1.5}])
def test_settings_that_make_no_sense_are_refused(settings) -> None:
    with pytest.raises(InvalidParameterError, match='valid'):
        IcemConfig(**settings)
