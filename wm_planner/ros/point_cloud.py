# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""PointCloud2 from numbers: x, y, z and one value a point, all float32."""

from __future__ import annotations

import array

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import PointCloud2, PointField

from wm_planner.core.errors import InvalidParameterError
from wm_planner.ros.stamps import stamp_from_ns

_DTYPE = np.dtype('<f4')


def cloud_to_message(
    points: npt.NDArray[np.float32], *, value_name: str, stamp_ns: int, frame_id: str
) -> PointCloud2:
    """Return an unordered cloud of ``points`` [P, 4]: x, y, z [m] in ``frame_id`` and a value.

    Raises InvalidParameterError for another shape.
    """
    if points.ndim != 2 or points.shape[1] != 4:
        raise InvalidParameterError(f'points have shape {points.shape}; valid: [P, 4].')
    packed = np.ascontiguousarray(points, dtype=_DTYPE)
    message = PointCloud2()
    message.header.stamp = stamp_from_ns(stamp_ns)
    message.header.frame_id = frame_id
    message.height, message.width = 1, len(packed)
    message.fields = [
        PointField(name=name, offset=index * _DTYPE.itemsize, datatype=PointField.FLOAT32, count=1)
        for index, name in enumerate(('x', 'y', 'z', value_name))
    ]
    message.is_bigendian = False
    message.point_step = 4 * _DTYPE.itemsize
    message.row_step = message.point_step * len(packed)
    # array.array is taken over as it is; bytes would be copied number by number.
    data = array.array('B')
    data.frombytes(memoryview(packed).cast('B'))
    message.data = data
    message.is_dense = bool(np.all(np.isfinite(packed)))
    return message


def cloud_from_message(message: PointCloud2) -> npt.NDArray[np.float32]:
    """Return the points [P, 4] of a cloud that ``cloud_to_message`` made; raises as it does."""
    offsets = [field.offset for field in message.fields]
    kinds = {field.datatype for field in message.fields}
    if len(offsets) != 4 or kinds != {PointField.FLOAT32} or message.is_bigendian:
        raise InvalidParameterError(
            f'a cloud has the fields {[field.name for field in message.fields]}; valid: four '
            'float32, little endian.'
        )
    rows = np.frombuffer(message.data, np.uint8).reshape(-1, message.point_step)
    values = [rows[:, o : o + 4].copy().view(_DTYPE)[:, 0] for o in offsets]
    points: npt.NDArray[np.float32] = np.stack(values, axis=1)
    return points
