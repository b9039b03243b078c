# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Who runs the episodes of a sweep: this process, or worker processes through Ray.

Both give each episode's result as it ends, in whatever order. Ray is imported only where workers
are asked for, so that one machine does without it; on a cluster the same code runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
import logging
from typing import Protocol, runtime_checkable

from wm_planner.core.errors import MissingAssetError, SimulatorError, WmPlannerError
from wm_planner.evaluation.records import EpisodeRecord
from wm_planner.evaluation.runner import EpisodeRunner, EpisodeSpec, RunRequest

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class EpisodeResult:
    """An episode's record and the files that were asked to be kept, by name."""

    record: EpisodeRecord
    files: Mapping[str, bytes] = field(default_factory=dict)


class Workers(Protocol):
    """Runs episodes."""

    def run(self, specs: Iterable[EpisodeSpec]) -> Iterator[EpisodeResult]:
        """Yield the result of each episode as it ends, in any order."""


@runtime_checkable
class KeepsFiles(Protocol):
    """An EpisodeRunner that keeps something of the last episode's images."""

    def files(self) -> dict[str, bytes]:
        """Return the files by name."""


class InProcess:
    """One EpisodeRunner in this process, one episode after the other."""

    def __init__(self, runner: EpisodeRunner, request: RunRequest) -> None:
        self._runner = runner
        self._request = request

    def run(self, specs: Iterable[EpisodeSpec]) -> Iterator[EpisodeResult]:
        """Yield results in the order of ``specs``."""
        for spec in specs:
            yield run_episode(self._runner, spec, self._request)


def run_episode(runner: EpisodeRunner, spec: EpisodeSpec, request: RunRequest) -> EpisodeResult:
    """Run one episode; one that the simulator could not run counts as failed, with the reason.

    What a user has to put right raises, since it would fail every other episode as well. Assets
    that are missing do so only where there is no other task to go on with.
    """
    try:
        record = runner.run(spec)
    except (SimulatorError, MissingAssetError) as error:
        if isinstance(error, MissingAssetError) and len(request.tasks) < 2:
            raise
        _logger.warning('%s/%d/%d: %s', spec.suite, spec.seed, spec.episode, error)
        return EpisodeResult(record=lost_record(spec, request, 'simulator_failed', error))
    files = runner.files() if request.save and isinstance(runner, KeepsFiles) else {}
    return EpisodeResult(record=record, files=files)


def lost_record(
    spec: EpisodeSpec, request: RunRequest, termination: str, error: WmPlannerError
) -> EpisodeRecord:
    """Return the record of an episode that has no end of its own: failed, with the reason."""
    return EpisodeRecord(
        episode_id=f'{spec.suite}/{spec.seed}/{spec.episode}',
        suite=str(spec.suite),
        planner=request.choice.planner,
        model=request.choice.shown_model,
        seed=spec.seed,
        episode=spec.episode,
        success=False,
        start_distance_m=None,
        final_distance_m=None,
        steps=0,
        termination=termination,
        error_code=error.code,
        message=error.message,
    )


@contextmanager
def in_process(
    runner: AbstractContextManager[EpisodeRunner], request: RunRequest
) -> Iterator[Workers]:
    """Run episodes here, with a runner that is opened for it."""
    with runner as opened:
        yield InProcess(opened, request)
