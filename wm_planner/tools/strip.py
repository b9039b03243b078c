# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The picture of a run: one row a goal with the start, moments on the way, and the goal image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
import numpy as np

from wm_planner.core.errors import InvalidParameterError
from wm_planner.core.types import Image

MOMENTS = 4
"""Pictures between start and goal."""

_PANEL_PX = 320
_LEAST_WAY_M = 0.01  # less than this is no motion
_DPI = 100
_INK, _MUTED = '#1b2430', '#66717f'
_GOAL, _GOOD, _BAD = '#1f5fbf', '#1d7f4e', '#b3261e'


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A frame and when it was acquired, in seconds since the goal was set."""

    image: Image
    time_s: float
    distance_m: float | None = None  # by the simulator's truth, at that time


@dataclass(frozen=True, kw_only=True)
class StripRow:
    """One goal: ``start`` and ``moments`` (MOMENTS of them, the last at the end) and the goal."""

    title: str
    start: Moment
    moments: Sequence[Moment]
    goal: Image
    reached: bool
    verdict: str  # e.g. 'reached: 1.2 cm from the goal'


def pick_moments(frames: Sequence[Moment], count: int = MOMENTS) -> list[Moment]:
    """Return ``count`` frames spread over the way, the last of ``frames`` last.

    They are spread evenly over the distance gone through, toward the goal or away from it, so that
    a pause takes no more room than a frame; where distances are unknown, evenly over the frames.
    With too few frames some stand more than once. Raises InvalidParameterError for none.
    """
    if not frames:
        raise InvalidParameterError('no frame was taken on the way; valid: at least 1.')
    distances = [frame.distance_m for frame in frames]
    known = [distance for distance in distances if distance is not None]
    way = np.arange(len(frames), dtype=float)
    if len(known) == len(frames) and max(known) - min(known) > _LEAST_WAY_M:
        way = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(known)))])
    wanted = way[-1] * np.arange(1, count) / count
    places = [int(np.argmax(way >= share - 1e-9)) for share in wanted]
    return [*(frames[place] for place in places), frames[-1]]


def draw_strip(rows: Sequence[StripRow], path: Path, *, title: str, caption: str = '') -> Path:
    """Draw ``rows`` to a PNG and return its path.

    The frames are enlarged with a cubic filter: small camera images stay sharp without squares.
    """
    if not rows:
        raise InvalidParameterError('no goal was pursued; valid: at least 1 row.')
    columns = MOMENTS + 2
    margin, gap, head, row_head, foot = 0.28, 0.10, 0.62, 0.86, 0.50  # [inch]
    panel = _PANEL_PX / _DPI
    width = 2 * margin + columns * panel + (columns - 1) * gap + 0.12
    height = head + len(rows) * (row_head + panel) + foot
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor='white')
    canvas = FigureCanvasAgg(figure)
    figure.text(
        margin / width, 1 - 0.34 / height, title, size=21, weight='bold', color=_INK, va='center'
    )
    for number, row in enumerate(rows):
        top = height - head - number * (row_head + panel)
        _draw_heading(figure, row, margin / width, (top - 0.34) / height, 1 - margin / width)
        pictures = [
            (row.start, 'start', _MUTED),
            *((moment, f't = {moment.time_s:.1f} s', _MUTED) for moment in row.moments),
            (Moment(image=row.goal, time_s=0.0), 'goal image', _GOAL),
        ]
        for column, (moment, label, colour) in enumerate(pictures):
            is_goal = column == columns - 1
            left = margin + column * (panel + gap) + (0.12 if is_goal else 0.0)
            box = (left / width, (top - row_head - panel) / height, panel / width, panel / height)
            _draw_panel(figure, box, moment, label, colour, is_goal=is_goal)
    if caption:
        figure.text(margin / width, 0.2 / height, caption, size=11.5, color=_MUTED, va='center')
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.print_figure(str(path), format='png')
    return path


def _draw_heading(figure: Figure, row: StripRow, left: float, y: float, right: float) -> None:
    figure.text(left, y, row.title, size=15, weight='bold', color=_INK, va='center')
    colour = _GOOD if row.reached else _BAD
    figure.text(
        right, y, row.verdict, size=15, weight='bold', color=colour, va='center', ha='right'
    )


def _draw_panel(
    figure: Figure,
    box: tuple[float, float, float, float],
    moment: Moment,
    label: str,
    colour: str,
    *,
    is_goal: bool,
) -> None:
    axes = figure.add_axes(box)
    axes.imshow(_enlarged(moment.image), interpolation='none', aspect='auto')
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(_GOAL if is_goal else '#c9d0d8')
        spine.set_linewidth(4.0 if is_goal else 1.0)
    axes.set_title(
        label, size=12.5, color=colour, loc='left', pad=5, weight='bold' if is_goal else 'normal'
    )
    if moment.distance_m is not None:
        axes.text(
            0.04,
            0.05,
            f'{100 * moment.distance_m:.1f} cm',
            transform=axes.transAxes,
            size=14,
            weight='bold',
            color='white',
            bbox={'boxstyle': 'round,pad=0.3', 'facecolor': _INK, 'alpha': 0.75, 'linewidth': 0},
        )


def _enlarged(image: Image) -> Image:
    """Return the image filling a square panel, cut to its middle where it is not square."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = np.ascontiguousarray(image[top : top + side, left : left + side])
    kind = cv2.INTER_CUBIC if side < _PANEL_PX else cv2.INTER_AREA
    enlarged: Image = cv2.resize(square, (_PANEL_PX, _PANEL_PX), interpolation=kind).astype(
        np.uint8
    )
    return enlarged
