# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The tabletop model's decoder: latents back to pictures, for people to look at.

Nothing plans with it. It is a network and a file of its own beside the world model's, trained after
the world model and without changing it; an import contract keeps planning, control and the world
model itself from reaching it. What it draws is what the latent holds: where the latent knows a
block only coarsely, the picture is a blur there.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wm_planner.core.config import from_mapping, parameter, validate
from wm_planner.core.errors import ChecksumError, ModelLoadError, WmPlannerError
from wm_planner.models.tabletop.checkpoint import card_path, sha256_of
from wm_planner.models.tabletop.network import check_finite

SHIPPED_DECODER = Path(__file__).parent / 'decoder.safetensors'
CARD_FORMAT = 1
_CELLS = 8  # side of the first feature map


@dataclass(frozen=True, kw_only=True)
class DecoderConfig:
    """Sizes of the decoder."""

    latent_size: int = parameter(32, 'D, width of the latent', low=4, high=1024)
    hidden: int = parameter(256, 'width between the latent and the first map', low=32, high=4096)
    channels: int = parameter(32, 'channels of the first map, 8 x 8', low=8, high=256)
    image_size: int = parameter(64, 'side of the picture [px]', choices=(64,))

    def __post_init__(self) -> None:
        validate(self)


class Decoder(nn.Module):
    """Latents [B, D] to pictures [B, 3, 64, 64] in [-0.5, 0.5]: a mean picture and what differs."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        width = config.channels
        self.head = nn.Sequential(
            nn.Linear(config.latent_size, config.hidden),
            nn.GELU(),
            nn.Linear(config.hidden, width * _CELLS**2),
            nn.GELU(),
        )
        self.convolutions = nn.Sequential(
            nn.Conv2d(width, 4 * width, kernel_size=3, padding=1),
            nn.PixelShuffle(2),  # 8 -> 16
            nn.GELU(),
            nn.Conv2d(width, 4 * width, kernel_size=3, padding=1),
            nn.PixelShuffle(2),  # -> 32
            nn.GELU(),
            nn.Conv2d(width, 3 * 4, kernel_size=3, padding=1),
            nn.PixelShuffle(2),  # -> 64
        )
        self.mean = nn.Parameter(torch.zeros(3, config.image_size, config.image_size))

    def forward(self, latents: Tensor) -> Tensor:
        """Return pictures [B, 3, 64, 64]."""
        cells = self.head(latents).unflatten(1, (self.config.channels, _CELLS, _CELLS))
        pictures: Tensor = self.mean + self.convolutions(cells)
        return pictures


@dataclass(frozen=True, kw_only=True)
class DecoderCard:
    """What is known about a decoder file; ``encoder_sha256`` names the weights it belongs to."""

    sha256: str
    encoder_sha256: str
    architecture: DecoderConfig
    training: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the card as JSON text."""
        return json.dumps({'format': CARD_FORMAT, **asdict(self)}, indent=2) + '\n'

    @classmethod
    def load(cls, path: Path) -> DecoderCard:
        """Read a card. Raises ModelLoadError naming the file and what is wrong with it."""
        try:
            content = json.loads(path.read_text())
            if content.pop('format') != CARD_FORMAT:
                raise ModelLoadError(f'decoder card {path}; valid: format {CARD_FORMAT}.')
            architecture = from_mapping(DecoderConfig, content.pop('architecture'))
            return cls(architecture=architecture, **content)
        except (OSError, json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise ModelLoadError(
                f'decoder card {path} is missing or damaged ({error!r}); valid: as written by '
                'wm_planner train decoder.'
            ) from error
        except WmPlannerError as error:
            raise ModelLoadError(f'decoder card {path}: {error.message}') from error


def save_decoder(
    network: Decoder,
    path: Path,
    *,
    encoder_sha256: str,
    training: dict[str, Any],
    measured: dict[str, Any],
) -> DecoderCard:
    """Write weights (half precision: half the size, no difference to the eye) and card."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: t.detach().cpu().half() for name, t in network.state_dict().items()}
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()},
        path,
        metadata={'model': 'wm_planner/tabletop decoder'},
    )
    card = DecoderCard(
        sha256=sha256_of(path),
        encoder_sha256=encoder_sha256,
        architecture=network.config,
        training=training,
        measured=measured,
    )
    card_path(path).write_text(card.to_json())
    return card


def load_decoder(path: Path = SHIPPED_DECODER) -> tuple[Decoder, DecoderCard]:
    """Return the decoder, in single precision and without gradients, and its card.

    Raises ModelLoadError for a file that is missing, foreign or not finite, ChecksumError for one
    that is not its card's.
    """
    if not path.is_file():
        raise ModelLoadError(f'decoder file {path} does not exist; valid: a .safetensors file.')
    card = DecoderCard.load(card_path(path))
    found = sha256_of(path)
    if found != card.sha256:
        raise ChecksumError(
            f'decoder file {path} has SHA-256 {found[:16]}..., its card states '
            f'{card.sha256[:16]}...; get it again, or retrain with: wm_planner train decoder.'
        )
    network = Decoder(card.architecture)
    try:
        network.load_state_dict({k: t.float() for k, t in load_file(path).items()}, strict=True)
    except (SafetensorError, OSError, RuntimeError) as error:
        raise ModelLoadError(f'decoder file {path} does not fit its card: {error}') from error
    bad = check_finite(network)
    if bad:
        raise ModelLoadError(f'decoder file {path} holds NaN or infinity in {", ".join(bad[:3])}.')
    return network.eval().requires_grad_(False), card


def to_uint8(pictures: Tensor) -> Tensor:
    """Return uint8 RGB images [B, H, W, 3] of pictures [B, 3, H, W] in [-0.5, 0.5]."""
    values = ((pictures + 0.5) * 255.0).round().clamp(0.0, 255.0)
    return values.to(torch.uint8).permute(0, 2, 3, 1)


def psnr_db(pictures: Tensor, truth: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio [B] of pictures [B, 3, H, W] of range 1."""
    error = F.mse_loss(pictures.clamp(-0.5, 0.5), truth, reduction='none').mean(dim=(1, 2, 3))
    return -10.0 * torch.log10(error.clamp_min(1e-10))
