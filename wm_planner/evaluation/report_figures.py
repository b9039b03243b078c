# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The drawings of a report, as SVG text: the same results give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import io

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
import numpy as np

COLOURS = ('#1f5fbf', '#c2571a', '#1d7f4e', '#7b3fa0', '#a3113f', '#00757f', '#6b5d00', '#4a4a4a')
"""Of the runs, in order; they begin anew when they are used up."""

PUBLISHED_COLOUR = '#9aa5b1'
_INK, _MUTED, _GRID = '#1b2430', '#66717f', '#dde3ea'
_WIDTH_IN = 7.6
_ROW_IN = 0.3
_STYLE = {
    'svg.hashsalt': 'wm_planner',
    'font.size': 9.0,
    'axes.edgecolor': _GRID,
    'axes.labelcolor': _MUTED,
    'xtick.color': _MUTED,
    'ytick.color': _INK,
    'text.color': _INK,
}


@dataclass(frozen=True, kw_only=True)
class Point:
    """A value with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Series:
    """A run in a drawing: its points by row label."""

    name: str
    colour: str
    points: Mapping[str, Point]
    hollow: Mapping[str, Point] | None = None  # a second reading of the same thing


def run_colour(place: int) -> str:
    """Return the colour of a run by its place."""
    return COLOURS[place % len(COLOURS)]


@matplotlib.rc_context(_STYLE)
def draw_intervals(
    rows: Sequence[str],
    series: Sequence[Series],
    published: Mapping[str, Sequence[float]],
    *,
    label: str,
    limit: float | None = None,
) -> str:
    """Return a drawing with a line a row: each run's value with its interval, side by side.

    ``published`` are values of others, drawn as grey ticks behind. ``limit`` is the end of the
    axis; None leaves it to the data.
    """
    readings = 1 if all(run.hollow is None for run in series) else 2
    lanes = readings * max(1, len(series))
    height = _ROW_IN * max(1.0, 0.55 * lanes + 0.45) * len(rows) + 0.9
    figure = Figure(figsize=(_WIDTH_IN, height), layout='constrained')
    axes = figure.subplots()
    for place, row in enumerate(rows):
        if place % 2:
            axes.axhspan(place - 0.5, place + 0.5, color='#f5f7fa', zorder=0, linewidth=0)
        _draw_published(axes, published.get(row, ()), place)
        for number, run in enumerate(series):
            y, lane = place - 0.35 + 0.35 / lanes, 0.7 / lanes
            y += readings * number * lane
            _draw_point(axes, run.points.get(row), y, run.colour, is_hollow=False)
            if run.hollow is not None:
                _draw_point(axes, run.hollow.get(row), y + lane, run.colour, is_hollow=True)
    axes.set_yticks(range(len(rows)), rows)
    axes.set(xlabel=label, ylim=(len(rows) - 0.5, -0.5))
    end = axes.get_xlim()[1] if limit is None else 1.02 * limit
    axes.set_xlim(-0.02 * end, end)
    _tidy(axes)
    return as_svg(figure)


@matplotlib.rc_context(_STYLE)
def draw_energies(
    curves: Mapping[str, Sequence[tuple[str, str, Sequence[Sequence[float]]]]],
) -> str:
    """Return a panel a suite: each run's median energy over its plans, with its quartiles.

    ``curves`` maps a suite to (name, colour, curves of the episodes).
    """
    columns = min(3, len(curves))
    lines = -(-len(curves) // columns)
    figure = Figure(figsize=(_WIDTH_IN, 2.3 * lines), layout='constrained')
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for panel, (suite, runs) in zip(panels, curves.items(), strict=False):
        for _, colour, episodes in runs:
            _draw_curve(panel, episodes, colour)
        panel.set_title(suite, size=9.5, loc='left')
        panel.set_ylim(bottom=0.0)
        panel.set_xlabel('plan')
        _tidy(panel)
        panel.grid(axis='y', color=_GRID, linewidth=0.6)
    panels[0].set_ylabel('energy to the goal')
    for panel in panels[len(curves) :]:
        panel.set_visible(False)
    return as_svg(figure)


def as_svg(figure: Figure) -> str:
    """Return a figure as SVG without a date."""
    FigureCanvasSVG(figure)
    text = io.StringIO()
    figure.savefig(text, format='svg', metadata={'Date': None}, transparent=True)
    return text.getvalue()


def _draw_point(axes: Axes, point: Point | None, y: float, colour: str, *, is_hollow: bool) -> None:
    if point is None:
        return
    axes.plot([point.low, point.high], [y, y], color=colour, linewidth=1.4, alpha=0.55, zorder=3)
    face = 'white' if is_hollow else colour
    axes.plot(point.value, y, 'o', color=colour, markerfacecolor=face, markersize=5.5, zorder=4)


def _draw_published(axes: Axes, values: Sequence[float], place: int) -> None:
    for value in values:
        axes.plot(
            [value, value],
            [place - 0.36, place + 0.36],
            color=PUBLISHED_COLOUR,
            linewidth=1.6,
            alpha=0.7,
            zorder=2,
        )


def _draw_curve(axes: Axes, episodes: Sequence[Sequence[float]], colour: str) -> None:
    longest = max(map(len, episodes), default=0)
    padded = np.full((len(episodes), longest), np.nan)
    for line, curve in zip(padded, episodes, strict=True):
        line[: len(curve)] = curve
    there = ~np.isnan(padded).all(axis=0)
    if not there.any():
        return
    steps = np.arange(1, longest + 1)[there]
    low, median, high = np.nanpercentile(padded[:, there], [25.0, 50.0, 75.0], axis=0)
    axes.fill_between(steps, low, high, color=colour, alpha=0.18, linewidth=0)
    axes.plot(steps, median, color=colour, linewidth=1.8)


def _tidy(axes: Axes) -> None:
    axes.grid(axis='x', color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    for side in ('top', 'right', 'left'):
        axes.spines[side].set_visible(False)
