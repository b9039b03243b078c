# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""A node in a process of its own, as it runs in earnest; its output is kept for the assertions."""

from __future__ import annotations

import os
from pathlib import Path
import signal
import subprocess
import sys
import threading
from types import TracebackType
from typing import Any

from fakes.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]


class NodeProcess:
    """``module:main`` with ROS parameters; a context manager that leaves no process behind.

    ``prelude`` is Python that runs in the process first, to break something on purpose.
    """

    def __init__(self, module: str, name: str, *, prelude: str = '', **parameters: Any) -> None:
        arguments = ['--ros-args', '-r', f'__node:={name}']
        for key, value in parameters.items():
            arguments += ['-p', f'{key}:={_as_yaml(value)}']
        code = f'{prelude}\nimport sys; from {module} import main; sys.exit(main())'
        paths = [str(ROOT), str(ROOT / 'sim'), os.environ.get('PYTHONPATH', '')]
        self.process = subprocess.Popen(
            [sys.executable, '-c', code, *arguments],
            env={**os.environ, 'PYTHONPATH': os.pathsep.join(paths), 'PYTHONUNBUFFERED': '1'},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='replace',
        )
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        """Everything the process has printed."""
        return ''.join(self._lines)

    def wait_for_output(self, text: str, timeout_s: float = 120.0) -> None:
        """Wait until ``text`` was printed; fails at once if the process ended without it."""
        wait_for(
            lambda: text in self.output or self.process.poll() is not None,
            timeout_s=timeout_s,
            what=f'{text!r} in the output',
        )
        self._join_if_ended()
        assert text in self.output, self.output

    def stop(self, number: int = signal.SIGINT, timeout_s: float = 120.0) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.wait(timeout_s)

    def wait(self, timeout_s: float = 120.0) -> int:
        """Return the exit code."""
        code = self.process.wait(timeout_s)
        self._join_if_ended()
        return code

    def __enter__(self) -> NodeProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)
        self._reader.join(5)
        if kind is not None:
            sys.stdout.write(f'--- output of {self.process.args[-1]!r} ---\n{self.output}')

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.append(line)

    def _join_if_ended(self) -> None:
        if self.process.poll() is not None:
            self._reader.join(5)


def _as_yaml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | Path):
        return f"'{value}'"
    if isinstance(value, list | tuple):
        return '[' + ', '.join(_as_yaml(item) for item in value) + ']'
    return repr(value)
