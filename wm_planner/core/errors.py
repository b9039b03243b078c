# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The error tree: every class carries the number that travels in messages and action results.

Ranges: 0 none; 1xx input; 2xx data; 3xx planner; 4xx safety; 5xx simulator, driver or recorder;
9xx unknown. The same numbers stand in ``wm_planner_msgs/msg/ErrorCode.msg``; a test holds the two
sets equal. A message says what was wrong and what would be valid, because its reader is at a
terminal and not in this source.
"""

from __future__ import annotations

from collections.abc import Iterable
import difflib


class WmPlannerError(Exception):
    """Base of all errors this package raises on purpose; ``code`` is the number on the wire."""

    code: int = 900

    @property
    def message(self) -> str:
        """Return the sentence without the number."""
        return str(self.args[0]) if self.args else type(self).__doc__ or ''

    def __str__(self) -> str:
        return f'[{self.code}] {self.message}'


class UnknownError(WmPlannerError):
    """Something outside the error tree was raised."""

    code = 901


# 1xx: input ---------------------------------------------------------------------------------------


class InputError(WmPlannerError):
    """Input from outside cannot be used."""

    code = 100


class InvalidImageError(InputError):
    """An image has an unusable size, step, encoding or content."""

    code = 101


class InvalidGoalError(InputError):
    """A goal cannot be pursued."""

    code = 102


class UnknownNameError(InputError):
    """A name is not registered; the message lists the names that are."""

    code = 103

    @classmethod
    def among(cls, what: str, name: str, valid: Iterable[str]) -> UnknownNameError:
        """Build the error for ``name``, offering the nearest of ``valid`` and then all of them."""
        names = sorted(valid)
        near = difflib.get_close_matches(name, names, n=1)
        hint = f' Did you mean {near[0]!r}?' if near else ''
        return cls(
            f'unknown {what} {name!r}.{hint} Valid: {", ".join(names) or "(none registered)"}.'
        )


class InvalidParameterError(InputError):
    """A parameter is unknown, of the wrong type or out of its range."""

    code = 104


class FrameMismatchError(InputError):
    """A frame_id contradicts the robot profile."""

    code = 105


class InvalidStateError(InputError):
    """A robot state is not finite, lacks joints or has a quaternion that is not of unit length."""

    code = 106


class InvalidActionError(InputError):
    """An action array does not have the shape or the finite values that its ActionSpec asks for."""

    code = 107


class CalibrationError(InputError):
    """Moves cannot be calibrated from, or a camera calibration cannot be used."""

    code = 108


class CalibrationMismatchError(InputError):
    """The robot profile's camera calibration belongs to another world model."""

    code = 109


class RecordingError(InputError):
    """A bag, video or folder cannot be read, or lacks what was asked of it."""

    code = 110


class DemonstrationError(InputError):
    """A demonstration shows nothing that could be pursued, e.g. no motion."""

    code = 111


class AspectMismatchError(InputError):
    """Pictures have another aspect than the camera, or than those beside them."""

    code = 112


class FrameBankError(InputError):
    """A bank of frames is of another camera than the one that is looked through."""

    code = 113


# 2xx: data ----------------------------------------------------------------------------------------


class DataError(WmPlannerError):
    """The stream of frames and states cannot support a decision."""

    code = 200


class NoDataError(DataError):
    """No frame or no state has arrived yet."""

    code = 201


class StaleDataError(DataError):
    """The newest frame or state is older than allowed, or a stream has stopped."""

    code = 202


class FutureStampError(DataError):
    """A stamp lies in the future."""

    code = 203


class ClockJumpError(DataError):
    """The clock went backwards, so what was buffered no longer has an order."""

    code = 204


class GapError(DataError):
    """Frames are missing inside the context the world model asks for."""

    code = 205


class FrozenCameraError(DataError):
    """Frames keep coming and are one and the same picture, though the arm has moved."""

    code = 206


class UnusableFrameError(DataError):
    """A frame is black, saturated, without contrast or noise: it shows nothing of the scene."""

    code = 207


class StateJumpError(DataError):
    """A robot state is further from the one before than any arm gets in that time."""

    code = 208


class ImplausibleJointsError(DataError):
    """Joint positions are outside any joint's range: degrees, encoder ticks, a broken driver."""

    code = 209


# 3xx: planner -------------------------------------------------------------------------------------


class PlanningError(WmPlannerError):
    """Planning failed."""

    code = 300


class ModelLoadError(PlanningError):
    """A weights file is missing, truncated, foreign or does not fit the network."""

    code = 301


class ChecksumError(ModelLoadError):
    """A weights file does not have the checksum that its model card states."""

    code = 302


class NoFiniteEnergyError(PlanningError):
    """Fewer candidates than elites have a finite energy, so there is no plan to stand behind."""

    code = 303


class PlannerFailedError(PlanningError):
    """The planner raised, or returned something that is not a plan."""

    code = 304


class PlannerTimeoutError(PlanningError):
    """The planning thread has not answered in time."""

    code = 305


class DeviceMemoryError(PlanningError):
    """The device has no memory for even one action sequence."""

    code = 306


class NoProgressError(PlanningError):
    """The energy has not fallen for a while: the goals are given up."""

    code = 307


class UncertainPlanError(PlanningError):
    """The planner sees no difference between what it could do: flat energy, or scattered elites."""

    code = 308


class SurpriseError(PlanningError):
    """What happens is not what the world model predicts."""

    code = 309


# 4xx: safety --------------------------------------------------------------------------------------


class SafetyError(WmPlannerError):
    """The safety filter or the state machine refused motion."""

    code = 400


class NotEnabledError(SafetyError):
    """Motion has not been enabled."""

    code = 401


class NonFiniteCommandError(SafetyError):
    """A command holds NaN or infinity."""

    code = 402


class WorkspaceViolationError(SafetyError):
    """A command or the arm itself is outside the workspace box."""

    code = 403


class StepLimitError(SafetyError):
    """A command asks for a displacement or rotation far beyond one step."""

    code = 404


class StaleCommandError(SafetyError):
    """A command was computed from a state that is too old."""

    code = 405


class EmergencyStopError(SafetyError):
    """The emergency stop is latched."""

    code = 406


class FaultLatchedError(SafetyError):
    """A fault is latched; only a reset leaves it."""

    code = 407


class JointLimitError(SafetyError):
    """A joint target is outside its limits, or further from the joint than one step."""

    code = 408


class UnreachablePoseError(SafetyError):
    """No joint angles bring the tool to a pose, or only some near a singularity."""

    code = 409


class SecondPublisherError(SafetyError):
    """Somebody else sends commands to the arm on the topics of this node."""

    code = 410


class ContactForceError(SafetyError):
    """The measured force or torque is above the limit of the robot profile."""

    code = 411


class WrenchLostError(SafetyError):
    """The wrench that the robot profile demands is silent or is not finite."""

    code = 412


class EmergencyStopLostError(EmergencyStopError):
    """The heartbeat of the emergency stop that the robot profile demands has stopped."""

    code = 413


class OverspeedError(SafetyError):
    """The arm moves faster than it was told to."""

    code = 414


class DisplacedError(SafetyError):
    """The arm does not stay where it is held: somebody moves it, or its pose is wrong."""

    code = 415


# 5xx: simulator, driver, recorder -----------------------------------------------------------------


class DriverError(WmPlannerError):
    """The simulator or the robot driver cannot do what was asked."""

    code = 500


class SimulatorError(DriverError):
    """The simulator failed."""

    code = 501


class MissingAssetError(DriverError):
    """A model, mesh or package is not installed; the message names the command that installs it."""

    code = 502


class RecorderError(DriverError):
    """The bag cannot be written."""

    code = 503


class TransportStalledError(DriverError):
    """A node stands still: the middleware does not take what it wants to send."""

    code = 504


class MissingPackageError(DriverError):
    """A package that a driver's messages need is not installed; the message names it."""

    code = 505


class RobotDescriptionError(DriverError):
    """The robot description is missing, unreadable or contradicts the robot profile."""

    code = 506


class CommandIgnoredError(DriverError):
    """The arm does not do what it is told."""

    code = 507


class ArmInUseError(DriverError):
    """Somebody else commands the arm."""

    code = 508


def all_error_classes() -> dict[int, type[WmPlannerError]]:
    """Return every class of the tree by its code, in rising order."""
    found: dict[int, type[WmPlannerError]] = {}
    todo: list[type[WmPlannerError]] = [WmPlannerError]
    while todo:
        cls = todo.pop()
        found[cls.code] = cls
        todo.extend(cls.__subclasses__())
    return dict(sorted(found.items()))


def as_wm_planner_error(error: BaseException) -> WmPlannerError:
    """Return ``error`` if it belongs to the tree, else an UnknownError that names its type."""
    if isinstance(error, WmPlannerError):
        return error
    return UnknownError(f'{type(error).__name__}: {error}')
