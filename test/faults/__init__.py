# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Faults injected into the live graph on the tabletop, and what comes of them."""
