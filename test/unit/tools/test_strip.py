# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The picture of a run: which moments are shown, and that it shows the goal in every row."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from wm_planner.core.errors import InvalidParameterError
from wm_planner.core.types import Image
from wm_planner.tools.strip import MOMENTS, Moment, StripRow, draw_strip, pick_moments


def plain(colour: tuple[int, int, int], size: int = 32) -> Image:
    return np.full((size, size, 3), colour, np.uint8)


def moments(distances: list[float | None]) -> list[Moment]:
    return [
        Moment(image=plain((n, n, n)), time_s=0.1 * n, distance_m=distance)
        for n, distance in enumerate(distances)
    ]


def times(picked: list[Moment]) -> list[float]:
    return [round(moment.time_s, 1) for moment in picked]


def test_moments_are_spread_over_the_way_when_the_arm_pauses() -> None:
    frames = moments([0.20, 0.20, 0.20, 0.20, 0.15, 0.10, 0.05, 0.0, 0.0, 0.0])
    assert times(pick_moments(frames)) == [0.4, 0.5, 0.6, 0.9]


def test_moments_count_the_way_that_leads_away_too() -> None:
    # out by 10 cm and back: the ways after each frame are 0, 5, 10, 15, 20 cm
    assert times(pick_moments(moments([0.1, 0.15, 0.2, 0.15, 0.1]))) == [0.1, 0.2, 0.3, 0.4]


@pytest.mark.parametrize('distance', [None, 0.2])
def test_moments_are_spread_over_the_frames_when_nothing_moves(distance: float | None) -> None:
    assert times(pick_moments(moments([distance] * 9))) == [0.2, 0.4, 0.6, 0.8]


def test_moments_repeat_when_there_are_too_few_frames() -> None:
    assert len(pick_moments(moments([0.1]))) == MOMENTS


def test_moments_of_no_frames_are_refused() -> None:
    with pytest.raises(InvalidParameterError, match='at least 1'):
        pick_moments([])


def test_strip_has_a_row_a_goal_and_shows_each_goal_picture(tmp_path: Path) -> None:
    goal_colours = [(250, 10, 10), (10, 250, 10)]
    rows = [
        StripRow(
            title=f'goal {n}',
            start=Moment(image=plain((90, 90, 90)), time_s=0.0, distance_m=0.2),
            moments=moments([0.2] * MOMENTS),
            goal=plain(colour),
            reached=True,
            verdict='reached: 1.0 cm from the goal',
        )
        for n, colour in enumerate(goal_colours)
    ]
    path = draw_strip(rows, tmp_path / 'made' / 'strip.png', title='title', caption='caption')
    picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    height, width = picture.shape[:2]
    assert width > 6 * 300 and height > 2 * 300
    first, second = (np.where((picture == colour).all(axis=2)) for colour in goal_colours)
    for rows_of, columns_of in (first, second):
        assert rows_of.size > 250 * 250, 'the goal fills a panel'
        assert columns_of.min() > 0.8 * width, 'the goal stands last'
    assert first[0].max() < second[0].min(), 'one row below the other'


def test_strip_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match='at least 1'):
        draw_strip([], tmp_path / 'strip.png', title='title')
