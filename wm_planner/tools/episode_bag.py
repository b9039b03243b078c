# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""EpisodeBag: a recorder node of its own for one episode of a live run."""

from __future__ import annotations

from dataclasses import replace
import logging
from pathlib import Path
import tempfile
from types import TracebackType

from wm_planner.bringup import profile
from wm_planner.core.errors import PlannerTimeoutError
from wm_planner.tools.live_graph import LiveGraph
from wm_planner.tools.process_group import ProcessGroup

_NAME = 'bag'
_NODE = 'recorder'
_START_TIMEOUT_S = 30.0
_logger = logging.getLogger(__name__)


class EpisodeBag:
    """Records the graph from ``__enter__`` to ``__exit__``; then ``files`` holds the bag.

    The bag travels as bytes, as pictures and videos do. Main thread.
    """

    def __init__(self, graph: LiveGraph) -> None:
        self._graph = graph
        self._folder = tempfile.TemporaryDirectory(prefix='wm_planner_bag_')
        nodes = profile('record').resolve({'bag_dir': self._folder.name})
        self._group = ProcessGroup(
            [
                replace(
                    node, parameters={**node.parameters, 'bag_name': _NAME, 'compression': 'zstd'}
                )
                for node in nodes
            ]
        )
        self.files: dict[str, bytes] = {}

    def __enter__(self) -> EpisodeBag:
        """Start the recorder and wait until it is in the graph."""
        self._group.start()
        client = self._graph.client
        try:
            client.spin_until(
                lambda: _NODE in client.node.get_node_names() or self._group.ended() is not None,
                lambda: PlannerTimeoutError('the recorder has not started.'),
                _START_TIMEOUT_S,
            )
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the recorder, which finishes the bag."""
        self._stop()

    def _stop(self) -> None:
        ended = self._group.ended()
        if ended is not None:
            _logger.warning('the recorder ended: %s', ' '.join(ended.tail[-2:]))
        self._group.stop()
        folder = Path(self._folder.name)
        for path in sorted(folder.joinpath(_NAME).glob('*')):
            self.files[path.relative_to(folder).as_posix()] = path.read_bytes()
        self._folder.cleanup()
