# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Baselines behind the Planner protocol, found by name in ``registry``. No torch in here."""
