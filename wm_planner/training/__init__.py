# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Collecting data and training world models."""
