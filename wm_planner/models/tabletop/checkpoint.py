# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Weights of the tabletop model on disk: ``NAME.safetensors`` beside its model card ``NAME.json``.

The card states the checksum, the architecture, the action space and how the model was trained and
measured. Loading verifies all of it before a tensor is used; no code runs on load.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from wm_planner.core.config import from_mapping
from wm_planner.core.errors import ChecksumError, ModelLoadError, WmPlannerError
from wm_planner.core.types import ActionSpec
from wm_planner.models.tabletop.config import TabletopModelConfig
from wm_planner.models.tabletop.network import TabletopNetwork, check_finite

SHIPPED_WEIGHTS = Path(__file__).parent / 'tabletop.safetensors'
CARD_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What is known about a weights file."""

    sha256: str
    architecture: TabletopModelConfig
    action_spec: ActionSpec
    goal_tolerance: float
    training: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the card as JSON text."""
        spec = self.action_spec
        content = {
            'format': CARD_FORMAT,
            'sha256': self.sha256,
            'architecture': asdict(self.architecture),
            'action_spec': {
                'names': list(spec.names),
                'low': spec.low.tolist(),
                'high': spec.high.tolist(),
                'step_duration_s': spec.step_duration_s,
            },
            'goal_tolerance': self.goal_tolerance,
            'training': self.training,
            'measured': self.measured,
        }
        return json.dumps(content, indent=2) + '\n'

    @classmethod
    def load(cls, path: Path) -> ModelCard:
        """Read a card. Raises ModelLoadError naming the file and what is wrong with it."""
        try:
            content = json.loads(path.read_text())
            if content['format'] != CARD_FORMAT:
                raise ModelLoadError(
                    f'model card {path} has format {content["format"]}; valid: {CARD_FORMAT}.'
                )
            spec = content['action_spec']
            return cls(
                sha256=content['sha256'],
                architecture=from_mapping(TabletopModelConfig, content['architecture']),
                action_spec=ActionSpec(
                    low=np.asarray(spec['low']),
                    high=np.asarray(spec['high']),
                    names=tuple(spec['names']),
                    step_duration_s=float(spec['step_duration_s']),
                ),
                goal_tolerance=float(content['goal_tolerance']),
                training=content['training'],
                measured=content['measured'],
            )
        except OSError as error:
            raise ModelLoadError(
                f'model card {path} cannot be read ({error.strerror}); every weights file has one '
                'beside it, written by: wm_planner train tabletop.'
            ) from error
        except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise ModelLoadError(f'model card {path} is damaged: {error!r}.') from error
        except WmPlannerError as error:
            if isinstance(error, ModelLoadError):
                raise
            raise ModelLoadError(f'model card {path}: {error.message}') from error


def shipped_weights(weights: str | Path) -> Path:
    """Return the shipped file that a bare name such as ``tabletop_cameras`` stands for, or a path.

    A name that does not ship is taken for a path.
    """
    path = Path(weights)
    shipped = SHIPPED_WEIGHTS.parent / f'{path.name}.safetensors'
    is_bare = str(weights) == path.stem
    return shipped if is_bare and shipped.is_file() else path


def card_path(weights: Path) -> Path:
    """Return where the card of a weights file is."""
    return weights.with_suffix('.json')


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def save_weights(
    network: TabletopNetwork,
    path: Path,
    *,
    action_spec: ActionSpec,
    goal_tolerance: float,
    training: dict[str, Any],
    measured: dict[str, Any],
) -> ModelCard:
    """Write weights and card; return the card."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: t.detach().cpu().contiguous() for name, t in network.state_dict().items()}
    save_file(tensors, path, metadata={'model': 'wm_planner/tabletop'})
    card = ModelCard(
        sha256=sha256_of(path),
        architecture=network.config,
        action_spec=action_spec,
        goal_tolerance=goal_tolerance,
        training=training,
        measured=measured,
    )
    card_path(path).write_text(card.to_json())
    return card


def load_weights(path: Path) -> tuple[TabletopNetwork, ModelCard]:
    """Return the network and its card.

    Raises ModelLoadError for a missing, truncated or foreign file and for weights that do not fit
    the card's architecture or are not finite; ChecksumError for a file that is not the card's.
    """
    if not path.is_file():
        raise ModelLoadError(f'weights file {path} does not exist; valid: a .safetensors file.')
    card = ModelCard.load(card_path(path))
    found = sha256_of(path)
    if found != card.sha256:
        raise ChecksumError(
            f'weights file {path} has SHA-256 {found[:16]}..., its card states '
            f'{card.sha256[:16]}...; the file is corrupt or not this model: get it again, or '
            'retrain with: wm_planner train tabletop.'
        )
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelLoadError(f'weights file {path} is not safetensors: {error}.') from error
    network = TabletopNetwork(card.architecture)
    try:
        network.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        raise ModelLoadError(f'weights file {path} does not fit its card: {error}') from error
    bad = check_finite(network)
    if bad:
        raise ModelLoadError(f'weights file {path} holds NaN or infinity in {", ".join(bad[:3])}.')
    return network, card
