# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Compiled halves of a block, and the way back where a compiler fails."""

from __future__ import annotations

from collections.abc import Callable
import logging
import shutil
from typing import Any

import pytest
import torch
from torch import Tensor

from fakes.vjepa2 import CPU, TINY, tiny_model, tiny_networks
from wm_planner.models.vjepa2_ac.compiling import BlockHalves
from wm_planner.models.vjepa2_ac.network import Block
from wm_planner.models.vjepa2_ac.rollout import Rollout
from wm_planner.models.vjepa2_ac.rope import action_rotary

_, PREDICTOR = tiny_networks()
BLOCK = PREDICTOR.blocks[0]
ROTARY = action_rotary(TINY.predictor, frames=1, grid=4, conditions=2, device=CPU)


class RecordingCompiler:
    """Stand for torch.compile: what it returns runs as before, and is written down."""

    def __init__(self, error: Exception | None = None) -> None:
        self.compiled: list[str] = []
        self.runs: list[tuple[str, int]] = []
        self._error = error

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        self.compiled.append(function.__name__)

        def run(block: Block, x: Tensor, other: Any) -> Any:
            self.runs.append((function.__name__, x.shape[0]))
            if self._error is not None:
                raise self._error
            return function(block, x, other)

        return run


def rows(batch: int) -> Tensor:
    return torch.randn(batch, 18, 32, generator=torch.Generator().manual_seed(batch))


def attended(batch: int) -> Tensor:
    generator = torch.Generator().manual_seed(batch + 1)
    return torch.randn(batch, 2, 18, 16, generator=generator)


def assert_runs(halves: BlockHalves, batch: int) -> None:
    """Run both halves and compare them with those of the block."""
    x = rows(batch)
    for found, expected in zip(
        halves.project(BLOCK, x, ROTARY), BLOCK.project(x, ROTARY), strict=True
    ):
        assert torch.equal(found, expected)
    other = attended(batch)
    assert torch.equal(halves.finish(BLOCK, x, other), BLOCK.finish(x, other))


def test_nothing_is_compiled_when_it_is_not_wanted() -> None:
    compiler = RecordingCompiler()
    halves = BlockHalves(is_wanted=False, compiler=compiler)
    assert_runs(halves, 16)
    assert (halves.state, compiler.compiled, compiler.runs) == ('off', [], [])


def test_large_batches_run_compiled_and_small_ones_plain_when_it_is_wanted() -> None:
    """A batch of one, the past or the plan's mean, would be a compilation of its own."""
    compiler = RecordingCompiler()
    halves = BlockHalves(is_wanted=True, compiler=compiler)
    assert (halves.state, sorted(compiler.compiled)) == ('pending', ['finish', 'project'])
    assert_runs(halves, 1)
    assert_runs(halves, 7)
    assert (halves.state, compiler.runs) == ('pending', [])
    assert_runs(halves, 8)
    assert halves.state == 'compiled'
    assert_runs(halves, 2)
    assert compiler.runs == [('project', 8), ('finish', 8)]


def test_planning_goes_on_plain_and_says_so_once_when_the_compiler_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    compiler = RecordingCompiler(RuntimeError('no C++ compiler found\nand a long story'))
    halves = BlockHalves(is_wanted=True, compiler=compiler)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert_runs(halves, 16)
    assert compiler.runs == [('project', 16)]  # tried once
    assert halves.state == 'failed: RuntimeError: no C++ compiler found'
    (record,) = caplog.records
    assert 'RuntimeError: no C++ compiler found. Valid: a C++ compiler' in record.getMessage()


def test_state_says_what_failed_when_the_error_has_no_words() -> None:
    halves = BlockHalves(is_wanted=True, compiler=RecordingCompiler(AssertionError()))
    assert_runs(halves, 16)
    assert halves.state == 'failed: AssertionError: '


def test_out_of_memory_passes_through_when_it_happens_in_a_compiled_half() -> None:
    """It is no fault of the compiler: the planner takes fewer samples, still compiled."""
    error = torch.OutOfMemoryError('CUDA out of memory')
    halves = BlockHalves(is_wanted=True, compiler=RecordingCompiler(error))
    for _ in range(2):
        with pytest.raises(torch.OutOfMemoryError):
            halves.project(BLOCK, rows(16), ROTARY)
    assert halves.state == 'pending'


def test_model_compiles_on_a_cpu_when_told_to_only() -> None:
    """By default a CPU does not: a planner that starts minutes later is no gain there."""
    assert tiny_model().compile_state == 'off'
    assert tiny_model(compile='off').compile_state == 'off'
    assert tiny_model(compile='on').compile_state == 'pending'


def test_rollout_passes_through_the_halves_when_they_are_put_in_its_place() -> None:
    compiler = RecordingCompiler()
    halves = BlockHalves(is_wanted=True, compiler=compiler)
    rollout = Rollout(PREDICTOR, project=halves.project, finish=halves.finish)
    tokens, states = torch.randn(1, 16, 48), torch.zeros(1, 7, dtype=torch.float64)
    context = rollout.context(tokens, states, torch.zeros(0, 7))
    assert compiler.runs == []
    rollout(context, torch.zeros(8, 2, 7))
    # Two steps of two blocks; the first projection is shared with the context.
    expected = ['finish', 'project', 'finish'] + ['project', 'finish'] * 2
    assert compiler.runs == [(half, 8) for half in expected]


@pytest.mark.skipif(not shutil.which('g++'), reason='torch.compile needs a C++ compiler on a CPU')
def test_compiled_model_predicts_the_same_when_warmed_up() -> None:
    """The one test that really compiles; the warm-up has done so before the first plan."""
    plain, compiled = tiny_model(), tiny_model(compile='on')
    compiled.warm_up()
    assert compiled.compile_state == 'compiled'
    tokens = torch.randn(1, 16, 48, generator=torch.Generator().manual_seed(0))
    state = [0.4, 0.0, 0.3, 3.0, 0.0, 0.0, 0.0]
    actions = 0.05 * torch.randn(40, 2, 7, generator=torch.Generator().manual_seed(1))
    expected = plain.rollout(plain.context(tokens, [state]), actions)
    found = compiled.rollout(compiled.context(tokens, [state]), actions)
    assert torch.allclose(found, expected, atol=1e-5)
    assert compiled.compile_state == 'compiled'


def test_nothing_is_run_when_an_uncompiled_model_is_warmed_up_on_a_cpu() -> None:
    model = tiny_model()
    model.encoder.register_forward_pre_hook(lambda *given: pytest.fail('the encoder ran'))
    model.warm_up()
    assert model.compile_state == 'off'
