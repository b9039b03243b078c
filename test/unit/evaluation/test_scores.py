# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Scores, by hand: rates, both costs, their intervals, groups, and the leaderboard's format."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fakes.records import a_record, arena
from wm_planner.core.errors import InvalidParameterError, UnknownNameError
from wm_planner.evaluation.leaderboard import leaderboard_entry, published
from wm_planner.evaluation.scores import (
    SUITES,
    TaskName,
    bootstrap_mean,
    score_episodes,
    score_rows,
)

OBSTACLES, HAZARDS = 'safety_static_obstacles', 'safety_hazard_avoidance'


@pytest.mark.parametrize(
    ('text', 'suite', 'short', 'level', 'task', 'published_name'),
    [
        (arena(OBSTACLES, 1), OBSTACLES, 'static_obstacles', 1, 'lemon', 'StaticObstacles'),
        (arena('static_obstacles', 0), 'static_obstacles', 'static_obstacles', 0, 'lemon', None),
        (arena('long_horizon', 2), 'long_horizon', 'long_horizon', 2, 'lemon', 'LongHorizon'),
        (arena('libero_goal', 0), 'libero_goal', 'libero_goal', 0, 'lemon', ''),
        ('tabletop/reach', 'reach', 'reach', None, '', ''),
        ('tabletop/push/far', 'push/far', 'push/far', None, '', ''),
    ],
)
def test_names_come_apart(
    text: str, suite: str, short: str, level: int | None, task: str, published_name: str | None
) -> None:
    name = TaskName.parse(text)
    assert (name.suite, name.short_suite, name.level, name.task) == (suite, short, level, task)
    if published_name is not None:
        assert name.published_name == published_name


def test_names_of_earlier_releases_mean_the_same_suites() -> None:
    former = TaskName.parse(arena('safety_risk_aware_grasping', 0))
    assert former.published_name == 'CautiousGrasp' and former.has_cost
    moved = TaskName.parse(arena('generalization_object_preposition_combinations', 0))
    assert moved.published_name == 'PrepositionCombinations' and not moved.has_cost


def test_rate_and_costs_by_hand() -> None:
    costs = [(0.0, 10.0), (3.0, 13.0), (0.0, 0.0), (1.0, 1.0)]
    records = [
        a_record(k, arena(OBSTACLES, 1), success=k < 2, cost=clean, cost_upstream=upstream)
        for k, (clean, upstream) in enumerate(costs)
    ]
    score = score_episodes(records)
    assert (score.episodes, score.successes, score.rate) == (4, 2, 0.5)
    assert score.cost is not None and score.cost_upstream is not None
    assert (score.cost.mean, score.cost_upstream.mean) == (1.0, 6.0)
    assert score.wilson.low == pytest.approx(0.150, abs=1e-3)
    assert score.wilson.high == pytest.approx(0.850, abs=1e-3)


def test_hazard_avoidance_is_scaled_as_published_in_both_readings() -> None:
    records = [a_record(0, arena(HAZARDS, 0), cost=100.0, cost_upstream=300.0)]
    score = score_episodes(records)
    assert score.cost is not None and score.cost_upstream is not None
    assert (score.cost.mean, score.cost_upstream.mean) == (5.0, pytest.approx(15.0))


def test_suite_without_costs_has_none_and_a_safety_suite_has_zero() -> None:
    assert score_episodes([a_record(0)]).cost is None
    assert score_episodes([a_record(0, arena('extrapolation_task_workflows', 0))]).cost is None
    safe = score_episodes([a_record(0, arena(OBSTACLES, 0))])
    assert safe.cost is not None and safe.cost.mean == 0.0


def test_stops_and_failures_count_as_failures() -> None:
    endings = [('safety_stop', 403), ('planner_failed', 306), ('worker_lost', 501), ('timeout', 0)]
    records = [
        a_record(k, success=k == 3, termination=how, error_code=code)
        for k, (how, code) in enumerate(endings)
    ]
    score = score_episodes(records)
    assert (score.rate, score.safety_stops, score.errors) == (0.25, 1, 2)


def test_bootstrap_of_outcomes_is_the_quantile_of_a_binomial() -> None:
    """Of B(10, 0.4): P(X <= 0) = 0.006, P(<= 1) = 0.046, P(<= 6) = 0.945, P(<= 7) = 0.988."""
    outcomes = np.array([1.0] * 4 + [0.0] * 6)
    assert bootstrap_mean([outcomes], seed=0, resamples=20_000) == pytest.approx((0.1, 0.7))


def test_bootstrap_is_fixed_by_its_seed_and_not_by_the_order_of_episodes() -> None:
    records = [a_record(k, success=k % 3 == 0) for k in range(12)]
    assert score_episodes(records) == score_episodes(records[::-1])
    groups = [np.arange(9.0)]
    assert bootstrap_mean(groups, seed=1) == bootstrap_mean(groups, seed=1)
    assert bootstrap_mean(groups, seed=1) != bootstrap_mean(groups, seed=2)


def test_bootstrap_draws_within_tasks_because_tasks_are_given() -> None:
    """One task always works, the other never: the rate of the two together is no accident."""
    records = [
        a_record(k, arena(OBSTACLES, 0, task), success=task == 'lemon')
        for task in ('lemon', 'mug')
        for k in range(5)
    ]
    assert tuple(score_episodes(records).bootstrap) == (0.5, 0.5)


def test_no_episode_has_no_score() -> None:
    with pytest.raises(InvalidParameterError, match='at least 1'):
        score_episodes([])


def test_rows_are_tasks_then_levels_then_suites_then_all() -> None:
    records = [
        a_record(0, arena(OBSTACLES, 1, 'mug'), success=True),
        a_record(0, arena(OBSTACLES, 0, 'apple')),
        a_record(0, arena(OBSTACLES, 0, 'lemon')),
        a_record(0, arena('long_horizon', 0, 'drawer')),
    ]
    rows = score_rows(records)
    assert [row.label for row in rows] == [
        f'{OBSTACLES} L0 apple',
        f'{OBSTACLES} L0 lemon',
        f'{OBSTACLES} L0',
        f'{OBSTACLES} L1 mug',
        f'{OBSTACLES} L1',
        OBSTACLES,
        'long_horizon L0 drawer',
        'long_horizon L0',
        'long_horizon',
        'all',
    ]
    assert [row.score.episodes for row in rows] == [1, 1, 2, 1, 1, 3, 1, 1, 1, 4]
    assert rows[5].score.successes == 1


def test_suite_without_levels_is_one_row() -> None:
    assert [row.label for row in score_rows([a_record(0), a_record(1)])] == ['reach']


def test_leaderboard_entry_has_its_format_and_upstream_costs() -> None:
    records = [
        a_record(k, arena(suite, level), success=k == 0, cost=1.0, cost_upstream=8.0)
        for suite in ('long_horizon', HAZARDS)
        for level in (0, 2)
        for k in range(3)
    ]
    entry = leaderboard_entry([*records, a_record(0)], name='ours', size='1B')
    assert json.loads(json.dumps(entry)) == {
        'name': 'ours',
        'size': '1B',
        'modelType': 'wam',
        'tasks': [
            {
                'name': 'HazardAvoidance',
                'category': 'Safety',
                'hasCC': True,
                'data': {'sr': [0.3333, None, 0.3333], 'cc': [0.4, None, 0.4]},
                'numEpisodes': 6,
                'numSuccesses': 2,
            },
            {
                'name': 'LongHorizon',
                'category': 'Long Horizon',
                'hasCC': False,
                'data': {'sr': [0.3333, None, 0.3333]},
                'numEpisodes': 6,
                'numSuccesses': 2,
            },
        ],
    }


def test_leaderboard_takes_the_benchmark_alone() -> None:
    with pytest.raises(InvalidParameterError, match='--suite arena'):
        leaderboard_entry([a_record(0)], name='ours')
    with pytest.raises(UnknownNameError, match='Valid: vla, wam'):
        leaderboard_entry([a_record(0, arena(OBSTACLES, 0))], name='ours', model_type='jepa')


def test_published_rows_are_whole_and_marked() -> None:
    board = published()
    assert board.mark == 'published, not run here' and 'leaderboard' in board.source
    names = [row.name for row in board.rows]
    assert names == [
        'OpenVLA',
        'OpenVLA-OFT',
        'pi0',
        'pi0-FFT',
        'pi0.5-FFT',
        'GR00T-N1.7',
        'DreamZero',
        'Motus',
        'MolmoAct2',
    ]
    for row in board.rows:
        assert set(row.rates) == {name for name, _ in SUITES.values()}
        assert set(row.costs) == {name for name, kind in SUITES.values() if kind == 'Safety'}
        assert all(len(v) == 3 and all(0.0 <= x <= 1.0 for x in v) for v in row.rates.values())
    by_name = {row.name: row for row in board.rows}
    assert by_name['OpenVLA'].rates['StaticObstacles'] == (0.6, 0.6, 0.0)
    assert any('1.00' in note and '0.60' in note for note in board.notes)
    assert by_name['MolmoAct2'].costs['CautiousGrasp'][2] == pytest.approx(124.6, abs=0.05)


def test_published_cost_of_state_preservation_is_the_artefact_that_the_note_says() -> None:
    for row in published().rows:
        rate, cost = row.rates['StatePreservation'][1], row.costs['StatePreservation'][1]
        assert rate is not None and cost is not None
        assert cost == pytest.approx(10.0 * rate, abs=0.11), row.name
