# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""DirectRunner: a fixed schedule, honest records, and episodes that do not depend on each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
import math
from typing import Any

import numpy as np
import pytest

from fakes.loopback_env import LoopbackEnv
from fakes.planners import FakePlanner
from fakes.values import SPEC, a_plan
from wm_planner.control.safety import SafetyConfig, SafetyFilter
from wm_planner.core.errors import NoFiniteEnergyError, SimulatorError
from wm_planner.core.profile import RobotProfile
from wm_planner.core.types import ArmCommand, EpisodeStart, Goal, Observation, StepResult
from wm_planner.evaluation.direct import DirectRunner
from wm_planner.evaluation.environments import SuiteName
from wm_planner.evaluation.records import EpisodeRecord
from wm_planner.evaluation.runner import EpisodeSpec, EvaluationConfig, episode_seed, sweep
from wm_planner.factory import make_planner

PROFILE = RobotProfile(name='loopback', base_frame='base', tool_frame='tool', max_speed_m_s=1.0)
SUITE = SuiteName('loopback', 'reach')
CONFIG = EvaluationConfig(episodes=3, seed=7, max_refusals=3)


def spec(seed: int, episode: int) -> EpisodeSpec:
    return EpisodeSpec(suite=SUITE, seed=seed, episode=episode)


SPECS = [spec(7, episode) for episode in range(3)]


@dataclass(frozen=True)
class Standing:
    """A Score."""

    success: bool


class CallLog(LoopbackEnv):
    """Two goals of 3 and 2 steps, and a log of what was asked; implements all that is optional."""

    steps_per_goal: tuple[int, ...] = (3, 2)

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.commands: list[ArmCommand] = []
        self.is_solved_at_start = False
        super().__init__()

    def reset(self, suite: str, *, seed: int, episode: int) -> EpisodeStart:
        self.calls.append(f'reset {episode}')
        start = super().reset(suite, seed=seed, episode=episode)
        goals = (
            replace(start.goals[0], goal_id='first'),
            replace(start.goals[0], goal_id='second'),
        )
        return replace(start, goals=goals, steps_per_goal=self.steps_per_goal)

    def begin_goal(self, index: int) -> None:
        self.calls.append(f'goal {index}')

    def step(self, command: ArmCommand, duration_s: float) -> StepResult:
        self.calls.append('step')
        self.commands.append(command)
        return super().step(command, duration_s)

    def score(self) -> Standing:
        return Standing(success=self.is_solved_at_start)


def runner_of(
    planner: Any,
    environment: Any = None,
    profile: RobotProfile = PROFILE,
    save: tuple[str, ...] = (),
    config: EvaluationConfig = CONFIG,
) -> DirectRunner:
    return DirectRunner(
        environment=environment or LoopbackEnv(),
        planner=planner,
        safety=SafetyFilter(profile, SafetyConfig()),
        planner_name='cem',
        model_name='point_mass',
        config=config,
        save=save,
    )


def point_mass_planner() -> Any:
    return make_planner('cem', 'point_mass', device='cpu')


def asking_for(delta: tuple[float, float, float]) -> Callable[[Observation, Goal], Any]:
    """Return an answer that always asks for the same displacement [m]."""

    def answer(observation: Observation, goal: Goal) -> Any:
        plan = a_plan(goal_id=goal.goal_id, stamp_ns=observation.stamp_ns)
        return replace(plan, actions=np.array([[*delta, 0.0, 0.0]]))

    return answer


def test_world_model_planner_reaches_the_loopback_goals() -> None:
    records = list(sweep(runner_of(point_mass_planner()), SPECS))
    assert [record.episode for record in records] == [0, 1, 2]
    for record in records:
        assert record.success
        assert record.start_distance_m is not None and record.final_distance_m is not None
        assert record.final_distance_m < 0.02 < record.start_distance_m
        assert (record.steps, len(record.plan_ms), record.termination) == (12, 12, 'timeout')
        assert record.episode_id == f'reach/7/{record.episode}'
        assert len(record.goal_energies) == 1 and record.goal_energies[0] >= 0.0
        assert (record.error_code, record.message, record.commands_refused) == (0, '', 0)


def test_same_seed_gives_the_same_records() -> None:
    once, again = (
        [record.without_times() for record in sweep(runner_of(point_mass_planner()), SPECS)]
        for _ in range(2)
    )
    assert once == again


def test_another_seed_gives_other_records() -> None:
    runner = runner_of(point_mass_planner())
    first, second = (runner.run(spec(seed, 0)).without_times() for seed in (7, 8))
    assert first.start_distance_m != second.start_distance_m


def test_episode_does_not_depend_on_those_before_it() -> None:
    last_of_three = list(sweep(runner_of(point_mass_planner()), SPECS))[-1]
    alone = runner_of(point_mass_planner()).run(spec(7, 2))
    assert alone.without_times() == last_of_three.without_times()


def test_episode_seeds_differ_between_episodes_and_between_seeds() -> None:
    seeds = {episode_seed(seed, episode) for seed in range(20) for episode in range(20)}
    assert len(seeds) == 400
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_each_goal_gets_exactly_its_steps() -> None:
    environment, planner = CallLog(), FakePlanner()
    record = runner_of(planner, environment).run(spec(0, 0))
    assert environment.calls == ['reset 0', 'goal 0', *['step'] * 3, 'goal 1', *['step'] * 2]
    prepared = ['reset', 'prepare first', 'prepare second']
    assert planner.calls == [*prepared, *['plan first'] * 3, *['plan second'] * 2]
    assert record.steps == 5
    assert len(record.goal_energies) == 2


def test_warm_start_is_shifted_by_the_one_step_that_was_executed() -> None:
    planner = FakePlanner()
    runner_of(planner, CallLog()).run(spec(0, 0))
    assert planner.executed_steps == [0, 1, 1, 1, 1]


def test_target_starts_from_the_observed_state() -> None:
    environment, planner = CallLog(), FakePlanner(asking_for((0.01, 0.02, -0.03)))
    runner_of(planner, environment).run(spec(0, 0))
    moved = environment.commands[1].position_m - environment.commands[0].position_m
    np.testing.assert_allclose(moved, [0.01, 0.02, -0.03], atol=1e-9)


class ChargingLog(CallLog):
    """An environment that charges for the scene an episode is given up in."""

    def give_up(self) -> float:
        self.commands.clear()
        return 10.0


def test_planner_that_fails_half_way_pays_for_the_scene_it_leaves() -> None:
    """Failing used to be cheaper than finishing: the conditions of the end were never asked."""

    def answer(observation: Observation, goal: Goal) -> Any:
        raise NoFiniteEnergyError('nothing is finite.')

    environment = ChargingLog()
    failed = runner_of(FakePlanner(answer), environment).run(spec(0, 0))
    assert (failed.termination, failed.cost, failed.cost_upstream) == ('planner_failed', 10.0, 0.0)
    finished = runner_of(FakePlanner(), environment).run(spec(0, 0))
    assert (finished.termination, finished.cost) == ('timeout', 0.0)


def test_planner_that_raises_fails_its_episode_and_the_sweep_goes_on() -> None:
    planner = FakePlanner()
    calm = planner.answer

    def answer(observation: Observation, goal: Goal) -> Any:
        if sum(call == 'reset' for call in planner.calls) == 2:  # the second episode
            raise NoFiniteEnergyError('nothing is finite.')
        return calm(observation, goal)

    planner.answer = answer
    records = list(sweep(runner_of(planner, CallLog()), SPECS))
    assert [record.termination for record in records] == ['timeout', 'planner_failed', 'timeout']
    assert (records[1].error_code, records[1].message) == (303, 'nothing is finite.')
    assert not records[1].success and records[1].steps == 0


def test_error_from_outside_the_tree_is_recorded_as_unknown() -> None:
    def answer(observation: Observation, goal: Goal) -> Any:
        raise ZeroDivisionError('by zero')

    record = runner_of(FakePlanner(answer), CallLog()).run(spec(0, 0))
    assert (record.error_code, record.message) == (901, 'ZeroDivisionError: by zero')


def test_planner_that_fails_while_it_succeeds_has_failed() -> None:
    """Success is what is left at the end of the schedule; a planner that died has no end."""

    class Solved(CallLog):
        def step(self, command: ArmCommand, duration_s: float) -> StepResult:
            return replace(super().step(command, duration_s), success=True)

    planner = FakePlanner()
    planner.answer = lambda observation, goal: (
        1 / 0 if len(planner.executed_steps) > 3 else asking_for((0.0, 0.0, 0.0))(observation, goal)
    )
    assert not runner_of(planner, Solved()).run(spec(0, 0)).success
    assert runner_of(FakePlanner(), Solved()).run(spec(0, 0)).success


def test_refused_commands_hold_are_counted_and_end_the_episode_in_the_end() -> None:
    environment = CallLog()
    planner = FakePlanner(asking_for((math.nan, 0.0, 0.0)))
    record = runner_of(planner, environment).run(spec(0, 0))
    assert (record.termination, record.error_code, record.success) == ('safety_stop', 402, False)
    assert record.commands_refused == CONFIG.max_refusals
    assert environment.calls.count('step') == CONFIG.max_refusals - 1
    still = environment.commands[0].position_m
    assert all(np.array_equal(command.position_m, still) for command in environment.commands)
    assert planner.executed_steps == [0, 0, 0], 'a refused step was not executed'


def test_refusals_that_are_not_in_a_row_do_not_end_the_episode() -> None:
    planner = FakePlanner()
    still, bad = asking_for((0.0, 0.0, 0.0)), asking_for((math.nan, 0.0, 0.0))
    planner.answer = lambda observation, goal: (bad if len(planner.executed_steps) % 2 else still)(
        observation, goal
    )
    record = runner_of(planner, CallLog()).run(spec(0, 0))
    assert (record.termination, record.commands_refused, record.steps) == ('timeout', 3, 5)


def test_shortened_commands_are_counted() -> None:
    planner = FakePlanner(asking_for((0.06, 0.06, 0.06)))
    runner = runner_of(planner, CallLog(), profile=replace(PROFILE, max_speed_m_s=0.1))
    assert runner.run(spec(0, 0)).commands_clamped == 5


def test_start_that_is_solved_already_is_refused() -> None:
    environment = CallLog()
    environment.is_solved_at_start = True
    with pytest.raises(SimulatorError, match='solved at its start'):
        runner_of(FakePlanner(), environment).run(spec(0, 0))


def test_episode_whose_goals_and_steps_do_not_fit_is_refused() -> None:
    environment = CallLog()
    environment.steps_per_goal = (3,)
    with pytest.raises(SimulatorError, match='2 goals and 1 step counts'):
        runner_of(FakePlanner(), environment).run(spec(0, 0))


def test_context_is_filled_with_frames_of_an_arm_that_holds() -> None:
    """A planner that looks at three frames gets three different ones, a step apart, from rest."""
    environment, planner = CallLog(), FakePlanner()
    planner.context_frames = 3
    seen: list[Observation] = []
    calm = planner.answer

    def answer(observation: Observation, goal: Goal) -> Any:
        seen.append(observation)
        return calm(observation, goal)

    planner.answer = answer
    record = runner_of(planner, environment).run(spec(0, 0))
    assert environment.calls[:4] == ['reset 0', 'step', 'step', 'goal 0']
    assert record.steps == 5, 'frames of the context are no steps'
    for observation in seen:
        gaps = np.diff(observation.image_stamps_ns)
        assert gaps.tolist() == [round(SPEC.step_duration_s * 1e9)] * 2


class Charging(CallLog):
    """Charges for every step, says what a step is, and is over after its third."""

    goal_step_s: float | None = None
    over_after = 99

    def reset(self, suite: str, *, seed: int, episode: int) -> EpisodeStart:
        start = super().reset(suite, seed=seed, episode=episode)
        return replace(start, instruction='pick it up', goal_step_s=self.goal_step_s)

    def step(self, command: ArmCommand, duration_s: float) -> StepResult:
        is_over = self.calls.count('step') + 1 >= self.over_after
        result = super().step(command, duration_s)
        return replace(result, cost=1.0, cost_upstream=3.0, is_over=is_over, success=is_over)


def test_cost_is_that_of_the_planners_steps_and_not_of_filling_its_context() -> None:
    planner = FakePlanner()
    planner.context_frames = 3
    record = runner_of(planner, Charging()).run(spec(0, 0))
    assert (record.steps, record.cost, record.cost_upstream) == (5, 5.0, 15.0)


def test_episode_that_is_over_by_the_suites_rule_ends_there() -> None:
    environment, planner = Charging(), FakePlanner()
    environment.over_after = 2
    record = runner_of(planner, environment).run(spec(0, 0))
    assert environment.calls == ['reset 0', 'goal 0', 'step', 'step']
    assert (record.termination, record.success, record.steps) == ('reached', True, 2)
    assert record.cost == 2.0 and len(record.energy_curve) == 2


def test_steps_of_goals_given_in_time_are_as_many_of_the_planners_as_fit() -> None:
    environment, planner = Charging(), FakePlanner()
    environment.steps_per_goal, environment.goal_step_s = (9, 2), SPEC.step_duration_s / 3.0
    record = runner_of(planner, environment).run(spec(0, 0))
    assert planner.calls.count('plan first') == 3
    assert planner.calls.count('plan second') == 1, 'a part of a step is given, not lost'
    assert record.steps == 4


def test_planner_gets_the_instruction_after_its_reset_and_the_environment_once() -> None:
    class Oracle(FakePlanner):
        def set_instruction(self, text: str) -> None:
            self.calls.append(f'instruction {text}')

        def attach(self, environment: Any) -> None:
            self.calls.append(f'attach {type(environment).__name__}')

    planner = Oracle()
    runner = runner_of(planner, Charging())
    runner.run(spec(0, 0))
    assert planner.calls[:4] == [
        'attach Charging',
        'reset',
        'instruction pick it up',
        'prepare first',
    ]
    assert planner.calls.count('attach Charging') == 1


def test_pictures_are_those_of_the_last_episode_and_only_where_asked_for() -> None:
    assert runner_of(FakePlanner(), CallLog()).files() == {}
    runner = runner_of(FakePlanner(), CallLog(), save=('pictures',))
    runner.run(spec(0, 0))
    former = runner.files()
    runner.run(spec(0, 1))
    assert set(runner.files()) == {'first.png', 'last.png', 'goal.png'}
    assert runner.files()['goal.png'] != former['goal.png']


def test_failing_simulator_is_not_blamed_on_the_planner() -> None:
    class Broken(CallLog):
        def step(self, command: ArmCommand, duration_s: float) -> StepResult:
            raise SimulatorError('the simulator failed.')

    with pytest.raises(SimulatorError):
        runner_of(FakePlanner(), Broken()).run(spec(0, 0))


def test_records_are_values() -> None:
    record = runner_of(FakePlanner(), CallLog()).run(spec(0, 0))
    assert isinstance(record, EpisodeRecord)
    with pytest.raises(AttributeError):
        record.success = True  # type: ignore[misc]


BY_PROGRESS = replace(CONFIG, chain='progress')


def energies(values: list[float]) -> Callable[[Observation, Goal], Any]:
    """Return an answer whose plans have these energies, in turn."""
    left = iter(values)

    def answer(observation: Observation, goal: Goal) -> Any:
        return a_plan(goal_id=goal.goal_id, stamp_ns=observation.stamp_ns, goal_energy=next(left))

    return answer


def test_chain_by_progress_counts_its_steps_and_holds_for_the_rest() -> None:
    """Five steps in the schedule; the chain takes one to the first goal and two to the second."""
    environment = CallLog()
    planner = FakePlanner(energies([9.0, 0.01, 9.0, 4.0, 0.01]))
    record = runner_of(planner, environment, config=BY_PROGRESS).run(spec(0, 0))
    assert (record.steps, record.termination) == (3, 'reached')
    walked = ['goal 0', 'step', 'goal 1', 'step', 'step']
    assert environment.calls == ['reset 0', *walked, 'step', 'step']
    assert environment.commands[3:] == [environment.commands[2]] * 2  # what was sent last
    assert record.goal_energies == (0.01, 0.01)
    assert [sentence.split()[1] for sentence in record.message.split('; ')] == [
        'advance:',
        'reached:',
    ]


def test_chain_whose_goals_are_all_satisfied_takes_no_step() -> None:
    record = runner_of(FakePlanner(energies([0.01, 0.01])), CallLog(), config=BY_PROGRESS).run(
        spec(0, 0)
    )
    assert (record.steps, record.termination, record.error_code) == (0, 'reached', 0)


def test_chain_by_progress_takes_no_more_steps_than_the_schedule() -> None:
    planner = FakePlanner(energies([9.0, 8.0, 7.0, 6.0, 5.0, 4.0]))
    record = runner_of(planner, CallLog(), config=BY_PROGRESS).run(spec(0, 0))
    assert (record.steps, record.termination) == (5, 'timeout')


@pytest.mark.parametrize('looks', [True, False, None])
def test_wrist_camera_is_rendered_for_planners_that_look_through_it(looks: bool | None) -> None:
    class Offering(CallLog):
        offered: bool | None = None

        def offer_wrist_image(self, is_wanted: bool) -> None:
            self.offered = is_wanted

    planner, environment = FakePlanner(), Offering()
    if looks is not None:
        planner.wants_wrist_image = looks
    runner_of(planner, environment)
    assert environment.offered is bool(looks)


@pytest.mark.parametrize(('scale', 'steps'), [(0.1, 2), (1.0, 5), (2.0, 10)])
def test_steps_of_the_suite_are_scaled_goal_by_goal(scale: float, steps: int) -> None:
    config = replace(CONFIG, steps_scale=scale)
    assert runner_of(FakePlanner(), CallLog(), config=config).run(spec(0, 0)).steps == steps


def test_chain_by_progress_without_a_tolerance_is_an_error_of_its_episode() -> None:
    planner = FakePlanner()
    planner.goal_tolerance = math.nan
    record = runner_of(planner, CallLog(), config=BY_PROGRESS).run(spec(0, 0))
    assert record.termination == 'planner_failed' and 'fixed schedule' in record.message


def test_world_model_planner_reaches_the_loopback_goals_by_progress_in_fewer_steps() -> None:
    record = runner_of(point_mass_planner(), config=BY_PROGRESS).run(spec(7, 0))
    assert record.success and record.termination == 'reached' and record.steps < 12
