# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""PointMassWorldModel: a world model that is exact, so that planning can be tested and taught.

The world is a tool that goes where it is told inside a box. Its pictures are three dots, one a
colour channel, and the encoder reads the dots' centres back: the whole way from picture to action
is gone, only nothing in it is learned and the optimum is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wm_planner.core.config import parameter, validate
from wm_planner.core.errors import InvalidImageError, InvalidParameterError
from wm_planner.core.geometry import Array
from wm_planner.core.types import ActionKind, ActionSpec, Goal, Image, Observation, check_image

PLANNING_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    'cem': {'num_samples': 128, 'num_elites': 16, 'num_iterations': 4, 'horizon': 2},
    'objective': {'name': 'mse', 'step_weight': 0.5},
}

_LATENT_SIZE = 6
_NEAR_M = 0.02  # a tool this near the goal counts as there
_BACKGROUND = 20
_DOT = 220
_DOT_RADIUS_PX = 2.0
_MARGIN_PX = 8.0  # room for a whole dot at the edge of the box
_DOT_WEIGHT = (_DOT - _BACKGROUND) * 2.0 * math.pi * _DOT_RADIUS_PX**2  # summed over the pixels


@dataclass(frozen=True, kw_only=True)
class PointMassConfig:
    """The box, the steps and the pictures of the point-mass world."""

    low_m: tuple[float, ...] = parameter((0.28, -0.45, 0.0), 'lower corner of the box [m]')
    high_m: tuple[float, ...] = parameter((0.80, 0.45, 0.70), 'upper corner of the box [m]')
    max_delta_m: float = parameter(0.06, 'largest delta on each axis [m]', low=0.001, high=0.5)
    max_delta_yaw_rad: float = parameter(0.35, 'largest yaw delta [rad]', low=0.001, high=3.0)
    step_duration_s: float = parameter(0.25, 'time a step takes [s]', low=0.01, high=10.0)
    context_frames: int = parameter(1, 'frames an observation must hold', low=1, high=8)
    image_size: int = parameter(128, 'side of the pictures [px]', low=32, high=1024)
    length_scale_m: float = parameter(
        0.1, 'distance that moves the latent by one unit [m]', low=0.001, high=10.0
    )
    yaw_weight: float = parameter(0.3, 'latent units of a yaw of 1 rad', low=0.0, high=10.0)
    gripper_weight: float = parameter(0.3, 'latent units from open to closed', low=0.0, high=10.0)

    def __post_init__(self) -> None:
        validate(self)
        low, high = np.asarray(self.low_m), np.asarray(self.high_m)
        if low.shape != (3,) or high.shape != (3,) or not np.all(low < high):
            raise InvalidParameterError(
                f'box {self.low_m} .. {self.high_m}; valid: three numbers each, low < high.'
            )


class PointMassRenderer:
    """Draws the point-mass world and reads it back; numpy only, stateless, any thread.

    Red is the top view (columns = y, rows = x), green the side view (columns = y, rows = z), blue a
    gauge (columns = yaw in [-pi, pi], rows = gripper closedness). Dots are soft, so that their
    centres, and with them the position, can be read to a small fraction of a pixel.
    """

    def __init__(self, config: PointMassConfig) -> None:
        self._size = config.image_size
        self._low = np.array([*config.low_m, -math.pi, 0.0])
        self._high = np.array([*config.high_m, math.pi, 1.0])
        self._axis = np.arange(self._size, dtype=np.float64)

    def draw(
        self, position_m: npt.ArrayLike, *, yaw_rad: float = 0.0, gripper_closedness: float = 0.0
    ) -> Image:
        """Return the picture uint8 [S, S, 3] of a tool; outside the box it is drawn at the edge."""
        values = np.array([*np.asarray(position_m, float), yaw_rad, gripper_closedness])
        share = (np.clip(values, self._low, self._high) - self._low) / (self._high - self._low)
        x, y, z, yaw, gripper = _MARGIN_PX + share * (self._size - 1 - 2 * _MARGIN_PX)
        dots = [self._dot(x, y), self._dot(z, y), self._dot(gripper, yaw)]
        picture = np.stack(dots, axis=-1) * (_DOT - _BACKGROUND) + _BACKGROUND
        return np.round(picture).astype(np.uint8)

    def read(self, image: Image) -> Array:
        """Return [x, y, z (m), yaw (rad), closedness] of a picture that ``draw`` made.

        Raises InvalidImageError for another size or a channel without a dot.
        """
        if image.shape != (self._size, self._size, 3):
            raise InvalidImageError(
                f'image has shape {image.shape}; valid: ({self._size}, {self._size}, 3) as the '
                'point-mass world draws it.'
            )
        centres = [self._centre(image[:, :, channel], channel) for channel in range(3)]
        (x, y_top), (z, y_side), (gripper, yaw) = centres
        pixels = np.array([x, (y_top + y_side) / 2.0, z, yaw, gripper])
        share = (pixels - _MARGIN_PX) / (self._size - 1 - 2 * _MARGIN_PX)
        values: Array = self._low + share * (self._high - self._low)
        return values

    def _dot(self, row: float, column: float) -> Array:
        rows = np.exp(-0.5 * ((self._axis - row) / _DOT_RADIUS_PX) ** 2)
        columns = np.exp(-0.5 * ((self._axis - column) / _DOT_RADIUS_PX) ** 2)
        return np.outer(rows, columns)

    def _centre(self, channel_image: npt.NDArray[np.uint8], channel: int) -> tuple[float, float]:
        weights = np.maximum(channel_image.astype(np.float64) - _BACKGROUND, 0.0)
        total = float(weights.sum())
        if not 0.5 * _DOT_WEIGHT < total < 1.5 * _DOT_WEIGHT:
            colour = ('red', 'green', 'blue')[channel]
            raise InvalidImageError(
                f'image does not have one {colour} dot; valid: a picture of the point-mass world.'
            )
        row = float(weights.sum(axis=1) @ self._axis) / total
        column = float(weights.sum(axis=0) @ self._axis) / total
        return row, column


class PointMassWorldModel:
    """The WorldModel protocol on a tool that moves as told, inside a box.

    Actions dx, dy, dz [m] and dyaw [rad] add to the pose, gripper sets the closedness. The latent
    [N = 1, D = 6] is position over ``length_scale_m``, weighted cosine and sine of yaw, weighted
    closedness; so for one step the best action is the clamped difference to the goal.
    """

    def __init__(self, config: PointMassConfig, *, device: torch.device | str) -> None:
        self._config = config
        self._device = torch.device(device)
        self._renderer = PointMassRenderer(config)
        self._low = self._tensor(config.low_m)
        self._high = self._tensor(config.high_m)
        reach = (config.max_delta_m,) * 3 + (config.max_delta_yaw_rad,)
        self._action_spec = ActionSpec(
            low=np.array([*(-r for r in reach), 0.0]),
            high=np.array([*reach, 1.0]),
            names=tuple(
                kind.value
                for kind in (
                    ActionKind.DX,
                    ActionKind.DY,
                    ActionKind.DZ,
                    ActionKind.DYAW,
                    ActionKind.GRIPPER,
                )
            ),
            step_duration_s=config.step_duration_s,
        )

    @property
    def renderer(self) -> PointMassRenderer:
        """Return what draws the pictures this model understands."""
        return self._renderer

    @property
    def action_spec(self) -> ActionSpec:
        """Return base-frame deltas dx, dy, dz [m], dyaw [rad] and absolute gripper closedness."""
        return self._action_spec

    @property
    def context_frames(self) -> int:
        """Return the number of frames an observation must hold; only the newest is looked at."""
        return self._config.context_frames

    @property
    def goal_tolerance(self) -> float:
        """Return the mean squared latent difference of a tool 2 cm from the goal."""
        return (_NEAR_M / self._config.length_scale_m) ** 2 / _LATENT_SIZE

    def encode(self, observation: Observation) -> Tensor:
        """Return the tool [5] read from the newest frame: x, y, z [m], yaw [rad], closedness."""
        return self._tensor(self._renderer.read(observation.images[-1]))

    def current(self, state: Tensor) -> Tensor:
        """Return the latent [1, D] of the newest frame."""
        return self._latent(state).unsqueeze(0)

    def encode_goal(self, goal: Goal) -> Tensor:
        """Return the goal latent [1, D]. Raises InvalidImageError for another kind of picture."""
        image = check_image(goal.image, f'goal {goal.goal_id!r} image')
        return self._latent(self._tensor(self._renderer.read(image))).unsqueeze(0)

    def rollout(self, state: Tensor, actions: Tensor) -> Tensor:
        """Return predicted latents [S, H, 1, D] under ``actions`` [S, H, A]."""
        position = state[:3].expand(actions.shape[0], 3)  # [S, 3]
        yaw = state[3] + actions[:, :, 3].cumsum(dim=1)  # [S, H]
        positions = []
        for step in range(actions.shape[1]):  # the box holds after every step: no cumulative sum
            position = torch.minimum(
                torch.maximum(position + actions[:, step, :3], self._low), self._high
            )
            positions.append(position)
        tool = torch.cat(
            [torch.stack(positions, dim=1), yaw.unsqueeze(-1), actions[:, :, 4:5]], dim=-1
        )
        return self._latent(tool).unsqueeze(2)

    def _latent(self, tool: Tensor) -> Tensor:
        """Return latents [..., D] of tools [..., 5]."""
        config = self._config
        return torch.cat(
            [
                tool[..., :3] / config.length_scale_m,
                config.yaw_weight * torch.cos(tool[..., 3:4]),
                config.yaw_weight * torch.sin(tool[..., 3:4]),
                config.gripper_weight * tool[..., 4:5],
            ],
            dim=-1,
        )

    def _tensor(self, values: npt.ArrayLike) -> Tensor:
        return torch.tensor(np.asarray(values), dtype=torch.float32, device=self._device)
