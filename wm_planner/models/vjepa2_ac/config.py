# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Sizes of V-JEPA 2-AC networks, and what a user may set about planning with one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from wm_planner.core.config import REQUIRED, parameter, validate
from wm_planner.core.errors import InvalidParameterError, ModelLoadError

ACTION_SIZE = 7
"""A of actions and states: xyz [m], extrinsic-xyz Euler angles [rad], gripper closedness."""

TRAINED_FRAMES = 8
"""Frames a clip had when the released predictor was trained (vjepa2 configs, droid-256px-8f)."""

MAX_FRAMES = 32
"""Frames the released predictor's attention mask was built for."""

ROPE_FORMS = ('tiled', 'interleaved')


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Sizes of one transformer."""

    width: int = parameter(REQUIRED, 'channels of a token', low=8, high=16384)
    depth: int = parameter(REQUIRED, 'blocks', low=1, high=256)
    heads: int = parameter(REQUIRED, 'attention heads', low=1, high=256)
    mlp_hidden: int = parameter(REQUIRED, 'hidden channels of the MLPs', low=8, high=65536)
    rope: str = parameter(
        'tiled',
        'rotary form: tiled as released for V-JEPA 2, interleaved (a true rotation) for 2.1',
        choices=ROPE_FORMS,
    )
    rope_grid: int = parameter(
        0,
        'patches a side that height and width positions are stretched to, as V-JEPA 2.1 does with '
        '16; 0 = not stretched',
        low=0,
        high=1024,
    )

    def __post_init__(self) -> None:
        validate(self)
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise InvalidParameterError(
                f'width {self.width} with {self.heads} heads; valid: heads of one even width.'
            )

    @property
    def head_width(self) -> int:
        """Return the channels of one head."""
        return self.width // self.heads


def transformer(
    width: int, depth: int, heads: int, mlp_ratio: float = 4.0, rope: str = 'tiled'
) -> TransformerConfig:
    """Return sizes with the MLP's hidden width as a ratio, as papers give it."""
    return TransformerConfig(
        width=width, depth=depth, heads=heads, mlp_hidden=int(width * mlp_ratio), rope=rope
    )


ENCODERS: Mapping[str, TransformerConfig] = MappingProxyType(
    {
        'vit_large': transformer(1024, 24, 16),
        'vit_huge': transformer(1280, 32, 16),
        'vit_giant': transformer(1408, 40, 22, mlp_ratio=48 / 11),
    }
)
"""The released encoders; V-JEPA 2-AC's own is ViT-g (``vit_giant``)."""

RELEASED_PREDICTOR = transformer(1024, 24, 16)
"""The action-conditioned predictor of the released checkpoint, 305 M parameters."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Encoder and predictor, and how pictures and conditions become tokens."""

    encoder: TransformerConfig = field(default_factory=lambda: ENCODERS['vit_giant'])
    predictor: TransformerConfig = field(default_factory=lambda: RELEASED_PREDICTOR)
    image_size: int = parameter(256, 'side of the square network input [px]', low=16, high=2048)
    patch_size: int = parameter(16, 'side of a patch [px]', low=2, high=64)
    tubelet_frames: int = parameter(2, 'video frames a token spans', low=1, high=8)
    use_extrinsics: bool = parameter(
        False, 'a third condition token a frame, of the camera pose [6]; the release has none'
    )

    def __post_init__(self) -> None:
        validate(self)
        if self.image_size % self.patch_size:
            raise InvalidParameterError(
                f'image_size {self.image_size} with patch_size {self.patch_size}; valid: a whole '
                'number of patches a side.'
            )

    @property
    def grid(self) -> int:
        """Return the patches a side of a frame."""
        return self.image_size // self.patch_size

    @property
    def tokens_per_frame(self) -> int:
        """Return N."""
        return self.grid**2

    @property
    def condition_tokens(self) -> int:
        """Return the tokens before the patches of each frame: action, state, maybe extrinsics."""
        return 3 if self.use_extrinsics else 2


@dataclass(frozen=True, kw_only=True)
class VJepa2AcConfig:
    """What a user may set; the sizes stand in the weights file."""

    weights: str = parameter(
        '',
        'weights file that `wm_planner model convert` wrote (safetensors)',
        read_only=True,
    )
    context_frames: int = parameter(
        1, 'frames of history an observation must hold; the released planner uses 1', low=1, high=16
    )
    crop: str = parameter(
        'square',
        'square: central square, as the released planner; wide: up to an aspect of 1.35, squeezed, '
        'as in training',
        choices=('square', 'wide'),
    )
    max_delta_m: float = parameter(
        0.075, 'largest displacement of a step along each axis [m]', low=0.001, high=0.5
    )
    max_rotation_rad: tuple[float, ...] = parameter(
        (0.0, 0.0, 0.0),
        'largest rotation of a step about each base axis x, y, z [rad]; 0 = that axis is pinned',
        low=0.0,
        high=1.0,
    )
    max_delta_gripper: float = parameter(
        0.75, 'largest change of closedness in a step', low=0.0, high=1.0
    )
    step_duration_s: float = parameter(
        1.0,
        'time given to a step [s]; it is a quasi-static displacement, no speed',
        low=0.05,
        high=30.0,
    )
    goal_tolerance: float = parameter(
        0.0,
        'energy of the newest frame below which a goal counts as reached; 0 = not calibrated: '
        'goals then end by time or by stalling',
        low=0.0,
    )
    camera_extrinsics: tuple[float, ...] = parameter(
        (),
        'camera pose in the base frame, xyz [m] and extrinsic-xyz Euler [rad]; only for weights '
        'trained with an extrinsics token',
    )
    precision: str = parameter(
        'auto',
        'of weights and activations; auto = bfloat16 on a GPU, float32 on a CPU',
        choices=('auto', 'float32', 'bfloat16'),
    )
    compile: str = parameter(
        'auto',
        'compile the predictor with torch.compile; auto = on a GPU; where it fails the model runs '
        'uncompiled and says so',
        choices=('auto', 'on', 'off'),
    )
    memory_fraction: float = parameter(
        0.8, 'part of the free device memory that rollouts may take', low=0.05, high=0.95
    )
    verify_checksum: bool = parameter(
        True, 'compare the weights with the checksum in their manifest when loading'
    )

    def __post_init__(self) -> None:
        validate(self)
        if len(self.max_rotation_rad) != 3:
            raise InvalidParameterError(
                f'max_rotation_rad has {len(self.max_rotation_rad)} values; valid: 3, about x, y, '
                'z; 0 pins an axis.'
            )
        if len(self.camera_extrinsics) not in (0, 6):
            raise InvalidParameterError(
                f'camera_extrinsics has {len(self.camera_extrinsics)} values; valid: 6, or none.'
            )


def check_frame_count(context_frames: int, horizon: int) -> None:
    """Raise InvalidParameterError where history and horizon exceed what the predictor can hold."""
    if context_frames + horizon > MAX_FRAMES:
        raise InvalidParameterError(
            f'{context_frames} context frame(s) and horizon {horizon} are '
            f'{context_frames + horizon} frames; valid: at most {MAX_FRAMES}, and the released '
            f'model has seen no more than {TRAINED_FRAMES}.'
        )


def check_fits(architecture: Architecture, embed_in: int, project_out: int) -> None:
    """Raise ModelLoadError naming both sides if the predictor is of another encoder's width."""
    width = architecture.encoder.width
    if (embed_in, project_out) != (width, width):
        raise ModelLoadError(
            f'the encoder gives tokens of width {width}, the predictor takes {embed_in} and '
            f'returns {project_out}; valid: a predictor trained on this encoder.'
        )
