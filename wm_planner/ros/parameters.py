# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""ROS parameters generated from config dataclasses, and read back into them.

A config dataclass is the only place where a default, a range and a description stand. Each field
becomes a parameter; a nested dataclass becomes a dotted prefix. Values take precedence in this
order, the last wins: the dataclass, the robot profile (or the model's own defaults, whoever makes
the instance that is declared), what the node is given: a parameter file, then the command line.

rclpy ignores values that are given for parameters nobody declares, so a misspelt name would be
silently without effect; here it is an error that names the nearest valid one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
from dataclasses import dataclass
import difflib
import math
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from wm_planner.core.config import HIDDEN, ParameterInfo, parameter_info
from wm_planner.core.errors import InvalidParameterError

ConfigT = TypeVar('ConfigT')

_SCALARS = (bool, int, float, str)
_INT64_MAX = 2**63 - 1
_FLOAT_MAX = 1.7976931348623157e308
_ROS_OWN = ('use_sim_time', 'start_type_description_service')
_ROS_OWN_PREFIX = 'qos_overrides.'


@dataclass(frozen=True, kw_only=True)
class ParameterEntry:
    """One parameter: its full name, element type, default and what ``parameter()`` says of it."""

    name: str
    kind: type  # bool, int, float or str; of the elements where is_list
    is_list: bool
    default: Any
    info: ParameterInfo

    @property
    def type_name(self) -> str:
        """Return the type in words, e.g. ``list of float``."""
        return f'list of {self.kind.__name__}' if self.is_list else self.kind.__name__

    def checked(self, value: Any) -> Any:
        """Return ``value`` in the form the dataclass has; an int becomes a float where one is due.

        Raises InvalidParameterError naming the parameter, its value and what is valid.
        """
        if not self.is_list:
            return self._checked_item(value)
        if isinstance(value, str | bytes) or not isinstance(value, Sequence):
            raise self._refused(value)
        return tuple(self._checked_item(item) for item in value)

    def _checked_item(self, value: Any) -> Any:
        if self.kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, self.kind) or (isinstance(value, bool) and self.kind is not bool):
            raise self._refused(value)
        info = self.info
        is_finite = not isinstance(value, float) or math.isfinite(value)
        is_choice = info.choices is None or value in info.choices
        is_low = info.low is not None and value < info.low
        is_high = info.high is not None and value > info.high
        if not is_finite or not is_choice or is_low or is_high:
            raise self._refused(value)
        return value

    def _refused(self, value: Any) -> InvalidParameterError:
        valid = '' if self.info.valid == 'any' else f' {self.info.valid}'
        finite = ' finite' if self.kind is float else ''
        shown = HIDDEN if self.info.is_secret else repr(value)
        return InvalidParameterError(
            f'parameter {self.name} is {shown}; valid:{finite} {self.type_name}{valid}.'
        )


def entries_of(config: Any, prefix: str = '') -> Iterator[ParameterEntry]:
    """Yield the parameters of a config instance, its values being the defaults."""
    hints = get_type_hints(type(config))
    for field in dataclasses.fields(config):
        name = f'{prefix}.{field.name}' if prefix else field.name
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from entries_of(value, name)
            continue
        hint = hints[field.name]
        is_list = get_origin(hint) is tuple
        kind = get_args(hint)[0] if is_list else hint
        if kind not in _SCALARS:
            raise TypeError(f'{name} has type {hint}; a parameter is one of bool, int, float, str')
        info = parameter_info(field) or ParameterInfo('')
        yield ParameterEntry(name=name, kind=kind, is_list=is_list, default=value, info=info)


def with_values(config: ConfigT, values: Mapping[str, Any], prefix: str = '') -> ConfigT:
    """Return ``config`` with the values given by full name; others stay. Validates."""
    changes: dict[str, Any] = {}
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        name = f'{prefix}.{field.name}' if prefix else field.name
        present = getattr(config, field.name)
        if dataclasses.is_dataclass(present):
            changes[field.name] = with_values(present, values, name)
        elif name in values:
            changes[field.name] = values[name]
    return dataclasses.replace(config, **changes)  # type: ignore[type-var]


def parameter_table(config: Any, prefix: str = '') -> str:
    """Return the parameters as a Markdown table, for the README."""
    lines = ['| parameter | type | default | valid | meaning |', '|---|---|---|---|---|']
    for entry in entries_of(config, prefix):
        default = list(entry.default) if entry.is_list else entry.default
        shown = str(default).lower() if isinstance(default, bool) else repr(default)
        meaning = entry.info.description + (' (read-only)' if entry.info.read_only else '')
        lines.append(
            f'| `{entry.name}` | {entry.type_name} | `{shown}` | {entry.info.valid} | {meaning} |'
        )
    return '\n'.join(lines) + '\n'


class NodeParameters:
    """The declared parameters of one node.

    The node must be made with ``automatically_declare_parameters_from_overrides=True``: that is
    rclpy's public way to see what was given on the command line and in parameter files. Those
    declarations are taken back here and made again with type, range and description. Thread: the
    executor's, or the main thread before it spins.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._entries: dict[str, ParameterEntry] = {}
        self._given: dict[str, Any] = {}
        for name, given in node.get_parameters_by_prefix('').items():
            if name not in _ROS_OWN and not name.startswith(_ROS_OWN_PREFIX):
                self._given[name] = given.value
                node.undeclare_parameter(name)

    @property
    def names(self) -> tuple[str, ...]:
        """Return all declared names."""
        return tuple(self._entries)

    def was_given(self, name: str) -> bool:
        """Return whether a file or the command line gave a value for ``name``."""
        return name in self._given

    def declare(self, config: ConfigT, prefix: str = '') -> ConfigT:
        """Declare every field of ``config`` and return it with the given values applied.

        Raises InvalidParameterError for a given value of the wrong type or out of range.
        """
        for entry in entries_of(config, prefix):
            value = entry.checked(self._given.get(entry.name, entry.default))
            self._node.declare_parameter(
                entry.name,
                list(value) if entry.is_list else value,
                _descriptor(entry),
                ignore_override=True,
            )
            self._entries[entry.name] = entry
        return self.read(config, prefix)

    def undeclare(self, prefix: str) -> None:
        """Take back what was declared under ``prefix``; what was given for it is kept."""
        for name in [name for name in self._entries if name.startswith(f'{prefix}.')]:
            # rclpy undeclares nothing that is read-only, even for whoever declared it.
            self._node.describe_parameter(name).read_only = False
            self._node.undeclare_parameter(name)
            del self._entries[name]

    def refuse_unknown(self) -> None:
        """Raise InvalidParameterError if a value was given for a name that is not declared."""
        unknown = [name for name in self._given if name not in self._entries]
        if unknown:
            raise InvalidParameterError(self._unknown(unknown[0]))

    def read(self, config: ConfigT, prefix: str = '') -> ConfigT:
        """Return ``config`` with the present values of its parameters."""
        values = {}
        for entry in entries_of(config, prefix):
            values[entry.name] = entry.checked(self._node.get_parameter(entry.name).value)
        return with_values(config, values, prefix)

    def refusal(self, changes: Sequence[Parameter[Any]], *, is_configured: bool) -> str:
        """Return why ``changes`` cannot be made, with the error number, or an empty string."""
        try:
            for change in changes:
                if change.name in _ROS_OWN or change.name.startswith(_ROS_OWN_PREFIX):
                    continue
                if change.name not in self._entries:
                    raise InvalidParameterError(self._unknown(change.name))
                entry = self._entries[change.name]
                if entry.info.read_only:
                    raise InvalidParameterError(
                        f'parameter {entry.name} is read-only; valid: set it when the node starts.'
                    )
                entry.checked(change.value)
                if is_configured:
                    raise InvalidParameterError(
                        f'parameter {entry.name} takes effect when the node is configured; valid: '
                        'set it in lifecycle state unconfigured (deactivate and clean up first).'
                    )
        except InvalidParameterError as error:
            return str(error)
        return ''

    def _unknown(self, name: str) -> str:
        near = difflib.get_close_matches(name, self._entries, n=1)
        hint = f' Did you mean {near[0]!r}?' if near else ''
        return f'unknown parameter {name!r}.{hint} Valid: {", ".join(sorted(self._entries))}.'


def _descriptor(entry: ParameterEntry) -> ParameterDescriptor:
    info = entry.info
    descriptor = ParameterDescriptor(
        description=info.description,
        read_only=bool(info.read_only),
        additional_constraints='' if info.valid == 'any' else info.valid,
    )
    # rclpy infers bytes from an empty list; ``checked`` looks at the type in its place.
    descriptor.dynamic_typing = entry.is_list
    if entry.kind is float and not entry.is_list:
        # A range also makes rclpy itself refuse NaN and infinity.
        low = -_FLOAT_MAX if info.low is None else float(info.low)
        high = _FLOAT_MAX if info.high is None else float(info.high)
        descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    elif entry.kind is int and not entry.is_list and (info.low, info.high) != (None, None):
        low_int = -_INT64_MAX if info.low is None else int(info.low)
        high_int = _INT64_MAX if info.high is None else int(info.high)
        descriptor.integer_range = [IntegerRange(from_value=low_int, to_value=high_int)]
    return descriptor
