# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The simulator as a robot: cameras, joints and tool pose out, absolute targets in, time as /clock.

Two threads. The simulation thread (sim_thread) owns physics and rendering and publishes, so that a
stamp never waits for the executor. The executor thread takes targets and service calls; services
that need the simulation are coroutines and hold nothing up while they wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
import logging
import threading
import time
from typing import Any, TypeVar

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock as RosClock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.task import Future as RosFuture
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo
from sensor_msgs.msg import Image as ImageMessage
from sensor_msgs.msg import JointState as JointStateMessage
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool, Trigger

from wm_planner.core.errors import WmPlannerError
from wm_planner.core.profile import Topics
from wm_planner.core.types import Image, RobotState
from wm_planner.ros import qos
from wm_planner.ros.conversions import (
    image_to_message,
    joints_to_message,
    stamp_from_ns,
    stamp_to_ns,
    state_to_message,
)
from wm_planner.ros.diagnostics import DIAGNOSTICS_TOPIC, Level, diagnostics_message
from wm_planner.ros.parameters import NodeParameters
from wm_planner.ros.spinning import CallbackGuard, run_node
from wm_planner_msgs.msg import EpisodeStatus, PlannerStatus
from wm_planner_msgs.srv import ResetEpisode, StepSimulation
from wm_planner_sim.bridge_environments import (
    cameras_of,
    default_settings,
    few,
    make_environment,
)
from wm_planner_sim.bridge_messages import (
    camera_info_message,
    clock_message,
    episode_status_message,
    fill_reset_response,
    optical_frame,
)
from wm_planner_sim.bridge_types import (
    BridgeConfig,
    JointState,
    SimStatus,
)
from wm_planner_sim.command_inbox import CommandInbox
from wm_planner_sim.scene import ARM_JOINTS, BASE_FRAME
from wm_planner_sim.sim_thread import SimThread

T = TypeVar('T')
CLOCK_TOPIC = '/clock'
JOINT_TARGET_TOPIC = '/joint_target'
EPISODE_STATUS_TOPIC = '/episode_status'
_START_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 20.0
# Reliable serves reliable and best-effort readers alike; only the newest time is worth having.
_CLOCK_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)


class BridgeNode(Node):
    """A simulation behind the topics of a robot driver; implements SimListener.

    ``on_*`` run on the simulation thread, everything else on the executor's.
    """

    def __init__(self) -> None:
        super().__init__('sim_bridge', automatically_declare_parameters_from_overrides=True)
        parameters = NodeParameters(self)
        self._config = parameters.declare(BridgeConfig())
        sim_config = parameters.declare(default_settings(self._config.environment))
        parameters.refuse_unknown()
        self._guard = CallbackGuard(lambda text: self.get_logger().error(text))
        self._failure: WmPlannerError | None = None
        self._status: SimStatus | None = None
        self._logged_error = ''
        self._inbox = CommandInbox(BASE_FRAME, joint_names=ARM_JOINTS)
        self._make_publishers()
        self._may_publish = threading.Event()
        self._sim = SimThread(
            self._config,
            lambda: make_environment(sim_config),
            self._inbox,
            self,
            cameras_of(sim_config),
        )
        info = self._sim.start(_START_TIMEOUT_S)
        self._intrinsics = info.intrinsics
        self._renderer = info.renderer
        self._may_publish.set()
        self._make_inputs()
        factor = self._config.realtime_factor
        self.get_logger().info(
            f'{self._config.environment} runs '
            f'{f"at {factor:g} x real time" if factor else "as fast as it can"}; '
            f'rendering with {info.renderer} at '
            f'{sim_config.image_width}x{sim_config.image_height}; '
            f'suites: {few(info.suites)}'
        )

    @property
    def has_failed(self) -> bool:
        """Return True once the simulation thread has died."""
        return self._failure is not None

    def close(self) -> bool:
        """Stop the simulation and release it; False if its thread does not end."""
        is_done = self._sim.stop(_STOP_TIMEOUT_S)
        self._report()
        return is_done

    # -- simulation thread: SimListener ----------------------------------------------------------

    def on_time(self, time_ns: int) -> None:
        """Publish /clock."""
        self._may_publish.wait()
        self._clock_out.publish(clock_message(time_ns))

    def on_state(self, state: RobotState, joints: JointState) -> None:
        """Publish joints and tool pose with the stamp of the physics state."""
        self._joints_out.publish(
            joints_to_message(
                joints.names, joints.positions, joints.velocities, stamp_ns=state.stamp_ns
            )
        )
        self._tool_out.publish(state_to_message(state, BASE_FRAME))

    def on_image(self, camera: str, stamp_ns: int, image: Image) -> None:
        """Publish a picture and its calibration."""
        images, infos = self._cameras_out[camera]
        images.publish(image_to_message(image, stamp_ns=stamp_ns, frame_id=optical_frame(camera)))
        infos.publish(camera_info_message(camera, self._intrinsics[camera], stamp_ns=stamp_ns))

    def on_status(self, status: SimStatus) -> None:
        """Publish how the episode stands; log what went wrong or right again."""
        self._status = status
        self._episode_out.publish(episode_status_message(status, BASE_FRAME))
        text = str(status.error) if status.error else ''
        if text != self._logged_error:
            self._logged_error = text
            if text:
                self.get_logger().warning(text)
            else:
                self.get_logger().info('commands are good again')

    def on_failure(self, error: WmPlannerError) -> None:
        """Say that the simulation died; the process ends with 1."""
        self.get_logger().fatal(f'the simulation died: {error}')
        if self._status is not None:
            self._episode_out.publish(
                episode_status_message(self._status, BASE_FRAME, failure=error)
            )
        self._failure = error

    # -- executor thread -------------------------------------------------------------------------

    def _on_target_pose(self, message: PoseStamped) -> None:
        position, orientation = message.pose.position, message.pose.orientation
        self._inbox.offer_tool(
            message.header.frame_id,
            stamp_to_ns(message.header.stamp),
            (position.x, position.y, position.z),
            (orientation.x, orientation.y, orientation.z, orientation.w),
            now_ns=time.monotonic_ns(),
        )

    def _on_joint_target(self, message: JointStateMessage) -> None:
        stamp_ns = stamp_to_ns(message.header.stamp)
        self._inbox.offer_joints(
            message.name, message.position, stamp_ns, now_ns=time.monotonic_ns()
        )

    def _on_planner_status(self, message: PlannerStatus) -> None:
        self._sim.set_counting(message.state == PlannerStatus.EXECUTING)

    def _on_gripper_target(self, message: Float64MultiArray) -> None:
        self._inbox.offer_gripper(message.data, now_ns=time.monotonic_ns())

    async def _on_reset_episode(
        self, request: ResetEpisode.Request, response: ResetEpisode.Response
    ) -> ResetEpisode.Response:
        result = await self._result_of(
            self._sim.reset_episode(request.suite, request.seed, request.episode)
        )
        name = f'{request.suite}/{request.seed}/{request.episode}' if request.suite else 'home'
        self.get_logger().info(f'episode {name}')
        fill_reset_response(response, result)
        return response

    async def _on_end_episode(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        time_ns = await self._result_of(self._sim.end_episode())
        response.success = True
        response.message = f'ended at {time_ns / 1e9:.3f} s'
        return response

    async def _on_pause(
        self, request: SetBool.Request, response: SetBool.Response
    ) -> SetBool.Response:
        time_ns = await self._result_of(self._sim.set_paused(bool(request.data)))
        response.success = True
        response.message = f'{"paused" if request.data else "running"} at {time_ns / 1e9:.3f} s'
        return response

    async def _on_step(
        self, request: StepSimulation.Request, response: StepSimulation.Response
    ) -> StepSimulation.Response:
        response.time = stamp_from_ns(await self._result_of(self._sim.step(request.duration_s)))
        response.success = True
        return response

    async def _result_of(self, future: Future[T]) -> T:
        """Return the result of a request to the simulation while the executor goes on."""
        executor = self.executor
        assert executor is not None
        done: RosFuture[None] = RosFuture(executor=executor)

        def finish(_: Future[T]) -> None:  # on the simulation thread
            done.set_result(None)
            executor.wake()

        future.add_done_callback(finish)
        await done
        return future.result()

    def _report(self) -> None:
        status = self._status
        if status is None:
            return
        level, message = Level.OK, 'running'
        if self._failure is not None:
            level, message = Level.ERROR, str(self._failure)
        elif status.error is not None:
            level, message = Level.WARN, str(status.error)
        elif status.is_slow:
            level = Level.WARN
            message = f'slower than asked for: {status.realtime_factor:.2f} x real time'
            self.get_logger().warning(message, throttle_duration_sec=10.0)
        elif status.is_paused:
            message = 'paused'
        values: dict[str, object] = {
            'realtime_factor': status.realtime_factor,
            'realtime_factor_asked': self._config.realtime_factor,
            'time_given_up_s': status.lost_s,
            'renderer': self._renderer,
            'simulated_time_s': status.time_ns / 1e9,
            'is_holding': status.is_holding,
            'commands_accepted': status.inbox.accepted,
            'commands_refused': status.inbox.refused,
            'commands_ignored_after_reset': status.inbox.ignored,
            'callback_errors': self._guard.error_count,
        }
        name = f'{self.get_name()}: simulation'
        self._diagnostics_out.publish(
            diagnostics_message(name, level, message, values, stamp_ns=status.time_ns)
        )

    # -- construction ----------------------------------------------------------------------------

    def _make_publishers(self) -> None:
        topics = Topics()
        self._clock_out = self.create_publisher(Clock, CLOCK_TOPIC, _CLOCK_QOS)
        self._joints_out = self.create_publisher(JointStateMessage, topics.joint_states, qos.STATE)
        self._tool_out = self.create_publisher(PoseStamped, topics.tool_pose, qos.STATE)
        self._episode_out = self.create_publisher(EpisodeStatus, EPISODE_STATUS_TOPIC, qos.STATUS)
        self._diagnostics_out = self.create_publisher(
            DiagnosticArray, DIAGNOSTICS_TOPIC, qos.STATUS
        )
        rates = {'exterior': self._config.exterior_rate_hz, 'wrist': self._config.wrist_rate_hz}
        self._cameras_out = {
            camera: (
                self.create_publisher(ImageMessage, f'/camera/{camera}/image_raw', qos.IMAGE),
                self.create_publisher(CameraInfo, f'/camera/{camera}/camera_info', qos.IMAGE),
            )
            for camera, rate in rates.items()
            if rate > 0.0
        }

    def _make_inputs(self) -> None:
        topics, wrap = Topics(), self._guard.wrap
        for kind, topic, callback in (
            (PoseStamped, topics.target_pose, self._on_target_pose),
            (Float64MultiArray, topics.gripper_target, self._on_gripper_target),
            (JointStateMessage, JOINT_TARGET_TOPIC, self._on_joint_target),
        ):
            self.create_subscription(kind, topic, wrap(topic, callback), qos.COMMAND)
        if self._config.planner_status:
            self._sim.set_counting(False)
            guarded = wrap('planner status', self._on_planner_status)
            self.create_subscription(
                PlannerStatus, self._config.planner_status, guarded, qos.STATUS
            )
        services: tuple[tuple[Any, str, Any], ...] = (
            (ResetEpisode, '~/reset_episode', self._on_reset_episode),
            (Trigger, '~/end_episode', self._on_end_episode),
            (SetBool, '~/pause', self._on_pause),
            (StepSimulation, '~/step', self._on_step),
        )
        # A coroutine that waits keeps its callback group busy; the default one holds everything
        # else of the node, targets and parameters included.
        group = ReentrantCallbackGroup()
        for kind, name, callback in services:
            guarded = self._guard.wrap_service(name, callback)
            self.create_service(kind, name, guarded, callback_group=group)
        steady = RosClock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(1.0, wrap('diagnostics', self._report), clock=steady)


def main(args: Sequence[str] | None = None) -> int:
    """Run the bridge until SIGINT or SIGTERM; 1 if the simulation could not run or died."""
    logging.basicConfig(level=logging.WARNING)
    return run_node(BridgeNode, args, has_failed=lambda node: node.has_failed)
