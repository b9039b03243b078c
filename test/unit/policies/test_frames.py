# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Images as policies were trained on them."""

from __future__ import annotations

import numpy as np
import pytest

from wm_planner.policies.frames import (
    centre_crop,
    resize,
    resize_with_pad,
    rotated_as_trained,
    through_jpeg,
)

RANDOM = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)


def test_rotation_is_that_of_the_raw_frame_by_180_degrees() -> None:
    raw = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)  # as the engine renders, bottom up
    upright = raw[::-1]
    assert np.array_equal(rotated_as_trained(upright), raw[::-1, ::-1])


@pytest.mark.parametrize(('kernel', 'pillow'), [('triangle', 'BILINEAR'), ('lanczos3', 'LANCZOS')])
@pytest.mark.parametrize('size', [(40, 56), (224, 224), (96, 50)])
def test_resizing_is_that_of_pillow(kernel: str, pillow: str, size: tuple[int, int]) -> None:
    image_module = pytest.importorskip('PIL.Image', reason='pillow is not installed')
    height, width = size
    expected = image_module.fromarray(RANDOM).resize(
        (width, height), getattr(image_module.Resampling, pillow)
    )
    difference = resize(RANDOM, height, width, kernel).astype(int) - np.asarray(expected)
    assert np.abs(difference).max() <= 1  # of 255; Pillow counts in fixed point


def test_padding_is_black_and_even() -> None:
    white = np.full((96, 128, 3), 255, np.uint8)
    padded = resize_with_pad(white, 224, 224)
    assert padded.shape == (224, 224, 3)
    # 224 of 128 is 1.75, so the picture is 168 rows high: 28 rows above and below.
    assert padded[:28].max() == 0 and padded[-28:].max() == 0
    assert padded[28:-28].min() == 255


def test_padding_leaves_an_image_of_the_right_size_alone() -> None:
    assert resize_with_pad(RANDOM, 96, 128) is RANDOM


def test_padding_is_that_of_openpi() -> None:
    tools = pytest.importorskip(
        'openpi_client.image_tools', reason='openpi-client is not installed (pip --no-deps)'
    )
    for image in (RANDOM, np.ascontiguousarray(RANDOM.transpose(1, 0, 2))):
        ours, theirs = resize_with_pad(image, 224, 224), tools.resize_with_pad(image, 224, 224)
        difference = np.abs(ours.astype(int) - theirs)
        # Two passes, each of which may round a half the other way.
        assert difference.max() <= 2 and difference.mean() < 0.1


def test_crop_keeps_the_middle_nine_tenths_of_the_area() -> None:
    ramp = np.broadcast_to(np.arange(101, dtype=np.uint8)[None, :, None], (101, 101, 3)).copy()
    cropped = centre_crop(ramp, 0.9)
    # A side of sqrt(0.9) = 0.94868 of the 100 pixel intervals: from 2.566 to 97.434.
    assert cropped.shape == ramp.shape
    assert cropped[0, 0, 0] == 3 and cropped[0, -1, 0] == 97 and cropped[0, 50, 0] == 50
    assert np.array_equal(centre_crop(RANDOM[:96, :96], 1.0), RANDOM[:96, :96])


def test_jpeg_changes_little_and_not_the_colours() -> None:
    smooth = np.zeros((64, 64, 3), np.uint8)
    smooth[...] = (200, 40, 10)
    assert np.abs(through_jpeg(smooth).astype(int) - smooth).max() <= 3
