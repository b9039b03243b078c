# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""From camera pictures to network input, on the device.

Crop, bilinear resize without antialiasing, ImageNet mean and std: what the released planner does
(facebookresearch/vjepa2 app/vjepa_droid/transforms.py). Its inference crops a central square. Its
training asks for a random crop that no 16:9 or 4:3 picture can satisfy, and so always falls back to
the central part limited to an aspect of 1.35, squeezed to a square. Which of them suits a camera
better is for the user to try, so it is a parameter.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from wm_planner.core.types import Image

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
_ASPECTS = {'square': (1.0, 1.0), 'wide': (0.75, 1.35)}  # smallest and largest width / height


def crop_box(height: int, width: int, crop: str) -> tuple[int, int, int, int]:
    """Return top, left, height and width [px] of the central part that ``crop`` keeps."""
    narrowest, widest = _ASPECTS[crop]
    kept_height, kept_width = height, width
    if width / height < narrowest:
        kept_height = round(width / narrowest)
    elif width / height > widest:
        kept_width = round(height * widest)
    return (height - kept_height) // 2, (width - kept_width) // 2, kept_height, kept_width


class Preprocessor:
    """Pictures uint8 [T, H, W, 3] to network input [T, 3, s, s] on a device."""

    def __init__(
        self, *, size: int, crop: str, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> None:
        self._size = size
        self._crop = crop
        self._device = device
        self._dtype = dtype
        self._mean = 255.0 * torch.tensor(_MEAN, device=device).view(3, 1, 1)
        self._std = 255.0 * torch.tensor(_STD, device=device).view(3, 1, 1)

    def __call__(self, images: Image) -> Tensor:
        """Return the network input."""
        top, left, height, width = crop_box(images.shape[1], images.shape[2], self._crop)
        part = np.ascontiguousarray(images[:, top : top + height, left : left + width])
        pixels = torch.tensor(part, device=self._device).permute(0, 3, 1, 2).float()
        if (height, width) != (self._size, self._size):
            pixels = F.interpolate(
                pixels, size=(self._size, self._size), mode='bilinear', align_corners=False
            )
        return ((pixels - self._mean) / self._std).to(self._dtype)
