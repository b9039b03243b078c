# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Agreement with the reference, measured on tensors that the reference computed.

A golden file holds small seeded weights under the names the trainer gives them, inputs, and what
facebookresearch/vjepa2 (c2963a4, float32 on a CPU) makes of them: encoder, predictor, rollouts,
pose arithmetic. The weights go the way that a user's go, through a weights file and the loader.
Plans are compared where planning and models meet (``wm_planner.tools.model_parity``).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
import tempfile
from typing import Any

from safetensors import SafetensorError, safe_open
import torch
from torch import Tensor

from wm_planner.core.errors import ModelLoadError
from wm_planner.models.vjepa2_ac.checkpoint import PARTS, write_weights
from wm_planner.models.vjepa2_ac.config import VJepa2AcConfig
from wm_planner.models.vjepa2_ac.conversion import Hints, clean_state_dict, infer_architecture
from wm_planner.models.vjepa2_ac.model import VJepa2AcWorldModel
from wm_planner.models.vjepa2_ac.poses import actions_between, next_states

TOKEN_BOUND = 2e-5
POSE_BOUND = 1e-6
ACTION_BOUND = 1e-5

_LAYOUT = 'valid: the layout of test/data/README.md.'


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """The largest absolute difference of one group of tensors, and what it may be."""

    group: str
    max_difference: float
    bound: float

    @property
    def is_within(self) -> bool:
        """Return whether the difference is within its bound; NaN is not."""
        return self.max_difference <= self.bound


class Group(dict[str, Any]):
    """Values of a golden file by the rest of their keys; a missing one is the file's fault."""

    def __init__(self, name: str, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.name = name

    def __missing__(self, key: str) -> Any:
        raise ModelLoadError(f'the golden file lacks {self.name}/{key}; {_LAYOUT}')


@dataclass(frozen=True, kw_only=True)
class Golden:
    """A golden file: its tensors by key, and the sizes that no tensor tells."""

    tensors: Mapping[str, Tensor]
    hints: Hints

    @classmethod
    def load(cls, path: Path) -> Golden:
        """Read a golden file; raises ModelLoadError."""
        if not path.is_file():
            raise ModelLoadError(f'golden file {path} does not exist; valid: a .safetensors file.')
        try:
            with safe_open(path, framework='pt') as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
                sizes = ast.literal_eval((file.metadata() or {})['config'])
            hints = Hints(
                encoder_heads=sizes['eh'], predictor_heads=sizes['ph'], image_size=sizes['img']
            )
        except (SafetensorError, OSError) as error:
            raise ModelLoadError(f'{path} is not safetensors: {error}') from error
        except (KeyError, ValueError, SyntaxError, TypeError) as error:
            raise ModelLoadError(
                f'{path} has no sizes in its metadata ({error}); valid: a golden file, with '
                "'config' holding img, eh and ph."
            ) from error
        return cls(tensors=tensors, hints=hints)

    def group(self, prefix: str) -> Group:
        """Return the tensors under ``prefix``/ by the rest of their keys."""
        found = {k: t for k, t in self.tensors.items() if k.startswith(f'{prefix}/')}
        return Group(prefix, {key[len(prefix) + 1 :]: t for key, t in found.items()})

    def members(self, prefix: str) -> list[str]:
        """Return the groups directly under ``prefix``/, sorted; raises ModelLoadError for none."""
        found = sorted({key.split('/')[0] for key in self.group(prefix)})
        if not found:  # else a file that holds nothing would agree with everything
            raise ModelLoadError(f'the golden file lacks {prefix}/; {_LAYOUT}')
        return found

    def load_model(self) -> VJepa2AcWorldModel:
        """Return the model of the golden weights, float32 on a CPU, by way of a weights file."""
        states = {part: clean_state_dict(self.group(f'weights/{part}')) for part in PARTS}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / 'golden.safetensors'
            architecture = infer_architecture(states, self.hints)
            write_weights(states, path, architecture=architecture, dtype='float32', source={})
            config = VJepa2AcConfig(weights=str(path), precision='float32', compile='off')
            return VJepa2AcWorldModel.load(config, 'cpu')


@torch.inference_mode()
def compare(golden: Golden, model: VJepa2AcWorldModel) -> Iterator[Agreement]:
    """Yield the agreement of every group that networks and poses alone can compute."""
    for part in (_compare_encoder, _compare_predictor, _compare_rollouts, _compare_poses):
        yield from part(golden, model)


def agreement(group: str, ours: Tensor, theirs: Tensor, bound: float) -> Agreement:
    """Return how far two tensors of one shape are apart."""
    if ours.shape != theirs.shape:
        raise ModelLoadError(
            f'{group} has shape {tuple(theirs.shape)} in the golden file; valid: '
            f'{tuple(ours.shape)}.'
        )
    difference = float((ours.double() - theirs.double()).abs().max())
    return Agreement(group=group, max_difference=difference, bound=bound)


def _compare_encoder(golden: Golden, model: VJepa2AcWorldModel) -> Iterator[Agreement]:
    case, encoder = golden.group('encoder'), model.encoder
    twice = case['images'].unsqueeze(2).expand(-1, -1, 2, -1, -1)
    normalised = encoder.encode_frames(case['images'])
    for name, ours in (
        ('tokens', encoder(twice)),
        ('tokens_normalised', normalised),
        ('video_tokens', encoder(case['video'])),
    ):
        yield agreement(f'encoder/{name}', ours, case[name], TOKEN_BOUND)


def _compare_predictor(golden: Golden, model: VJepa2AcWorldModel) -> Iterator[Agreement]:
    for name in golden.members('predictor'):
        case = golden.group(f'predictor/{name}')
        frames = case['actions'].shape[1]
        tokens = case['reps'].unflatten(1, (frames, -1))
        ours = model.predictor(tokens, case['actions'], case['states']).flatten(1, 2)
        yield agreement(f'predictor/{name}', ours, case['out'], TOKEN_BOUND)


def _compare_rollouts(golden: Golden, model: VJepa2AcWorldModel) -> Iterator[Agreement]:
    for name in golden.members('rollout'):
        case, group = golden.group(f'rollout/{name}'), f'rollout/{name}'
        context = model.context(
            case['context_tokens'], case['context_poses'].numpy(), case['past_actions'].numpy()
        )
        tokens, states = model.predict(context, case['actions'])
        last = (tokens[:, -1] - case['goal_tokens']).abs().mean(dim=(-2, -1))
        yield agreement(f'{group}/tokens', tokens, case['predicted_tokens'], TOKEN_BOUND)
        yield agreement(f'{group}/poses', states, case['predicted_poses'], POSE_BOUND)
        yield agreement(f'{group}/energy', last, case['energy_last'], TOKEN_BOUND)


def _compare_poses(golden: Golden, model: VJepa2AcWorldModel) -> Iterator[Agreement]:
    case = golden.group('pose')
    after = next_states(case['state'].double(), case['action'].double())
    between = actions_between(case['diff_from'].double(), case['diff_to'].double())
    yield agreement('pose/next_state', after, case['next_state'], POSE_BOUND)
    yield agreement('pose/difference', between, case['diff'], POSE_BOUND)
