# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Architecture of the tabletop world model; stored in the model card beside the weights."""

from __future__ import annotations

from dataclasses import dataclass

from wm_planner.core.config import parameter, validate


@dataclass(frozen=True, kw_only=True)
class TabletopModelConfig:
    """Sizes of the encoder and the predictor."""

    image_size: int = parameter(64, 'side of the square network input [px]', low=32, high=256)
    channels: int = parameter(48, 'channels of the first convolution', low=8, high=256)
    hidden: int = parameter(512, 'width between the feature map and the latent', low=32, high=4096)
    latent_size: int = parameter(32, 'D, width of the latent', low=4, high=1024)
    predictor_width: int = parameter(256, 'width of the predictor', low=16, high=4096)
    predictor_blocks: int = parameter(3, 'residual blocks of the predictor', low=1, high=32)
    readouts: int = parameter(5, 'robot-state values read out in training', low=0, high=64)
    actions: int = parameter(5, 'A, size of an action', low=1, high=16)

    def __post_init__(self) -> None:
        validate(self)
