# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of a training run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
import numpy as np

_SMOOTHING_STEPS = 25


def plot_losses(history: Sequence[Mapping[str, float]], path: Path) -> None:
    """Write a PNG of every loss over the steps, on a logarithmic axis, smoothed over 25 steps."""
    figure = Figure(figsize=(8.0, 4.5), layout='constrained')
    FigureCanvasAgg(figure)  # no pyplot: it keeps global state and wants a display on some machines
    axes = figure.add_subplot()
    for name in history[0]:
        values = np.array([step[name] for step in history])
        width = min(_SMOOTHING_STEPS, values.size)
        smooth = np.convolve(values, np.ones(width) / width, mode='valid')
        axes.plot(np.arange(smooth.size) + width, smooth, label=name)
    axes.set(
        xlabel='gradient step',
        ylabel='loss',
        yscale='log',
        title='Training the world model',
    )
    axes.grid(visible=True, which='major', alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
