# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The recorder process: what it stores, what it survives, what it says when it cannot record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import os
from pathlib import Path
import resource
import signal
from typing import Any

import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from geometry_msgs.msg import PoseStamped  # noqa: E402
from mcap.exceptions import McapError  # noqa: E402
from mcap.reader import NonSeekingReader, make_reader  # noqa: E402
from mcap_ros2.decoder import DecoderFactory  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from rclpy.serialization import deserialize_message  # noqa: E402
from rosbags.highlevel import AnyReader  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from std_msgs.msg import String  # noqa: E402
import yaml  # noqa: E402

from fakes.node_process import NodeProcess  # noqa: E402
from fakes.waiting import wait_for  # noqa: E402
from wm_planner_msgs.msg import PlannerStatus  # noqa: E402

MODULE = 'wm_planner.ros.recorder_node'
RELIABLE = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


class Talker:
    """A node of this test, in a context of its own."""

    def __init__(self) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node('talker', context=self.context)
        self.executor = rclpy.executors.SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.diagnostics: list[DiagnosticStatus] = []
        self.node.create_subscription(
            DiagnosticArray, '/diagnostics', lambda m: self.diagnostics.extend(m.status), 10
        )

    def spin_until(self, claim: Callable[[], object], what: str, timeout_s: float = 120.0) -> None:
        wait_for(
            claim,
            what=what,
            timeout_s=timeout_s,
            poll=lambda: self.executor.spin_once(timeout_sec=0.05),
        )

    def publisher(self, kind: type, topic: str, profile: QoSProfile) -> Any:
        """Return a publisher once the recorder is connected to it."""
        publisher = self.node.create_publisher(kind, topic, profile)
        self.spin_until(lambda: publisher.get_subscription_count() >= 1, f'recorder at {topic}')
        return publisher

    def value(self, key: str) -> str:
        """Return a value of the newest diagnostics entry."""
        pairs = self.diagnostics[-1].values if self.diagnostics else []
        return next((p.value for p in pairs if p.key == key), '')

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def talker() -> Iterator[Talker]:
    made = Talker()
    yield made
    made.close()


def recorder(folder: Path, *topics: str, **parameters: Any) -> NodeProcess:
    given = {
        'bag_dir': folder,
        'bag_name': 'bag',
        'topics': list(topics),
        'report_period_s': 0.1,
        'discovery_period_s': 0.05,
        **parameters,
    }
    return NodeProcess(MODULE, 'recorder', **given)


def image(value: int, side: int = 32) -> Image:
    message = Image(height=side, width=side, step=3 * side, encoding='rgb8')
    message.header.frame_id = 'camera'
    message.header.stamp.sec = value
    message.data.frombytes(bytes([value % 256]) * (3 * side * side))
    return message


def metadata(bag: Path) -> dict[str, Any]:
    loaded = yaml.safe_load((bag / 'metadata.yaml').read_text())
    return loaded['rosbag2_bagfile_information']  # type: ignore[no-any-return]


def test_bag_is_read_by_two_readers_with_every_message(talker: Talker, tmp_path: Path) -> None:
    with recorder(tmp_path, '/picture', 'own/status', '/note', '/silent') as process:
        pictures = talker.publisher(Image, '/picture', BEST_EFFORT)
        statuses = talker.publisher(PlannerStatus, '/own/status', RELIABLE)
        notes = talker.publisher(String, '/note', LATCHED)
        for index in range(20):
            pictures.publish(image(index))
            statuses.publish(
                PlannerStatus(state=index % 10, goal_id=f'goal {index}', goal_energy=0.5)
            )
        notes.publish(String(data='einmal'))
        talker.spin_until(
            lambda: talker.value('messages') == '41', '41 messages in the diagnostics'
        )
        assert talker.value('without_publisher') == '/silent'
        assert talker.diagnostics[-1].name == 'recorder: bag'
        assert talker.diagnostics[-1].level == DiagnosticStatus.OK
        assert process.stop() == 0
        assert 'recorded 41 messages' in process.output
    bag = tmp_path / 'bag'
    assert sorted(p.name for p in bag.iterdir()) == ['bag_0.mcap', 'metadata.yaml']
    assert metadata(bag)['message_count'] == 41
    with AnyReader([bag]) as reader:
        found = [
            (c.topic, reader.deserialize(raw, c.msgtype), raw) for c, _, raw in reader.messages()
        ]
    by_topic: dict[str, list[Any]] = {}
    for topic, message, _ in found:
        by_topic.setdefault(topic, []).append(message)
    assert [m.header.stamp.sec for m in by_topic['/picture']] == list(range(20))
    assert [m.goal_id for m in by_topic['/own/status']] == [f'goal {i}' for i in range(20)]
    assert by_topic['/note'][0].data == 'einmal'
    raw_pictures = [raw for topic, _, raw in found if topic == '/picture']
    assert deserialize_message(bytes(raw_pictures[7]), Image) == image(7)
    with (bag / 'bag_0.mcap').open('rb') as stream:
        second = make_reader(stream, decoder_factories=[DecoderFactory()])
        rows = list(second.iter_decoded_messages(topics=['/own/status']))
    assert [decoded.goal_id for *_, decoded in rows] == [f'goal {i}' for i in range(20)]


def test_qos_hashes_and_definitions_are_stored(talker: Talker, tmp_path: Path) -> None:
    with recorder(tmp_path, '/picture', '/note') as process:
        talker.publisher(Image, '/picture', BEST_EFFORT)
        talker.publisher(String, '/note', LATCHED)
        talker.spin_until(lambda: '/note' in talker.value('topics'), 'both topics in the bag')
        publishers = talker.node.get_publishers_info_by_topic('/picture')
        assert process.stop(signal.SIGTERM) == 0
    entries = [t['topic_metadata'] for t in metadata(tmp_path / 'bag')['topics_with_message_count']]
    topics = {entry['name']: entry for entry in entries}
    picture, note = topics['/picture'], topics['/note']
    assert picture['type'] == 'sensor_msgs/msg/Image'
    hash_on_the_wire = publishers[0].topic_type_hash
    assert picture['type_description_hash'] == str(hash_on_the_wire)
    assert picture['offered_qos_profiles'][0]['reliability'] == 'best_effort'
    assert picture['offered_qos_profiles'][0]['durability'] == 'volatile'
    assert note['offered_qos_profiles'][0]['durability'] == 'transient_local'
    assert note['offered_qos_profiles'][0]['deadline'] == {'sec': 9223372036, 'nsec': 854775807}


def test_late_and_weaker_publishers_are_picked_up(talker: Talker, tmp_path: Path) -> None:
    """A best-effort publisher that joins a reliable one used to be deaf to a reliable recorder."""
    with recorder(tmp_path, '/note', '/late') as process:
        first = talker.publisher(String, '/note', RELIABLE)
        first.publish(String(data='reliable'))
        talker.spin_until(lambda: talker.value('messages') == '1', 'the first message')
        late = talker.publisher(String, '/late', LATCHED)
        second = talker.publisher(String, '/note', BEST_EFFORT)
        late.publish(String(data='late'))
        second.publish(String(data='best effort'))
        talker.spin_until(lambda: talker.value('messages') == '3', 'all three messages')
        assert process.stop() == 0
    with AnyReader([tmp_path / 'bag']) as reader:
        texts = {reader.deserialize(raw, c.msgtype).data for c, _, raw in reader.messages()}
    assert texts == {'reliable', 'late', 'best effort'}


def test_kill_loses_the_last_chunk_only(talker: Talker, tmp_path: Path) -> None:
    chunk_kib = 64
    with recorder(tmp_path, '/picture', chunk_size_kib=chunk_kib) as process:
        publisher = talker.publisher(Image, '/picture', RELIABLE)
        for index in range(100):
            publisher.publish(image(index))
        talker.spin_until(lambda: talker.value('messages') == '100', 'all messages taken')
        assert process.stop(signal.SIGKILL) == -signal.SIGKILL
    found = _readable(tmp_path / 'bag' / 'bag_0.mcap')
    assert found[-1].header.stamp.sec == len(found) - 1
    assert 100 - chunk_kib * 1024 // (3 * 32 * 32) - 1 <= len(found) < 100


def _readable(path: Path) -> list[Image]:
    found: list[Image] = []
    with path.open('rb') as stream:
        try:
            for _, _, message in NonSeekingReader(stream).iter_messages(log_time_order=False):
                found.append(deserialize_message(message.data, Image))
        except (McapError, EOFError):
            pass
    return found


def test_folder_that_cannot_be_made_is_stated_and_the_node_goes_on(
    talker: Talker, tmp_path: Path
) -> None:
    (tmp_path / 'file').write_text('')
    with recorder(tmp_path / 'file', '/note') as process:
        process.wait_for_output('[503]')
        talker.spin_until(lambda: talker.diagnostics, 'diagnostics')
        entry = talker.diagnostics[-1]
        assert entry.level == DiagnosticStatus.ERROR
        assert 'cannot be created' in entry.message
        assert process.process.poll() is None
        assert process.stop() == 1


def test_full_disk_is_stated_and_what_was_written_is_readable(
    talker: Talker, tmp_path: Path
) -> None:
    """A limit on the size of files, set while it records, stands in for a disk that fills up."""
    with recorder(tmp_path, '/picture', chunk_size_kib=16) as process:
        publisher = talker.publisher(Image, '/picture', RELIABLE)
        publisher.publish(image(0))
        talker.spin_until(lambda: talker.value('messages') == '1', 'the first message')
        limits = resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE, (100_000, limits[1]))
        for index in range(1, 100):
            publisher.publish(image(index))
        talker.spin_until(
            lambda: talker.diagnostics[-1].level == DiagnosticStatus.ERROR, 'the error'
        )
        assert 'cannot be written' in talker.diagnostics[-1].message
        assert int(talker.value('dropped')) > 0 or int(talker.value('messages')) < 100
        assert process.stop() == 1
        assert '[503]' in process.output
    bag = tmp_path / 'bag' / 'bag_0.mcap'
    assert os.stat(bag).st_size <= 100_000
    assert [m.header.stamp.sec for m in _readable(bag)][:5] == [0, 1, 2, 3, 4]


def test_bad_parameter_is_refused_with_the_valid_values(tmp_path: Path) -> None:
    with recorder(tmp_path, '/note', compression='gzip') as process:
        assert process.wait() == 2
        assert 'none, lz4, zstd' in process.output
    with recorder(tmp_path, '/note', chunksize=3) as process:
        assert process.wait() == 2
        assert "unknown parameter 'chunksize'" in process.output
    assert not (tmp_path / 'bag').exists()


def test_topics_of_a_robot_are_recorded_as_well(talker: Talker, tmp_path: Path) -> None:
    """A real arm's topics have names of their own, which the defaults do not hold."""
    with recorder(tmp_path, '/note', robot='ur5e_servo') as process:
        notes = talker.publisher(String, '/note', LATCHED)
        target = talker.publisher(PoseStamped, '/servo_node/pose_target_cmds', RELIABLE)
        notes.publish(String(data='hello'))
        target.publish(PoseStamped())
        talker.spin_until(lambda: talker.value('messages') == '2', 'both messages')
        assert process.stop() == 0
    with AnyReader([tmp_path / 'bag']) as reader:
        assert {c.topic for c in reader.connections} == {'/note', '/servo_node/pose_target_cmds'}
