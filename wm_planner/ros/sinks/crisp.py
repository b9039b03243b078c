# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""CrispSink: ``target_pose`` of CRISP's Cartesian impedance and operational-space controllers."""

from __future__ import annotations

from wm_planner.ros.sinks.pose import PoseSink


class CrispSink(PoseSink):
    """PoseStamped on ``topics.target_pose``, as CRISP's controllers take it.

    They read the pose in their own base frame whatever the message says, check neither numbers nor
    quaternion, drop everything while the topic has a second publisher, and hold the last target for
    ever. So a hold is a command here (the measured pose), and everything that they do not check is
    checked before this sink.
    """
