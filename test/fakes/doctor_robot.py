# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""A robot whose camera shows a textured scene with a tool in it, and that can be broken at will."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from fakes.loopback_robot import LoopbackRobot
from wm_planner.core.types import Image

SIDE_PX = 128
START_M = np.array([0.48, 0.0, 0.18])


def scene_picture(position_m: Any, *, noise: int = 0) -> Image:
    """Return an upright picture [128, 128, 3]: the camera looks toward the base from in front.

    The base's y is to the right, x (away from the base) comes nearer and so goes down, z is up.
    ``noise`` seeds the sensor's noise.
    """
    background = _smooth(np.random.default_rng(7), 12) * 0.5 + _smooth(
        np.random.default_rng(8), 40
    ) * np.array([0.5, 0.35, 0.2])
    picture = 40.0 + 130.0 * background
    x, y, z = np.asarray(position_m, float) - START_M
    column = 64 + 260.0 * y
    row = 70 + 120.0 * x - 260.0 * z
    tool = cv2.resize(
        np.random.default_rng(9).uniform(0, 255, (5, 5, 3)), (26, 26), interpolation=cv2.INTER_CUBIC
    )
    shift = np.float32([[1, 0, column - 13], [0, 1, row - 13]])
    size = (SIDE_PX, SIDE_PX)
    layer = cv2.warpAffine(tool, shift, size)
    mask = cv2.warpAffine(np.ones((26, 26)), shift, size)[..., None]
    picture = picture * (1.0 - mask) + layer * mask
    grain = np.random.default_rng(noise).normal(0.0, 1.5, picture.shape)
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


def _smooth(rng: np.random.Generator, cells: int) -> np.ndarray:
    coarse = rng.uniform(0.0, 1.0, (cells, cells, 3))
    return cv2.resize(coarse, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC)


class DoctorRobot(LoopbackRobot):
    """A LoopbackRobot before a camera that has noise; ``gripper_is_reversed`` breaks its driver."""

    def __init__(self, context: Any, **node_arguments: Any) -> None:
        self._shots = 0
        self.gripper_is_reversed = False
        super().__init__(context, **node_arguments)
        self.position_m = START_M.copy()

    def picture(self, position_m: Any, closedness: float = 0.0) -> Image:
        """Return what the camera shows; no two pictures are equal to the last bit."""
        self._shots += 1
        return scene_picture(position_m, noise=self._shots)

    def _grip(self, message: Any) -> None:
        super()._grip(message)
        if self.gripper_is_reversed:
            self.closedness = 1.0 - self.closedness
