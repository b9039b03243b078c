# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Goals extracted from a demonstration beside hand-picked ones, on the same starts.

For every start of a suite the expert's demonstration is recorded as a bag, goals are extracted
from it as ``wm_planner goal extract`` does, and the planner pursues them; and it pursues the
suite's own goals. ``./dev run python benchmarks/goal_extraction.py --episodes 60``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
import statistics
import tempfile
from typing import Any

from wm_planner.control.safety import SafetyConfig, SafetyFilter
from wm_planner.core.paths import robot_profile_file
from wm_planner.core.profile import RobotProfile
from wm_planner.core.types import EpisodeStart
from wm_planner.evaluation.direct import DirectRunner
from wm_planner.evaluation.environments import SuiteName
from wm_planner.evaluation.metrics import wilson_interval
from wm_planner.evaluation.runner import EpisodeSpec, EvaluationConfig
from wm_planner.evaluation.threads import planning_threads
from wm_planner.factory import make_planner
from wm_planner.models.registry import load_model
from wm_planner.tools.goal_extract import extract
from wm_planner_sim.demonstration import record_demonstration
from wm_planner_sim.suites import TabletopEnvironment

SUITES = ('push_subgoals', 'pick')


class ExtractingEnvironment(TabletopEnvironment):
    """The tabletop, whose goals are those extracted from a demonstration of the same start."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._model = load_model('tabletop', device='cpu')
        self._profile = RobotProfile.from_yaml(robot_profile_file('panda_sim'))
        self._is_recording = False
        self.counts: list[tuple[int, int]] = []  # goals, steps

    def reset(self, suite: str, *, seed: int, episode: int) -> EpisodeStart:
        """Start an episode with the goals of its demonstration."""
        if self._is_recording:
            return super().reset(suite, seed=seed, episode=episode)
        bag = self._folder / f'{suite}_{seed}_{episode}'
        self._is_recording = True
        try:
            start = record_demonstration(self, suite, seed=seed, episode=episode, folder=bag)
        finally:
            self._is_recording = False
        found, _ = extract(bag, self._model, self._profile)
        steps = found.steps(self._model.action_spec.step_duration_s)
        self.counts.append((len(steps), sum(steps)))
        return EpisodeStart(
            episode_id=start.episode_id,
            observation=start.observation,
            goals=found.pursued(),
            steps_per_goal=steps,
            instruction=start.instruction,
            metrics=start.metrics,
        )


def run(environment: TabletopEnvironment, suite: str, episodes: int, seed: int) -> list[bool]:
    """Return the success of each episode."""
    runner = DirectRunner(
        environment=environment,
        planner=make_planner('cem', 'tabletop', device='cpu'),
        safety=SafetyFilter(
            RobotProfile.from_yaml(robot_profile_file('panda_sim')), SafetyConfig()
        ),
        planner_name='cem',
        model_name='tabletop',
        config=EvaluationConfig(episodes=episodes, seed=seed),
    )
    name = SuiteName('tabletop', suite)
    return [
        runner.run(EpisodeSpec(suite=name, seed=seed, episode=episode)).success
        for episode in range(episodes)
    ]


def describe(outcomes: list[bool]) -> dict[str, Any]:
    """Return rate and interval."""
    interval = wilson_interval(sum(outcomes), len(outcomes))
    assert interval is not None
    return {
        'success_rate': sum(outcomes) / len(outcomes),
        'interval': [interval.low, interval.high],
        'episodes': len(outcomes),
    }


def main() -> None:
    """Run both ways on each suite and print the rates."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--episodes', type=int, default=60)
    parser.add_argument('--seed', type=int, default=7)
    parser.add_argument('--suites', nargs='*', default=SUITES)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, planning_threads():
        environment = ExtractingEnvironment(Path(folder))
        for suite in given.suites:
            environment.counts.clear()
            extracted = run(environment, suite, given.episodes, given.seed)
            plain = TabletopEnvironment(environment.sim)
            picked = run(plain, suite, given.episodes, given.seed)
            counts = environment.counts
            print(
                json.dumps(
                    {
                        'suite': suite,
                        'seed': given.seed,
                        'hand_picked': describe(picked),
                        'extracted': describe(extracted),
                        'extracted_goals_median': statistics.median(c[0] for c in counts),
                        'extracted_steps_median': statistics.median(c[1] for c in counts),
                    }
                ),
                flush=True,
            )
        environment.close()


if __name__ == '__main__':
    main()
