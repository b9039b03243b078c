# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Image messages to arrays and back: every encoding, and every way a message can be wrong."""

from __future__ import annotations

import array
import sys
import types

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

import cv2  # noqa: E402
from sensor_msgs.msg import CompressedImage  # noqa: E402
from sensor_msgs.msg import Image as ImageMessage  # noqa: E402

from wm_planner.core.errors import InvalidImageError  # noqa: E402
from wm_planner.ros.conversions import (  # noqa: E402
    IMAGE_ENCODINGS,
    image_from_compressed,
    image_from_message,
    image_to_message,
)

WIDTH, HEIGHT = 24, 18


def picture(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Return smooth colours, so that subsampled chroma and mosaics lose little."""
    row, column = np.mgrid[0:height, 0:width]
    red = 60 + 4 * row
    green = 80 + 3 * column
    blue = np.full_like(row, 120)
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def message_of(
    encoding: str, pixels: np.ndarray, *, height: int = HEIGHT, padding: int = 0, big: bool = False
) -> ImageMessage:
    """Return a message whose rows are ``pixels`` [rows, ...] with ``padding`` bytes of rubbish."""
    if pixels.dtype == np.uint16:
        pixels = pixels.astype('>u2' if big else '<u2')
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(pixels.shape[0], -1)
    padded = np.concatenate([rows, np.full((len(rows), padding), 0xAB, np.uint8)], axis=1)
    return ImageMessage(
        width=WIDTH,
        height=height,
        encoding=encoding,
        step=padded.shape[1],
        is_bigendian=int(big),
        data=array.array('B', padded.tobytes()),
    )


def encoded(encoding: str) -> np.ndarray:
    """Return ``picture()`` as ``encoding`` has it, worked out here pixel by pixel."""
    rgb = picture()
    red, green, blue = (rgb[..., i] for i in range(3))
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    alpha = np.full_like(red, 7)
    stacks = {
        'rgb': (red, green, blue),
        'bgr': (blue, green, red),
        'rgba': (red, green, blue, alpha),
        'bgra': (blue, green, red, alpha),
        '8UC3': (blue, green, red),
        '8UC4': (blue, green, red, alpha),
    }
    name = encoding if encoding.startswith('8UC') else encoding.rstrip('0123456789')
    is_16_bit = encoding.endswith('16')
    if name in stacks:
        pixels = np.stack(stacks[name], axis=-1)
    elif name in ('mono', '8UC1'):
        pixels = grey
    elif name.startswith('bayer'):
        pixels = mosaic(rgb, encoding.removeprefix('bayer_')[:4])
    else:
        return yuv(rgb, encoding)
    return (pixels.astype(np.uint16) << 8 | 0x5A) if is_16_bit else pixels


def mosaic(rgb: np.ndarray, pattern: str) -> np.ndarray:
    """Return the mosaic whose top left 2 x 2 pixels show ``pattern``, row by row."""
    result = np.zeros(rgb.shape[:2], np.uint8)
    for index, colour in enumerate(pattern):
        row, column = divmod(index, 2)
        result[row::2, column::2] = rgb[row::2, column::2, 'rgb'.index(colour)]
    return result


def yuv(rgb: np.ndarray, encoding: str) -> np.ndarray:
    """Return BT.601 studio-range YUV in the layout of ``encoding``."""
    red, green, blue = (rgb[..., i].astype(float) for i in range(3))
    y = 16 + 0.257 * red + 0.504 * green + 0.098 * blue
    u = 128 - 0.148 * red - 0.291 * green + 0.439 * blue
    v = 128 + 0.439 * red - 0.368 * green - 0.071 * blue
    y, u, v = (np.round(plane).astype(np.uint8) for plane in (y, u, v))
    if encoding in ('nv12', 'nv21'):
        pair = (u, v) if encoding == 'nv12' else (v, u)
        chroma = np.stack([plane[::2, ::2] for plane in pair], axis=-1).reshape(HEIGHT // 2, WIDTH)
        return np.concatenate([y, chroma])
    chroma = np.where(np.arange(WIDTH) % 2 == 0, u, v)
    order = (chroma, y) if encoding in ('uyvy', 'yuv422') else (y, chroma)
    return np.stack(order, axis=-1)


def expected(encoding: str) -> np.ndarray:
    if encoding.startswith('mono') or encoding == '8UC1':
        return np.repeat(cv2.cvtColor(picture(), cv2.COLOR_RGB2GRAY)[..., None], 3, axis=-1)
    return picture()


@pytest.mark.parametrize('padding', [0, 6])
@pytest.mark.parametrize('encoding', IMAGE_ENCODINGS)
def test_image_is_rgb_when_in_any_known_encoding(encoding: str, padding: int) -> None:
    image = image_from_message(message_of(encoding, encoded(encoding), padding=padding))
    assert image.shape == (HEIGHT, WIDTH, 3) and image.dtype == np.uint8
    inner = (slice(2, -2), slice(2, -2))  # mosaics are guessed at the edge
    is_exact = not encoding.startswith(('bayer', 'nv', 'uyvy', 'yuv', 'yuyv'))
    difference = np.abs(image[inner].astype(int) - expected(encoding)[inner].astype(int))
    assert difference.max() <= (0 if is_exact else 6), encoding


@pytest.mark.parametrize('encoding', [name for name in IMAGE_ENCODINGS if name.endswith('16')])
def test_upper_byte_is_kept_when_16_bit_and_big_endian(encoding: str) -> None:
    little = image_from_message(message_of(encoding, encoded(encoding)))
    big = image_from_message(message_of(encoding, encoded(encoding), big=True))
    np.testing.assert_array_equal(little, big)


def test_image_shares_no_memory_with_the_message() -> None:
    message = image_to_message(picture())
    image = image_from_message(message)
    message.data[0] = 255 - message.data[0]
    np.testing.assert_array_equal(image, picture())
    assert not image.flags.writeable


def test_image_survives_the_round_trip() -> None:
    message = image_to_message(picture(), stamp_ns=12_000_000_034, frame_id='camera')
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (12, 34)
    assert message.header.frame_id == 'camera'
    assert (message.width, message.height, message.step) == (WIDTH, HEIGHT, 3 * WIDTH)
    assert message.encoding == 'rgb8' and message.is_bigendian == 0
    assert isinstance(message.data, array.array), 'anything else costs 10 to 1000 times as much'
    np.testing.assert_array_equal(image_from_message(message), picture())


def test_image_to_message_packs_rows_when_the_array_is_a_view() -> None:
    wide = picture(2 * WIDTH)
    np.testing.assert_array_equal(image_from_message(image_to_message(wide[:, ::2])), wide[:, ::2])


def test_image_to_message_leaves_a_writeable_array_writeable() -> None:
    image = picture()
    image_to_message(image)
    assert image.flags.writeable


def broken(**changes: object) -> ImageMessage:
    message = image_to_message(picture())
    for name, value in changes.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize(
    ('message', 'words'),
    [
        (broken(encoding='rgb9'), ['rgb9', 'valid', 'bgr8', 'mono16', 'yuyv']),
        (broken(encoding=''), ["''", 'rgb8']),
        (broken(encoding='32FC1'), ['32FC1', 'rgb8']),
        (broken(step=3 * WIDTH - 1), ['step 71', 'at least 72']),
        (broken(step=0), ['step 0', 'at least 72']),
        (broken(step=3 * WIDTH + 1), ['holds 1296 bytes', '73 x 18 = 1314']),
        (broken(data=array.array('B', bytes(17))), ['holds 17 bytes', '1296']),
        (broken(data=array.array('B')), ['holds 0 bytes']),
        (broken(width=0), ['0x18 px', '16x16']),
        (broken(height=0), ['24x0 px', '16x16']),
        (broken(width=1, height=1, step=3, data=array.array('B', bytes(3))), ['1x1 px', '16x16']),
        (broken(encoding='mono16', step=51), ['step 51', 'even']),
        (broken(encoding='yuyv', width=23), ['23x18', 'even width']),
        (broken(encoding='nv12', height=17), ['24x17', 'even width and height']),
    ],
    ids=lambda value: '' if isinstance(value, ImageMessage) else str(value[0]),
)
def test_image_is_refused_with_what_is_valid_when_malformed(
    message: ImageMessage, words: list[str]
) -> None:
    with pytest.raises(InvalidImageError) as caught:
        image_from_message(message)
    assert caught.value.code == 101
    for word in words:
        assert word in str(caught.value)


def test_rare_encoding_is_refused_when_cv_bridge_is_the_ros_1_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The package of that name on the Python index has no compiled half and reads wrongly."""
    impostor = types.ModuleType('cv_bridge')
    impostor.CvBridge = lambda: pytest.fail('the ROS 1 code was used')  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, 'cv_bridge', impostor)
    monkeypatch.setitem(sys.modules, 'cv_bridge.boost', None)
    with pytest.raises(InvalidImageError, match='32FC3'):
        image_from_message(broken(encoding='32FC3'))


def test_rare_encoding_goes_to_cv_bridge_when_the_distribution_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    class CvBridge:
        def imgmsg_to_cv2(self, message: ImageMessage, desired_encoding: str) -> np.ndarray:
            asked.append(f'{message.encoding} as {desired_encoding}')
            return picture()

    bridge, boost = types.ModuleType('cv_bridge'), types.ModuleType('cv_bridge.boost')
    bridge.CvBridge, bridge.CvBridgeError = CvBridge, RuntimeError  # type: ignore[attr-defined]
    bridge.boost = boost  # type: ignore[attr-defined]
    boost.cv_bridge_boost = types.ModuleType('cv_bridge_boost')  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, 'cv_bridge', bridge)
    monkeypatch.setitem(sys.modules, 'cv_bridge.boost', boost)
    np.testing.assert_array_equal(image_from_message(broken(encoding='rgb565')), picture())
    assert asked == ['rgb565 as rgb8']


@pytest.mark.parametrize('suffix', ['.png', '.jpg'])
def test_compressed_image_is_rgb(suffix: str) -> None:
    bgr = cv2.cvtColor(picture(), cv2.COLOR_RGB2BGR)
    data = cv2.imencode(suffix, bgr, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    image = image_from_compressed(CompressedImage(format=suffix[1:], data=array.array('B', data)))
    difference = np.abs(image.astype(int) - picture().astype(int))
    assert difference.max() <= (0 if suffix == '.png' else 12)
    assert not image.flags.writeable


@pytest.mark.parametrize('data', [b'', b'no picture', bytes(100)])
def test_compressed_image_is_refused_when_it_is_no_picture(data: bytes) -> None:
    with pytest.raises(InvalidImageError, match='complete JPEG or PNG'):
        image_from_compressed(CompressedImage(format='jpeg', data=array.array('B', data)))
