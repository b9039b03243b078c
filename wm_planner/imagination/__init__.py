# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Showing what a planner believes: imagined frames, energy landscapes. Nothing plans with it."""
