# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The two transformers of V-JEPA 2-AC: a video encoder and an action-conditioned predictor.

Pre-norm blocks, LayerNorm eps 1e-6, exact GELU, biases everywhere; parameter names are those of
the released checkpoints without their ``module.backbone.`` prefixes. What the networks compute is
pinned by tensors of the reference (facebookresearch/vjepa2 at c2963a4): see ``parity``.

Shapes: B batch, T tokens, W width, N patch tokens of a frame, K condition tokens of a frame,
D encoder width, F frames.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wm_planner.models.vjepa2_ac.config import ACTION_SIZE, Architecture, TransformerConfig
from wm_planner.models.vjepa2_ac.rope import Rotary, action_rotary, rotate, video_rotary

_NORM_EPS = 1e-6


class Attention(nn.Module):
    """The two linear maps around attention."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)


class Mlp(nn.Module):
    """Linear, exact GELU, linear."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return x [..., W] after the MLP."""
        hidden: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return hidden


class Block(nn.Module):
    """A transformer block in two halves, so that a rollout can keep keys and values in between."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.norm1 = nn.LayerNorm(config.width, eps=_NORM_EPS)
        self.attn = Attention(config.width)
        self.norm2 = nn.LayerNorm(config.width, eps=_NORM_EPS)
        self.mlp = Mlp(config.width, config.mlp_hidden)

    def project(self, x: Tensor, rotary: Rotary) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values [B, heads, T, head width] of x [B, T, W], rotated."""
        qkv = self.attn.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1))
        q, k = rotate(qkv[:, :, :2], rotary).unbind(2)  # [B, T, heads, head width] each
        return q.transpose(1, 2), k.transpose(1, 2), qkv[:, :, 2].transpose(1, 2)

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """Return x [B, T, W] with what was attended to [B, heads, T, head width] and the MLP."""
        x = x + self.attn.proj(attended.transpose(1, 2).flatten(2))
        mixed: Tensor = x + self.mlp(self.norm2(x))
        return mixed

    def forward(self, x: Tensor, rotary: Rotary, mask: Tensor | None = None) -> Tensor:
        """Return x [B, T, W] after the block; ``mask`` [T, T] is true where a token may look."""
        q, k, v = self.project(x, rotary)
        return self.finish(x, F.scaled_dot_product_attention(q, k, v, attn_mask=mask))


class PatchEmbedding(nn.Module):
    """Tubelets of pixels to tokens."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        patch = architecture.patch_size
        size = (architecture.tubelet_frames, patch, patch)
        width = architecture.encoder.width
        self.proj = nn.Conv3d(3, width, kernel_size=size, stride=size)

    def forward(self, video: Tensor) -> Tensor:
        """Return tokens [B, T, W] of video [B, 3, frames, height, width], in time-row order."""
        tokens: Tensor = self.proj(video).flatten(2).transpose(1, 2)
        return tokens


class Encoder(nn.Module):
    """Video [B, 3, frames, s, s] to tokens [B, F * N, D], F = frames / tubelet."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        config = architecture.encoder
        self.patch_embed = PatchEmbedding(architecture)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width, eps=_NORM_EPS)
        self._rotary: dict[int, Rotary] = {}

    def forward(self, video: Tensor) -> Tensor:
        """Return tokens [B, F * N, D], not yet normalised."""
        frames = video.shape[2] // self.architecture.tubelet_frames
        rotary = self._tables(frames, video.device)
        x = self.patch_embed(video)
        for block in self.blocks:
            x = block(x, rotary)
        tokens: Tensor = self.norm(x)
        return tokens

    def encode_frames(self, images: Tensor) -> Tensor:
        """Return normalised tokens [F, N, D], float32, of single frames [F, 3, s, s].

        Each frame is a clip of its own that stands still, as in the training of the predictor.
        """
        clip = images.unsqueeze(2).expand(-1, -1, self.architecture.tubelet_frames, -1, -1)
        return normalise_tokens(self(clip))

    def _tables(self, frames: int, device: torch.device) -> Rotary:
        if frames not in self._rotary:
            architecture = self.architecture
            self._rotary[frames] = video_rotary(
                architecture.encoder, frames=frames, grid=architecture.grid, device=device
            )
        return self._rotary[frames]


class Predictor(nn.Module):
    """Tokens of frames, actions and states to the tokens of each next frame.

    A frame is a row [action, state, (extrinsics), N patches]. Its tokens look at all tokens of
    their own frame, in both directions, and of every earlier frame.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        config, token_width = architecture.predictor, architecture.encoder.width
        self.predictor_embed = nn.Linear(token_width, config.width)
        self.action_encoder = nn.Linear(ACTION_SIZE, config.width)
        self.state_encoder = nn.Linear(ACTION_SIZE, config.width)
        # In every released state dict, whether used or not, so a strict load needs it.
        self.extrinsics_encoder = nn.Linear(ACTION_SIZE - 1, config.width)
        self.predictor_blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.predictor_norm = nn.LayerNorm(config.width, eps=_NORM_EPS)
        self.predictor_proj = nn.Linear(config.width, token_width)
        self._rotary: Rotary | None = None

    @property
    def row(self) -> int:
        """Return K + N, the tokens of a frame."""
        return self.architecture.condition_tokens + self.architecture.tokens_per_frame

    @property
    def blocks(self) -> list[Block]:
        """Return the transformer blocks, first to last."""
        return [block for block in self.predictor_blocks if isinstance(block, Block)]

    def conditions(self, actions: Tensor, states: Tensor, extrinsics: Tensor | None) -> Tensor:
        """Return condition tokens [..., K, W] of actions and states [..., 7]."""
        dtype = self.action_encoder.weight.dtype
        tokens = [self.action_encoder(actions.to(dtype)), self.state_encoder(states.to(dtype))]
        if self.architecture.use_extrinsics:
            assert extrinsics is not None, 'the model adapter gives them where the weights ask'
            camera = self.extrinsics_encoder(extrinsics.to(dtype))
            tokens.append(camera.expand_as(tokens[0]))
        return torch.stack(tokens, dim=-2)

    def embed(self, tokens: Tensor) -> Tensor:
        """Return patches [..., N, W] of encoder tokens [..., N, D]."""
        patches: Tensor = self.predictor_embed(tokens.to(self.predictor_embed.weight.dtype))
        return patches

    def read_out(self, x: Tensor) -> Tensor:
        """Return tokens [..., N, D] of rows [..., K + N, W], not yet normalised."""
        patches = x[..., self.architecture.condition_tokens :, :]
        tokens: Tensor = self.predictor_proj(self.predictor_norm(patches))
        return tokens

    def rotary(self, frames: int, device: torch.device) -> Rotary:
        """Return the tables of the first ``frames`` frames."""
        if self._rotary is None or self._rotary.cos.shape[0] < frames * self.row:
            architecture = self.architecture
            self._rotary = action_rotary(
                architecture.predictor,
                frames=frames,
                grid=architecture.grid,
                conditions=architecture.condition_tokens,
                device=device,
            )
        return self._rotary.rows(0, frames * self.row)

    def forward(
        self,
        tokens: Tensor,
        actions: Tensor,
        states: Tensor,
        extrinsics: Tensor | None = None,
    ) -> Tensor:
        """Return next-frame tokens [B, F, N, D], not normalised, of frames all given at once.

        ``tokens`` [B, F, N, D]; ``actions`` and ``states`` [B, F, 7]. This is how the network is
        trained, and the plain form that ``rollout`` must agree with.
        """
        frames = tokens.shape[1]
        rows = torch.cat([self.conditions(actions, states, extrinsics), self.embed(tokens)], dim=2)
        x = rows.flatten(1, 2)  # [B, F * (K + N), W]
        rotary, mask = self.rotary(frames, x.device), None
        if frames > 1:
            frame = torch.arange(frames, device=x.device).repeat_interleave(self.row)
            mask = frame[:, None] >= frame[None, :]
        for block in self.predictor_blocks:
            x = block(x, rotary, mask)
        return self.read_out(x.view(x.shape[0], frames, self.row, -1))


def normalise_tokens(tokens: Tensor) -> Tensor:
    """Return tokens [..., D] after a layer norm without parameters, in float32.

    Observation, goal and predictions all pass it, so distances between them compare like with like.
    """
    return F.layer_norm(tokens.float(), tokens.shape[-1:])
