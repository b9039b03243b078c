# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of what the pictures show: the crop, the goal, and which way up and round they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
import math

import cv2
import numpy as np

from wm_planner.core.geometry import Array
from wm_planner.core.types import Image
from wm_planner.evaluation.doctor.findings import (
    Check,
    Finding,
    error,
    fine,
    skipped,
    warning,
)
from wm_planner.evaluation.doctor.samples import MoveSample

MAX_CUT = 0.4  # of the picture's area; a square out of 16:9 loses 0.44, out of 4:3 0.25
MIN_LIKENESS = 0.35
FLIP_MARGIN = 0.08
MIN_EXPLAINED = 0.5
_THUMB = 48
_CHANGE = 14  # of 255: what counts as moved
_MIN_CHANGED = 0.002  # share of the picture

_FLIPS: Mapping[str, Callable[[Image], Image]] = {
    'as it is': lambda image: image,
    'mirrored': lambda image: image[:, ::-1],
    'upside down': lambda image: image[::-1, ::-1],
    'upside down and mirrored': lambda image: image[::-1],
}
_HOW_TO_TURN = {
    'mirrored': 'take the horizontal flip out of the camera driver (or put it in)',
    'upside down': 'turn the camera by half a turn, or rotate the picture in its driver',
    'upside down and mirrored': 'take the vertical flip out of the camera driver (or put it in)',
}


@dataclass(frozen=True, kw_only=True)
class ModelInput:
    """What a world model makes of a picture: the part it keeps, and the size it sees that at."""

    size_px: int
    box: tuple[int, int, int, int]  # top, left, height, width of the part [px]

    def preview(self, image: Image) -> Image:
        """Return the picture with the part framed, beside that part as the model sees it."""
        top, left, height, width = self.box
        framed = np.ascontiguousarray(image)
        shade = framed // 3
        shade[top : top + height, left : left + width] = framed[
            top : top + height, left : left + width
        ]
        thick = max(1, image.shape[0] // 120)
        corner = (left + width - 1, top + height - 1)
        cv2.rectangle(shade, (left, top), corner, (90, 220, 90), thick)
        part = framed[top : top + height, left : left + width]
        seen = cv2.resize(part, (self.size_px, self.size_px), interpolation=cv2.INTER_AREA)
        side = image.shape[0]
        seen = cv2.resize(seen, (side, side), interpolation=cv2.INTER_NEAREST)
        gap = np.full((side, max(2, side // 40), 3), 255, np.uint8)
        preview: Image = np.concatenate([shade, gap, seen], axis=1)
        return preview


def check_crop(image: Image | None, seen: ModelInput, preview_file: str) -> list[Finding]:
    """8: whether the model sees enough of the picture, in enough detail."""
    if image is None:
        return []
    height, width = image.shape[:2]
    _, _, part_height, part_width = seen.box
    cut = 1.0 - part_height * part_width / (height * width)
    where = f'; preview: {preview_file}' if preview_file else ''
    what = f'the model sees {part_width}x{part_height} of {width}x{height} px at {seen.size_px} px'
    if min(part_height, part_width) < seen.size_px:
        return [
            error(
                Check.CROP,
                f'{what}: the picture has less detail than the model was trained on{where}.',
                f'set the camera to at least {seen.size_px} px on its shorter side.',
            )
        ]
    if cut > MAX_CUT:
        return [
            error(
                Check.CROP,
                f'{what}: {cut:.0%} of the picture is cut off{where}.',
                'look at the preview; use a narrower picture (4:3), or crop in the driver so that '
                'the workspace is in the middle.',
            )
        ]
    return [fine(Check.CROP, f'{what}{where}')]


def check_goal(
    live: Image | None, goal: Image | None, *, energy: float = math.nan, tolerance: float = math.nan
) -> list[Finding]:
    """9: whether a goal picture can be of the place that this camera looks at.

    ``energy`` is the world model's distance from the live picture to the goal where one is loaded.
    """
    if goal is None:
        return [skipped(Check.GOAL, 'no goal given; pass --goal PICTURE')]
    if live is None:
        return []
    contrast = float(goal.std())
    if contrast < 8.0:
        return [
            error(
                Check.GOAL,
                f'the goal picture is a single colour (contrast {contrast:.1f}/255).',
                'take it again: wm_planner goal capture NAME.',
            )
        ]
    (live_h, live_w), (goal_h, goal_w) = live.shape[:2], goal.shape[:2]
    if abs(math.log((live_w / live_h) / (goal_w / goal_h))) > 0.05:
        return [
            error(
                Check.GOAL,
                f'the goal is {goal_w}x{goal_h} px and the camera {live_w}x{live_h} px: '
                'another aspect, so another crop.',
                "take the goal with the planner's camera: wm_planner goal capture NAME.",
            )
        ]
    likeness = max(flip_likeness(live, goal).values())
    if _is_swapped(live, goal):
        return [
            error(
                Check.GOAL,
                'red and blue of the goal are those of the camera exchanged.',
                'one of the two is BGR and says RGB: correct the encoding of the camera driver, or '
                'save the goal as RGB.',
            )
        ]
    if likeness < MIN_LIKENESS:
        return [
            warning(
                Check.GOAL,
                f'the goal does not look like what the camera sees (likeness {likeness:.2f}; '
                f'usually above {MIN_LIKENESS:g}).',
                'was it taken by this camera, in this place, in this light?',
            )
        ]
    known = not math.isnan(energy)
    against = f' (reached below {tolerance:.3g})' if not math.isnan(tolerance) else ''
    words = f'; energy from here {energy:.3g}{against}' if known else ''
    return [fine(Check.GOAL, f'likeness to the live picture {likeness:.2f}{words}')]


def flip_likeness(live: Image, goal: Image) -> dict[str, float]:
    """Return the correlation of the goal with the live picture and with its mirror images."""
    mine = _thumb(live)
    return {name: float(np.mean(mine * _thumb(flip(goal)))) for name, flip in _FLIPS.items()}


def check_orientation(
    live: Image | None, goal: Image | None, moves: Sequence[MoveSample]
) -> list[Finding]:
    """13: whether the picture is mirrored or upside down.

    By small moves where some were made: seen from above, left and right of the base must be so in
    the picture, and up must be up. Else by a goal that the same camera took earlier.
    """
    if moves:
        return [_orientation_from_moves(moves)]
    if live is None or goal is None:
        return [
            skipped(Check.ORIENTATION, 'not looked at; pass --goal (an earlier picture) or --move')
        ]
    likeness = flip_likeness(live, goal)
    best = max(likeness, key=lambda name: likeness[name])
    upright = likeness['as it is']
    if best == 'as it is':
        return [fine(Check.ORIENTATION, 'the goal lies on the live picture the same way round')]
    if likeness[best] < MIN_LIKENESS or likeness[best] < upright + FLIP_MARGIN:
        return [skipped(Check.ORIENTATION, 'the goal does not tell; pass --move')]
    return [
        error(
            Check.ORIENTATION,
            f'the camera is {best} against the goal picture (likeness {likeness[best]:.2f}, '
            f'{upright:.2f} as it is).',
            f'{_HOW_TO_TURN[best]}, or take the goal again.',
        )
    ]


def _orientation_from_moves(moves: Sequence[MoveSample]) -> Finding:
    flows, weights = [], []
    for move in moves:
        flow = image_motion(move.before, move.after)
        if flow is not None:
            flows.append(flow)
            weights.append(move.done_m)
    if len(flows) < 4:
        return warning(
            Check.ORIENTATION,
            f'only {len(flows)} of {len(moves)} moves are visible in the picture.',
            'point the camera at the tool; see check 4 for a frozen picture.',
        )
    seen, done = np.stack(flows), np.stack(weights)
    jacobian = np.linalg.lstsq(done, seen, rcond=None)[0].T  # [2, 3] pixels a metre
    left = seen - done @ jacobian.T
    explained = 1.0 - float(np.sum(left**2) / np.sum(seen**2))
    if explained < MIN_EXPLAINED:
        return warning(
            Check.ORIENTATION,
            f'the picture moves otherwise than the tool ({explained:.0%} explained).',
            'is something else moving, or is it another robot?',
        )
    # Right and up in the picture against x and y: positive seen from above, whatever the azimuth.
    (right_x, right_y, right_z), (down_x, down_y, down_z) = jacobian
    turn = -right_x * down_y + right_y * down_x
    size = float(np.hypot(right_x, right_y) * np.hypot(down_x, down_y))
    is_upright, is_true = down_z < 0.0, turn > 0.0
    name = {
        (True, True): 'as it is',
        (True, False): 'mirrored',
        (False, True): 'upside down',
        (False, False): 'upside down and mirrored',
    }[is_upright, is_true]
    if abs(turn) < 0.1 * size or abs(down_z) < 0.3 * abs(right_z):
        return warning(
            Check.ORIENTATION,
            'the moves do not tell whether the picture is mirrored (the camera looks along them).',
            'compare the preview with the scene by eye.',
        )
    if name == 'as it is':
        return fine(Check.ORIENTATION, f'upright and not mirrored, by {len(flows)} moves')
    return error(
        Check.ORIENTATION,
        f'the camera is {name}: the tool moves the other way in the picture.',
        f'{_HOW_TO_TURN[name]}.',
    )


def image_motion(before: Image, after: Image) -> Array | None:
    """Return how far what moved has moved [2] (right, down) in picture heights; None if nothing."""
    side = 192
    scale = side / before.shape[0]
    size = (max(1, round(before.shape[1] * scale)), side)
    first, second = (
        cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)
        for image in (before, after)
    )
    changed = cv2.absdiff(first, second) > _CHANGE
    if float(changed.mean()) < _MIN_CHANGED:
        return None
    flow = cv2.calcOpticalFlowFarneback(first, second, None, 0.5, 4, 25, 5, 7, 1.5, 0)
    return np.asarray(flow[changed].mean(axis=0), np.float64) / side


def _thumb(image: Image) -> Array:
    """Return a small grey picture with mean 0 and variance 1."""
    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_THUMB, _THUMB), interpolation=cv2.INTER_AREA).astype(np.float64)
    small -= small.mean()
    spread = float(small.std())
    return small / spread if spread > 1e-9 else small


def _is_swapped(live: Image, goal: Image) -> bool:
    """Return whether the goal's colours lie on the live ones only with red and blue exchanged."""

    def redness(image: Image) -> Array:
        small = cv2.resize(
            np.ascontiguousarray(image), (_THUMB, _THUMB), interpolation=cv2.INTER_AREA
        ).astype(np.float64)
        return small[..., 0] - small[..., 2]

    mine, theirs = redness(live), redness(goal)
    power = math.sqrt(float(np.mean(mine**2)) * float(np.mean(theirs**2)))
    return power > 25.0 and float(np.mean(mine * theirs)) < -0.5 * power
