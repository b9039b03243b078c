# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The energy landscape as a picture: both slices, the lowest place, what was chosen and done."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
import numpy as np

from wm_planner.core.geometry import Array
from wm_planner.core.types import Image
from wm_planner.planning.landscape import SLICES, Landscape

_DPI = 110
_INK, _MUTED = '#1b2430', '#66717f'
_CHOSEN, _LOWEST, _TRUE = '#d7263d', '#ffffff', '#00d0ff'
_LABELS = {'xy': ('dx [cm]', 'dy [cm]'), 'xz': ('dx [cm]', 'dz [cm]')}


def draw_landscape(
    found: Landscape,
    path: Path,
    *,
    now: Image,
    goal: Image,
    chosen_m: Array | None = None,
    true_m: Array | None = None,
) -> Path:
    """Draw a landscape to a PNG beside its two pictures and return its path.

    ``chosen_m`` [3] is the displacement the planner chose, ``true_m`` [3] the one that leads to
    the goal where it is known; both are marked in both slices.
    """
    figure = Figure(figsize=(12.6, 4.1), dpi=_DPI, facecolor='white', layout='constrained')
    canvas = FigureCanvasAgg(figure)
    panels = figure.subplots(1, 4, width_ratios=[0.72, 0.72, 1.0, 1.0])
    for panel, image, title in ((panels[0], now, 'now'), (panels[1], goal, 'goal')):
        panel.imshow(image)
        panel.set_title(title, size=11, color=_INK, loc='left')
        panel.set_axis_off()
    finite = [e[np.isfinite(e)] for e in (found.xy, found.xz)]
    low = min((float(e.min()) for e in finite if e.size), default=0.0)
    high = max((float(e.max()) for e in finite if e.size), default=1.0)
    for panel, name in zip(panels[2:], SLICES, strict=True):
        shown = _draw_slice(panel, found, name, (low, high))
        _mark(panel, name, np.zeros(3), '+', _INK, 'tool now')
        _mark(panel, name, found.minimum(name), 'o', _LOWEST, 'lowest')
        if chosen_m is not None:
            _mark(panel, name, chosen_m, 'x', _CHOSEN, 'chosen by the planner')
        if true_m is not None:
            _mark(panel, name, true_m, '*', _TRUE, 'true displacement')
    figure.get_layout_engine().set(rect=(0.0, 0.0, 1.0, 0.92))
    figure.colorbar(shown, ax=panels[2:], label='energy', shrink=0.85)
    handles, labels = panels[2].get_legend_handles_labels()
    figure.legend(handles, labels, loc='lower left', ncols=2, frameon=True, facecolor='#c9d0d8')
    many = '' if found.steps <= 1 else f', in {found.steps} equal steps'
    figure.suptitle(
        f'Energy toward goal {found.goal_id!r} of moving the tool{many}; staying: '
        f'{found.energy_now:.3g}',
        size=12,
        color=_INK,
        x=0.01,
        y=0.98,
        ha='left',
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.print_figure(str(path), format='png')
    return path


def _draw_slice(panel: Axes, found: Landscape, name: str, limits: tuple[float, float]) -> object:
    energies: Array = getattr(found, name)
    edge = 100.0 * float(found.offsets_m[-1])
    half = 0.5 * 100.0 * float(found.offsets_m[1] - found.offsets_m[0])
    extent = (-edge - half, edge + half, -edge - half, edge + half)
    shown = panel.imshow(
        energies.T,
        origin='lower',
        extent=extent,
        cmap='viridis',
        vmin=limits[0],
        vmax=limits[1],
        interpolation='none',
    )
    panel.set_title(f'slice {name} through the tool', size=11, color=_INK, loc='left')
    panel.set_xlabel(_LABELS[name][0], color=_MUTED)
    panel.set_ylabel(_LABELS[name][1], color=_MUTED)
    return shown


def _mark(
    panel: Axes, name: str, displacement_m: Array, marker: str, colour: str, label: str
) -> None:
    if not np.all(np.isfinite(displacement_m)):
        return
    second = displacement_m[1] if name == 'xy' else displacement_m[2]
    is_open = marker == 'o'
    panel.plot(
        100.0 * displacement_m[0],
        100.0 * second,
        marker,
        color=colour,
        markerfacecolor='none' if is_open else colour,
        markersize=13 if is_open else 11,
        markeredgewidth=2.2,
        linestyle='none',
        label=label,
        clip_on=False,
    )
