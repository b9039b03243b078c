# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The planner for a robot whose driver runs; ros2 launch wm_planner planner.launch.py -s."""

from launch import LaunchDescription

from wm_planner.launch_description import launch_description


def generate_launch_description() -> LaunchDescription:
    """Return the nodes of the planner profile, which wm_planner/bringup.py describes."""
    return launch_description('planner')
