# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The simulated tabletop and the planner; ros2 launch wm_planner sim.launch.py --show-args."""

from launch import LaunchDescription

from wm_planner.launch_description import launch_description


def generate_launch_description() -> LaunchDescription:
    """Return the nodes of the sim profile, which wm_planner/bringup.py describes."""
    return launch_description('sim')
