# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""From the trainer's checkpoint to a weights file.

The released checkpoint (about 11.7 GB) holds two copies of the encoder, the predictor and the
optimizer's state, as a pickle. ``convert`` keeps encoder and predictor, strips the prefixes of
distributed training, and writes them tensor by tensor, so that memory never holds more than one.
The pickle is read without running its code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
import ctypes
from dataclasses import dataclass
import mmap
from pathlib import Path
import pickle
from typing import Any

import torch
from torch import Tensor

from wm_planner.core.errors import InvalidParameterError, ModelLoadError
from wm_planner.models.vjepa2_ac.checkpoint import PARTS, Manifest, digest_of, write_weights
from wm_planner.models.vjepa2_ac.config import (
    ENCODERS,
    RELEASED_PREDICTOR,
    Architecture,
    TransformerConfig,
    check_fits,
)
from wm_planner.models.vjepa2_ac.network import Encoder, Predictor

_PREFIXES = ('module.', 'backbone.')  # of DistributedDataParallel and of the trainer's wrapper
_UNUSED = 'pos_embed'  # some checkpoints hold a position table that rotary networks do not use


@dataclass(frozen=True, kw_only=True)
class Hints:
    """What no tensor of a checkpoint says. None: as released for weights of that width."""

    encoder_heads: int | None = None
    predictor_heads: int | None = None
    image_size: int = 256
    rope: str = 'tiled'
    rope_grid: int = 0
    use_extrinsics: bool = False


def convert(
    source: Path, target: Path, *, dtype: str = 'bfloat16', hints: Hints | None = None
) -> Manifest:
    """Write the encoder and predictor of a trainer's checkpoint to ``target``; return the manifest.

    Raises ModelLoadError for a file that is missing, truncated, foreign or holds NaN, and for an
    encoder and a predictor that do not belong together; InvalidParameterError for a target that
    cannot be written. ``target`` appears only when it is whole.
    """
    if target.resolve() == source.resolve():
        raise InvalidParameterError(
            f'{target} is the checkpoint itself, which would be lost; valid: another file.'
        )
    with _opened_checkpoint(source) as content:
        states = {part: clean_state_dict(_part(content, part, source)) for part in PARTS}
        _check_kind(states, source)
        architecture = infer_architecture(states, hints or Hints())
        _check_keys(states, architecture, str(source))
        origin = {
            'file': source.name,
            'bytes': source.stat().st_size,
            'sha256': _sha256(source),
        }
        return write_weights(
            states,
            target,
            architecture=architecture,
            dtype=dtype,
            source=origin,
            release=_drop_mapped_pages,
        )


def clean_state_dict(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict without training prefixes and without an unused position table."""
    cleaned = {}
    for key, tensor in state.items():
        name = key
        for prefix in _PREFIXES:
            name = name.replace(prefix, '')
        if name != _UNUSED:
            cleaned[name] = tensor
    return cleaned


def infer_architecture(states: Mapping[str, Mapping[str, Tensor]], hints: Hints) -> Architecture:
    """Return the sizes that the tensors' shapes tell, and the hints for what they do not.

    Raises ModelLoadError where the two networks do not fit each other or heads are unknown.
    """
    encoder, predictor = states['encoder'], states['predictor']
    try:
        kernel = encoder['patch_embed.proj.weight']  # [W, 3, tubelet, patch, patch]
        embed, project = predictor['predictor_embed.weight'], predictor['predictor_proj.weight']
        architecture = Architecture(
            encoder=_sizes('encoder', encoder, 'blocks', kernel.shape[0], hints),
            predictor=_sizes('predictor', predictor, 'predictor_blocks', embed.shape[0], hints),
            image_size=hints.image_size,
            patch_size=kernel.shape[3],
            tubelet_frames=kernel.shape[2],
            use_extrinsics=hints.use_extrinsics,
        )
    except KeyError as error:
        raise ModelLoadError(f'the checkpoint lacks {error}; valid: V-JEPA 2-AC.') from error
    except (IndexError, ValueError) as error:  # too few dimensions, a block without a number
        raise ModelLoadError(
            f'the checkpoint has tensors of other names or shapes ({error}); valid: V-JEPA 2-AC.'
        ) from error
    except InvalidParameterError as error:
        raise ModelLoadError(error.message) from error
    check_fits(architecture, embed.shape[1], project.shape[0])
    return architecture


def _sizes(
    part: str, state: Mapping[str, Tensor], blocks: str, width: int, hints: Hints
) -> TransformerConfig:
    numbers = [int(name.split('.')[1]) for name in state if name.startswith(f'{blocks}.')]
    heads = hints.encoder_heads if part == 'encoder' else hints.predictor_heads
    if heads is None:
        released = ENCODERS.values() if part == 'encoder' else (RELEASED_PREDICTOR,)
        heads = next((config.heads for config in released if config.width == width), None)
    if heads is None:
        raise ModelLoadError(
            f'the {part} is {width} wide, which no released one is, so its number of attention '
            f'heads is not known; valid: give it (--{part}-heads).'
        )
    return TransformerConfig(
        width=width,
        depth=max(numbers, default=-1) + 1,
        heads=heads,
        mlp_hidden=state[f'{blocks}.0.mlp.fc1.weight'].shape[0],
        rope=hints.rope,
        rope_grid=hints.rope_grid,
    )


@contextmanager
def _opened_checkpoint(path: Path) -> Iterator[Mapping[str, Any]]:
    if not path.is_file():
        raise ModelLoadError(f'checkpoint {path} does not exist; valid: e.g. vjepa2-ac-vitg.pt.')
    try:
        content = torch.load(path, map_location='cpu', mmap=True, weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelLoadError(
            f'{path} holds more than tensors and plain values, and loading those could run '
            f'foreign code: {str(error).splitlines()[0]}'
        ) from error
    except (RuntimeError, OSError, ValueError, EOFError) as error:
        raise ModelLoadError(
            f'{path} is truncated or no checkpoint of torch.save (zip format): '
            f'{str(error).splitlines()[0]}'
        ) from error
    if not isinstance(content, Mapping):
        raise ModelLoadError(
            f'{path} holds a {type(content).__name__}; valid: the mapping that the V-JEPA 2-AC '
            "trainer writes, with 'encoder' and 'predictor'."
        )
    yield content


def _part(content: Mapping[str, Any], part: str, source: Path) -> Mapping[str, Tensor]:
    state = content.get(part)
    if isinstance(state, Mapping) and all(isinstance(t, Tensor) for t in state.values()):
        return state
    keys = ', '.join(sorted(map(str, content))[:8])
    raise ModelLoadError(
        f'{source} has no state dict {part!r}; it holds {keys or "nothing"}; valid: a checkpoint '
        "of the V-JEPA 2-AC trainer, with 'encoder' and 'predictor'."
    )


def _check_kind(states: Mapping[str, Mapping[str, Tensor]], source: Path) -> None:
    """Say what the two likely other files are, where their keys give them away."""
    predictor = states['predictor']
    if 'mask_tokens.0' in predictor or 'action_encoder.weight' not in predictor:
        raise ModelLoadError(
            f'{source} has a predictor without actions (pre-training); valid: the '
            'action-conditioned checkpoint, e.g. vjepa2-ac-vitg.pt.'
        )
    if 'state_encoder.weight' not in predictor:
        raise ModelLoadError(
            f'{source} has a predictor without state tokens, as the jepa-wms project retrains it; '
            'valid: V-JEPA 2-AC with action and state tokens.'
        )


def _check_keys(
    states: Mapping[str, Mapping[str, Tensor]], architecture: Architecture, where: str
) -> None:
    """Raise ModelLoadError unless names and shapes are those of the architecture, no more or less.

    The networks are built without memory for it.
    """
    with torch.device('meta'):
        networks = {'encoder': Encoder(architecture), 'predictor': Predictor(architecture)}
    for part, network in networks.items():
        expected = {name: tuple(t.shape) for name, t in network.state_dict().items()}
        found = {name: tuple(t.shape) for name, t in states[part].items()}
        missing, surplus = sorted(expected.keys() - found), sorted(found.keys() - expected)
        other = [n for n in expected if n in found and expected[n] != found[n]]
        if missing or surplus:
            raise ModelLoadError(
                f'{where}: the {part} lacks {missing[:3] or "nothing"} and has '
                f'{surplus[:3] or "nothing"} too much for depth '
                f'{getattr(architecture, part).depth}; valid: V-JEPA 2-AC.'
            )
        if other:
            raise ModelLoadError(
                f'{where}: {part}.{other[0]} has shape {found[other[0]]}; valid: '
                f'{expected[other[0]]} for width {getattr(architecture, part).width}.'
            )


def _drop_mapped_pages(tensor: Tensor) -> None:
    """Let go of the pages of a tensor that ``torch.load(mmap=True)`` mapped from a file.

    Memory then holds one tensor at a time; a later look would read the file again. For a tensor in
    ordinary memory this would be wrong: the kernel would hand back zeros.
    """
    start, length = tensor.data_ptr(), tensor.numel() * tensor.element_size()
    first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
    whole = (start + length - first) // mmap.PAGESIZE * mmap.PAGESIZE
    if whole > 0:
        ctypes.CDLL(None).madvise(
            ctypes.c_void_p(first), ctypes.c_size_t(whole), mmap.MADV_DONTNEED
        )


def _sha256(path: Path) -> str:
    with path.open('rb') as file:
        return digest_of(file)
