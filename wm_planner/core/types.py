# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The values that travel between rooms: frozen, validated when made, safe to share between threads.

Arrays inside are copied and made read-only, so a value handed to another thread cannot change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
import enum
import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wm_planner.core.errors import (
    InvalidActionError,
    InvalidGoalError,
    InvalidImageError,
    InvalidParameterError,
    InvalidStateError,
    NoDataError,
    StaleDataError,
    WmPlannerError,
)
from wm_planner.core.geometry import Array, normalise_quaternion, quaternion_to_euler

if TYPE_CHECKING:
    from wm_planner.core.imagination import Imagination, PlanStart

Image = npt.NDArray[np.uint8]

MIN_IMAGE_SIDE = 16
"""Smallest image side [px] that can show anything; smaller goals and frames are refused."""

_LEAST_CONTRAST = 8  # of 255; sensor noise on a covered lens is less


def _frozen_vector(name: str, value: npt.ArrayLike, length: int) -> Array:
    array = np.array(value, dtype=np.float64)
    if array.shape != (length,):
        raise InvalidStateError(f'{name} has shape {array.shape}; valid: ({length},).')
    if not np.all(np.isfinite(array)):
        raise InvalidStateError(f'{name} is {array.tolist()}; valid: finite numbers.')
    array.flags.writeable = False
    return array


def check_image(image: npt.ArrayLike, what: str = 'image') -> Image:
    """Return ``image`` as a read-only uint8 array [H, W, 3], or raise InvalidImageError."""
    array = np.array(image, copy=True) if not isinstance(image, np.ndarray) else image
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise InvalidImageError(
            f'{what} has dtype {array.dtype} and shape {array.shape}; valid: uint8 [H, W, 3] RGB.'
        )
    height, width = array.shape[:2]
    if min(height, width) < MIN_IMAGE_SIDE:
        raise InvalidImageError(
            f'{what} is {width}x{height} px; valid: at least {MIN_IMAGE_SIDE}x{MIN_IMAGE_SIDE} px.'
        )
    if array.flags.writeable:
        array = array.copy()
        array.flags.writeable = False
    return array


def check_scene_image(image: npt.ArrayLike, what: str) -> Image:
    """Return ``image`` as ``check_image`` does; raise InvalidImageError for a single colour, too.

    A covered lens or an empty buffer is no goal, though a network would encode it all the same.
    """
    checked = check_image(image, what)
    if int(checked.max()) - int(checked.min()) < _LEAST_CONTRAST:
        raise InvalidImageError(
            f"{what} is a single colour; valid: a picture of the scene from the planner's camera."
        )
    return checked


@dataclass(frozen=True, kw_only=True, slots=True)
class RobotState:
    """Where the tool is and how far the gripper is closed, at one moment.

    ``position_m`` [3] and ``quaternion_xyzw`` [4] give the tool centre point in ``base_frame``;
    ``gripper_closedness`` lies in [0, 1], 0 = open. Drivers and simulators convert to this at
    the edge; inside the package there is no other form.

    Raises InvalidStateError for wrong shapes, non-finite numbers or a quaternion that is not of
    unit length.
    """

    stamp_ns: int
    position_m: Array
    quaternion_xyzw: Array
    gripper_closedness: float

    def __post_init__(self) -> None:
        object.__setattr__(self, 'position_m', _frozen_vector('position_m', self.position_m, 3))
        quaternion = _frozen_vector('quaternion_xyzw', self.quaternion_xyzw, 4)
        quaternion = normalise_quaternion(quaternion)
        quaternion.flags.writeable = False
        object.__setattr__(self, 'quaternion_xyzw', quaternion)
        closedness = float(self.gripper_closedness)
        if not -0.05 <= closedness <= 1.05:  # sensors overshoot a little; NaN fails too
            raise InvalidStateError(
                f'gripper_closedness is {closedness}; valid: in [0, 1], 0 = open, 1 = closed.'
            )
        object.__setattr__(self, 'gripper_closedness', min(max(closedness, 0.0), 1.0))

    @property
    def euler_xyz_rad(self) -> Array:
        """Return extrinsic-xyz Euler angles [3] in radians."""
        return quaternion_to_euler(self.quaternion_xyzw)

    def as_vector(self) -> Array:
        """Return [x, y, z (m), roll, pitch, yaw (rad), closedness]: the state layout of DROID."""
        return np.concatenate([self.position_m, self.euler_xyz_rad, [self.gripper_closedness]])


@dataclass(frozen=True, kw_only=True, slots=True)
class JointPositions:
    """The measured joints of the arm, ``positions_rad`` [J] in the order of the robot profile."""

    stamp_ns: int
    positions_rad: Array

    def __post_init__(self) -> None:
        values = _frozen_vector('positions_rad', self.positions_rad, len(self.positions_rad))
        object.__setattr__(self, 'positions_rad', values)


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmCommand:
    """An absolute target for the tool and the gripper, in ``base_frame``.

    Absolute, so that a lost message is harmless. Unlike RobotState it is *not* checked for
    finiteness when made: the safety filter must be able to see, count and refuse what a planner
    returned.
    """

    stamp_ns: int
    position_m: Array
    quaternion_xyzw: Array
    gripper_closedness: float

    def __post_init__(self) -> None:
        for name, length in (('position_m', 3), ('quaternion_xyzw', 4)):
            array = np.array(getattr(self, name), dtype=np.float64)
            if array.shape != (length,):
                raise InvalidActionError(f'{name} has shape {array.shape}; valid: ({length},).')
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        object.__setattr__(self, 'gripper_closedness', float(self.gripper_closedness))

    @classmethod
    def hold_at(cls, state: RobotState, stamp_ns: int | None = None) -> ArmCommand:
        """Return the command that keeps the arm where ``state`` says it is."""
        return cls(
            stamp_ns=state.stamp_ns if stamp_ns is None else stamp_ns,
            position_m=state.position_m,
            quaternion_xyzw=state.quaternion_xyzw,
            gripper_closedness=state.gripper_closedness,
        )

    def restamped(self, stamp_ns: int) -> ArmCommand:
        """Return the same target with another stamp."""
        return replace(self, stamp_ns=stamp_ns)


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """What a planner sees: T context frames and the robot state at each, oldest first.

    ``images`` uint8 [T, H, W, 3] RGB, upright; ``image_stamps_ns`` [T] acquisition stamps, strictly
    rising; ``states`` [T].

    ``wrist_image`` uint8 [H', W', 3] RGB, upright, and ``joints_rad`` [J] go with the newest frame;
    ``base_in_world_m`` [3] is the robot's base in a simulator's own frame, axes parallel. None
    where the environment has none. Policies read them, world models do not. Whoever joins
    observations takes those of the newest.
    """

    images: Image
    image_stamps_ns: tuple[int, ...]
    states: tuple[RobotState, ...]
    wrist_image: Image | None = None
    joints_rad: Array | None = None
    base_in_world_m: Array | None = None

    def __post_init__(self) -> None:
        images = self.images
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
            raise InvalidImageError(
                f'observation images have dtype {images.dtype} and shape {images.shape}; '
                'valid: uint8 [T, H, W, 3].'
            )
        frames = images.shape[0]
        if frames < 1 or len(self.image_stamps_ns) != frames or len(self.states) != frames:
            raise InvalidImageError(
                f'observation has {frames} images, {len(self.image_stamps_ns)} stamps and '
                f'{len(self.states)} states; valid: the same number of each, at least 1.'
            )
        if images.flags.writeable:
            images = images.copy()
            images.flags.writeable = False
            object.__setattr__(self, 'images', images)
        if self.wrist_image is not None:
            object.__setattr__(self, 'wrist_image', check_image(self.wrist_image, 'wrist image'))
        if self.joints_rad is not None:
            joints = _frozen_vector('joints_rad', self.joints_rad, len(self.joints_rad))
            object.__setattr__(self, 'joints_rad', joints)
        if self.base_in_world_m is not None:
            base = _frozen_vector('base_in_world_m', self.base_in_world_m, 3)
            object.__setattr__(self, 'base_in_world_m', base)

    @property
    def stamp_ns(self) -> int:
        """Return the acquisition stamp of the newest frame."""
        return self.image_stamps_ns[-1]

    @property
    def state(self) -> RobotState:
        """Return the newest robot state."""
        return self.states[-1]


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """A picture to reach, and what the robot's own state was when it was taken where known.

    ``image`` uint8 [H, W, 3] RGB. ``gripper_closedness`` in [0, 1] or None; a planner may pin the
    gripper to it. ``pose`` is the tool pose at capture or None: nothing plans with it, it is
    provenance and lets an evaluation measure the distance left.
    """

    goal_id: str
    image: Image
    gripper_closedness: float | None = None
    pose: RobotState | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, 'image', check_image(self.image, f'goal {self.goal_id!r} image'))
        closedness = self.gripper_closedness
        if closedness is not None and not 0.0 <= closedness <= 1.0:
            raise InvalidGoalError(
                f'goal {self.goal_id!r} has gripper_closedness {closedness}; valid: in [0, 1], '
                '0 = open, or none to leave the gripper to the planner.'
            )


class ActionKind(str, enum.Enum):
    """What one action dimension means; ``ActionSpec.names`` are drawn from here."""

    DX = 'dx'  # displacement along base x [m]
    DY = 'dy'
    DZ = 'dz'
    DROLL = 'droll'  # extrinsic-xyz Euler delta, left-multiplied [rad]
    DPITCH = 'dpitch'
    DYAW = 'dyaw'
    DGRIPPER = 'dgripper'  # change of closedness
    GRIPPER = 'gripper'  # absolute closedness target


@dataclass(frozen=True, kw_only=True, slots=True)
class ActionSpec:
    """Bounds, meaning and duration of one action step.

    ``low`` and ``high`` [A] bound every candidate; ``names`` [A] are ActionKind values; a step is a
    quasi-static displacement that takes ``step_duration_s``.
    """

    low: Array
    high: Array
    names: tuple[str, ...]
    step_duration_s: float

    def __post_init__(self) -> None:
        low, high = np.array(self.low, np.float64), np.array(self.high, np.float64)
        if low.shape != (len(self.names),) or high.shape != low.shape:
            raise InvalidParameterError(
                f'action bounds have shapes {low.shape} and {high.shape}; '
                f'valid: ({len(self.names)},) as {self.names}.'
            )
        if not np.all(low <= high):  # NaN fails too
            raise InvalidParameterError(f'action bounds {low} .. {high}; valid: low <= high.')
        valid = {kind.value for kind in ActionKind}
        if not set(self.names) <= valid or len(set(self.names)) != len(self.names):
            raise InvalidParameterError(
                f'action names {self.names}; valid: each of {sorted(valid)} at most once.'
            )
        if not self.step_duration_s > 0.0:
            raise InvalidParameterError(f'step_duration_s is {self.step_duration_s}; valid: > 0.')
        low.flags.writeable = high.flags.writeable = False
        object.__setattr__(self, 'low', low)
        object.__setattr__(self, 'high', high)

    @property
    def size(self) -> int:
        """Return A, the number of action dimensions."""
        return len(self.names)

    def pinned(self, values: Mapping[str, float]) -> ActionSpec:
        """Return a spec in which the named dimensions can only take the given value.

        A value outside the bounds is clipped to them. Names the spec does not have are ignored, so
        that one goal can serve models with different action spaces.
        """
        low, high = self.low.copy(), self.high.copy()
        for index, name in enumerate(self.names):
            if name in values:
                low[index] = high[index] = float(np.clip(values[name], low[index], high[index]))
        return replace(self, low=low, high=high)


class StopReason(str, enum.Enum):
    """Why an optimizer stopped."""

    CONVERGED = 'converged'  # all iterations done
    EARLY_STOP = 'early_stop'  # the distribution had narrowed to its floor
    DEADLINE = 'deadline'
    CANCELED = 'canceled'
    NOT_OPTIMIZED = 'not_optimized'  # a policy returned actions without a search


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanDiagnostics:
    """How a plan came about; everything here leaves on the PlanDiagnostics message."""

    stop_reason: StopReason
    iterations: int = 0
    rollouts: int = 0
    non_finite_count: int = 0
    elite_energies: tuple[float, ...] = ()
    std: tuple[float, ...] = ()  # [A] spread of the first step's distribution, in action units
    relief: float = (
        math.nan
    )  # how much better the best is than the median first candidate; 0 = flat
    surprise: float = math.nan  # see Surprise in docs/safety.md; 0 = as predicted, 1 = not at all
    milliseconds: Mapping[str, float] = field(default_factory=dict)  # per stage, 'total' always


@dataclass(frozen=True, kw_only=True, slots=True)
class UncertaintyLimits:
    """Where a planner's diagnostics say that it does not know what it does; calibrated with it.

    The defaults never say so. ``min_relief`` and ``max_surprise`` are those of PlanDiagnostics,
    ``max_spread`` is ``std`` over half the range of each dimension that is free, averaged.
    """

    min_relief: float = -math.inf
    max_spread: float = math.inf
    max_surprise: float = math.inf


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Actions to take from one observation toward one goal.

    ``actions`` [H, A] in the planner's ActionSpec. ``energy`` is the objective of the plan (lower
    is better), ``goal_energy`` that of staying: the newest observation against the goal, which is
    what decides whether the goal is reached. Both are NaN for policies that have no energy.
    """

    goal_id: str
    observation_stamp_ns: int
    actions: Array
    action_spec: ActionSpec
    energy: float
    goal_energy: float
    diagnostics: PlanDiagnostics
    imagination: Imagination | None = None  # of the model, where there is one
    start: PlanStart | None = None  # what makes the same plan again; None for policies

    def __post_init__(self) -> None:
        actions = np.array(self.actions, dtype=np.float64)
        if actions.ndim != 2 or actions.shape[0] < 1 or actions.shape[1] != self.action_spec.size:
            raise InvalidActionError(
                f'plan actions have shape {actions.shape}; valid: [H >= 1, '
                f'{self.action_spec.size}] as {self.action_spec.names}.'
            )
        actions.flags.writeable = False
        object.__setattr__(self, 'actions', actions)

    @property
    def horizon(self) -> int:
        """Return H, the number of planned steps."""
        return int(self.actions.shape[0])


@dataclass(frozen=True, kw_only=True, slots=True)
class NotReady:
    """Why there is no observation: absence is a value, never zeros and never an old frame."""

    error: WmPlannerError

    @property
    def code(self) -> int:
        """Return the error number."""
        return self.error.code

    @property
    def reason(self) -> str:
        """Return the sentence."""
        return self.error.message

    @classmethod
    def no_data(cls, message: str) -> NotReady:
        """Return a NotReady for a stream that has not started."""
        return cls(error=NoDataError(message))

    @classmethod
    def stale(cls, message: str) -> NotReady:
        """Return a NotReady for a stream that stopped or lags."""
        return cls(error=StaleDataError(message))


@dataclass(frozen=True, kw_only=True, slots=True)
class StepResult:
    """What an environment says after a step; its truth is for scoring, never for planning."""

    observation: Observation
    success: bool
    cost: float = 0.0  # of this step; conditions that the untouched scene meets do not count
    cost_upstream: float = 0.0  # of this step, as the benchmark's own evaluator charges it
    is_over: bool = False  # the suite's protocol ends the episode here, e.g. at its first success
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class EpisodeStart:
    """The start of one evaluation episode: goals in order, and how many steps each may take.

    ``goals`` are sub-goals in order, the last is final. ``steps_per_goal`` has one entry a goal;
    their sum is the episode's length. ``gripper`` of each goal is carried by the goal itself.
    ``goal_step_s`` is how long one of those steps takes, None where it is a step of the planner,
    however long: a benchmark whose episodes last 300 control steps of 50 ms says 0.05.
    """

    episode_id: str
    observation: Observation
    goals: Sequence[Goal]
    steps_per_goal: Sequence[int]
    instruction: str = ''
    metrics: Mapping[str, float] = field(default_factory=dict)
    goal_step_s: float | None = None
