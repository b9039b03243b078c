# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""From pictures to network input, against boxes and a resize worked out independently."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fakes.vjepa2 import CPU
from wm_planner.models.vjepa2_ac.preprocessing import Preprocessor, crop_box

MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def processed(images: np.ndarray, size: int, crop: str = 'square') -> np.ndarray:
    return Preprocessor(size=size, crop=crop, device=CPU)(images).numpy()


def resized_by_hand(image: np.ndarray, size: int) -> np.ndarray:
    """Return [3, s, s]: pixel centres at halves, the four neighbours weighted, no smoothing."""
    axes = []
    for length in image.shape[:2]:
        centre = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0.0, None)
        low = np.floor(centre).astype(int)
        axes.append((low, np.minimum(low + 1, length - 1), centre - low))
    (top, bottom, down), (left, right, across) = axes
    pixels = image.astype(np.float64)
    down, across = down[:, None, None], across[None, :, None]
    upper = pixels[top][:, left] * (1 - across) + pixels[top][:, right] * across
    lower = pixels[bottom][:, left] * (1 - across) + pixels[bottom][:, right] * across
    normalised = ((upper * (1 - down) + lower * down) / 255.0 - MEAN) / STD
    return normalised.transpose(2, 0, 1)


@pytest.mark.parametrize(
    ('height', 'width', 'crop', 'box'),
    [
        (720, 1280, 'square', (0, 280, 720, 720)),
        (480, 640, 'square', (0, 80, 480, 480)),
        (300, 300, 'square', (0, 0, 300, 300)),
        (640, 480, 'square', (80, 0, 480, 480)),
        (720, 1280, 'wide', (0, 154, 720, 972)),  # 720 * 1.35
        (480, 640, 'wide', (0, 0, 480, 640)),  # an aspect of 1.33
        (300, 300, 'wide', (0, 0, 300, 300)),
        (640, 480, 'wide', (0, 0, 640, 480)),  # an aspect of 0.75
        (1280, 720, 'wide', (160, 0, 960, 720)),  # 720 / 0.75
    ],
)
def test_central_part_is_kept_when_a_picture_is_cropped(
    height: int, width: int, crop: str, box: tuple[int, ...]
) -> None:
    assert crop_box(height, width, crop) == box


@pytest.mark.parametrize('crop', ['square', 'wide'])
@pytest.mark.parametrize(('height', 'width'), [(72, 128), (48, 64), (40, 40), (100, 50), (9, 7)])
def test_input_is_the_resized_part_when_a_picture_is_processed(
    height: int, width: int, crop: str
) -> None:
    """Larger, smaller, squeezed; no antialiasing, as in the released planner."""
    image = picture(height, width)
    top, left, kept_height, kept_width = crop_box(height, width, crop)
    part = image[top : top + kept_height, left : left + kept_width]
    found = processed(image[None], 32, crop)
    assert found.shape == (1, 3, 32, 32) and found.dtype == np.float32
    assert np.allclose(found[0], resized_by_hand(part, 32), atol=1e-4)


def test_pixels_are_only_normalised_when_the_picture_has_the_right_size() -> None:
    image = picture(32, 32)
    found = processed(image[None], 32)[0].transpose(1, 2, 0)
    assert np.allclose(found, (image / 255.0 - MEAN) / STD, atol=1e-5)


def test_colours_keep_their_order_when_normalised() -> None:
    """Black, and full red, green and blue: worked out from ImageNet's mean and deviation."""
    image = np.zeros((2, 32, 32, 3), np.uint8)
    image[1, ..., 0] = 255
    found = processed(image, 32)
    assert found[0, :, 0, 0] == pytest.approx([-2.1179, -2.0357, -1.8044], abs=1e-4)
    assert found[1, :, 0, 0] == pytest.approx([2.2489, -2.0357, -1.8044], abs=1e-4)


def test_frames_keep_their_order_when_there_are_several() -> None:
    images = np.stack([picture(48, 64, seed) for seed in range(3)])
    together = processed(images, 32)
    for row in range(3):
        assert np.array_equal(together[row], processed(images[row : row + 1], 32)[0])


def test_part_outside_the_crop_is_not_looked_at_when_it_changes() -> None:
    image = picture(48, 64)
    changed = image.copy()
    changed[:, :8] = 0
    changed[:, -8:] = 255
    assert np.array_equal(processed(image[None], 32), processed(changed[None], 32))
    wide = processed(image[None], 32, 'wide'), processed(changed[None], 32, 'wide')
    assert not np.allclose(*wide)


def test_precision_is_rounded_last_when_it_is_bfloat16() -> None:
    image = picture(48, 64)[None]
    half = Preprocessor(size=32, crop='square', device=CPU, dtype=torch.bfloat16)(image)
    assert half.dtype == torch.bfloat16
    assert torch.equal(half, torch.tensor(processed(image, 32)).bfloat16())


def test_read_only_picture_is_left_as_it_is_when_processed() -> None:
    """Observations are frozen; torch warns of, and could write to, memory that it shares."""
    image = picture(32, 32)[None]
    before = image.copy()
    image.flags.writeable = False
    Preprocessor(size=32, crop='square', device=CPU)(image).zero_()
    assert np.array_equal(image, before)
