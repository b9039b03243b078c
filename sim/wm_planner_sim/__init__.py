# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Simulators for wm_planner: MuJoCo scenes, evaluation suites and the ROS bridge."""

import os

__version__ = '0.1.0'

# rclpy checks the types of message fields only if this is set before the first message module is
# imported, and without the check a number of the wrong type is garbage on the wire. wm_planner.ros
# sets it too, but the bridge imports messages of its own, perhaps before it.
os.environ.setdefault('ROS_PYTHON_CHECK_FIELDS', '1')
