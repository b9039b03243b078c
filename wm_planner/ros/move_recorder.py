# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""MoveRecorder: what the camera and the tool did between the plans of a planner node.

The node observes an arm at rest, plans, moves, waits for the tool to arrive and observes again. So
the moments of its plans, which it publishes, are those before and after each move.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import Any

from geometry_msgs.msg import PoseStamped
import numpy as np
from sensor_msgs.msg import CompressedImage, JointState
from sensor_msgs.msg import Image as ImageMessage

from wm_planner.core.errors import WmPlannerError
from wm_planner.core.geometry import Array
from wm_planner.core.profile import RobotProfile
from wm_planner.core.types import ActionKind, Image, Observation, RobotState
from wm_planner.ros import qos
from wm_planner.ros.client import PlannerClient
from wm_planner.ros.conversions import closedness_from_joints, state_from_message
from wm_planner.ros.images import image_from_compressed, image_from_message
from wm_planner.ros.stamps import stamp_to_ns
from wm_planner_msgs.msg import PlanDiagnostics

_KEPT_FRAMES = 64
_KEPT_STATES = 2048
_SAME_MOMENT_NS = 120_000_000
_POSITION = (ActionKind.DX.value, ActionKind.DY.value, ActionKind.DZ.value)


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A plan: what was seen when it was made, and what it asked for first."""

    observation: Observation
    asked_m: Array  # [3] in base_frame
    asked_closedness: float | None


class MoveRecorder:
    """Takes pictures, states and plans in the order of arrival; ``moments`` grows by one a plan.

    ``frames`` is how many pictures ``step_s`` apart an observation holds, the newest that of the
    plan. A plan whose pictures or state were lost on the way leaves no moment; ``lost`` counts it.
    One thread at a time.
    """

    def __init__(self, profile: RobotProfile, *, frames: int = 1, step_s: float = 0.25) -> None:
        self._profile = profile
        self._offsets_ns = [round(i * step_s * 1e9) for i in range(frames - 1, -1, -1)]
        self._images: list[tuple[int, Image]] = []  # stamp [ns], in order of arrival
        self._states: list[tuple[int, RobotState]] = []
        self._closedness: float | None = None
        self.moments: list[Moment] = []
        self.lost = 0

    def listen(self, client: PlannerClient) -> None:
        """Follow a client's node and the robot's topics; the callbacks run inside its calls."""
        topics, subscribe = self._profile.topics, client.node.create_subscription
        is_compressed = topics.image.endswith('/compressed')
        kind: Any = CompressedImage if is_compressed else ImageMessage
        subscribe(kind, topics.image, self.on_image, qos.IMAGE)
        subscribe(JointState, topics.joint_states, self.on_joints, qos.STATE)
        subscribe(PoseStamped, topics.tool_pose, self.on_pose, qos.STATE)
        client.on_plan = self.on_plan

    @property
    def latest_image(self) -> Image | None:
        """Return the newest picture."""
        return self._images[-1][1] if self._images else None

    @property
    def latest_state(self) -> RobotState | None:
        """Return the newest robot state."""
        return self._states[-1][1] if self._states else None

    def on_image(self, message: ImageMessage | CompressedImage) -> None:
        """Take a picture; one that cannot be read is passed over."""
        try:
            if isinstance(message, ImageMessage):
                image = image_from_message(message)
            else:
                image = image_from_compressed(message)
        except WmPlannerError:
            return  # the planner node says what is wrong with it
        self._images.append((stamp_to_ns(message.header.stamp), image))
        del self._images[:-_KEPT_FRAMES]

    def on_joints(self, message: JointState) -> None:
        """Take the joints, for the gripper."""
        try:
            self._closedness = closedness_from_joints(message, self._profile)
        except WmPlannerError:
            self._closedness = None

    def on_pose(self, message: PoseStamped) -> None:
        """Take a tool pose; it becomes a state once the gripper is known."""
        if self._closedness is None:
            return
        try:
            state = state_from_message(message, self._closedness, self._profile)
        except WmPlannerError:
            return
        self._states.append((state.stamp_ns, state))
        del self._states[:-_KEPT_STATES]

    def on_plan(self, message: PlanDiagnostics) -> None:
        """Take a plan, and what was seen at its moment."""
        stamp_ns = stamp_to_ns(message.header.stamp)
        moments = [stamp_ns - offset for offset in self._offsets_ns]
        images = [_nearest(self._images, moment) for moment in moments]
        states = [_nearest(self._states, moment) for moment in moments]
        if any(item is None for item in (*images, *states)):
            self.lost += 1
            return
        asked = dict(zip(message.action_names, message.actions, strict=False))
        self.moments.append(
            Moment(
                observation=Observation(
                    images=np.stack([image for _, image in images]),  # type: ignore[misc]
                    image_stamps_ns=tuple(stamp for stamp, _ in images),  # type: ignore[misc]
                    states=tuple(state for _, state in states),  # type: ignore[misc]
                ),
                asked_m=np.array([asked.get(name, 0.0) for name in _POSITION]),
                asked_closedness=asked.get(ActionKind.GRIPPER.value),
            )
        )


def _nearest(items: list[tuple[int, Any]], stamp_ns: int) -> tuple[int, Any] | None:
    """Return the item nearest in time, None where none is near."""
    index = bisect.bisect_left(items, stamp_ns, key=lambda item: item[0])
    around = items[max(index - 1, 0) : index + 1]
    best = min(around, key=lambda item: abs(item[0] - stamp_ns), default=None)
    return best if best is not None and abs(best[0] - stamp_ns) <= _SAME_MOMENT_NS else None
