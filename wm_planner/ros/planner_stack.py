# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""PlannerStack: everything between the messages and the arm, built at configure."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
import threading

from rclpy.node import Node

from wm_planner.control.controller import Controller
from wm_planner.control.executor import PlanExecutor
from wm_planner.control.frame_buffer import FrameBuffer
from wm_planner.control.safety import SafetyFilter
from wm_planner.control.worker import PlannerInfo, PlanningWorker
from wm_planner.core.errors import InvalidParameterError
from wm_planner.core.profile import RobotProfile
from wm_planner.core.protocols import Clock, CommandSink, Planner
from wm_planner.kinematics.description import RobotDescription
from wm_planner.ros.ingest import Ingest
from wm_planner.ros.planner_config import PlannerParameters
from wm_planner.ros.robot_description import ToolTransform, build_kinematics
from wm_planner.ros.sinks import NULL_SINK, commands_joints, make_sink
from wm_planner.ros.spinning import CallbackGuard
from wm_planner.ros.stop_inputs import StopListener


class PlannerLoader:
    """Loads a planner on its planning thread while somebody else goes on.

    ``worker`` owns the thread. A small helper thread waits for it, because loading a large model
    takes minutes in which the node should answer.
    """

    def __init__(self, load: Callable[[], Planner], timeout_s: float) -> None:
        self.worker = PlanningWorker(load)
        self._info: Future[PlannerInfo] = Future()
        threading.Thread(
            target=self._wait, args=(timeout_s,), name='planner_loader', daemon=True
        ).start()

    @property
    def is_done(self) -> bool:
        """Return whether ``info`` would not wait."""
        return self._info.done()

    def info(self) -> PlannerInfo:
        """Wait for the planner; raises what loading raised."""
        return self._info.result()

    def _wait(self, timeout_s: float) -> None:
        try:
            self._info.set_result(self.worker.start(timeout_s))
        except Exception as error:  # raised again by info(), on the thread that asks
            self._info.set_exception(error)


@dataclass(frozen=True, kw_only=True)
class PlannerStack:
    """The parts of a configured planner. Thread: the executor's, or the main one at shutdown."""

    profile: RobotProfile
    info: PlannerInfo
    buffer: FrameBuffer
    ingest: Ingest
    worker: PlanningWorker
    controller: Controller
    sink: CommandSink
    stops: StopListener
    transform: ToolTransform | None = None

    def forget_data(self) -> None:
        """Forget what has arrived: the node is no longer active."""
        self.buffer.clear()
        self.ingest.forget()

    def close(self, timeout_s: float) -> bool:
        """Stop planning, then hold as the last thing that goes out.

        Returns False if the planning thread is still in a plan after ``timeout_s``; even then
        nothing it returns can reach the arm any more.
        """
        self.stops.close()
        is_stopped = self.worker.stop(timeout_s)
        self.controller.shutdown()
        self.sink.close()
        if self.transform is not None:
            self.transform.close()
        return is_stopped


def build_stack(
    node: Node,
    parameters: PlannerParameters,
    clock: Clock,
    worker: PlanningWorker,
    info: PlannerInfo,
    callbacks: CallbackGuard,
    description: RobotDescription | None = None,
) -> PlannerStack:
    """Put the parts together around a loaded planner.

    ``description`` is what came on the topic, where the profile needs one and names no file. Raises
    what the profile's sink, gripper or state source lack (see ``make_sink``); then nothing of it is
    left in the graph.
    """
    with ExitStack() as made:
        stack = _build(node, parameters, clock, worker, info, callbacks, description, made)
        made.pop_all()  # it is the stack's from now on
    return stack


def _build(
    node: Node,
    parameters: PlannerParameters,
    clock: Clock,
    worker: PlanningWorker,
    info: PlannerInfo,
    callbacks: CallbackGuard,
    description: RobotDescription | None,
    made: ExitStack,
) -> PlannerStack:
    """Put the parts together, and tell ``made`` how to take those away that are in the graph."""
    config, profile = parameters.node_config(), parameters.profile()
    buffer_config = parameters.buffer_config(info.action_spec.step_duration_s)
    if info.wants_wrist_image and not profile.topics.wrist_image:
        raise InvalidParameterError(
            f'the planner looks through a wrist camera and profile {profile.name!r} has none; '
            'valid: a profile with topics.wrist_image, or planning.use_wrist_image:=false.'
        )
    buffer = FrameBuffer(
        buffer_config,
        context_frames=info.context_frames,
        wants_wrist=info.wants_wrist_image,
    )
    safety = SafetyFilter(profile, config.safety)
    executor = PlanExecutor(config.executor, safety=safety)
    kinematics = build_kinematics(profile, description)
    transform = ToolTransform(node, profile) if profile.state_source == 'tf' else None
    if transform is not None:
        made.callback(transform.close)
    stops = StopListener(node, profile, clock, config.safety, callbacks)
    ingest = Ingest(
        buffer,
        profile,
        clock,
        buffer_config,
        kinematics=kinematics,
        transform=transform,
        plausibility=config.plausibility,
        speed_guard=stops.speed,
    )
    before = list(node.publishers)
    sink = make_sink(
        NULL_SINK if config.dry_run else profile.sink,
        node,
        profile,
        clock,
        buffer.latest_state,
        latest_joints=ingest.latest_joints,
        kinematics=kinematics if commands_joints(profile) else None,
        control_rate_hz=config.control_rate_hz,
        safety=config.safety,
    )
    made.callback(sink.close)
    commands = [publisher.topic_name for publisher in node.publishers if publisher not in before]
    controller = Controller(
        config.controller,
        buffer=buffer,
        worker=worker,
        executor=executor,
        safety=safety,
        sink=sink,
        goal_tolerance=info.goal_tolerance,
        guards=stops.guards,
    )
    made.callback(stops.close)
    stops.listen(controller, commands)
    return PlannerStack(
        profile=profile,
        info=info,
        buffer=buffer,
        ingest=ingest,
        worker=worker,
        controller=controller,
        sink=sink,
        stops=stops,
        transform=transform,
    )
