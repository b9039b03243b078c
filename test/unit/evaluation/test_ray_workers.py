# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Episodes on Ray workers: the same results, and a worker that dies takes one episode with it."""

from __future__ import annotations

from collections.abc import Iterator
import os
from pathlib import Path
import sys
from typing import Any

import pytest

from fakes.sweep_env import DRAWER, LEMON, MUG, ROBOT, episodes_begun, install
from wm_planner.core.errors import MissingAssetError, UnknownNameError, WmPlannerError
from wm_planner.evaluation.direct import open_direct_runner
from wm_planner.evaluation.environments import SuiteName, expand_suite
from wm_planner.evaluation.ray_workers import ray_workers
from wm_planner.evaluation.records import EpisodeRecord
from wm_planner.evaluation.runner import EvaluationConfig, RunRequest
from wm_planner.evaluation.settings import PlannerChoice
from wm_planner.evaluation.workers import EpisodeResult, in_process

ray = pytest.importorskip('ray', reason='Ray is an extra: pip install wm_planner[ray]')


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start Ray once, in whose workers the fake environment is installed."""
    folder = tmp_path_factory.mktemp('ray')
    with pytest.MonkeyPatch.context() as patch:
        path = install(folder / 'site')
        patch.setenv('PYTHONPATH', path)
        patch.setattr(sys, 'path', [*path.split(os.pathsep), *sys.path])
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield folder
        ray.shutdown()


@pytest.fixture
def log(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    log = tmp_path / 'begun.log'
    monkeypatch.setenv('WM_PLANNER_SWEEP_LOG', str(log))
    return log


def request(folder: Path, planner: str = 'cem', robot: str = '') -> RunRequest:
    profile = folder / 'roomy.yaml'
    profile.write_text(ROBOT)
    name = SuiteName.parse_prefix('sweep')
    return RunRequest(
        suite=name,
        tasks=expand_suite(name),
        choice=PlannerChoice(planner=planner, model='point_mass'),
        config=EvaluationConfig(episodes=2, seed=7),
        robot=robot or str(profile),
    )


def run(asked: RunRequest, log: Path, **variables: str) -> list[EpisodeRecord]:
    """Run on two workers that get ``variables`` in their environment; return ordered records."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {'WM_PLANNER_SWEEP_LOG': str(log), **variables}.items():
            patch.setenv(name, value)
        with ray_workers(asked, count=2) as workers:
            records = [result.record for result in workers.run(asked.specs())]
    report = asked.report(records, wall_s=0.0)
    return [record.without_times() for record in report.episodes]


def test_two_workers_give_the_records_of_one_process(folder: Path, log: Path) -> None:
    asked = request(folder)
    with in_process(open_direct_runner(asked), asked) as workers:
        expected = [result.record.without_times() for result in workers.run(asked.specs())]
    assert run(asked, log) == expected
    assert set(episodes_begun(log).values()) == {2} and len(expected) == 6


def test_worker_that_dies_loses_its_episode_which_is_run_once_more(folder: Path, log: Path) -> None:
    asked = request(folder)
    expected = run(asked, log)
    log.unlink()
    assert run(asked, log, WM_PLANNER_SWEEP_KILL=f'{MUG}:1') == expected
    begun = episodes_begun(log)
    assert begun.pop(f'{MUG}:1') == 2
    assert set(begun.values()) == {1} and len(begun) == 5


def test_worker_that_is_killed_for_memory_loses_its_episode_which_is_run_once_more(
    folder: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Ray raises when its memory monitor has killed an actor is no RayActorError."""
    asked = request(folder)
    expected = run(asked, log)
    get, killed = ray.get, []

    def get_without_memory(reference: Any) -> Any:
        result = get(reference)
        if isinstance(result, EpisodeResult) and not killed:
            killed.append(result)
            raise ray.exceptions.OutOfMemoryError('the node was running low on memory.')
        return result

    monkeypatch.setattr(ray, 'get', get_without_memory)
    assert run(asked, log) == expected
    assert len(killed) == 1 and sum(episodes_begun(log).values()) == 2 * len(expected) + 1


def test_episode_that_kills_its_worker_twice_has_failed_with_the_reason(
    folder: Path, log: Path
) -> None:
    records = run(
        request(folder), log, WM_PLANNER_SWEEP_KILL=f'{LEMON}:0', WM_PLANNER_SWEEP_KILLS='9'
    )
    lost = [record for record in records if record.is_lost]
    assert [(r.suite, r.episode, r.termination) for r in lost] == [
        (f'sweep/{LEMON}', 0, 'worker_lost')
    ]
    assert not lost[0].success and lost[0].error_code == 501
    assert 'died 2 times' in lost[0].message
    assert len(records) == 6 and sum(record.success for record in records) == 5
    assert episodes_begun(log)[f'{LEMON}:0'] == 2


def test_simulator_error_in_a_worker_keeps_its_sentence(folder: Path, log: Path) -> None:
    records = run(request(folder, 'noop'), log, WM_PLANNER_SWEEP_BREAK=f'{DRAWER}:1')
    assert records[-1].termination == 'simulator_failed'
    assert records[-1].message == 'the cereal fell off the table.'
    assert set(episodes_begun(log).values()) == {1}


def test_what_keeps_workers_from_running_is_raised_as_it_is(folder: Path, log: Path) -> None:
    asked = request(folder, robot='panda_sym')
    with pytest.raises(UnknownNameError, match="Did you mean 'panda_sim'"):
        run(asked, log)


def test_without_ray_the_way_to_install_it_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'ray', None)
    with (
        pytest.raises(MissingAssetError, match=r'wm_planner\[ray\]'),
        ray_workers(request(folder), count=2),
    ):
        pass


def test_errors_survive_the_way_between_processes() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(UnknownNameError.among('suite', 'raech', ('reach',))))
    assert isinstance(error, WmPlannerError) and 'reach' in error.message
