# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""RandomPolicy: what success costs nothing."""

from __future__ import annotations

from wm_planner.core.geometry import Array
from wm_planner.core.types import Goal, Observation
from wm_planner.policies.base import OneStepPolicy


class RandomPolicy(OneStepPolicy):
    """Draws each action uniformly between the bounds."""

    def _action(self, observation: Observation, goal: Goal) -> Array:
        return self._rng.uniform(self._action_spec.low, self._action_spec.high)
