# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""How arrays travel to policy servers and back: four small codecs, none of which runs code.

Every server has a way of its own to put an array into msgpack or JSON. What comes back is data from
outside: only plain numbers are decoded, and anything else raises ValueError.
"""

from __future__ import annotations

import base64
import importlib
import io
import json
from typing import Any

import numpy as np
import numpy.typing as npt

from wm_planner.core.errors import MissingAssetError

_NUMBER_KINDS = 'biuf'


def require(module: str, *, what: str) -> Any:
    """Return a library that only some policies need. Raises MissingAssetError naming the extra."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingAssetError(
            f'{what} needs the library {module} ({error}); '
            "install: pip install 'wm_planner[policies]'."
        ) from error


def plain_array(data: bytes, dtype: Any, shape: Any) -> npt.NDArray[Any]:
    """Return an array of its own memory; raises ValueError for what is not plain numbers."""
    kind = np.dtype(dtype)
    if kind.kind not in _NUMBER_KINDS:
        raise ValueError(f'an array of dtype {kind}; valid: bool, int, unsigned or float')
    array: npt.NDArray[Any] = np.frombuffer(data, dtype=kind).reshape([int(n) for n in shape])
    copy: npt.NDArray[Any] = array.copy()
    return copy


# openpi (and RoboArena): maps with bytes keys -----


def pack_openpi(message: Any) -> bytes:
    """Return msgpack with arrays as ``{b'__ndarray__', b'data', b'dtype', b'shape'}``."""
    msgpack = require('msgpack', what='the openpi protocol')
    packed: bytes = msgpack.packb(message, default=_openpi_default)
    return packed


def unpack_openpi(data: bytes) -> Any:
    """Return what ``pack_openpi`` or an openpi server packed. Raises ValueError."""
    msgpack = require('msgpack', what='the openpi protocol')
    return _unpack(msgpack, data, _openpi_hook)


def _openpi_default(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {
            b'__ndarray__': True,
            b'data': value.tobytes(),
            b'dtype': value.dtype.str,
            b'shape': value.shape,
        }
    if isinstance(value, np.generic):
        return {b'__npgeneric__': True, b'data': value.item(), b'dtype': value.dtype.str}
    raise TypeError(f'cannot pack a {type(value).__name__}')


def _openpi_hook(value: dict[Any, Any]) -> Any:
    if b'__ndarray__' in value:
        return plain_array(value[b'data'], value[b'dtype'], value[b'shape'])
    if b'__npgeneric__' in value:
        return np.dtype(value[b'dtype']).type(value[b'data'])
    return value


# GR00T: .npy files inside msgpack; newer servers use the layout of the library msgpack-numpy -----

GROOT_ARRAYS = ('npy', 'msgpack_numpy')


def pack_groot(message: Any, arrays: str = 'npy') -> bytes:
    """Return msgpack with arrays in one of GROOT_ARRAYS."""
    msgpack = require('msgpack', what='the GR00T protocol')
    default = _npy_default if arrays == 'npy' else _msgpack_numpy_default
    packed: bytes = msgpack.packb(message, default=default)
    return packed


def unpack_groot(data: bytes) -> Any:
    """Return a GR00T server's message; both layouts are understood. Raises ValueError."""
    msgpack = require('msgpack', what='the GR00T protocol')
    return _unpack(msgpack, data, _groot_hook)


def _npy_default(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        file = io.BytesIO()
        np.save(file, value, allow_pickle=False)
        return {'__ndarray_class__': True, 'as_npy': file.getvalue()}
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f'cannot pack a {type(value).__name__}')


def _msgpack_numpy_default(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {
            b'nd': True,
            b'type': value.dtype.str,
            b'kind': b'',
            b'shape': value.shape,
            b'data': value.tobytes(),
        }
    if isinstance(value, np.generic):
        return {b'nd': False, b'type': value.dtype.str, b'data': value.tobytes()}
    raise TypeError(f'cannot pack a {type(value).__name__}')


def _groot_hook(value: dict[Any, Any]) -> Any:
    if '__ndarray_class__' in value:
        array = np.load(io.BytesIO(value['as_npy']), allow_pickle=False)
        return plain_array(array.tobytes(), array.dtype, array.shape)
    if b'nd' in value:
        shape = value[b'shape'] if value[b'nd'] else ()
        return plain_array(value[b'data'], _text(value[b'type']), shape)
    return value


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _unpack(msgpack: Any, data: bytes, hook: Any) -> Any:
    """Return what is in a msgpack message; whatever is wrong with it becomes a ValueError."""
    try:
        return msgpack.unpackb(data, object_hook=hook, strict_map_key=False)
    except Exception as error:  # msgpack, struct, numpy and Unicode errors alike
        raise ValueError(f'no msgpack of numbers: {type(error).__name__}: {error}') from error


# json-numpy -----


def dumps_json_numpy(message: Any) -> str:
    """Return JSON with arrays as ``{'__numpy__': base64, 'dtype', 'shape'}``."""
    return json.dumps(message, default=_json_default)


def loads_json_numpy(text: str | bytes) -> Any:
    """Return what ``dumps_json_numpy`` or the library json-numpy wrote. Raises ValueError."""
    try:
        return json.loads(text, object_hook=_json_hook)
    except Exception as error:  # JSON, base64, numpy and Unicode errors alike
        raise ValueError(f'no JSON of numbers: {type(error).__name__}: {error}') from error


def _json_default(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return {
            '__numpy__': base64.b64encode(value.tobytes()).decode(),
            'dtype': value.dtype.str,
            'shape': list(value.shape),
        }
    raise TypeError(f'cannot write a {type(value).__name__}')


def _json_hook(value: dict[str, Any]) -> Any:
    if '__numpy__' in value:
        data = base64.b64decode(value['__numpy__'], validate=True)
        return plain_array(data, value['dtype'], value['shape'])
    return value
