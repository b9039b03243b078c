# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Measures the signals of uncertainty on good and on spoiled episodes: where its limits come from.

python benchmarks/uncertainty.py [EPISODES [JSON FILE]]

Good episodes are those of the tabletop suites that succeed; all of their plans count. Spoiled ones
are reach episodes with the arm blocked, half the picture covered, the camera turned aside or a
goal picture of somewhere else. Prints quantiles of each signal, and for the limits in force in how
many episodes the stop would have come, and after how many plans.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, replace
import json
import math
from pathlib import Path
import sys
from typing import Any

import numpy as np

from wm_planner.control.progress import ProgressConfig, ProgressWatch, Signals
from wm_planner.control.safety import SafetyConfig, SafetyFilter
from wm_planner.core.paths import robot_profile_file
from wm_planner.core.profile import RobotProfile
from wm_planner.core.types import ArmCommand, EpisodeStart, Goal, Observation, StepResult
from wm_planner.evaluation.direct import DirectRunner
from wm_planner.evaluation.environments import SuiteName, open_environment
from wm_planner.evaluation.runner import EpisodeSpec, EvaluationConfig
from wm_planner.evaluation.threads import planning_threads
from wm_planner.factory import PlannerSettings, make_planner

SUITES = ('reach', 'push', 'pick', 'push_subgoals')
SIGNALS = ('relief', 'spread', 'surprise')
QUANTILES = (0.0, 0.001, 0.01, 0.05, 0.5, 0.95, 0.99, 0.999, 1.0)
UNCERTAIN_PLANS, STALL_PLANS = 3, 20
SEED = 11


class Listening:
    """A planner that keeps what its plans say of themselves, goal by goal."""

    def __init__(self, planner: Any) -> None:
        self._planner = planner
        self.heard: list[tuple[str, Signals]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._planner, name)

    def plan(self, observation: Observation, goal: Goal, **arguments: Any) -> Any:
        """Plan, and keep the signals."""
        plan = self._planner.plan(observation, goal, **arguments)
        self.heard.append((goal.goal_id, Signals.of(plan)))
        return plan


class Spoiled:
    """An environment with something wrong: pictures changed, commands ignored."""

    def __init__(
        self,
        environment: Any,
        picture: Callable[[np.ndarray], np.ndarray] | None = None,
        goal: Callable[[np.ndarray], np.ndarray] | None = None,
        *,
        is_blocked: bool = False,
    ) -> None:
        self._environment = environment
        self._picture = picture or (lambda image: image)
        self._goal = goal or (lambda image: image)
        self._is_blocked = is_blocked
        self._here: ArmCommand | None = None

    def reset(self, suite: str, *, seed: int, episode: int) -> EpisodeStart:
        """Start an episode, with what is wrong in it."""
        start = self._environment.reset(suite, seed=seed, episode=episode)
        self._here = ArmCommand.hold_at(start.observation.state)
        goals = [replace(goal, image=self._goal(goal.image)) for goal in start.goals]
        return replace(start, observation=self._seen(start.observation), goals=goals)

    def step(self, command: ArmCommand, duration_s: float) -> StepResult:
        """Do as told, or not."""
        result = self._environment.step(self._here if self._is_blocked else command, duration_s)
        return replace(result, observation=self._seen(result.observation))

    def _seen(self, observation: Observation) -> Observation:
        images = np.stack([self._picture(image) for image in observation.images])
        return replace(observation, images=images)


def covered(image: np.ndarray) -> np.ndarray:
    """Cover the left half."""
    changed = image.copy()
    changed[:, : image.shape[1] // 2] = 40
    return changed


def turned(image: np.ndarray) -> np.ndarray:
    """Look a fifth of the picture to the side."""
    return np.roll(image, image.shape[1] // 5, axis=1)


def elsewhere(image: np.ndarray) -> np.ndarray:
    """Return a picture with the same colours that shows nothing of the scene."""
    return np.ascontiguousarray(image[::-1, ::-1])


SPOILED = {
    'arm blocked': {'is_blocked': True},
    'half covered': {'picture': covered},
    'camera turned': {'picture': turned},
    'goal upside down': {'goal': elsewhere},
}


def episodes(environment: Any, suite: str, count: int) -> list[tuple[bool, list[Any]]]:
    """Return success and signals of each episode."""
    planner = Listening(make_planner('cem', 'tabletop', PlannerSettings(), device='cpu'))
    profile = RobotProfile.from_yaml(robot_profile_file('panda_sim'))
    runner = DirectRunner(
        environment=environment,
        planner=planner,  # type: ignore[arg-type]
        safety=SafetyFilter(profile, SafetyConfig()),
        planner_name='cem',
        model_name='tabletop',
        config=EvaluationConfig(episodes=count, seed=SEED),
    )
    found = []
    for episode in range(count):
        planner.heard = []
        record = runner.run(
            EpisodeSpec(suite=SuiteName.parse(f'tabletop/{suite}'), seed=SEED, episode=episode)
        )
        found.append((record.success, planner.heard))
    return found


def quantiles(runs: list[tuple[bool, list[Any]]], *, only_good: bool) -> dict[str, list[float]]:
    """Return the quantiles of each signal over all plans."""
    values = defaultdict(list)
    for success, heard in runs:
        for _, signals in heard if success or not only_good else []:
            for name in SIGNALS:
                value = getattr(signals, name)
                if not math.isnan(value):
                    values[name].append(value)
    return {n: [float(q) for q in np.quantile(v, QUANTILES)] for n, v in values.items()}


def stops(runs: list[tuple[bool, list[Any]]], limits: Any) -> dict[str, Any]:
    """Return in how many episodes each reason would have stopped the arm, and when."""
    config = ProgressConfig(uncertain_plans=UNCERTAIN_PLANS, stall_plans=STALL_PLANS)
    reasons: dict[str, list[int]] = defaultdict(list)
    for _, heard in runs:
        watch, goal_id = ProgressWatch(config, limits), None
        for number, (goal, signals) in enumerate(heard, start=1):
            if goal != goal_id:
                watch.begin()
                goal_id = goal
            stall = watch.look(signals).stall
            if stall is not None:
                reasons[type(stall).__name__].append(number)
                break
    return {
        'episodes': len(runs),
        'succeed': sum(success for success, _ in runs),
        **{name: {'episodes': len(n), 'plans': float(np.median(n))} for name, n in reasons.items()},
    }


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    result: dict[str, Any] = {'episodes': count, 'quantiles': list(QUANTILES)}
    with planning_threads():
        planner = make_planner('cem', 'tabletop', PlannerSettings(), device='cpu')
        limits = planner.uncertainty_limits  # type: ignore[attr-defined]
        result['limits'] = str(limits)
        environment = open_environment(SuiteName.parse('tabletop/reach'))
        cases: dict[str, tuple[Any, str]] = {suite: (environment, suite) for suite in SUITES}
        for name, spoils in SPOILED.items():
            cases[name] = (Spoiled(environment, **spoils), 'reach')
        for name, (where, suite) in cases.items():
            runs = episodes(where, suite, count)
            is_good = name in SUITES
            result[name] = {
                'plans': [
                    [success, [[goal, *asdict(signals).values()] for goal, signals in heard]]
                    for success, heard in runs
                ],
                'signals': quantiles(runs, only_good=is_good),
                'stops': stops(runs, limits),
                'stops_of_good': stops([run for run in runs if run[0]], limits),
            }
            print(name, json.dumps(result[name]['stops']), flush=True)
            for signal, values in result[name]['signals'].items():
                print(f'  {signal:9}' + ' '.join(f'{value:8.3f}' for value in values), flush=True)
        environment.close()
    print('quantiles' + ' '.join(f'{q:8}' for q in QUANTILES))
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(json.dumps(result, indent=2))


if __name__ == '__main__':
    main()
