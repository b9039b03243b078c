# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The planner node: a lifecycle node that wires messages to control and control to the arm.

configure loads the model on its own thread and builds the stack; activate subscribes; a steady
timer ticks the controller. Nothing here decides anything about motion: that is control's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import logging
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rcl_interfaces.msg import SetParametersResult
from rclpy.action import ActionServer
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, JointState
from sensor_msgs.msg import Image as ImageMessage

from wm_planner.core.errors import (
    PlanningError,
    UnknownNameError,
    WmPlannerError,
    as_wm_planner_error,
)
from wm_planner.core.protocols import Planner
from wm_planner.ros import qos
from wm_planner.ros.clock import RosClock
from wm_planner.ros.conversions import plan_to_message, status_to_message
from wm_planner.ros.diagnostics import DIAGNOSTICS_TOPIC, diagnostics_message
from wm_planner.ros.goal_desk import GoalDesk
from wm_planner.ros.goal_services import GoalServices
from wm_planner.ros.imagined import ImaginedTopics
from wm_planner.ros.ingest import inputs_of
from wm_planner.ros.landscape_service import LandscapeService
from wm_planner.ros.parameters import NodeParameters
from wm_planner.ros.plan_record import PlanRecords
from wm_planner.ros.planner_config import PlannerNodeConfig, PlannerParameters, load_planner
from wm_planner.ros.planner_monitor import PlannerMonitor
from wm_planner.ros.planner_stack import PlannerLoader, PlannerStack, build_stack
from wm_planner.ros.reach_goal_action import ReachGoalServer
from wm_planner.ros.robot_description import DescriptionListener
from wm_planner.ros.spinning import CallbackGuard, run_node
from wm_planner.ros.stamps import stamp_from_ns
from wm_planner_msgs.msg import PlanDiagnostics, PlannerStatus

_DIAGNOSTICS_PERIOD_S = 1.0
_SUCCESS = TransitionCallbackReturn.SUCCESS
_FAILURE = TransitionCallbackReturn.FAILURE

LoadPlanner = Callable[[PlannerNodeConfig, Any], Planner]


class PlannerNode(LifecycleNode):
    """Drives the arm to goal images. All callbacks run in one executor thread.

    ``load`` makes the planner; it runs on the planning thread. Raises InvalidParameterError for
    parameters that are unknown, of the wrong type or out of range. What fails in configure (an
    unknown model, a corrupt weights file) leaves the node alive, unconfigured, and is on ~/status.
    """

    def __init__(self, *, load: LoadPlanner = load_planner, **node_arguments: Any) -> None:
        super().__init__(
            'wm_planner', automatically_declare_parameters_from_overrides=True, **node_arguments
        )
        self._load = load
        self._declared = NodeParameters(self)
        self._planner_parameters = PlannerParameters(self._declared)
        config = self._planner_parameters.node_config()
        profile = self._planner_parameters.profile()
        self.clock = RosClock(self)
        self._loader: PlannerLoader | None = None
        self._stack: PlannerStack | None = None
        self._fault: WmPlannerError | None = None
        self._is_active = False
        self._streams: list[Any] = []
        self._monitor = PlannerMonitor(inputs_of(profile), config.control_rate_hz)
        self._guard = CallbackGuard(self.get_logger().error, self._monitor.callback_done)
        self._desk = GoalDesk(self, self.clock)
        self._goal_services = GoalServices(
            self,
            self._desk,
            self._guard,
            lambda: self._planner_parameters.node_config().goals_dir,
        )
        self._reach = ReachGoalServer(self, self._desk)
        self._description = DescriptionListener(self, profile, self._guard)
        self._imagined = ImaginedTopics(self)
        self._landscapes = LandscapeService(self, self._desk, self._guard)
        self._records = PlanRecords(self)
        self._status = self.create_publisher(PlannerStatus, '~/status', qos.STATUS)
        self._plans = self.create_publisher(PlanDiagnostics, '~/plan_diagnostics', qos.STATUS)
        self._diagnostics = self.create_publisher(DiagnosticArray, DIAGNOSTICS_TOPIC, qos.STATUS)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # control goes on when /clock stops
        self._tickers = [
            self.create_timer(period, self._guard.wrap(name, callback), clock=steady)
            for name, period, callback in (
                ('tick', 1.0 / config.control_rate_hz, self._tick),
                ('diagnostics', _DIAGNOSTICS_PERIOD_S, self._report),
            )
        ]
        try:
            self._planner_parameters.declare_groups()
        except (
            UnknownNameError
        ) as error:  # known only when it is configured, and may be set by then
            self._set_fault(error)
        if config.autostart and self._fault is None:
            self._begin_loading()

    # -- lifecycle -------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model, unless autostart has, and build the stack. Waits for the model."""
        try:
            self._planner_parameters.declare_groups()
            loader = self._loader or self._begin_loading()
            info = loader.info()
            self._stack = build_stack(
                self,
                self._planner_parameters,
                self.clock,
                loader.worker,
                info,
                self._guard,
                self._description.description,
            )
        except Exception as error:
            self._set_fault(error)
            self._release()
            return _FAILURE
        self._fault = None
        self._open_views(self._stack)
        self._desk.close(PlanningError('the planner node is not active; valid: after activation.'))
        self.get_logger().info(
            f'configured: {self._chosen()}, {info.context_frames} context frame(s), a step takes '
            f'{info.action_spec.step_duration_s:g} s'
        )
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and take goals; motion still needs ~/enable, unless enable_at_start."""
        assert self._stack is not None
        try:
            self._subscribe(self._stack)
        except Exception as error:  # rclpy would go to on_error without a word
            self._set_fault(error)
            self._deactivate(as_wm_planner_error(error))
            return _FAILURE
        self._fault = None
        self._desk.open(
            self._stack, enables_itself=self._planner_parameters.node_config().enable_at_start
        )
        self._is_active = True
        self.get_logger().info('active')
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Hold, forget goals and data, unsubscribe."""
        self._deactivate(PlanningError('the planner node was deactivated.'))
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of the model and the arm."""
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Hold and let go of everything."""
        self._deactivate(PlanningError('the planner node was shut down.'))
        self._release()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go back to unconfigured after a transition that raised; the arm holds."""
        self._deactivate(PlanningError('the planner node failed in a lifecycle transition.'))
        self._release()
        return _SUCCESS

    def close(self) -> bool:
        """Stop planning, hold last; False if the planning thread is still in native code."""
        self._deactivate(PlanningError('the planner node is shutting down.'))
        self._reach.destroy()
        return self._release()

    def destroy_node(self) -> None:
        """Take the node out of the graph, its action and lifecycle services too.

        rclpy 9.1 leaves those, and with them the whole participant, to whoever holds the last
        reference to action server and state machine: in one process the services of a node that is
        gone then answer for the next node of its name, or rather do not answer.
        """
        for waitable in list(self.waitables):
            if isinstance(waitable, ActionServer):
                waitable.destroy()
        super().destroy_node()
        self._state_machine.destroy_when_not_in_use()

    def set_parameters_atomically(
        self, parameter_list: list[Parameter[Any]]
    ) -> SetParametersResult:
        """Set parameters, or say with number and valid values why not."""
        is_busy = self._stack is not None or self._loader is not None
        reason = self._declared.refusal(parameter_list, is_configured=is_busy)
        if reason:
            return SetParametersResult(successful=False, reason=reason)
        return super().set_parameters_atomically(parameter_list)

    # -- ticks -----------------------------------------------------------------------------------

    def _tick(self) -> None:
        monotonic_ns = self.clock.monotonic_ns()
        self._monitor.tick_begins(monotonic_ns)
        is_loaded = self._loader is not None and self._loader.is_done
        if is_loaded and self._stack is None and self._description.is_ready:
            self._start()
        stack = self._stack
        if stack is None or not self._is_active:
            self._publish_inactive()
            return
        now_ns = self.clock.now_ns()
        status = self._monitor.explained(stack.controller.tick(now_ns, monotonic_ns))
        self._desk.on_status(status)
        self._desk.enable_itself()
        self._reach.on_tick(status, stack.buffer.latest_state(), now_ns)
        base_frame = stack.profile.base_frame
        plan = status.latest_plan
        if plan is not None:
            self._monitor.plan_done(plan, now_ns if status.sent is not None else None)
            self._records.on_plan(plan, base_frame)
            self._plans.publish(plan_to_message(plan, base_frame=base_frame, now_ns=now_ns))
            self._imagined.on_plan(plan)
        self._landscapes.on_tick(monotonic_ns)
        self._status.publish(status_to_message(status, stamp_ns=now_ns, base_frame=base_frame))

    def _start(self) -> None:
        """Configure and activate: the model that autostart asked for is loaded, or has failed."""
        if self.trigger_configure() == _SUCCESS:
            self.trigger_activate()

    def _publish_inactive(self) -> None:
        nan = float('nan')
        message = PlannerStatus(
            state=PlannerStatus.INACTIVE,
            goal_energy=nan,
            goal_tolerance=nan,
            image_age_s=nan,
            state_age_s=nan,
        )
        message.header.stamp = stamp_from_ns(self.clock.now_ns())
        if self._fault is not None:
            message.error_code, message.message = int(self._fault.code), self._fault.message
        elif self._loader is not None and self._stack is None:
            waits = self._loader.is_done and not self._description.is_ready
            awaited = f'waiting for {self._description.waits_for}'
            message.message = awaited if waits else f'loading {self._chosen()}'
        self._status.publish(message)

    def _report(self) -> None:
        now_ns, stops = self.clock.monotonic_ns(), self._stack and self._stack.stops
        level, text, values = self._monitor.summary(self._desk.status, self._fault, now_ns)
        values |= stops.values(now_ns) if stops else {}
        stamp_ns = self.clock.now_ns()
        self._diagnostics.publish(
            diagnostics_message(
                f'{self.get_name()}: planner', level, text, values, stamp_ns=stamp_ns
            )
        )

    # -- inside ----------------------------------------------------------------------------------

    def _open_views(self, stack: PlannerStack) -> None:
        """Say what plans here, and let people look at what it thinks."""
        config, given = self._planner_parameters.node_config(), self._planner_parameters.settings()
        self._landscapes.config = config.landscape
        weights = str(given.model.get('weights', ''))
        self._imagined.open(stack, config.imagination, model=config.model, weights=weights)
        self._records.on_configured(self._planner_parameters.description())

    def _begin_loading(self) -> PlannerLoader:
        config = self._planner_parameters.node_config()
        settings = self._planner_parameters.settings()
        self.get_logger().info(f'loading {self._chosen()}')
        self._fault = None
        self._loader = PlannerLoader(lambda: self._load(config, settings), config.load_timeout_s)
        return self._loader

    def _chosen(self) -> str:
        config = self._planner_parameters.node_config()
        return f'planner {config.planner!r} with world model {config.model!r}'

    def _subscribe(self, stack: PlannerStack) -> None:
        topics, ingest = stack.profile.topics, stack.ingest
        is_compressed = topics.image.endswith('/compressed')
        image_type = CompressedImage if is_compressed else ImageMessage
        on_image = ingest.on_compressed_image if is_compressed else ingest.on_image
        streams: dict[str, tuple[Any, str, Callable[[Any], None], Any]] = {
            'image': (image_type, topics.image, on_image, qos.IMAGE),
            'joint_states': (JointState, topics.joint_states, ingest.on_joint_states, qos.STATE),
            'tool_pose': (PoseStamped, topics.tool_pose, ingest.on_tool_pose, qos.STATE),
            'gripper_joint_states': (
                JointState,
                topics.gripper_joint_states,
                ingest.on_gripper_joint_states,
                qos.STATE,
            ),
            'wrist_image': (ImageMessage, topics.wrist_image, ingest.on_wrist_image, qos.IMAGE),
        }
        wrist = ('wrist_image',) if stack.info.wants_wrist_image else ()
        for name in (*inputs_of(stack.profile), *wrist):
            kind, topic, callback, profile = streams[name]
            self._monitor.watch(name)
            guarded = self._guard.wrap(name, callback)
            self._streams.append(self.create_subscription(kind, topic, guarded, profile))

    def _deactivate(self, reason: WmPlannerError) -> None:
        """Stop moving and listening. Safe in every state."""
        was_active, self._is_active = self._is_active, False
        self._reach.abandon(reason)
        self._desk.close(reason)
        for stream in self._streams:
            self.destroy_subscription(stream)
        self._streams.clear()
        self._monitor.forget_inputs()
        if self._stack is not None and was_active:
            controller = self._stack.controller
            controller.clear_goals(reason.message)
            controller.enable(False)
            # Nobody is left to hear how the goals ended; it must not come up when active again.
            controller.tick(self.clock.now_ns(), self.clock.monotonic_ns())
            self._stack.forget_data()

    def _release(self) -> bool:
        """Stop the planning thread, hold last, forget the stack; False if the thread would not."""
        stack, self._stack = self._stack, None
        loader, self._loader = self._loader, None
        timeout_s = self._planner_parameters.node_config().stop_timeout_s
        if stack is not None:
            is_stopped = stack.close(timeout_s)
        else:
            is_stopped = loader is None or loader.worker.stop(timeout_s)
        self._imagined.close(timeout_s)  # last: the arm does not wait for a drawing
        return is_stopped

    def _set_fault(self, error: Exception) -> None:
        self._fault = as_wm_planner_error(error)
        self._desk.close(self._fault)
        self.get_logger().error(f'not running: {self._fault}')


def main(args: Sequence[str] | None = None) -> int:
    """Run the planner node until SIGINT or SIGTERM; 0 stopped, 1 failed, 2 wrong parameters."""
    logging.basicConfig(level=logging.WARNING)
    return run_node(PlannerNode, args)
