# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""From a demonstration to sub-goals: which of its frames a planner has to be shown.

A planner goes straight: it takes whatever lowers the distance to the goal's picture now. So it has
to be shown the frames at which the demonstration does something else than go on: where the gripper
begins and ends to move, where the latent pauses, and where its velocity turns. Nothing in between.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from wm_planner.core.config import parameter, validate
from wm_planner.core.errors import DemonstrationError
from wm_planner.core.geometry import Array

Latents = npt.NDArray[np.float32]

FINAL, GRIPPER_BEFORE, GRIPPER_AFTER, TURN, PAUSE = (
    'final',
    'gripper moves next',
    'gripper has moved',
    'turn',
    'pause',
)


@dataclass(frozen=True, kw_only=True)
class ExtractionConfig:
    """When a frame counts as a change."""

    most: int = parameter(6, 'most sub-goals, the final one included', low=1, high=100)
    turn_cosine: float = parameter(
        0.4, 'cosine between latent velocities below which the way turns', low=-1.0, high=1.0
    )
    pause_share: float = parameter(
        0.25, 'share of the median latent speed below which it pauses', low=0.0, high=1.0
    )
    gripper_change: float = parameter(
        0.05, 'change of closedness between frames that is a motion', low=0.001, high=1.0
    )
    least_motion: float = parameter(
        0.1, "way from the first latent, in latents' own size, below which nothing moves", low=0.0
    )

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True, kw_only=True)
class SubGoal:
    """A frame to show: its index, why, and how much it matters (less is dropped first)."""

    index: int
    reason: str
    weight: float


def find_sub_goals(
    latents: Latents, closedness: Array | None, config: ExtractionConfig | None = None
) -> list[SubGoal]:
    """Return the frames to show of a demonstration, in order; the last is its final frame.

    ``latents`` [F, K] of frames about a step apart; ``closedness`` [F] of the gripper where it was
    recorded. Raises DemonstrationError for fewer than three frames and where nothing moves.
    """
    settings = config or ExtractionConfig()
    if len(latents) < 3:
        raise DemonstrationError(
            f'the demonstration has {len(latents)} frames a step apart; valid: at least 3.'
        )
    events = [] if closedness is None else _gripper_events(closedness, settings.gripper_change)
    size = float(np.sqrt(np.mean(np.square(latents))))
    moved = _rms(latents - latents[0]).max()
    if moved < settings.least_motion * size and not events:
        raise DemonstrationError(
            f'nothing moves in the demonstration: its latents stay within {moved:.3g}, valid: at '
            f'least {settings.least_motion * size:.3g} (least_motion), or a motion of the gripper.'
        )
    last = len(latents) - 1
    found = {event.index: event for event in events if 0 < event.index < last}
    for candidate in _changes(latents, settings):
        near = range(candidate.index - 1, candidate.index + 2)
        if candidate.index < last and not any(index in found for index in near):
            found[candidate.index] = candidate
    still = settings.least_motion * size
    kept = [  # what looks like the end, or like the start before anything happened, shows nothing
        goal
        for goal in found.values()
        if goal.reason.startswith('gripper')
        or (
            _rms(latents[goal.index] - latents[last]) > still
            and _rms(latents[goal.index] - latents[0]) > still
        )
    ]
    kept.sort(key=lambda goal: -goal.weight)
    chosen = sorted(kept[: settings.most - 1], key=lambda goal: goal.index)
    return [*chosen, SubGoal(index=last, reason=FINAL, weight=np.inf)]


def settled_index(latents: Latents, config: ExtractionConfig | None = None) -> int:
    """Return the first frame from which on nothing changes any more."""
    settings = config or ExtractionConfig()
    still = settings.least_motion * float(np.sqrt(np.mean(np.square(latents))))
    away = np.flatnonzero(_rms(latents - latents[-1]) > still)
    return int(away[-1]) + 1 if away.size else 0


def _gripper_events(closedness: Array, change: float) -> list[SubGoal]:
    """Return the frames before and after each motion of the gripper."""
    is_moving = np.abs(np.diff(closedness)) > change
    events = []
    for index, moves in enumerate(is_moving):
        if not moves:
            continue
        if index == 0 or not is_moving[index - 1]:
            events.append(SubGoal(index=index, reason=GRIPPER_BEFORE, weight=10.0))
        if index + 1 == len(is_moving) or not is_moving[index + 1]:
            events.append(SubGoal(index=index + 1, reason=GRIPPER_AFTER, weight=10.0))
    return events


def _changes(latents: Latents, config: ExtractionConfig) -> list[SubGoal]:
    """Return pauses and turns of the latent's way, the sharpest of neighbours alone."""
    velocity = np.diff(latents, axis=0)  # [F - 1, K]; [i] leads from frame i to i + 1
    speed = _rms(velocity)
    moving = speed[speed > 0.1 * speed.max()]
    usual = float(np.median(moving)) if moving.size else 0.0
    slow = config.pause_share * usual
    cosines = np.ones(len(latents))
    for index in range(1, len(velocity)):
        if min(speed[index - 1], speed[index]) > slow:
            scale = np.linalg.norm(velocity[index - 1]) * np.linalg.norm(velocity[index])
            cosines[index] = float(velocity[index - 1] @ velocity[index] / scale)
    found = []
    for index in range(1, len(latents) - 1):
        is_sharpest = cosines[index] <= min(cosines[index - 1], cosines[index + 1])
        if cosines[index] < config.turn_cosine and is_sharpest:
            found.append(SubGoal(index=index, reason=TURN, weight=1.0 - float(cosines[index])))
        elif speed[index - 1] > slow >= speed[index]:
            found.append(SubGoal(index=index, reason=PAUSE, weight=1.0))
    return sorted(found, key=lambda goal: -goal.weight)


def _rms(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    result: npt.NDArray[np.float32] = np.sqrt(np.mean(np.square(values), axis=-1))
    return result
