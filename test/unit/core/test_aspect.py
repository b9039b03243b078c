# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of one camera at any scale, and others."""

from __future__ import annotations

import pytest

from wm_planner.core.aspect import has_aspect_of


@pytest.mark.parametrize(
    ('size', 'is_one'),
    [((480, 640), True), ((90, 120), True), ((91, 120), True), ((480, 480), False)]
    + [((88, 120), False), ((640, 480), False)],
)
def test_pictures_of_one_camera_have_its_aspect_at_any_scale(
    size: tuple[int, int], is_one: bool
) -> None:
    assert has_aspect_of(size, (480, 640)) is is_one
