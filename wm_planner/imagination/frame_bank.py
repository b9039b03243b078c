# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""FrameBank: real frames and their latents, to find the one nearest to what was imagined."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from wm_planner.core.aspect import has_aspect_of
from wm_planner.core.errors import FrameBankError
from wm_planner.core.imagination import Imagination
from wm_planner.core.protocols import Tensor as AnyTensor
from wm_planner.core.types import Goal, Image


@dataclass(frozen=True, kw_only=True)
class BankFrames:
    """Frames of one camera, not encoded yet. ``camera_frame`` '' = not known."""

    images: Sequence[Image]
    camera_frame: str
    source: str  # where they are from, for messages

    def check_camera(self, camera_frame: str, width: int, height: int) -> None:
        """Raise FrameBankError unless the frames can be of this camera."""
        if not self.images:
            raise FrameBankError(f'frame bank {self.source} holds no frames; valid: at least 1.')
        if self.camera_frame and camera_frame and self.camera_frame != camera_frame:
            raise FrameBankError(
                f'frame bank {self.source} is of camera frame {self.camera_frame!r}; valid: '
                f'{camera_frame!r}, the camera that the planner looks through.'
            )
        own_height, own_width = self.images[0].shape[:2]
        if not has_aspect_of((own_height, own_width), (height, width)):
            raise FrameBankError(
                f'frame bank {self.source} has frames of {own_width}x{own_height} px and the '
                f'camera gives {width}x{height} px; valid: frames of that camera, at any scale.'
            )


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """The frame of a bank that is nearest to a latent, and how far it is [model units]."""

    image: Image
    index: int
    distance: float


class FrameBank:
    """Frames with latents [B, N, D]. Reading it needs no model; any thread."""

    def __init__(self, images: Sequence[Image], latents: Tensor) -> None:
        self._images = images
        self._latents = latents

    def __len__(self) -> int:
        return len(self._images)

    @torch.inference_mode()
    def nearest(self, latent: AnyTensor, imagined: Imagination) -> Nearest:
        """Return the nearest frame to ``latent`` [N, D], by the objective's own distance."""
        distances = imagined.distance(self._latents, latent.to(self._latents))
        index = int(distances.argmin())
        return Nearest(image=self._images[index], index=index, distance=float(distances[index]))


class BankEncoder:
    """Encodes a bank with the world model, bit by bit on the planning thread."""

    def __init__(self, frames: BankFrames) -> None:
        self._frames = frames
        self.bank: FrameBank | None = None

    def work(self, planner: object) -> Iterator[None]:
        """Encode a frame at a time; ``bank`` is there at the end."""
        encode = getattr(planner, 'encode_picture', None)
        if encode is None:
            raise FrameBankError(
                f'{type(planner).__name__} encodes no pictures, so it has no use for a frame bank; '
                'valid: a planner on a world model.'
            )
        latents = []
        for index, image in enumerate(self._frames.images):
            latents.append(encode(Goal(goal_id=f'bank frame {index}', image=image)))
            yield
        self.bank = FrameBank(self._frames.images, torch.stack(latents))
