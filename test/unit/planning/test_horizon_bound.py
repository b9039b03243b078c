# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""A horizon that a world model cannot predict is refused when the planner is made."""

from __future__ import annotations

import pytest

from wm_planner.core.errors import InvalidParameterError
from wm_planner.models.point_mass import PointMassConfig, PointMassWorldModel
from wm_planner.planning.registry import make_world_model_planner, planning_config


class ShortSighted(PointMassWorldModel):
    """Looks three steps ahead at most."""

    def check_horizon(self, horizon: int) -> None:
        if horizon > 3:
            raise InvalidParameterError(f'horizon {horizon}; valid: at most 3.')


def test_planner_is_made_only_with_a_horizon_that_the_model_can_predict() -> None:
    model = ShortSighted(PointMassConfig(), device='cpu')
    settings = planning_config('cem', optimizer={'horizon': 3})
    assert make_world_model_planner('cem', model, settings, device='cpu') is not None
    settings = planning_config('cem', optimizer={'horizon': 4})
    with pytest.raises(InvalidParameterError, match='at most 3'):
        make_world_model_planner('cem', model, settings, device='cpu')
