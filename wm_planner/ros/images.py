# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Image messages to RGB arrays and back, without a node.

The common encodings are read through a numpy view of the message that honours ``step`` and
``is_bigendian``, in microseconds; OpenCV converts colours. What is rarer goes to cv_bridge where a
ROS 2 distribution brings it. (The package called cv-bridge on the Python index is ROS 1 code that
reads some encodings wrongly: it is recognised and not used.) All functions are pure and may be
called from any thread.
"""

from __future__ import annotations

import array
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image as ImageMessage

from wm_planner.core.errors import InvalidImageError
from wm_planner.core.types import Image, check_image
from wm_planner.ros.stamps import stamp_from_ns

Pixels = npt.NDArray[np.generic]


@dataclass(frozen=True)
class _Encoding:
    """How an encoding lies in memory and how it becomes RGB."""

    channels: int
    dtype: type[np.generic] = np.uint8
    colour_code: int | None = None  # OpenCV conversion to RGB of the 8-bit image; None: is RGB
    rows: Callable[[int], int] = lambda height: height  # rows of memory for a height [px]
    is_even: bool = False  # chroma or a mosaic is shared by pairs of pixels


def _planar_rows(height: int) -> int:
    return height * 3 // 2


def _bayer(pattern: str) -> dict[str, _Encoding]:
    # OpenCV's name for a mosaic starts at the second row's second pixel, so the pattern is given
    # as ROS has it and looked up under OpenCV's alias that means the same.
    code = getattr(cv2, f'COLOR_Bayer{pattern.upper()}2RGB')
    return {
        f'bayer_{pattern}8': _Encoding(1, colour_code=code, is_even=True),
        f'bayer_{pattern}16': _Encoding(1, np.uint16, code, is_even=True),
    }


_ENCODINGS: dict[str, _Encoding] = {
    'rgb8': _Encoding(3),
    'bgr8': _Encoding(3, colour_code=cv2.COLOR_BGR2RGB),
    'rgba8': _Encoding(4, colour_code=cv2.COLOR_RGBA2RGB),
    'bgra8': _Encoding(4, colour_code=cv2.COLOR_BGRA2RGB),
    'mono8': _Encoding(1, colour_code=cv2.COLOR_GRAY2RGB),
    'rgb16': _Encoding(3, np.uint16),
    'bgr16': _Encoding(3, np.uint16, cv2.COLOR_BGR2RGB),
    'rgba16': _Encoding(4, np.uint16, cv2.COLOR_RGBA2RGB),
    'bgra16': _Encoding(4, np.uint16, cv2.COLOR_BGRA2RGB),
    'mono16': _Encoding(1, np.uint16, cv2.COLOR_GRAY2RGB),
    # 8UCn names no colours; publishers that use it hand over OpenCV matrices, which are BGR.
    '8UC1': _Encoding(1, colour_code=cv2.COLOR_GRAY2RGB),
    '8UC3': _Encoding(3, colour_code=cv2.COLOR_BGR2RGB),
    '8UC4': _Encoding(4, colour_code=cv2.COLOR_BGRA2RGB),
    'uyvy': _Encoding(2, colour_code=cv2.COLOR_YUV2RGB_UYVY, is_even=True),
    'yuv422': _Encoding(2, colour_code=cv2.COLOR_YUV2RGB_UYVY, is_even=True),
    'yuyv': _Encoding(2, colour_code=cv2.COLOR_YUV2RGB_YUY2, is_even=True),
    'yuv422_yuy2': _Encoding(2, colour_code=cv2.COLOR_YUV2RGB_YUY2, is_even=True),
    'nv12': _Encoding(1, colour_code=cv2.COLOR_YUV2RGB_NV12, rows=_planar_rows, is_even=True),
    'nv21': _Encoding(1, colour_code=cv2.COLOR_YUV2RGB_NV21, rows=_planar_rows, is_even=True),
    **_bayer('rggb'),
    **_bayer('bggr'),
    **_bayer('gbrg'),
    **_bayer('grbg'),
}

IMAGE_ENCODINGS = tuple(sorted(_ENCODINGS))
"""The encodings that are read without cv_bridge."""


def image_from_message(message: ImageMessage) -> Image:
    """Return a read-only uint8 array [H, W, 3], RGB, that shares no memory with ``message``.

    16-bit images keep their upper byte. Raises InvalidImageError for an unknown encoding (naming
    the known ones), a step or a data length that does not fit the size, and images that are
    smaller than wm_planner.core.types.MIN_IMAGE_SIDE on either side.
    """
    width, height = int(message.width), int(message.height)
    encoding = _ENCODINGS.get(message.encoding)
    if width == 0 or height == 0:
        raise InvalidImageError(f'image is {width}x{height} px; valid: at least 16x16 px.')
    if encoding is None:
        return _image_through_cv_bridge(message)
    pixels = _view(message, encoding)
    if encoding.dtype is np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    if encoding.colour_code is None:
        rgb = np.array(pixels, dtype=np.uint8)  # a copy: the message's memory is not ours
    else:
        # OpenCV cannot read rows that are padded, so they are packed first.
        rgb = cv2.cvtColor(np.ascontiguousarray(pixels), encoding.colour_code)
    rgb.flags.writeable = False
    return check_image(rgb, f'image ({message.encoding})')


def image_from_compressed(message: CompressedImage) -> Image:
    """Return a read-only uint8 array [H, W, 3], RGB, of a JPEG or PNG message.

    Raises InvalidImageError where the data are not a picture that OpenCV can read.
    """
    data = np.frombuffer(message.data, np.uint8)
    bgr = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if bgr is None:
        raise InvalidImageError(
            f'compressed image ({data.size} bytes, format {message.format!r}) cannot be decoded; '
            'valid: a complete JPEG or PNG picture.'
        )
    rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    rgb.flags.writeable = False
    return check_image(rgb, 'compressed image')


def image_to_message(image: Image, *, stamp_ns: int = 0, frame_id: str = '') -> ImageMessage:
    """Return an rgb8 message of a uint8 array [H, W, 3]; ``stamp_ns`` is the acquisition stamp."""
    view = image.view()
    view.flags.writeable = False  # a read-only image is checked without being copied
    pixels = np.ascontiguousarray(check_image(view))
    message = ImageMessage()
    message.header.stamp = stamp_from_ns(stamp_ns)
    message.header.frame_id = frame_id
    message.height, message.width = int(pixels.shape[0]), int(pixels.shape[1])
    message.encoding = 'rgb8'
    message.is_bigendian = 0
    message.step = int(pixels.shape[1]) * 3
    # array.array is taken over as it is; bytes cost 10 times, a numpy array 1000 times as much.
    data = array.array('B')
    data.frombytes(memoryview(pixels).cast('B'))
    message.data = data
    return message


def _view(message: ImageMessage, encoding: _Encoding) -> Pixels:
    """Return the pixels as [rows, W] or [rows, W, channels] without a copy, or raise."""
    width, height, step = int(message.width), int(message.height), int(message.step)
    what = f'image ({message.encoding}, {width}x{height} px)'
    if encoding.is_even and (width % 2 or height % 2):
        raise InvalidImageError(f'{what}: valid: even width and height.')
    dtype = np.dtype(encoding.dtype).newbyteorder('>' if message.is_bigendian else '<')
    row_bytes = width * encoding.channels * dtype.itemsize
    rows = encoding.rows(height)
    if step < row_bytes or step % dtype.itemsize:
        raise InvalidImageError(
            f'{what} has step {step}; valid: at least {row_bytes} bytes'
            f'{" and even" if dtype.itemsize > 1 else ""}.'
        )
    if len(message.data) != step * rows:
        raise InvalidImageError(
            f'{what} holds {len(message.data)} bytes; valid: step x rows = {step} x {rows} = '
            f'{step * rows}.'
        )
    memory = np.frombuffer(message.data, np.uint8).reshape(rows, step)
    pixels = memory[:, :row_bytes].view(dtype)
    return pixels if encoding.channels == 1 else pixels.reshape(rows, width, encoding.channels)


def _image_through_cv_bridge(message: ImageMessage) -> Image:
    unknown = InvalidImageError(
        f'image encoding {message.encoding!r} is unknown; valid: {", ".join(IMAGE_ENCODINGS)}.'
    )
    try:
        # The compiled half exists in a ROS 2 distribution only; without it this is ROS 1 code.
        from cv_bridge import CvBridge, CvBridgeError
        from cv_bridge.boost import cv_bridge_boost  # noqa: F401
    except ImportError:
        raise unknown from None
    try:
        rgb = np.array(CvBridge().imgmsg_to_cv2(message, desired_encoding='rgb8'))
    except (CvBridgeError, TypeError, ValueError, KeyError) as error:
        raise unknown from error
    rgb.flags.writeable = False
    return check_image(rgb, f'image ({message.encoding})')
