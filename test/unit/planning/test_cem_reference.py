# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""CEM with ``reference`` against V-JEPA 2-AC's rules written out again, on the same draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from wm_planner.core.errors import InvalidParameterError
from wm_planner.core.types import ActionSpec, StopReason
from wm_planner.planning.cem import CemConfig, CemOptimizer

SAMPLES, TOP, ITERATIONS = 40, 6, 5
MAXNORM = 0.075
AXES = ('dx', 'dy', 'dz', 'droll', 'dpitch', 'dyaw', 'dgripper')
MOMENTA = {'momentum_mean': 0.25, 'momentum_std': 0.75}


def spec(**pins: float) -> ActionSpec:
    bound = np.array([MAXNORM] * 3 + [0.0] * 3 + [0.75])
    return ActionSpec(low=-bound, high=bound, names=AXES, step_duration_s=0.25).pinned(pins)


def energy(actions: Tensor) -> Tensor:
    """Depend on all steps and axes, with an optimum partly outside the bounds; [S, 7 values]."""
    reached = actions[..., [0, 1, 2, 6]].cumsum(dim=1)[:, -1]
    waves = torch.sin(40.0 * actions[..., :3]).sum(dim=(1, 2))
    return (reached - torch.tensor([0.05, -0.2, 0.01, 0.6])).abs().sum(dim=1) + 0.05 * waves


def reference_plan(
    noise: Tensor,
    *,
    pins: dict[int, float] | None = None,
    close_gripper: int | None = None,
    momenta: tuple[float, float, float, float] = (0.25, 0.75, 0.15, 0.15),
) -> Tensor:
    """Plan [H, 7] by the published rules, slowly; ``noise`` [iterations, H, S, 4].

    Columns are x, y, z and the gripper, and ``momenta`` are mean, std, gripper mean, gripper std.
    """
    horizon, samples = noise.shape[1], noise.shape[2]
    mean = torch.zeros(horizon, 4)
    std = torch.tensor([MAXNORM, MAXNORM, MAXNORM, 1.0]).repeat(horizon, 1)
    for axis, value in (pins or {}).items():
        mean[:, axis] = value
    for iteration in range(noise.shape[0]):
        sequences = torch.zeros(samples, horizon, 7)
        for step in range(horizon):
            for sample in range(samples):
                four = mean[step] + std[step] * noise[iteration, step, sample]
                limits = [MAXNORM, MAXNORM, MAXNORM, 0.75]
                four = torch.stack([v.clamp(-m, m) for v, m in zip(four, limits, strict=True)])
                for axis, value in (pins or {}).items():
                    four[axis] = value
                if close_gripper is not None and step >= close_gripper:
                    four[3] = 1.0
                sequences[sample, step, :3] = four[:3]
                sequences[sample, step, 6] = four[3]
        chosen = sequences[energy(sequences).sort().indices[:TOP]][..., [0, 1, 2, 6]]
        center = chosen.sum(dim=0) / TOP
        spread = ((chosen - center) ** 2).sum(dim=0).div(TOP - 1).sqrt()
        for axis in range(4):
            of_mean, of_std = momenta[:2] if axis < 3 else momenta[2:]
            mean[:, axis] = (1 - of_mean) * center[:, axis] + of_mean * mean[:, axis]
            std[:, axis] = (1 - of_std) * spread[:, axis] + of_std * std[:, axis]
    plan = torch.zeros(horizon, 7)
    plan[:, :3], plan[:, 6] = mean[:, :3], mean[:, 3]
    plan[plan[:, 6].abs() < 0.25, 6] = 0.0
    return plan


class Recorded:
    """Hands recorded draws [iterations, H, S, 4] out again, one step at a time."""

    def __init__(self, noise: Tensor) -> None:
        self._steps = iter(noise.flatten(0, 1))

    def __call__(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        step = next(self._steps)
        assert shape == tuple(step.shape)
        return step

    def all_used(self) -> bool:
        return next(self._steps, None) is None


def draws(horizon: int, columns: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(horizon)
    return torch.randn(ITERATIONS, horizon, SAMPLES, columns, generator=generator)


def minimize(noise: Tensor, action_spec: ActionSpec, *, init_mean=None, **settings):
    config = CemConfig(
        reference=True,
        num_samples=SAMPLES,
        num_elites=TOP,
        num_iterations=ITERATIONS,
        horizon=noise.shape[1],
        **{**MOMENTA, **settings},
    )
    recorded = Recorded(noise)
    result = CemOptimizer(config, device='cpu', normal=recorded).minimize(
        energy,
        action_spec,
        init_mean=init_mean,
        generator=torch.Generator(),
        should_stop=lambda: None,
    )
    assert recorded.all_used()
    return result


@pytest.mark.parametrize('horizon', [1, 2, 3])
def test_same_draws_give_the_same_plan(horizon) -> None:
    result = minimize(draws(horizon), spec())
    assert torch.allclose(result.actions, reference_plan(draws(horizon)), atol=1e-6, rtol=0.0)
    assert float(result.actions.abs().max()) > 0.01  # the search did move
    assert result.energy == pytest.approx(float(energy(result.actions[None])[0]))


@pytest.mark.parametrize('step', [0, 1])
def test_closing_the_gripper_is_the_same_and_may_leave_the_bounds(step) -> None:
    result = minimize(draws(2), spec(), close_gripper_step=step)
    expected = reference_plan(draws(2), close_gripper=step)
    assert torch.allclose(result.actions, expected, atol=1e-6, rtol=0.0)
    assert bool((result.actions[step:, 6] > 0.99).all())


@pytest.mark.parametrize(
    ('name', 'column', 'value'), [('dy', 1, 0.03), ('dgripper', 3, -0.5), ('dgripper', 3, 0.1)]
)
def test_pinned_axis_is_the_same_and_its_draws_are_made_and_passed_over(
    name, column, value
) -> None:
    result = minimize(draws(2), spec(**{name: value}))
    expected = reference_plan(draws(2), pins={column: value})
    assert torch.allclose(result.actions, expected, atol=1e-6, rtol=0.0)


def test_gripper_momentum_can_be_set() -> None:
    result = minimize(draws(2), spec(), gripper_momentum=(0.5, 0.6))
    expected = reference_plan(draws(2), momenta=(0.25, 0.75, 0.5, 0.6))
    assert torch.allclose(result.actions, expected, atol=1e-6, rtol=0.0)


def test_warm_start_has_no_effect() -> None:
    warm = minimize(draws(2), spec(), init_mean=torch.full((2, 7), 0.05))
    assert torch.equal(warm.actions, minimize(draws(2), spec()).actions)


def test_free_rotation_is_drawn_too() -> None:
    bound = np.array([MAXNORM] * 3 + [0.0, 0.0, 0.3] + [0.75])
    free = ActionSpec(low=-bound, high=bound, names=AXES, step_duration_s=0.25)
    result = minimize(draws(2, columns=5), free)
    assert bool((result.actions[:, 5] != 0.0).all())
    assert bool((result.actions[:, 3:5] == 0.0).all())


def test_small_gripper_deltas_of_the_plan_are_none() -> None:
    """Else every plan would open or close the gripper by a little."""
    result = minimize(draws(3), spec())
    delta = result.mean[:, 6]
    assert torch.equal(result.actions[:, 6], torch.where(delta.abs() < 0.25, 0.0, delta))
    assert bool((result.actions[:, 6] == 0.0).any())


def test_absolute_gripper_starts_in_the_middle_of_its_range() -> None:
    names = ('dx', 'gripper')
    absolute = ActionSpec(
        low=np.array([-0.05, 0.0]), high=np.array([0.05, 1.0]), names=names, step_duration_s=0.25
    )
    seen: list[Tensor] = []

    def watched(actions: Tensor) -> Tensor:
        seen.append(actions)
        return actions[:, 0, 0]

    config = CemConfig(reference=True, num_iterations=1, horizon=1, num_samples=1000)
    result = CemOptimizer(config, device='cpu').minimize(
        watched,
        absolute,
        init_mean=None,
        generator=torch.Generator().manual_seed(0),
        should_stop=lambda: StopReason.DEADLINE,
    )
    assert float(seen[0][:, 0, 1].mean()) == pytest.approx(0.5, abs=0.05)
    assert result.actions.shape == (1, 2)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'reference': True, 'num_elites': 1}, 'at least 2'),
        ({'reference': True, 'plan_from': 'best'}, "valid: 'mean'"),
        ({'gripper_momentum': (0.1,)}, r'valid: 2 \(mean, std\)'),
        ({'close_gripper_step': -2}, 'valid'),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, message) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        CemConfig(**settings)


def test_there_must_be_a_gripper_to_close() -> None:
    without = ActionSpec(low=[-1.0], high=[1.0], names=('dx',), step_duration_s=0.25)
    optimizer = CemOptimizer(CemConfig(close_gripper_step=0), device='cpu')
    with pytest.raises(InvalidParameterError, match='no gripper among its actions dx; valid: -1'):
        optimizer.minimize(
            lambda actions: actions[:, 0, 0],
            without,
            init_mean=None,
            generator=torch.Generator(),
            should_stop=lambda: None,
        )
