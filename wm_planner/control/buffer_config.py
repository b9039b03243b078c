# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""FrameBufferConfig: how much of frames and states is kept, and how old they may be."""

from __future__ import annotations

from dataclasses import dataclass

from wm_planner.core.config import parameter, validate
from wm_planner.core.errors import InvalidParameterError


@dataclass(frozen=True, kw_only=True)
class FrameBufferConfig:
    """How much is kept, and how old or uneven it may be. Ages are on the ROS clock."""

    capacity_frames: int = parameter(
        8, 'frames kept, counted one step interval apart', low=1, high=64, read_only=True
    )
    step_interval_s: float = parameter(
        0.25,
        "time between the frames of an observation [s]: the world model's step",
        low=0.01,
        high=10.0,
        read_only=True,
    )
    interval_tolerance_s: float = parameter(
        0.06, 'how far from its place a context frame may be [s]', low=0.001, high=5.0
    )
    max_image_age_s: float = parameter(0.6, 'age at which frames are stale [s]', low=0.01)
    max_state_age_s: float = parameter(0.3, 'age at which robot states are stale [s]', low=0.01)
    max_state_skew_s: float = parameter(
        0.1, 'how far in time the state of a frame may be from it [s]', low=0.001
    )
    max_future_s: float = parameter(
        0.2, 'how far ahead of the clock a stamp may be [s]', low=0.0, high=10.0
    )
    clock_jump_s: float = parameter(
        0.2, 'backward step of the clock that counts as a jump [s]', low=0.001, high=60.0
    )
    clock_forward_s: float = parameter(
        2.0,
        'forward step of the clock that counts as a jump [s], beyond 20 times the wall time '
        'between two looks at it: simulated time may be fast',
        low=0.2,
        high=3600.0,
    )
    stream_timeout_s: float = parameter(
        0.75,
        'wall time without an arrival after which a stream is stale even though the ROS clock '
        'stands still, as it does when a simulator was killed [s]',
        low=0.05,
        high=60.0,
    )

    trust_again_s: float = parameter(
        0.25,
        'wall time for which a stream must be good until it is believed again [s]',
        low=0.0,
        high=10.0,
    )

    def __post_init__(self) -> None:
        validate(self)
        if not self.interval_tolerance_s < self.step_interval_s / 2.0:
            raise InvalidParameterError(
                f'interval_tolerance_s is {self.interval_tolerance_s:g}; valid: less than half of '
                f'step_interval_s = {self.step_interval_s:g}, so that no frame serves two places.'
            )
