# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""How commands leave: one class a driver interface, each behind core.protocols.CommandSink.

A driver with another command type gets a class here, a line in ``SINKS`` and its name in the
``sink`` entry of a robot profile. Other packages register theirs under the entry-point group
``wm_planner.sinks``; what it loads must be a class that is made like the ones here.
"""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node

from wm_planner.core.profile import RobotProfile
from wm_planner.core.protocols import Clock, CommandSink
from wm_planner.core.registry import Registry
from wm_planner.core.types import RobotState
from wm_planner.ros.sinks.null import NullSink
from wm_planner.ros.sinks.tool_pose import ToolPoseSink

SINKS: Registry[type] = Registry(
    'sink',
    group='wm_planner.sinks',
    entry_class=type,
    builtins={'null': lambda: NullSink, 'tool_pose': lambda: ToolPoseSink},
)


def make_sink(
    name: str,
    node: Node,
    profile: RobotProfile,
    clock: Clock,
    latest_state: Callable[[], RobotState | None],
) -> CommandSink:
    """Return the sink called ``name``; ``latest_state()`` is where the arm was last seen.

    Raises UnknownNameError naming the sinks there are.
    """
    sink: CommandSink = SINKS.get(name)(node, profile, clock, latest_state)
    return sink
