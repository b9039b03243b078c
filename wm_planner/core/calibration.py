# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""CameraCalibration: how a world model's action axes lie in the base frame, and its use on plans.

A world model that plans from one uncalibrated camera infers its action axes from the picture. Where
the camera stands otherwise than in the data the axes are turned: V-JEPA 2-AC's by an angle that is
roughly linear in the camera's azimuth (arXiv 2506.09985, appendix). The rotation is measured once
(evaluation/calibration.py), kept in the robot profile and applied to every planned action here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
import math

import numpy as np
import numpy.typing as npt
import yaml

from wm_planner.core.config import parameter, validate
from wm_planner.core.errors import CalibrationError, CalibrationMismatchError
from wm_planner.core.geometry import (
    Array,
    conjugate_quaternion,
    euler_to_quaternion,
    multiply_quaternions,
    normalise_quaternion,
    quaternion_to_euler,
    rotate_vector,
)
from wm_planner.core.types import ActionKind, ActionSpec

NO_TURN_XYZW = (0.0, 0.0, 0.0, 1.0)

_POSITION = (ActionKind.DX.value, ActionKind.DY.value, ActionKind.DZ.value)
_EULER = (ActionKind.DROLL.value, ActionKind.DPITCH.value, ActionKind.DYAW.value)


@dataclass(frozen=True, kw_only=True)
class CameraCalibration:
    """The block ``calibration`` of a robot profile; ``wm_planner calibrate`` writes it.

    ``quaternion_xyzw`` turns a displacement in the model's axes into base_frame. It belongs to one
    world model and one place of the camera: move the camera, and it has to be measured again.
    """

    quaternion_xyzw: tuple[float, ...] = parameter(
        NO_TURN_XYZW, "rotation from the world model's action axes to base_frame, xyzw"
    )
    residual: float = parameter(
        0.0, 'share of the measured displacements that the rotation leaves unexplained', low=0.0
    )
    moves: int = parameter(0, 'moves that it was measured from; 0 = never', low=0)
    model: str = parameter('', 'world model that it belongs to; empty: any')
    weights: str = parameter('', 'weights file of that model, without folder; empty: its own')
    camera: str = parameter('', 'image topic that it was measured with; empty: any')
    date: str = parameter('', 'when it was measured, ISO 8601')

    def __post_init__(self) -> None:
        validate(self)
        if len(self.quaternion_xyzw) != 4:
            raise CalibrationError(
                f'calibration.quaternion_xyzw is {list(self.quaternion_xyzw)}; valid: four numbers.'
            )
        normalise_quaternion(self.quaternion_xyzw)

    @property
    def is_identity(self) -> bool:
        """Return whether it turns nothing."""
        x, y, z, _ = self.quaternion_xyzw
        return math.hypot(x, y, z) < 1e-9

    @property
    def is_about_vertical(self) -> bool:
        """Return whether it turns about base z alone."""
        return math.hypot(*self.quaternion_xyzw[:2]) < 1e-6

    @property
    def yaw_rad(self) -> float:
        """Return the angle about base z, in [-pi, pi]; all of it where ``is_about_vertical``."""
        return float(quaternion_to_euler(self.quaternion_xyzw)[2])

    def check_fits(self, model: str, weights: str) -> None:
        """Raise CalibrationMismatchError where it was measured with another world model."""
        mine, theirs = (self.model, self.weights), (model, weights_name(weights))
        if self.is_identity or not self.model or mine == theirs:
            return
        raise CalibrationMismatchError(
            f'the camera calibration of the robot profile belongs to {_named(*mine)} and the '
            f'world model is {_named(*theirs)}; valid: run `wm_planner calibrate` with this model, '
            'or take the block `calibration` out of the profile.'
        )


def check_camera(calibration: CameraCalibration, topic: str) -> None:
    """Raise CalibrationMismatchError where it was measured with another camera than ``topic``."""
    if calibration.is_identity or calibration.camera in ('', topic):
        return
    raise CalibrationMismatchError(
        f'the camera calibration of the robot profile was measured with {calibration.camera} and '
        f'the planner looks through {topic}; valid: run `wm_planner calibrate` with this camera, '
        'or take the block `calibration` out of the profile.'
    )


def profile_text_with(text: str, calibration: CameraCalibration) -> str:
    """Return the text of a robot profile with its block ``calibration`` set, all else as it was."""
    kept: list[str] = []
    is_inside = False
    for line in text.splitlines():
        is_inside = line.startswith('calibration:') or (is_inside and line[:1] in (' ', '\t'))
        if not is_inside:
            kept.append(line)
    block = {f.name: getattr(calibration, f.name) for f in fields(calibration)}
    block['quaternion_xyzw'] = [float(v) for v in calibration.quaternion_xyzw]
    written = yaml.safe_dump({'calibration': block}, sort_keys=False, default_flow_style=None)
    return '\n'.join(kept).rstrip() + '\n\n' + written


def weights_name(weights: str) -> str:
    """Return what a calibration calls a weights file: its name without folder and suffix."""
    name = weights.replace('\\', '/').rpartition('/')[2]
    return name.removesuffix('.safetensors')


def actions_to_base(
    actions: npt.ArrayLike, spec: ActionSpec, quaternion_xyzw: Sequence[float]
) -> Array:
    """Return ``actions`` [..., A], in a model's axes, as actions in base_frame.

    Displacements turn as vectors; a rotation delta R becomes ``q R q^-1``; the gripper stays.
    Raises CalibrationError where the turned action needs a dimension that ``spec`` does not have.
    """
    values: Array = np.array(actions, dtype=np.float64)
    _check_expressible(spec, quaternion_xyzw)
    if tuple(quaternion_xyzw) == NO_TURN_XYZW:
        return values  # to the last bit
    position, euler = _indices(spec, _POSITION), _indices(spec, _EULER)
    if position:
        turned = rotate_vector(quaternion_xyzw, _spread(values, position))
        for axis, index in position.items():
            values[..., index] = turned[..., axis]
    if euler:
        q = normalise_quaternion(quaternion_xyzw)
        delta = euler_to_quaternion(_spread(values, euler))
        inner = multiply_quaternions(delta, conjugate_quaternion(q))
        turned = quaternion_to_euler(multiply_quaternions(q, inner))
        for axis, index in euler.items():
            values[..., index] = turned[..., axis]
    return values


def actions_to_model(
    actions: npt.ArrayLike, spec: ActionSpec, quaternion_xyzw: Sequence[float]
) -> Array:
    """Return ``actions`` [..., A] in base_frame as actions in a model's axes.

    The inverse of ``actions_to_base``, and raises what it does.
    """
    return actions_to_base(actions, spec, tuple(conjugate_quaternion(quaternion_xyzw)))


def std_in_base(std: npt.ArrayLike, spec: ActionSpec, quaternion_xyzw: Sequence[float]) -> Array:
    """Return the standard deviations [A] along base_frame of independent ones along a model's axes.

    Small rotations compose as vectors do, so theirs are turned like those of positions.
    """
    values: Array = np.array(std, dtype=np.float64)
    if tuple(quaternion_xyzw) == NO_TURN_XYZW:
        return values
    matrix = _matrix(quaternion_xyzw)
    for names in (_POSITION, _EULER):
        present = _indices(spec, names)
        turned = np.sqrt(matrix**2 @ _spread(values, present) ** 2)
        for axis, index in present.items():
            values[index] = turned[axis]
    return values


def spec_in_base(spec: ActionSpec, quaternion_xyzw: Sequence[float]) -> ActionSpec:
    """Return the spec of turned actions: its bounds are the smallest box around the turned box.

    Raises CalibrationError as ``actions_to_base`` does.
    """
    _check_expressible(spec, quaternion_xyzw)
    if tuple(quaternion_xyzw) == NO_TURN_XYZW:
        return spec
    low, high = spec.low.copy(), spec.high.copy()
    for names in (_POSITION, _EULER):
        present = _indices(spec, names)
        if not present:
            continue
        # Small rotations compose as vectors do, so their box is turned like that of positions.
        matrix = _matrix(quaternion_xyzw)
        lows, highs = _spread(spec.low, present), _spread(spec.high, present)
        ends = np.stack([matrix * lows, matrix * highs])  # [2, 3, 3]
        for axis, index in present.items():
            low[index] = ends.min(0)[axis].sum()
            high[index] = ends.max(0)[axis].sum()
    return replace(spec, low=low, high=high)


def _check_expressible(spec: ActionSpec, quaternion_xyzw: Sequence[float]) -> None:
    x, y, z, _ = normalise_quaternion(quaternion_xyzw)
    needed: set[int] = set()
    if math.hypot(x, y, z) > 1e-9:  # about the vertical: x and y mix, z does not
        needed = {0, 1} if math.hypot(x, y) < 1e-6 else {0, 1, 2}
    for names in (_POSITION, _EULER):
        present = set(_indices(spec, names))
        is_only_yaw = names is _EULER and present == {2} and needed == {0, 1}
        if present and not needed <= present and not is_only_yaw:
            missing = ', '.join(names[axis] for axis in sorted(needed - present))
            raise CalibrationError(
                f'the calibration turns actions about more axes than the world model acts in: '
                f'{missing} is missing among {", ".join(spec.names)}; valid: a calibration about '
                'the vertical alone (without --full).'
            )


def _matrix(quaternion_xyzw: Sequence[float]) -> Array:
    """Return the rotation matrix [3, 3]."""
    return np.stack([rotate_vector(quaternion_xyzw, axis) for axis in np.eye(3)], axis=-1)


def _indices(spec: ActionSpec, names: Sequence[str]) -> dict[int, int]:
    """Return which place in an action each of the three axes has, for those that are there."""
    return {axis: spec.names.index(name) for axis, name in enumerate(names) if name in spec.names}


def _spread(values: Array, indices: dict[int, int]) -> Array:
    """Return three-vectors [..., 3] of those dimensions, zero for axes that are not there."""
    vectors: Array = np.zeros((*values.shape[:-1], 3))
    for axis, index in indices.items():
        vectors[..., axis] = values[..., index]
    return vectors


def _named(model: str, weights: str) -> str:
    return f'{model!r} ({weights})' if weights else repr(model)
