# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Imagining: the predictor rolled forward under many action sequences at once.

The reference feeds the whole history through the network again for every step of every sample. Two
facts make that unnecessary, exactly and not approximately, since attention is causal over frames:

* what a frame's tokens look at in earlier frames, their keys and values, does not change when a
  later frame is added: each sample keeps them (H frame rows instead of H (H + 1) / 2);
* the actions of frames older than the newest are past and the same for all samples: their keys
  and values are computed once a plan, with a batch of one. The newest frame is not among them: its
  own action is what is being searched, and all its tokens see it. Only in the first block, before
  they have, are its state and patches the same for all, and so are their projections.

Frames are numbered from 0 in every plan: positions are absolute in effect (rope.py), so keys and
values cannot slide along from plan to plan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from wm_planner.models.vjepa2_ac.network import Block, Predictor, normalise_tokens
from wm_planner.models.vjepa2_ac.poses import integrate
from wm_planner.models.vjepa2_ac.rope import Rotary

KeysValues = tuple[Tensor, Tensor]
"""Of one block: keys and values [B, heads, T, head width]."""

Project = Callable[[Block, Tensor, Rotary], tuple[Tensor, Tensor, Tensor]]
Finish = Callable[[Block, Tensor, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a plan knows of the past: T context frames, oldest first.

    ``tokens`` [T, N, D] normalised, float32; ``states`` [T, 7] float64. With a batch of one:
    ``past``, keys and values of the T - 1 older frames, one pair a block, empty where T = 1;
    ``newest``, the row of the newest frame without its action [1, K - 1 + N, W], and ``projected``,
    its queries, keys and values in the first block.
    """

    tokens: Tensor
    states: Tensor
    past: Sequence[KeysValues]
    newest: Tensor
    projected: tuple[Tensor, Tensor, Tensor]

    @property
    def frames(self) -> int:
        """Return T."""
        return int(self.tokens.shape[0])


class Rollout:
    """Rolls a predictor forward. Stateless between calls; belongs to one thread at a time.

    ``project`` and ``finish`` are the two halves of a block; a compiled form of them can be put in
    their place.
    """

    def __init__(
        self,
        predictor: Predictor,
        *,
        project: Project = Block.project,
        finish: Finish = Block.finish,
        extrinsics: Tensor | None = None,
    ) -> None:
        self._predictor = predictor
        self._project = project
        self._finish = finish
        self._extrinsics = extrinsics

    def context(self, tokens: Tensor, states: Tensor, past_actions: Tensor) -> Context:
        """Return the context of frames [T, N, D] with states [T, 7] and the actions between them.

        ``past_actions`` [T - 1, 7].
        """
        patches = self._predictor.embed(tokens)  # [T, N, W]
        older = tokens.shape[0] - 1
        # The newest frame's action is not known yet; what stands in for it is cut off again.
        actions = torch.cat([past_actions, torch.zeros_like(states[:1])])
        conditions = self._predictor.conditions(actions, states, self._extrinsics)  # [T, K, W]
        rows = torch.cat([conditions, patches], dim=1)  # [T, K + N, W]
        past: list[KeysValues] = []
        if older:
            memory = _Memory(self._predictor, batch=1, frames=older, past=())
            for frame in range(older):
                self._advance(rows[frame : frame + 1], frame, memory, is_last=False)
            past = memory.pairs()
        newest = rows[older:, 1:]
        block = self._predictor.blocks[0]
        rotary = self._rotary(older)
        return Context(
            tokens=tokens,
            states=states.double(),
            past=past,
            newest=newest,
            projected=block.project(newest, rotary.rows(1, self._predictor.row)),
        )

    def __call__(self, context: Context, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Return predicted tokens [S, H, N, D] (normalised, float32) and states [S, H, 7].

        ``actions`` [S, H, 7]. Nothing here waits for the device.
        """
        predictor = self._predictor
        samples, horizon = actions.shape[:2]
        states = integrate(context.states[-1], actions)  # [S, H, 7], after each action
        before = torch.cat(
            [context.states[-1].expand(samples, 1, -1), states[:, : horizon - 1]], dim=1
        )
        conditions = predictor.conditions(actions, before, self._extrinsics)  # [S, H, K, W]
        frames = context.frames - 1 + horizon - 1  # whose keys and values a later one looks at
        memory = _Memory(predictor, batch=samples, frames=frames, past=context.past)
        predicted: list[Tensor] = []
        for step in range(horizon):
            frame, is_last = context.frames - 1 + step, step == horizon - 1
            if step == 0:
                action = conditions[:, 0, :1]  # [S, 1, W]
                first = self._project_newest(context, action)
                rows = torch.cat([action, context.newest.expand(samples, -1, -1)], dim=1)
                rows = self._advance(rows, frame, memory, is_last=is_last, first=first)
            else:
                rows = torch.cat([conditions[:, step], predictor.embed(predicted[-1])], dim=1)
                rows = self._advance(rows, frame, memory, is_last=is_last)
            predicted.append(normalise_tokens(predictor.read_out(rows)))  # [S, N, D]
        return torch.stack(predicted, dim=1), states

    def _project_newest(self, context: Context, action: Tensor) -> tuple[Tensor, ...]:
        """Return queries, keys and values of the newest frame in the first block, a sample each."""
        block = self._predictor.blocks[0]
        own = block.project(action, self._rotary(context.frames - 1).rows(0, 1))
        samples = action.shape[0]
        return tuple(
            torch.cat([mine, shared.expand(samples, -1, -1, -1)], dim=2)
            for mine, shared in zip(own, context.projected, strict=True)
        )

    def _rotary(self, frame: int) -> Rotary:
        size = self._predictor.row
        device = self._predictor.predictor_embed.weight.device
        return self._predictor.rotary(frame + 1, device).rows(frame * size, (frame + 1) * size)

    def _advance(
        self,
        rows: Tensor,
        frame: int,
        memory: _Memory,
        *,
        is_last: bool,
        first: tuple[Tensor, ...] | None = None,
    ) -> Tensor:
        """Return rows [B, K + N, W] of one frame after all blocks.

        No mask: a frame's tokens look at all of it and at everything before it. ``first`` is the
        projection in the first block where it is known.
        """
        rotary = self._rotary(frame)
        for layer, block in enumerate(self._predictor.blocks):
            q, k, v = first if layer == 0 and first else self._project(block, rows, rotary)
            keys, values = memory.extend(layer, frame, k, v, keep=not is_last)
            attended = F.scaled_dot_product_attention(q, keys, values)
            rows = self._finish(block, rows, attended)
        return rows


class _Memory:
    """Keys and values of earlier frames, each block's in one tensor made for the whole rollout."""

    def __init__(
        self, predictor: Predictor, *, batch: int, frames: int, past: Sequence[KeysValues]
    ) -> None:
        self._row = predictor.row
        self._frames = frames
        self._tensors: list[KeysValues] = []
        if frames == 0:
            return
        weight = predictor.predictor_embed.weight
        config = predictor.architecture.predictor
        shape = (batch, config.heads, frames * self._row, config.head_width)
        for layer in range(config.depth):
            keys, values = (
                torch.empty(shape, dtype=weight.dtype, device=weight.device) for _ in range(2)
            )
            if past:
                length = past[layer][0].shape[2]
                keys[:, :, :length] = past[layer][0]
                values[:, :, :length] = past[layer][1]
            self._tensors.append((keys, values))

    def extend(self, layer: int, frame: int, k: Tensor, v: Tensor, *, keep: bool) -> KeysValues:
        """Return keys and values of frames 0 to ``frame``; ``keep`` those of ``frame`` for later.

        Those of a rollout's last frame are not kept: nobody will look at them.
        """
        if self._frames == 0:
            return k, v
        start = frame * self._row
        keys, values = self._tensors[layer]
        if not keep:
            return (
                torch.cat([keys[:, :, :start], k], dim=2),
                torch.cat([values[:, :, :start], v], dim=2),
            )
        keys[:, :, start : start + self._row] = k
        values[:, :, start : start + self._row] = v
        return keys[:, :, : start + self._row], values[:, :, : start + self._row]

    def pairs(self) -> list[KeysValues]:
        """Return what is kept."""
        return self._tensors


def bytes_at_work(predictor: Predictor) -> int:
    """Return the memory of one sample's row at the widest place of a block [bytes].

    That is the row before and after, queries, keys and values with their rotation, or the row and
    the MLP's hidden layer before and after GELU.
    """
    config = predictor.architecture.predictor
    item = predictor.predictor_embed.weight.element_size()
    return predictor.row * item * max(12 * config.width, 4 * config.width + 2 * config.mlp_hidden)


def bytes_per_sample(predictor: Predictor, *, context_frames: int, horizon: int) -> int:
    """Return an upper estimate of the device memory that one more sample of a rollout takes.

    Keys and values of every frame but the last; what the last frame looks at; a row at work; and
    what is predicted, in float32, beside the objective's copies of one step.
    """
    config, architecture = predictor.architecture.predictor, predictor.architecture
    item = predictor.predictor_embed.weight.element_size()
    frame = 2 * predictor.row * config.width * item  # keys and values of one block
    kept = config.depth * (context_frames + horizon - 2) * frame
    looked_at = (context_frames + horizon - 1) * frame
    predicted = 4 * (2 * horizon + 3) * architecture.tokens_per_frame * architecture.encoder.width
    return kept + looked_at + bytes_at_work(predictor) + predicted
