# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""A CommandSink that remembers what it was told."""

from __future__ import annotations

from wm_planner.core.types import ArmCommand


class RecordingSink:
    """Records ``calls`` (send, hold, stay, forget, close) in order and the commands in ``sent``."""

    def __init__(self, raises: Exception | None = None) -> None:
        self.calls: list[str] = []
        self.sent: list[ArmCommand] = []
        self.raises = raises
        self._is_closed = False

    def send(self, command: ArmCommand) -> ArmCommand:
        if self.raises is not None:
            raise self.raises
        self.calls.append('send')
        self.sent.append(command)
        return command

    def hold(self) -> None:
        self.calls.append('hold')

    def stay(self) -> None:
        self.calls.append('stay')

    def forget(self) -> None:
        self.calls.append('forget')

    def close(self) -> None:
        if not self._is_closed:
            self.hold()
            self.calls.append('close')
            self._is_closed = True
