# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The table of scores: its numbers are whole in a terminal of any usual width."""

from __future__ import annotations

import io

from rich.console import Console

from fakes.records import a_record, arena
from wm_planner.evaluation.scores import score_rows
from wm_planner.tools.score_tables import is_worth_a_table, score_table

LONG = 'pick_up_the_lemon_and_place_it_on_the_white_bowl_with_the_stove_turned_on'


def printed(width: int) -> list[str]:
    records = [
        a_record(k, arena('safety_static_obstacles', 1, LONG), success=k < 3, cost_upstream=12.5)
        for k in range(4)
    ]
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(score_table(score_rows(records), width))
    return console.export_text().splitlines()


def test_names_are_cut_short_before_numbers_are() -> None:
    for width in (80, 100, 200):
        lines = printed(width)
        task = next(line for line in lines if '  pick up the' in line)
        assert ('…' in task) == (width < 140)
        assert '75 [30, 95]' in task and '12.5 [12, 12]' in task and '0.0 [0, 0]' in task
        assert max(map(len, lines)) <= width
        assert any('static_obstacles L1' in line for line in lines)


def test_single_suite_without_costs_needs_no_table() -> None:
    assert not is_worth_a_table(score_rows([a_record(0)]))
    assert is_worth_a_table(score_rows([a_record(0), a_record(0, 'tabletop/push')]))
