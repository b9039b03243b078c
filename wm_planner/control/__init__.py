# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""From plans to motion: frame buffer, planning thread, executor, safety filter, state machine.

Numpy and threading only: no torch, no ROS, no clock of its own (times are arguments).
"""
