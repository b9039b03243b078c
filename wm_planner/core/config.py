# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Config dataclasses: one definition of each parameter's default, unit, range and meaning.

A component declares a frozen, keyword-only dataclass whose fields come from ``parameter(...)`` and
calls ``validate(self)`` in ``__post_init__``. ROS parameters, ``--help`` texts and the README table
are generated from these fields, so a default is written exactly once.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from dataclasses import dataclass, field
import math
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from wm_planner.core.errors import InvalidParameterError

_KEY = 'wm_planner.parameter'
HIDDEN = '(not shown)'
REQUIRED = dataclasses.MISSING
"""Passed to ``parameter`` instead of a default: the value has to be given."""
ConfigT = TypeVar('ConfigT')


@dataclass(frozen=True)
class ParameterInfo:
    """What is known of one parameter beside its name, type and default."""

    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] | None = None
    read_only: bool = False
    is_secret: bool = False

    @property
    def valid(self) -> str:
        """Return the valid values as words, e.g. ``in [1, 1000]`` or ``one of cem, mppi``."""
        if self.choices is not None:
            return 'one of ' + ', '.join(self.choices)
        if self.low is not None and self.high is not None:
            return f'in [{self.low:g}, {self.high:g}]'
        if self.low is not None:
            return f'>= {self.low:g}'
        if self.high is not None:
            return f'<= {self.high:g}'
        return 'any'


def parameter(
    default: Any,
    description: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] | None = None,
    read_only: bool = False,
    is_secret: bool = False,
) -> Any:
    """Return a dataclass field with its description and valid range attached.

    ``low`` and ``high`` are inclusive and apply to each element of a tuple. The default of a tuple
    parameter must be a tuple. ``read_only`` parameters can only be set when a node starts;
    what ``is_secret`` is not written into messages, bags and reports (``hide_secrets``).
    """
    info = ParameterInfo(description, low, high, choices, read_only, is_secret)
    return field(default=default, metadata={_KEY: info})


def parameter_info(fld: dataclasses.Field[Any]) -> ParameterInfo | None:
    """Return what ``parameter`` attached to a field, or None for a plain field."""
    return fld.metadata.get(_KEY)


def hide_secrets(cls: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``values`` of a config dataclass with secrets that are set replaced by ``HIDDEN``."""
    infos = {fld.name: parameter_info(fld) for fld in dataclasses.fields(cls)}
    secret = {name for name, info in infos.items() if info is not None and info.is_secret}
    return {name: HIDDEN if value and name in secret else value for name, value in values.items()}


def validate(config: Any) -> None:
    """Check every ``parameter`` field of a config dataclass.

    Raises InvalidParameterError naming the parameter, its value and what is valid. NaN is never
    valid.
    """
    for fld in dataclasses.fields(config):
        info = parameter_info(fld)
        if info is None:
            continue
        value = getattr(config, fld.name)
        for item in value if isinstance(value, tuple) else (value,):
            _check(f'{type(config).__name__}.{fld.name}', item, info)


def _check(name: str, value: Any, info: ParameterInfo) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidParameterError(f'{name} is {value}; valid: a finite number {info.valid}.')
    if info.choices is not None and value not in info.choices:
        raise InvalidParameterError(f'{name} is {value!r}; valid: {info.valid}.')
    too_low = info.low is not None and value < info.low
    too_high = info.high is not None and value > info.high
    if too_low or too_high:
        raise InvalidParameterError(f'{name} is {value!r}; valid: {info.valid}.')


def from_mapping(cls: type[ConfigT], values: Mapping[str, Any], *, where: str = '') -> ConfigT:
    """Build a config dataclass from plain values, e.g. a YAML mapping.

    Lists become tuples and, where the field is a float, ints become floats. Raises
    InvalidParameterError for an unknown key (naming the valid ones), a wrong type or a value out of
    range. ``where`` names the source in the message.
    """
    hints = get_type_hints(cls)
    names = [f.name for f in dataclasses.fields(cls)]  # type: ignore[arg-type]
    prefix = f'{where}: ' if where else ''
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise InvalidParameterError(
            f'{prefix}unknown parameter {", ".join(unknown)} of {cls.__name__}; '
            f'valid: {", ".join(names)}.'
        )
    for key, shown in hide_secrets(cls, values).items():
        if shown is HIDDEN and not isinstance(values[key], str):
            raise InvalidParameterError(
                f'{prefix}{cls.__name__}.{key} is of type {type(values[key]).__name__}; valid: str.'
            )
    arguments = {k: _coerce(f'{prefix}{cls.__name__}.{k}', v, hints[k]) for k, v in values.items()}
    try:
        return cls(**arguments)
    except TypeError as error:  # a field without a default that the source does not give
        raise InvalidParameterError(f'{prefix}{error}') from error
    except InvalidParameterError as error:
        raise InvalidParameterError(f'{prefix}{error.message}') from error


def _coerce(name: str, value: Any, hint: Any) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return from_mapping(hint, value, where=name)  # type: ignore[arg-type]
    if isinstance(value, list):
        value = tuple(value)
    text = str(hint)
    if get_origin(hint) is tuple:
        if not isinstance(value, tuple):
            raise InvalidParameterError(f'{name} is {value!r}; valid: a list, as {text}.')
        item_hint = get_args(hint)[0]
        return tuple(_coerce(f'{name}[{i}]', item, item_hint) for i, item in enumerate(value))
    if isinstance(value, tuple):
        raise InvalidParameterError(f'{name} is a list; valid: {text}.')
    if hint is float and _is_int(value):
        return float(value)
    scalar = (bool, int, float, str)
    if hint in scalar and (
        not isinstance(value, hint) or (hint is not bool and isinstance(value, bool))
    ):
        raise InvalidParameterError(
            f'{name} is {value!r} ({type(value).__name__}); valid: {hint.__name__}.'
        )
    return value


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
