# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Records of episodes that were never run."""

from __future__ import annotations

from typing import Any

from wm_planner.evaluation.environments import SuiteName
from wm_planner.evaluation.records import EpisodeRecord
from wm_planner.evaluation.runner import EvaluationConfig, RunRequest
from wm_planner.evaluation.settings import PlannerChoice


def a_record(episode: int = 0, suite: str = 'tabletop/reach', **fields: Any) -> EpisodeRecord:
    """Return a record of an episode that failed after two steps."""
    values = {
        'episode_id': f'{suite}/7/{episode}',
        'suite': suite,
        'planner': 'cem',
        'model': 'tabletop',
        'seed': 7,
        'episode': episode,
        'success': False,
        'start_distance_m': 0.25,
        'final_distance_m': 0.125,
        'steps': 2,
        'termination': 'timeout',
        'goal_energies': (0.5,),
        'plan_ms': (10.0, 20.0),
        'energy_curve': (1.0, 0.5),
    }
    return EpisodeRecord(**{**values, **fields})


def arena(suite: str, level: int, task: str = 'lemon') -> str:
    """Return the name of a task of the benchmark."""
    return f'arena/{suite}/L{level}/{task}'


def a_request(*records: EpisodeRecord, planner: str = 'cem', **fields: Any) -> RunRequest:
    """Return the request that ``records`` answer."""
    tasks = tuple(SuiteName.parse(name) for name in dict.fromkeys(r.suite for r in records))
    episodes = max((r.episode for r in records), default=0) + 1
    return RunRequest(
        suite=SuiteName(tasks[0].environment, ''),
        tasks=tasks,
        choice=PlannerChoice(planner=planner),
        config=EvaluationConfig(episodes=episodes, seed=7),
        **fields,
    )
