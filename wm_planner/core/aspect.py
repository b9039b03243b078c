# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Whether pictures can be whole pictures of one camera, at any scale."""

from __future__ import annotations

from collections.abc import Sequence

ASPECT_TOLERANCE = 0.02
"""How far the ratio of two aspects may be from 1: what rounding to whole pixels makes of them."""


def has_aspect_of(size: Sequence[int], camera: Sequence[int]) -> bool:
    """Return whether a picture of ``size`` can be from ``camera``; both (height, width) [px]."""
    (height, width), (camera_height, camera_width) = size, camera
    return abs((width / height) / (camera_width / camera_height) - 1.0) <= ASPECT_TOLERANCE
