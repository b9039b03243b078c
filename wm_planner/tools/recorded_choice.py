# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What to plan with beside a recording: what was recorded, changed by what is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wm_planner.core.calibration import CameraCalibration
from wm_planner.core.config import from_mapping, hide_secrets
from wm_planner.core.errors import InvalidParameterError
from wm_planner.core.profile import RobotProfile
from wm_planner.core.protocols import Planner
from wm_planner.factory import PlannerSettings, make_planner
from wm_planner.policies.registry import POLICIES


@dataclass(frozen=True, kw_only=True)
class RecordedChoice:
    """A planner by name with all that it is made from; ``values`` as ``--set`` takes them."""

    planner: str
    model: str
    preset: str
    device: str
    values: dict[str, Any]
    settings: PlannerSettings
    recorded_seed: int = 0

    def make(self) -> Planner:
        """Return the planner, made on the calling thread."""
        return make_planner(self.planner, self.model, self.settings, device=self.device)

    @property
    def shown_values(self) -> dict[str, Any]:
        """Return the values for a report: secrets are hidden."""
        if self.planner not in POLICIES.names():
            return dict(self.values)
        shown = hide_secrets(POLICIES.get(self.planner).config_class, self.settings.planner)
        return {**self.values, **{f'planning.{name}': value for name, value in shown.items()}}

    @property
    def seed(self) -> int:
        """Return the seed of its draws: the recorded one, also of another planner or model."""
        return int(self.values.get('planning.seed', self.recorded_seed))


def choose(
    recorded: Mapping[str, Any],
    profile: RobotProfile,
    values: Mapping[str, Any],
    *,
    planner: str = '',
    model: str = '',
    preset: str = '',
    device: str = '',
) -> RecordedChoice:
    """Return what to plan with; '' = as in ``recorded`` (~/planner_settings; {} = nothing known).

    Recorded values hold for the recorded planner and model alone, and so does the recorded camera
    calibration, which else is the one of ``profile``. Raises InvalidParameterError for a value of
    no group.
    """
    names = {
        'planner': planner or str(recorded.get('planner', 'cem')),
        'model': model or str(recorded.get('model', 'tabletop')),
    }
    is_same = bool(recorded) and all(names[key] == recorded[key] for key in names)
    groups = {names['planner']: 'optimizer', 'objective': 'objective', 'planning': 'planner'}
    groups['world_model'] = 'model'
    all_values = {**(recorded['values'] if is_same and not preset else {}), **values}
    sorted_values: dict[str, dict[str, Any]] = {}
    for name, value in all_values.items():
        group, _, key = name.partition('.')
        if group not in groups:
            raise InvalidParameterError(
                f'--set {name}; valid: NAME=VALUE with a NAME in {", ".join(sorted(groups))}.'
            )
        sorted_values.setdefault(groups[group], {})[key] = value
    is_recorded = is_same and 'calibration' in recorded
    return RecordedChoice(
        **names,
        preset=preset,
        recorded_seed=int(recorded['values'].get('planning.seed', 0)) if recorded else 0,
        device=device or str(recorded.get('device', 'cpu')),
        values=all_values,
        settings=PlannerSettings(
            preset=preset,
            calibration=(
                from_mapping(CameraCalibration, recorded['calibration'], where='calibration')
                if is_recorded
                else profile.calibration
            ),
            **sorted_values,
        ),
    )
