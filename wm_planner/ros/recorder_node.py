# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The recorder: topics into a rosbag2 bag, without rosbag2.

Messages are taken as they are on the wire and written by a thread of their own (bag_thread), so
neither decoding nor the disk holds up the executor. Their time in the bag is when they were
received, as with plain ``ros2 bag record``, also under ``use_sim_time``: a recording has to go on
when the simulator, and with it simulated time, stops. Simulated time is in the bag as /clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import logging
from pathlib import Path
import time

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node

from wm_planner.core.config import parameter, validate
from wm_planner.core.errors import RecorderError, WmPlannerError
from wm_planner.core.paths import robot_profile_file
from wm_planner.core.profile import RobotProfile
from wm_planner.ros import qos
from wm_planner.ros.bag import BagConfig, BagWriter
from wm_planner.ros.bag_thread import BagStatus, BagThread
from wm_planner.ros.bag_topics import BagTopics
from wm_planner.ros.diagnostics import DIAGNOSTICS_TOPIC, Level, diagnostics_message
from wm_planner.ros.parameters import NodeParameters
from wm_planner.ros.spinning import EXIT_FAILED, EXIT_OK, CallbackGuard, run_node

DEFAULT_TOPICS = (
    '/clock',
    '/camera/exterior/image_raw',
    '/camera/exterior/camera_info',
    '/camera/wrist/image_raw',
    '/camera/wrist/camera_info',
    '/joint_states',
    '/tool_pose',
    '/target_pose',
    '/gripper_target',
    '/episode_status',
    'wm_planner/status',
    'wm_planner/plan_diagnostics',
    'wm_planner/plan_start',
    'wm_planner/planner_settings',
    'wm_planner/goal_image',
    'wm_planner/dry_run/target_pose',
    'wm_planner/dry_run/gripper_target',
    'wm_planner/dry_run/target_joints',
    'wm_planner/goal_record',
    'wm_planner/imagined',
    'wm_planner/imagined_outcome',
    'wm_planner/imagined_path',
    'wm_planner/imagined_markers',
    'wm_planner/energy_landscape',
    DIAGNOSTICS_TOPIC,
)


@dataclass(frozen=True, kw_only=True)
class RecorderConfig:
    """What is recorded, and where to."""

    bag_dir: str = parameter('runs', 'folder that bags are written into', read_only=True)
    bag_name: str = parameter(
        '',
        'name of the bag, a folder that must not exist; empty = bag_<date>_<time>',
        read_only=True,
    )
    topics: tuple[str, ...] = parameter(
        DEFAULT_TOPICS, 'topics to record, also those that appear later', read_only=True
    )
    robot: str = parameter(
        '', 'robot profile whose topics are recorded as well; empty = none', read_only=True
    )
    discovery_period_s: float = parameter(
        0.25,
        'how often new publishers are looked for [s, wall]',
        low=0.05,
        high=10.0,
        read_only=True,
    )
    report_period_s: float = parameter(
        1.0,
        'how often the state is published on /diagnostics [s, wall]',
        low=0.05,
        high=10.0,
        read_only=True,
    )
    take_period_s: float = parameter(
        0.05, 'how often arrived messages are taken [s, wall]', low=0.005, high=1.0, read_only=True
    )
    queue_depth: int = parameter(
        100,
        'messages a subscription keeps until they are taken',
        low=1,
        high=10000,
        read_only=True,
    )
    max_queue_mib: int = parameter(
        64,
        'memory for messages that wait for the disk; beyond it they are dropped [MiB]',
        low=1,
        read_only=True,
    )
    stop_timeout_s: float = parameter(
        10.0,
        'how long the disk may take to finish the bag [s]',
        low=0.1,
        high=300.0,
        read_only=True,
    )

    def __post_init__(self) -> None:
        validate(self)


class RecorderNode(Node):
    """Records until it is closed.

    A bag that cannot be made or written does not end the node: it says so in its log and, once a
    second, as ERROR on /diagnostics, and everybody else goes on. Callbacks run in one executor
    thread.
    """

    def __init__(self) -> None:
        super().__init__('recorder', automatically_declare_parameters_from_overrides=True)
        parameters = NodeParameters(self)
        self.config = parameters.declare(RecorderConfig())
        bag_config = parameters.declare(BagConfig())
        parameters.refuse_unknown()
        self._guard = CallbackGuard(lambda text: self.get_logger().error(text))
        self._trouble: dict[str, str] = {}  # topics that cannot be recorded, and why
        self._error: WmPlannerError | None = None
        self._thread: BagThread | None = None
        self._topics: BagTopics | None = None
        self._diagnostics = self.create_publisher(DiagnosticArray, DIAGNOSTICS_TOPIC, qos.STATUS)
        name = self.config.bag_name or time.strftime('bag_%Y%m%d_%H%M%S')
        self.bag = Path(self.config.bag_dir) / name
        try:
            writer = BagWriter(self.bag, bag_config)
        except RecorderError as error:
            self._fail(error)
        else:
            self._start(writer)
        self._every(self.config.report_period_s, 'diagnostics', self._report)

    @property
    def has_failed(self) -> bool:
        """Return True if the bag is not what it should be."""
        return self._error is not None

    def close(self) -> bool:
        """Finish the bag; False if the disk takes longer than ``stop_timeout_s``."""
        if self._topics is None or self._thread is None:
            return True
        try:
            self._topics.close()
        finally:  # whatever happens, what was taken so far becomes a whole bag
            is_done = self._thread.stop(self.config.stop_timeout_s)
        if not is_done:
            limit = self.config.stop_timeout_s
            self._fail(RecorderError(f'bag {self.bag} was not finished in {limit:g} s.'))
        self._report()
        if is_done and not self.has_failed:
            status = self._thread.status()
            self.get_logger().info(
                f'recorded {status.messages} messages of {len(status.topics)} topics to '
                f'{self.bag}; {status.dropped} dropped'
            )
        return is_done

    def _start(self, writer: BagWriter) -> None:
        self._thread = BagThread(writer, self.config.max_queue_mib << 20)
        self._topics = BagTopics(
            self,
            self._names(),
            self._thread,
            queue_depth=self.config.queue_depth,
            on_trouble=self._note,
        )
        self._thread.start()
        self._every(self.config.discovery_period_s, 'discovery', self._topics.discover)
        self._every(self.config.take_period_s, 'take', self._topics.take)
        self.get_logger().info(f'recording {len(self._names())} topics to {writer.folder}')

    def _names(self) -> list[str]:
        """Return the topics to record, each once; raises UnknownNameError for an unknown robot."""
        names = list(self.config.topics)
        if self.config.robot:
            topics = RobotProfile.from_yaml(robot_profile_file(self.config.robot)).topics
            names += [name for name in topics.recorded if name]
        return list(dict.fromkeys(self.resolve_topic_name(name) for name in names))

    def _every(self, period_s: float, name: str, callback: Callable[[], None]) -> None:
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # goes on when simulated time stops
        self.create_timer(period_s, self._guard.wrap(name, callback), clock=steady)

    # -- reports ---------------------------------------------------------------------------------

    def _note(self, topic: str, sentence: str) -> None:
        if self._trouble.get(topic) != sentence:
            self._trouble[topic] = sentence
            self.get_logger().warning(f'{topic}: {sentence}')

    def _fail(self, error: WmPlannerError) -> None:
        self._error = error
        self.get_logger().error(f'{error} Nothing is recorded.')

    def _report(self) -> None:
        status = self._thread.status() if self._thread else None
        if status is not None and status.error is not None and self._error is None:
            self._fail(status.error)
        for topic, sentence in (status.topic_errors if status else {}).items():
            self._note(topic, sentence)
        level, message = self._verdict(status)
        values: dict[str, object] = {'bag': self.bag.absolute(), 'format': 'rosbag2 mcap'}
        if status is not None and self._topics is not None:
            values |= {
                'messages': status.messages,
                'bytes_written': status.bytes_written,
                'dropped': status.dropped,
                'queued_bytes': status.queued_bytes,
                'topics': ' '.join(status.topics),
                'without_publisher': ' '.join(self._topics.without_publisher),
            }
        values |= {f'trouble {topic}': sentence for topic, sentence in self._trouble.items()}
        name = f'{self.get_name()}: bag'
        now_ns = self.get_clock().now().nanoseconds
        self._diagnostics.publish(
            diagnostics_message(name, level, message, values, stamp_ns=now_ns)
        )

    def _verdict(self, status: BagStatus | None) -> tuple[Level, str]:
        if self._error is not None:
            return Level.ERROR, str(self._error)
        if self._guard.error_count:
            return Level.WARN, f'{self._guard.error_count} errors in callbacks: see the log'
        if status is not None and status.dropped:
            return Level.WARN, f'{status.dropped} messages dropped: the disk is too slow'
        if self._trouble:
            return Level.WARN, f'not recorded as asked: {", ".join(self._trouble)}'
        return Level.OK, 'recording'


def main(args: Sequence[str] | None = None) -> int:
    """Run the recorder until SIGINT or SIGTERM; 1 if the bag is not whole."""
    logging.basicConfig(level=logging.WARNING)
    nodes: list[RecorderNode] = []

    def make() -> RecorderNode:
        nodes.append(RecorderNode())
        return nodes[0]

    code = run_node(make, args)
    return EXIT_FAILED if code == EXIT_OK and nodes[0].has_failed else code
