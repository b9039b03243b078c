# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Quality of service of every topic, said once.

Streams are best effort: an old frame sent again is worse than none, and a best-effort reader
matches reliable and best-effort publishers alike. Commands are reliable and only the newest
counts. What a late joiner needs is latched (transient local).
"""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def _profile(
    depth: int,
    reliability: ReliabilityPolicy,
    durability: DurabilityPolicy = DurabilityPolicy.VOLATILE,
) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=reliability,
        durability=durability,
    )


IMAGE = _profile(2, ReliabilityPolicy.BEST_EFFORT)
"""Camera frames, in and out."""

STATE = _profile(2, ReliabilityPolicy.BEST_EFFORT)
"""Joint states and tool poses, in and out; a late reader wants the newest, not a backlog."""

WRENCH = _profile(100, ReliabilityPolicy.BEST_EFFORT)
"""Force and torque, in: a contact of a few samples must not be overwritten by the next."""

COMMAND = _profile(1, ReliabilityPolicy.RELIABLE)
"""Absolute targets; a queue of old ones would be replayed after a stall."""

STATUS = _profile(10, ReliabilityPolicy.RELIABLE)
"""PlannerStatus, PlanDiagnostics, EpisodeStatus and /diagnostics."""

LATCHED = _profile(1, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)
"""The newest value for whoever joins late, e.g. the goal image in force."""
