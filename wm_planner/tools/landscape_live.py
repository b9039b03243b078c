# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The energy landscape of a running planner node, as it publishes it."""

from __future__ import annotations

import math
from typing import Any

from geometry_msgs.msg import PoseStamped
import numpy as np
from sensor_msgs.msg import Image as ImageMessage
from sensor_msgs.msg import PointCloud2

from wm_planner.core.errors import NoDataError
from wm_planner.core.geometry import Array
from wm_planner.core.profile import RobotProfile
from wm_planner.core.types import Image, RobotState
from wm_planner.planning.landscape import Landscape
from wm_planner.ros import qos
from wm_planner.ros.client import PlannerClient
from wm_planner.ros.images import image_from_message
from wm_planner.ros.point_cloud import cloud_from_message
from wm_planner.ros.stamps import stamp_to_ns
from wm_planner_msgs.msg import PlanDiagnostics

_TIMEOUT_S = 60.0


def live_landscape(
    node: str, profile: RobotProfile
) -> tuple[Landscape, Array | None, tuple[Image, Image]]:
    """Have a landscape computed; return it, the action chosen last for its goal, and both pictures.

    What a cloud does not say is unknown: in how many steps a displacement is made (0), and, before
    there is a plan toward that goal, the present energy (NaN). Raises what ~/compute_landscape
    answers, or NoDataError where something does not come.
    """
    seen: dict[str, Any] = {}

    def keep(name: str) -> Any:
        return lambda message: seen.__setitem__(name, message)

    with PlannerClient(name='wm_planner_landscape', planner=node, timeout_s=_TIMEOUT_S) as client:
        for name, kind, topic, profile_ in (
            ('cloud', PointCloud2, f'{node}/energy_landscape', qos.LATCHED),
            ('goal', ImageMessage, f'{node}/goal_image', qos.LATCHED),
            ('now', ImageMessage, profile.topics.image, qos.IMAGE),
            ('pose', PoseStamped, profile.topics.tool_pose, qos.STATE),
            ('plan', PlanDiagnostics, f'{node}/plan_diagnostics', qos.STATUS),
        ):
            client.node.create_subscription(kind, topic, keep(name), profile_)
        client.wait_for_data()
        seen.pop('cloud', None)
        client.compute_landscape()
        wanted = ('cloud', 'goal', 'now', 'pose')
        client.spin_until(
            lambda: all(name in seen for name in wanted),
            lambda: NoDataError(
                f'{", ".join(name for name in wanted if name not in seen)} did not come within '
                f'{_TIMEOUT_S:g} s; valid: a planner with a goal, and its camera.'
            ),
            _TIMEOUT_S,
        )
        status = client.status
    cloud = seen['cloud']
    goal_id = '' if status is None else str(status.goal_id)
    plan = seen.get('plan')
    if plan is not None and plan.goal_id != goal_id:
        plan = None  # of the goal before
    found = landscape_of(
        cloud_from_message(cloud),
        goal_id,
        stamp_to_ns(cloud.header.stamp),
        math.nan if plan is None else float(plan.goal_energy),
    )
    return (
        found,
        None if plan is None else _chosen(plan),
        (
            image_from_message(seen['now']),
            image_from_message(seen['goal']),
        ),
    )


def landscape_of(
    points: np.ndarray[Any, Any], goal_id: str, stamp_ns: int, energy_now: float
) -> Landscape:
    """Return the landscape that a cloud [2 n n, 4] of ``Landscape.points`` holds."""
    count = round(math.sqrt(len(points) / 2))
    tool = points[:, :3].mean(axis=0).astype(float)
    values = points[:, 3].astype(float).reshape(2, count, count)
    x = points[: count * count, 0].reshape(count, count)[:, 0].astype(float)
    return Landscape(
        goal_id=goal_id,
        stamp_ns=stamp_ns,
        state=RobotState(
            stamp_ns=stamp_ns,
            position_m=tool,
            quaternion_xyzw=np.array([0.0, 0.0, 0.0, 1.0]),
            gripper_closedness=0.0,
        ),
        steps=0,
        offsets_m=x - x.mean(),
        xy=values[0],
        xz=values[1],
        energy_now=energy_now,
    )


def _chosen(plan: PlanDiagnostics) -> Array:
    values = dict(zip(plan.action_names, plan.actions[: len(plan.action_names)], strict=True))
    return np.array([values.get(name, 0.0) for name in ('dx', 'dy', 'dz')])
