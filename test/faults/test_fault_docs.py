# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The page of faults against the table, and the table against what was asked of it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from faults.table import FAULTS, KILLS  # noqa: E402
from wm_planner.core.errors import all_error_classes  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / 'docs' / 'faults.md').read_text()
SAFETY = (ROOT / 'docs' / 'safety.md').read_text()


def test_page_lists_the_faults_of_the_table_with_what_comes_of_them() -> None:
    rows = [line.strip('| ').split(' | ') for line in PAGE.splitlines() if line.startswith('| ')]
    listed = {row[0]: row for row in rows[1:]}
    assert list(listed) == [fault.name for fault in FAULTS] + [name for name, *_ in KILLS]
    for fault in FAULTS:
        row = listed[fault.name]
        assert row[1:3] == [fault.what, fault.outcome.value]
        assert row[3] == '-' or int(row[3]) in fault.codes


def test_table_has_no_fewer_faults_than_it_should() -> None:
    assert len(FAULTS) + len(KILLS) >= 25
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)


def test_every_code_of_the_table_and_every_stop_is_explained() -> None:
    codes = {code for fault in FAULTS for code in fault.codes}
    codes |= {code for code in all_error_classes() if 400 < code < 500 or 306 < code < 310}
    missing = {code for code in codes if f'| {code} |' not in SAFETY}
    assert not missing, f'docs/safety.md says nothing of {sorted(missing)}'
