# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The scripted moves: where they go, and that they stay near."""

from __future__ import annotations

import numpy as np
import pytest

from fakes.policy_servers_rigs import a_seen
from fakes.values import a_goal, a_state
from wm_planner.core.errors import InvalidParameterError
from wm_planner.policies.calibration_moves import (
    AXES,
    AXES_STEPS,
    CalibrationMoves,
    CalibrationMovesConfig,
)


def positions_of(config: CalibrationMovesConfig, count: int) -> np.ndarray:
    """Return where a tool that does what it is told comes by, start first."""
    policy, place = CalibrationMoves(config), np.array([0.45, 0.0, 0.2])
    places = [place]
    for _ in range(count):
        seen = a_seen(states=(a_state(place),))
        place = place + policy.plan(seen, a_goal()).actions[0][:3]
        places.append(place)
    return np.stack(places)


@pytest.mark.parametrize('seed', [0, 5])
def test_spread_moves_have_one_length_many_directions_and_stay_near(seed: int) -> None:
    config = CalibrationMovesConfig(move_m=0.04, reach_m=0.08, seed=seed)
    places = positions_of(config, 60)
    moves = np.diff(places, axis=0)
    np.testing.assert_allclose(np.linalg.norm(moves, axis=1), 0.04)
    assert np.linalg.norm(places - places[0], axis=1).max() <= 0.08 + 0.04 * 0.5
    across = np.linalg.svd(moves[:24, :2], compute_uv=False)
    assert across[1] > 0.6 * across[0]


def test_a_tool_that_was_pushed_away_is_brought_back() -> None:
    policy = CalibrationMoves(CalibrationMovesConfig(move_m=0.04, reach_m=0.05))
    policy.plan(a_seen(states=(a_state([0.4, 0.0, 0.2]),)), a_goal())
    far = a_seen(states=(a_state([0.7, 0.0, 0.2]),))
    move = policy.plan(far, a_goal()).actions[0]
    np.testing.assert_allclose(move, [-0.04, 0.0, 0.0], atol=1e-9)


def test_axes_come_back_to_where_they_began_and_touch_the_gripper_last() -> None:
    config = CalibrationMovesConfig(script=AXES, move_m=0.03)
    policy = CalibrationMoves(config)
    seen = a_seen(states=(a_state(closedness=0.0),))
    actions = np.stack([policy.plan(seen, a_goal()).actions[0] for _ in range(AXES_STEPS + 2)])
    np.testing.assert_allclose(actions[:, :3].sum(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(actions[0, :3], [0.0, 0.0, 0.03])  # up first
    assert actions[:, 3].tolist() == [0.0] * 6 + [0.4] + [0.0] * 3
    assert np.all(actions[-3:, :3] == 0.0)


def test_reset_begins_again() -> None:
    policy = CalibrationMoves(CalibrationMovesConfig(seed=4))
    first = [policy.plan(a_seen(), a_goal()).actions[0].tolist() for _ in range(5)]
    policy.reset()
    assert [policy.plan(a_seen(), a_goal()).actions[0].tolist() for _ in range(5)] == first


def test_refuses_an_unknown_script() -> None:
    with pytest.raises(InvalidParameterError, match='spread, axes'):
        CalibrationMovesConfig(script='dance')
