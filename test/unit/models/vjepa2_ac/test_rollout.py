# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Rollouts that keep keys and values against the full recompute through the whole network."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fakes.vjepa2 import TINY, tiny_networks
from wm_planner.models.vjepa2_ac.network import Block, Predictor, normalise_tokens
from wm_planner.models.vjepa2_ac.poses import next_states
from wm_planner.models.vjepa2_ac.rollout import Rollout, bytes_at_work, bytes_per_sample

_, PREDICTOR = tiny_networks()
_, PREDICTOR_WITH_CAMERA = tiny_networks(replace(TINY, use_extrinsics=True))
CAMERA = torch.tensor([0.3, -0.5, 0.6, 0.1, 1.2, -0.4])


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def past(frames: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return tokens [T, N, D], states [T, 7] float64 and past actions [T - 1, 7]."""
    tokens = normalise_tokens(noise(frames, 16, 48, seed=frames))
    states = noise(frames, 7, seed=10 + frames).double().clamp(-1.5, 1.5)
    states[:, 6] = states[:, 6].clamp(0.0, 1.0)
    return tokens, states, 0.1 * noise(frames - 1, 7, seed=20 + frames).double()


def some_actions(samples: int, horizon: int) -> Tensor:
    return 0.1 * noise(samples, horizon, 7, seed=30 + horizon)


def full_recompute(
    predictor: Predictor,
    context: tuple[Tensor, Tensor, Tensor],
    actions: Tensor,
    extrinsics: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return tokens [S, H, N, D] and states [S, H, 7] as the reference plans: all over, each step.

    Each sample alone, its whole history through ``Predictor.forward``.
    """
    predicted, visited = [], []
    for sequence in actions:
        tokens, states, taken = context
        for step in range(sequence.shape[0]):
            taken = torch.cat([taken, sequence[step : step + 1].double()])
            out = predictor(tokens[None], taken[None], states[None], extrinsics)
            tokens = torch.cat([tokens, normalise_tokens(out[0, -1:])])
            states = torch.cat([states, next_states(states[-1:], taken[-1:])])
        predicted.append(tokens[-sequence.shape[0] :])
        visited.append(states[-sequence.shape[0] :])
    return torch.stack(predicted), torch.stack(visited)


@pytest.mark.parametrize('frames', [1, 2, 3, 4])
@pytest.mark.parametrize('horizon', [1, 2, 3, 4])
def test_rollout_equals_the_full_recompute_when_past_and_steps_are_shared_and_kept(
    frames: int, horizon: int
) -> None:
    rollout, context, actions = Rollout(PREDICTOR), past(frames), some_actions(3, horizon)
    tokens, states = rollout(rollout.context(*context), actions)
    expected_tokens, expected_states = full_recompute(PREDICTOR, context, actions)
    assert float((tokens - expected_tokens).abs().max()) <= 1e-5
    assert float((states - expected_states).abs().max()) <= 1e-9
    assert tokens.dtype == torch.float32


@pytest.mark.parametrize(('frames', 'horizon'), [(1, 1), (1, 3), (3, 1), (3, 3)])
def test_rollout_equals_the_full_recompute_when_there_is_a_camera_pose(
    frames: int, horizon: int
) -> None:
    rollout = Rollout(PREDICTOR_WITH_CAMERA, extrinsics=CAMERA)
    context, actions = past(frames), some_actions(3, horizon)
    tokens, _ = rollout(rollout.context(*context), actions)
    expected, _ = full_recompute(PREDICTOR_WITH_CAMERA, context, actions, CAMERA)
    assert float((tokens - expected).abs().max()) <= 1e-5
    without, _ = full_recompute(PREDICTOR_WITH_CAMERA, context, actions, torch.zeros(6))
    assert float((tokens - without).abs().max()) > 1e-3


@pytest.mark.parametrize('frames', [1, 3])
def test_sample_is_the_same_when_it_is_rolled_out_alone(frames: int) -> None:
    rollout = Rollout(PREDICTOR)
    context, actions = rollout.context(*past(frames)), some_actions(6, 3)
    together, _ = rollout(context, actions)
    for row in range(6):
        alone, _ = rollout(context, actions[row : row + 1])
        assert torch.allclose(together[row], alone[0], atol=1e-5)


def test_earlier_steps_stay_when_a_later_action_changes() -> None:
    rollout = Rollout(PREDICTOR)
    context, actions = rollout.context(*past(2)), some_actions(2, 4)
    changed = actions.clone()
    changed[:, 2] += 0.05
    (one, before), (other, after) = rollout(context, actions), rollout(context, changed)
    assert torch.equal(one[:, :2], other[:, :2]) and torch.equal(before[:, :2], after[:, :2])
    assert bool(((one - other)[:, 2:].abs().amax(dim=-1) > 1e-4).all())


def test_context_is_as_before_when_it_was_rolled_out_from() -> None:
    """Its keys and values are shared by all chunks of a plan."""
    rollout, actions = Rollout(PREDICTOR), some_actions(4, 3)
    context = rollout.context(*past(3))
    first, _ = rollout(context, actions)
    rollout(context, -actions)
    again, _ = rollout(context, actions)
    assert torch.equal(first, again)


def test_past_counts_when_there_is_more_than_one_frame() -> None:
    rollout, actions = Rollout(PREDICTOR), some_actions(2, 2)
    tokens, states, taken = past(3)
    expected, _ = rollout(rollout.context(tokens, states, taken), actions)
    for other in (
        (tokens.flip(0)[[0, 1, 0]], states, taken),
        (tokens, states, taken + 0.1),
        (tokens, torch.cat([states[:2] + 0.1, states[2:]]), taken),
        (tokens[2:], states[2:], taken[2:]),
    ):
        found, _ = rollout(rollout.context(*other), actions)
        assert float((found - expected).abs().max()) > 1e-3


def test_older_frames_are_computed_once_when_many_samples_share_them() -> None:
    """The point of sharing: rows of the past pass the blocks with a batch of one, in the context.

    Each later frame passes once a sample, however long the horizon.
    """
    passed: list[tuple[int, int]] = []  # rows and tokens of each block's second half

    def finish(block: Block, x: Tensor, attended: Tensor) -> Tensor:
        passed.append((x.shape[0], x.shape[1]))
        return block.finish(x, attended)

    rollout, depth = Rollout(PREDICTOR, finish=finish), TINY.predictor.depth
    context = rollout.context(*past(4))
    assert passed == [(1, PREDICTOR.row)] * 3 * depth
    passed.clear()
    rollout(context, some_actions(10, 3))
    assert passed == [(10, PREDICTOR.row)] * 3 * depth


def test_memory_of_a_sample_grows_with_frames_steps_and_precision_when_estimated() -> None:
    _, half = tiny_networks()
    half = half.to(torch.bfloat16)
    small = bytes_per_sample(PREDICTOR, context_frames=1, horizon=1)
    assert small < bytes_per_sample(PREDICTOR, context_frames=2, horizon=1)
    assert small < bytes_per_sample(PREDICTOR, context_frames=1, horizon=2)
    assert bytes_per_sample(half, context_frames=1, horizon=1) < small
    assert bytes_at_work(half) * 2 == bytes_at_work(PREDICTOR) < small


def test_estimate_covers_the_tensors_that_a_sample_leaves_when_rolled_out() -> None:
    """Keys and values that are kept and tokens that are returned, counted by hand."""
    frames, horizon, row, width = 2, 3, 18, 32
    kept = 2 * (frames - 1 + horizon - 1) * row * width * 4 * TINY.predictor.depth
    returned = horizon * 16 * 48 * 4
    estimate = bytes_per_sample(PREDICTOR, context_frames=frames, horizon=horizon)
    assert kept + returned < estimate < 4 * (kept + returned)
