# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The arm's kinematics: descriptions, forward and inverse kinematics, limits of joint targets.

A room of its own beside control: control moves tools and knows no joints, and nobody pays for
Pinocchio who has a driver that solves for joints itself. ``arm`` imports it; the others do not.
"""
