# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""How gripper commands leave: adapters from closedness, one chosen by the profile's ``gripper``.

Apart from the arm's sink, so that any arm goes with any gripper. Other packages register theirs
under the entry-point group ``wm_planner.grippers``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from rclpy.node import Node

from wm_planner.core.profile import RobotProfile
from wm_planner.core.protocols import Clock
from wm_planner.core.registry import Registry
from wm_planner.ros.grippers import actions, topics


class Gripper(Protocol):
    """Takes closedness every tick; made as ``(node, profile, clock)``. Executor's thread."""

    def begin(self, measured: float) -> None:
        """Take note of the measured closedness before the first command since a hold."""

    def send(self, closedness: float) -> None:
        """Command a closedness in [0, 1], 0 = open. Does not block."""

    def publishers(self) -> list[object]:
        """Return the publishers that a last message should be waited for on."""

    def close(self) -> None:
        """Let go of the driver; the grip stays."""


@dataclass(frozen=True, kw_only=True)
class GripperEntry:
    """A gripper's class, the type it speaks and what it needs installed.

    ``suffixes`` are the names below ``topics.gripper_target`` ('' = that name itself).
    """

    make: Callable[[Node, RobotProfile, Clock], Gripper]
    type_name: str
    is_action: bool = False
    suffixes: Mapping[str, str] | None = None  # suffix -> type, where there are several


_ARRAY = 'std_msgs/msg/Float64MultiArray'
_COMMAND = 'control_msgs/action/GripperCommand'


def _entry(make: type, type_name: str = '', **more: object) -> Callable[[], GripperEntry]:
    is_action = '/action/' in type_name
    return lambda: GripperEntry(make=make, type_name=type_name, is_action=is_action, **more)  # type: ignore[arg-type]


GRIPPERS: Registry[GripperEntry] = Registry(
    'gripper',
    group='wm_planner.grippers',
    entry_class=GripperEntry,
    builtins={
        'none': _entry(topics.NoGripper),
        'closedness': _entry(topics.ClosednessGripper, _ARRAY),
        'forward': _entry(topics.ForwardGripper, _ARRAY),
        'crisp': _entry(topics.CrispGripper, _ARRAY),
        'gripper_command': _entry(actions.GripperCommandGripper, _COMMAND),
        'franka_gripper': _entry(actions.FrankaGripper, _COMMAND),
        'parallel_gripper_command': _entry(
            actions.ParallelGripperCommandGripper, 'control_msgs/action/ParallelGripperCommand'
        ),
        'franka_grasp': _entry(
            actions.FrankaGraspGripper,
            'franka_msgs/action/Grasp',
            suffixes={'/move': 'franka_msgs/action/Move', '/grasp': 'franka_msgs/action/Grasp'},
        ),
    },
)


def make_gripper(node: Node, profile: RobotProfile, clock: Clock) -> Gripper:
    """Return the gripper of a profile.

    Raises UnknownNameError naming those there are, MissingPackageError for one whose messages are
    not installed.
    """
    return GRIPPERS.get(profile.gripper).make(node, profile, clock)
