# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""NoopPolicy: the arm stays where it is."""

from __future__ import annotations

import numpy as np

from wm_planner.core.geometry import Array
from wm_planner.core.types import ActionKind, Goal, Observation
from wm_planner.policies.base import OneStepPolicy


class NoopPolicy(OneStepPolicy):
    """Asks for no displacement and for the gripper as it is."""

    def _action(self, observation: Observation, goal: Goal) -> Array:
        spec = self._action_spec
        action = np.zeros(spec.size)
        if ActionKind.GRIPPER.value in spec.names:
            closedness = observation.state.gripper_closedness
            action[spec.names.index(ActionKind.GRIPPER.value)] = closedness
        return np.clip(action, spec.low, spec.high)
