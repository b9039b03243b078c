# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Training the decoder of a tabletop model that is trained already and stays as it is."""

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
from wm_planner.models.tabletop.decoder import Decoder, DecoderConfig, psnr_db
from wm_planner.models.tabletop.network import TabletopNetwork, to_network_input
from wm_planner.training.datasets import Dataset

PSNR_STEPS = 5
_ENCODE_AT_ONCE = 1000


@dataclass(frozen=True, kw_only=True)
class DecoderTrainingConfig:
    """How the decoder is trained."""

    iterations: int = parameter(2000, 'gradient steps', low=1)
    batch: int = parameter(128, 'frames a step', low=1)
    learning_rate: float = parameter(2e-3, 'peak learning rate of AdamW', low=1e-6, high=1.0)
    weight_decay: float = parameter(1e-4, 'weight decay of AdamW', low=0.0, high=1.0)
    seed: int = parameter(0, 'seed of weights and batches', low=0)
    save_every: int = parameter(200, 'steps between resumable states', low=1)

    def __post_init__(self) -> None:
        validate(self)


class DecoderTrainer:
    """Fits a decoder to the latents of a frozen encoder; ``run`` resumes where it can."""

    def __init__(
        self, dataset: Dataset, network: TabletopNetwork, config: DecoderTrainingConfig
    ) -> None:
        self.config = config
        self._images = dataset.images.flatten(0, 1)  # [F, s, s, 3]
        self._latents = encode_frames(network, self._images)
        with torch.random.fork_rng(devices=[]):  # layer initialisers draw from the global generator
            torch.manual_seed(config.seed)
            self.decoder = Decoder(DecoderConfig(latent_size=network.config.latent_size))
        size = self.decoder.config.image_size
        with torch.no_grad():
            sample = to_network_input(self._images[:: max(1, len(self._images) // 4000)], size)
            self.decoder.mean.copy_(sample.mean(0))
        self._optimizer = torch.optim.AdamW(
            self.decoder.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self._batches = torch.Generator().manual_seed(config.seed)
        self.history: list[float] = []
        self.seconds = 0.0

    def run(self, state_file: Path | None, on_step: Callable[[int, float], None]) -> None:
        """Train up to ``config.iterations``; ``on_step`` gets the step and its loss."""
        if state_file is not None and state_file.exists():
            self._load_state(state_file)
        config, size = self.config, self.decoder.config.image_size
        self.decoder.train()
        for step in range(len(self.history), config.iterations):
            begin = time.monotonic()
            for group in self._optimizer.param_groups:
                group['lr'] = config.learning_rate * _schedule(step / config.iterations)
            rows = torch.randint(0, len(self._images), (config.batch,), generator=self._batches)
            truth = to_network_input(self._images[rows], size)
            loss = F.mse_loss(self.decoder(self._latents[rows]), truth)
            self._optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            value = float(loss.detach())
            if not math.isfinite(value):
                raise ModelLoadError(f'training diverged at step {step}; lower learning_rate.')
            self.history.append(value)
            self.seconds += time.monotonic() - begin
            on_step(step + 1, value)
            if state_file is not None and (step + 1) % config.save_every == 0:
                self._save_state(state_file)
        self.decoder.eval().requires_grad_(False)

    def _save_state(self, file: Path) -> None:
        state = {
            'config': asdict(self.config),
            'decoder': self.decoder.state_dict(),
            'optimizer': self._optimizer.state_dict(),
            'batches': self._batches.get_state(),
            'history': self.history,
            'seconds': self.seconds,
        }
        temporary = file.with_suffix('.part')
        torch.save(state, temporary)
        temporary.replace(file)

    def _load_state(self, file: Path) -> None:
        state: dict[str, Any] = torch.load(file, map_location='cpu', weights_only=True)
        if state['config'] != asdict(self.config):
            raise InvalidParameterError(
                f'{file} was made with other settings; valid: {state["config"]}, or another --out '
                'folder.'
            )
        self.decoder.load_state_dict(state['decoder'])
        self._optimizer.load_state_dict(state['optimizer'])
        self._batches.set_state(state['batches'])
        self.history, self.seconds = state['history'], state['seconds']


def _schedule(progress: float) -> float:
    """Return the fraction of the peak learning rate: up for a twentieth, then half a cosine."""
    return max(0.5 * (1.0 + math.cos(math.pi * progress)) * min(1.0, 20.0 * progress), 5e-3)


@torch.inference_mode()
def encode_frames(network: TabletopNetwork, images: Tensor) -> Tensor:
    """Return latents [F, D] of frames uint8 [F, s, s, 3]."""
    size = network.config.image_size
    parts = [network.encoder(to_network_input(p, size)) for p in images.split(_ENCODE_AT_ONCE)]
    return torch.cat(parts).clone()


@torch.inference_mode()
def measure_decoder(
    decoder: Decoder, network: TabletopNetwork, spec: ActionSpec, held_out: Dataset, *, moments: int
) -> dict[str, Any]:
    """Return PSNR [dB] of decoded imagination against the frames that came, 1 to 5 steps ahead.

    From ``moments`` starts spread over the held-out episodes, under the actions executed there.
    Beside it: the decoded latent of the very frame, which no prediction can beat by much, and the
    frame before shown again, which is what a picture of nothing happening would score.
    """
    size = decoder.config.image_size
    episodes, length = held_out.actions.shape[:2]
    starts = torch.linspace(0, episodes * (length - PSNR_STEPS) - 1, moments).long()
    episode, first = starts % episodes, starts // episodes
    low, high = (torch.tensor(b, dtype=torch.float32) for b in (spec.low, spec.high))
    before = held_out.images[episode, first]
    latents = encode_frames(network, before)
    imagined, own, same = [], [], []
    for step in range(PSNR_STEPS):
        actions = held_out.actions[episode, first + step]
        latents = network.predictor(latents, (actions - (low + high) / 2) / ((high - low) / 2))
        frames = held_out.images[episode, first + step + 1]
        truth = to_network_input(frames, size)
        imagined.append(psnr_db(decoder(latents), truth))
        own.append(psnr_db(decoder(encode_frames(network, frames)), truth))
        same.append(psnr_db(to_network_input(before, size), truth))
    return {
        'held_out_steps': moments,
        'psnr_db_imagined': [round(float(p.mean()), 2) for p in imagined],
        'psnr_db_imagined_worst_tenth': [round(float(p.quantile(0.1)), 2) for p in imagined],
        'psnr_db_decoded_frame_itself': [round(float(p.mean()), 2) for p in own],
        'psnr_db_frame_shown_again': [round(float(p.mean()), 2) for p in same],
    }
