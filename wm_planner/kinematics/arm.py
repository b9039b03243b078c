# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""ArmKinematics: forward kinematics by Pinocchio, inverse kinematics by pink."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from wm_planner.core.errors import (
    JointLimitError,
    MissingPackageError,
    RobotDescriptionError,
    UnreachablePoseError,
)
from wm_planner.core.geometry import Array, normalise_quaternion, quaternion_to_matrix
from wm_planner.core.profile import RobotProfile
from wm_planner.kinematics.description import RobotDescription, read_description

try:
    import pink
    import pinocchio as pin
except ImportError as missing:  # said when it is needed, with the command
    raise MissingPackageError(
        f'inverse kinematics needs Pinocchio and pink ({missing}); run: pip install '
        "'wm_planner[arms]'  (or: pip install pin pin-pink daqp)."
    ) from missing

_TOOL = 'wm_planner_tool'
_MAX_NEWTON_STEP_RAD = 0.5
_POSTURE_COST, _POSTURE_GAIN = 1e-4, 0.002  # at 50 Hz: seconds, so that it is never felt
_DAMPING = 1e-8
_RESTARTS = 20
_MAX_REACH_M = 10.0  # further away nothing has to be computed
_PROGRESS, _STALLED = 0.95, 5  # steps in a row that bring nothing: the pose is out of reach
_SAME_POSTURE = 1e-3  # how much the smallest singular value may fall inside the margin


def make_kinematics(
    profile: RobotProfile, description: RobotDescription | None = None
) -> ArmKinematics:
    """Return the kinematics of a profile, from its own description unless one is given.

    Raises RobotDescriptionError.
    """
    if description is None:
        source = profile.kinematics.description
        if not source:
            raise RobotDescriptionError(
                f'profile {profile.name!r} names no description and none has arrived on '
                f'{profile.topics.robot_description}; valid: robot_state_publisher running, or '
                'kinematics.description: a URDF or MJCF file.'
            )
        description = read_description(source)
    return ArmKinematics(description, profile)


@dataclass(frozen=True, kw_only=True)
class DescribedLimits:
    """What the description alone says of the arm's joints [J]; infinite where it says nothing."""

    low_rad: Array
    high_rad: Array
    max_speed_rad_s: Array


class ArmKinematics:
    """Tool pose of joint angles and joint angles of a tool pose, for the arm of a robot profile.

    Joints [J] are those of ``arm_joint_names``, in that order; all others of the description stay
    at their neutral position. Poses are in ``base_frame``. The tool is ``tool_link`` moved by the
    offset.

    ``inverse`` is Gauss-Newton on the pose error as a quadratic program with the joint limits as
    constraints (pink's FrameTask), from a seed, with a faint pull of redundant joints to the rest
    posture. A solution counts if the residual is within the tolerances, no joint has gone further
    than ``max_jump_rad`` from the seed and the Jacobian's smallest singular value is above the
    margin, or not below the seed's: out of a singularity is allowed, further into it is not.

    One thread at a time. Raises RobotDescriptionError for a description without the joints or
    links of the profile.
    """

    def __init__(self, description: RobotDescription, profile: RobotProfile) -> None:
        self._config = profile.kinematics
        self._origin = description.origin
        self._names = profile.arm_joint_names
        if not self._names:
            raise RobotDescriptionError(
                f'profile {profile.name!r} names no arm_joint_names; valid: the joints from base '
                'to tip.'
            )
        self._model = self._reduced(_load(description))
        self._to_model = np.argsort([self._model.joints[i].idx_q for i in self._ids()])
        self._from_model = np.argsort(self._to_model)
        self._add_tool(profile)
        self._data = self._model.createData()
        self._base = self._base_placement(self._config.base_link or profile.base_frame)
        self._set_limits(profile)
        neutral = 0.5 * (self._low + self._high)
        rest = np.asarray(self._config.rest_rad) if self._config.rest_rad else neutral
        if rest.shape != neutral.shape:
            raise RobotDescriptionError(
                f'kinematics.rest_rad has {rest.size} values; valid: {neutral.size}, or none.'
            )
        self._rest = np.clip(rest, self._low, self._high)
        self._configuration = pink.Configuration(
            self._model, self._data, self._rest[self._to_model]
        )
        self._frame_task = pink.tasks.FrameTask(_TOOL, position_cost=1.0, orientation_cost=1.0)
        self._tasks: list[Any] = [self._frame_task]
        if self._config.rest_rad:
            posture = pink.tasks.PostureTask(cost=_POSTURE_COST, gain=_POSTURE_GAIN)
            posture.set_target(self._rest[self._to_model])
            self._tasks.append(posture)

    @property
    def low_rad(self) -> Array:
        """Return the lower limits [J], margin included."""
        return self._low

    @property
    def high_rad(self) -> Array:
        """Return the upper limits [J], margin included."""
        return self._high

    @property
    def max_speed_rad_s(self) -> Array:
        """Return the speed limits [J]."""
        return self._speed

    @property
    def described(self) -> DescribedLimits:
        """Return the limits of the description, before profile and margin."""
        return self._described

    def forward(self, joints_rad: Array) -> tuple[Array, Array]:
        """Return position [3] (m) and quaternion xyzw [4] of the tool in base_frame."""
        pin.forwardKinematics(self._model, self._data, np.asarray(joints_rad)[self._to_model])
        placement = self._base * pin.updateFramePlacement(self._model, self._data, self._tool)
        quaternion = pin.Quaternion(placement.rotation).coeffs()
        return placement.translation.copy(), normalise_quaternion(quaternion)

    def smallest_singular_value(self, joints_rad: Array) -> float:
        """Return how far a posture is from a singularity; 0 = in one."""
        return self._margin_of(np.asarray(joints_rad)[self._to_model])

    def inverse(self, position_m: Array, quaternion_xyzw: Array, seed_rad: Array) -> Array:
        """Return joints [J] near ``seed_rad`` for a tool pose in base_frame; see the class.

        Raises UnreachablePoseError or JointLimitError.
        """
        seed = self._within(seed_rad)
        q = self._solve(self._target(position_m, quaternion_xyzw), seed)
        if q is None:
            raise UnreachablePoseError(
                f'no joint angles within the limits bring the tool to {_text(position_m)} m, '
                f'{_text(quaternion_xyzw)}; valid: poses that the arm reaches from where it is.'
            )
        self._refuse_singular(q, seed)
        found = q[self._from_model]
        jump = np.abs(q - seed)[self._from_model]
        worst = int(np.argmax(jump))
        if jump[worst] > self._config.max_jump_rad:
            raise JointLimitError(
                f'{self._names[worst]} would turn by {jump[worst]:.2f} rad to bring the tool to '
                f'{_text(position_m)} m; valid: at most {self._config.max_jump_rad:g} rad from '
                'where the arm is (kinematics.max_jump_rad).'
            )
        return found

    def find(self, position_m: Array, quaternion_xyzw: Array) -> Array | None:
        """Return joints [J] for a pose in whatever posture, None where none was found.

        Starts at the rest posture, then at postures drawn the same way each time. For checks of a
        workspace: too slow and too free for control.
        """
        target = self._target(position_m, quaternion_xyzw)
        generator = np.random.default_rng(0)
        for attempt in range(_RESTARTS):
            seed = self._rest if attempt == 0 else generator.uniform(self._low, self._high)
            q = self._solve(target, seed[self._to_model])
            if q is not None:
                found: Array = q[self._from_model]
                return found
        return None

    # -- inside: vectors in the order of the model -----------------------------------------------

    def _solve(self, target: Any, seed: Array) -> Array | None:
        """Return a solution of the model's joints within limits and tolerances, or None."""
        low, high = self._low[self._to_model], self._high[self._to_model]
        if np.abs(target.translation).max() > _MAX_REACH_M:
            return None
        self._frame_task.set_target(target)
        q = seed
        best, stalled = np.inf, 0
        for _ in range(self._config.max_iterations):
            self._configuration.update(q)
            error = self._frame_task.compute_error(self._configuration)
            if (
                np.linalg.norm(error[:3]) <= self._config.position_tolerance_m
                and np.linalg.norm(error[3:]) <= self._config.rotation_tolerance_rad
            ):
                return q
            size = float(np.linalg.norm(error))
            stalled = 0 if size < _PROGRESS * best else stalled + 1
            if stalled >= _STALLED:
                return None
            best = min(best, size)
            try:
                step = pink.solve_ik(
                    self._configuration,
                    self._tasks,
                    dt=1.0,
                    solver='daqp',
                    damping=_DAMPING,
                    limits=[self._configuration.model.configuration_limit],
                )
            except pink.exceptions.PinkError:  # no solution of the program
                return None
            largest = float(np.abs(step).max())
            if not np.isfinite(largest):
                return None
            q = np.clip(q + step * min(1.0, _MAX_NEWTON_STEP_RAD / max(largest, 1e-12)), low, high)
        return None

    def _refuse_singular(self, q: Array, seed: Array) -> None:
        margin = self._config.singularity_margin
        value = self._margin_of(q)
        if value < margin and value < self._margin_of(seed) - _SAME_POSTURE:
            raise UnreachablePoseError(
                f'the arm would come close to a singularity (smallest singular value {value:.3f}); '
                f'valid: at least {margin:g}, or a motion out of it (kinematics.'
                'singularity_margin).'
            )

    def _margin_of(self, q: Array) -> float:
        pin.computeJointJacobians(self._model, self._data, q)
        pin.updateFramePlacement(self._model, self._data, self._tool)
        jacobian = pin.getFrameJacobian(self._model, self._data, self._tool, pin.LOCAL)
        return float(np.linalg.svd(jacobian, compute_uv=False)[-1])

    def _target(self, position_m: Array, quaternion_xyzw: Array) -> Any:
        pose = pin.SE3(quaternion_to_matrix(quaternion_xyzw), np.asarray(position_m, np.float64))
        return self._base.inverse() * pose

    def _within(self, joints_rad: Array) -> Array:
        joints = np.asarray(joints_rad, np.float64)
        if joints.shape != self._low.shape or not np.all(np.isfinite(joints)):
            raise JointLimitError(
                f'joints {joints.tolist()}; valid: {self._low.size} finite numbers.'
            )
        within: Array = np.clip(joints, self._low, self._high)[self._to_model]
        return within

    # -- the model -------------------------------------------------------------------------------

    def _reduced(self, model: Any) -> Any:
        missing = [name for name in self._names if not model.existJointName(name)]
        if missing:
            raise RobotDescriptionError(
                f'{self._origin} has no joint {", ".join(missing)}; its joints: '
                f'{", ".join(list(model.names)[1:])}.'
            )
        locked = [i for i in range(1, model.njoints) if model.names[i] not in self._names]
        return pin.buildReducedModel(model, locked, pin.neutral(model))

    def _ids(self) -> list[int]:
        ids = [self._model.getJointId(name) for name in self._names]
        for name, i in zip(self._names, ids, strict=True):
            if self._model.joints[i].nq != 1:
                raise RobotDescriptionError(
                    f'joint {name} of {self._origin} has no limits or more than one axis; valid: '
                    'revolute or prismatic joints with limits.'
                )
        return ids

    def _add_tool(self, profile: RobotProfile) -> None:
        link = self._config.tool_link or profile.tool_frame
        parent = self._frame_id(link, 'kinematics.tool_link')
        offset = pin.SE3(
            quaternion_to_matrix(self._config.tool_offset_xyzw),
            np.asarray(self._config.tool_offset_m, np.float64),
        )
        frame = self._model.frames[parent]
        self._tool = self._model.addFrame(
            pin.Frame(
                _TOOL, frame.parentJoint, parent, frame.placement * offset, pin.FrameType.OP_FRAME
            )
        )

    def _base_placement(self, link: str) -> Any:
        """Return the pose of the description's root in base_frame."""
        frame = self._model.frames[self._frame_id(link, 'kinematics.base_link')]
        if frame.parentJoint != 0:
            raise RobotDescriptionError(
                f'{link} of {self._origin} moves with the arm; valid: a fixed base_frame.'
            )
        return frame.placement.inverse()

    def _frame_id(self, link: str, key: str) -> int:
        if not self._model.existFrame(link):
            links = ', '.join(f.name for f in self._model.frames)
            raise RobotDescriptionError(
                f'{self._origin} has no link {link!r} ({key}); its links: {links}.'
            )
        return int(self._model.getFrameId(link))

    def _set_limits(self, profile: RobotProfile) -> None:
        model, wanted = self._model, profile.joint_limits
        described = DescribedLimits(
            low_rad=np.array(model.lowerPositionLimit)[self._from_model],
            high_rad=np.array(model.upperPositionLimit)[self._from_model],
            max_speed_rad_s=np.array(model.velocityLimit)[self._from_model],
        )
        low, high = described.low_rad.copy(), described.high_rad.copy()
        speed = np.where(described.max_speed_rad_s > 0.0, described.max_speed_rad_s, np.inf)
        if wanted.low_rad:
            low = np.maximum(low, wanted.low_rad)
        if wanted.high_rad:
            high = np.minimum(high, wanted.high_rad)
        if wanted.max_speed_rad_s:
            speed = np.minimum(speed, wanted.max_speed_rad_s)
        low, high = low + wanted.margin_rad, high - wanted.margin_rad
        if not (np.all(np.isfinite(low + high)) and np.all(low < high)):
            raise RobotDescriptionError(
                f'joint limits {_text(low)} .. {_text(high)} from {self._origin} and profile '
                f'{profile.name!r}; valid: finite and low < high, see joint_limits.'
            )
        if not np.all(np.isfinite(speed)):
            raise RobotDescriptionError(
                f'{self._origin} has no speed limit of {self._names[int(np.argmax(speed))]}; '
                'valid: joint_limits.max_speed_rad_s in the profile.'
            )
        self._described = described
        self._low: Array = low
        self._high: Array = high
        self._speed: Array = speed
        # The limits that pink keeps in its programs.
        model.lowerPositionLimit = low[self._to_model]
        model.upperPositionLimit = high[self._to_model]


def _load(description: RobotDescription) -> Any:
    try:
        if description.is_mjcf:
            if description.path is None:
                raise RobotDescriptionError(
                    f'{description.origin} is an MJCF without a path; valid: a file, because MJCF '
                    'includes others.'
                )
            return pin.buildModelFromMJCF(str(description.path))
        return pin.buildModelFromXML(description.text)
    except (RuntimeError, ValueError) as error:
        raise RobotDescriptionError(f'{description.origin}: {error}') from error


def _text(values: Any) -> str:
    return '(' + ', '.join(f'{float(v):.3f}' for v in np.asarray(values)) + ')'
