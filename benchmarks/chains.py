# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Chains of goals: advancing by progress against fixed schedules, on the same starts.

``python benchmarks/chains.py --scales 0.6 0.8 1 1.25 1.5`` prints the figures in docs/goals.md. A
scale multiplies the steps of the suite's own schedule, which are those that a chain may share.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
import itertools
import json
from pathlib import Path
import statistics
from typing import Any

from wm_planner.control.chain import CHAINS
from wm_planner.evaluation.direct import open_direct_runner
from wm_planner.evaluation.environments import SuiteName, default_robot
from wm_planner.evaluation.metrics import wilson_interval
from wm_planner.evaluation.records import EpisodeRecord, describe_machine, installed_versions
from wm_planner.evaluation.runner import EvaluationConfig, RunRequest, sweep
from wm_planner.evaluation.settings import PlannerChoice

SUITES = ('push_subgoals', 'pick')


def run(
    suite: str, chain: str, scale: float, episodes: int, seed: int, planner: str
) -> list[EpisodeRecord]:
    """Return the record of each episode, told on the way."""
    name = SuiteName('tabletop', suite)
    request = RunRequest(
        suite=name,
        choice=PlannerChoice(planner=planner),
        config=EvaluationConfig(episodes=episodes, seed=seed, chain=chain, steps_scale=scale),
        robot=default_robot('tabletop'),
        threads=1,
    )
    records = []
    with open_direct_runner(request) as runner:
        for record in sweep(runner, request.specs()):
            records.append(record)
            print(
                f'{suite} {chain} x{scale:g} {record.episode}: {record.success}, '
                f'{record.steps} steps, {record.termination}. {record.message}',
                flush=True,
            )
    return records


def describe(records: Sequence[EpisodeRecord]) -> dict[str, Any]:
    """Return rate and interval, steps, and what was decided how often."""
    wins = sum(record.success for record in records)
    interval = wilson_interval(wins, len(records))
    assert interval is not None
    decisions = Counter(
        sentence.split()[1].rstrip(':')
        for record in records
        for sentence in record.message.split('; ')
        if sentence
    )
    return {
        'successes': wins,
        'episodes': len(records),
        'success_rate': wins / len(records),
        'interval': [interval.low, interval.high],
        'steps_median': statistics.median(record.steps for record in records),
        'steps_range': [min(r.steps for r in records), max(r.steps for r in records)],
        'terminations': Counter(record.termination for record in records),
        'decisions': decisions,
    }


def won_alone(records: Mapping[str, Sequence[EpisodeRecord]]) -> dict[str, int]:
    """Return in how many starts each of two was the only one that succeeded."""
    pairs = list(zip(*records.values(), strict=True))
    return {
        name: sum(pair[place].success and not pair[1 - place].success for pair in pairs)
        for place, name in enumerate(records)
    }


def main() -> None:
    """Run both kinds of chain on each suite, at each scale, and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--suites', nargs='*', default=SUITES)
    parser.add_argument('--chains', nargs='*', choices=CHAINS, default=CHAINS)
    parser.add_argument('--scales', nargs='*', type=float, default=[1.0])
    parser.add_argument('--episodes', type=int, default=60)
    parser.add_argument('--seed', type=int, default=7)
    parser.add_argument('--planner', default='cem')
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    found: dict[str, Any] = {'machine': describe_machine(), 'versions': installed_versions()}
    for suite, scale in itertools.product(arguments.suites, arguments.scales):
        records = {
            chain: run(suite, chain, scale, arguments.episodes, arguments.seed, arguments.planner)
            for chain in arguments.chains
        }
        what = f'{suite} x{scale:g}'
        found[what] = {chain: describe(those) for chain, those in records.items()}
        if len(records) == 2:
            found[what]['won_by_one_alone'] = won_alone(records)
        print(what, json.dumps(found[what], indent=1), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


if __name__ == '__main__':
    main()
