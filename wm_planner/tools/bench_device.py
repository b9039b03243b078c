# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What a device makes of V-JEPA 2-AC: time, FLOP/s against a measured ceiling, memory, ranking.

The weights are random: time does not depend on them, and neither does how bfloat16 rounds. Imports
nothing but torch, numpy and this package, so that it runs on a machine where nothing is installed
(see ``benchmarks/``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import statistics
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from wm_planner.evaluation.records import describe_machine, installed_versions
from wm_planner.models.vjepa2_ac.config import Architecture, VJepa2AcConfig, transformer
from wm_planner.models.vjepa2_ac.model import VJepa2AcWorldModel
from wm_planner.models.vjepa2_ac.network import Encoder, Predictor
from wm_planner.planning.cem import CemConfig, CemOptimizer
from wm_planner.planning.objectives import ObjectiveConfig, make_objective
from wm_planner.planning.shooting import ShootingEnergy

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Size:
    """What is measured: networks, the budget of the paper's plan, and the ceiling's matrices."""

    architecture: Architecture
    samples: int
    iterations: int
    matmul: int  # side of the square matrices


SIZES = {
    'released': Size(architecture=Architecture(), samples=800, iterations=10, matmul=8192),
    'tiny': Size(
        architecture=Architecture(
            encoder=transformer(96, 2, 3), predictor=transformer(64, 2, 2), image_size=64
        ),
        samples=32,
        iterations=3,
        matmul=256,
    ),
}


class DeviceBench:
    """Measures one size on one device; all times are medians over ``rounds``, first run left out.

    ``precision`` is float32 or bfloat16. One thread; the device should do nothing else.
    """

    def __init__(
        self, size: Size, *, device: str, precision: str, compiled: str = 'auto', rounds: int = 5
    ) -> None:
        self._size = size
        self._device = torch.device(device)
        self._rounds = rounds
        self._precision = precision
        self._model = random_model(
            size.architecture, device=self._device, precision=precision, compiled=compiled
        )
        self._generator = torch.Generator(device=self._device).manual_seed(0)
        self._context = self._model.context(self._tokens()[None], [_POSE])
        self._goal = self._tokens()

    def run(self) -> dict[str, Any]:
        """Return everything as JSON values: a ``rows`` list and the facts around it."""
        if self._device.type == 'cuda':
            torch.cuda.reset_peak_memory_stats(self._device)
        ceiling = self._row('matmul ceiling', *self.ceiling())
        rows = [ceiling, *self.stages(), *self.plans()]
        for row in rows:
            row['share_of_ceiling'] = row['tflop_per_s'] / ceiling['tflop_per_s']
        return {
            'device': self._device_name(),
            'precision': self._precision,
            'compiled': self._model.compile_state,
            'samples_at_once': self._model.samples_that_fit(1),
            'rows': rows,
            'peak_memory_gib': self._peak_gib(),
            'ranking': self.ranking(),
            'versions': installed_versions(),
        }

    def ceiling(self) -> tuple[float, float]:
        """Return seconds and FLOP of one square matrix product in the same precision."""
        side = self._size.matmul
        dtype = self._model.predictor.predictor_embed.weight.dtype
        left, right = (
            torch.randn(side, side, generator=self._generator, device=self._device).to(dtype)
            for _ in range(2)
        )
        return self._seconds(lambda: left @ right), 2.0 * side**3

    def stages(self) -> list[Row]:
        """Return encoding, the parts of one predictor pass over a batch, and whole rollouts."""
        architecture, model = self._size.architecture, self._model
        batch = min(self._size.samples, model.samples_that_fit(1))
        pixels = torch.zeros(1, 3, architecture.image_size, architecture.image_size)
        pixels = pixels.to(self._device, model.predictor.predictor_embed.weight.dtype)
        rows = [
            self._row(
                'encode one frame',
                self._seconds(lambda: model.encoder.encode_frames(pixels)),
                encoder_flop(architecture),
            ),
            *self._block_rows(batch),
        ]
        for horizon in (1, 2, 4):
            number = min(self._size.samples, model.samples_that_fit(horizon))
            actions = torch.zeros(number, horizon, 7, device=self._device)
            rows.append(
                self._row(
                    f'rollout, {number} samples, horizon {horizon}',
                    self._seconds(lambda actions=actions: model.rollout(self._context, actions)),
                    number * rollout_flop(architecture, horizon),
                )
            )
        return rows

    def plans(self) -> list[Row]:
        """Return whole searches: the paper's budget, and smaller ones."""
        size, rows = self._size, []
        budgets = (
            (size.samples, size.iterations),
            (max(16, size.samples // 3), 4),
            (max(16, size.samples // 12), 4),
        )
        for samples, iterations in budgets:
            seconds = self._seconds(
                lambda samples=samples, iterations=iterations: self._plan(samples, iterations),
                rounds=3,
            )
            flop = samples * iterations * rollout_flop(size.architecture, 1)
            rows.append(self._row(f'plan, {samples} x {iterations} x 1', seconds, flop))
        return rows

    def ranking(self) -> dict[str, float] | None:
        """Return how well this precision ranks candidates, compared with float32; None for that.

        Spearman's rank correlation of the energies of the same candidates; the distances [m]
        between the mean actions of the ten best of them by either, and between the actions of
        whole plans from the same draws. The goal is what the exact model predicts under one action
        of the box: against a goal that no action leads to, the energies of random weights differ
        by less than rounding, and ranking them means nothing.
        """
        if self._precision == 'float32':
            return None
        exact = random_model(
            self._size.architecture, device=self._device, precision='float32', compiled='off'
        )
        reach = torch.tensor([0.075, 0.075, 0.075, 0.0, 0.0, 0.0, 0.75], device=self._device)
        draws = torch.rand(self._size.samples, 1, 7, generator=self._generator, device=self._device)
        actions = (2.0 * draws - 1.0) * reach
        contexts = [model.context(self._context.tokens, [_POSE]) for model in (exact, self._model)]
        goal = exact.rollout(contexts[0], 0.5 * reach.view(1, 1, 7))[0, 0]
        objective = make_objective(ObjectiveConfig(name='l1'), horizon=1)
        scorers = [
            ShootingEnergy(model, objective, state=context, goal_latent=goal)
            for model, context in zip((exact, self._model), contexts, strict=True)
        ]
        found = [energy(actions) for energy in scorers]
        plans = [
            self._search(energy, self._size.samples, self._size.iterations, seed=1)
            for energy in scorers
        ]
        best = [actions[energies.argsort()[:10], 0, :3].mean(dim=0) for energies in found]
        return {
            'spearman': spearman(*found),
            'top_10_mean_apart_m': float((best[0] - best[1]).norm()),
            'plans_apart_m': float((plans[0] - plans[1])[0, :3].norm()),
            'energy_spread': float(found[0].std()),
            'largest_energy_difference': float((found[0] - found[1]).abs().max()),
        }

    # -- inside --------------------------------------------------------------------------------

    def _block_rows(self, batch: int) -> list[Row]:
        """Return the parts of one block, times the depth."""
        predictor, config = self._model.predictor, self._size.architecture.predictor
        block, row, width = predictor.blocks[0], predictor.row, config.width
        weight = predictor.predictor_embed.weight
        x = torch.zeros(batch, row, width, device=self._device, dtype=weight.dtype)
        rotary = predictor.rotary(1, self._device)
        with torch.inference_mode():
            q, k, v = block.project(x, rotary)
        depth, tokens = config.depth, batch * row
        parts: list[tuple[str, Callable[[], Any], float]] = [
            ('norm, qkv, rotation', lambda: block.project(x, rotary), 6.0 * width**2),
            ('attention', lambda: F.scaled_dot_product_attention(q, k, v), 4.0 * row * width),
            (
                'projection, MLP',
                lambda: block.finish(x, q),
                2.0 * width**2 + 4.0 * width * config.mlp_hidden,
            ),
        ]
        return [
            self._row(
                f'predictor, {batch} samples: {name} x {depth}, not compiled',
                depth * self._seconds(call),
                depth * tokens * flop,
            )
            for name, call, flop in parts
        ]

    def _plan(self, samples: int, iterations: int) -> Tensor:
        objective = make_objective(ObjectiveConfig(name='l1'), horizon=1)
        energy = ShootingEnergy(self._model, objective, state=self._context, goal_latent=self._goal)
        return self._search(energy, samples, iterations, seed=0)

    def _search(
        self, energy: ShootingEnergy, samples: int, iterations: int, *, seed: int
    ) -> Tensor:
        """Return the actions [1, 7] of one search as in the paper."""
        config = CemConfig(
            reference=True,
            num_samples=samples,
            num_elites=10,
            num_iterations=iterations,
            horizon=1,
        )
        optimizer = CemOptimizer(config, device=self._device)
        found: Tensor = optimizer.minimize(
            energy,
            self._model.action_spec,
            init_mean=None,
            generator=torch.Generator(device=self._device).manual_seed(seed),
            should_stop=lambda: None,
        ).actions
        return found

    @torch.inference_mode()
    def _seconds(self, call: Callable[[], Any], *, rounds: int | None = None) -> float:
        """Return the median wall time of ``call`` [s], the device's work done."""
        seconds = []
        for _ in range(1 + (rounds or self._rounds)):
            self._wait()
            begin = time.perf_counter()
            call()
            self._wait()
            seconds.append(time.perf_counter() - begin)
        return statistics.median(seconds[1:])

    def _wait(self) -> None:
        if self._device.type == 'cuda':
            torch.cuda.synchronize(self._device)

    def _tokens(self) -> Tensor:
        architecture = self._size.architecture
        shape = (architecture.tokens_per_frame, architecture.encoder.width)
        noise = torch.randn(shape, generator=self._generator, device=self._device)
        return F.layer_norm(noise, shape[-1:])

    def _row(self, what: str, seconds: float, flop: float) -> Row:
        return {
            'what': what,
            'ms': seconds * 1e3,
            'tflop': flop / 1e12,
            'tflop_per_s': flop / seconds / 1e12,
        }

    def _device_name(self) -> str:
        if self._device.type == 'cuda':
            return torch.cuda.get_device_name(self._device)
        return f'{self._device} ({describe_machine()}, {torch.get_num_threads()} thread(s))'

    def _peak_gib(self) -> float | None:
        if self._device.type != 'cuda':
            return None
        return torch.cuda.max_memory_allocated(self._device) / (1 << 30)


_POSE = (0.45, 0.0, 0.3, np.pi, 0.0, 0.0, 0.0)


def random_model(
    architecture: Architecture, *, device: torch.device, precision: str, compiled: str
) -> VJepa2AcWorldModel:
    """Return a model of seeded random weights, the same at every call whatever the precision."""
    torch.manual_seed(0)  # of this benchmark's own process: layers draw from the global generator
    networks: list[Encoder | Predictor] = [Encoder(architecture), Predictor(architecture)]
    dtype = getattr(torch, precision)
    encoder, predictor = (n.to(device, dtype).eval().requires_grad_(False) for n in networks)
    assert isinstance(encoder, Encoder) and isinstance(predictor, Predictor)
    config = VJepa2AcConfig(compile=compiled, precision=precision)
    return VJepa2AcWorldModel(encoder, predictor, config, device=device)


def encoder_flop(architecture: Architecture) -> float:
    """Return the FLOP of encoding one frame, two a multiply-add."""
    config, tokens = architecture.encoder, architecture.tokens_per_frame
    patch = 3 * architecture.tubelet_frames * architecture.patch_size**2
    return tokens * (2.0 * patch * config.width + config.depth * _block_flop(config, tokens))


def rollout_flop(architecture: Architecture, horizon: int) -> float:
    """Return the FLOP of one sample's rollout from one context frame, keys and values kept.

    At 256 px and the released sizes 163.9 GFLOP for horizon 1, as counted on the reference.
    """
    config, width = architecture.predictor, architecture.encoder.width
    patches = architecture.tokens_per_frame
    row = architecture.condition_tokens + patches
    total = 0.0
    for frame in range(1, horizon + 1):
        total += row * config.depth * _block_flop(config, frame * row)
        total += 2.0 * 2.0 * patches * width * config.width  # embedding and read-out
    return total


def _block_flop(config: Any, looked_at: int) -> float:
    """Return the FLOP of one token through one block."""
    linear = 8.0 * config.width**2 + 4.0 * config.width * config.mlp_hidden
    return linear + 4.0 * looked_at * config.width


def spearman(first: Tensor, second: Tensor) -> float:
    """Return Spearman's rank correlation of two vectors without ties."""
    ranks = [values.argsort().argsort().double() for values in (first, second)]
    return float(torch.corrcoef(torch.stack(ranks))[0, 1])
