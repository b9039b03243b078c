# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Sub-goals of a demonstration: where the gripper moves and where the latent's way turns."""

from __future__ import annotations

import numpy as np
import pytest

from wm_planner.core.errors import DemonstrationError
from wm_planner.imagination.demonstration import (
    FINAL,
    GRIPPER_AFTER,
    GRIPPER_BEFORE,
    PAUSE,
    TURN,
    ExtractionConfig,
    find_sub_goals,
    settled_index,
)


def path(*corners: tuple[float, ...], steps: int = 4) -> np.ndarray:
    """Return latents going straight from corner to corner, with a little noise."""
    pairs = zip(corners[:-1], corners[1:], strict=True)
    parts = [np.linspace(a, b, steps, endpoint=False) for a, b in pairs]
    way = np.concatenate([*parts, [corners[-1]]])
    noise = np.random.default_rng(0).normal(0.0, 0.002, (len(way), 8))
    noise[:, : way.shape[1]] += way
    return noise.astype(np.float32)


def found(*arguments: object, **settings: float) -> list[tuple[int, str]]:
    goals = find_sub_goals(*arguments, ExtractionConfig(**settings))  # type: ignore[arg-type]
    return [(goal.index, goal.reason) for goal in goals]


def test_straight_way_needs_its_end_alone() -> None:
    assert found(path((0.0, 0.0), (3.0, 0.0), steps=8), None) == [(8, FINAL)]


def test_corners_are_turns() -> None:
    latents = path((0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (0.0, 2.0))
    assert found(latents, None) == [(4, TURN), (8, TURN), (12, FINAL)]


def test_slight_bends_are_not_shown() -> None:
    assert found(path((0.0, 0.0), (2.0, 0.0), (4.0, 1.0)), None) == [(8, FINAL)]


def test_pause_on_a_straight_way_is_shown_once() -> None:
    way = path((0.0, 0.0), (2.0, 0.0), (4.0, 0.0))
    latents = np.concatenate([way[:5], np.repeat(way[4:5], 3, axis=0), way[5:]])
    assert found(latents, None) == [(4, PAUSE), (len(latents) - 1, FINAL)]


def test_gripper_is_shown_before_and_after_it_moves() -> None:
    latents = path((0.0, 0.0), (3.0, 0.0), steps=10)
    closedness = np.array([0.0] * 4 + [0.2, 0.42] + [0.43] * 5)
    assert found(latents, closedness) == [
        (3, GRIPPER_BEFORE),
        (5, GRIPPER_AFTER),
        (10, FINAL),
    ]


def test_turn_beside_a_gripper_event_is_not_shown_twice() -> None:
    latents = path((0.0, 0.0), (2.0, 0.0), (2.0, 2.0))
    closedness = np.array([0.0] * 5 + [1.0] * 4)
    assert [index for index, _ in found(latents, closedness)] == [4, 5, 8]


def test_the_least_sharp_are_left_out_first() -> None:
    latents = path((0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (0.2, 2.2), (2.0, 2.4))
    assert [i for i, _ in found(latents, None, most=2)] == [12, 16]  # a turn right round stays


def test_nothing_moves() -> None:
    still = np.ones((10, 8), np.float32) + path((0.0, 0.0), (0.01, 0.0), steps=9)
    with pytest.raises(DemonstrationError, match='nothing moves in the demonstration'):
        find_sub_goals(still, None)
    with pytest.raises(DemonstrationError, match='valid: at least 3'):
        find_sub_goals(still[:2], None)
    # A hand that closes in a picture too coarse to show it is a motion all the same.
    assert len(found(still, np.array([0.0] * 5 + [1.0] * 5))) == 3


def test_settled_is_when_nothing_changes_any_more() -> None:
    way = path((0.0, 0.0), (3.0, 0.0), steps=6)
    assert settled_index(np.concatenate([way, np.repeat(way[-1:], 5, axis=0)])) == 6
