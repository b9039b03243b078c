# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The viewer's server and its page, as a child of ProcessGroup that ends with its parent.

Two things are kept from leaving this machine. The program is told, in its own words, to send
nothing to anybody. Its page would ask for fonts, examples and updates and report its use, and has
no such switch; so the page is handed on with a Content-Security-Policy that lets the browser talk
to this server alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import json
import os
from pathlib import Path
import signal
import subprocess
import tempfile
import threading
from types import FrameType
import urllib.error
import urllib.request

VARIABLE = 'WM_PLANNER_VIEWER'
"""Environment variable with what to run, as JSON: command, host, web_port, inner_url, data_url."""

_FLAT_MEMORY = {'MIMALLOC_PURGE_DELAY': '0'}
"""Lets the program's allocator give freed memory back at once. Otherwise the memory of the program
goes on growing long after it began to drop the oldest messages (docs/view.md, What it costs)."""

_PATIENCE_S = 3.0
_FETCH_TIMEOUT_S = 30.0


def main() -> int:
    """Serve until the program ends or a signal comes; return its exit status."""
    wanted = json.loads(os.environ[VARIABLE])
    page = page_server(
        wanted['host'], int(wanted['web_port']), wanted['inner_url'], wanted['data_url']
    )
    threading.Thread(target=page.serve_forever, name='page', daemon=True).start()
    # Its settings live in a folder of this run: nothing of the user's is read or changed.
    with tempfile.TemporaryDirectory(prefix='wm_planner_view_') as folder:
        environment = {**_FLAT_MEMORY, **os.environ, **private_folders(Path(folder))}
        return _run(wanted['command'], environment)


def page_server(host: str, port: int, inner_url: str, data_url: str) -> ThreadingHTTPServer:
    """Return the server of the page, which is fetched from ``inner_url``. Not yet serving."""

    class Handler(BaseHTTPRequestHandler):
        """Hands GET and HEAD on; one thread a request."""

        def do_GET(self) -> None:  # noqa: N802 - the name is BaseHTTPRequestHandler's
            """Answer with what the program serves under the same path."""
            try:
                with urllib.request.urlopen(
                    inner_url + self.path.split('?')[0], timeout=_FETCH_TIMEOUT_S
                ) as answer:
                    self._answer(answer.status, answer.headers['Content-Type'], answer.read())
            except urllib.error.HTTPError as error:
                self._answer(error.code, 'text/plain', b'')
            except OSError:
                self._answer(502, 'text/plain', b'the viewer does not answer')

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def _answer(self, status: int, kind: str | None, body: bytes) -> None:
            self.send_response(status)
            self.send_header('Content-Type', kind or 'application/octet-stream')
            self.send_header('Content-Length', str(len(body)))
            self.send_header('Content-Security-Policy', content_policy(data_url))
            self.end_headers()
            if self.command != 'HEAD':
                self.wfile.write(body)

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    return server


def content_policy(data_url: str) -> str:
    """Return the policy under which the page may talk to its own server and ``data_url`` only."""
    data = data_url.removeprefix('rerun+').removesuffix('/proxy')
    inline = "'unsafe-inline' 'wasm-unsafe-eval' 'unsafe-eval'"
    return (
        f"default-src 'self' blob: data: {inline}; "
        f"connect-src 'self' blob: data: {data}; form-action 'none'; base-uri 'self'"
    )


def private_folders(folder: Path) -> dict[str, str]:
    """Return the environment that keeps a program's settings, data and cache in ``folder``."""
    names = ('XDG_CONFIG_HOME', 'XDG_DATA_HOME', 'XDG_CACHE_HOME')
    return {name: str(folder / name.lower()) for name in names}


def _run(command: Sequence[str], environment: dict[str, str]) -> int:
    subprocess.run(
        [command[0], 'analytics', 'disable'],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    child = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)

    def end(number: int, _frame: FrameType | None) -> None:
        child.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    try:
        status = child.wait()
    finally:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                child.kill()
    return 0 if status in (0, -signal.SIGINT, -signal.SIGTERM) else 1
