# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The energy landscape: how good the planner thinks each displacement of the tool would be."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
import math
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch

from wm_planner.core.config import parameter, validate
from wm_planner.core.errors import InvalidParameterError, PlannerFailedError
from wm_planner.core.geometry import Array
from wm_planner.core.types import ActionKind, ActionSpec, Goal, Observation, RobotState
from wm_planner.planning.scoring import Scorer

SLICES = ('xy', 'xz')
_AXES = (ActionKind.DX.value, ActionKind.DY.value, ActionKind.DZ.value)


@dataclass(frozen=True, kw_only=True)
class LandscapeConfig:
    """Size and detail of the slices."""

    resolution: int = parameter(21, 'points along a side of a slice', low=3, high=201)
    extent_m: float = parameter(
        0.0,
        'half the side of a slice [m]; 0 = what one step may move. Beyond one step a displacement '
        'is made in several equal ones',
        low=0.0,
        high=1.0,
    )
    chunk_samples: int = parameter(
        64, 'displacements scored at once: how long a plan may have to wait', low=1, high=100_000
    )

    def __post_init__(self) -> None:
        validate(self)


@runtime_checkable
class HasScorer(Protocol):
    """A planner that says what it thinks of any actions; policies do not."""

    def scorer(self, observation: Observation, goal: Goal) -> Scorer:
        """Return the scorer of ``observation`` against ``goal``."""


@dataclass(frozen=True, kw_only=True)
class Landscape:
    """Energies [n, n] of displacements in two slices through the tool.

    ``xy[i, j]`` is that of (offsets_m[i], offsets_m[j], 0), ``xz[i, j]`` of (offsets_m[i], 0,
    offsets_m[j]), in base_frame. ``energy_now`` is the energy of where the tool is; ``steps`` says
    in how many equal actions a displacement is made, 0 = not known.
    """

    goal_id: str
    stamp_ns: int
    state: RobotState
    steps: int
    offsets_m: Array
    xy: Array
    xz: Array
    energy_now: float

    def points(self) -> npt.NDArray[np.float32]:
        """Return [2 n n, 4]: position in base_frame [m] and energy, slice xy first."""
        count = len(self.offsets_m)
        first, second = np.meshgrid(self.offsets_m, self.offsets_m, indexing='ij')
        zero = np.zeros(count * count)
        xy = np.stack([first.ravel(), second.ravel(), zero, self.xy.ravel()], axis=1)
        xz = np.stack([first.ravel(), zero, second.ravel(), self.xz.ravel()], axis=1)
        points = np.concatenate([xy, xz])
        points[:, :3] += self.state.position_m
        return points.astype(np.float32)

    def minimum(self, name: str) -> Array:
        """Return the displacement [3] of lowest energy in a slice [m]; NaN where none is finite."""
        energies: Array = getattr(self, name)
        if not np.any(np.isfinite(energies)):
            return np.full(3, np.nan)
        i, j = np.unravel_index(int(np.nanargmin(energies)), energies.shape)
        first, second = float(self.offsets_m[i]), float(self.offsets_m[j])
        return np.array([first, second, 0.0] if name == 'xy' else [first, 0.0, second])


def landscape(
    planner: object, observation: Observation, goal: Goal, config: LandscapeConfig | None = None
) -> Generator[None, None, Landscape]:
    """Compute the landscape bit by bit, yielding after each chunk; returns it in the end.

    To be run on the planning thread, which may do something else at each yield. Only the tool is
    displaced: rotations are none, the gripper does what the goal pins it to, or stays. Raises
    PlannerFailedError for a planner without energies, InvalidParameterError for a world model whose
    actions do not move the tool along x, y and z.
    """
    settings = config or LandscapeConfig()
    if not isinstance(planner, HasScorer):
        raise PlannerFailedError(
            f'{type(planner).__name__} has no energies; valid: a planner on a world model.'
        )
    scorer = planner.scorer(observation, goal)
    yield
    offsets, steps = _offsets(scorer.spec, settings)
    first, second = np.meshgrid(offsets, offsets, indexing='ij')
    zero = np.zeros_like(first)
    slices = ((first, second, zero), (first, zero, second))
    displacements = np.concatenate([np.stack(axes, axis=-1).reshape(-1, 3) for axes in slices])
    energies: list[Array] = []
    device = scorer.goal.device
    for begin in range(0, len(displacements), settings.chunk_samples):
        actions = displacement_actions(
            displacements[begin : begin + settings.chunk_samples],
            scorer.spec,
            observation.state,
            steps,
        )
        predicted = scorer.latents(torch.tensor(actions, dtype=torch.float32, device=device))
        energies.append(scorer.distance(predicted[:, -1]).double().cpu().numpy())
        yield
    found = np.concatenate(energies).reshape(len(SLICES), *first.shape)
    return Landscape(
        goal_id=goal.goal_id,
        stamp_ns=observation.stamp_ns,
        state=observation.state,
        steps=steps,
        offsets_m=offsets,
        xy=found[0],
        xz=found[1],
        energy_now=float(scorer.distance(scorer.now)),
    )


def run_landscape(
    planner: object, observation: Observation, goal: Goal, config: LandscapeConfig | None = None
) -> Landscape:
    """Compute the landscape at once."""
    work = landscape(planner, observation, goal, config)
    while True:
        try:
            next(work)
        except StopIteration as done:
            found: Landscape = done.value
            return found


def displacement_actions(
    displacements_m: Array, spec: ActionSpec, state: RobotState, steps: int
) -> Array:
    """Return action sequences [S, steps, A] that move the tool by ``displacements_m`` [S, 3]."""
    actions = np.zeros((len(displacements_m), steps, spec.size))
    for axis, name in enumerate(_AXES):
        actions[:, :, spec.names.index(name)] = displacements_m[:, axis, None] / steps
    for index, name in enumerate(spec.names):
        is_pinned = spec.low[index] == spec.high[index]
        if name == ActionKind.GRIPPER.value:
            actions[:, :, index] = spec.low[index] if is_pinned else state.gripper_closedness
        elif name == ActionKind.DGRIPPER.value and is_pinned:
            actions[:, 0, index] = spec.low[index]
    return actions


def _offsets(spec: ActionSpec, config: LandscapeConfig) -> tuple[Array, int]:
    """Return the offsets along an axis [n] and in how many steps the farthest is reached."""
    missing = [name for name in _AXES if name not in spec.names]
    if missing:
        raise InvalidParameterError(
            f'the actions {", ".join(spec.names)} lack {", ".join(missing)}; valid: a world model '
            'whose actions move the tool along x, y and z.'
        )
    bounds = [_bound(spec, spec.names.index(name)) for name in _AXES]
    extent = config.extent_m or min(bounds)
    steps = max(1, math.ceil(extent / min(bounds) - 1e-9))
    return np.linspace(-extent, extent, config.resolution), steps


def _bound(spec: ActionSpec, index: int) -> float:
    bound = min(-float(spec.low[index]), float(spec.high[index]))
    if bound <= 0.0:
        raise InvalidParameterError(
            f'{spec.names[index]} lies in {spec.low[index]:g} .. {spec.high[index]:g}; valid: '
            'bounds on both sides of 0.'
        )
    return bound
