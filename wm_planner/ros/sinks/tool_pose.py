# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""ToolPoseSink: the simulator's interface, and that of anything else that takes tool poses."""

from __future__ import annotations

from wm_planner.ros.sinks.pose import PoseSink


class ToolPoseSink(PoseSink):
    """PoseStamped on ``topics.target_pose``; the simulator checks frame and numbers."""
