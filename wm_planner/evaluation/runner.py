# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The loop over episodes, whatever runs them.

An ``EpisodeRunner`` owns one episode: ``DirectRunner`` with planner and simulator in this process,
or one that drives the live ROS graph. Both leave the same records.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from wm_planner.control.chain import CHAINS, ChainKind
from wm_planner.core.config import parameter, validate
from wm_planner.evaluation.environments import SuiteName, environment_settings
from wm_planner.evaluation.records import (
    EpisodeRecord,
    RunReport,
    describe_machine,
    installed_versions,
)
from wm_planner.evaluation.settings import PlannerChoice


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """How much is run and when an episode is given up."""

    episodes: int = parameter(40, 'episodes to run', low=1, high=100_000)
    seed: int = parameter(0, 'seed of the starts, the goals and the planner', low=0)
    max_refusals: int = parameter(
        5, 'commands refused in a row by the safety filter that end an episode', low=1, high=1000
    )
    chain: str = parameter(
        'schedule',
        'what a list of goals advances by: the steps of each, or the progress of the energy',
        choices=CHAINS,
    )
    steps_scale: float = parameter(
        1.0, 'multiple of the steps that the suite gives each goal', low=0.01, high=100.0
    )

    def __post_init__(self) -> None:
        validate(self)

    def settings(self) -> dict[str, Any]:
        """Return what an episode's outcome depends on: not how many there are, nor their seed."""
        return {
            name: value for name, value in asdict(self).items() if name not in ('episodes', 'seed')
        }

    def scale_steps(self, steps: int) -> int:
        """Return the steps a goal may take for which the suite gives ``steps``, at least 1."""
        return max(1, round(steps * self.steps_scale))


@dataclass(frozen=True, kw_only=True)
class EpisodeSpec:
    """One episode to be run."""

    suite: SuiteName
    seed: int
    episode: int


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """All that was asked for; turns the records there are into a report at any time."""

    suite: SuiteName  # as asked for
    tasks: tuple[SuiteName, ...] = ()  # the suites it stands for; none = itself
    choice: PlannerChoice
    config: EvaluationConfig
    through: str = 'direct'  # direct | ros
    device: str = 'cpu'
    robot: str = 'panda_sim'  # profile whose limits the commands are held to
    asset_root: str = ''  # folder of the environment's own data; '' = as the environment is set
    threads: int = 0  # of torch; 0 = all cores but one
    save: tuple[str, ...] = ()  # of pictures.KINDS: what is kept of an episode

    def specs(self) -> tuple[EpisodeSpec, ...]:
        """Return the episodes asked for, task by task."""
        return tuple(
            EpisodeSpec(suite=task, seed=self.config.seed, episode=episode)
            for task in self.tasks or (self.suite,)
            for episode in range(self.config.episodes)
        )

    def report(self, records: Sequence[EpisodeRecord], *, wall_s: float) -> RunReport:
        """Return the report over ``records``, which may be fewer than were asked for."""
        variables = environment_settings(self.suite)
        return RunReport(
            suite=str(self.suite),
            planner=self.choice.planner,
            model=self.choice.shown_model,
            seed=self.config.seed,
            through=self.through,
            episodes_requested=len(self.tasks or (self.suite,)) * self.config.episodes,
            episodes=self._in_order(records),
            device=f'{self.device} ({describe_machine()})',
            versions=installed_versions(),
            config={
                **self.choice.describe(),
                'evaluation': asdict(self.config),
                **self.chain_settings(),
                'robot': self.robot,
                **({'asset_root': self.asset_root} if self.asset_root else {}),
                **({'environment': variables} if variables else {}),
            },
            wall_s=wall_s,
        )

    def chain_settings(self) -> dict[str, Any]:
        """Return the parameters of a chain by progress; none where there is a schedule."""
        if self.config.chain != ChainKind.PROGRESS.name.lower():
            return {}
        return {'chain': asdict(self.choice.chain_config())}

    def _in_order(self, records: Sequence[EpisodeRecord]) -> tuple[EpisodeRecord, ...]:
        """Return the records task by task, in whatever order they were finished."""
        places = {str(task): place for place, task in enumerate(self.tasks or (self.suite,))}
        return tuple(sorted(records, key=lambda r: (places[r.suite], r.seed, r.episode)))


class EpisodeRunner(Protocol):
    """Runs single episodes; one thread."""

    def run(self, spec: EpisodeSpec) -> EpisodeRecord:
        """Run one episode. What the planner does wrong is in the record; the rest raises."""


@runtime_checkable
class Seedable(Protocol):
    """A planner whose draws can be restarted from a seed."""

    def seed(self, seed: int) -> None:
        """Let all draws from now on, and after every later ``reset``, follow from ``seed``."""


def sweep(runner: EpisodeRunner, specs: Iterable[EpisodeSpec]) -> Iterator[EpisodeRecord]:
    """Yield the record of each episode as it ends, so that a caller can stop and keep the rest."""
    for spec in specs:
        yield runner.run(spec)


def episode_seed(seed: int, episode: int) -> int:
    """Return the planner's seed for one episode: fixed by the two numbers, in [0, 2^31).

    A seed of its own makes episode k the same whether or not the episodes before it were run.
    """
    return int(np.random.SeedSequence([seed, episode]).generate_state(1)[0] & 0x7FFFFFFF)
