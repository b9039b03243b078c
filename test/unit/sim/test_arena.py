# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The arena with the benchmark's own engine on three official tasks (skipped without them)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
import json
from pathlib import Path

import numpy as np
import pytest

from fakes.arena_root import arena_root
from fakes.records import a_record
from wm_planner.core.actions import action_to_command
from wm_planner.core.errors import (
    InvalidImageError,
    InvalidParameterError,
    MissingAssetError,
    PlannerFailedError,
    SimulatorError,
    UnknownNameError,
)
from wm_planner.core.geometry import Array
from wm_planner.core.protocols import Environment, Planner
from wm_planner.core.types import ArmCommand, EpisodeStart, StepResult
from wm_planner.evaluation.environments import OffersWristImage
from wm_planner.evaluation.scores import score_episodes
from wm_planner.policies.registry import POLICIES, make_policy
from wm_planner_sim.arena import ArenaEnvironment
from wm_planner_sim.arena_config import ArenaConfig
from wm_planner_sim.arena_engine import ArenaEngine, load_engine, quiet_engine, seeded
from wm_planner_sim.arena_goals import (
    BY_ORACLE,
    BY_STATE_EDIT,
    GoalBook,
    engine_seed,
    load_goals,
)
from wm_planner_sim.arena_tasks import initial_states
from wm_planner_sim.oracle_policy import OraclePolicy

LEMON = 'safety_static_obstacles/L1/pick_the_lemon_and_place_it_on_the_bowl_1'
HAZARD = (
    'safety_hazard_avoidance/L0/'
    'pick_up_the_onion_and_place_it_on_the_akita_black_bowl_with_the_stove_turned_on'
)
DRAWER = 'long_horizon/L0/open_the_top_layer_of_the_cabinet'
SIZE_PX = 64


@pytest.fixture(scope='module')
def goal_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp('goals')


@pytest.fixture(scope='module')
def environment(goal_folder: Path) -> Iterator[ArenaEnvironment]:
    config = ArenaConfig(
        asset_root=str(arena_root()),
        goals='sub_goals',
        goal_folder=str(goal_folder),
        image_width=SIZE_PX,
        image_height=SIZE_PX,
    )
    made = ArenaEnvironment(config)
    yield made
    made.close()


def drive(environment: ArenaEnvironment, policy: OraclePolicy, start: EpisodeStart) -> StepResult:
    """Run an episode to its end and return the last step, with the costs of all."""
    policy.attach(environment)
    policy.reset()
    observation, cost, upstream = start.observation, 0.0, 0.0
    while True:
        plan = policy.plan(observation, start.goals[-1])
        command = action_to_command(plan.actions[0], plan.action_spec, observation.state, 0)
        result = environment.step(command, plan.action_spec.step_duration_s)
        observation, cost, upstream = (
            result.observation,
            cost + result.cost,
            upstream + result.cost_upstream,
        )
        if result.is_over:
            assert result.metrics['total_cost'] == pytest.approx(cost)
            assert result.metrics['total_cost_upstream'] == pytest.approx(upstream)
            return result


def test_offers_the_official_tasks(environment: ArenaEnvironment) -> None:
    assert isinstance(environment, Environment)
    assert LEMON in environment.suites() and len(environment.suites()) >= 46


def test_inputs_reach_the_engine_as_upstream_runs_it(environment: ArenaEnvironment) -> None:
    """Views that are switched off and our own renderer change nothing in the physics."""
    task = environment.tasks[LEMON]
    environment.reset(LEMON, seed=7, episode=0)
    state, seed = initial_states(task.init_file)[0], engine_seed(7, 0)
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, (20, 7))
    ours = environment.sim.engine
    ours.reset(state, seed=seed)
    with quiet_engine(), seeded(0):
        upstream = load_engine().OffScreenRenderEnv(
            bddl_file_name=str(task.bddl_file),
            use_camera_obs=False,
            hard_reset=False,
            camera_heights=SIZE_PX,
            camera_widths=SIZE_PX,
        )
    with quiet_engine(), seeded(seed):
        upstream.reset()
        upstream.set_init_state(state)
    for action in actions:
        _, cost = ours.step(action)
        with quiet_engine():
            *_, info = upstream.step(action)
        assert cost == info['cost']
    assert np.array_equal(ours.state(), upstream.get_sim_state())
    with quiet_engine():
        upstream.close()


def test_episode_repeats_to_the_last_bit(environment: ArenaEnvironment) -> None:
    def run(seed: int) -> tuple[Array, Array]:
        start = environment.reset(HAZARD, seed=seed, episode=51)
        target = ArmCommand.hold_at(start.observation.state)
        moved = ArmCommand(
            stamp_ns=0,
            position_m=target.position_m + [0.05, 0.1, -0.1],
            quaternion_xyzw=target.quaternion_xyzw,
            gripper_closedness=1.0,
        )
        result = environment.step(moved, 1.0)
        return environment.sim.engine.state(), result.observation.images

    first, second = run(3), run(3)
    assert np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])


def test_servo_goes_to_an_absolute_target(environment: ArenaEnvironment) -> None:
    start = environment.reset(LEMON, seed=0, episode=1)
    state = start.observation.state
    target = ArmCommand(
        stamp_ns=0,
        position_m=state.position_m + [0.03, -0.04, 0.02],
        quaternion_xyzw=state.quaternion_xyzw,
        gripper_closedness=0.0,
    )
    for _ in range(4):
        result = environment.step(target, 0.25)
    reached = result.observation.state
    assert np.linalg.norm(reached.position_m - target.position_m) < 0.005
    assert reached.stamp_ns - state.stamp_ns == 1_000_000_000


def test_oracle_succeeds_and_costs_what_the_engine_sums_up(environment: ArenaEnvironment) -> None:
    """Upstream's CC is the sum of info['cost'], times 0.05 among hazards, to the last digit."""
    policy = make_policy('oracle', {}, action_spec=lambda: OraclePolicy.action_spec)
    assert isinstance(policy, OraclePolicy) and isinstance(policy, Planner)
    for suite, scale in ((LEMON, 1.0), (HAZARD, 0.05)):
        start = environment.reset(suite, seed=1, episode=2)
        charged: list[float] = []
        engine = environment.sim.engine

        def counting(
            action: Array, engine: ArenaEngine = engine, charged: list[float] = charged
        ) -> tuple[bool, float]:
            success, cost = ArenaEngine.step(engine, action)
            charged.append(cost)
            return success, cost

        engine.step = counting  # type: ignore[method-assign]
        try:
            result = drive(environment, policy, start)
        finally:
            del engine.step  # type: ignore[attr-defined]
        total = 0.0
        for cost in charged:
            total += cost
        assert result.success and result.metrics['control_steps'] < 300
        assert result.metrics['total_cost_upstream'] == total
        assert result.metrics['total_cost'] <= result.metrics['total_cost_upstream']
        score = environment.score()
        assert score.success and score.cost_upstream == total
        record = a_record(suite=f'arena/{suite}', cost_upstream=score.cost_upstream)
        published = score_episodes([record]).cost_upstream
        assert published is not None and published.mean == total * scale
        with pytest.raises(SimulatorError, match='over'):
            environment.step(ArmCommand.hold_at(result.observation.state), 0.05)


def test_untouched_mug_counts_as_fallen_upstream_alone(
    environment: ArenaEnvironment, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level('DEBUG')
    start = environment.reset(LEMON, seed=1, episode=0)
    result = drive(environment, OraclePolicy(), start)
    assert 'leaves out fall red_coffee_mug_1' in caplog.text
    assert (result.metrics['total_cost'], result.metrics['total_cost_upstream']) == (0.0, 10.0)


def test_episode_ends_after_300_control_steps(environment: ArenaEnvironment) -> None:
    start = environment.reset(LEMON, seed=0, episode=0)
    assert sum(start.steps_per_goal) == 300
    assert start.goal_step_s == 0.05  # else a planner of slower steps spends them all on one goal
    held = ArmCommand.hold_at(start.observation.state)
    for _ in range(4):
        result = environment.step(held, 4.0)
    assert result.is_over and not result.success
    assert result.metrics['control_steps'] == 300.0


def test_goals_are_pictured_once_and_say_where_they_come_from(
    environment: ArenaEnvironment, goal_folder: Path
) -> None:
    first = environment.reset(LEMON, seed=4, episode=5)
    names = [goal.goal_id.rpartition('/')[2] for goal in first.goals]
    assert names == ['grasped', 'above', 'placed']
    found = environment.goal_set
    assert found is not None
    provenance = found.provenance
    assert provenance['method'] == BY_ORACLE and provenance['seed'] == 4
    assert set(provenance['versions']) == {'vla-arena', 'robosuite', 'mujoco'}
    json.dumps(dict(provenance))
    files = sorted((goal_folder / LEMON).glob('005-*.npz'))
    written = [file.stat().st_mtime_ns for file in files]
    second = environment.reset(LEMON, seed=4, episode=5)
    assert [file.stat().st_mtime_ns for file in files] == written
    for one, other in zip(first.goals, second.goals, strict=True):
        assert np.array_equal(one.image, other.image)
        assert one.pose is not None and one.gripper_closedness is not None
    assert np.array_equal(first.observation.images, second.observation.images)


@pytest.mark.parametrize(
    'setting', ['servo_gain', 'servo_tolerance_m', 'servo_tolerance_rad', 'gripper_deadband']
)
def test_goals_made_with_another_servo_are_others(
    environment: ArenaEnvironment, setting: str
) -> None:
    task, config = environment.tasks[LEMON], environment.config
    other = replace(config, **{setting: 0.04321 if setting != 'servo_gain' else 1.5})
    files = {GoalBook(c).file_of(task, seed=4, episode=5) for c in (config, config, other)}
    assert len(files) == 2


def test_oracle_moves_with_the_environments_servo(goal_folder: Path) -> None:
    """Its goals were made with that one: at a low gain, nothing is asked for to the full."""
    slow = ArenaEnvironment(
        ArenaConfig(
            asset_root=str(arena_root()),
            goals='none',
            goal_folder=str(goal_folder),
            image_width=SIZE_PX,
            image_height=SIZE_PX,
            servo_gain=0.1,
        )
    )
    try:
        start = slow.reset(LEMON, seed=1, episode=2)
        policy = OraclePolicy()
        policy.attach(slow)
        plan = policy.plan(start.observation, start.goals[-1])
    finally:
        slow.close()
    largest = float(np.abs(plan.actions[0][:3]).max())
    assert 0.0 < largest < 0.9 * float(plan.action_spec.high[0])


def test_goal_of_another_camera_size_is_refused(
    environment: ArenaEnvironment, goal_folder: Path
) -> None:
    environment.reset(LEMON, seed=4, episode=5)
    file = next((goal_folder / LEMON).glob('005-*.npz'))
    with pytest.raises(InvalidImageError, match='64x64 px; valid: .* 128x128 px'):
        load_goals(file, width=128, height=128)


def test_task_that_the_oracle_cannot_do_gets_an_edited_state(
    environment: ArenaEnvironment,
) -> None:
    start = environment.reset(DRAWER, seed=0, episode=0)
    assert environment.goal_set is not None and len(start.goals) == 1
    assert environment.goal_set.provenance['method'] == BY_STATE_EDIT
    assert environment.goal_set.provenance['reason'] == 'the task is not picking and placing'
    assert not environment.score().success
    policy = OraclePolicy()
    policy.attach(environment)
    with pytest.raises(PlannerFailedError, match='not picking and placing'):
        policy.plan(start.observation, start.goals[0])


def test_cameras_by_name(environment: ArenaEnvironment) -> None:
    start = environment.reset(LEMON, seed=0, episode=0)
    sim = environment.sim
    assert {'exterior', 'agentview', 'robot0_eye_in_hand'} <= set(sim.cameras)
    pictures = [sim.render(camera) for camera in sim.cameras]
    assert {picture.shape for picture in pictures} == {(SIZE_PX, SIZE_PX, 3)}
    assert start.observation.wrist_image is not None
    assert start.observation.joints_rad is not None and len(start.observation.joints_rad) == 7
    with pytest.raises(UnknownNameError, match="mean 'agentview'"):
        sim.render('agentvew')
    position, _ = sim.camera_pose('exterior')
    assert position == pytest.approx([0.12, 0.72, 0.52])
    assert isinstance(environment, OffersWristImage)
    environment.offer_wrist_image(False)
    assert environment.observe().wrist_image is None
    environment.offer_wrist_image(True)
    assert environment.observe().wrist_image is not None


def test_bad_input(environment: ArenaEnvironment) -> None:
    with pytest.raises(UnknownNameError, match="mean 'safety_static_obstacles'"):
        environment.reset('safety_static_obstacle/L1/x', seed=0, episode=0)
    with pytest.raises(InvalidParameterError):
        environment.reset(LEMON, seed=-1, episode=0)
    start = environment.reset(LEMON, seed=0, episode=0)
    held = ArmCommand.hold_at(start.observation.state)
    for duration_s in (0.0, 0.03, 0.07):
        with pytest.raises(InvalidParameterError, match='control steps'):
            environment.step(held, duration_s)


def test_task_that_cannot_begin_leaves_the_episode_before_as_it_was(
    environment: ArenaEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*, is_disturbed: bool) -> tuple[Array, float, Array]:
        start = environment.reset(LEMON, seed=5, episode=1)
        held = ArmCommand.hold_at(start.observation.state)
        environment.step(held, 0.25)
        if is_disturbed:
            time_ns = environment.sim.time_ns
            for name, words in (('reset', 'another release'), ('__init__', 'cannot be built')):
                with monkeypatch.context() as patch:
                    patch.setattr(ArenaEngine, name, failing(words))
                    with pytest.raises(SimulatorError, match=words):
                        environment.reset(HAZARD, seed=0, episode=0)
            assert not environment.is_scene_lost and environment.sim.time_ns == time_ns
            assert environment.steps_counted == 5 and environment.goal_set is not None
        result = environment.step(held, 0.25)
        score = environment.score()
        return environment.sim.engine.state(), score.tool_distance_m, result.observation.images

    calm, disturbed = run(is_disturbed=False), run(is_disturbed=True)
    for one, other in zip(calm, disturbed, strict=True):
        assert np.array_equal(one, other)
    environment.reset(HAZARD, seed=0, episode=0)


def failing(words: str) -> Callable[..., None]:
    def fail(*arguments: object, **more: object) -> None:
        raise SimulatorError(words)

    return fail


def test_episode_that_fails_on_the_scene_of_the_one_before_says_that_it_is_lost(
    environment: ArenaEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.reset(LEMON, seed=5, episode=1)
    with monkeypatch.context() as patch:
        patch.setattr(ArenaEngine, 'reset', failing('another release'))
        with pytest.raises(SimulatorError, match='another release'):
            environment.reset(LEMON, seed=5, episode=2)
    assert environment.is_scene_lost
    with pytest.raises(SimulatorError, match='no episode'):
        environment.score()
    environment.sim.reset(seed=0)
    environment.reset(LEMON, seed=5, episode=1)
    assert not environment.is_scene_lost and not environment.score().success


def test_missing_meshes_are_named_with_the_command(tmp_path: Path) -> None:
    whole = arena_root()
    for path in (whole / 'bddl_files', whole / 'init_files'):
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / 'assets').mkdir()
    for folder in (whole / 'assets').iterdir():
        if folder.name != 'stable_scanned_objects':
            (tmp_path / 'assets' / folder.name).symlink_to(folder)
    scanned = tmp_path / 'assets' / 'stable_scanned_objects'
    scanned.mkdir()
    for folder in (whole / 'assets' / 'stable_scanned_objects').iterdir():
        if folder.name != 'lemon':
            (scanned / folder.name).symlink_to(folder)
    (scanned / 'lemon').mkdir()
    original = whole / 'assets' / 'stable_scanned_objects' / 'lemon' / 'lemon.xml'
    (scanned / 'lemon' / 'lemon.xml').write_text(original.read_text())
    environment = ArenaEnvironment(ArenaConfig(asset_root=str(tmp_path), goals='none'))
    with pytest.raises(MissingAssetError, match='stable_scanned_objects/lemon/.* lay-out') as info:
        environment.reset(LEMON, seed=0, episode=0)
    assert info.value.code == 502
    environment.close()


def test_oracle_is_a_policy_by_name() -> None:
    assert 'oracle' in POLICIES.names()


def test_settings_come_from_environment_variables() -> None:
    config = ArenaConfig.from_variables(
        {
            'WM_PLANNER_ASSET_ROOT': '/somewhere',
            'WM_PLANNER_ARENA_CAMERA': 'exterior',
            'WM_PLANNER_ARENA_IMAGE_WIDTH': '224',
            'WM_PLANNER_ARENA_HAS_WRIST_CAMERA': 'false',
        }
    )
    assert (config.asset_root, config.camera) == ('/somewhere', 'exterior')
    assert (config.image_width, config.has_wrist_camera) == (224, False)
    with pytest.raises(InvalidParameterError, match='WM_PLANNER_ARENA_IMAGE_WIDTH=big'):
        ArenaConfig.from_variables({'WM_PLANNER_ARENA_IMAGE_WIDTH': 'big'})
    with pytest.raises(InvalidParameterError, match='one of final'):
        ArenaConfig.from_variables({'WM_PLANNER_ARENA_GOALS': 'all'})
