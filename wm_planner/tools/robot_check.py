# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What a robot profile means on this machine: streams, packages, limits; no node is started."""

from __future__ import annotations

from dataclasses import dataclass, field
import enum
import itertools
from typing import Any

import numpy as np

from wm_planner.core.errors import MissingPackageError, WmPlannerError
from wm_planner.core.profile import RobotProfile
from wm_planner.kinematics.description import RobotDescription
from wm_planner.ros.grippers import GRIPPERS
from wm_planner.ros.ingest import inputs_of
from wm_planner.ros.optional import install_command, is_installed
from wm_planner.ros.robot_description import needs_kinematics
from wm_planner.ros.sinks import SINKS
from wm_planner.ros.sinks.arm_sink import Stream

_DOWN = np.array([1.0, 0.0, 0.0, 0.0])
_FAST_M_S = 1.0
_JOINT_STATE = 'sensor_msgs/msg/JointState'


class Level(enum.IntEnum):
    """How bad a finding is."""

    NOTE = 0
    WARNING = 1
    ERROR = 2


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One sentence about a profile."""

    level: Level
    text: str


@dataclass(kw_only=True)
class RobotReport:
    """What was found; the worst finding is the verdict."""

    profile: RobotProfile
    streams: list[Stream] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def level(self) -> Level:
        """Return the worst level."""
        return max((f.level for f in self.findings), default=Level.NOTE)

    @property
    def verdict(self) -> str:
        """Return the worst level in words."""
        name = self.profile.name
        return {
            Level.NOTE: f'{name} is fine here.',
            Level.WARNING: f'{name} can run here; mind the warnings.',
            Level.ERROR: f'{name} cannot run here.',
        }[self.level]

    def add(self, level: Level, text: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(level=level, text=text))

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {
            'profile': self.profile.name,
            'verdict': self.level.name.lower(),
            'streams': [
                {'name': s.name, 'type': s.type_name, 'kind': s.kind} for s in self.streams
            ],
            'findings': [{'level': f.level.name.lower(), 'text': f.text} for f in self.findings],
        }


def check_robot(profile: RobotProfile, description: RobotDescription | None = None) -> RobotReport:
    """Return what a profile needs, and what of it is missing or contradictory here.

    ``description`` stands for the one that would come on a topic. Raises UnknownNameError for a
    sink or gripper that nobody registered.
    """
    report = RobotReport(profile=profile)
    report.streams = streams_of(profile)
    _check_packages(report)
    _check_kinematics(report, description)
    _check_values(report)
    return report


def streams_of(profile: RobotProfile) -> list[Stream]:
    """Return every topic, service and action that a planner of this profile uses for the robot."""
    topics = profile.topics
    is_compressed = topics.image.endswith('/compressed')
    types = {
        'image': f'sensor_msgs/msg/{"CompressedImage" if is_compressed else "Image"}',
        'joint_states': _JOINT_STATE,
        'gripper_joint_states': _JOINT_STATE,
        'tool_pose': 'geometry_msgs/msg/PoseStamped',
    }
    found = [
        Stream(name=getattr(topics, name), type_name=types[name], kind='subscription')
        for name in inputs_of(profile)
    ]
    if profile.state_source == 'tf':
        found.append(Stream(name='/tf', type_name='tf2_msgs/msg/TFMessage', kind='subscription'))
    if needs_kinematics(profile) and not profile.kinematics.description:
        found.append(
            Stream(
                name=topics.robot_description, type_name='std_msgs/msg/String', kind='subscription'
            )
        )
    found += SINKS.get(profile.sink).streams(profile)
    gripper = GRIPPERS.get(profile.gripper)
    kind = 'action client' if gripper.is_action else 'publisher'
    names = gripper.suffixes or ({'': gripper.type_name} if gripper.type_name else {})
    found += [
        Stream(name=topics.gripper_target + suffix, type_name=type_name, kind=kind)
        for suffix, type_name in names.items()
    ]
    return found


def _check_packages(report: RobotReport) -> None:
    needed = {stream.type_name.split('/')[0] for stream in report.streams}
    if report.profile.state_source == 'tf':
        needed.add('tf2_ros')
    for package in sorted(needed):
        if not is_installed(package):
            report.add(
                Level.ERROR, f'{package} is not installed here; run: {install_command(package)}'
            )


def _check_kinematics(report: RobotReport, description: RobotDescription | None) -> None:
    profile = report.profile
    is_needed = needs_kinematics(profile)
    if not (is_needed or description or profile.kinematics.description):
        return
    bad = Level.ERROR if is_needed else Level.WARNING
    if description is None and not profile.kinematics.description:
        report.add(
            Level.NOTE,
            f'the robot description comes on {profile.topics.robot_description} when the planner '
            'is configured; check it here with --description FILE.',
        )
        if not is_installed('pinocchio'):
            report.add(bad, 'Pinocchio is not installed; run: pip install pin pin-pink daqp')
        return
    try:
        from wm_planner.kinematics.arm import make_kinematics

        kinematics = make_kinematics(profile, description)
    except (WmPlannerError, MissingPackageError) as error:
        report.add(bad, str(error))
        return
    _check_limits(report, kinematics)
    _check_workspace(report, kinematics)


def _check_limits(report: RobotReport, kinematics: Any) -> None:
    """Compare the profile's joint limits with the description's."""
    wanted, described = report.profile.joint_limits, kinematics.described
    names = report.profile.arm_joint_names
    for key, given, limit, sign in (
        ('low_rad', wanted.low_rad, described.low_rad, -1.0),
        ('high_rad', wanted.high_rad, described.high_rad, 1.0),
        ('max_speed_rad_s', wanted.max_speed_rad_s, described.max_speed_rad_s, 1.0),
    ):
        if not given:
            continue
        wider = [
            f'{name} ({value:g}, description {bound:g})'
            for name, value, bound in zip(names, given, limit, strict=True)
            if sign * (value - bound) > 1e-3 and bound != 0.0
        ]
        if wider:
            report.add(
                Level.WARNING,
                f'joint_limits.{key} is wider than the description: {", ".join(wider)}; the '
                'narrower counts.',
            )
    rest = np.asarray(report.profile.kinematics.rest_rad)
    if rest.size and np.any((rest < kinematics.low_rad) | (rest > kinematics.high_rad)):
        report.add(Level.WARNING, 'kinematics.rest_rad lies outside the joint limits.')


def _check_workspace(report: RobotReport, kinematics: Any) -> None:
    """Look whether the arm reaches the corners of the box with the tool pointing down."""
    low, high = report.profile.workspace
    corners = [np.array(c) for c in itertools.product(*zip(low, high, strict=True))]
    missed = [c for c in (*corners, 0.5 * (low + high)) if kinematics.find(c, _DOWN) is None]
    if len(missed) == len(corners) + 1:
        report.add(
            Level.ERROR,
            'the arm reaches neither a corner nor the middle of the workspace with the tool '
            'pointing down; base_frame, tool_link or the box are wrong.',
        )
    elif missed:
        texts = ', '.join('(' + ', '.join(f'{v:g}' for v in c) + ')' for c in missed)
        report.add(
            Level.WARNING,
            f'out of reach with the tool pointing down: {texts} m; targets there are refused.',
        )
    else:
        report.add(Level.NOTE, 'every corner of the workspace is in reach, the tool pointing down.')


def _check_values(report: RobotReport) -> None:
    """Look for values that are valid and yet rarely meant."""
    profile = report.profile
    if profile.max_speed_m_s > _FAST_M_S:
        report.add(
            Level.WARNING,
            f'max_speed_m_s is {profile.max_speed_m_s:g}; a first motion should be below 0.25.',
        )
    if not profile.arm_joint_names:
        report.add(
            Level.WARNING, 'arm_joint_names is empty: joint states of any robot are taken for its.'
        )
    if profile.gripper != 'none' and not profile.gripper_joint_names:
        report.add(
            Level.WARNING,
            'gripper_joint_names is empty: the gripper always counts as open.',
        )
    if profile.sink == 'crisp':
        report.add(
            Level.NOTE,
            f'CRISP drops everything while {profile.topics.target_pose} has a second publisher: '
            'stop crisp_py and other teleoperation.',
        )
