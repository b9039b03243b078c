# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Episodes spread over worker processes with Ray, on this machine or a cluster.

Each worker makes one environment and one planner and keeps them. A worker that dies (killed, out of
memory, crashed in the simulator) takes only the episode it was running with it: another worker is
started in its place and runs that episode once more; if it dies again, the episode counts as failed
with the reason.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
import logging
import os
from typing import Any

from wm_planner.core.errors import (
    DriverError,
    MissingAssetError,
    SimulatorError,
    WmPlannerError,
    as_wm_planner_error,
)
from wm_planner.evaluation.direct import open_direct_runner
from wm_planner.evaluation.records import usable_cores
from wm_planner.evaluation.runner import EpisodeSpec, RunRequest
from wm_planner.evaluation.workers import EpisodeResult, lost_record, run_episode

ATTEMPTS = 2
"""How often an episode is begun before it counts as lost."""

_PASSED_ON = ('MUJOCO_', 'WM_PLANNER_', 'PYOPENGL_')
"""Beginnings of the environment variables that workers on other machines need as well."""

_logger = logging.getLogger(__name__)


@dataclass
class _Job:
    """An episode and how often it was begun."""

    spec: EpisodeSpec
    attempts: int = 0


class EpisodeWorker:
    """What runs in a worker process: the direct runner, opened once.

    Errors travel as values, because Ray wraps what a method raises.
    """

    def __init__(self, request: RunRequest) -> None:
        self._request = request
        self._opened = open_direct_runner(request)
        self._error: WmPlannerError | None = None
        try:
            self._runner = self._opened.__enter__()
        except Exception as error:
            self._error = as_wm_planner_error(error)

    def check(self) -> WmPlannerError | None:
        """Return why the worker cannot run any episode, None when it can."""
        return self._error

    def run(self, spec: EpisodeSpec) -> EpisodeResult | WmPlannerError:
        """Run one episode; an error is one that stops the whole sweep."""
        if self._error is not None:
            return self._error
        try:
            return run_episode(self._runner, spec, self._request)
        except Exception as error:
            return as_wm_planner_error(error)


class RayWorkers:
    """``count`` workers that take the next episode whenever they have finished one."""

    def __init__(self, ray: Any, request: RunRequest, count: int) -> None:
        self._ray = ray
        self._request = request
        self._actor_class = ray.remote(EpisodeWorker).options(**_resources(ray, request, count))
        self._idle = [self._start() for _ in range(count)]
        self._running: dict[Any, tuple[Any, _Job]] = {}

    def check(self) -> None:
        """Wait until the workers are there; raises what keeps them from running any episode."""
        for worker in self._idle:
            try:
                error = self._ray.get(worker.check.remote())
            except self._ray.exceptions.RayTaskError:
                raise
            except self._ray.exceptions.RayError as died:
                raise SimulatorError(f'a worker died while it started: {_reason(died)}') from died
            if error is not None:
                raise error

    def run(self, specs: Iterable[EpisodeSpec]) -> Iterator[EpisodeResult]:
        """Yield results as episodes end; raises an error that would fail every episode."""
        jobs = deque(_Job(spec) for spec in specs)
        while jobs or self._running:
            while jobs and self._idle:
                self._begin(self._idle.pop(), jobs.popleft())
            done, _ = self._ray.wait(list(self._running), num_returns=1)
            for reference in done:
                worker, job = self._running.pop(reference)
                result = self._result(reference, job)
                if result is None:  # its worker has died
                    jobs.appendleft(job)
                    self._idle.append(self._start())
                    continue
                is_lost = result.record.termination == 'worker_lost'
                self._idle.append(self._start() if is_lost else worker)
                yield result

    def close(self) -> None:
        """End all workers, whatever they are doing."""
        for worker in [*self._idle, *(worker for worker, _ in self._running.values())]:
            self._ray.kill(worker)

    def _start(self) -> Any:
        return self._actor_class.remote(self._request)

    def _begin(self, worker: Any, job: _Job) -> None:
        job.attempts += 1
        self._running[worker.run.remote(job.spec)] = (worker, job)

    def _result(self, reference: Any, job: _Job) -> EpisodeResult | None:
        """Return what came of an episode, or None where it is to be begun again."""
        spec = job.spec
        try:
            result = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError:
            raise  # the worker lives, and what it ran has a fault
        except self._ray.exceptions.RayError as died:  # killed, out of memory, its machine gone
            _logger.warning(
                '%s/%d/%d: its worker died, attempt %d of %d: %s',
                *(spec.suite, spec.seed, spec.episode, job.attempts, ATTEMPTS, _reason(died)),
            )
            if job.attempts < ATTEMPTS:
                return None
            error = SimulatorError(f'the worker died {ATTEMPTS} times: {_reason(died)}')
            return EpisodeResult(record=lost_record(spec, self._request, 'worker_lost', error))
        if isinstance(result, WmPlannerError):
            raise result
        return result


@contextmanager
def ray_workers(request: RunRequest, *, count: int, address: str = '') -> Iterator[RayWorkers]:
    """Start ``count`` workers, in a Ray of their own or in the cluster at ``address``.

    A process that has joined a Ray already stays in it. Raises MissingAssetError without Ray,
    DriverError without a cluster, and what keeps a worker from being made.
    """
    ray = _import_ray(is_local=not address)
    is_ours = not ray.is_initialized()
    if is_ours:
        _join(ray, count, address)
    workers = None
    try:
        threads = request.threads or max(1, usable_cores() // count)
        workers = RayWorkers(ray, replace(request, threads=threads), count)
        workers.check()
        yield workers
    finally:
        if workers is not None:
            workers.close()
        if is_ours:
            ray.shutdown()


def _join(ray: Any, count: int, address: str) -> None:
    own = {} if address else {'num_cpus': count, 'include_dashboard': False}
    try:
        ray.init(
            address=address or 'local',
            log_to_driver=False,
            logging_level=logging.WARNING,
            **own,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise DriverError(
            f'no Ray at {address or "this machine"}: {error}; valid: --ray-address HOST:PORT or '
            'auto, or none for workers on this machine.'
        ) from error


def _import_ray(*, is_local: bool) -> Any:
    os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
    os.environ.setdefault('RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO', '0')
    # Ray would let anything else on the machine go first; then two workers are slower than none.
    os.environ.setdefault('RAY_worker_niceness', '0')
    if is_local:
        # A Ray of our own listens on loopback alone. It says so only of systems on which it knows
        # no clusters, but that is what the variable does; read when ray is imported.
        os.environ.setdefault('RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER', '0')
    try:
        import ray
    except ImportError as error:
        raise MissingAssetError(
            '--workers and --ray-address need Ray, which is not installed; install: pip install '
            "'wm_planner[ray]'."
        ) from error
    return ray


def _resources(ray: Any, request: RunRequest, count: int) -> dict[str, Any]:
    """Return what a worker asks Ray for; workers share the GPUs there are."""
    gpus = ray.cluster_resources().get('GPU', 0.0) if request.device.startswith('cuda') else 0.0
    share = min(1.0, int(1000.0 * gpus / count) / 1000.0)
    environment = {'env_vars': _passed_on()}
    return {'num_cpus': 1, 'num_gpus': share, 'max_restarts': 0, 'runtime_env': environment}


def _passed_on() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key.startswith(_PASSED_ON)}


def _reason(died: Exception) -> str:
    """Return the sentence of a Ray error that says why the worker is gone, in one line."""
    lines = [line.strip() for line in str(died).splitlines() if line.strip()]
    telling = [line for line in lines if 'because' in line or 'exit' in line.lower()]
    return (telling or lines or [type(died).__name__])[-1][:300]
