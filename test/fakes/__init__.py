# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Stand-ins and helpers that tests of several tiers share."""
