# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of a set-up before an arm moves: each is one function of plain measurements."""
