# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""From names and plain settings to a Planner: where planning, models and policies meet.

Those rooms never import each other; whoever needs a planner by name (the node, the command line,
an evaluation) calls ``make_planner`` here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
import time
from typing import Any

from wm_planner.core.calibration import CameraCalibration
from wm_planner.core.errors import InvalidParameterError, UnknownNameError
from wm_planner.core.protocols import Planner
from wm_planner.core.types import ActionSpec
from wm_planner.models.registry import MODELS, load_model
from wm_planner.planning.presets import NO_PRESET, preset_settings
from wm_planner.planning.registry import (
    OPTIMIZERS,
    PlanningConfig,
    make_world_model_planner,
    planning_config,
)
from wm_planner.policies.registry import POLICIES, make_policy

Settings = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class PlannerSettings:
    """What a user sets, as plain values.

    What is not set comes from the preset, then the model's defaults, then the dataclasses.
    """

    preset: str = NO_PRESET  # a name of planning.presets

    model: Settings = field(default_factory=dict)  # of the model's config class
    optimizer: Settings = field(default_factory=dict)  # of the optimizer's, e.g. CemConfig
    objective: Settings = field(default_factory=dict)  # ObjectiveConfig
    planner: Settings = field(default_factory=dict)  # PlannerConfig; of the policy's for policies

    calibration: CameraCalibration = field(default_factory=CameraCalibration)  # the robot's


def planner_names() -> tuple[str, ...]:
    """Return the names ``make_planner`` knows: optimizers and policies."""
    return tuple(sorted({*OPTIMIZERS.names(), *POLICIES.names()}))


def model_names() -> tuple[str, ...]:
    """Return the names of the world models."""
    return MODELS.names()


def check_names(planner_name: str, preset: str) -> None:
    """Raise UnknownNameError for either name, InvalidParameterError if they do not go together."""
    if planner_name not in planner_names():
        raise UnknownNameError.among('planner', planner_name, planner_names())
    preset_settings(preset)
    if preset and planner_name in POLICIES.names():
        raise InvalidParameterError(
            f'preset is {preset!r}, but {planner_name!r} is a policy, which searches nothing; '
            f'valid: no preset, or a planner among {", ".join(OPTIMIZERS.names())}.'
        )


def resolve_planning_config(
    planner_name: str, model_name: str, settings: PlannerSettings | None = None
) -> PlanningConfig:
    """Return the settings an optimizer and its planner would run with on a model.

    Nothing is loaded, so this serves to list parameters too. Raises UnknownNameError and
    InvalidParameterError.
    """
    given = settings or PlannerSettings()
    return planning_config(
        planner_name,
        defaults=MODELS.get(model_name).planning_defaults,
        preset=given.preset,
        optimizer=given.optimizer,
        objective=given.objective,
        planner=given.planner,
    )


def make_planner(
    planner_name: str,
    model_name: str,
    settings: PlannerSettings | None = None,
    *,
    device: Any,
    action_spec: ActionSpec | None = None,
    monotonic_ns: Callable[[], int] = time.monotonic_ns,
) -> Planner:
    """Return a planner or policy by name, made on the calling thread, which is to be its only user.

    A policy without actions of its own acts in ``action_spec`` where one is given, e.g. by an
    environment, and else in that of the world model, which is loaded just for it. Plans of a world
    model are in base_frame, turned by the camera calibration. Raises UnknownNameError,
    InvalidParameterError, ModelLoadError, ChecksumError, or CalibrationMismatchError for a
    calibration of another model.
    """
    given = settings or PlannerSettings()
    check_names(planner_name, given.preset)
    if planner_name in POLICIES.names():

        def model_spec() -> ActionSpec:
            return load_model(model_name, given.model, device=device).action_spec

        own = action_spec
        return make_policy(
            planner_name, given.planner, action_spec=lambda: own if own else model_spec()
        )
    config = resolve_planning_config(planner_name, model_name, given)
    given.calibration.check_fits(model_name, str(given.model.get('weights', '')))
    model = load_model(model_name, given.model, device=device)
    return make_world_model_planner(
        planner_name,
        model,
        config,
        device=device,
        axes_xyzw=given.calibration.quaternion_xyzw,
        monotonic_ns=monotonic_ns,
    )
