# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""BagWriter and BagThread: what a bag holds, and what is left when things go wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path
import resource
import signal
import struct
import subprocess
import sys
import threading

from mcap.exceptions import McapError
from mcap.reader import NonSeekingReader, make_reader
import pytest
import yaml

from wm_planner.core.errors import InvalidParameterError, RecorderError
from wm_planner.ros.bag import BagConfig, BagWriter
from wm_planner.ros.bag_thread import BagThread
from wm_planner.ros.interfaces import (
    interface_text,
    message_class,
    message_definition,
    type_hash,
)

QOS = [
    {
        'history': 'unknown',
        'depth': 0,
        'reliability': 'reliable',
        'durability': 'volatile',
        'deadline': {'sec': 9223372036, 'nsec': 854775807},
        'lifespan': {'sec': 9223372036, 'nsec': 854775807},
        'liveliness': 'automatic',
        'liveliness_lease_duration': {'sec': 9223372036, 'nsec': 854775807},
        'avoid_ros_namespace_conventions': False,
    }
]
WORD = 'toy_msgs/msg/Word'
STEP = 1_000_000


def cdr_string(text: str) -> bytes:
    data = text.encode() + b'\0'
    return b'\x00\x01\x00\x00' + struct.pack('<I', len(data)) + data


@pytest.fixture(autouse=True)
def installed_types(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Make a prefix with a few interface files, so that the test needs no ROS."""
    prefix = tmp_path_factory.mktemp('prefix')
    files = {
        'toy_msgs/msg/Word': '# a word\nstring data  # any text\n',
        'toy_msgs/msg/Stamp': 'int32 sec\nuint32 nanosec\n',
        'toy_msgs/msg/Header': 'uint8 KIND=1\ntoy_msgs/Stamp stamp\nstring<=8 frame_id "map"\n',
        'toy_msgs/msg/Tree': (
            'Word[] words  # local name, unbounded\nother_msgs/Leaf[<=4] leaves\n'
            'Header header\n#Ghost ghost\nfloat64[9] k\n'
        ),
        'other_msgs/msg/Leaf': 'toy_msgs/Header header\nbool green true\n',
        'toy_msgs/msg/Broken': 'nowhere_msgs/Gone gone\n',
    }
    for name, text in files.items():
        package, kind, short = name.split('/')
        folder = prefix / 'share' / package / kind
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f'{short}.msg').write_text(text)
        hashes = [
            {'type_name': 'toy_msgs/msg/Else', 'hash_string': 'RIHS01_else'},
            {'type_name': name, 'hash_string': f'RIHS01_{short}'},
        ]
        (folder / f'{short}.json').write_text(json.dumps({'type_hashes': hashes}))
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'/nowhere{os.pathsep}{prefix}')
    return prefix


def write_words(writer: BagWriter, count: int, topic: str = '/words') -> None:
    writer.add_topic(topic, WORD, QOS)
    for index in range(count):
        stamp = 1_000 + index * STEP
        writer.write(
            topic,
            cdr_string(f'word {index}'),
            log_time_ns=stamp,
            publish_time_ns=stamp - 5,
            sequence=index,
        )


def read_words(path: Path) -> list[bytes]:
    """Return the messages in file order; what a truncated file still holds counts."""
    found: list[bytes] = []
    with path.open('rb') as stream:
        try:
            for _, _, message in NonSeekingReader(stream).iter_messages(log_time_order=False):
                found.append(message.data)
        except (McapError, EOFError, struct.error):
            pass
    return found


# What is said of a type ---------------------------------------------------------------------------


def test_definition_lists_dependencies_once_sorted_and_depth_first() -> None:
    line = '=' * 80
    header = 'uint8 KIND=1\ntoy_msgs/Stamp stamp\nstring<=8 frame_id "map"\n'
    assert message_definition('toy_msgs/msg/Tree') == (
        'Word[] words  # local name, unbounded\nother_msgs/Leaf[<=4] leaves\nHeader header\n'
        '#Ghost ghost\nfloat64[9] k\n'
        f'\n{line}\nMSG: other_msgs/Leaf\ntoy_msgs/Header header\nbool green true\n'
        f'\n{line}\nMSG: toy_msgs/Header\n{header}'
        f'\n{line}\nMSG: toy_msgs/Stamp\nint32 sec\nuint32 nanosec\n'
        f'\n{line}\nMSG: toy_msgs/Word\n# a word\nstring data  # any text\n'
    )


def test_hash_is_that_of_the_type_itself() -> None:
    assert type_hash('toy_msgs/msg/Leaf'.replace('toy', 'other')) == 'RIHS01_Leaf'


@pytest.mark.parametrize(
    'name', ['Word', 'toy_msgs/Word', '../etc/msg/Word', 'toy_msgs/msg/../../x']
)
def test_name_that_is_no_type_is_refused(name: str) -> None:
    with pytest.raises(RecorderError, match='not an interface type'):
        interface_text(name, 'msg')


@pytest.mark.parametrize('name', ['nowhere_msgs/msg/Gone', 'json/msg/Gone', '', 'x/msg/'])
def test_class_that_cannot_be_imported_is_a_recorder_error(name: str) -> None:
    with pytest.raises(RecorderError, match='cannot be imported'):
        message_class(name)


def test_missing_type_says_where_it_was_looked_for(installed_types: Path) -> None:
    with pytest.raises(RecorderError, match='not installed') as caught:
        interface_text('toy_msgs/msg/Nothing', 'msg')
    assert str(installed_types) in str(caught.value)


# What a bag holds ---------------------------------------------------------------------------------


def test_bag_holds_messages_schema_hash_and_qos(tmp_path: Path) -> None:
    writer = BagWriter(tmp_path / 'bag')
    write_words(writer, 3)
    writer.close()
    with (tmp_path / 'bag' / 'bag_0.mcap').open('rb') as stream:
        reader = make_reader(stream)
        assert reader.get_header().profile == 'ros2'
        rows = list(reader.iter_messages())
        summary = reader.get_summary()
    assert [m.data for _, _, m in rows] == [cdr_string(f'word {i}') for i in range(3)]
    assert [(m.log_time, m.publish_time, m.sequence) for _, _, m in rows] == [
        (1_000 + i * STEP, 995 + i * STEP, i) for i in range(3)
    ]
    schema, channel, _ = rows[0]
    assert schema is not None
    assert (schema.name, schema.encoding) == (WORD, 'ros2msg')
    assert schema.data.decode() == message_definition(WORD)
    assert (channel.topic, channel.message_encoding) == ('/words', 'cdr')
    assert channel.metadata['topic_type_hash'] == 'RIHS01_Word'
    assert yaml.safe_load(channel.metadata['offered_qos_profiles']) == QOS
    assert (
        '&' not in channel.metadata['offered_qos_profiles']
    )  # durations written out, no YAML anchors
    assert summary is not None and summary.statistics is not None
    assert summary.statistics.message_count == 3


def test_metadata_counts_and_spans_the_messages(tmp_path: Path) -> None:
    writer = BagWriter(tmp_path / 'bag')
    write_words(writer, 4)
    writer.add_topic('/silent', 'toy_msgs/msg/Tree', [])
    writer.close()
    writer.close()  # twice is harmless
    info = yaml.safe_load((tmp_path / 'bag' / 'metadata.yaml').read_text())[
        'rosbag2_bagfile_information'
    ]
    assert (info['version'], info['storage_identifier']) == (9, 'mcap')
    assert info['message_count'] == 4
    assert info['starting_time'] == {'nanoseconds_since_epoch': 1_000}
    assert info['duration'] == {'nanoseconds': 3 * STEP}
    assert info['relative_file_paths'] == ['bag_0.mcap'] == [info['files'][0]['path']]
    counts = {
        t['topic_metadata']['name']: t['message_count'] for t in info['topics_with_message_count']
    }
    assert counts == {'/words': 4, '/silent': 0}
    first = info['topics_with_message_count'][0]['topic_metadata']
    assert first['offered_qos_profiles'] == QOS
    assert first['type_description_hash'] == 'RIHS01_Word'


def test_empty_bag_has_no_time(tmp_path: Path) -> None:
    BagWriter(tmp_path / 'bag').close()
    info = yaml.safe_load((tmp_path / 'bag' / 'metadata.yaml').read_text())[
        'rosbag2_bagfile_information'
    ]
    assert info['message_count'] == 0
    assert info['duration'] == {'nanoseconds': 0}
    assert info['starting_time'] == {'nanoseconds_since_epoch': 0}


@pytest.mark.parametrize('compression', ['none', 'lz4', 'zstd'])
def test_compression_keeps_every_message(tmp_path: Path, compression: str) -> None:
    writer = BagWriter(tmp_path / 'bag', BagConfig(compression=compression, chunk_size_kib=16))
    write_words(writer, 2000)
    writer.close()
    assert len(read_words(writer.path)) == 2000


def test_unknown_compression_names_the_valid_ones() -> None:
    with pytest.raises(InvalidParameterError, match='none, lz4, zstd'):
        BagConfig(compression='gzip')


# When things go wrong -----------------------------------------------------------------------------


def test_existing_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / 'bag').mkdir()
    with pytest.raises(RecorderError, match='exists'):
        BagWriter(tmp_path / 'bag')


def test_folder_that_cannot_be_made_is_a_recorder_error(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(RecorderError, match='cannot be created'):
        BagWriter(tmp_path / 'file' / 'bag')


def test_unknown_topic_and_type_leave_the_bag_usable(tmp_path: Path) -> None:
    writer = BagWriter(tmp_path / 'bag')
    with pytest.raises(RecorderError, match='was not added'):
        writer.write('/words', b'', log_time_ns=0, publish_time_ns=0)
    with pytest.raises(RecorderError, match='not installed'):
        writer.add_topic('/broken', 'toy_msgs/msg/Broken', QOS)
    assert not writer.has_failed
    write_words(writer, 1)
    writer.close()
    assert len(read_words(writer.path)) == 1


_KILLED = """
import os, signal, sys
from test_bag import BagConfig, BagWriter, write_words
writer = BagWriter(sys.argv[1], BagConfig(chunk_size_kib=16))
write_words(writer, 3000)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_writer_loses_the_last_chunk_only(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    env = {**os.environ, 'PYTHONPATH': f'{root}{os.pathsep}{Path(__file__).parent}'}
    result = subprocess.run(
        [sys.executable, '-c', _KILLED, str(tmp_path / 'bag')], env=env, timeout=60, check=False
    )
    assert result.returncode == -signal.SIGKILL
    words = read_words(tmp_path / 'bag' / 'bag_0.mcap')
    chunk = 16 * 1024 // (len(cdr_string('word 100')) + 31)  # 31 bytes of record header a message
    assert 3000 - chunk - 1 <= len(words) < 3000
    assert words == [cdr_string(f'word {i}') for i in range(len(words))]


def test_full_disk_keeps_whole_records(tmp_path: Path) -> None:
    """A file-size limit stands in for a full disk: a write comes back short, then fails."""
    limit = 40_000
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, old[1]))
    try:
        writer = BagWriter(tmp_path / 'bag', BagConfig(chunk_size_kib=16))
        with pytest.raises(RecorderError, match='cannot be written.*ros2 bag reindex'):
            write_words(writer, 5000)
        with pytest.raises(RecorderError, match='has failed before'):
            write_words(writer, 1)
        writer.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)
    words = read_words(writer.path)
    assert writer.path.stat().st_size <= limit
    assert len(words) > 100
    assert words == [cdr_string(f'word {i}') for i in range(len(words))]


# The thread ---------------------------------------------------------------------------------------


class SlowWriter(BagWriter):
    """A disk that takes nothing until told to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.is_writing = threading.Event()
        self.may_write = threading.Event()

    def write(self, name: str, data: bytes, **times: int) -> None:  # type: ignore[override]
        self.is_writing.set()
        assert self.may_write.wait(30)
        super().write(name, data, **times)


def push(thread: BagThread, text: str) -> bool:
    return thread.push('/words', cdr_string(text), log_time_ns=1, publish_time_ns=1)


def test_thread_writes_what_was_queued_before_the_stop(tmp_path: Path) -> None:
    thread = BagThread(BagWriter(tmp_path / 'bag'), 1 << 20)
    thread.add_topic('/words', WORD, QOS)
    for index in range(50):
        assert push(thread, f'word {index}')
    thread.start()
    assert thread.stop(30)
    status = thread.status()
    assert (status.messages, status.dropped, status.error) == (50, 0, None)
    assert read_words(tmp_path / 'bag' / 'bag_0.mcap') == [
        cdr_string(f'word {i}') for i in range(50)
    ]


def test_full_queue_drops_and_counts_without_blocking(tmp_path: Path) -> None:
    writer = SlowWriter(tmp_path / 'bag')
    size = len(cdr_string('0'))
    thread = BagThread(writer, 3 * size)
    thread.add_topic('/words', WORD, QOS)
    thread.start()
    assert push(thread, '0')
    assert writer.is_writing.wait(30)  # taken from the queue, stuck at the disk
    assert [push(thread, str(i)) for i in range(1, 6)] == [True, True, True, False, False]
    assert thread.status().dropped == 2
    writer.may_write.set()
    assert thread.stop(30)
    assert thread.status().messages == 4


def test_failing_disk_ends_the_recording_and_is_stated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = BagWriter(tmp_path / 'bag', BagConfig(chunk_size_kib=16))
    thread = BagThread(writer, 1 << 24)
    thread.add_topic('/words', WORD, QOS)
    monkeypatch.setattr(os, 'write', _no_space)
    for index in range(2000):
        push(thread, f'word {index}')
    thread.start()
    assert thread.stop(30)
    status = thread.status()
    assert isinstance(status.error, RecorderError)
    assert 'No space left' in status.error.message
    assert not push(thread, 'late')
    assert thread.status().dropped > status.dropped > 0


def _no_space(descriptor: int, data: bytes) -> int:
    raise OSError(28, 'No space left on device')


def test_topic_of_unknown_type_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    thread = BagThread(BagWriter(tmp_path / 'bag'), 1 << 20)
    thread.add_topic('/broken', 'toy_msgs/msg/Broken', QOS)
    thread.add_topic('/words', WORD, QOS)
    thread.push('/broken', b'1234', log_time_ns=1, publish_time_ns=1)
    push(thread, 'a')
    thread.start()
    assert thread.stop(30)
    status = thread.status()
    assert status.error is None
    assert 'nowhere_msgs/msg/Gone' in status.topic_errors['/broken']
    assert status.messages == 1
