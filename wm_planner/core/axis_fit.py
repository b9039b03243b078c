# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The rotation between a model's action axes and the base frame, from moves seen in both.

Each row of ``wanted`` is the displacement that the model thinks leads from the picture before a
move to the picture after it, in its own axes; the same row of ``measured`` is what the tool really
did, in base_frame. Numpy alone; every function is pure and may be called from any thread.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
import math

import numpy as np
import numpy.typing as npt

from wm_planner.core.config import parameter, validate
from wm_planner.core.errors import CalibrationError
from wm_planner.core.geometry import Array, rotate_vector

_Z = 2


@dataclass(frozen=True, kw_only=True)
class TrustConfig:
    """When a fitted rotation is worth applying.

    The limits are those that told right from wrong in docs/calibration.md.
    """

    min_moves: int = parameter(10, 'fewest moves', low=3, high=10_000)
    min_move_m: float = parameter(
        0.015, 'shortest move, in the median [m]: a shorter one drowns in the noise', low=0.0
    )
    min_spread: float = parameter(
        0.2,
        'least spread of the moves across their main direction over that along it: of a single '
        'direction, a mirror image and a turn look the same',
        low=0.0,
        high=1.0,
    )
    max_residual: float = parameter(
        0.42, 'largest share of the displacements that may be left unexplained', low=0.0, high=2.0
    )
    max_error_deg: float = parameter(
        3.5, 'largest standard error of the angle [deg]', low=0.1, high=90.0
    )
    min_scale: float = parameter(
        0.4, "least length of the model's moves over the measured ones", low=0.0, high=1.0
    )

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True, kw_only=True)
class AxisFit:
    """A rotation, how good it is, and whether to trust it.

    ``quaternion_xyzw`` turns the model's axes into base_frame. ``residual`` is the root mean square
    of what is left of the displacements over that of the displacements themselves (1 = nothing is
    explained). ``error_deg`` is the standard error of the angle about the vertical. ``handedness``
    is the cosine-like agreement with a rotation less that with a mirrored rotation, in [-1, 1]:
    negative means that the picture is mirrored. ``reasons`` are why not to trust it.
    """

    quaternion_xyzw: tuple[float, float, float, float]
    yaw_deg: float
    tilt_deg: float
    residual: float
    error_deg: float
    scale: float
    spread: float
    handedness: float
    moves: int
    reasons: tuple[str, ...] = ()

    @property
    def is_trusted(self) -> bool:
        """Return whether there is no reason against it."""
        return not self.reasons

    @property
    def is_mirrored(self) -> bool:
        """Return whether a mirrored picture explains the moves better than any rotation."""
        return self.handedness < -0.1

    @property
    def verdict(self) -> str:
        """Return one sentence for people."""
        what = f'the model takes base axes for axes turned by {self.yaw_deg:+.1f} degrees'
        if self.is_trusted:
            return f'trusted: {what} (residual {self.residual:.2f}, +-{self.error_deg:.1f} deg)'
        return f'not trusted: {"; ".join(self.reasons)}'


def fit_axes(
    wanted_m: npt.ArrayLike,
    measured_m: npt.ArrayLike,
    *,
    is_full: bool = False,
    trust: TrustConfig | None = None,
) -> AxisFit:
    """Return the least-squares rotation with ``measured ~ R wanted`` [N, 3] and a verdict on it.

    About base z alone, or about any axis where ``is_full`` (Kabsch). Raises CalibrationError for
    arrays that do not fit each other, hold NaN, or show no motion at all.
    """
    wanted, measured = _checked(wanted_m), _checked(measured_m)
    if wanted.shape != measured.shape:
        raise CalibrationError(
            f'{len(wanted)} moves of the model and {len(measured)} measured ones; valid: as many.'
        )
    power, want = float(np.sum(measured**2)), float(np.sum(wanted**2))
    if power < 1e-12 or want < 1e-12:
        raise CalibrationError(
            'the tool or the model did not move at all; valid: moves of a centimetre or more.'
        )
    quaternion = _kabsch(wanted, measured) if is_full else _about_vertical(wanted, measured)
    turned = rotate_vector(quaternion, wanted)
    left = measured - turned
    limits = trust or TrustConfig()
    scale = float(np.sum(measured * turned)) / power
    fit = AxisFit(
        quaternion_xyzw=(quaternion[0], quaternion[1], quaternion[2], quaternion[3]),
        yaw_deg=math.degrees(_yaw(quaternion)),
        tilt_deg=math.degrees(2.0 * math.asin(min(1.0, math.hypot(quaternion[0], quaternion[1])))),
        residual=math.sqrt(float(np.sum(left**2)) / power),
        error_deg=_standard_error_deg(turned, measured),
        scale=scale,
        spread=_spread(measured),
        handedness=_handedness(wanted, measured),
        moves=len(measured),
    )
    length_m = float(np.median(np.linalg.norm(measured, axis=1)))
    reasons = _reasons(fit, length_m, limits)
    return replace(fit, reasons=reasons)


def _reasons(fit: AxisFit, length_m: float, limits: TrustConfig) -> tuple[str, ...]:
    found = []
    if fit.moves < limits.min_moves:
        found.append(f'{fit.moves} moves are too few (at least {limits.min_moves})')
    if length_m < limits.min_move_m:
        found.append(
            f'the moves are too small ({length_m * 100:.1f} cm; at least '
            f'{limits.min_move_m * 100:.1f} cm)'
        )
    if fit.spread < limits.min_spread:
        found.append(
            f'the moves go in one direction (spread {fit.spread:.2f}; at least '
            f'{limits.min_spread:.2f})'
        )
    if fit.is_mirrored:
        found.append("the picture is mirrored: no rotation turns the model's axes into the base's")
    if fit.scale < limits.min_scale:
        found.append(
            f'the model sees {fit.scale:.0%} of the motion (at least {limits.min_scale:.0%})'
        )
    if fit.residual > limits.max_residual:
        found.append(f'residual {fit.residual:.2f} (at most {limits.max_residual:.2f})')
    if not fit.error_deg <= limits.max_error_deg:
        found.append(
            f'the angle is known to +-{fit.error_deg:.1f} degrees (at most '
            f'{limits.max_error_deg:.1f})'
        )
    return tuple(found)


def _about_vertical(wanted: Array, measured: Array) -> tuple[float, ...]:
    cross = float(np.sum(wanted[:, 0] * measured[:, 1] - wanted[:, 1] * measured[:, 0]))
    dot = float(np.sum(wanted[:, :_Z] * measured[:, :_Z]))
    half = 0.5 * math.atan2(cross, dot)
    return 0.0, 0.0, math.sin(half), math.cos(half)


def _kabsch(wanted: Array, measured: Array) -> tuple[float, ...]:
    """Return the rotation that maximises sum(measured . R wanted), Kabsch's way."""
    left, _, right = np.linalg.svd(measured.T @ wanted)
    sign = np.sign(np.linalg.det(left @ right))
    return _from_matrix(left @ np.diag([1.0, 1.0, sign]) @ right)


def _from_matrix(matrix: Array) -> tuple[float, ...]:
    """Return the quaternion of a rotation matrix: the eigenvector of its largest component."""
    m = matrix
    k = np.array(
        [
            [m[0, 0] - m[1, 1] - m[2, 2], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0], m[2, 1] - m[1, 2]],
            [m[0, 1] + m[1, 0], m[1, 1] - m[0, 0] - m[2, 2], m[1, 2] + m[2, 1], m[0, 2] - m[2, 0]],
            [m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], m[2, 2] - m[0, 0] - m[1, 1], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], np.trace(m)],
        ]
    )
    q = np.linalg.eigh(k)[1][:, -1]
    q = -q if q[3] < 0.0 else q
    return tuple(float(v) for v in q)


def _yaw(quaternion: tuple[float, ...]) -> float:
    """Return the turn about the vertical [rad] of the rotation's twist part."""
    return 2.0 * math.atan2(quaternion[2], quaternion[3])


def _standard_error_deg(turned: Array, measured: Array) -> float:
    """Return the standard error of the angle about the vertical, by leaving out each move once."""
    cross = turned[:, 0] * measured[:, 1] - turned[:, 1] * measured[:, 0]
    dot = np.sum(turned[:, :_Z] * measured[:, :_Z], axis=1)
    count = len(measured)
    if count < 3:
        return math.inf
    # The whole fit is at angle 0 here, so angles without one move do not wrap.
    without = np.arctan2(cross.sum() - cross, dot.sum() - dot)
    spread = float(np.sum((without - without.mean()) ** 2))
    return math.degrees(math.sqrt((count - 1) / count * spread))


def _spread(measured: Array) -> float:
    """Return the spread across the main horizontal direction over that along it, in [0, 1]."""
    values = np.linalg.svd(measured[:, :_Z], compute_uv=False)
    if len(values) < 2 or values[0] < 1e-9:
        return 0.0
    return float(values[1] / values[0])


def _handedness(wanted: Array, measured: Array) -> float:
    """Return how much better a rotation fits than a mirrored one, seen from above."""
    a, b = wanted[:, 0] + 1j * wanted[:, 1], measured[:, 0] + 1j * measured[:, 1]
    most = math.sqrt(float(np.sum(abs(a) ** 2)) * float(np.sum(abs(b) ** 2)))
    if most < 1e-12:
        return 0.0
    rotated, mirrored = abs(np.sum(b * a.conj())), abs(np.sum(b * a))
    return float(rotated - mirrored) / most


def _checked(moves_m: npt.ArrayLike) -> Array:
    moves = np.asarray(moves_m, np.float64)
    if moves.ndim != 2 or moves.shape[1] != 3 or not np.all(np.isfinite(moves)):
        raise CalibrationError(
            f'moves have shape {moves.shape}; valid: finite displacements [N, 3] in metres.'
        )
    return moves
