# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Painters: predicted latents as pictures.

A model with a trained decoder is drawn by it. A model of many tokens a frame, which has no decoder,
is drawn as colours: the three strongest directions among its tokens are red, green and blue.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from wm_planner.core.errors import ModelLoadError
from wm_planner.core.types import Image
from wm_planner.models.tabletop.checkpoint import SHIPPED_WEIGHTS, ModelCard, card_path
from wm_planner.models.tabletop.decoder import SHIPPED_DECODER, Decoder, load_decoder, to_uint8

_COLOURS = 3
_CLIPPED = 0.02  # share of the tokens that may lie beyond black or white, at each end


class Painter(Protocol):
    """Draws latents. One thread: that of the Imaginer."""

    def paint(self, latents: Tensor) -> Image:
        """Return pictures uint8 [F, h, w, 3] of latents [F, N, D]."""

    def begin(self, tokens: Tensor) -> None:
        """Learn from the latents [F, N, D] of the first frames that there are; later calls too."""


class DecoderPainter:
    """Draws the one latent that the tabletop model has of a frame with its decoder."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder

    @torch.inference_mode()
    def paint(self, latents: Tensor) -> Image:
        """Return pictures [F, 64, 64, 3] of latents [F, 1, D]."""
        pictures = self._decoder(latents[:, 0].float().cpu())
        image: Image = to_uint8(pictures).numpy()
        return image

    def begin(self, tokens: Tensor) -> None:
        """Do nothing: a decoder has learned before."""


class TokenPainter:
    """Draws tokens as colours along three fixed directions of their space.

    The directions are the principal ones among the tokens of the first frames of a session, their
    signs fixed by their largest component, and so is the range of the colours: the same token gets
    the same colour in every picture of the session.
    """

    def __init__(self) -> None:
        self._basis: Tensor | None = None  # [D, 3]
        self._mean = torch.zeros(0)
        self._low = self._high = torch.zeros(_COLOURS)

    @torch.inference_mode()
    def begin(self, tokens: Tensor) -> None:
        """Fit directions and ranges to ``tokens`` [F, N, D], unless that is done."""
        if self._basis is not None:
            return
        flat = tokens.flatten(0, 1).float().cpu()
        self._mean = flat.mean(0)
        _, _, directions = torch.linalg.svd(flat - self._mean, full_matrices=False)
        basis = torch.zeros(_COLOURS, flat.shape[1])
        basis[: min(_COLOURS, len(directions))] = directions[:_COLOURS]
        largest = basis.gather(1, basis.abs().argmax(dim=1, keepdim=True))
        self._basis = (basis * largest.sign()).T
        shares = (flat - self._mean) @ self._basis  # [F N, 3]
        limits = torch.tensor([_CLIPPED, 1.0 - _CLIPPED])
        self._low, self._high = torch.quantile(shares, limits, dim=0)

    @torch.inference_mode()
    def paint(self, latents: Tensor) -> Image:
        """Return pictures [F, sqrt N, sqrt N, 3] of tokens [F, N, D] in reading order."""
        self.begin(latents)
        assert self._basis is not None
        shares = (latents.float().cpu() - self._mean) @ self._basis  # [F, N, 3]
        spread = (self._high - self._low).clamp_min(1e-9)
        colours = ((shares - self._low) / spread).clamp(0.0, 1.0) * 255.0
        side = math.isqrt(latents.shape[1])
        image: Image = colours[:, : side * side].round().to(torch.uint8).numpy()
        return image.reshape(len(image), side, side, _COLOURS)


def make_painter(model: str, weights: str = '', decoder: str = '') -> Painter | None:
    """Return the painter of a world model by name; None for a model that nothing can draw.

    ``weights`` are those of the model, '' = what ships. ``decoder`` is the decoder's file; '' = the
    one beside the weights. Raises ModelLoadError for a decoder of other weights.
    """
    if model == 'tabletop':
        return _decoder_painter(weights, decoder)
    return None if model == 'point_mass' else TokenPainter()


def _decoder_painter(weights: str, decoder: str) -> DecoderPainter:
    file = Path(weights) if weights else SHIPPED_WEIGHTS
    path = Path(decoder) if decoder else file.parent / SHIPPED_DECODER.name
    network, card = load_decoder(path)
    owner = ModelCard.load(card_path(file)).sha256
    if card.encoder_sha256 != owner:
        raise ModelLoadError(
            f'decoder {path} belongs to the weights {card.encoder_sha256[:16]}..., {file} are '
            f'{owner[:16]}...; valid: a decoder made by wm_planner train decoder --weights {file}.'
        )
    return DecoderPainter(network)
