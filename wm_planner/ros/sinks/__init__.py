# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""How commands leave: one class a driver interface, each behind core.protocols.CommandSink.

A driver with another command type gets a class here, a line in ``_SINKS`` and its name in the
``sink`` entry of a robot profile. Other packages register theirs under the entry-point group
``wm_planner.sinks``; the value is a callable like the classes here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points

from rclpy.node import Node

from wm_planner.core.errors import UnknownNameError
from wm_planner.core.profile import RobotProfile
from wm_planner.core.protocols import Clock, CommandSink
from wm_planner.core.types import RobotState
from wm_planner.ros.sinks.null import NullSink
from wm_planner.ros.sinks.tool_pose import ToolPoseSink

ENTRY_POINT_GROUP = 'wm_planner.sinks'

SinkFactory = Callable[[Node, RobotProfile, Clock, Callable[[], RobotState | None]], CommandSink]
"""``make(node, profile, clock, latest_state)``; ``latest_state()`` is where the arm was last seen."""

_SINKS: Mapping[str, SinkFactory] = {'null': NullSink, 'tool_pose': ToolPoseSink}


def sink_names() -> tuple[str, ...]:
    """Return the names that a profile's ``sink`` may have."""
    return tuple(sorted({*_SINKS, *(p.name for p in entry_points(group=ENTRY_POINT_GROUP))}))


def make_sink(
    name: str,
    node: Node,
    profile: RobotProfile,
    clock: Clock,
    latest_state: Callable[[], RobotState | None],
) -> CommandSink:
    """Return the sink called ``name``; raises UnknownNameError naming the others."""
    factory = _SINKS.get(name)
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if factory is None and point.name == name:
            factory = point.load()
    if factory is None:
        raise UnknownNameError.among('sink', name, sink_names())
    return factory(node, profile, clock, latest_state)
