# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""LandscapeService: the energy landscape as a point cloud, on request or now and then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import PointCloud2
from std_srvs.srv import Trigger

from wm_planner.core.config import parameter
from wm_planner.core.errors import InvalidGoalError, WmPlannerError
from wm_planner.core.types import Goal, NotReady, Observation
from wm_planner.planning.landscape import Landscape, LandscapeConfig, landscape
from wm_planner.ros import qos
from wm_planner.ros.goal_desk import GoalDesk
from wm_planner.ros.point_cloud import cloud_to_message
from wm_planner.ros.spinning import CallbackGuard, awaitable


@dataclass(frozen=True, kw_only=True)
class LandscapeServiceConfig(LandscapeConfig):
    """Size and detail of ~/energy_landscape, and whether it comes by itself."""

    period_s: float = parameter(
        0.0,
        'how often ~/energy_landscape comes by itself while the planner is idle [s, wall]; '
        '0 = on request alone',
        low=0.0,
        high=3600.0,
    )


class LandscapeService:
    """~/compute_landscape and ~/energy_landscape.

    The work is done on the planning thread between plans, in chunks; a plan waits for one of them
    at most. Callbacks are the executor's.
    """

    def __init__(self, node: LifecycleNode, desk: GoalDesk, guard: CallbackGuard) -> None:
        self._node = node
        self._desk = desk
        self.config = LandscapeServiceConfig()
        self._last_ns = 0
        self._is_at_work = False
        self._publisher = node.create_publisher(PointCloud2, '~/energy_landscape', qos.LATCHED)
        node.create_service(
            Trigger,
            '~/compute_landscape',
            guard.wrap_service('compute_landscape', self._compute),
            callback_group=ReentrantCallbackGroup(),
        )

    def on_tick(self, monotonic_ns: int) -> None:
        """Begin a landscape where one is due and the planner has nothing to do."""
        period_ns = self.config.period_s * 1e9
        if not period_ns or self._is_at_work or monotonic_ns - self._last_ns < period_ns:
            return
        if self._desk.stack.worker.busy_since_ns() is not None:
            return
        self._last_ns = monotonic_ns
        try:
            observation, goal = self._inputs()
        except WmPlannerError:
            return  # no goal or no data yet: there is nothing to show
        self._begin(observation, goal, lambda found: None)

    async def _compute(
        self, _request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        observation, goal = self._inputs()
        future, set_result = awaitable(self._node)
        self._begin(observation, goal, set_result)
        found = await future
        if isinstance(found, WmPlannerError):
            raise found
        x, y, _ = found.minimum('xy')
        _, _, z = found.minimum('xz')
        response.success = True
        response.message = (
            f'{2 * found.xy.size} points toward goal {goal.goal_id!r}; lowest at x {x:+.3f} m, '
            f'y {y:+.3f} m (slice xy), z {z:+.3f} m (slice xz) from the tool.'
        )
        return response

    def _inputs(self) -> tuple[Observation, Goal]:
        """Return the newest observation and the goal in force, or raise why there is none."""
        stack, goal = self._desk.stack, self._desk.shown
        if goal is None:
            raise InvalidGoalError(
                'there is no goal to have a landscape of; valid: once a goal was set.'
            )
        clock = self._desk.clock
        found = stack.buffer.snapshot(clock.now_ns(), clock.monotonic_ns())
        if isinstance(found, NotReady):
            raise found.error
        return found, goal

    def _begin(
        self, observation: Observation, goal: Goal, set_result: Callable[[Any], None]
    ) -> None:
        stack, config = self._desk.stack, self.config
        result: list[Landscape] = []

        def work(planner: object) -> Iterator[None]:
            result.append((yield from landscape(planner, observation, goal, config)))

        def done(error: WmPlannerError | None) -> None:  # on the planning thread
            self._is_at_work = False
            if error is None:
                self._publisher.publish(
                    cloud_to_message(
                        result[0].points(),
                        value_name='energy',
                        stamp_ns=observation.stamp_ns,
                        frame_id=stack.profile.base_frame,
                    )
                )
            set_result(error or result[0])

        self._is_at_work = True
        stack.worker.when_idle(work, done)
