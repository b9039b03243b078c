# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The three ways to policy servers: WebSocket, HTTP and ZeroMQ."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
import http.client
import logging
import threading
import time
from typing import Any

from wm_planner.core.errors import PlannerFailedError
from wm_planner.policies.transport import (
    SLICE_S,
    LostConnectionError,
    ServerConfig,
    Transport,
    cut_after,
    one_line,
    shortened,
)
from wm_planner.policies.wire import require

_CLOSE_S = 0.2  # patience with the goodbye of a server that does not answer
_MAX_ANSWER_BYTES = 64 << 20

_logger = logging.getLogger(__name__)


class WebSocketTransport(Transport):
    """Binary frames over a WebSocket; the server speaks first.

    ``on_greeting`` gets the first frame of each connection and may raise.
    """

    def __init__(
        self,
        config: ServerConfig,
        *,
        what: str,
        on_greeting: Callable[[bytes | str], None],
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(config, what=what)
        self._client = require('websockets.sync.client', what=what)
        self._errors = require('websockets.exceptions', what=what)
        self._on_greeting = on_greeting
        self._headers = headers or {}
        self._connection: Any = None
        self._closing = ExitStack()

    @property
    def is_open(self) -> bool:
        """Return whether there is a connection."""
        return self._connection is not None

    def _connect(self) -> None:
        timeout_s = self._config.connect_timeout_s
        with self._losses():
            connecting = self._client.connect(
                f'ws://{self._config.host}:{self._config.port}',
                additional_headers=self._headers,
                compression=None,
                proxy=None,
                max_size=_MAX_ANSWER_BYTES,
                open_timeout=timeout_s,
                close_timeout=_CLOSE_S,
                ping_interval=None,  # a server that is computing answers no ping
            )
            self._connection = self._closing.enter_context(connecting)
            greeting = self._receive(time.monotonic() + timeout_s, timeout_s)
        self._on_greeting(greeting)

    def _exchange(self, message: bytes, timeout_s: float) -> bytes | str:
        until = time.monotonic() + timeout_s
        with self._losses():
            with cut_after(timeout_s, self._connection.socket, self._stop):
                self._connection.send(message)
            return self._receive(until, timeout_s)

    def _receive(self, until: float, timeout_s: float) -> bytes | str:
        while True:
            self._check_stop()
            left_s = until - time.monotonic()
            if left_s <= 0.0:
                raise TimeoutError(f'nothing came within {timeout_s:g} s')
            try:
                answer: bytes | str = self._connection.recv(timeout=min(left_s, SLICE_S))
                return answer
            except TimeoutError:
                continue

    def _disconnect(self) -> None:
        self._connection = None
        try:
            self._closing.close()
        except Exception as error:  # it is given up either way
            _logger.debug('%s: closing failed: %s', self._what, error)

    @contextmanager
    def _losses(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            raise
        except (OSError, EOFError, self._errors.WebSocketException) as error:
            raise LostConnectionError(one_line(error)) from error


class HttpTransport(Transport):
    """One POST of JSON to ``path`` a message, on a connection of its own."""

    def __init__(self, config: ServerConfig, *, what: str, path: str) -> None:
        super().__init__(config, what=what)
        self._path = path
        self._connection: http.client.HTTPConnection | None = None

    @property
    def is_open(self) -> bool:
        """Return whether a connection has been made for the message to come."""
        return self._connection is not None

    def _connect(self) -> None:
        connection = http.client.HTTPConnection(
            self._config.host, self._config.port, timeout=self._config.connect_timeout_s
        )
        try:
            connection.connect()
        except TimeoutError:
            raise
        except OSError as error:
            raise LostConnectionError(one_line(error)) from error
        self._connection = connection

    def _exchange(self, message: bytes, timeout_s: float) -> bytes | str:
        connection = self._connection
        assert connection is not None
        connection.sock.settimeout(None)
        with cut_after(timeout_s, connection.sock, self._stop) as cut:
            try:
                connection.request(
                    'POST', self._path, message, {'Content-Type': 'application/json'}
                )
                response = connection.getresponse()
                body = response.read(_MAX_ANSWER_BYTES)
                if response.length:
                    raise http.client.IncompleteRead(body, response.length)
            except (OSError, http.client.HTTPException) as error:
                self._check_cut(cut, timeout_s)
                raise LostConnectionError(one_line(error)) from error
        self._check_cut(cut, timeout_s)
        self._disconnect()
        if response.status != http.client.OK:
            raise PlannerFailedError(
                f'{self._what} answered {response.status} {response.reason}: '
                f'{shortened(body.decode(errors="replace"))}'
            )
        return body

    def _check_cut(self, cut: threading.Event, timeout_s: float) -> None:
        """Raise if the connection was cut from this side."""
        self._check_stop()
        if cut.is_set():
            raise TimeoutError(f'no whole answer came within {timeout_s:g} s')

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class ZmqTransport(Transport):
    """ZeroMQ REQ: a question and an answer. ``greeting`` is asked first, to see who is there."""

    def __init__(self, config: ServerConfig, *, what: str, greeting: bytes) -> None:
        super().__init__(config, what=what)
        self._zmq = require('zmq', what=what)
        self._greeting = greeting
        self._context: Any = None
        self._socket: Any = None

    @property
    def is_open(self) -> bool:
        """Return whether the server has answered the greeting."""
        return self._socket is not None

    def _connect(self) -> None:
        self._context = self._zmq.Context()
        self._socket = self._context.socket(self._zmq.REQ)
        self._socket.setsockopt(self._zmq.LINGER, 0)
        self._socket.setsockopt(self._zmq.MAXMSGSIZE, _MAX_ANSWER_BYTES)
        self._socket.connect(f'tcp://{self._config.host}:{self._config.port}')
        self._exchange(self._greeting, self._config.connect_timeout_s)

    def _exchange(self, message: bytes, timeout_s: float) -> bytes | str:
        until = time.monotonic() + timeout_s
        try:
            self._wait(self._zmq.POLLOUT, until, timeout_s)
            self._socket.send(message, self._zmq.NOBLOCK)
            self._wait(self._zmq.POLLIN, until, timeout_s)
            answer: bytes = self._socket.recv(self._zmq.NOBLOCK)
        except self._zmq.ZMQError as error:
            raise LostConnectionError(one_line(error)) from error
        return answer

    def _wait(self, what: int, until: float, timeout_s: float) -> None:
        while not self._socket.poll(1000.0 * SLICE_S, what):
            self._check_stop()
            if time.monotonic() > until:
                raise TimeoutError(f'nothing came within {timeout_s:g} s')

    def _disconnect(self) -> None:
        socket_, context, self._socket, self._context = self._socket, self._context, None, None
        if socket_ is not None:
            socket_.close(linger=0)
        if context is not None:
            context.term()
