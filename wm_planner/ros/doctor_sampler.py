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
from std_msgs.msg import String

from wm_planner.core.errors import NoDataError, WmPlannerError
from wm_planner.core.geometry import Array
from wm_planner.core.profile import RobotProfile
from wm_planner.core.types import Image
from wm_planner.evaluation.doctor.samples import (
    CameraSample,
    CommandSample,
    JointSample,
    PoseSample,
    SetupSample,
)
from wm_planner.kinematics.description import RobotDescription
from wm_planner.ros import qos
from wm_planner.ros.images import image_from_compressed, image_from_message
from wm_planner.ros.ingest import inputs_of
from wm_planner.ros.robot_description import ToolTransform, build_kinematics
from wm_planner.ros.sinks import SINKS
from wm_planner.ros.stamps import stamp_to_ns

KEPT_FRAMES = 8
_POSES = 50  # made of joints at most, evenly over the time
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


@dataclass
class _Joints(_Heard):
    """What has come on a topic of joints; messages of one kind have the same names.

    Each kind is a stream of its own: two broadcasters on one topic do not keep in step.
    """

    kinds: dict[tuple[str, ...], _Heard] = field(default_factory=dict)
    positions: dict[tuple[str, ...], list[list[float]]] = field(default_factory=dict)

    def of(self, wanted: tuple[str, ...]) -> tuple[tuple[str, ...], Array]:
        """Return names [J] and positions [N, J] of the kind that has ``wanted``, else the first."""
        kinds = [names for names in self.positions if set(wanted) <= set(names)]
        names = next(iter([*kinds, *self.positions]), ())
        rows = self.positions.get(names, [])
        return names, np.array(rows, np.float64).reshape(len(rows), len(names))

    def heard_of(self, wanted: tuple[str, ...]) -> _Heard:
        """Return what came of the kind that has ``wanted``, of all kinds where none has."""
        kinds = [heard for names, heard in self.kinds.items() if set(wanted) <= set(names)]
        return next(iter(kinds), self)


class DoctorSampler:
    """A node of its own that only listens. One thread; a context manager.

    It listens to what the planner node would with this profile, and makes the tool pose as that
    does: of its topic, of the joints by kinematics, or from tf.
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
        self._image, self._joints, self._gripper = _Pictures(), _Joints(), _Joints()
        self._pose = _Heard()
        self._poses: list[list[float]] = []
        self._description: RobotDescription | None = None
        self._transform: ToolTransform | None = None
        self._trouble = ''  # why there is no pose

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
        topics, source = self._profile.topics, self._profile.state_source
        inputs = inputs_of(self._profile)
        wanted = [getattr(topics, name) for name in inputs]
        self._spin(_DISCOVERY_S, lambda: all(self.node.count_publishers(topic) for topic in wanted))
        is_simulated = self.node.count_publishers(CLOCK_TOPIC) > 0
        if is_simulated:
            self.node.set_parameters([Parameter('use_sim_time', value=True)])
            self._spin(2.0, lambda: self._now_ns() > 0)
        image_type = CompressedImage if topics.image.endswith('/compressed') else ImageMessage
        kinds: dict[str, tuple[Any, Any, Any]] = {
            'image': (image_type, self._on_image, qos.IMAGE),
            'joint_states': (JointState, self._on_joints, qos.STATE),
            'gripper_joint_states': (JointState, self._on_gripper, qos.STATE),
            'tool_pose': (PoseStamped, self._on_pose, qos.STATE),
        }
        chosen = [(getattr(topics, name), *kinds[name]) for name in inputs]
        if source == 'joints' and not self._profile.kinematics.description:
            chosen.append((topics.robot_description, String, self._on_description, qos.LATCHED))
        if source == 'tf':
            self._open_transform()
        listeners = [
            self.node.create_subscription(kind, topic, callback, profile)
            for topic, kind, callback, profile in chosen
            if self._may_listen(topic, kind)
        ]
        begin = time.monotonic()
        self._spin(seconds, lambda: False)
        listened_s = time.monotonic() - begin
        for listener in listeners:
            self.node.destroy_subscription(listener)
        if source == 'joints':
            self._pose_of_joints()
        return self._result(image_type, listened_s, is_simulated)

    def _may_listen(self, topic: str, kind: Any) -> bool:
        """Return False for a topic that carries nothing but another type: middleware refuses it."""
        types = {p.topic_type for p in self.node.get_publishers_info_by_topic(topic)}
        return not types or _type_name(kind) in types

    def _result(self, image_type: Any, listened_s: float, is_simulated: bool) -> SetupSample:
        topics, heard = self._profile.topics, self._image
        inputs, source = inputs_of(self._profile), self._profile.state_source
        pose: dict[str, Any] = {'topic': 'tf', 'wanted_type': ''}
        if source == 'joints':
            pose['topic'] = f'kinematics of {topics.joint_states}'
        if source == 'topic':
            pose = self._stream(topics.tool_pose, PoseStamped, self._pose, listened_s)
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
            joints=self._joint_sample(
                topics.joint_states, self._joints, self._profile.arm_joint_names, listened_s
            ),
            gripper=self._joint_sample(
                topics.gripper_joint_states or topics.joint_states,
                self._gripper if 'gripper_joint_states' in inputs else self._joints,
                self._profile.gripper_joint_names,
                listened_s,
            ),
            pose=PoseSample(
                **pose,
                positions=poses[:, :3],
                quaternions=poses[:, 3:],
                is_derived=source != 'topic',
                trouble=self._trouble,
            ),
            commands=self.commands(),
            is_simulated=is_simulated,
        )

    def commands(self) -> CommandSample:
        """Return who listens and sends on the topics of the profile's sink now.

        Raises UnknownNameError for a sink that does not exist.
        """
        streams = SINKS.get(self._profile.sink).streams(self._profile)
        topics = [stream.name for stream in streams if stream.kind == 'publisher']
        subscriptions = [self.node.get_subscriptions_info_by_topic(topic) for topic in topics]
        publishers = [self.node.get_publishers_info_by_topic(topic) for topic in topics]
        return CommandSample(
            topic=', '.join(topics),
            listeners=_nodes(endpoint for found in subscriptions for endpoint in found),
            senders=_nodes(endpoint for found in publishers for endpoint in found),
            planners=self._planners(),
        )

    def _joint_sample(
        self, topic: str, heard: _Joints, wanted: tuple[str, ...], listened_s: float
    ) -> JointSample:
        names, positions = heard.of(wanted)
        return JointSample(
            **self._stream(topic, JointState, heard.heard_of(wanted), listened_s),
            names=names,
            positions=positions,
        )

    def _open_transform(self) -> None:
        try:
            self._transform = self._transform or ToolTransform(self.node, self._profile)
        except WmPlannerError as error:
            self._trouble = str(error)

    def _pose_of_joints(self) -> None:
        """Make tool poses of some of the joint states, or note why there are none."""
        wanted = self._profile.arm_joint_names
        names, positions = self._joints.of(wanted)
        if not len(positions) or not set(wanted) <= set(names):
            missing = ', '.join(name for name in wanted if name not in names)
            self._trouble = f'{self._profile.topics.joint_states} lacks {missing}.' if names else ''
            return
        columns = [names.index(name) for name in wanted]
        try:
            if self._description is None and not self._profile.kinematics.description:
                raise NoDataError(
                    f'no robot description came on {self._profile.topics.robot_description}; '
                    'valid: robot_state_publisher running, or kinematics.description of the '
                    'profile.'
                )
            kinematics = build_kinematics(self._profile, self._description)
            assert kinematics is not None
            for row in positions[:: max(1, len(positions) // _POSES)]:
                position, quaternion = kinematics.forward(row[columns])
                self._poses.append([*position, *quaternion])
        except WmPlannerError as error:
            self._trouble = str(error)

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
        self._note_joints(self._joints, message)
        if self._transform is not None:
            self._look_up()

    def _on_gripper(self, message: JointState) -> None:
        self._note_joints(self._gripper, message)

    def _note_joints(self, heard: _Joints, message: JointState) -> None:
        kind = heard.kinds.setdefault(tuple(message.name), _Heard())
        for stream in (heard, kind):
            stream.note(message.header, self._now_ns())
        if len(message.position) == len(message.name):
            heard.positions.setdefault(tuple(message.name), []).append(list(message.position))

    def _look_up(self) -> None:
        """Take the tool's transform, as the planner does whenever joints arrive."""
        assert self._transform is not None
        try:
            found = self._transform.newest().transform
        except WmPlannerError as error:
            self._trouble = '' if self._poses else str(error)
            return
        self._trouble = ''
        t, q = found.translation, found.rotation
        self._poses.append([t.x, t.y, t.z, q.x, q.y, q.z, q.w])

    def _on_description(self, message: String) -> None:
        self._description = RobotDescription(
            text=message.data, origin=self._profile.topics.robot_description
        )

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
