# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""ROS parameters from config dataclasses: types, ranges, precedence, unknown names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
import math
from pathlib import Path
from typing import Any

import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')

from rcl_interfaces.msg import ParameterType  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

from wm_planner.core.config import parameter, validate  # noqa: E402
from wm_planner.core.errors import InvalidParameterError  # noqa: E402
from wm_planner.ros.parameters import (  # noqa: E402
    NodeParameters,
    entries_of,
    parameter_table,
    with_values,
)


@dataclass(frozen=True, kw_only=True)
class Inner:
    """A nested group."""

    rate_hz: float = parameter(50.0, 'how often [Hz]', low=1.0, high=100.0)
    free: float = parameter(0.5, 'any number')
    corner_m: tuple[float, ...] = parameter((0.1, 0.2), 'a corner [m]', low=0.0)
    names: tuple[str, ...] = parameter((), 'names')

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True, kw_only=True)
class Outer:
    """A config with every kind of parameter."""

    count: int = parameter(3, 'how many', low=1, high=10)
    name: str = parameter('cem', 'which', choices=('cem', 'mppi'))
    is_on: bool = parameter(False, 'whether', read_only=True)
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        validate(self)
        if self.count > self.inner.rate_hz:
            raise InvalidParameterError('count is above rate_hz; valid: count <= rate_hz.')


MakeNode = Callable[..., Node]


@pytest.fixture
def make_node() -> Iterator[MakeNode]:
    contexts, nodes = [], []

    def make(*arguments: str, **overrides: Any) -> Node:
        context = rclpy.Context()
        rclpy.init(context=context, args=['--ros-args', *arguments])
        contexts.append(context)
        node = rclpy.create_node(
            'subject',
            context=context,
            automatically_declare_parameters_from_overrides=True,
            parameter_overrides=[
                Parameter(name.replace('__', '.'), value=v) for name, v in overrides.items()
            ],
        )
        nodes.append(node)
        return node

    yield make
    for node in nodes:
        node.destroy_node()
    for context in contexts:
        rclpy.try_shutdown(context=context)


def test_values_are_the_defaults_when_nothing_is_given(make_node: MakeNode) -> None:
    node = make_node()
    parameters = NodeParameters(node)
    assert parameters.declare(Outer()) == Outer()
    parameters.refuse_unknown()
    assert node.get_parameter('inner.rate_hz').value == 50.0
    assert not parameters.was_given('count')


def test_values_come_from_file_then_command_line(make_node: MakeNode, tmp_path: Path) -> None:
    """Dataclass < declared instance (profile, model) < file < command line."""
    file = tmp_path / 'parameters.yaml'
    file.write_text(
        'subject:\n  ros__parameters:\n    count: 4\n    inner: {rate_hz: 20, names: [a, b]}\n'
    )
    node = make_node('--params-file', str(file), '-p', 'count:=5', '-p', 'is_on:=true')
    parameters = NodeParameters(node)
    found = parameters.declare(Outer(count=2, inner=Inner(free=0.75)))
    assert found == Outer(
        count=5, is_on=True, inner=Inner(rate_hz=20.0, free=0.75, names=('a', 'b'))
    )
    assert isinstance(found.inner.rate_hz, float), 'a YAML 20 is good enough for 20.0'
    assert parameters.was_given('count') and parameters.was_given('inner.names')
    assert not parameters.was_given('inner.free')


@pytest.mark.parametrize(
    ('name', 'value', 'words'),
    [
        ('count', 11, 'parameter count is 11; valid: int in [1, 10]'),
        ('count', 0, 'in [1, 10]'),
        ('count', 2.5, 'valid: int'),
        ('count', True, 'valid: int'),
        ('name', 'cme', "is 'cme'; valid: str one of cem, mppi"),
        ('is_on', 1, 'valid: bool'),
        ('inner__rate_hz', 0.5, 'parameter inner.rate_hz is 0.5; valid: finite float in [1, 100]'),
        ('inner__rate_hz', math.nan, 'is nan; valid: finite float in [1, 100]'),
        ('inner__free', math.nan, 'is nan; valid: finite float'),
        ('inner__free', math.inf, 'is inf; valid: finite float'),
        ('inner__free', 'fast', "is 'fast'; valid: finite float"),
        ('inner__corner_m', [0.1, -0.2], 'is -0.2; valid: finite list of float >= 0'),
        ('inner__corner_m', [0.1, math.nan], 'is nan'),
        ('inner__corner_m', 0.1, 'is 0.1; valid: finite list of float'),
        ('inner__names', 'a', "is 'a'; valid: list of str"),
    ],
)
def test_value_is_refused_with_what_is_valid(
    make_node: MakeNode, name: str, value: Any, words: str
) -> None:
    parameters = NodeParameters(make_node(**{name: value}))
    with pytest.raises(InvalidParameterError) as caught:
        parameters.declare(Outer())
    assert caught.value.code == 104
    assert words in str(caught.value)


def test_values_are_refused_when_they_contradict_each_other(make_node: MakeNode) -> None:
    parameters = NodeParameters(make_node(count=9, inner__rate_hz=2.0))
    with pytest.raises(InvalidParameterError, match='count <= rate_hz'):
        parameters.declare(Outer())


def test_unknown_name_is_refused_with_the_nearest_and_all_valid_ones(make_node: MakeNode) -> None:
    """Rclpy passes over such values without a word."""
    parameters = NodeParameters(make_node('-p', 'inner.rate:=20.0'))
    parameters.declare(Outer())
    with pytest.raises(InvalidParameterError) as caught:
        parameters.refuse_unknown()
    assert "unknown parameter 'inner.rate'" in str(caught.value)
    assert "Did you mean 'inner.rate_hz'?" in str(caught.value)
    for name in ('count', 'name', 'is_on', 'inner.free', 'inner.names'):
        assert name in str(caught.value)


def test_parameters_of_ros_itself_are_known(make_node: MakeNode) -> None:
    node = make_node('-p', 'use_sim_time:=true')
    parameters = NodeParameters(node)
    parameters.declare(Outer())
    parameters.refuse_unknown()
    assert node.get_parameter('use_sim_time').value is True


def test_descriptors_hold_type_range_and_meaning(make_node: MakeNode) -> None:
    node = make_node()
    NodeParameters(node).declare(Outer())
    count = node.describe_parameter('count')
    assert count.type == ParameterType.PARAMETER_INTEGER and count.description == 'how many'
    assert (count.integer_range[0].from_value, count.integer_range[0].to_value) == (1, 10)
    rate = node.describe_parameter('inner.rate_hz')
    assert rate.type == ParameterType.PARAMETER_DOUBLE
    assert (rate.floating_point_range[0].from_value, rate.floating_point_range[0].to_value) == (
        1.0,
        100.0,
    )
    assert node.describe_parameter('is_on').read_only
    assert not count.read_only
    assert node.describe_parameter('name').additional_constraints == 'one of cem, mppi'


def test_nan_is_refused_at_run_time_even_without_a_range(make_node: MakeNode) -> None:
    node = make_node()
    NodeParameters(node).declare(Outer())
    result = node.set_parameters([Parameter('inner.free', value=math.nan)])[0]
    assert not result.successful


@pytest.mark.parametrize(
    ('name', 'value', 'is_configured', 'words'),
    [
        ('count', 5, False, ''),
        ('use_sim_time', True, True, ''),
        ('count', 50, False, '[104] parameter count is 50; valid: int in [1, 10]'),
        ('cuont', 5, False, "[104] unknown parameter 'cuont'. Did you mean 'count'?"),
        ('is_on', True, False, '[104] parameter is_on is read-only'),
        ('count', 5, True, '[104] parameter count takes effect when the node is configured'),
    ],
)
def test_change_is_judged_by_name_value_and_state(
    make_node: MakeNode, name: str, value: Any, is_configured: bool, words: str
) -> None:
    parameters = NodeParameters(make_node())
    parameters.declare(Outer())
    reason = parameters.refusal([Parameter(name, value=value)], is_configured=is_configured)
    assert reason.startswith(words) and bool(reason) == bool(words)


def test_group_can_be_declared_anew_and_keeps_what_was_given(make_node: MakeNode) -> None:
    node = make_node(planner__rate_hz=20.0)
    parameters = NodeParameters(node)
    assert parameters.declare(Inner(), 'planner').rate_hz == 20.0
    parameters.undeclare('planner')
    assert parameters.names == () and not node.has_parameter('planner.rate_hz')
    assert parameters.declare(Inner(free=0.9), 'planner') == Inner(rate_hz=20.0, free=0.9)


def test_present_values_are_read_back(make_node: MakeNode) -> None:
    node = make_node()
    parameters = NodeParameters(node)
    parameters.declare(Outer())
    node.set_parameters([Parameter('count', value=7), Parameter('inner.corner_m', value=[0.3])])
    assert parameters.read(Outer()) == Outer(count=7, inner=Inner(corner_m=(0.3,)))


def test_with_values_replaces_nested_fields_only_where_given() -> None:
    assert with_values(Outer(), {'x.inner.free': 0.25}, 'x') == Outer(inner=Inner(free=0.25))


def test_unsupported_type_is_our_own_mistake() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Odd:
        path: Path = parameter(Path('.'), 'a path')

    with pytest.raises(TypeError, match='one of bool, int, float, str'):
        list(entries_of(Odd()))


def test_table_has_a_row_for_each_parameter() -> None:
    rows = parameter_table(Outer()).splitlines()
    assert len(rows) == 2 + 7
    assert '| `count` | int | `3` | in [1, 10] | how many |' in rows
    assert '| `inner.corner_m` | list of float | `[0.1, 0.2]` | >= 0 | a corner [m] |' in rows
    assert '| `is_on` | bool | `false` | any | whether (read-only) |' in rows
