# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""``wm_planner view``: a running graph, or a bag, on a page of the browser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import contextlib
from dataclasses import dataclass
import importlib
import json
import math
import os
from pathlib import Path
import signal
import socket
import threading
import time
from typing import Annotated, Any
from urllib.parse import quote
import webbrowser

import typer

from wm_planner.bringup import NodeStart
from wm_planner.core.errors import (
    DriverError,
    InvalidParameterError,
    MissingPackageError,
    RecordingError,
)
from wm_planner.core.paths import robot_profile_file
from wm_planner.core.profile import RobotProfile
from wm_planner.tools.process_group import ProcessGroup
from wm_planner.tools.view_server import VARIABLE

PORT, WEB_PORT = 9876, 9090
LIVE_MB, BAG_MB = 16, 1024
_START_TIMEOUT_S = 60.0
_FLUSH_S = 5.0
_NICENESS = 10  # whoever looks must not take time from whoever drives
_LOOPBACK = '127.0.0.1'


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """Where the viewer is served and how much it keeps for pages that open later."""

    host: str = _LOOPBACK
    port: int = PORT
    web_port: int = WEB_PORT
    memory_mb: int = LIVE_MB

    def __post_init__(self) -> None:
        """Raise InvalidParameterError for every address at once: a page has to name one."""
        if self.host in ('0.0.0.0', '::', ''):
            raise InvalidParameterError(
                f'--host {self.host!r} is every address of this machine, and the page has to name '
                'the one it gets its data from; valid: one of them, e.g. 127.0.0.1.'
            )

    @property
    def data_url(self) -> str:
        """Return where data are sent to."""
        return f'rerun+http://{self.host}:{self.port}/proxy'

    @property
    def page_url(self) -> str:
        """Return the page to open."""
        return f'http://{self.host}:{self.web_port}/?url={quote(self.data_url, safe="/:")}'

    def command(self, program: Path, inner_port: int) -> list[str]:
        """Return the command line of the program, whose own page is at ``inner_port``."""
        return [
            *(str(program), '--serve-web', '--bind', self.host),
            *('--port', str(self.port), '--web-viewer-port', str(inner_port)),
            *('--server-memory-limit', f'{self.memory_mb}MB', '--threads', '1'),
            *('--cors-allow-origin', f'http://{self.host}:{self.web_port}'),
        ]


def view(
    bag: Annotated[Path | None, typer.Argument(help='A bag to show; none: what runs.')] = None,
    host: Annotated[str, typer.Option(help='Address to serve at; default: this machine only.')] = (
        _LOOPBACK
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help='Port of the data; 0 = free.')] = PORT,
    web_port: Annotated[
        int, typer.Option(min=0, max=65535, help='Port of the page; 0 = a free one.')
    ] = WEB_PORT,
    seconds: Annotated[
        float, typer.Option(min=0.0, help='End after this time [s]; 0 = at Ctrl-C.')
    ] = 0.0,
    open_page: Annotated[bool, typer.Option('--open/--no-open', help='Open the browser.')] = True,
    memory: Annotated[
        int, typer.Option(min=0, help='Kept for pages opened later [MB]; 0 = 16 live, 1024 a bag.')
    ] = 0,
    imagined: Annotated[
        bool, typer.Option(help='Show imagined frames and path, which the planner then draws.')
    ] = True,
    robot: Annotated[str, typer.Option(help='Robot profile: its topics.')] = 'panda_sim',
    node: Annotated[str, typer.Option('--node', help='Full name of the planner.')] = '/wm_planner',
) -> None:
    """Show camera, goal, imagination, tool path, energy, spread, state and safety in the browser.

    Only listens: nothing that it does reaches the robot. Needs pip install 'wm_planner[view]'.
    """
    rerun, program = require_rerun()
    topics = RobotProfile.from_yaml(robot_profile_file(robot)).topics
    config = ServerConfig(
        host=host,
        port=port or free_port(host),
        web_port=web_port or free_port(host),
        memory_mb=memory or (LIVE_MB if bag is None else BAG_MB),
    )
    from wm_planner.ros.bag_reader import BagReader
    from wm_planner.tools.view_scene import ViewScene, blueprint

    reader = None if bag is None else BagReader(bag)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    with contextlib.suppress(OSError):
        os.nice(_NICENESS)
    with serving(config, program) as group:
        recording = rerun.RecordingStream('wm_planner')
        recording.set_log_tick_enabled(False)
        recording.set_log_time_enabled(False)
        recording.connect_grpc(config.data_url, default_blueprint=blueprint(is_live=bag is None))
        try:
            scene = ViewScene(recording, topics, node, shows_imagined=imagined)
            if reader is not None:
                typer.echo(f'{show_bag(scene, reader)} messages of {bag}', err=True)
            recording.flush(timeout_sec=_FLUSH_S)
            typer.echo(json.dumps({'page': config.page_url, 'data': config.data_url}))
            if open_page:
                webbrowser.open(config.page_url)
            _run(scene if reader is None else None, group, stop, seconds or math.inf)
        finally:
            recording.disconnect()


def require_rerun() -> tuple[Any, Path]:
    """Return the module rerun and its program; raises MissingPackageError without the extra."""
    try:
        rerun = importlib.import_module('rerun')
        folder = importlib.import_module('rerun_cli').__file__
    except ImportError as error:
        raise MissingPackageError(
            f"the viewer is not installed ({error}); run: pip install 'wm_planner[view]'."
        ) from error
    program = Path(folder or '').parent / ('rerun.exe' if os.name == 'nt' else 'rerun')
    if not program.is_file():
        raise MissingPackageError(
            f"{program} is missing; run: pip install --force-reinstall 'wm_planner[view]'."
        )
    return rerun, program


def free_port(host: str) -> int:
    """Return a port that nobody listens on at the moment."""
    with socket.socket() as listener:
        listener.bind((host, 0))
        return int(listener.getsockname()[1])


def serving(config: ServerConfig, program: Path) -> contextlib.AbstractContextManager[ProcessGroup]:
    """Return the running server as a context; raises DriverError where it cannot be had."""

    @contextlib.contextmanager
    def context() -> Any:
        for number in (config.port, config.web_port):
            _check_port(config.host, number)
        inner_port = free_port(config.host)
        wanted = {
            'command': config.command(program, inner_port),
            'host': config.host,
            'web_port': config.web_port,
            'inner_url': f'http://{config.host}:{inner_port}',
            'data_url': config.data_url,
        }
        group = ProcessGroup(
            [
                NodeStart(
                    package='wm_planner',
                    executable='view_server',
                    module='wm_planner.tools.view_server',
                    name='viewer',
                    namespace='',
                    parameter_file=Path(),
                    parameters={},
                    remappings=(),
                )
            ],
            environment={VARIABLE: json.dumps(wanted)},
            on_line=lambda *_: None,  # kept as the tail, for when it ends
        )
        with group:
            _wait_for_server(group, config, (config.port, config.web_port, inner_port))
            yield group

    return context()


def show_bag(scene: Any, reader: Any) -> int:
    """Show all of a bag; return how many messages. Raises RecordingError if none is of use."""
    count = 0
    for topic, time_ns, message in reader.messages([source.topic for source in scene.sources]):
        scene.show(topic, message, time_ns)
        count += 1
    if not count:
        raise RecordingError(
            f'bag {reader.path} has none of the topics that are shown; valid: a bag with some of '
            f'{", ".join(source.topic for source in scene.sources)}. Is --node or --robot another?'
        )
    return count


def _run(scene: Any | None, group: ProcessGroup, stop: threading.Event, seconds: float) -> None:
    """Show what comes (``scene`` None: nothing more does) until it is over."""
    deadline = time.monotonic() + seconds
    with contextlib.ExitStack() as stack:
        wait: Callable[[], object] = lambda: stop.wait(0.1)  # noqa: E731
        if scene is not None:
            from wm_planner.tools.view_node import ViewNode

            wait = stack.enter_context(ViewNode(scene)).spin_once
        while not stop.is_set() and time.monotonic() < deadline:
            wait()
            ended = group.ended()
            if ended is not None:
                raise DriverError(f'{ended.reason}: {" ".join(ended.tail[-3:])}.')


def _check_port(host: str, number: int) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, number))
        except OSError as error:
            raise DriverError(
                f'{host}:{number} cannot be served ({error.strerror}); valid: another --port or '
                '--web-port, 0 for a free one.'
            ) from error


def _wait_for_server(group: ProcessGroup, config: ServerConfig, ports: Sequence[int]) -> None:
    host = config.host
    deadline = time.monotonic() + _START_TIMEOUT_S
    for number in ports:
        while True:
            ended = group.ended()
            if ended is not None or time.monotonic() > deadline:
                why = ended.reason if ended else f'it does not answer on {host}:{number}'
                tail = ' '.join(ended.tail[-3:]) if ended else ''
                raise DriverError(f'the viewer cannot be started: {why}. {tail}')
            with contextlib.suppress(OSError), socket.create_connection((host, number), 1.0):
                break
            time.sleep(0.05)
