# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""DoctorSampler: listens to a robot's streams for a while and says what came, judging nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
import time
from typing import Any

from geometry_msgs.msg import PoseStamped
import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage, JointState
from sensor_msgs.msg import Image as ImageMessage

from wm_planner.core.errors import WmPlannerError
from wm_planner.core.profile import RobotProfile
from wm_planner.core.types import Image
from wm_planner.evaluation.doctor.samples import (
    CameraSample,
    CommandSample,
    JointSample,
    PoseSample,
    SetupSample,
)
from wm_planner.ros import qos
from wm_planner.ros.images import image_from_compressed, image_from_message
from wm_planner.ros.stamps import stamp_to_ns

KEPT_FRAMES = 8
CLOCK_TOPIC = '/clock'
_STATUS_TYPE = 'wm_planner_msgs/msg/PlannerStatus'
_DISCOVERY_S = 1.0
_SPIN_S = 0.02


@dataclass
class _Heard:
    """What has come on one topic so far."""

    arrivals_s: list[float] = field(default_factory=list)
    stamps_ns: list[int] = field(default_factory=list)
    clock_ns: list[int] = field(default_factory=list)
    frame_ids: list[str] = field(default_factory=list)

    def note(self, header: Any, now_ns: int) -> None:
        """Take a message's header."""
        self.arrivals_s.append(time.monotonic())
        self.stamps_ns.append(stamp_to_ns(header.stamp))
        self.clock_ns.append(now_ns)
        if header.frame_id not in self.frame_ids:
            self.frame_ids.append(str(header.frame_id))


@dataclass
class _Pictures(_Heard):
    """What has come from the camera; only a few frames are decoded and kept."""

    encodings: list[str] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    frames: list[Image] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    distinct: int = 0
    last_bytes: bytes = b''


class DoctorSampler:
    """A node of its own that only listens. One thread; a context manager.

    Stamps are compared with /clock where somebody publishes it, else with this machine's clock.
    """

    def __init__(self, profile: RobotProfile, *, name: str = 'wm_planner_doctor') -> None:
        self._profile = profile
        self._context = rclpy.Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self.node: Node = rclpy.create_node(
            name, context=self._context, use_global_arguments=False, start_parameter_services=False
        )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._image, self._joints, self._pose = _Pictures(), _Heard(), _Heard()
        self._names: tuple[str, ...] = ()
        self._positions: list[list[float]] = []
        self._poses: list[list[float]] = []

    def __enter__(self) -> DoctorSampler:
        """Return the sampler itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Leave the graph. Safe to call twice."""
        if self._context.ok():
            self._executor.shutdown()
            self.node.destroy_node()
            self._context.try_shutdown()

    def sample(self, seconds: float) -> SetupSample:
        """Listen for ``seconds`` of wall time after the publishers were found; return what came.

        Publishers that are not found within a second are taken for absent, but listened for.
        """
        topics = self._profile.topics
        wanted = (topics.image, topics.joint_states, topics.tool_pose)
        self._spin(_DISCOVERY_S, lambda: all(self.node.count_publishers(topic) for topic in wanted))
        is_simulated = self.node.count_publishers(CLOCK_TOPIC) > 0
        if is_simulated:
            self.node.set_parameters([Parameter('use_sim_time', value=True)])
            self._spin(2.0, lambda: self._now_ns() > 0)
        image_type = CompressedImage if topics.image.endswith('/compressed') else ImageMessage
        listeners = [
            self.node.create_subscription(kind, topic, callback, profile)
            for kind, topic, callback, profile in (
                (image_type, topics.image, self._on_image, qos.IMAGE),
                (JointState, topics.joint_states, self._on_joints, qos.STATE),
                (PoseStamped, topics.tool_pose, self._on_pose, qos.STATE),
            )
            if self._may_listen(topic, kind)
        ]
        begin = time.monotonic()
        self._spin(seconds, lambda: False)
        listened_s = time.monotonic() - begin
        for listener in listeners:
            self.node.destroy_subscription(listener)
        return self._result(image_type, listened_s, is_simulated)

    def _may_listen(self, topic: str, kind: Any) -> bool:
        """Return False for a topic that carries nothing but another type: middleware refuses it."""
        types = {p.topic_type for p in self.node.get_publishers_info_by_topic(topic)}
        return not types or _type_name(kind) in types

    def _result(self, image_type: Any, listened_s: float, is_simulated: bool) -> SetupSample:
        topics, heard = self._profile.topics, self._image
        poses = np.array(self._poses, np.float64).reshape(len(self._poses), 7)
        return SetupSample(
            image=CameraSample(
                **self._stream(topics.image, image_type, heard, listened_s),
                encodings=tuple(heard.encodings),
                sizes=tuple(heard.sizes),
                frames=tuple(heard.frames),
                distinct=heard.distinct,
                refusals=tuple(heard.refusals),
            ),
            joints=JointSample(
                **self._stream(topics.joint_states, JointState, self._joints, listened_s),
                names=self._names,
                positions=np.array(self._positions, np.float64).reshape(
                    len(self._positions), len(self._names)
                ),
            ),
            pose=PoseSample(
                **self._stream(topics.tool_pose, PoseStamped, self._pose, listened_s),
                positions=poses[:, :3],
                quaternions=poses[:, 3:],
            ),
            commands=self.commands(),
            is_simulated=is_simulated,
        )

    def commands(self) -> CommandSample:
        """Return who listens and sends on the command topic now."""
        topic = self._profile.topics.target_pose
        return CommandSample(
            topic=topic,
            listeners=_nodes(self.node.get_subscriptions_info_by_topic(topic)),
            senders=_nodes(self.node.get_publishers_info_by_topic(topic)),
            planners=self._planners(),
        )

    def _planners(self) -> tuple[str, ...]:
        """Return the nodes that publish a PlannerStatus."""
        found = []
        for name, types in self.node.get_topic_names_and_types():
            if _STATUS_TYPE in types:
                found += list(self.node.get_publishers_info_by_topic(name))
        return _nodes(found)

    def _stream(self, topic: str, kind: Any, heard: _Heard, listened_s: float) -> dict[str, Any]:
        wanted = _type_name(kind)
        publishers = self.node.get_publishers_info_by_topic(topic)
        others = [
            name
            for name, types in self.node.get_topic_names_and_types()
            if wanted in types and name != topic and self.node.count_publishers(name)
        ]
        return {
            'topic': topic,
            'wanted_type': wanted,
            'found_types': tuple(sorted({p.topic_type for p in publishers})),
            'publishers': len(publishers),
            'listened_s': listened_s,
            'arrivals_s': tuple(heard.arrivals_s),
            'stamps_ns': tuple(heard.stamps_ns),
            'clock_ns': tuple(heard.clock_ns),
            'frame_ids': tuple(heard.frame_ids),
            'alternatives': tuple(sorted(others)),
        }

    def _spin(self, seconds: float, is_enough: Callable[[], bool]) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not is_enough():
            self._executor.spin_once(timeout_sec=_SPIN_S)

    def _now_ns(self) -> int:
        return int(self.node.get_clock().now().nanoseconds)

    # -- callbacks: inside sample ----------------------------------------------------------------

    def _on_image(self, message: ImageMessage | CompressedImage) -> None:
        heard = self._image
        heard.note(message.header, self._now_ns())
        is_raw = isinstance(message, ImageMessage)
        encoding = message.encoding if is_raw else f'compressed ({message.format})'
        if encoding not in heard.encodings:
            heard.encodings.append(str(encoding))
        data = bytes(message.data)
        heard.distinct += data != heard.last_bytes
        heard.last_bytes = data
        try:
            frame = image_from_message(message) if is_raw else image_from_compressed(message)
        except WmPlannerError as error:
            if error.message not in heard.refusals:
                heard.refusals.append(error.message)
            return
        size = (frame.shape[1], frame.shape[0])
        if size not in heard.sizes:
            heard.sizes.append(size)
        heard.frames.append(frame)
        if len(heard.frames) > KEPT_FRAMES:
            del heard.frames[1]  # the first and the newest tell most

    def _on_joints(self, message: JointState) -> None:
        self._joints.note(message.header, self._now_ns())
        names = tuple(message.name)
        self._names = self._names or names
        if names == self._names and len(message.position) == len(names):
            self._positions.append(list(message.position))

    def _on_pose(self, message: PoseStamped) -> None:
        self._pose.note(message.header, self._now_ns())
        p, q = message.pose.position, message.pose.orientation
        self._poses.append([p.x, p.y, p.z, q.x, q.y, q.z, q.w])


def _type_name(kind: Any) -> str:
    """Return the name of a message class as the graph has it, e.g. sensor_msgs/msg/Image."""
    return f'{kind.__module__.split(".")[0]}/msg/{kind.__name__}'


def _nodes(endpoints: Any) -> tuple[str, ...]:
    """Return the full names of the nodes behind endpoints, each once."""
    names = {f'{e.node_namespace.rstrip("/")}/{e.node_name}' for e in endpoints}
    return tuple(sorted(names))
