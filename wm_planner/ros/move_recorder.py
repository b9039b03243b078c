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

import numpy as np
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image as ImageMessage

from wm_planner.core.errors import WmPlannerError
from wm_planner.core.geometry import Array
from wm_planner.core.profile import RobotProfile
from wm_planner.core.types import ActionKind, Image, Observation, RobotState
from wm_planner.ros import qos
from wm_planner.ros.client import PlannerClient
from wm_planner.ros.images import image_from_compressed, image_from_message
from wm_planner.ros.plan_record import start_from_message
from wm_planner.ros.stamps import stamp_to_ns
from wm_planner_msgs.msg import PlanDiagnostics, PlanStart

PLAN_TOPIC = '/wm_planner/plan_diagnostics'
START_TOPIC = '/wm_planner/plan_start'

_KEPT_FRAMES = 64
_SAME_MOMENT_NS = 120_000_000
_POSITION = (ActionKind.DX.value, ActionKind.DY.value, ActionKind.DZ.value)


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A plan: what was seen when it was made, and what it asked for first."""

    observation: Observation
    asked_m: Array  # [3] in base_frame
    asked_closedness: float | None
    follows: bool = True  # no plan was lost between the moment before and this one


class MoveRecorder:
    """Takes pictures and plans in the order of arrival; ``moments`` grows by one a plan.

    Robot states are those that the planner planned from (~/plan_start): whatever they come from on
    this robot, its topic, its joints or tf, the planner has put them together.

    ``frames`` is how many pictures ``step_s`` apart an observation holds, the newest that of the
    plan, at which the arm is at rest. A plan whose pictures were lost on the way leaves no moment;
    ``lost`` counts it. One thread at a time.
    """

    def __init__(self, profile: RobotProfile, *, frames: int = 1, step_s: float = 0.25) -> None:
        self._profile = profile
        self._offsets_ns = [round(i * step_s * 1e9) for i in range(frames - 1, -1, -1)]
        self._images: list[tuple[int, Image]] = []  # stamp [ns], in order of arrival
        self._starts: dict[int, PlanStart] = {}  # by the plan's stamp, until the plan is there too
        self._plans: dict[int, PlanDiagnostics] = {}
        self.moments: list[Moment] = []
        self.lost = 0
        self._lost_before = 0

    def listen(self, client: PlannerClient) -> None:
        """Follow a client's planner and the camera; the callbacks run inside its calls."""
        topics, subscribe = self._profile.topics, client.node.create_subscription
        is_compressed = topics.image.endswith('/compressed')
        kind: Any = CompressedImage if is_compressed else ImageMessage
        subscribe(kind, topics.image, self.on_image, qos.IMAGE)
        subscribe(PlanStart, START_TOPIC, self.on_start, qos.STATUS)
        client.on_plan = self.on_plan

    @property
    def latest_image(self) -> Image | None:
        """Return the newest picture."""
        return self._images[-1][1] if self._images else None

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

    def on_start(self, message: PlanStart) -> None:
        """Take what a plan was made from."""
        self._starts[stamp_to_ns(message.header.stamp)] = message
        self._match(stamp_to_ns(message.header.stamp))

    def on_plan(self, message: PlanDiagnostics) -> None:
        """Take a plan."""
        self._plans[stamp_to_ns(message.header.stamp)] = message
        self._match(stamp_to_ns(message.header.stamp))

    def _match(self, stamp_ns: int) -> None:
        """Make the moment of a plan once both of its messages are there."""
        if stamp_ns not in self._starts or stamp_ns not in self._plans:
            return
        start, plan = self._starts.pop(stamp_ns), self._plans.pop(stamp_ns)
        # Those from before whose other half has not come have lost it.
        for waiting in (self._starts, self._plans):
            for old in [other for other in waiting if other < stamp_ns]:
                del waiting[old]
                self.lost += 1
        states = start_from_message(start, len(plan.action_names)).states
        images = [_nearest(self._images, stamp_ns - offset) for offset in self._offsets_ns]
        found = [item for item in images if item is not None]
        if len(found) < len(images):
            self.lost += 1
            return
        asked = dict(zip(plan.action_names, plan.actions, strict=False))
        self.moments.append(
            Moment(
                observation=Observation(
                    images=np.stack([image for _, image in found]),
                    image_stamps_ns=tuple(stamp for stamp, _ in found),
                    states=tuple(_state_at(states, stamp) for stamp, _ in found),
                ),
                asked_m=np.array([asked.get(name, 0.0) for name in _POSITION]),
                asked_closedness=asked.get(ActionKind.GRIPPER.value),
                follows=self.lost == self._lost_before,
            )
        )
        self._lost_before = self.lost


def _state_at(states: tuple[RobotState, ...], stamp_ns: int) -> RobotState:
    """Return the state nearest in time: at rest one is as good as another."""
    return min(states, key=lambda state: abs(state.stamp_ns - stamp_ns))


def _nearest(items: list[tuple[int, Any]], stamp_ns: int) -> tuple[int, Any] | None:
    """Return the item nearest in time, None where none is near."""
    index = bisect.bisect_left(items, stamp_ns, key=lambda item: item[0])
    around = items[max(index - 1, 0) : index + 1]
    best = min(around, key=lambda item: abs(item[0] - stamp_ns), default=None)
    return best if best is not None and abs(best[0] - stamp_ns) <= _SAME_MOMENT_NS else None
