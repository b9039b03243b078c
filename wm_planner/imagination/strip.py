# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures side by side with a word under each, drawn fast enough to be made at every plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from wm_planner.core.types import Image

_LABEL_PX = 18
_GAP_PX = 3
_BACK = (245, 247, 250)
_INK = (27, 36, 48)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A picture and what it is; ``is_imagined`` frames are marked by a coloured edge."""

    image: Image
    label: str
    is_imagined: bool = False
    is_coarse: bool = False  # cells, not pixels: enlarged without smoothing


def draw_panels(rows: Sequence[Sequence[Panel]], panel_px: int) -> Image:
    """Return rows of panels as one picture, each panel ``panel_px`` wide and high."""
    columns = max(len(row) for row in rows)
    width = columns * (panel_px + _GAP_PX) + _GAP_PX
    height = len(rows) * (panel_px + _LABEL_PX + _GAP_PX) + _GAP_PX
    canvas = np.full((height, width, 3), _BACK, np.uint8)
    for line, row in enumerate(rows):
        for column, panel in enumerate(row):
            top = _GAP_PX + line * (panel_px + _LABEL_PX + _GAP_PX)
            left = _GAP_PX + column * (panel_px + _GAP_PX)
            canvas[top : top + panel_px, left : left + panel_px] = _square(panel, panel_px)
            if panel.is_imagined:
                corner = (left + panel_px - 1, top + panel_px - 1)
                cv2.rectangle(canvas, (left, top), corner, (31, 95, 191), 2)
            place = (left + 2, top + panel_px + _LABEL_PX - 5)
            cv2.putText(canvas, panel.label, place, _FONT, 0.38, _INK, 1, cv2.LINE_AA)
    return canvas


def _square(panel: Panel, side_px: int) -> Image:
    """Return the middle square of a picture, ``side_px`` wide."""
    height, width = panel.image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = np.ascontiguousarray(panel.image[top : top + side, left : left + side])
    if side > side_px:
        kind = cv2.INTER_AREA
    else:
        kind = cv2.INTER_NEAREST if panel.is_coarse else cv2.INTER_CUBIC
    resized: Image = cv2.resize(square, (side_px, side_px), interpolation=kind).astype(np.uint8)
    return resized
