# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""V-JEPA 2-AC's own predictor and search beside ours: same weights, same draws, one process.

The reference is a checkout of facebookresearch/vjepa2 that the user names; nothing of it is part of
this package. Rounds alternate between the two, so that whatever else the machine does meets both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import importlib.util
import logging
from pathlib import Path
import statistics
import sys
import time
import types
from typing import Any
import warnings

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from wm_planner.core.errors import MissingAssetError
from wm_planner.evaluation.threads import planning_threads
from wm_planner.models.vjepa2_ac.config import Architecture, VJepa2AcConfig, transformer
from wm_planner.models.vjepa2_ac.model import VJepa2AcWorldModel
from wm_planner.models.vjepa2_ac.network import Encoder, Predictor
from wm_planner.planning.objectives import ObjectiveConfig, make_objective
from wm_planner.planning.shooting import ShootingEnergy
from wm_planner.tools.model_parity import reference_plan

HORIZONS = (1, 2, 4, 7)
SAMPLES = 16
TOPK, CEM_STEPS, MAXNORM = 4, 2, 0.075
_SHORT = 2
_NEEDED = ('scipy', 'tqdm')
_REACH = (MAXNORM, MAXNORM, MAXNORM, 0.0, 0.0, 0.0, 0.75)
_POSE = (0.45, 0.1, 0.3, 3.0, 0.1, -0.2, 0.3)


def measure_reference(
    folder: Path, *, width: int = 384, depth: int = 6, samples: int = SAMPLES, rounds: int = 5
) -> dict[str, Any]:
    """Time rollouts of both at horizons 1, 2, 4 and 7, searches at 1 and 2; compare what they find.

    ``folder`` is the checkout. Raises MissingAssetError where it or a package it needs is missing.
    """
    with _imported(folder) as reference, torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter('ignore', FutureWarning)  # of the reference, at every attention
        pair = _Pair(reference, width=width, depth=depth, samples=samples)
        with planning_threads() as threads:
            rows = [pair.measure(horizon, rounds) for horizon in HORIZONS]
    return {
        'reference': 'facebookresearch/vjepa2',
        'predictor': {'width': width, 'depth': depth, 'tokens': pair.tokens},
        'samples': samples,
        'rounds': rounds,
        'torch_threads': threads,
        'rows': rows,
    }


class _Pair:
    """Both predictors with the same weights, and the same start and goal."""

    def __init__(
        self, reference: types.SimpleNamespace, *, width: int, depth: int, samples: int
    ) -> None:
        sizes = transformer(width, depth, width // 64)
        architecture = Architecture(encoder=transformer(width, 1, width // 64), predictor=sizes)
        self.tokens = architecture.tokens_per_frame
        self._cem, self._next_pose = reference.cem, reference.compute_new_pose
        self._samples = samples
        side = (architecture.image_size,) * 2
        torch.manual_seed(0)
        self._theirs = reference.vit_ac_predictor(
            img_size=side,
            patch_size=architecture.patch_size,
            num_frames=64,
            tubelet_size=architecture.tubelet_frames,
            embed_dim=width,
            predictor_embed_dim=width,
            depth=depth,
            num_heads=sizes.heads,
        ).eval()
        ours = Predictor(architecture).eval().requires_grad_(False)
        ours.load_state_dict(self._theirs.state_dict(), strict=True)
        self._model = VJepa2AcWorldModel(
            Encoder(architecture).eval(),
            ours,
            VJepa2AcConfig(compile='off'),
            device=torch.device('cpu'),
        )
        self._frame, self._goal = (
            F.layer_norm(torch.randn(self.tokens, width), (width,)) for _ in range(2)
        )
        self._pose = torch.tensor(_POSE)

    def measure(self, horizon: int, rounds: int) -> dict[str, Any]:
        """Return times, ratios (theirs over ours) and differences at one horizon."""
        draws = torch.rand(self._samples, horizon, 7)
        actions = (2.0 * draws - 1.0) * torch.tensor(_REACH)
        few = max(2, rounds // 2)
        is_short = horizon <= _SHORT  # the reference takes a minute for one long plan
        energies = _alternate(
            lambda: self._their_energies(actions),
            lambda: self._our_energies(actions),
            rounds if is_short else few,
        )
        row = {
            'horizon': horizon,
            'frame_blocks_alone': (horizon + 1) / 2.0,
            'rollouts': energies,
        }
        if is_short:
            row['plan'] = _alternate(
                lambda: self._their_plan(horizon), lambda: self._our_plan(horizon), few
            )
        return row

    def _step(self, reps: Tensor, actions: Tensor, poses: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the next frame as the reference's WorldModel does."""
        tokens = self._theirs(reps.flatten(1, 2), actions, poses)[:, -self.tokens :]
        tokens = F.layer_norm(tokens, (tokens.size(-1),))
        return tokens.unsqueeze(1), self._next_pose(poses[:, -1:], actions[:, -1:])

    def _their_energies(self, actions: Tensor) -> Tensor:
        frames = self._frame.repeat(self._samples, 1, 1, 1)
        poses = self._pose.repeat(self._samples, 1, 1)
        for step in range(actions.shape[1]):
            frame, pose = self._step(frames, actions[:, : step + 1], poses)
            frames, poses = torch.cat([frames, frame], 1), torch.cat([poses, pose], 1)
        goal = self._goal.repeat(self._samples, 1, 1)
        return torch.mean(torch.abs(frames[:, -1].flatten(1) - goal.flatten(1)), dim=-1)

    def _our_energies(self, actions: Tensor) -> Tensor:
        objective = make_objective(ObjectiveConfig(name='l1'), horizon=actions.shape[1])
        state = self._model.context(self._frame[None], self._pose[None].numpy())
        return ShootingEnergy(self._model, objective, state=state, goal_latent=self._goal)(actions)

    def _their_plan(self, horizon: int) -> Tensor:
        torch.manual_seed(1)  # the reference draws from the global generator
        found: Tensor = self._cem(
            context_frame=self._frame[None, None],
            context_pose=self._pose[None, None],
            goal_frame=self._goal[None, None],
            world_model=self._step,
            rollout=horizon,
            cem_steps=CEM_STEPS,
            momentum_mean=0.15,
            momentum_std=0.15,
            samples=self._samples,
            topk=TOPK,
            maxnorm=MAXNORM,
        )[0]
        return found

    def _our_plan(self, horizon: int) -> Tensor:
        torch.manual_seed(1)
        draws = [torch.randn(self._samples, 4) for _ in range(CEM_STEPS * horizon)]
        settings = {
            'samples': self._samples,
            'topk': TOPK,
            'cem_steps': CEM_STEPS,
            'rollout': horizon,
            'momentum_mean': 0.15,
            'momentum_std': 0.15,
            'maxnorm': MAXNORM,
        }
        case = {
            'context_tokens': self._frame,
            'context_pose': self._pose,
            'goal_tokens': self._goal,
        }
        return reference_plan(
            self._model, case, settings, draws=torch.stack(draws).unflatten(0, (CEM_STEPS, horizon))
        )


def _alternate(
    theirs: Callable[[], Tensor], ours: Callable[[], Tensor], rounds: int
) -> dict[str, Any]:
    """Time both in turn; return medians [s], the median and spread of the paired ratios."""
    pairs, difference = [], 0.0
    for _ in range(1 + rounds):
        begin = time.perf_counter()
        their_result = theirs()
        middle = time.perf_counter()
        our_result = ours()
        pairs.append((middle - begin, time.perf_counter() - middle))
        difference = max(difference, float((their_result - our_result).abs().max()))
    pairs = pairs[1:]  # the first pays for memory and caches
    ratios = [their_s / our_s for their_s, our_s in pairs]
    return {
        'reference_s': statistics.median(pair[0] for pair in pairs),
        'ours_s': statistics.median(pair[1] for pair in pairs),
        'times_faster': statistics.median(ratios),
        'times_faster_p25': float(np.percentile(ratios, 25)),
        'times_faster_p75': float(np.percentile(ratios, 75)),
        'rounds': rounds,
        'max_difference': difference,
    }


@contextmanager
def _imported(folder: Path) -> Iterator[types.SimpleNamespace]:
    """Import the checkout's modules, which call their package ``src``, for as long as needed."""
    if not (folder / 'src/models/ac_predictor.py').is_file():
        raise MissingAssetError(
            f'{folder} is no checkout of the reference; valid: a folder made by: git clone '
            'https://github.com/facebookresearch/vjepa2.'
        )
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingAssetError(
            f'the reference needs {" and ".join(missing)}; install: pip install '
            f'{" ".join(missing)}.'
        )
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        with _stand_in_for_timm():
            predictor = importlib.import_module('src.models.ac_predictor')
            search = importlib.import_module('notebooks.utils.mpc_utils')
        logging.getLogger('notebooks.utils.mpc_utils').setLevel(logging.WARNING)
        search.logger.setLevel(logging.WARNING)  # it logs every iteration
        yield types.SimpleNamespace(
            vit_ac_predictor=predictor.vit_ac_predictor,
            cem=search.cem,
            compute_new_pose=search.compute_new_pose,
        )
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            if name.split('.')[0] in ('src', 'notebooks'):
                del sys.modules[name]


@contextmanager
def _stand_in_for_timm() -> Iterator[None]:
    """Let ``from timm.models.layers import drop_path`` work where timm is not installed.

    It is the one thing the reference takes from there, and does nothing outside training.
    """
    if importlib.util.find_spec('timm') is not None:
        yield
        return
    layers = types.ModuleType('timm.models.layers')
    layers.drop_path = lambda x, *_: x  # type: ignore[attr-defined]
    names = {'timm': types.ModuleType('timm'), 'timm.models': types.ModuleType('timm.models')}
    sys.modules.update({**names, 'timm.models.layers': layers})
    try:
        yield
    finally:
        for name in (*names, 'timm.models.layers'):
            del sys.modules[name]
