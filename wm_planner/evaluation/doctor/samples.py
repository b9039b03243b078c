# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What was measured of a running set-up: plain values that the checks look at."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from wm_planner.core.geometry import Array
from wm_planner.core.types import Image


@dataclass(frozen=True, kw_only=True)
class StreamSample:
    """What came on one topic while somebody listened.

    ``arrivals_s`` [N] are monotonic times of arrival, ``stamps_ns`` [N] what the messages say,
    ``clock_ns`` [N] the ROS clock at arrival; all in the order of arrival.
    """

    topic: str
    wanted_type: str
    found_types: tuple[str, ...] = ()
    publishers: int = 0
    listened_s: float = 0.0
    arrivals_s: tuple[float, ...] = ()
    stamps_ns: tuple[int, ...] = ()
    clock_ns: tuple[int, ...] = ()
    frame_ids: tuple[str, ...] = ()  # each that occurred, once
    alternatives: tuple[str, ...] = ()  # other topics that carry the wanted type

    @property
    def count(self) -> int:
        """Return how many messages came."""
        return len(self.arrivals_s)

    @property
    def rate_hz(self) -> float:
        """Return the mean rate between the first and the last arrival; 0 for fewer than two."""
        if self.count < 2:
            return 0.0
        span = self.arrivals_s[-1] - self.arrivals_s[0]
        return (self.count - 1) / span if span > 0.0 else 0.0

    @property
    def longest_gap_s(self) -> float:
        """Return the longest time between two arrivals; infinite for fewer than two."""
        return float(np.diff(self.arrivals_s).max()) if self.count >= 2 else float('inf')


@dataclass(frozen=True, kw_only=True)
class CameraSample(StreamSample):
    """A camera's stream; ``frames`` are some of its pictures, oldest first, RGB."""

    encodings: tuple[str, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()  # width, height [px]; each that occurred, once
    frames: tuple[Image, ...] = ()
    distinct: int = 0  # frames that differ from the one before in a byte at least, plus one
    refusals: tuple[str, ...] = ()  # why a message could not be read; each sentence once


@dataclass(frozen=True, kw_only=True)
class JointSample(StreamSample):
    """Joint states: the names of one kind of message, and positions [N, J] of those that have them.

    Two broadcasters may share a topic: the messages are those with the joints that are looked for,
    where there are any.
    """

    names: tuple[str, ...] = ()
    positions: Array = field(default_factory=lambda: np.zeros((0, 0)))


@dataclass(frozen=True, kw_only=True)
class PoseSample(StreamSample):
    """Tool poses: positions [N, 3] and quaternions xyzw [N, 4], as the messages have them.

    Where the robot has no topic of poses they are made of its joints or come from tf: then
    ``is_derived``, ``topic`` says from what, and ``trouble`` why there are none.
    """

    is_derived: bool = False
    trouble: str = ''
    positions: Array = field(default_factory=lambda: np.zeros((0, 3)))
    quaternions: Array = field(default_factory=lambda: np.zeros((0, 4)))


@dataclass(frozen=True, kw_only=True)
class CommandSample:
    """Who is on the command topic of the profile's sink before anything is sent."""

    topic: str
    listeners: tuple[str, ...] = ()  # full node names
    senders: tuple[str, ...] = ()
    planners: tuple[str, ...] = ()  # nodes of this package that plan


@dataclass(frozen=True, kw_only=True)
class SetupSample:
    """All streams of one robot, and its command topic."""

    image: CameraSample
    joints: JointSample
    gripper: JointSample  # those of the joints where both come together
    pose: PoseSample
    commands: CommandSample
    is_simulated: bool = False  # somebody publishes /clock, and stamps were compared with it

    @property
    def states(self) -> tuple[StreamSample, ...]:
        """Return the streams that robot states are made of, each topic once."""
        own: list[StreamSample] = [self.joints]
        if self.gripper.topic != self.joints.topic:
            own.append(self.gripper)
        if not self.pose.is_derived:
            own.append(self.pose)
        return tuple(own)


@dataclass(frozen=True, kw_only=True)
class MoveSample:
    """One small move that went through the planner node.

    ``commanded_m`` [3] is what the planner asked for, ``done_m`` [3] what the tool pose says
    happened, both in base_frame. Pictures at rest before and after, RGB.
    """

    commanded_m: Array
    done_m: Array
    before: Image
    after: Image


@dataclass(frozen=True, kw_only=True)
class GripperSample:
    """One change of the gripper: closedness commanded and measured, before and after."""

    commanded_before: float
    commanded_after: float
    measured_before: float
    measured_after: float
