# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""V-JEPA 2-AC (Meta, arXiv 2506.09985): the field's world model for planning to goal images.

Read in this order: ``config`` (sizes), ``rope`` and ``network`` (the two transformers), ``poses``
and ``rollout`` (imagining under actions), ``preprocessing``, ``checkpoint`` (files), ``model`` (the
WorldModel protocol), ``parity`` (agreement with the reference).
"""

from wm_planner.models.vjepa2_ac.config import Architecture, VJepa2AcConfig
from wm_planner.models.vjepa2_ac.model import PLANNING_DEFAULTS, VJepa2AcWorldModel

__all__ = ['PLANNING_DEFAULTS', 'Architecture', 'VJepa2AcConfig', 'VJepa2AcWorldModel']
