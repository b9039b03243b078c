# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Small policy servers that speak the real wire formats, and misbehave as a test says.

The codecs here are written again on purpose, from the servers' own sources: a mistake in the
package's must not cancel out.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import io
import json
import socket
import threading
from typing import Any

import msgpack
import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve
import zmq


class Misbehave(Exception):
    """Raised by a test's answer function: what the server is to do instead of answering."""


class Die(Misbehave):
    """Drop the connection and serve nobody any more."""


class Drop(Misbehave):
    """Drop the connection, this once."""


class Stall(Misbehave):
    """Answer nothing until the server is closed."""


@dataclass
class Raw(Misbehave):
    """Answer with these very bytes, or text."""

    content: bytes | str


@dataclass
class Fail(Misbehave):
    """Fail as the server does when its policy raises."""

    text: str


Answer = Callable[[Any], Any]


@dataclass
class FakeServer:
    """Where a server listens and what it was asked."""

    port: int
    requests: list[Any] = field(default_factory=list)
    connections: int = 0
    is_closing: threading.Event = field(default_factory=threading.Event)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


# openpi and DreamZero --------------------------------------------------------------------------


def pack_openpi(value: Any) -> bytes:
    def encode(item: Any) -> Any:
        return {
            b'__ndarray__': True,
            b'data': item.tobytes(),
            b'dtype': item.dtype.str,
            b'shape': item.shape,
        }

    packed: bytes = msgpack.packb(value, default=encode)
    return packed


def unpack_openpi(data: bytes) -> Any:
    def decode(item: dict[Any, Any]) -> Any:
        if b'__ndarray__' in item:
            return np.ndarray(
                buffer=item[b'data'], dtype=np.dtype(item[b'dtype']), shape=item[b'shape']
            )
        return item

    return msgpack.unpackb(data, object_hook=decode)


@contextmanager
def openpi_server(
    answer: Answer, *, metadata: Any = None, port: int = 0, headers: list[Any] | None = None
) -> Iterator[FakeServer]:
    """Serve ``answer(request)``: a value is packed, a str goes out as a text frame.

    As openpi does, metadata goes out first and a failure is a text frame before the end.
    """
    fake = FakeServer(port)

    def handle(connection: ServerConnection) -> None:
        fake.connections += 1
        if headers is not None:
            headers.append(connection.request.headers)
        connection.send(metadata if isinstance(metadata, str) else pack_openpi(metadata or {}))
        with suppress(ConnectionClosed, OSError):
            for frame in connection:
                fake.requests.append(unpack_openpi(frame))
                if not _reply(connection, fake, answer, server):
                    return

    with serve(
        handle, '127.0.0.1', port, compression=None, max_size=None, ping_interval=None
    ) as server:
        fake.port = server.socket.getsockname()[1]
        yield from _run(fake, server.serve_forever, server.shutdown)


def _reply(connection: ServerConnection, fake: FakeServer, answer: Answer, server: Any) -> bool:
    """Answer one request; return whether the connection lives on."""
    try:
        reply = answer(fake.requests[-1])
        connection.send(reply if isinstance(reply, str) else pack_openpi(reply))
    except Raw as raw:
        connection.send(raw.content)
    except Fail as failure:
        connection.send(f'Traceback (most recent call last):\n  ...\n{failure.text}\n')
        connection.close(1011)
        return False
    except Stall:
        fake.is_closing.wait(30.0)
        return False
    except (Die, Drop) as order:
        if isinstance(order, Die):
            # It waits for this very handler to end.
            threading.Thread(target=server.shutdown, daemon=True).start()
        connection.socket.shutdown(socket.SHUT_RDWR)
        return False
    return True


# OpenVLA ----------------------------------------------------------------------------------------


def json_numpy(value: np.ndarray) -> dict[str, Any]:
    return {
        '__numpy__': base64.b64encode(value.tobytes()).decode(),
        'dtype': value.dtype.str,
        'shape': list(value.shape),
    }


def from_json_numpy(item: dict[str, Any]) -> Any:
    if '__numpy__' in item:
        data = base64.b64decode(item['__numpy__'])
        return np.frombuffer(data, np.dtype(item['dtype'])).reshape(item['shape'])
    return item


@contextmanager
def openvla_server(answer: Answer, *, port: int = 0) -> Iterator[FakeServer]:
    """Serve ``POST /act`` as OpenVLA's deploy.py does: a failure is the JSON text "error"."""
    fake = FakeServer(port)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers['Content-Length']))
            request = json.loads(text, object_hook=from_json_numpy)
            is_double = 'encoded' in request
            if is_double:
                request = json.loads(request['encoded'], object_hook=from_json_numpy)
            fake.requests.append((self.path, request))
            try:
                reply = json.dumps(answer(request), default=json_numpy)
                self._send(json.dumps(reply) if is_double else reply)
            except Raw as raw:
                self._send(raw.content if isinstance(raw.content, str) else raw.content.decode())
            except Fail as failure:
                if failure.text == 'error':
                    self._send('"error"')
                else:
                    self.send_error(500, failure.text)
            except Stall:
                self.wfile.write(b'HTTP/1.1 200 OK\r\n')  # and never the rest
                fake.is_closing.wait(30.0)
            except (Die, Drop) as order:
                self.close_connection = True
                if isinstance(order, Die):
                    server.shutdown()
                    server.server_close()

        def _send(self, text: str) -> None:
            self.send_response(200)
            self.send_header('Content-Type', 'application/json')
            self.send_header('Content-Length', str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *args: Any) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(('127.0.0.1', port), Handler)
    server.daemon_threads = True
    fake.port = server.server_address[1]

    def shut_down() -> None:
        server.shutdown()
        server.server_close()

    yield from _run(fake, lambda: server.serve_forever(poll_interval=0.01), shut_down)


# GR00T ------------------------------------------------------------------------------------------


def pack_groot(value: Any, arrays: str = 'npy') -> bytes:
    def encode(item: Any) -> Any:
        if arrays == 'msgpack_numpy':
            return {
                b'nd': True,
                b'type': item.dtype.str,
                b'kind': b'',
                b'shape': item.shape,
                b'data': item.tobytes(),
            }
        file = io.BytesIO()
        np.save(file, item, allow_pickle=False)
        return {'__ndarray_class__': True, 'as_npy': file.getvalue()}

    packed: bytes = msgpack.packb(value, default=encode)
    return packed


def unpack_groot(data: bytes) -> Any:
    def decode(item: dict[Any, Any]) -> Any:
        if '__ndarray_class__' in item:
            return np.load(io.BytesIO(item['as_npy']), allow_pickle=False)
        if b'nd' in item:
            return np.frombuffer(item[b'data'], item[b'type']).reshape(item[b'shape'])
        return item

    return msgpack.unpackb(data, object_hook=decode, strict_map_key=False)


@contextmanager
def groot_server(
    answer: Answer, *, token: str = '', arrays: str = 'npy', port: int = 0
) -> Iterator[FakeServer]:
    """Serve ping, reset and get_action as GR00T's PolicyServer does."""
    fake = FakeServer(port or free_port())
    context = zmq.Context()
    replier = context.socket(zmq.REP)
    replier.setsockopt(zmq.LINGER, 0)
    replier.bind(f'tcp://127.0.0.1:{fake.port}')

    def reply_to(request: Any) -> Any:
        if token and request.get('api_token') != token:
            return {'error': 'Unauthorized: Invalid API token'}
        if request['endpoint'] == 'ping':
            return {'status': 'ok', 'message': 'Server is running'}
        if request['endpoint'] == 'reset':
            return {}
        return answer(request['data'])

    def serve_forever() -> None:
        while not fake.is_closing.is_set():
            if not replier.poll(10):
                continue
            fake.requests.append(unpack_groot(replier.recv()))
            try:
                replier.send(pack_groot(reply_to(fake.requests[-1]), arrays))
            except Raw as raw:
                content = raw.content
                replier.send(content.encode() if isinstance(content, str) else content)
            except Fail as failure:
                replier.send(pack_groot({'error': failure.text}))
            except Stall:
                fake.is_closing.wait(30.0)
            except (Die, Drop):
                break
        replier.close(linger=0)
        context.term()

    yield from _run(fake, serve_forever, lambda: None)


def _run(
    fake: FakeServer, serve_forever: Callable[[], None], shut_down: Callable[[], None]
) -> Iterator[FakeServer]:
    thread = threading.Thread(target=serve_forever, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.is_closing.set()
        shut_down()
        thread.join(10.0)
        assert not thread.is_alive()
