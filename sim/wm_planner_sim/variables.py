# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of a simulation from environment variables, where no node has parameters."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from typing import Any, get_type_hints

from wm_planner.core.errors import InvalidParameterError


def values_from_variables(
    cls: type[Any], prefix: str, variables: Mapping[str, str]
) -> dict[str, Any]:
    """Return the fields of a config dataclass that variables give.

    A variable is called ``prefix`` and the field's name in capitals. Raises InvalidParameterError
    for a text that is not of the field's type.
    """
    kinds = get_type_hints(cls)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        name = prefix + field.name.upper()
        if name in variables:
            values[field.name] = _parsed(name, variables[name], kinds[field.name])
    return values


def _parsed(name: str, text: str, kind: type[Any]) -> Any:
    if kind is bool:
        if text.lower() not in ('true', 'false', '1', '0'):
            raise InvalidParameterError(f'{name}={text}; valid: true or false.')
        return text.lower() in ('true', '1')
    try:
        return kind(text)
    except ValueError as error:
        raise InvalidParameterError(f'{name}={text}; valid: {kind.__name__}.') from error
