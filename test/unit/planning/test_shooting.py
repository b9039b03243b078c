# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""ShootingEnergy: chunks, what the memory holds, and stopping in between."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import Tensor

from wm_planner.core.errors import DeviceMemoryError
from wm_planner.core.protocols import MemoryBound
from wm_planner.planning.objectives import ObjectiveConfig, make_objective
from wm_planner.planning.shooting import ChunkSize, ShootingEnergy

ACTIONS = torch.randn(100, 2, 3, generator=torch.Generator().manual_seed(0))  # [S, H, A]
CPU_WORDS = (
    "[enforce fail at alloc_cpu.cpp:125] err == 0. DefaultCPUAllocator: can't allocate memory: you "
    'tried to allocate 1234 bytes. Error code 12 (Cannot allocate memory)'
)


class SmallModel:
    """Latents are sums of actions; more than ``room`` sequences at once do not fit."""

    def __init__(self, room: int = 1000, error: Exception | None = None) -> None:
        self.room = room
        self.error = error or torch.OutOfMemoryError('CUDA out of memory.')
        self.tried: list[int] = []

    def rollout(self, state: Tensor, actions: Tensor) -> Tensor:
        self.tried.append(actions.shape[0])
        if actions.shape[0] > self.room:
            raise self.error
        return (state + actions.cumsum(dim=1)).unsqueeze(2)


class HonestModel(SmallModel):
    """Says how many fit."""

    def samples_that_fit(self, horizon: int) -> int:
        return self.room // horizon


def energy_of(model, *, chunk_size=None, **arguments) -> ShootingEnergy:
    return ShootingEnergy(
        model,
        make_objective(ObjectiveConfig(step_weight=0.5), horizon=2),
        state=torch.zeros(3),
        goal_latent=torch.ones(1, 3),
        chunk_size=chunk_size,
        **arguments,
    )


WHOLE = energy_of(SmallModel())(ACTIONS)


@pytest.mark.parametrize('limit', [0, 1, 7, 50, 100, 1000])
def test_energies_do_not_depend_on_the_chunk_size(limit) -> None:
    model = SmallModel()
    energies = energy_of(model, chunk_size=ChunkSize(limit))(ACTIONS)
    assert torch.equal(energies, WHOLE)
    assert max(model.tried) == (min(limit, 100) or 100)
    assert sum(model.tried) == 100


# what the memory holds --------------------------------------------------------------------------


@pytest.mark.parametrize('limit', [0, 10])
def test_chunks_are_no_larger_than_the_model_says_nor_than_the_limit(limit) -> None:
    model = HonestModel(room=30)
    assert isinstance(model, MemoryBound)
    energies = energy_of(model, chunk_size=ChunkSize(limit))(ACTIONS)
    assert torch.equal(energies, WHOLE)
    assert max(model.tried) == (limit or 15)


@pytest.mark.parametrize(
    'error', [torch.OutOfMemoryError('CUDA out of memory.'), RuntimeError(CPU_WORDS), MemoryError()]
)
def test_chunk_is_halved_until_it_fits_and_one_warning_says_so(error, caplog) -> None:
    model = SmallModel(room=13, error=error)
    with caplog.at_level(logging.WARNING):
        energies = energy_of(model)(ACTIONS)
    assert torch.equal(energies, WHOLE)
    assert model.tried == [100, 50, 25, 12, *[11] * 8]  # what is left is shared out evenly
    assert [record.getMessage() for record in caplog.records] == [
        'out of device memory with 100 sequences at once; 12 at once from now on'
    ]


def test_smaller_chunk_is_remembered() -> None:
    model, chunk_size = SmallModel(room=60), ChunkSize()
    energy_of(model, chunk_size=chunk_size)(ACTIONS)
    model.tried.clear()
    assert torch.equal(energy_of(model, chunk_size=chunk_size)(ACTIONS), WHOLE)
    assert model.tried == [50, 50]


def test_no_room_for_one_sequence_is_an_error_that_says_what_to_do() -> None:
    for model in (SmallModel(room=0), HonestModel(room=0)):
        with pytest.raises(DeviceMemoryError, match='one sequence of 2 steps; valid: a shorter'):
            energy_of(model)(ACTIONS)
        assert model.tried[-1] == 1


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    model = SmallModel(room=0, error=RuntimeError('mat1 and mat2 shapes cannot be multiplied'))
    with pytest.raises(RuntimeError, match='mat1'):
        energy_of(model)(ACTIONS)
    assert model.tried == [100]


def test_what_the_cpu_allocator_says_is_understood() -> None:
    """The real one, asked for more than any machine has."""

    class Greedy(SmallModel):
        def rollout(self, state: Tensor, actions: Tensor) -> Tensor:
            if actions.shape[0] > 10:
                torch.empty(2**60, dtype=torch.uint8)
            return super().rollout(state, actions)

    model = Greedy()
    assert torch.equal(energy_of(model)(ACTIONS), WHOLE)
    assert max(model.tried) == 6


# stopping in between ----------------------------------------------------------------------------


def test_energies_so_far_are_returned_when_it_is_not_to_go_on() -> None:
    heard: list[int] = []

    def goes_on(samples: int) -> bool:
        heard.append(samples)
        return len(heard) < 3

    energies = energy_of(SmallModel(), chunk_size=ChunkSize(20), goes_on=goes_on)(ACTIONS)
    assert heard == [20, 20, 20]
    assert torch.equal(energies, WHOLE[:60])


def test_at_least_one_chunk_is_scored() -> None:
    energy = energy_of(SmallModel(), chunk_size=ChunkSize(20), goes_on=lambda samples: False)
    assert torch.equal(energy(ACTIONS), WHOLE[:20])
