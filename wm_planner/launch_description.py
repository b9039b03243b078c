# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Turns a profile of ``bringup`` into launch_ros actions; used by ``launch/*.launch.py`` only.

``launch`` and ``launch_ros`` come with a ROS 2 distribution and are on no Python index, so nothing
else in the package imports this module.
"""

from __future__ import annotations

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    OpaqueFunction,
    SetEnvironmentVariable,
    Shutdown,
)
from launch_ros.actions import Node

from wm_planner.bringup import NodeStart, Profile, profile


def launch_description(profile_name: str) -> LaunchDescription:
    """Return what starts the nodes of a profile, with its arguments declared and described."""
    chosen = profile(profile_name)
    arguments = [
        DeclareLaunchArgument(
            argument.name,
            default_value=argument.default,
            description=argument.description,
            choices=list(argument.choices) or None,
        )
        for argument in chosen.arguments
    ]
    environment = [
        SetEnvironmentVariable(name, value) for name, value in chosen.missing_environment().items()
    ]
    # The argument values are known only once launch runs.
    start = OpaqueFunction(function=_start_nodes, args=[chosen])
    return LaunchDescription([*arguments, *environment, start])


def _start_nodes(context: LaunchContext, chosen: Profile) -> list[LaunchDescriptionEntity]:
    values = {
        argument.name: context.launch_configurations[argument.name] for argument in chosen.arguments
    }
    return [_node_action(node) for node in chosen.resolve(values)]


def _node_action(node: NodeStart) -> Node:
    overrides = [dict(node.parameters)] if node.parameters else []
    return Node(
        package=node.package,
        executable=node.executable,
        name=node.name,
        namespace=node.namespace,
        parameters=[str(node.parameter_file), *overrides],
        remappings=list(node.remappings),
        ros_arguments=node.enclave_arguments(),
        output='screen',
        # The nodes are useless without each other: as with `wm_planner up`, all end with one.
        on_exit=Shutdown(reason=f'{node.name} ended'),
    )
