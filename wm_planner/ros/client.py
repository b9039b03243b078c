# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""PlannerClient: the planner node's services, action and topics as plain synchronous calls.

For command line tools, demonstrations and evaluation. Every call has a deadline, and what goes
wrong is an error of the package's tree: the number that the node answered with, or a sentence that
says which node is missing and how to start it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import math
import time
from types import TracebackType
from typing import Any

from geometry_msgs.msg import Pose
import rclpy
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future
from std_srvs.srv import SetBool, Trigger

from wm_planner.core.errors import (
    NoDataError,
    PlannerTimeoutError,
    SafetyError,
    SimulatorError,
    WmPlannerError,
)
from wm_planner.core.types import Goal, Image
from wm_planner.ros import qos
from wm_planner.ros.conversions import error_from_code, image_from_message, image_to_message
from wm_planner_msgs.action import ReachGoal
from wm_planner_msgs.msg import EpisodeStatus, PlanDiagnostics, PlannerStatus
from wm_planner_msgs.srv import CaptureGoal, ResetEpisode, SetGoalImage, StepSimulation

_SPIN_S = 0.05
_CANCEL_TIMEOUT_S = 5.0
_SILENCE_S = 10.0  # of ~/status, which comes with every tick of a node that lives
_RESET_TIMEOUT_S = 600.0  # a benchmark's scene is built, and a hand acts out its goal pictures
_HOW_TO_START = {
    'planner': 'start it with `wm_planner up sim`, or `ros2 run wm_planner planner_node`',
    'bridge': 'start it with `wm_planner up sim`, or `ros2 run wm_planner_sim bridge_node`',
}


@dataclass(frozen=True, kw_only=True)
class ReachResult:
    """How a ReachGoal action ended; ``termination`` is a constant of ReachGoal.Result."""

    termination: int
    error_code: int
    message: str
    goal_energies: tuple[float, ...]
    goal_steps: tuple[int, ...]
    best_energies: tuple[float, ...] = ()

    @property
    def is_reached(self) -> bool:
        """Return whether the last goal was reached by energy."""
        return self.termination == ReachGoal.Result.REACHED


@dataclass(frozen=True, kw_only=True)
class EpisodeGoals:
    """What ResetEpisode answered: goals in order and what each may take."""

    goals: tuple[Goal, ...]
    steps_per_goal: tuple[int, ...]
    goal_positions_m: tuple[tuple[float, float, float], ...]  # base_frame, for scoring only
    instruction: str
    goal_step_s: float  # duration that steps are counted in; 0 = the planner's own steps


class PlannerClient:
    """One node in a context of its own, spun inside the calls. One thread; close it when done.

    ``planner`` and ``bridge`` are the full names of the nodes talked to.
    """

    def __init__(
        self,
        *,
        name: str = 'wm_planner_client',
        planner: str = '/wm_planner',
        bridge: str = '/sim_bridge',
        timeout_s: float = 10.0,
    ) -> None:
        self._timeout_s = timeout_s
        self._names = {'planner': planner, 'bridge': bridge}
        self._context = rclpy.Context()
        # No handlers of rclpy: Ctrl-C stays a KeyboardInterrupt, so that a goal can be canceled.
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node(
            name, context=self._context, use_global_arguments=False, start_parameter_services=False
        )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.status: PlannerStatus | None = None
        self._heard_s = -math.inf  # when ~/status came last, wall
        self.episode: EpisodeStatus | None = None
        self.on_plan: Callable[[PlanDiagnostics], None] | None = None
        self._clients: dict[str, Any] = {}
        subscribe = self.node.create_subscription
        subscribe(PlannerStatus, f'{planner}/status', self._on_status, qos.STATUS)
        subscribe(PlanDiagnostics, f'{planner}/plan_diagnostics', self._on_plan, qos.STATUS)
        subscribe(EpisodeStatus, '/episode_status', self._on_episode, qos.STATUS)
        self._reach = ActionClient(self.node, ReachGoal, f'{planner}/reach_goal')

    def __enter__(self) -> PlannerClient:
        """Return the client itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Leave the graph. Safe to call twice."""
        if self._context.ok():
            self._executor.shutdown()
            self._reach.destroy()
            self.node.destroy_node()
            self._context.try_shutdown()

    # -- waiting ---------------------------------------------------------------------------------

    def spin_once(self, timeout_s: float = _SPIN_S) -> None:
        """Let messages in."""
        self._executor.spin_once(timeout_sec=timeout_s)

    def spin_until(
        self, claim: Callable[[], object], error: Callable[[], WmPlannerError], timeout_s: float
    ) -> None:
        """Spin until ``claim()``; raises what ``error()`` returns at the deadline [s, wall]."""
        deadline = time.monotonic() + timeout_s
        while not claim():
            if time.monotonic() >= deadline:
                raise error()
            self.spin_once()

    def wait_until_active(self, timeout_s: float = 60.0) -> None:
        """Wait until the planner has loaded its model and runs.

        Raises the planner's own error where configuring failed, else PlannerTimeoutError.
        """

        def is_active() -> bool:
            status = self.status
            if status is None or status.state != PlannerStatus.INACTIVE:
                return status is not None
            if status.error_code:
                raise error_from_code(status.error_code, status.message)
            return False

        def too_late() -> WmPlannerError:
            if self.status is None:
                return self._missing('planner', timeout_s)
            return PlannerTimeoutError(
                f'{self._names["planner"]} is not active after {timeout_s:g} s: '
                f'{self.status.message or "no reason given"}'
            )

        self.spin_until(is_active, too_late, timeout_s)

    def wait_for_data(self, timeout_s: float = 20.0) -> None:
        """Wait until the planner sees frames and robot states; raises NoDataError."""

        def has_data() -> bool:
            status = self.status
            return status is not None and not (
                math.isnan(status.image_age_s) or math.isnan(status.state_age_s)
            )

        def too_late() -> WmPlannerError:
            if self.status is None:
                return self._missing('planner', timeout_s)
            return NoDataError(
                f'{self._names["planner"]} has no frame or no robot state after {timeout_s:g} s '
                f'({self.status.message or "it gives no reason"}); camera and arm driver must run, '
                'or the simulator: `wm_planner up sim`.'
            )

        self.spin_until(has_data, too_late, timeout_s)

    # -- planner ---------------------------------------------------------------------------------

    def set_goal_image(
        self,
        image: Image,
        *,
        goal_id: str = '',
        gripper_closedness: float | None = None,
        start: bool = True,
    ) -> str:
        """Set a goal and return its name; raises the planner's error if it refuses."""
        request = SetGoalImage.Request(
            image=image_to_message(image),
            goal_id=goal_id,
            gripper_closedness=_or_nan(gripper_closedness),
            start=start,
        )
        return str(self._call('planner', SetGoalImage, 'set_goal_image', request).goal_id)

    def capture_goal(self, name: str, *, overwrite: bool = False) -> str:
        """Save the live view as a goal; returns its folder on the planner's machine."""
        request = CaptureGoal.Request(name=name, overwrite=overwrite)
        return str(self._call('planner', CaptureGoal, 'capture_goal', request).path)

    def enable(self, is_enabled: bool = True) -> None:
        """Allow or forbid motion."""
        self._call('planner', SetBool, 'enable', SetBool.Request(data=is_enabled))

    def hold(self) -> None:
        """Stop in place."""
        self._call('planner', Trigger, 'hold', Trigger.Request())

    def emergency_stop(self) -> None:
        """Latch the emergency stop."""
        self._call('planner', Trigger, 'estop', Trigger.Request())

    def compute_landscape(self) -> str:
        """Have ~/energy_landscape published; return what the planner says of it."""
        return str(self._call('planner', Trigger, 'compute_landscape', Trigger.Request()).message)

    def reset(self) -> None:
        """Leave a latched fault or emergency stop."""
        self._call('planner', Trigger, 'reset', Trigger.Request())

    def reach_goal(
        self,
        goals: Sequence[Goal],
        *,
        steps_per_goal: Sequence[int] = (),
        goal_step_s: float = 0.0,
        instruction: str = '',
        tolerance: float | None = None,
        chain: int = ReachGoal.Goal.SCHEDULE,
        max_duration_s: float = 0.0,
        timeout_s: float = 600.0,
        on_feedback: Callable[[ReachGoal.Feedback], None] | None = None,
        is_over: Callable[[], bool] = lambda: False,
    ) -> ReachResult:
        """Drive through ``goals`` and return how it ended.

        ``max_duration_s`` is the planner's limit (ROS clock, 0 = none), ``timeout_s`` that of this
        call (wall). At the latter, and on any exception here, the goal is canceled first; once
        ``is_over()`` says so it is canceled as well, and how it ended is returned. A planner that
        falls silent (its ~/status, 10 s) is given up with PlannerTimeoutError, however long the
        call may take.
        """
        planner = self._names['planner']
        self.spin_until(
            self._reach.server_is_ready,
            lambda: self._missing('planner', self._timeout_s),
            self._timeout_s,
        )
        request = ReachGoal.Goal(
            goal_images=[image_to_message(goal.image) for goal in goals],
            gripper_closedness=[_or_nan(goal.gripper_closedness) for goal in goals],
            steps_per_goal=[int(steps) for steps in steps_per_goal],
            goal_step_s=float(goal_step_s),
            instruction=instruction,
            tolerance=_or_nan(tolerance),
            chain=int(chain),
            max_duration_s=float(max_duration_s),
        )

        def feed(message: Any) -> None:
            if on_feedback is not None:
                on_feedback(message.feedback)

        handle = self._answer(
            self._reach.send_goal_async(request, feedback_callback=feed), planner, self._timeout_s
        )
        if not handle.accepted:
            raise PlannerTimeoutError(
                f'{planner} did not accept the goal; valid: an active planner.'
            )
        try:
            response = self._result(handle, timeout_s, is_over)
        except BaseException:
            self._cancel(handle)
            raise
        result = response.result
        return ReachResult(
            termination=int(result.termination),
            error_code=int(result.error_code),
            message=str(result.message),
            goal_energies=tuple(result.goal_energies),
            goal_steps=tuple(result.goal_steps),
            best_energies=tuple(result.best_energies),
        )

    # -- simulator -------------------------------------------------------------------------------

    def reset_episode(self, suite: str, *, seed: int, episode: int) -> EpisodeGoals:
        """Start an episode of a simulator's suite; raises the bridge's error if it refuses."""
        request = ResetEpisode.Request(suite=suite, seed=int(seed), episode=int(episode))
        answer = self._call(
            'bridge', ResetEpisode, 'reset_episode', request, timeout_s=_RESET_TIMEOUT_S
        )
        images = [image_from_message(message) for message in answer.goal_images]
        goals = tuple(
            Goal(
                goal_id=f'{suite}/{seed}/{episode}/{index}',
                image=image,
                gripper_closedness=None if math.isnan(closedness) else closedness,
            )
            for index, (image, closedness) in enumerate(
                zip(images, answer.gripper_closedness, strict=True)
            )
        )
        return EpisodeGoals(
            goals=goals,
            steps_per_goal=tuple(int(steps) for steps in answer.steps_per_goal),
            goal_positions_m=tuple(_position(pose) for pose in answer.goal_poses),
            instruction=str(answer.instruction),
            goal_step_s=float(answer.goal_step_s),
        )

    def end_episode(self) -> None:
        """End an episode before its time, where its environment charges for its end."""
        self._call('bridge', Trigger, 'end_episode', Trigger.Request())

    def pause(self, is_paused: bool) -> None:
        """Pause or resume the simulation."""
        self._call('bridge', SetBool, 'pause', SetBool.Request(data=is_paused))

    def step(self, duration_s: float) -> None:
        """Advance a paused simulation."""
        request = StepSimulation.Request(duration_s=float(duration_s))
        self._call('bridge', StepSimulation, 'step', request)

    # -- inside ----------------------------------------------------------------------------------

    def _call(
        self, who: str, service: Any, name: str, request: Any, timeout_s: float | None = None
    ) -> Any:
        """Call a service of ``who`` and return its response; raises the error it answered with."""
        topic = f'{self._names[who]}/{name}'
        if topic not in self._clients:
            self._clients[topic] = self.node.create_client(service, topic)
        client = self._clients[topic]
        self.spin_until(
            client.service_is_ready, lambda: self._missing(who, self._timeout_s), self._timeout_s
        )
        response = self._answer(client.call_async(request), topic, timeout_s or self._timeout_s)
        if not response.success:
            if hasattr(response, 'error_code'):
                raise error_from_code(response.error_code, response.message)
            raise _error_in_text(response.message)
        return response

    def _answer(self, future: Future, topic: str, timeout_s: float) -> Any:
        def too_late() -> WmPlannerError:
            return PlannerTimeoutError(f'{topic} has not answered within {timeout_s:g} s.')

        self.spin_until(future.done, too_late, timeout_s)
        return future.result()

    def _result(self, handle: Any, timeout_s: float, is_over: Callable[[], bool]) -> Any:
        """Wait for the action's result; cancel it once ``is_over()``."""
        topic = f'{self._names["planner"]}/reach_goal'
        future = handle.get_result_async()

        def too_late() -> WmPlannerError:
            return PlannerTimeoutError(f'{topic} has not answered within {timeout_s:g} s.')

        begin_s = time.monotonic()

        def has_ended() -> bool:
            if future.done() or is_over():
                return True
            if time.monotonic() - max(begin_s, self._heard_s) > _SILENCE_S:
                raise PlannerTimeoutError(
                    f'{self._names["planner"]}/status has been silent for {_SILENCE_S:g} s: the '
                    'planner has ended, or cannot be reached any more; valid: start it again and '
                    'set the goal anew.'
                )
            return False

        self.spin_until(has_ended, too_late, timeout_s)
        if not future.done():
            self._cancel(handle)
        return self._answer(future, topic, self._timeout_s)

    def _cancel(self, handle: Any) -> None:
        future = handle.cancel_goal_async()
        deadline = time.monotonic() + _CANCEL_TIMEOUT_S
        while not future.done() and time.monotonic() < deadline and self._context.ok():
            self.spin_once()

    def _missing(self, who: str, timeout_s: float) -> WmPlannerError:
        kind = PlannerTimeoutError if who == 'planner' else SimulatorError
        return kind(
            f'node {self._names[who]} was not found within {timeout_s:g} s; {_HOW_TO_START[who]}, '
            'with the same ROS_DOMAIN_ID and discovery settings as here.'
        )

    def _on_status(self, message: PlannerStatus) -> None:
        self._heard_s = time.monotonic()
        self.status = message

    def _on_episode(self, message: EpisodeStatus) -> None:
        self.episode = message

    def _on_plan(self, message: PlanDiagnostics) -> None:
        if self.on_plan is not None:
            self.on_plan(message)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _position(pose: Pose) -> tuple[float, float, float]:
    return pose.position.x, pose.position.y, pose.position.z


def _error_in_text(text: str) -> WmPlannerError:
    """Return the error in e.g. ``[401] sentence``, as std_srvs responses carry it."""
    number, bracket, sentence = text.removeprefix('[').partition('] ')
    if bracket and number.isdigit():
        return error_from_code(int(number), sentence)
    return SafetyError(text or 'refused without a reason.')
