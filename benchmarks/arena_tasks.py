# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Goes through every VLA-Arena task under an asset root: builds, resets, repeats, lets the oracle.

WM_PLANNER_ASSET_ROOT=ROOT python benchmarks/arena_tasks.py [EPISODES [PART OF A NAME]]

Per task: seconds to build, milliseconds of a reset over all initial states, whether an episode of
20 random inputs repeats to the last bit, and in how many of EPISODES episodes the oracle succeeds.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np

from wm_planner.core.actions import action_to_command
from wm_planner_sim.arena import ArenaEnvironment
from wm_planner_sim.arena_config import ArenaConfig
from wm_planner_sim.arena_goals import engine_seed
from wm_planner_sim.arena_tasks import ArenaTask, initial_states
from wm_planner_sim.oracle import pick_and_place_goals
from wm_planner_sim.oracle_policy import OraclePolicy


def repeats(environment: ArenaEnvironment, task: ArenaTask) -> tuple[bool, list[float]]:
    """Return whether two runs are equal, and the milliseconds of each reset."""
    engine, times, ends = environment.sim.engine, [], []
    for index, state in enumerate(initial_states(task.init_file)):
        begin = time.perf_counter()
        engine.reset(state, seed=engine_seed(0, index))
        times.append((time.perf_counter() - begin) * 1e3)
    for _ in range(2):
        engine.reset(initial_states(task.init_file)[-1], seed=1)
        for action in np.random.default_rng(0).uniform(-1.0, 1.0, (20, 7)):
            engine.step(action)
        ends.append(engine.state())
    return bool(np.array_equal(*ends)), times


def oracle_succeeds(environment: ArenaEnvironment, name: str, episode: int) -> tuple[bool, str]:
    """Run the oracle as a policy; returns success and how the goal picture was made."""
    start = environment.reset(name, seed=0, episode=episode)
    goal_set = environment.goal_set
    assert goal_set is not None
    how = f'{goal_set.provenance["method"]} {goal_set.attempt} {goal_set.provenance["reason"]}'
    if not pick_and_place_goals(environment.sim):
        return False, how
    policy, observation = OraclePolicy(), start.observation
    policy.attach(environment)
    while not environment.is_over:
        plan = policy.plan(observation, start.goals[-1])
        command = action_to_command(plan.actions[0], plan.action_spec, observation.state, 0)
        observation = environment.step(command, plan.action_spec.step_duration_s).observation
    return environment.score().success, how


def main(episodes: int, part: str) -> int:
    """Go through the tasks; returns 1 if one does not build, reset or repeat."""
    settings = ArenaConfig.from_variables()
    environment = ArenaEnvironment(
        ArenaConfig(
            asset_root=settings.asset_root,
            goal_folder=settings.goal_folder,
            image_width=32,
            image_height=32,
            has_wrist_camera=False,
        )
    )
    failures, solved, tried = 0, 0, 0
    for name, task in environment.tasks.items():
        if part not in name:
            continue
        try:
            begin = time.perf_counter()
            environment.reset(name, seed=0, episode=0)
            built = time.perf_counter() - begin
            is_same, times = repeats(environment, task)
            results = [oracle_succeeds(environment, name, k) for k in range(episodes)]
        except Exception as error:  # one task that fails must not hide the others
            failures += 1
            print(f'{name}: FAILED {error!r}', flush=True)
            continue
        failures += not is_same
        is_eligible = bool(pick_and_place_goals(environment.sim))
        solved += sum(success for success, _ in results)
        tried += episodes * is_eligible
        ways = '; '.join(sorted({how.strip() for _, how in results}))
        print(
            f'{name}: first {built:.1f} s, reset {statistics.median(times):.1f} ms '
            f'(max {max(times):.1f}) over {len(times)}, repeats {is_same}, oracle '
            f'{sum(success for success, _ in results)}/{episodes}'
            f'{"" if is_eligible else " (not picking and placing)"} [{ways}]',
            flush=True,
        )
    environment.close()
    print(f'oracle {solved}/{tried} episodes of pick-and-place tasks; {failures} tasks failed')
    return int(failures > 0)


if __name__ == '__main__':
    sys.exit(main(int((sys.argv[1:] or ['1'])[0]), (sys.argv[2:] or [''])[0]))
