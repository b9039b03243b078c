# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Camera images as the policies saw them in training: turned, resized, padded, cropped.

The resampling is that of the libraries the policies were trained with (antialiased when it makes an
image smaller), which OpenCV's is not.
"""

from __future__ import annotations

from collections.abc import Callable
import math

import cv2
import numpy as np

from wm_planner.core.geometry import Array
from wm_planner.core.types import Image

_JPEG_QUALITY = 95  # of tf.image.encode_jpeg, through which OpenVLA's training images went


def rotated_as_trained(image: Image) -> Image:
    """Return an upright image as LIBERO-style datasets store it: mirrored left to right.

    Their frames are the engine's bottom-up rows with rows *and* columns reversed; upright is the
    rows alone.
    """
    return np.ascontiguousarray(image[:, ::-1])


def resize_with_pad(image: Image, height: int, width: int) -> Image:
    """Return the image scaled to fit, centred on black, as openpi's and TensorFlow's do it."""
    old_height, old_width = image.shape[:2]
    if (old_height, old_width) == (height, width):
        return image
    ratio = max(old_width / width, old_height / height)
    new_height, new_width = int(old_height / ratio), int(old_width / ratio)
    top, left = (height - new_height) // 2, (width - new_width) // 2
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[top : top + new_height, left : left + new_width] = resize(
        image, new_height, new_width, 'triangle'
    )
    return canvas


def resize(image: Image, height: int, width: int, kernel: str) -> Image:
    """Return the image at another size, antialiased; ``kernel`` is triangle or lanczos3."""
    shape, support = _KERNELS[kernel]
    rows = _resampling(image.shape[0], height, shape, support)
    columns = _resampling(image.shape[1], width, shape, support)
    return _to_uint8(_apply(_to_uint8(_apply(image, None, columns)), rows, None))


def through_jpeg(image: Image) -> Image:
    """Return the image after a JPEG of the quality that OpenVLA's datasets were stored in."""
    done, encoded = cv2.imencode(
        '.jpg', cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    )
    assert done
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def centre_crop(image: Image, area: float) -> Image:
    """Return the middle ``area`` (0 to 1) of the image at the image's own size.

    Sampled linearly between pixel centres without antialiasing, as tf.image.crop_and_resize does.
    """
    height, width = image.shape[:2]
    side = math.sqrt(min(max(area, 0.0), 1.0))
    return _to_uint8(_apply(image, _cropping(height, side), _cropping(width, side)))


def _triangle(x: Array) -> Array:
    return np.maximum(1.0 - np.abs(x), 0.0)


def _lanczos3(x: Array) -> Array:
    values: Array = np.where(np.abs(x) < 3.0, np.sinc(x) * np.sinc(x / 3.0), 0.0)
    return values


_KERNELS: dict[str, tuple[Callable[[Array], Array], float]] = {
    'triangle': (_triangle, 1.0),
    'lanczos3': (_lanczos3, 3.0),
}


def _resampling(old: int, new: int, kernel: Callable[[Array], Array], support: float) -> Array:
    """Return the weights [new, old] of a row of pixels, its kernel widened when it shrinks."""
    scale = max(old / new, 1.0)
    centres = (np.arange(new)[:, np.newaxis] + 0.5) * old / new
    offsets = (np.arange(old)[np.newaxis] + 0.5 - centres) / scale
    weights = np.where(np.abs(offsets) < support, kernel(offsets), 0.0)
    normalised: Array = weights / weights.sum(axis=1, keepdims=True)
    return normalised


def _cropping(size: int, side: float) -> Array:
    """Return the weights [size, size] that sample the middle ``side`` of a row."""
    begin = (1.0 - side) / 2.0 * (size - 1)
    centres = begin + np.arange(size)[:, np.newaxis] * side
    return _triangle(np.arange(size)[np.newaxis] - centres)


def _apply(image: Image, rows: Array | None, columns: Array | None) -> Array:
    values = image.astype(np.float64)
    if columns is not None:
        values = np.einsum('oi,hic->hoc', columns, values, optimize=True)
    if rows is not None:
        values = np.einsum('oi,iwc->owc', rows, values, optimize=True)
    return values


def _to_uint8(values: Array) -> Image:
    return np.clip(np.floor(values + 0.5), 0.0, 255.0).astype(np.uint8)
