# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Reading rosbag2 bags (MCAP and sqlite3) without rosbag2. Needs no node and no ROS context."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
import re
import sqlite3
from typing import Any, NamedTuple

from mcap.exceptions import McapError
from mcap.reader import McapReader, NonSeekingReader, make_reader
from rclpy.serialization import deserialize_message
import yaml

from wm_planner.core.errors import RecorderError, RecordingError
from wm_planner.ros.interfaces import message_class

_DIGITS = re.compile(r'(\d+)')


class BagMessage(NamedTuple):
    """One message of a bag; ``log_time_ns`` is when it was received [ns]."""

    topic: str
    log_time_ns: int
    message: Any


class BagReader:
    """A bag: a folder with its files, or one ``.mcap`` or ``.db3`` file.

    A bag whose recorder was killed is read as far as it goes. Raises RecordingError for what is no
    bag.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self._files = _files(self.path)
        self.topics: Mapping[str, str] = {
            name: kind for file in self._files for name, kind in _topics(file).items()
        }

    def require(self, topic: str, what: str) -> None:
        """Raise RecordingError, naming the topics that there are, unless ``topic`` is one."""
        if topic not in self.topics:
            same = [name for name, kind in self.topics.items() if 'Image' in kind]
            names = same if 'camera' in what else sorted(self.topics)
            raise RecordingError(
                f'bag {self.path} has no {topic} ({what}); valid: a bag with that topic. It has '
                f'{", ".join(names) or ("no images" if same is names else "nothing")}.'
            )

    def messages(self, topics: Iterable[str]) -> Iterator[BagMessage]:
        """Yield the messages of ``topics`` in the order of their reception.

        Raises RecordingError for a type that is not installed or a message that cannot be read.
        """
        wanted = [topic for topic in topics if topic in self.topics]
        try:
            kinds = {topic: message_class(self.topics[topic]) for topic in wanted}
        except RecorderError as error:
            raise RecordingError(f'bag {self.path}: {error.message}') from error
        for file in self._files:
            for topic, time_ns, data in _raw(file, wanted):
                try:
                    message = deserialize_message(data, kinds[topic])
                except Exception as error:  # the middleware raises what it likes
                    raise RecordingError(
                        f'bag {self.path}: a message on {topic} cannot be read ({error}); valid: '
                        f'{self.topics[topic]} as it is installed here.'
                    ) from error
                yield BagMessage(topic, time_ns, message)


def is_bag(path: Path) -> bool:
    """Return whether a path is a bag by its name and contents' names."""
    if path.is_dir():
        return bool([*path.glob('*.mcap'), *path.glob('*.db3')])
    return path.suffix in ('.mcap', '.db3')


def _files(path: Path) -> list[Path]:
    if path.is_file() and is_bag(path):
        return [path]
    found = _in_order(path) if path.is_dir() else []
    if not found:
        reason = 'holds no .mcap or .db3 file' if path.exists() else 'does not exist'
        raise RecordingError(f'bag {path} {reason}; valid: a rosbag2 folder, or such a file.')
    return found


def _in_order(folder: Path) -> list[Path]:
    """Return the files of a bag as they were written: as its metadata say, else by their numbers.

    rosbag2 numbers the files of a split bag without leading zeros, so ``x_10`` comes after ``x_9``.
    """
    found = sorted([*folder.glob('*.mcap'), *folder.glob('*.db3')], key=_by_number)
    try:
        content: Any = yaml.safe_load((folder / 'metadata.yaml').read_text())
        names = content['rosbag2_bagfile_information']['relative_file_paths']
        places = {Path(str(name)).name: place for place, name in enumerate(names)}
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return found  # its recorder was killed
    return sorted(found, key=lambda file: places.get(file.name, len(places)))


def _by_number(file: Path) -> list[tuple[int, str]]:
    return [(int(part), '') if part.isdigit() else (-1, part) for part in _DIGITS.split(file.name)]


def _topics(file: Path) -> dict[str, str]:
    """Return the types of the topics in a file by name."""
    if file.suffix == '.db3':
        with _database(file) as rows:
            return dict(rows.execute('SELECT name, type FROM topics'))
    found: dict[str, str] = {}
    with file.open('rb') as stream:
        try:
            summary = make_reader(stream).get_summary()
        except (McapError, ValueError, EOFError):
            summary = None  # its recorder was killed
        if summary is not None and summary.channels:
            for channel in summary.channels.values():
                schema = summary.schemas.get(channel.schema_id)
                found[channel.topic] = schema.name if schema else ''
            return found
    for schema, channel, _ in _whole(file, None):
        found[channel.topic] = schema.name if schema else ''
    if not found:
        raise RecordingError(f'{file} holds no messages, or is no MCAP file; valid: a bag of some.')
    return found


def _raw(file: Path, topics: list[str]) -> Iterator[tuple[str, int, bytes]]:
    if file.suffix == '.db3':
        marks = ', '.join('?' * len(topics))
        query = (
            'SELECT topics.name, messages.timestamp, messages.data FROM messages JOIN topics ON '
            f'topics.id = messages.topic_id WHERE topics.name IN ({marks}) '
            'ORDER BY messages.timestamp, messages.id'
        )
        with _database(file) as rows:
            yield from rows.execute(query, topics)
        return
    for _, channel, message in _whole(file, topics):
        yield channel.topic, message.log_time, message.data


def _whole(file: Path, topics: list[str] | None) -> Iterator[tuple[Any, Any, Any]]:
    """Yield what an MCAP file holds, in order of time; of one that breaks off, up to there."""
    with file.open('rb') as stream:
        reader: McapReader
        try:
            reader = make_reader(stream)
            has_summary = reader.get_summary() is not None
        except (McapError, ValueError, EOFError):
            has_summary = False
        if has_summary:
            yield from reader.iter_messages(topics=topics)
            return
        stream.seek(0)
        found = []
        try:
            for entry in NonSeekingReader(stream).iter_messages(
                topics=topics, log_time_order=False
            ):
                found.append(entry)
        except (McapError, ValueError, EOFError, OSError):
            pass
    yield from sorted(found, key=lambda entry: entry[2].log_time)


class _database:  # noqa: N801 - reads as a function
    """A bag's database, open for reading."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __enter__(self) -> sqlite3.Connection:
        self._connection = sqlite3.connect(f'file:{self._file}?mode=ro', uri=True)
        try:
            self._connection.execute('SELECT 1 FROM topics')
        except sqlite3.Error as error:
            self._connection.close()
            raise RecordingError(f'{self._file} is no rosbag2 database ({error}).') from error
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()
