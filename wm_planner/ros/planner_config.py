# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The parameters of the planner node: its own, those of control, and of what plans by name."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, is_dataclass, replace
import os
from typing import Any

from wm_planner.control.controller import ControllerConfig
from wm_planner.control.executor import ExecutorConfig
from wm_planner.control.frame_buffer import FrameBufferConfig
from wm_planner.control.plausibility import PlausibilityConfig
from wm_planner.control.safety import SafetyConfig
from wm_planner.core.calibration import check_camera
from wm_planner.core.config import HIDDEN, hide_secrets, parameter, validate
from wm_planner.core.paths import robot_profile_file
from wm_planner.core.profile import RobotProfile
from wm_planner.core.protocols import Planner
from wm_planner.factory import (
    PlannerSettings,
    check_names,
    make_planner,
    resolve_planning_config,
)
from wm_planner.imagination.imaginer import ImaginationConfig
from wm_planner.models.registry import MODELS
from wm_planner.planning.presets import PRESETS
from wm_planner.policies.registry import POLICIES
from wm_planner.ros.landscape_service import LandscapeServiceConfig
from wm_planner.ros.parameters import NodeParameters

PROFILE_PREFIX = 'profile'
OBJECTIVE_PREFIX = 'objective'
PLANNING_PREFIX = 'planning'
MODEL_PREFIX = 'world_model'


@dataclass(frozen=True, kw_only=True)
class PlannerNodeConfig:
    """What the planner node itself has, and the groups of control."""

    robot: str = parameter(
        'panda_sim', 'robot profile: a name in config/robots, or a .yaml file', read_only=True
    )
    planner: str = parameter('cem', 'optimizer or policy that decides the actions')
    preset: str = parameter(
        '', f'named set of planning settings: {", ".join(PRESETS)}; empty: those of the model'
    )
    model: str = parameter('tabletop', 'world model to plan with')
    device: str = parameter(
        'auto', 'torch device, e.g. cpu or cuda; auto = a GPU where there is one'
    )
    num_threads: int = parameter(
        0,
        'CPU threads of the planner; 0 = all cores but one, so that control keeps its rate',
        low=0,
    )
    seed: int = parameter(0, 'seed of the planner, unless planning.seed says other', low=0)
    control_rate_hz: float = parameter(
        50.0,
        'rate of control ticks and repeated commands [Hz]',
        low=1.0,
        high=500.0,
        read_only=True,
    )
    enable_at_start: bool = parameter(False, 'allow motion without a call of ~/enable')
    autostart: bool = parameter(True, 'configure and activate without being told', read_only=True)
    dry_run: bool = parameter(
        False, 'send nothing to the arm; what would be sent is on ~/dry_run/...'
    )
    goals_dir: str = parameter('goals', 'folder that ~/capture_goal writes to')
    load_timeout_s: float = parameter(
        600.0, 'how long loading the model may take [s]', low=1.0, high=7200.0
    )
    stop_timeout_s: float = parameter(
        3.0, 'how long a running plan may take to end at shutdown [s]', low=0.1, high=60.0
    )
    buffer: FrameBufferConfig = field(default_factory=FrameBufferConfig)
    plausibility: PlausibilityConfig = field(default_factory=PlausibilityConfig)
    safety: SafetyConfig = field(default_factory=SafetyConfig)
    executor: ExecutorConfig = field(default_factory=ExecutorConfig)
    controller: ControllerConfig = field(default_factory=ControllerConfig)
    imagination: ImaginationConfig = field(default_factory=ImaginationConfig)
    landscape: LandscapeServiceConfig = field(default_factory=LandscapeServiceConfig)

    def __post_init__(self) -> None:
        validate(self)


class PlannerParameters:
    """Declares all parameters of the planner node and reads them back.

    The groups of the optimizer (named as it is, e.g. ``cem``), the objective, the planner
    (``planning``) and the model (``world_model``) depend on the names chosen, and their defaults
    are those of the preset, then the model's own. Thread: the executor's, or the main thread before
    it spins.
    """

    def __init__(self, parameters: NodeParameters) -> None:
        self._parameters = parameters
        self._groups: dict[str, Any] = {}
        self._declared_for: tuple[str, str, str] | None = None
        self._node_config = parameters.declare(PlannerNodeConfig())
        self._profile = RobotProfile.from_yaml(robot_profile_file(self._node_config.robot))
        parameters.declare(self._profile, PROFILE_PREFIX)

    def declare_groups(self) -> None:
        """Declare the groups of the planner, the preset and the model in force.

        Raises UnknownNameError for any of the names and InvalidParameterError for values given
        under names that nobody declares.
        """
        config = self.node_config()
        chosen = (config.planner, config.model, config.preset)
        if chosen == self._declared_for:
            return
        groups = _default_groups(*chosen, seed=config.seed)
        for prefix in self._groups:
            self._parameters.undeclare(prefix)
        self._groups, self._declared_for = groups, chosen
        for prefix, group in groups.items():
            self._parameters.declare(group, prefix)
        self._parameters.refuse_unknown()

    def node_config(self) -> PlannerNodeConfig:
        """Return the node's own parameters and those of control."""
        return self._parameters.read(self._node_config)

    def buffer_config(self, step_interval_s: float) -> FrameBufferConfig:
        """Return the frame buffer's parameters, its interval the planner's unless one was given.

        The tolerance shrinks with the interval of a planner of short steps, unless it was given.
        """
        config = self.node_config().buffer
        if self._parameters.was_given('buffer.step_interval_s'):
            return config
        tolerance_s = config.interval_tolerance_s
        if not self._parameters.was_given('buffer.interval_tolerance_s'):
            tolerance_s = min(tolerance_s, 0.4 * step_interval_s)
        return replace(config, step_interval_s=step_interval_s, interval_tolerance_s=tolerance_s)

    def profile(self) -> RobotProfile:
        """Return the robot profile with the values of ``profile.*``."""
        return self._parameters.read(self._profile, PROFILE_PREFIX)

    def description(self) -> dict[str, Any]:
        """Return what a replay needs to plan as this node does, as plain values."""
        config, settings = self.node_config(), self.settings()
        groups = {
            config.planner: settings.optimizer,
            OBJECTIVE_PREFIX: settings.objective,
            PLANNING_PREFIX: settings.planner,
            MODEL_PREFIX: settings.model,
        }
        return {
            'planner': config.planner,
            'model': config.model,
            'preset': config.preset,
            'robot': config.robot,
            'device': device_of(config),
            'num_threads': threads_of(config),
            'calibration': asdict(settings.calibration),
            'values': {
                f'{prefix}.{name}': value
                for prefix, values in groups.items()
                if prefix in self._groups
                for name, value in hide_secrets(self._groups[prefix], values).items()
                if value != HIDDEN  # a replay takes it from the environment
            },
        }

    def settings(self) -> PlannerSettings:
        """Return what the factory makes the planner from.

        Raises CalibrationMismatchError for the calibration of another camera.
        """
        values = {
            prefix: asdict(self._parameters.read(group, prefix))
            for prefix, group in self._groups.items()
        }
        profile = self.profile()
        check_camera(profile.calibration, profile.topics.image)
        return PlannerSettings(
            preset=self.node_config().preset,
            model=values.get(MODEL_PREFIX, {}),
            optimizer=values.get(self.node_config().planner, {}),
            objective=values.get(OBJECTIVE_PREFIX, {}),
            planner=values.get(PLANNING_PREFIX, {}),
            calibration=profile.calibration,
        )


def default_parameters() -> dict[str, Any]:
    """Return the config instances of all groups by prefix ('' = the node's own), for the README."""
    config = PlannerNodeConfig()
    profile = RobotProfile.from_yaml(robot_profile_file(config.robot))
    groups = _default_groups(config.planner, config.model, config.preset, seed=config.seed)
    return {'': config, PROFILE_PREFIX: profile, **groups}


def load_planner(config: PlannerNodeConfig, settings: PlannerSettings) -> Planner:
    """Return the planner; runs on the planning thread, which is to be its only user."""
    import torch

    torch.set_num_threads(threads_of(config))
    return make_planner(config.planner, config.model, settings, device=device_of(config))


def threads_of(config: PlannerNodeConfig) -> int:
    """Return how many CPU threads the planner uses."""
    return config.num_threads or max(1, (os.cpu_count() or 1) - 1)


def device_of(config: PlannerNodeConfig) -> str:
    """Return the torch device that the planner uses."""
    import torch

    if config.device != 'auto':
        return config.device
    return 'cuda' if torch.cuda.is_available() else 'cpu'


def _default_groups(planner: str, model: str, preset: str, *, seed: int) -> dict[str, Any]:
    check_names(planner, preset)
    groups = {MODEL_PREFIX: MODELS.get(model).config_class()}
    if planner in POLICIES.names():
        groups[PLANNING_PREFIX] = POLICIES.get(planner).config_class()
    else:
        config = resolve_planning_config(planner, model, PlannerSettings(preset=preset))
        groups[planner] = config.optimizer
        groups[OBJECTIVE_PREFIX] = config.objective
        groups[PLANNING_PREFIX] = config.planner
    planning = groups[PLANNING_PREFIX]
    if is_dataclass(planning) and hasattr(planning, 'seed') and not isinstance(planning, type):
        groups[PLANNING_PREFIX] = replace(planning, seed=seed)
    return groups
