# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Types, contracts and geometry that every other room shares: numpy and the standard library only."""
