# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The small world model that ships with the package, and its weights."""

from wm_planner.models.tabletop.model import PLANNING_DEFAULTS, TabletopWorldModel

__all__ = ['PLANNING_DEFAULTS', 'TabletopWorldModel']
