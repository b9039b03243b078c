# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""ShootingEnergy: a world model and an objective, composed into an energy of actions."""

from __future__ import annotations

from collections.abc import Callable
import logging

import torch
from torch import Tensor

from wm_planner.core.errors import DeviceMemoryError
from wm_planner.core.protocols import LatentState, MemoryBound, Objective, WorldModel

_CPU_OUT_OF_MEMORY = ("can't allocate memory", 'not enough memory')  # a plain RuntimeError
_logger = logging.getLogger(__name__)


class ChunkSize:
    """How many sequences are rolled out at once: at most ``limit`` (0 = all).

    Fewer where that proved too many for the device. Lives as long as the planner, so that it is
    learned once.
    """

    def __init__(self, limit: int = 0) -> None:
        self._limit = limit

    def of(self, samples: int) -> int:
        """Return how many of ``samples`` sequences to roll out at once."""
        return min(samples, self._limit) if self._limit else samples

    def halve(self, samples: int, horizon: int) -> None:
        """Remember that ``samples`` were too many; raises DeviceMemoryError where they were one."""
        if samples == 1:
            raise DeviceMemoryError(
                f'the device has no memory for one sequence of {horizon} steps; valid: a shorter '
                'horizon, a smaller world model or precision, or a device with more free memory.'
            )
        self._limit = samples // 2


class ShootingEnergy:
    """``energy(actions[S, H, A]) -> [S]``: roll the model out, compare with the goal.

    Sequences are rolled out in chunks of what ``chunk_size`` and the model's own
    ``samples_that_fit`` allow; out of memory, a chunk is halved and tried again. The samples of a
    batch do not see each other, so chunking changes nothing but floating-point rounding inside the
    model's own kernels.

    ``goes_on`` hears after each chunk how many sequences it had and says whether to go on; if not,
    the energies so far are returned. At least one chunk is scored in each call.
    """

    def __init__(
        self,
        model: WorldModel,
        objective: Objective,
        *,
        state: LatentState,
        goal_latent: Tensor,
        chunk_size: ChunkSize | None = None,
        goes_on: Callable[[int], bool] = lambda samples: True,
    ) -> None:
        self._model = model
        self._objective = objective
        self._state = state
        self._goal_latent = goal_latent
        self._chunk_size = chunk_size or ChunkSize()
        self._goes_on = goes_on
        self._fits: int | None = None  # what the model says, asked once
        self.first_energies: Tensor | None = None  # [S'] of the first candidates
        self._single: tuple[Tensor, Tensor] | None = None  # the last lone sequence, as predicted

    def __call__(self, actions: Tensor) -> Tensor:
        """Return energies [S'] of the first S' <= S of ``actions`` [S, H, A]."""
        scored, done = [], 0
        while done < actions.shape[0]:
            energies = self._score_chunk(actions[done:])
            scored.append(energies)
            done += energies.shape[0]
            energies[-1].item()  # waits for the device: kernels run on after their launch returns
            if not self._goes_on(energies.shape[0]):
                break
        found = torch.cat(scored)
        if self.first_energies is None:
            self.first_energies = found
        return found

    def predicted(self, actions: Tensor) -> Tensor:
        """Return what the model predicts [H, N, D] under ``actions`` [H, A].

        No rollout is needed where that sequence was the last to be scored alone, as the mean is
        that a search ends with.
        """
        if self._single is None or not torch.equal(self._single[0], actions):
            self._single = (actions, self._model.rollout(self._state, actions.unsqueeze(0))[0])
        return self._single[1]

    def _score_chunk(self, actions: Tensor) -> Tensor:
        """Return energies of as many of ``actions`` as can be rolled out at once."""
        refused = 0
        while True:
            left = actions.shape[0]
            largest = min(self._chunk_size.of(left), self._samples_that_fit(actions))
            size = -(-left // -(-left // largest))  # alike, rather than full ones and a remainder
            energies = self._try_score(actions[:size])
            if energies is not None:
                break
            refused = refused or size
            self._chunk_size.halve(size, actions.shape[1])
        if refused:
            _logger.warning(
                'out of device memory with %d sequences at once; %d at once from now on',
                refused,
                size,
            )
        return energies

    def _samples_that_fit(self, actions: Tensor) -> int:
        samples, horizon = actions.shape[:2]
        if not isinstance(self._model, MemoryBound):
            return samples
        if self._fits is None:
            self._fits = max(1, self._model.samples_that_fit(horizon))  # let one be tried
        return min(samples, self._fits)

    def _try_score(self, actions: Tensor) -> Tensor | None:
        """Return energies [S], or None when there is not enough memory, its remains freed."""
        try:
            predicted = self._model.rollout(self._state, actions)  # [S, H, N, D]
            if actions.shape[0] == 1:
                self._single = (actions[0], predicted[0])
            energies: Tensor = self._objective(predicted, self._goal_latent, actions)
            return energies
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
        # Only here, past the handler, has the traceback let go of the tensors of the failed chunk.
        if actions.is_cuda:
            torch.cuda.empty_cache()
        return None


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return any(words in str(error) for words in _CPU_OUT_OF_MEMORY)
