# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Every field of the interfaces says what it is; physical numbers say their unit."""

from __future__ import annotations

from pathlib import Path
import re

import pytest

from wm_planner.core.errors import all_error_classes

FOLDER = Path(__file__).resolve().parents[2] / 'wm_planner_msgs'
FILES = sorted(
    path for kind in ('msg', 'srv', 'action') for path in FOLDER.glob(f'{kind}/*.{kind}')
)
WITHOUT_UNIT = {'gripper_closedness'}  # a fraction, 0 = open
_UNIT = re.compile(r'\[[^\]]*[A-Za-z][^\]]*\]')  # a range such as [0, 1] is none
_LINE = re.compile(
    r'^(?P<type>[A-Za-z0-9_/]+(<=\d+)?(\[[<=0-9]*\])?)\s+(?P<name>\w+)\s*'
    r'(?P<constant>=\s*[^#]*?)?\s*(#\s*(?P<comment>.*))?$'
)


def fields_of(path: Path) -> list[dict[str, str]]:
    """Return type, name, constant and comment of each field and constant in a file."""
    found = []
    for line in path.read_text().splitlines():
        text = line.strip()
        if not text or text.startswith('#') or text == '---':
            continue
        match = _LINE.match(text)
        assert match, f'{path.name}: cannot read {text!r}'
        found.append({key: value or '' for key, value in match.groupdict().items()})
    return found


def test_interfaces_are_found() -> None:
    assert {path.suffix for path in FILES} == {'.msg', '.srv', '.action'}


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.name)
def test_file_begins_with_what_it_is_for(path: Path) -> None:
    assert re.match(r'# \w.{20,}', path.read_text().splitlines()[0])


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.name)
def test_every_field_has_a_comment(path: Path) -> None:
    silent = [field['name'] for field in fields_of(path) if len(field['comment']) < 4]
    assert not silent, f'{path.name}: no comment on {silent}'


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.name)
def test_every_physical_number_has_a_unit(path: Path) -> None:
    without = [
        field['name']
        for field in fields_of(path)
        if field['type'].startswith('float')
        and field['name'] not in WITHOUT_UNIT
        and not _UNIT.search(field['comment'])
    ]
    assert not without, f'{path.name}: no [unit] on {without}'


def test_suffixes_agree_with_units() -> None:
    units = {'_s': '[s', '_ms': '[ms', '_m': '[m]', '_rad': '[rad]', '_ns': '[ns'}
    for path in FILES:
        for field in fields_of(path):
            for suffix, unit in units.items():
                if field['name'].endswith(suffix) and field['type'].startswith('float'):
                    assert unit in field['comment'], f'{path.name}: {field["name"]} lacks {unit}]'


def test_error_codes_in_python_and_in_the_message_are_equal() -> None:
    in_message = {
        int(field['constant'].lstrip('= ')): field['name']
        for field in fields_of(FOLDER / 'msg' / 'ErrorCode.msg')
    }
    assert in_message.pop(0) == 'NONE'
    in_python = {
        code: re.sub(r'(?<=[a-z])(?=[A-Z])', '_', cls.__name__.removesuffix('Error')).upper()
        for code, cls in all_error_classes().items()
    }
    assert in_message == in_python
