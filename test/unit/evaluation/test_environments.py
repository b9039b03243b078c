# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Suites are found by entry point, and what cannot be found is answered with what can."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from fakes.loopback_env import LoopbackEnv
from wm_planner.core.errors import InvalidParameterError, MissingAssetError, UnknownNameError
from wm_planner.evaluation import environments
from wm_planner.evaluation.environments import ENTRY_POINT_GROUP, SuiteName, open_environment


def register(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    """Let these entry points, and no others, be the installed ones."""
    entries = [EntryPoint(name, value, ENTRY_POINT_GROUP) for name, value in values.items()]
    monkeypatch.setattr(environments, 'entry_points', lambda group: entries)


TASKS = ('obstacles/L0/lemon', 'obstacles/L1/mug', 'obstacles_2/L0/pear', 'reach')


@pytest.mark.parametrize(
    ('text', 'count'),
    [
        ('arena', 4),
        ('arena/', 4),
        ('arena/obstacles', 2),
        ('arena/obstacles/L1', 1),
        ('arena/obstacles/L0/lemon', 1),
        ('arena/reach', 1),
    ],
)
def test_leading_parts_stand_for_all_suites_below(text: str, count: int) -> None:
    name = SuiteName.parse_prefix(text)
    assert str(name) == text.rstrip('/')
    found = name.expand(TASKS)
    assert len(found) == count
    assert all(f'{suite}/'.startswith(f'{name}/') for suite in found)


@pytest.mark.parametrize(
    ('text', 'sentence'),
    [
        ('arena/obstacle', "Did you mean 'obstacles'. Valid: obstacles, obstacles_2, reach"),
        ('arena/obstacles/L2', 'Valid: obstacles/L0, obstacles/L1.'),
        ('arena/obstacles/L0/lemo', "Did you mean 'obstacles/L0/lemon'"),
        ('arena/obstacles/L0/lemon/x', 'Valid: obstacles/L0/lemon'),
    ],
)
def test_part_that_does_not_fit_is_named_with_its_siblings(text: str, sentence: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        SuiteName.parse_prefix(text).expand(TASKS)
    assert sentence.replace("s'. ", "s'? ") in caught.value.message


def test_environment_without_suites_says_where_they_would_come_from() -> None:
    with pytest.raises(MissingAssetError, match='--asset-root DIR'):
        SuiteName.parse_prefix('arena').expand(())


def test_suite_name_has_an_environment_and_a_suite() -> None:
    name = SuiteName.parse('tabletop/push_far')
    assert (name.environment, name.suite, str(name)) == (
        'tabletop',
        'push_far',
        'tabletop/push_far',
    )


@pytest.mark.parametrize('text', ['reach', 'tabletop/', '/reach', ''])
def test_suite_name_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameterError, match='tabletop/reach'):
        SuiteName.parse(text)


def test_environment_is_made_from_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, loopback='fakes.loopback_env:LoopbackEnv')
    environment = open_environment(SuiteName('loopback', 'reach'))
    assert isinstance(environment, LoopbackEnv)


def test_unknown_suite_is_answered_with_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, loopback='fakes.loopback_env:LoopbackEnv')
    with pytest.raises(UnknownNameError, match="Did you mean 'reach'"):
        open_environment(SuiteName('loopback', 'reech'))


def test_unknown_environment_is_answered_with_those_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    register(monkeypatch, loopback='fakes.loopback_env:LoopbackEnv')
    with pytest.raises(UnknownNameError, match='loopback, tabletop'):
        open_environment(SuiteName('lopback', 'reach'))


def test_missing_package_is_answered_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    register(monkeypatch)
    with pytest.raises(MissingAssetError, match='./dev setup'):
        open_environment(SuiteName('tabletop', 'reach'))


def test_package_that_cannot_be_imported_is_named_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    register(monkeypatch, tabletop='no_such_simulator.suites:Environment')
    with pytest.raises(MissingAssetError, match=r'no_such_simulator.*install: ./dev setup'):
        open_environment(SuiteName('tabletop', 'reach'))
