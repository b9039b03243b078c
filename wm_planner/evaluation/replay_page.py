# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Replays in a report: reading their files back, and what the page shows of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import json
from pathlib import Path
from typing import Any

from wm_planner.evaluation.replay import REPLAY_SCHEMA
from wm_planner.evaluation.report_figures import draw_energies, run_colour

_COLUMNS = (
    ('position error', 'position_error_m', 100.0, 'cm'),
    ('rotation error', 'rotation_error_rad', 57.29578, 'deg'),
    ('gripper error', 'gripper_error', 1.0, ''),
    ('rank', 'rank', 100.0, '%'),
    ('elite regret', 'elite_regret', 1.0, ''),
    ('plan', 'plan_ms', 1.0, 'ms'),
)


def split_replays(paths: Iterable[Path]) -> tuple[list[Path], list[tuple[Path, dict[str, Any]]]]:
    """Return the paths that may hold results of evaluations, and the replays among the files.

    A folder stands among the former and gives its replays to the latter; one that holds nothing
    but replays is only in the latter.
    """
    others, replays = [], []
    for path in paths:
        files = sorted(path.glob('*.json')) if path.is_dir() else [path]
        found = [(file, values) for file in files if (values := _replay_in(file)) is not None]
        replays += found
        if len(found) < len(files) or not files:
            others.append(path)
    return others, replays


def replay_context(replays: Sequence[tuple[Path, dict[str, Any]]]) -> dict[str, Any]:
    """Return what the template shows of replays: columns, a line each, and the energy drawing."""
    lines, curves = [], {}
    for place, (path, values) in enumerate(replays):
        summary, colour = values['summary'], run_colour(place)
        label = f'{values["planner"]} on {values["model"]} ({path.stem})'
        lines.append(
            {
                'label': label,
                'colour': colour,
                'source': values['source'],
                'steps': summary['steps'],
                'same': _reproduced(values),
                'cells': [_number(summary[key], scale, unit) for _, key, scale, unit in _COLUMNS],
                'prediction': [
                    (_number(error), _number(unmoved))
                    for error, unmoved in zip(
                        summary['prediction'], summary['unmoved'], strict=True
                    )
                ],
                'skipped': ', '.join(f'{n} {why}' for why, n in summary['skipped'].items()),
            }
        )
        energies = [
            float('nan') if step['goal_energy'] is None else step['goal_energy']
            for step in values['steps']
        ]
        name = Path(values['source']).name
        curves.setdefault(name, []).append((label, colour, [energies]))
    return {
        'columns': [name for name, _, _, _ in _COLUMNS],
        'lines': lines,
        'figure': draw_energies(curves) if curves else '',
        'horizon': max((len(line['prediction']) for line in lines), default=0),
    }


def _replay_in(path: Path) -> dict[str, Any] | None:
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    is_replay = isinstance(values, dict) and values.get('schema') == REPLAY_SCHEMA
    return values if is_replay else None


def _reproduced(values: dict[str, Any]) -> str:
    summary = values['summary']
    if not values['is_reproduction']:
        return 'other settings'
    return f'{summary["plans_reproduced"]} of {summary["plans_compared"]}'


def _number(value: float | None, scale: float = 1.0, unit: str = '') -> str:
    return '–' if value is None else f'{value * scale:.3g} {unit}'.strip()
