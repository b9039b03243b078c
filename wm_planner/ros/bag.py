# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Writing rosbag2 bags in MCAP without rosbag2, which is not on the Python index.

A bag is a folder ``NAME/`` with ``NAME_0.mcap`` (the name that ``ros2 bag reindex`` looks for) and
``metadata.yaml`` of version 9. Schemas, channel metadata and QoS are stored as the real recorder
stores them, so ``ros2 bag info/play/reindex``, Foxglove and ``rosbags`` read the result. MCAP
rather than sqlite3: each finished chunk is in the file when the next begins, so a killed recorder
loses one chunk, where a sqlite3 bag that is one open transaction loses everything.

Nothing here needs a node or a ROS context.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcap.writer import CompressionType, Writer
import yaml

from wm_planner.core.config import parameter, validate
from wm_planner.core.errors import RecorderError
from wm_planner.ros.interfaces import message_definition, type_hash

if TYPE_CHECKING:
    from rclpy.qos import QoSProfile

METADATA_VERSION = 9
ROS_DISTRO = 'kilted'

_COMPRESSION = {
    'none': CompressionType.NONE,
    'lz4': CompressionType.LZ4,
    'zstd': CompressionType.ZSTD,
}
_INFINITE_NS = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class BagConfig:
    """How a bag is written."""

    chunk_size_kib: int = parameter(
        1024, 'size of a chunk [KiB]: what a killed recorder can lose', low=16, high=65536
    )
    compression: str = parameter(
        'none', 'compression of the chunks', choices=tuple(_COMPRESSION), read_only=True
    )

    def __post_init__(self) -> None:
        validate(self)


def offered_qos(profile: QoSProfile) -> dict[str, Any]:
    """Return a publisher's QoS as rosbag2 writes it since metadata version 9."""
    return {
        'history': profile.history.name.lower(),
        'depth': int(profile.depth),
        'reliability': profile.reliability.name.lower(),
        'durability': profile.durability.name.lower(),
        'deadline': _duration(profile.deadline.nanoseconds),
        'lifespan': _duration(profile.lifespan.nanoseconds),
        'liveliness': profile.liveliness.name.lower(),
        'liveliness_lease_duration': _duration(profile.liveliness_lease_duration.nanoseconds),
        'avoid_ros_namespace_conventions': bool(profile.avoid_ros_namespace_conventions),
    }


def _duration(nanoseconds: int) -> dict[str, int]:
    sec, nsec = divmod(min(int(nanoseconds), _INFINITE_NS), 10**9)
    return {'sec': sec, 'nsec': nsec}


class _NoAliasDumper(yaml.SafeDumper):
    """YAML without anchors: rosbag2 writes the same durations out in full."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _to_yaml(value: Any) -> str:
    return yaml.dump(value, Dumper=_NoAliasDumper, sort_keys=False, width=10**6)


class _RecordFile:
    """An unbuffered file that ends on a record after a failed write.

    The MCAP writer hands over whole records. Where a write fails half-way (disk full), the file is
    cut back to its last whole record, so that what was recorded until then stays readable.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self._position = 0

    def write(self, data: bytes) -> int:
        """Write all of ``data``; raises OSError after restoring the file's last good end."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            os.ftruncate(self._fd, self._position)
            raise
        self._position += len(data)
        return len(data)

    def tell(self) -> int:
        """Return the number of bytes written."""
        return self._position

    def flush(self) -> None:
        """Do nothing: writes go to the operating system at once, which is what survives kill -9."""

    def close(self) -> None:
        """Close the file; safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


@dataclass
class _Topic:
    channel_id: int
    type_name: str
    hash_string: str
    qos: list[dict[str, Any]]
    messages: int = 0


class BagWriter:
    """One bag, written by one thread at a time.

    Once the file could not be written the bag takes no more messages; ``close`` then only releases
    the file, and ``ros2 bag reindex`` rebuilds its metadata.
    """

    def __init__(self, folder: str | Path, config: BagConfig | None = None) -> None:
        """Create the folder and its file. Raises RecorderError where that cannot be done."""
        config = config or BagConfig()
        self.folder = Path(folder).absolute()
        self.path = self.folder / f'{self.folder.name}_0.mcap'
        self._topics: dict[str, _Topic] = {}
        self._schemas: dict[str, int] = {}
        self._first_ns, self._last_ns = _INFINITE_NS, 0
        self._has_failed = self._is_closed = False
        try:
            self.folder.mkdir(parents=True)
            self._file = _RecordFile(self.path)
        except FileExistsError as error:
            raise RecorderError(
                f'bag {self.folder} exists; valid: a folder that does not exist yet.'
            ) from error
        except OSError as error:
            raise RecorderError(
                f'bag {self.folder} cannot be created: {error.strerror}; '
                'valid: a path in a writable folder.'
            ) from error
        self._writer = Writer(
            self._file,  # type: ignore[arg-type]
            chunk_size=config.chunk_size_kib * 1024,
            compression=_COMPRESSION[config.compression],
        )
        self._guarded(lambda: self._writer.start(profile='ros2', library='wm_planner'))

    @property
    def message_count(self) -> int:
        """Return how many messages the bag has taken."""
        return sum(topic.messages for topic in self._topics.values())

    @property
    def has_failed(self) -> bool:
        """Return True once the file could not be written; nothing is written any more."""
        return self._has_failed

    @property
    def bytes_written(self) -> int:
        """Return the size of the file so far [bytes]; the open chunk is not in it yet."""
        return self._file.tell()

    @property
    def topics(self) -> Mapping[str, int]:
        """Return messages by topic."""
        return {name: topic.messages for name, topic in self._topics.items()}

    def add_topic(self, name: str, type_name: str, qos: Sequence[Mapping[str, Any]]) -> None:
        """Announce a topic before its first message; a topic that is already there keeps its entry.

        ``qos`` has one ``offered_qos`` per publisher. Raises RecorderError for a type that is not
        installed; the bag goes on without that topic.
        """
        if name in self._topics:
            return
        definition, hash_string = message_definition(type_name), type_hash(type_name)
        profiles = [dict(profile) for profile in qos]

        def register() -> None:
            if type_name not in self._schemas:
                self._schemas[type_name] = self._writer.register_schema(
                    type_name, 'ros2msg', definition.encode()
                )
            metadata = {
                'offered_qos_profiles': _to_yaml(profiles).strip(),
                'topic_type_hash': hash_string,
            }
            channel = self._writer.register_channel(name, 'cdr', self._schemas[type_name], metadata)
            # A new dict, not a new entry: other threads may be counting over the old one.
            self._topics = {**self._topics, name: _Topic(channel, type_name, hash_string, profiles)}

        self._guarded(register)

    def write(
        self, name: str, data: bytes, *, log_time_ns: int, publish_time_ns: int, sequence: int = 0
    ) -> None:
        """Append one serialized (CDR) message; times are since the epoch [ns].

        Raises RecorderError if the topic was not added or the file cannot take it.
        """
        topic = self._topics.get(name)
        if topic is None:
            raise RecorderError(
                f'topic {name!r} was not added; valid: {", ".join(sorted(self._topics)) or "none"}.'
            )
        self._guarded(
            lambda: self._writer.add_message(
                topic.channel_id,
                log_time=log_time_ns,
                data=data,
                publish_time=publish_time_ns,
                sequence=sequence & 0xFFFFFFFF,
            )
        )
        topic.messages += 1
        self._first_ns, self._last_ns = (
            min(self._first_ns, log_time_ns),
            max(self._last_ns, log_time_ns),
        )

    def close(self) -> None:
        """Write the index and ``metadata.yaml``; safe to call twice. Raises RecorderError."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            if not self._has_failed:
                self._guarded(self._finish)
        finally:
            self._file.close()

    def _finish(self) -> None:
        info = self._metadata()
        self._writer.add_metadata('rosbag2', {'serialized_metadata': _to_yaml(info)})
        self._writer.finish()
        text = _to_yaml({'rosbag2_bagfile_information': info})
        (self.folder / 'metadata.yaml').write_text(text, encoding='utf-8')

    def _guarded(self, action: Callable[[], object]) -> None:
        if self._has_failed:
            raise RecorderError(f'bag {self.folder} has failed before; valid: a new bag.')
        try:
            action()
        except OSError as error:
            self._has_failed = True
            raise RecorderError(
                f'bag {self.folder} cannot be written: {error.strerror}; '
                'valid: a disk with space left. '
                'What is on the disk can be read after: ros2 bag reindex.'
            ) from error

    def _metadata(self) -> dict[str, Any]:
        count = self.message_count
        start = {'nanoseconds_since_epoch': self._first_ns if count else 0}
        duration = {'nanoseconds': max(0, self._last_ns - self._first_ns) if count else 0}
        topics = [
            {
                'topic_metadata': {
                    'name': name,
                    'type': topic.type_name,
                    'serialization_format': 'cdr',
                    'offered_qos_profiles': topic.qos,
                    'type_description_hash': topic.hash_string,
                },
                'message_count': topic.messages,
            }
            for name, topic in self._topics.items()
        ]
        file_info = {
            'path': self.path.name,
            'starting_time': start,
            'duration': duration,
            'message_count': count,
        }
        return {
            'version': METADATA_VERSION,
            'storage_identifier': 'mcap',
            'duration': duration,
            'starting_time': start,
            'message_count': count,
            'topics_with_message_count': topics,
            'compression_format': '',
            'compression_mode': '',
            'relative_file_paths': [self.path.name],
            'files': [file_info],
            'custom_data': None,
            'ros_distro': os.environ.get('ROS_DISTRO', ROS_DISTRO),
        }
