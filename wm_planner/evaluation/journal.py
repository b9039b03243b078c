# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The journal of a run: each finished episode is on disk before the next, to outlive a kill.

One JSON value a line. The first says which settings the episodes were run with; a journal of other
settings is refused, because a table must not mix two planners. Each further line is an episode. A
line counts when its line feed is there, so a line torn by a crash is an episode that was not run.
"""

from __future__ import annotations

from collections.abc import Mapping
import fcntl
import hashlib
import json
import os
from pathlib import Path
from typing import IO, Any

from wm_planner.core.errors import InvalidParameterError, RecorderError
from wm_planner.evaluation.environments import environment_settings
from wm_planner.evaluation.records import EpisodeRecord, installed_versions, jsonable
from wm_planner.evaluation.runner import EpisodeSpec, RunRequest

JOURNAL_VERSION = 2
SUFFIX = '.episodes.jsonl'

Key = tuple[str, int, int]
"""Suite, seed and episode; planner and settings are those of the whole journal."""


def journal_file(json_file: Path) -> Path:
    """Return where the journal of a report lies: beside it."""
    return json_file.with_name(json_file.name + SUFFIX)


def run_settings(request: RunRequest) -> dict[str, Any]:
    """Return all that an episode's outcome depends on, beyond suite, seed and episode."""
    settings: dict[str, Any] = jsonable(
        {
            'planner': request.choice.planner,
            'model': request.choice.model,
            'choice': request.choice.describe(),
            'through': request.through,
            'device': request.device,
            'robot': request.robot,
            'evaluation': request.config.settings(),
            **request.chain_settings(),
            'asset_root': request.asset_root,
            'environment': environment_settings(request.suite),
            'files': {name: _stamp(value) for name, value in request.choice.values.items()},
            'versions': installed_versions(),
        }
    )
    settings['files'] = {name: stamp for name, stamp in settings['files'].items() if stamp}
    return settings


def fingerprint(settings: Mapping[str, Any]) -> str:
    """Return a short name of ``settings``: equal for equal ones, whatever their order."""
    text = json.dumps(settings, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def spec_key(spec: EpisodeSpec) -> Key:
    """Return what an episode to be run is found by."""
    return (str(spec.suite), spec.seed, spec.episode)


class Journal:
    """The finished episodes of a run in a file of their own; one process at a time has it open.

    ``records`` are those found when it was opened and all appended since, by key. A context
    manager. One thread.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], *, restart: bool = False) -> None:
        """Open or make the journal; with ``restart`` episodes of former runs are dropped.

        Raises InvalidParameterError for one of other settings, or that another process has open,
        and RecorderError for one that cannot be read or written.
        """
        self.path = path
        self.records: dict[Key, EpisodeRecord] = {}
        self._settings = dict(settings)
        self._fingerprint = fingerprint(settings)
        self._file = self._open()
        try:
            self._lock()
            if restart:
                self._file.truncate(0)
            self._load()
        except BaseException:
            self._file.close()
            raise

    def append(self, record: EpisodeRecord) -> None:
        """Keep an episode: when this returns, it survives a kill and a power cut."""
        self._write({'settings': self._fingerprint, **jsonable(record)})
        self.records[(record.suite, record.seed, record.episode)] = record

    def close(self) -> None:
        """Let go of the file; safe to call twice."""
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> IO[bytes]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return self.path.open('a+b')
        except OSError as error:
            raise RecorderError(f'{self.path} cannot be written: {error.strerror}.') from error

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InvalidParameterError(
                f'{self.path} is being written by another run; valid: wait for it, or another '
                '--json FILE.'
            ) from error

    def _load(self) -> None:
        self._file.seek(0)
        content = self._file.read()
        whole = content.rfind(b'\n') + 1
        lines = content[:whole].splitlines()
        if whole < len(content):
            self._file.truncate(whole)  # a line torn by a crash; what follows must not join it
        header = self._parsed(lines[0], 1) if lines else {'journal': JOURNAL_VERSION}
        self._check_kind(header)
        if len(lines) < 2:  # no episode yet, so whatever the settings were, nothing is mixed
            self._file.truncate(0)
            self._begin()
            return
        self._check_settings(header.get('settings'))
        for number, line in enumerate(lines[1:], start=2):
            record = EpisodeRecord.from_json(self._parsed(line, number))
            self.records[(record.suite, record.seed, record.episode)] = record

    def _begin(self) -> None:
        self._write({'journal': JOURNAL_VERSION, 'settings': self._settings})
        folder = os.open(self.path.parent, os.O_RDONLY)  # the file's name must last as well
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _write(self, value: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(value, allow_nan=False).encode() + b'\n')
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise RecorderError(f'{self.path} cannot be written: {error.strerror}.') from error

    def _parsed(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            value = json.loads(line)
        except ValueError as error:
            raise self._damaged(number) from error
        if not isinstance(value, dict):
            raise self._damaged(number)
        return value

    def _damaged(self, number: int) -> RecorderError:
        return RecorderError(
            f'{self.path}, line {number}, is no JSON object; valid: what wm_planner evaluate '
            'writes. --restart begins anew.'
        )

    def _check_kind(self, header: Mapping[str, Any]) -> None:
        if header.get('journal') != JOURNAL_VERSION:
            raise InvalidParameterError(
                f'{self.path} is no journal of version {JOURNAL_VERSION}; valid: another --json '
                'FILE, or --restart to begin anew.'
            )

    def _check_settings(self, found: Any) -> None:
        differing = differences(found, self._settings)
        if differing:
            raise InvalidParameterError(
                f'{self.path} holds episodes of other settings ({"; ".join(differing)}); valid: '
                'the same settings, another --json FILE, or --restart to drop them.'
            )


def differences(before: Any, now: Any, name: str = '') -> list[str]:
    """Return in words where two trees of settings differ, e.g. ``cem.num_samples: 64, now 32``."""
    if isinstance(before, dict) and isinstance(now, dict):
        found = []
        for key in sorted({*before, *now}):
            path = f'{name}.{key}' if name else str(key)
            found += differences(before.get(key), now.get(key), path)
        return found
    return [] if before == now else [f'{name}: {before}, now {now}']


def _stamp(value: Any) -> str:
    """Return size and time of change where a setting names a file, e.g. of weights; else ''."""
    if not isinstance(value, str) or not value:
        return ''
    path = Path(value).expanduser()
    if not path.is_file():
        return ''
    status = path.stat()
    return f'{status.st_size} bytes, {status.st_mtime_ns}'
