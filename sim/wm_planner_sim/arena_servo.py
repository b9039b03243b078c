# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""From an absolute tool target to the inputs of the engine's delta controller, at 20 Hz."""

from __future__ import annotations

import numpy as np

from wm_planner.core.errors import SimulatorError
from wm_planner.core.geometry import Array, rotation_between
from wm_planner.core.types import ArmCommand, RobotState
from wm_planner_sim.arena_config import ArenaConfig
from wm_planner_sim.conventions import (
    GRIPPER_OPEN,
    gripper_direction,
    osc_input,
)


class ArenaServo:
    """Keeps an absolute target and asks the controller for what is left of it. Not thread-safe.

    The engine's controller takes displacements from where the tool *is* and delivers a quarter of
    one in a step, so that adding displacements up would fall short; a target does not.
    """

    def __init__(self, config: ArenaConfig) -> None:
        self._config = config
        self._gripper = GRIPPER_OPEN
        self._target: ArmCommand | None = None

    @property
    def target(self) -> ArmCommand | None:
        """Return the target, None before the first."""
        return self._target

    def reset(self) -> None:
        """Forget target and gripper direction: an episode begins, with the gripper opening."""
        self._target, self._gripper = None, GRIPPER_OPEN

    def set_target(self, command: ArmCommand) -> None:
        """Take a target, kept until replaced; raises SimulatorError for non-finite numbers."""
        numbers = [*command.position_m, *command.quaternion_xyzw, command.gripper_closedness]
        if not np.all(np.isfinite(numbers)):
            raise SimulatorError('target holds NaN or infinity; valid: finite numbers.')
        self._target = command

    def action(self, state: RobotState, *, is_exact: bool = False) -> Array:
        """Return the engine's input [7] for one control step from ``state``.

        ``is_exact`` asks for the displacement itself, at gain 1 and without a tolerance: what a
        policy that commands every control step was trained with.
        """
        target = self._target
        if target is None:
            return np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, self._gripper])
        config = self._config
        self._gripper = gripper_direction(
            target.gripper_closedness,
            state.gripper_closedness,
            self._gripper,
            config.gripper_deadband,
        )
        motion = osc_input(
            target.position_m - state.position_m,
            rotation_between(state.quaternion_xyzw, target.quaternion_xyzw),
            gain=1.0 if is_exact else config.servo_gain,
            tolerance_m=0.0 if is_exact else config.servo_tolerance_m,
            tolerance_rad=0.0 if is_exact else config.servo_tolerance_rad,
        )
        return np.append(motion, self._gripper)
