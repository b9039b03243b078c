# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The wire format of vla-eval, protocol version 1: msgpack maps in binary WebSocket frames.

A message is ``{type, payload, seq, timestamp}``. Arrays are ``{'__ndarray__', data, dtype, shape}``
and pictures ``{'__image__', format, data, shape}`` with PNG, JPEG or raw bytes in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import time
from typing import Any

import cv2
import numpy as np

from wm_planner.core.errors import InputError
from wm_planner.policies.wire import plain_array, require

PROTOCOL_VERSION = 1
HELLO, EPISODE_START, EPISODE_END = 'hello', 'episode_start', 'episode_end'
OBSERVATION, ACTION, ERROR = 'observation', 'action', 'error'
TYPES = (HELLO, EPISODE_START, OBSERVATION, ACTION, EPISODE_END, ERROR)

ACTION_SPEC: Mapping[str, Mapping[str, Any]] = {
    'position': {'name': 'position', 'dims': 3, 'format': 'delta_xyz', 'range': [-1, 1]},
    'rotation': {'name': 'rotation', 'dims': 3, 'format': 'axis_angle', 'range': [-3.15, 3.15]},
    'gripper': {
        'name': 'gripper',
        'dims': 1,
        'format': 'binary_close_positive',
        'range': [-1, 1],
    },
}
"""What the actions are, in the harness's words: it compares them with what the benchmark takes."""

STATE_SPEC: Mapping[str, Any] = {
    'name': 'state',
    'dims': 8,
    'format': 'eef_pos3_axisangle3_gripper2',
}
IMAGE_SPEC: Mapping[str, Any] = {'name': 'image', 'dims': 0, 'format': 'rgb_hwc_uint8'}


@dataclass(frozen=True, kw_only=True)
class Message:
    """One frame; an answer carries the ``seq`` of its question."""

    type: str
    payload: Mapping[str, Any]
    seq: int


def pack(message: Message) -> bytes:
    """Return a message as bytes."""
    packed: bytes = require('msgpack', what='the vla-eval protocol').packb(
        {
            'type': message.type,
            'payload': message.payload,
            'seq': message.seq,
            'timestamp': time.time(),  # wall time, by the protocol
        },
        default=_encoded,
    )
    return packed


def unpack(frame: bytes | str) -> Message:
    """Return the message in a frame; raises InputError for what is none."""
    if isinstance(frame, str):
        raise InputError('a text frame; valid: binary msgpack of vla-eval.')
    msgpack = require('msgpack', what='the vla-eval protocol')
    try:
        raw = msgpack.unpackb(frame, object_hook=_decoded)
        message = Message(type=raw['type'], payload=raw['payload'], seq=int(raw['seq']))
    except Exception as error:  # msgpack, numpy, OpenCV, key and type errors alike
        raise InputError(f'no message of vla-eval: {type(error).__name__}: {error}') from error
    if message.type not in TYPES or not isinstance(message.payload, Mapping):
        raise InputError(
            f'a message of type {message.type!r} with a payload of '
            f'{type(message.payload).__name__}; valid: {", ".join(TYPES)} with a map.'
        )
    return message


def _encoded(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {
            '__ndarray__': True,
            'data': value.tobytes(),
            'dtype': value.dtype.str,
            'shape': list(value.shape),
        }
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f'cannot pack a {type(value).__name__}')


def _decoded(value: dict[str, Any]) -> Any:
    if '__image__' in value:
        return _picture(value)
    if '__ndarray__' in value:
        return plain_array(value['data'], value['dtype'], value['shape'])
    return value


def _picture(value: dict[str, Any]) -> Any:
    if value['format'] == 'raw':
        return plain_array(value['data'], value['dtype'], value['shape'])
    picture = cv2.imdecode(np.frombuffer(value['data'], np.uint8), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise ValueError(f'a picture that is no {value["format"]}')
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) if picture.ndim == 3 else picture
