# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The planner for a real arm; ros2 launch wm_planner real.launch.py robot:=NAME execute:=false."""

from launch import LaunchDescription

from wm_planner.launch_description import launch_description


def generate_launch_description() -> LaunchDescription:
    """Return the nodes of the real profile, which wm_planner/bringup.py describes."""
    return launch_description('real')
