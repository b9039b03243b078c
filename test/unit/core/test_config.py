# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Config dataclasses, profiles and errors: what is refused, and in which words."""

from __future__ import annotations

from dataclasses import dataclass, field
import math

import pytest

from wm_planner.core import errors
from wm_planner.core.config import HIDDEN, from_mapping, hide_secrets, parameter, validate
from wm_planner.core.errors import InvalidParameterError, UnknownNameError
from wm_planner.core.profile import RobotProfile


@dataclass(frozen=True, kw_only=True)
class Inner:
    name: str = parameter('a', 'a name', choices=('a', 'b'))

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True, kw_only=True)
class Outer:
    rate_hz: float = parameter(1.0, 'a rate', low=0.5, high=2.0)
    number: int = parameter(3, 'a number', low=1)
    is_on: bool = parameter(True, 'a switch')
    weights: tuple[float, ...] = parameter((1.0,), 'weights', low=0.0)
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        validate(self)


def test_plain_values_take_the_types_of_the_fields() -> None:
    config = from_mapping(
        Outer, {'rate_hz': 2, 'weights': [1, 2.5], 'inner': {'name': 'b'}, 'is_on': False}
    )
    assert config == Outer(rate_hz=2.0, weights=(1.0, 2.5), inner=Inner(name='b'), is_on=False)
    assert isinstance(config.rate_hz, float)
    assert isinstance(config.weights[0], float)


@pytest.mark.parametrize('rate', [0.5, 2.0])
def test_bounds_are_inclusive(rate) -> None:
    assert Outer(rate_hz=rate).rate_hz == rate


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'rate_hz': 0.499}, r'Outer.rate_hz is 0.499; valid: in \[0.5, 2\]'),
        ({'rate_hz': math.nan}, 'finite'),
        ({'number': 0}, 'valid: >= 1'),
        ({'number': 1.5}, 'valid: int'),
        ({'number': True}, 'valid: int'),
        ({'is_on': 'yes'}, 'valid: bool'),
        ({'weights': [1.0, -1.0]}, 'Outer.weights is -1.0'),
        ({'weights': 3.0}, 'weights'),
        ({'inner': {'name': 'c'}}, 'valid: one of a, b'),
        ({'inner': {'nome': 'a'}}, 'unknown parameter nome of Inner; valid: name'),
        ({'rate': 1.0}, 'unknown parameter rate of Outer; valid: rate_hz, number'),
    ],
)
def test_what_is_wrong_is_refused_with_what_is_valid(values, message) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        from_mapping(Outer, values)


PROFILE = """
name: arm
base_frame: base
tool_frame: tool
workspace_low_m: [0.2, -0.4, 0]
topics: {image: /eye}
"""


def test_profile_is_read_from_yaml(tmp_path) -> None:
    file = tmp_path / 'arm.yaml'
    file.write_text(PROFILE)
    profile = RobotProfile.from_yaml(file)
    assert profile.workspace_low_m == (0.2, -0.4, 0.0)
    assert profile.topics.image == '/eye'
    assert profile.topics.joint_states == '/joint_states'


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (PROFILE + 'max_sped_m_s: 1', 'unknown parameter max_sped_m_s'),
        (PROFILE + 'max_speed_m_s: .nan', 'finite'),
        (PROFILE + 'workspace_high_m: [0.1, 0.4, 1.0]', 'low < high'),
        ('name: arm', 'base_frame'),
        ('[1, 2]', 'a YAML mapping'),
        ('name: [', 'not YAML'),
    ],
)
def test_profile_that_is_wrong_is_refused_with_its_file(tmp_path, text, message) -> None:
    file = tmp_path / 'arm.yaml'
    file.write_text(text)
    with pytest.raises(InvalidParameterError, match=message) as caught:
        RobotProfile.from_yaml(file)
    assert 'arm.yaml' in str(caught.value) or 'low < high' in str(caught.value)


def test_missing_profile_is_refused(tmp_path) -> None:
    with pytest.raises(InvalidParameterError, match='No such file'):
        RobotProfile.from_yaml(tmp_path / 'none.yaml')


def test_error_codes_are_unique_and_in_the_range_of_their_parent() -> None:
    classes = errors.all_error_classes()
    subclasses = [errors.WmPlannerError]
    for cls in subclasses:
        subclasses.extend(cls.__subclasses__())
    assert len(classes) == len({cls for cls in subclasses})
    for code, cls in classes.items():
        if cls.__bases__[0] not in (Exception, errors.WmPlannerError):
            assert code // 100 == cls.__bases__[0].code // 100


def test_error_text_is_number_and_sentence() -> None:
    error = errors.StaleDataError('old.')
    assert (str(error), error.message) == ('[202] old.', 'old.')


def test_unknown_name_offers_the_nearest() -> None:
    error = UnknownNameError.among('planner', 'cme', ['noop', 'cem'])
    assert error.message == "unknown planner 'cme'. Did you mean 'cem'? Valid: cem, noop."


def test_foreign_errors_become_unknown() -> None:
    assert errors.as_wm_planner_error(KeyError('x')).code == 901
    own = errors.StaleDataError('old.')
    assert errors.as_wm_planner_error(own) is own


@dataclass(frozen=True, kw_only=True)
class Login:
    key: str = parameter('', 'key of the server', is_secret=True)
    port: int = parameter(1, 'port')


def test_secret_is_hidden_where_it_was_given_and_only_there() -> None:
    assert hide_secrets(Login, {'key': 'k3y', 'port': 3}) == {'key': HIDDEN, 'port': 3}
    assert hide_secrets(Login, {'key': ''}) == {'key': ''}
    assert from_mapping(Login, {'key': 'k3y'}).key == 'k3y'


def test_secret_of_another_type_is_not_shown_in_the_refusal() -> None:
    with pytest.raises(InvalidParameterError, match='key is of type int; valid: str') as caught:
        from_mapping(Login, {'key': 12345})
    assert '12345' not in str(caught.value)
