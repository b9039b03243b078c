# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Episode: what a collector returns and a dataset stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from wm_planner.core.errors import InvalidActionError
from wm_planner.core.types import ActionSpec, Image


@dataclass(frozen=True, kw_only=True)
class Episode:
    """L actions and the L + 1 moments around them.

    ``images`` uint8 [L+1, H, W, 3]; ``actions`` [L, A] in the collector's ActionSpec; ``readouts``
    [L+1, R] the robot's own state (training targets, never planner input); ``objects`` [L+1, O]
    positions of objects [m], for probes and optional supervision.
    """

    images: Image
    actions: npt.NDArray[np.float32]
    readouts: npt.NDArray[np.float32]
    objects: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        steps = self.actions.shape[0]
        for name in ('images', 'readouts', 'objects'):
            if getattr(self, name).shape[0] != steps + 1:
                raise InvalidActionError(
                    f'episode has {steps} actions and {getattr(self, name).shape[0]} {name}; '
                    f'valid: {steps + 1}.'
                )
        for name in ('actions', 'readouts', 'objects'):
            if not np.all(np.isfinite(getattr(self, name))):
                raise InvalidActionError(f'episode {name} hold NaN or infinity.')


class Collector(Protocol):
    """Makes episodes; registered under the entry-point group ``wm_planner.collectors``."""

    action_spec: ActionSpec
    readout_names: tuple[str, ...]
    object_names: tuple[str, ...]

    def collect(self, *, seed: int, episode: int, steps: int) -> Episode:
        """Return one episode; the arguments fix it."""

    def close(self) -> None:
        """Release the simulator."""
