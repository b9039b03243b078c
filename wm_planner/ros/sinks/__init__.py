# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""How commands leave: one class a driver interface, composed with a gripper into a CommandSink.

A driver with another command type gets an ``ArmSink`` here, a line in ``SINKS`` and its name in the
``sink`` entry of a robot profile. Other packages register theirs under the entry-point group
``wm_planner.sinks``; what it loads must be a subclass of ``ArmSink``.
"""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node

from wm_planner.control.safety import SafetyConfig
from wm_planner.core.profile import RobotProfile
from wm_planner.core.protocols import Clock, CommandSink, Kinematics
from wm_planner.core.registry import Registry
from wm_planner.core.types import JointPositions, RobotState
from wm_planner.ros.grippers import make_gripper
from wm_planner.ros.sinks.arm_sink import ArmSink, SinkContext
from wm_planner.ros.sinks.crisp import CrispSink
from wm_planner.ros.sinks.driver import DriverSink
from wm_planner.ros.sinks.fzi import FziSink
from wm_planner.ros.sinks.joint_forward import JointForwardSink
from wm_planner.ros.sinks.joint_state import JointStateSink
from wm_planner.ros.sinks.joint_trajectory import JointTrajectorySink
from wm_planner.ros.sinks.null import NullSink
from wm_planner.ros.sinks.servo_pose import ServoPoseSink
from wm_planner.ros.sinks.servo_twist import ServoTwistSink
from wm_planner.ros.sinks.tool_pose import ToolPoseSink

NULL_SINK = 'null'
"""The dry run: for any profile, and no class of its own among the arms' sinks."""

SINKS: Registry[type] = Registry(
    'sink',
    group='wm_planner.sinks',
    entry_class=type,
    builtins={
        NULL_SINK: lambda: NullSink,
        'tool_pose': lambda: ToolPoseSink,
        'crisp': lambda: CrispSink,
        'servo_pose': lambda: ServoPoseSink,
        'servo_twist': lambda: ServoTwistSink,
        'fzi': lambda: FziSink,
        'joint_trajectory': lambda: JointTrajectorySink,
        'joint_state': lambda: JointStateSink,
        'joint_forward': lambda: JointForwardSink,
    },
)


def commands_joints(profile: RobotProfile) -> bool:
    """Return whether the profile's sink commands joints and so needs kinematics.

    Raises UnknownNameError naming the sinks there are.
    """
    return bool(getattr(SINKS.get(profile.sink), 'needs_kinematics', False))


def make_sink(
    name: str,
    node: Node,
    profile: RobotProfile,
    clock: Clock,
    latest_state: Callable[[], RobotState | None],
    *,
    latest_joints: Callable[[], JointPositions | None] = lambda: None,
    kinematics: Kinematics | None = None,
    control_rate_hz: float = 50.0,
    safety: SafetyConfig | None = None,
) -> CommandSink:
    """Return the sink called ``name`` with the profile's gripper.

    ``latest_state()`` is where the arm was last seen, ``latest_joints()`` its joints, ``safety``
    what scales the profile's limits. Raises
    UnknownNameError naming the sinks or grippers there are, MissingPackageError for one whose
    messages are not installed, RobotDescriptionError for one that needs kinematics without it and
    InvalidParameterError for one that needs a higher control rate.
    """
    context = SinkContext(
        node=node,
        profile=profile,
        clock=clock,
        latest_state=latest_state,
        latest_joints=latest_joints,
        kinematics=kinematics,
        control_rate_hz=control_rate_hz,
        safety=safety or SafetyConfig(),
    )
    if name == NULL_SINK:
        return NullSink(context)
    make: type[ArmSink] = SINKS.get(name)
    gripper = make_gripper(node, profile, clock)
    try:
        arm = make(context)
    except Exception:
        gripper.close()
        raise
    return DriverSink(context, arm, gripper)
