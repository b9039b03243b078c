# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""FziSink: ``target_frame`` of FZI's cartesian_controllers."""

from __future__ import annotations

from wm_planner.ros.sinks.pose import PoseSink


class FziSink(PoseSink):
    """PoseStamped on ``topics.target_pose`` (.../target_frame).

    The controller refuses every frame but its ``robot_base_link``, which has to be the profile's
    ``base_frame``, and holds the last target when nothing more comes.
    """
