# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""LiveGraph: the nodes of a profile as child processes, and a client that talks to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
import fcntl
import math
import os
from pathlib import Path
import tempfile
import time
from types import TracebackType
from typing import TextIO

from wm_planner.bringup import NodeStart, ParameterValue, profile
from wm_planner.core.errors import (
    DriverError,
    NoDataError,
    PlannerTimeoutError,
    SimulatorError,
    WmPlannerError,
)
from wm_planner.ros.client import EpisodeGoals, PlannerClient
from wm_planner.ros.conversions import error_from_code
from wm_planner.ros.stamps import stamp_to_ns
from wm_planner.tools.process_group import ProcessGroup
from wm_planner_msgs.msg import EpisodeStatus, PlannerStatus

_READY_TIMEOUT_S = 180.0  # a busy machine loads torch slowly
_MESSAGE_TIMEOUT_S = 15.0
_DOMAINS = 100  # 1 .. 100 are safe on every system; 0 is what people use by hand


@dataclass(frozen=True, kw_only=True)
class GraphConfig:
    """What to start: a profile, its arguments, and parameters beyond them by node name."""

    profile: str = 'sim'
    arguments: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Mapping[str, ParameterValue]] = field(default_factory=dict)
    log_file: Path | None = None  # where the nodes' output goes; None: nowhere

    def nodes(self) -> list[NodeStart]:
        """Return what to start; raises UnknownNameError for a profile or an argument."""
        return [
            replace(node, parameters={**node.parameters, **self.parameters.get(node.name, {})})
            for node in profile(self.profile).resolve(self.arguments)
        ]


class _WatchedClient(PlannerClient):
    """A client none of whose waits outlives the nodes that it waits for."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        super().__init__(timeout_s=_MESSAGE_TIMEOUT_S)

    def spin_once(self, timeout_s: float = 0.05) -> None:
        self._check()
        super().spin_once(timeout_s)


class LiveGraph:
    """A graph of its own (ROS_DOMAIN_ID), brought up, talked to, and stopped without orphans.

    Use it as a context manager, in the main thread. A node that ends turns every wait of
    ``client`` into a DriverError with the node's last lines.
    """

    def __init__(self, config: GraphConfig) -> None:
        self.domain_id, self._domain_lock = claim_domain_id()
        self._config = config
        self._log: TextIO | None = None
        environment = profile(config.profile).missing_environment()
        # Fast DDS and rcl read these when a context is made, in this process as in the nodes.
        os.environ.update({**environment, 'ROS_DOMAIN_ID': str(self.domain_id)})
        self._group = ProcessGroup(config.nodes(), on_line=self._on_line)
        self._client: _WatchedClient | None = None

    @property
    def client(self) -> PlannerClient:
        """Return the client; there is one between ``__enter__`` and ``__exit__``."""
        assert self._client is not None
        return self._client

    def __enter__(self) -> LiveGraph:
        """Start the nodes and return at once; see ``wait_until_ready``."""
        if self._config.log_file is not None:
            self._config.log_file.parent.mkdir(parents=True, exist_ok=True)
            self._log = self._config.log_file.open('w')
        try:
            self._group.start()
            self._client = _WatchedClient(self.check)
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
        """Leave the graph and stop every node."""
        self._stop()

    def pids(self) -> dict[str, int]:
        """Return the process id of each node."""
        return {name: self._group.pid(name) for name in self._group.names}

    def check(self) -> None:
        """Raise DriverError with its last words if a node has ended."""
        ended = self._group.ended()
        if ended is not None:
            words = '\n'.join(ended.tail[-8:])
            raise DriverError(f'{ended.reason}. Its last lines:\n{words}')

    def wait_until_ready(self, timeout_s: float = _READY_TIMEOUT_S) -> None:
        """Wait until the planner is active and sees frames, and the simulator says how it stands.

        Raises the planner's own error where it cannot be configured.
        """
        client = self.client

        def is_active() -> bool:
            status = client.status
            if status is not None and status.state == PlannerStatus.INACTIVE and status.error_code:
                raise error_from_code(status.error_code, status.message)
            return status is not None and status.state != PlannerStatus.INACTIVE

        def late(what: str) -> Callable[[], WmPlannerError]:
            return lambda: PlannerTimeoutError(f'{what} within {timeout_s:g} s.')

        client.spin_until(is_active, late('the planner has not become active'), timeout_s)
        client.spin_until(self._sees, lambda: NoDataError('the planner gets no frames.'), timeout_s)
        client.spin_until(
            lambda: client.episode is not None, late('the simulator has not spoken'), timeout_s
        )

    def begin_episode(self, suite: str, *, seed: int, episode: int) -> EpisodeGoals:
        """Forbid motion, start an episode, and wait until both sides are in it.

        After this the planner's clock is later than the start, so no frame from before it will be
        planned from. A latched fault or stop is left first. Raises SimulatorError for a start that
        is solved already.
        """
        client = self.client
        if self.status.state in (PlannerStatus.FAULT, PlannerStatus.EMERGENCY_STOP):
            client.reset()  # latched by the episode before, which has failed for it
        client.enable(False)
        goals = client.reset_episode(suite, seed=seed, episode=episode)

        def has_begun() -> bool:
            status = client.episode
            return status is not None and (status.suite, status.seed, status.episode) == (
                suite,
                seed,
                episode,
            )

        client.spin_until(
            has_begun,
            lambda: SimulatorError(f'no status of episode {suite}/{seed}/{episode} has come.'),
            _MESSAGE_TIMEOUT_S,
        )
        status = self.episode
        if status.success:
            raise SimulatorError(f'{suite}/{seed}/{episode} is solved at its start.')
        begin_ns = stamp_to_ns(status.header.stamp)
        self.wait_for_status_after(begin_ns)
        # An arm that is suddenly elsewhere makes the planner forget the frames of where it was.
        client.spin_until(
            self._sees,
            lambda: NoDataError('the planner gets no frames of the new episode.'),
            _MESSAGE_TIMEOUT_S,
        )
        return goals

    def _sees(self) -> bool:
        """Return whether the planner has a frame and a robot state."""
        status = self.client.status
        return status is not None and not math.isnan(status.image_age_s + status.state_age_s)

    @property
    def episode(self) -> EpisodeStatus:
        """Return the newest episode status; ``wait_until_ready`` has waited for the first."""
        assert self.client.episode is not None
        return self.client.episode

    @property
    def status(self) -> PlannerStatus:
        """Return the newest planner status; ``wait_until_ready`` has waited for the first."""
        assert self.client.status is not None
        return self.client.status

    def wait_for_status_after(self, stamp_ns: int) -> None:
        """Wait for a planner status stamped later than ``stamp_ns`` (simulated time)."""
        self.client.spin_until(
            lambda: stamp_to_ns(self.status.header.stamp) > stamp_ns,
            lambda: PlannerTimeoutError("the planner's clock stands still."),
            _MESSAGE_TIMEOUT_S,
        )

    def wait_for_episode_after(self, stamp_ns: int) -> EpisodeStatus:
        """Wait for an episode status stamped at ``stamp_ns`` (simulated time) or later."""
        self.client.spin_until(
            lambda: stamp_to_ns(self.episode.header.stamp) >= stamp_ns,
            lambda: SimulatorError('the simulated clock stands still.'),
            _MESSAGE_TIMEOUT_S,
        )
        return self.episode

    def _stop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
        self._group.stop()
        if self._domain_lock is not None:
            self._domain_lock.close()
        if self._log is not None:
            self._log.close()
            self._log = None

    def _on_line(self, name: str, line: str) -> None:
        """Write a node's line to the log; called from its reader thread."""
        log = self._log
        if log is not None and not log.closed:
            log.write(f'[{name}] {line}\n')
            log.flush()


def claim_domain_id() -> tuple[int, TextIO | None]:
    """Return a ROS_DOMAIN_ID that no other LiveGraph of this machine has, and the lock on it.

    Two graphs in one domain command each other's arms. The claim ends with the lock's file, or with
    this process, however it ends. Without a lock (all are taken) the number is a guess.
    """
    first = os.getpid() * 7 + int(time.monotonic())
    for place in range(_DOMAINS):
        number = 1 + (first + place) % _DOMAINS
        try:
            path = Path(tempfile.gettempdir(), f'wm_planner_domain_{number}.lock')
            lock = path.open('a')  # noqa: SIM115  (held as long as the graph)
        except OSError:  # another user's file
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        return number, lock
    return 1 + first % _DOMAINS, None
