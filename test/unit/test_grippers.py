# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What gripper drivers are told, computed by hand, and when an action goal is due."""

from __future__ import annotations

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from fakes.values import a_profile  # noqa: E402
from wm_planner.core.errors import InvalidParameterError  # noqa: E402
from wm_planner.core.robot_parts import GripperConfig  # noqa: E402
from wm_planner.ros.grippers.conversions import (  # noqa: E402
    command_value,
    crisp_range,
    half_width_range,
    width_range,
)
from wm_planner.ros.grippers.settling import Settling  # noqa: E402

MS = 1_000_000
HAND = a_profile(gripper_max_width_m=0.08)
ROBOTIQ = a_profile(gripper_settings=GripperConfig(command_range=(0.0, 0.7929)))


@pytest.mark.parametrize(
    ('closedness', 'width_m', 'half_m', 'crisp', 'knuckle_rad'),
    [
        (0.0, 0.08, 0.04, 1.0, 0.0),  # open
        (1.0, 0.0, 0.0, 0.0, 0.7929),  # closed
        (0.25, 0.06, 0.03, 0.75, 0.198225),
        (0.5, 0.04, 0.02, 0.5, 0.39645),
    ],
)
def test_values_by_hand(
    closedness: float, width_m: float, half_m: float, crisp: float, knuckle_rad: float
) -> None:
    """Our 0 = open; Franka's metres of half a width; CRISP's 1 = open; a knuckle's radians."""
    assert command_value(closedness, width_range(HAND)) == pytest.approx(width_m)
    assert command_value(closedness, half_width_range(HAND)) == pytest.approx(half_m)
    assert command_value(closedness, crisp_range(HAND)) == pytest.approx(crisp)
    assert command_value(closedness, width_range(ROBOTIQ)) == pytest.approx(knuckle_rad)


def test_range_must_be_two_different_numbers() -> None:
    with pytest.raises(InvalidParameterError, match='two different numbers'):
        GripperConfig(command_range=(0.04,))
    with pytest.raises(InvalidParameterError, match='open and closed'):
        GripperConfig(joint_range=(0.04, 0.04))


def feed(settling: Settling, values: list[float], start_ms: int = 0) -> list[tuple[int, float]]:
    """Give a value every 20 ms; return what was due, by time [ms]."""
    sent = []
    for i, value in enumerate(values):
        now_ms = start_ms + 20 * i
        due = settling.due(value, now_ms * MS)
        if due is not None:
            settling.sent(due)
            sent.append((now_ms, due))
    return sent


def test_ramp_becomes_one_goal_when_it_has_ended() -> None:
    """Open to closed at 5 per second, as the safety filter lets it: 10 ticks, then still."""
    settling = Settling(0.05)
    assert feed(settling, [0.0]) == [(0, 0.0)]
    ramp = [min(1.0, 0.1 * i) for i in range(50)]
    assert feed(settling, ramp, 20) == [(20 + 200 + 60, 1.0)]


def test_target_that_stays_or_hardly_changes_is_sent_once() -> None:
    settling = Settling(0.05)
    assert feed(settling, [0.5 + 0.04 * (i % 2) for i in range(100)]) == [(0, 0.5)]


def test_target_that_keeps_moving_is_sent_twice_a_second() -> None:
    settling = Settling(0.05)
    assert feed(settling, [0.0]) == [(0, 0.0)]
    slow = [0.002 * i for i in range(1, 400)]  # 0.1 a second for 8 s
    sent = feed(settling, slow, 20)
    assert 6 <= len(sent) <= 16
    assert all(b[0] - a[0] >= 480 for a, b in zip(sent, sent[1:], strict=False))


def test_the_last_bit_to_an_end_is_sent_however_small() -> None:
    settling = Settling(0.05)
    feed(settling, [0.97])
    assert [v for _, v in feed(settling, [1.0] * 10, 20)] == [1.0]


def test_staying_where_the_fingers_are_is_no_goal() -> None:
    """Enabled with an object between the fingers, a goal of their width would let go of it."""
    settling = Settling(0.05)
    settling.assume(0.6)
    assert feed(settling, [0.6] * 20) == []
    assert [v for _, v in feed(settling, [1.0] * 10, 400)] == [1.0]
    settling.assume(0.6)  # motion begins again: the last goal still stands
    assert feed(settling, [1.0] * 20, 600) == []


def test_goal_that_failed_is_due_again_after_a_second() -> None:
    settling = Settling(0.05)
    assert settling.due(1.0, 0) == 1.0
    settling.failed(0)
    assert settling.due(1.0, 500 * MS) is None
    assert settling.due(1.0, 1000 * MS) == 1.0


def test_clock_that_goes_back_does_not_hold_a_goal_up() -> None:
    settling = Settling(0.05)
    feed(settling, [0.0, 1.0], 100_000)
    assert [v for _, v in feed(settling, [1.0] * 40, 1000)] == [1.0]
