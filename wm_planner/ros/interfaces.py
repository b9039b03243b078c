# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What is installed of a message type: its class, its definition and its hash.

Definitions are read from the ``share`` folders of the ament prefixes; no node is needed.
"""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
import re
import sys

from wm_planner.core.errors import RecorderError

_PRIMITIVES = frozenset(
    (
        *('bool', 'byte', 'char', 'float32', 'float64', 'string', 'wstring'),
        *('int8', 'uint8', 'int16', 'uint16', 'int32', 'uint32', 'int64', 'uint64'),
    )
)
_FIELD_TYPE = re.compile(r'^\s*([A-Za-z0-9_/]+)(?:\[[^\]]*\])?\s', re.MULTILINE)
_TYPE_NAME = re.compile(r'^[A-Za-z]\w*/(?:msg|srv|action)/[A-Za-z]\w*$')


def message_class(type_name: str) -> type:
    """Return the Python class of e.g. ``sensor_msgs/msg/Image``. Raises RecorderError."""
    package, _, name = type_name.partition('/msg/')
    try:
        return getattr(importlib.import_module(f'{package}.msg'), name)  # type: ignore[no-any-return]
    except (ImportError, AttributeError, TypeError) as error:  # TypeError: no package name
        raise RecorderError(
            f'{type_name} cannot be imported ({error}); valid: types of installed packages.'
        ) from error


def interface_text(type_name: str, extension: str) -> str:
    """Return the installed file of an interface, e.g. ``('std_msgs/msg/Header', 'msg')``.

    Looks under ``share`` of every prefix in AMENT_PREFIX_PATH and of the Python environment. Raises
    RecorderError for a name that is no type name or is not installed.
    """
    if not _TYPE_NAME.match(type_name):
        raise RecorderError(
            f'{type_name!r} is not an interface type; valid: e.g. sensor_msgs/msg/Image.'
        )
    package, kind, name = type_name.split('/')
    prefixes = [p for p in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if p]
    for prefix in [*prefixes, sys.prefix]:
        path = Path(prefix) / 'share' / package / kind / f'{name}.{extension}'
        try:
            return path.read_text(encoding='utf-8')
        except (FileNotFoundError, NotADirectoryError):
            continue
    raise RecorderError(
        f'{name}.{extension} of {type_name} is not installed in share/{package}/{kind}; '
        f'valid: types of packages under {", ".join([*prefixes, sys.prefix])}.'
    )


def message_definition(type_name: str) -> str:
    """Return a type's definition followed by those it needs, as rosbag2 stores them in a schema.

    The dependencies of each file come sorted by name and depth first, each once, behind a line of
    80 ``=`` and a line ``MSG: package/Name``.
    """
    seen: set[str] = set()

    def expanded(name: str) -> str:
        text = interface_text(name, 'msg')
        parts = [text]
        for dependency in sorted(_dependencies(text, name.split('/')[0])):
            if dependency not in seen:
                seen.add(dependency)
                package, _, short = dependency.rpartition('/')
                parts.append(f'\n{"=" * 80}\nMSG: {dependency}\n')
                parts.append(expanded(f'{package.split("/")[0]}/msg/{short}'))
        return ''.join(parts)

    return expanded(type_name)


def _dependencies(text: str, package: str) -> set[str]:
    found = {match.group(1) for match in _FIELD_TYPE.finditer(text)} - _PRIMITIVES
    return {name if '/' in name else f'{package}/{name}' for name in found}


def type_hash(type_name: str) -> str:
    """Return the RIHS01 hash of a type, as installed with it."""
    hashes = json.loads(interface_text(type_name, 'json'))['type_hashes']
    for entry in hashes:
        if entry['type_name'] == type_name:
            return str(entry['hash_string'])
    raise RecorderError(
        f'{type_name}.json holds no hash of its own type; valid: a file made by rosidl.'
    )
