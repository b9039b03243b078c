# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Simulators for wm_planner: MuJoCo scenes, evaluation suites and the ROS bridge."""

__version__ = "0.1.0"
