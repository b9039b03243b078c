# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What a plan carries beside its actions: what the model imagined, and what the search began with.

Tensors here are those of the planner's library, on its device, and not copied: whoever gets a plan
may read them from another thread, and nobody writes to them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wm_planner.core.errors import InvalidActionError
from wm_planner.core.types import Image, RobotState

Tensor = Any


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Imagination:
    """What the world model predicts under a plan, for people to look at; nothing plans with it.

    ``latents`` [H, N, D] after each step, ``now`` [N, D] of the newest frame, ``goal`` [N, D];
    ``distance(latent [..., N, D], goal [N, D]) -> [...]`` is the energy of one step. ``image`` and
    ``state`` are the newest frame and the robot state at it, ``goal_image`` is the goal's picture.
    """

    latents: Tensor
    now: Tensor
    goal: Tensor
    distance: Callable[[Tensor, Tensor], Tensor]
    image: Image
    goal_image: Image
    state: RobotState


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PlanStart:
    """What a plan was made from, beside frames and goal: with it the same plan can be made again.

    ``generator_state`` is the generator's before the draws, opaque. ``mean`` [H, A] and ``elites``
    [K, H, A], float32, are the warm start before it was shifted by ``executed_steps``; None where
    the search began cold. ``deadline_s`` is the wall time it was given, 0 = no limit. ``is_wide``:
    it searched wider than set (core.protocols.SearchesWider).
    """

    executed_steps: int
    deadline_s: float
    image_stamps_ns: tuple[int, ...]
    states: tuple[RobotState, ...]
    generator_state: bytes
    mean: npt.NDArray[np.float32] | None = None
    elites: npt.NDArray[np.float32] | None = None
    is_wide: bool = False

    def __post_init__(self) -> None:
        if (self.mean is None) != (self.elites is None):
            raise InvalidActionError('a warm start is a mean and elites; valid: both, or neither.')
        if self.mean is None or self.elites is None:
            return
        if self.mean.ndim != 2 or self.elites.shape[1:] != self.mean.shape:
            raise InvalidActionError(
                f'a warm start has a mean {self.mean.shape} and elites {self.elites.shape}; valid: '
                '[H, A] and [K, H, A].'
            )
