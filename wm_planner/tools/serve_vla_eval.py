# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""VlaEvalServer: a planner as a model server of the vla-eval harness."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
import json
import logging
import threading
from typing import Any
from urllib.parse import parse_qs, urlparse

import numpy as np

from wm_planner import __version__
from wm_planner.core.errors import InputError, PlanningError, as_wm_planner_error
from wm_planner.policies.wire import require
from wm_planner.tools.serve_pilot import Pilot, PilotConfig
from wm_planner.tools.serve_protocol import (
    ACTION,
    ACTION_SPEC,
    EPISODE_END,
    EPISODE_START,
    ERROR,
    HELLO,
    IMAGE_SPEC,
    OBSERVATION,
    PROTOCOL_VERSION,
    STATE_SPEC,
    Message,
    pack,
    unpack,
)

_MAX_FRAME_BYTES = 64 << 20
_logger = logging.getLogger(__name__)


class VlaEvalServer:
    """Serves one planner, to one episode at a time.

    Each connection has a thread of its own, all calls of the planner happen on one more, which
    also made it. A second episode that begins while one is under way is refused with an error
    message, not queued: both would be scored on a planner that mixes them up.

    ``serve`` blocks until ``stop`` is called from another thread.
    """

    def __init__(self, make_pilot: Callable[[], Pilot], config: PilotConfig) -> None:
        self._server_module = require('websockets.sync.server', what='serve vla-eval')
        self.connection_closed = require(
            'websockets.exceptions', what='serve vla-eval'
        ).ConnectionClosed
        require('msgpack', what='serve vla-eval')
        self._config = config
        self._planning = ThreadPoolExecutor(max_workers=1, thread_name_prefix='planning')
        self._lock = threading.Lock()  # guards _owner
        self._owner: _Session | None = None
        self._server: Any = None
        try:
            self.pilot: Pilot = self._planning.submit(make_pilot).result()
        except BaseException:
            self._planning.shutdown()
            raise

    def bind(self, host: str, port: int) -> int:
        """Listen and return the port; 0 asks for any that is free."""
        self._server = self._server_module.serve(
            self._handle,
            host,
            port,
            process_request=self._answer_http,
            compression=None,
            max_size=_MAX_FRAME_BYTES,
            ping_interval=None,  # a client that waits for a plan answers no ping
        )
        return int(self._server.socket.getsockname()[1])

    def serve(self) -> None:
        """Serve until stopped, then release everything."""
        try:
            self._server.serve_forever()
        finally:
            self._server.shutdown()
            self._planning.shutdown()

    def stop(self) -> None:
        """Stop serving. Any thread but a connection's."""
        self._server.shutdown()

    def run(self, job: Callable[[], Any]) -> Any:
        """Run a job on the planning thread and return or raise what it does."""
        return self._planning.submit(job).result()

    def claim(self, session: _Session) -> None:
        """Give the planner to a session; raises PlanningError while another has it."""
        with self._lock:
            if self._owner not in (None, session):
                raise PlanningError(
                    'the planner is busy with the episode of another connection; valid: one '
                    'connection at a time, or a server each.'
                )
            self._owner = session

    def is_owned_by(self, session: _Session) -> bool:
        """Return whether a session's episode is under way."""
        with self._lock:
            return self._owner is session

    def release(self, session: _Session) -> None:
        """End a session's episode, if it has one."""
        if not self.is_owned_by(session):
            return
        self.run(self.pilot.end)
        with self._lock:
            self._owner = None

    def hello(self) -> dict[str, Any]:
        """Return what the server says of itself."""
        return {
            'harness_version': f'wm_planner {__version__}',
            'protocol_version': PROTOCOL_VERSION,
            'model_server': 'wm_planner',
            'capabilities': {},
            'observation_params': {'send_state': True},
            'action_spec': ACTION_SPEC,
            'observation_spec': {self._config.camera: IMAGE_SPEC, 'state': STATE_SPEC},
        }

    def _handle(self, connection: Any) -> None:
        session = _Session(self, connection)
        try:
            with suppress(self.connection_closed):
                for frame in connection:
                    session.answer(frame)
        finally:
            self.release(session)

    def _answer_http(self, connection: Any, request: Any) -> Any:
        """Answer ``GET /health`` and ``GET /config``; None goes on to the WebSocket."""
        address = urlparse(request.path)
        if address.path not in ('/health', '/config'):
            return None
        status, body = HTTPStatus.OK, '{"status": "ok"}'
        if address.path == '/config':
            unknown = sorted(parse_qs(address.query))
            body = '{"applied": {}, "config": {}}'
            if unknown:  # nothing can be changed while serving
                status = HTTPStatus.UNPROCESSABLE_ENTITY
                body = json.dumps({'errors': [f'unknown key: {key}' for key in unknown]})
        response = connection.respond(status, body + '\n')
        del response.headers['Content-Type']
        response.headers['Content-Type'] = 'application/json'
        return response


class _Session:
    """One connection; its thread."""

    def __init__(self, server: VlaEvalServer, connection: Any) -> None:
        self._server = server
        self._connection = connection

    def answer(self, frame: bytes | str) -> None:
        """Answer one frame. What is wrong with it, or raised by it, becomes an error message."""
        try:
            message = unpack(frame)
        except InputError as error:
            self._say_error('message_refused', error, seq=0)
            return
        try:
            self._jobs().get(message.type, self._refuse)(message)
        except self._server.connection_closed:
            raise
        except Exception as raised:  # the connection lives on, as the harness expects
            self._say_error(f'{message.type}_failed', raised, seq=message.seq)

    def _jobs(self) -> dict[str, Callable[[Message], None]]:
        return {
            HELLO: self._hello,
            EPISODE_START: self._start,
            OBSERVATION: self._act,
            EPISODE_END: lambda _: self._server.release(self),
            ERROR: lambda message: _logger.error('the client reports %s', message.payload),
        }

    def _refuse(self, message: Message) -> None:
        raise InputError(
            f'a message of type {message.type}; valid from a client: {", ".join(self._jobs())}.'
        )

    def _hello(self, message: Message) -> None:
        version = message.payload.get('protocol_version', PROTOCOL_VERSION)
        if version != PROTOCOL_VERSION:
            raise InputError(f'protocol_version {version}; valid: {PROTOCOL_VERSION}.')
        self._say(HELLO, self._server.hello(), message.seq)

    def _start(self, message: Message) -> None:
        task = message.payload.get('task')
        if not isinstance(task, dict):
            raise InputError('there is no task; valid: {"task": {"name": ..., "suite": ...}}.')
        self._server.claim(self)
        try:
            self._server.run(lambda: self._server.pilot.start(task))
        except Exception:
            self._server.release(self)
            raise
        _logger.info('episode of %s/%s', task.get('suite', ''), task.get('name', ''))

    def _act(self, message: Message) -> None:
        if not self._server.is_owned_by(self):
            raise InputError('no episode of this connection is under way; valid: episode_start.')
        action = self._server.run(lambda: self._server.pilot.act(message.payload))
        self._say(ACTION, {'actions': np.asarray(action, np.float32)}, message.seq)

    def _say(self, kind: str, payload: dict[str, Any], seq: int) -> None:
        self._connection.send(pack(Message(type=kind, payload=payload, seq=seq)))

    def _say_error(self, what: str, raised: Exception, *, seq: int) -> None:
        error = as_wm_planner_error(raised)
        _logger.error('%s: %s', what, error, exc_info=None if error is raised else raised)
        self._say(ERROR, {'error': f'{what}: {error}'}, seq)
