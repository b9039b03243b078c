# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""CommandInbox: what is refused, what a reset forgets, and how silence is measured."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wm_planner.core.errors import (
    FrameMismatchError,
    InvalidActionError,
    InvalidStateError,
    NonFiniteCommandError,
)
from wm_planner_sim.command_inbox import CommandInbox

BASE = 'panda_link0'
JOINTS = ('a', 'b')
HERE = (0.5, 0.1, 0.3)
DOWN = (1.0, 0.0, 0.0, 0.0)
SECOND = 1_000_000_000


@pytest.fixture
def inbox() -> CommandInbox:
    return CommandInbox(BASE, joint_names=JOINTS)


def offer(inbox: CommandInbox, *, stamp_ns: int = 0, now_ns: int = 0, x: float = 0.5) -> object:
    return inbox.offer_tool(BASE, stamp_ns, (x, 0.1, 0.3), DOWN, now_ns=now_ns)


def test_newest_target_wins_and_is_taken_once(inbox: CommandInbox) -> None:
    assert offer(inbox, x=0.4) is None
    assert offer(inbox, x=0.6) is None
    assert inbox.offer_gripper([0.25], now_ns=0) is None
    targets = inbox.take()
    assert targets is not None and targets.tool is not None
    np.testing.assert_array_equal(targets.tool.position_m, [0.6, 0.1, 0.3])
    assert targets.closedness == 0.25
    assert inbox.take() is None


@pytest.mark.parametrize('frame', ['', 'world', 'panda_link0 '])
def test_foreign_frame_is_refused_naming_the_valid_one(inbox: CommandInbox, frame: str) -> None:
    error = inbox.offer_tool(frame, 0, HERE, DOWN, now_ns=0)
    assert isinstance(error, FrameMismatchError)
    assert f"valid: '{BASE}'" in error.message
    assert inbox.take() is None
    assert inbox.silence_s(0) is None  # a refused command is no sign of life


@pytest.mark.parametrize('bad', [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize('place', range(7))
def test_number_that_is_not_finite_is_refused(inbox: CommandInbox, bad: float, place: int) -> None:
    numbers = [*HERE, *DOWN]
    numbers[place] = bad
    error = inbox.offer_tool(BASE, 0, numbers[:3], numbers[3:], now_ns=0)
    assert isinstance(error, NonFiniteCommandError)
    assert inbox.take() is None


def test_quaternion_without_unit_length_is_refused(inbox: CommandInbox) -> None:
    assert isinstance(
        inbox.offer_tool(BASE, 0, HERE, (0.0, 0.0, 0.0, 0.0), now_ns=0), InvalidStateError
    )


@pytest.mark.parametrize(
    ('values', 'kind'),
    [
        ([], InvalidActionError),
        ([0.1, 0.2], InvalidActionError),
        ([1.01], InvalidActionError),
        ([-0.01], InvalidActionError),
        ([math.nan], NonFiniteCommandError),
    ],
)
def test_bad_gripper_target_is_refused(
    inbox: CommandInbox, values: list[float], kind: type
) -> None:
    assert isinstance(inbox.offer_gripper(values, now_ns=0), kind)
    assert inbox.take() is None
    assert inbox.status(0).refused == 1


def test_refusal_is_shown_for_a_second_and_until_a_good_command(inbox: CommandInbox) -> None:
    inbox.offer_gripper([2.0], now_ns=0)
    assert inbox.status(10 * SECOND).refusal is not None  # nothing good came since
    offer(inbox, now_ns=0)
    assert inbox.status(SECOND - 1).refusal is not None
    assert inbox.status(SECOND).refusal is None
    assert (inbox.status(SECOND).accepted, inbox.status(SECOND).refused) == (1, 1)


def test_reset_forgets_what_waits_and_ignores_what_was_stamped_before(inbox: CommandInbox) -> None:
    offer(inbox, stamp_ns=90)
    inbox.offer_gripper([1.0], now_ns=0)
    inbox.clear(100)
    assert inbox.take() is None
    assert inbox.silence_s(5 * SECOND) is None
    offer(inbox, stamp_ns=100)
    inbox.offer_gripper([1.0], now_ns=0)
    assert inbox.take() is None
    assert inbox.status(0).ignored == 2
    offer(inbox, stamp_ns=101, x=0.7)
    targets = inbox.take()
    assert targets is not None and targets.tool is not None
    assert (targets.tool.position_m[0], targets.closedness) == (0.7, None)
    inbox.offer_gripper([0.5], now_ns=0)
    targets = inbox.take()
    assert targets is not None and (targets.tool, targets.closedness) == (None, 0.5)


def test_silence_counts_from_the_last_good_command(inbox: CommandInbox) -> None:
    assert inbox.silence_s(SECOND) is None
    inbox.touch(SECOND)
    assert inbox.silence_s(SECOND) is None  # a pause that ends is no command
    offer(inbox, now_ns=SECOND)
    inbox.offer_gripper([7.0], now_ns=2 * SECOND)
    assert inbox.silence_s(3 * SECOND) == 2.0
    inbox.touch(3 * SECOND)
    assert inbox.silence_s(4 * SECOND) == 1.0


def test_joints_take_the_place_of_a_tool_target_and_give_it_up_again(inbox: CommandInbox) -> None:
    assert offer(inbox) is None
    assert inbox.offer_joints(('finger', 'b', 'a'), (9.0, 0.2, 0.1), 0, now_ns=0) is None
    targets = inbox.take()
    assert targets is not None and targets.tool is None
    assert targets.joints_rad.tolist() == [0.1, 0.2], 'in the order of the arm'
    assert inbox.offer_joints(JOINTS, (0.1, 0.2), 0, now_ns=0) is None
    assert offer(inbox) is None
    targets = inbox.take()
    assert targets is not None and targets.tool is not None and targets.joints_rad is None


@pytest.mark.parametrize(
    ('names', 'positions', 'kind', 'complaint'),
    [
        (('a',), (0.1, 0.2), InvalidActionError, '1 names and 2 positions'),
        (('a', 'c'), (0.1, 0.2), InvalidActionError, 'lacks b'),
        (JOINTS, (0.1, math.nan), NonFiniteCommandError, 'finite'),
    ],
)
def test_joints_that_are_not_the_arms_are_refused(
    inbox: CommandInbox,
    names: tuple[str, ...],
    positions: tuple[float, ...],
    kind: type,
    complaint: str,
) -> None:
    error = inbox.offer_joints(names, positions, 0, now_ns=0)
    assert isinstance(error, kind) and complaint in error.message
    assert inbox.take() is None


def test_joints_from_before_a_reset_are_ignored(inbox: CommandInbox) -> None:
    inbox.clear(5 * SECOND)
    assert inbox.offer_joints(JOINTS, (0.1, 0.2), 4 * SECOND, now_ns=0) is None
    assert inbox.take() is None
    assert inbox.status(0).ignored == 1
