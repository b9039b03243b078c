# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Training the tabletop world model: a joint-embedding predictor with a little supervision.

The latent has to be predictable (open-loop rollout and one-step error, no stop-gradient, no target
network), spread out (SIGReg), and to know where the robot's own tool is (a linear readout of tool
position, yaw and gripper, and the inverse dynamics). The readout is privileged information: it is
what makes the latent's distances useful for planning after minutes of training, and it costs a real
robot nothing, because a robot knows its own tool pose. Objects are not supervised by default.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
import math
from pathlib import Path
import time
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from wm_planner.core.config import parameter, validate
from wm_planner.core.errors import InvalidParameterError, ModelLoadError
from wm_planner.core.types import ActionSpec
from wm_planner.models.tabletop.config import TabletopModelConfig
from wm_planner.models.tabletop.network import TabletopNetwork, to_network_input
from wm_planner.training.datasets import Dataset
from wm_planner.training.losses import sigreg


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How long and how hard to train. The defaults take about five minutes on two cores."""

    iterations: int = parameter(2200, 'gradient steps', low=1, high=1_000_000)
    batch: int = parameter(48, 'windows a step', low=2, high=4096)
    rollout_steps: int = parameter(2, 'K, actions in a window', low=1, high=16)
    learning_rate: float = parameter(2e-3, 'peak of the one-cycle schedule', low=1e-6, high=0.1)
    weight_decay: float = parameter(1e-3, 'AdamW weight decay', low=0.0, high=1.0)
    sigreg_weight: float = parameter(0.012, 'weight of SIGReg', low=0.0, high=10.0)
    readout_weight: float = parameter(1.0, 'weight of the robot-state readout', low=0.0, high=100.0)
    inverse_weight: float = parameter(0.3, 'weight of the inverse dynamics', low=0.0, high=100.0)
    seed: int = parameter(0, 'seed of weights, batches and projections', low=0)
    save_every: int = parameter(200, 'steps between resumable states', low=1)

    def __post_init__(self) -> None:
        validate(self)


LOSS_NAMES = ('total', 'one_step', 'rollout', 'sigreg', 'readout', 'inverse')


class Trainer:
    """Owns network, optimizer and generator; ``run`` trains to the end, resuming where it can."""

    def __init__(
        self,
        dataset: Dataset,
        spec: ActionSpec,
        config: TrainingConfig,
        architecture: TabletopModelConfig,
        device: str | torch.device = 'cpu',
    ) -> None:
        if architecture.actions != spec.size or architecture.readouts != dataset.readouts.shape[-1]:
            raise InvalidParameterError(
                f'architecture has {architecture.actions} actions and {architecture.readouts} '
                f'readouts; the data have {spec.size} and {dataset.readouts.shape[-1]}.'
            )
        self.config, self.device = config, torch.device(device)
        self._dataset = dataset
        with torch.random.fork_rng(devices=[]):  # layer initialisers draw from the global generator
            torch.manual_seed(config.seed)
            self.network = TabletopNetwork(architecture).to(self.device)
        self._optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
        )
        self._batches = torch.Generator().manual_seed(config.seed)
        self._projections = torch.Generator(device=self.device).manual_seed(config.seed)
        low, high = (torch.tensor(b, dtype=torch.float32) for b in (spec.low, spec.high))
        self._middle, self._half_range = (low + high) / 2.0, (high - low) / 2.0
        flat = dataset.readouts.flatten(0, 1)
        self.readout_mean, self.readout_std = flat.mean(0), flat.std(0).clamp_min(1e-6)
        self.history: list[dict[str, float]] = []
        self.seconds = 0.0  # spent in gradient steps, interrupted runs included

    # -- training --------------------------------------------------------------------------------

    def run(
        self, state_file: Path | None, on_step: Callable[[int, dict[str, float]], None]
    ) -> None:
        """Train up to ``config.iterations``; ``on_step`` gets the step and its losses."""
        if state_file is not None and state_file.exists():
            self._load_state(state_file)
        windows = self._dataset.windows(self.config.batch, self.config.rollout_steps, self._batches)
        self.network.train()
        for step in range(len(self.history), self.config.iterations):
            for group in self._optimizer.param_groups:
                group['lr'] = self.config.learning_rate * _one_cycle(step / self.config.iterations)
            begin = time.monotonic()
            images, actions, readouts, _ = next(windows)
            losses = self.losses(images, actions, readouts)
            self._optimizer.zero_grad(set_to_none=True)
            losses['total'].backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            values = {name: float(value.detach()) for name, value in losses.items()}
            if not math.isfinite(values['total']):
                raise ModelLoadError(
                    f'training diverged at step {step}: {values}; lower learning_rate.'
                )
            self.history.append(values)
            self.seconds += time.monotonic() - begin
            on_step(step + 1, values)
            if state_file is not None and (step + 1) % self.config.save_every == 0:
                self._save_state(state_file)
        self.network.eval()

    def losses(self, images: Tensor, actions: Tensor, readouts: Tensor) -> dict[str, Tensor]:
        """Return the losses of windows: images [B, K+1, s, s, 3], actions [B, K, A]."""
        batch, steps = actions.shape[:2]
        network, config = self.network, self.config
        scaled = self.scale_actions(actions).to(self.device)
        targets = ((readouts - self.readout_mean) / self.readout_std).to(self.device)
        latents = self.encode(images.flatten(0, 1)).view(batch, steps + 1, -1)
        before, after = latents[:, :-1], latents[:, 1:]
        one_step = F.mse_loss(
            network.predictor(before.flatten(0, 1), scaled.flatten(0, 1)),
            after.flatten(0, 1),
        )
        predicted, rollout = latents[:, 0], torch.zeros((), device=self.device)
        for step in range(steps):
            predicted = network.predictor(predicted, scaled[:, step])
            rollout = rollout + F.mse_loss(predicted, latents[:, step + 1]) / steps
        spread = sigreg(latents.flatten(0, 1), self._projections)
        readout = F.mse_loss(network.readout(latents), targets)
        inverse = F.mse_loss(network.inverse(torch.cat([before, after], dim=-1)), scaled)
        total = (
            0.5 * (one_step + rollout)
            + config.sigreg_weight * spread
            + config.readout_weight * readout
            + config.inverse_weight * inverse
        )
        values = (total, one_step, rollout, spread, readout, inverse)
        return dict(zip(LOSS_NAMES, values, strict=True))

    def encode(self, images: Tensor) -> Tensor:
        """Return latents [B, D] of uint8 images [B, s, s, 3]."""
        size = self.network.config.image_size
        latents: Tensor = self.network.encoder(to_network_input(images.to(self.device), size))
        return latents

    def scale_actions(self, actions: Tensor) -> Tensor:
        """Return actions [..., A] scaled to [-1, 1] by their bounds."""
        return (actions - self._middle) / self._half_range

    # -- resuming --------------------------------------------------------------------------------

    def _save_state(self, file: Path) -> None:
        state = {
            'config': asdict(self.config),
            'architecture': asdict(self.network.config),
            'network': self.network.state_dict(),
            'optimizer': self._optimizer.state_dict(),
            'batches': self._batches.get_state(),
            'projections': self._projections.get_state(),
            'history': self.history,
            'seconds': self.seconds,
        }
        temporary = file.with_suffix('.part')
        torch.save(state, temporary)
        temporary.replace(file)

    def _load_state(self, file: Path) -> None:
        state: dict[str, Any] = torch.load(file, map_location='cpu', weights_only=True)
        mine = (asdict(self.config), asdict(self.network.config))
        if (state['config'], state['architecture']) != mine:
            raise InvalidParameterError(
                f'{file} was made with other settings; valid: the settings it was made with '
                f'({state["config"]}), or another --out folder.'
            )
        self.network.load_state_dict(state['network'])
        self._optimizer.load_state_dict(state['optimizer'])
        self._batches.set_state(state['batches'])
        self._projections.set_state(state['projections'])
        self.history, self.seconds = state['history'], state['seconds']


def _one_cycle(progress: float) -> float:
    """Return the fraction of the peak learning rate: linear up for a tenth, then half a cosine."""
    if progress < 0.1:
        return 0.04 + 0.96 * progress / 0.1
    return 0.5 * (1.0 + math.cos(math.pi * (progress - 0.1) / 0.9))
