# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""SimThread against a scripted simulator: order of calls, pause, step, reset, silence and death."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import threading
import time
from typing import Any

import numpy as np
import pytest

from wm_planner.core.errors import (
    InvalidParameterError,
    MissingAssetError,
    SimulatorError,
    StaleCommandError,
    UnknownError,
    UnknownNameError,
    WmPlannerError,
)
from wm_planner.core.types import ArmCommand, EpisodeStart, Goal, Observation, RobotState
from wm_planner_sim.bridge_types import BridgeConfig, JointState, SimStatus
from wm_planner_sim.command_inbox import CommandInbox
from wm_planner_sim.sim_thread import SimThread
from wm_planner_sim.suites import EpisodeScore
from wm_planner_sim.tabletop import CameraIntrinsics

BASE = 'panda_link0'
DOWN = (1.0, 0.0, 0.0, 0.0)
MS = 1_000_000
PICTURE = np.zeros((16, 16, 3), np.uint8)


class ScriptedSim:
    """Time and targets like TabletopSim's; the tool is wherever the target is."""

    timestep_s = 0.004
    cameras = ('exterior', 'wrist')
    renderer = 'none'

    def __init__(self) -> None:
        self.steps = 0
        self.holds = 0
        self.thread: int | None = None
        self.fail_next: Exception | None = None
        self.target = self.at(0.5)

    def at(self, x: float, closedness: float = 0.0) -> ArmCommand:
        return ArmCommand(
            stamp_ns=self.time_ns,
            position_m=np.array([x, 0.0, 0.3]),
            quaternion_xyzw=np.array(DOWN),
            gripper_closedness=closedness,
        )

    @property
    def time_ns(self) -> int:
        return self.steps * 4 * MS

    def advance(self, duration_s: float) -> None:
        assert threading.get_ident() == self.thread
        if self.fail_next is not None:
            raise self.fail_next
        self.steps += round(duration_s / self.timestep_s)

    def set_target(self, command: ArmCommand) -> None:
        self.target = command

    def hold(self) -> None:
        self.holds += 1

    def robot_state(self) -> RobotState:
        return RobotState(
            stamp_ns=self.time_ns,
            position_m=self.target.position_m,
            quaternion_xyzw=self.target.quaternion_xyzw,
            gripper_closedness=0.0,
        )

    def tool_at(self, joints_rad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.asarray(joints_rad[:3]), np.array([1.0, 0.0, 0.0, 0.0])

    def joint_state(self) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
        return ('joint',), np.zeros(1), np.zeros(1)

    def reset(self, *, seed: int) -> None:
        self.thread = threading.get_ident()
        self.target = self.at(0.4)

    def render(self, camera: str) -> np.ndarray:
        return PICTURE

    def intrinsics(self, camera: str) -> CameraIntrinsics:
        return CameraIntrinsics(width=16, height=16, fx=1.0, fy=1.0, cx=7.5, cy=7.5)


class ScriptedEnvironment:
    """One suite, ``reach``; its reset takes 2 s of simulated time, as an expert's would."""

    def __init__(self) -> None:
        self.sim = ScriptedSim()
        self.is_closed = False
        self.is_scene_lost = False
        self.goal_index = 0
        self.fail_reset: Exception | None = None

    def suites(self) -> tuple[str, ...]:
        return ('reach',)

    def reset(self, suite: str, *, seed: int, episode: int) -> EpisodeStart:
        if suite != 'reach':
            raise UnknownNameError.among('suite', suite, self.suites())
        self.is_scene_lost = self.fail_reset is not None
        if self.fail_reset is not None:
            self.sim.advance(1.0)
            raise self.fail_reset
        self.sim.advance(2.0)
        self.sim.target = self.sim.at(0.6)
        state = self.sim.robot_state()
        return EpisodeStart(
            episode_id='e',
            observation=Observation(images=PICTURE[None], image_stamps_ns=(0,), states=(state,)),
            goals=(Goal(goal_id='a', image=PICTURE), Goal(goal_id='b', image=PICTURE)),
            steps_per_goal=(3, 4),
        )

    def begin_goal(self, index: int) -> None:
        self.goal_index = index

    def score(self) -> EpisodeScore:
        if self.is_scene_lost:
            raise SimulatorError('no episode has been started; call reset first.')
        return EpisodeScore(
            success=False,
            distance_m=0.1,
            tool_distance_m=0.1,
            goal_index=self.goal_index,
            goal_count=2,
        )

    def close(self) -> None:
        self.is_closed = True


class Recorder:
    """A SimListener that keeps everything and can be waited on."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int]] = []
        self.statuses: list[SimStatus] = []
        self.failure: WmPlannerError | None = None
        self._changed = threading.Condition()

    def on_time(self, time_ns: int) -> None:
        self._add('time', time_ns)

    def on_state(self, state: RobotState, joints: JointState) -> None:
        self._add('state', state.stamp_ns)

    def on_image(self, camera: str, stamp_ns: int, image: np.ndarray) -> None:
        self._add(camera, stamp_ns)

    def on_status(self, status: SimStatus) -> None:
        with self._changed:
            self.statuses.append(status)
        self._add('status', status.time_ns)

    def on_failure(self, error: WmPlannerError) -> None:
        self.failure = error
        self._add('failure', 0)

    def stamps(self, name: str) -> list[int]:
        with self._changed:
            return [stamp for kind, stamp in self.events if kind == name]

    def wait_for(self, predicate: Callable[[], Any], timeout_s: float = 20.0) -> None:
        with self._changed:
            assert self._changed.wait_for(predicate, timeout_s)

    def _add(self, name: str, stamp_ns: int) -> None:
        with self._changed:
            self.events.append((name, stamp_ns))
            self._changed.notify_all()


class Bench:
    """A running SimThread and what it is connected to."""

    def __init__(self, **config: Any) -> None:
        self.env = ScriptedEnvironment()
        self.listener = Recorder()
        self.inbox = CommandInbox(BASE)
        self.thread = SimThread(
            BridgeConfig(**{'realtime_factor': 0.0, **config}),
            lambda: self.env,
            self.inbox,
            self.listener,  # type: ignore[arg-type,return-value]
        )

    def pause(self) -> int:
        return self.thread.set_paused(True).result(20)

    def send(self, x: float, stamp_ns: int = 0) -> None:
        error = self.inbox.offer_tool(
            BASE, stamp_ns, (x, 0.0, 0.3), DOWN, now_ns=time.monotonic_ns()
        )
        assert error is None


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    made.thread.start(20)
    yield made
    assert made.thread.stop(20)
    assert made.env.is_closed


def test_streams_have_exact_rates_and_time_comes_first(bench: Bench) -> None:
    bench.listener.wait_for(
        lambda: bench.listener.events[-1][1] >= 2000 * MS if bench.listener.events else False
    )
    bench.pause()
    assert set(np.diff(bench.listener.stamps('state'))) == {20 * MS}
    assert set(np.diff(bench.listener.stamps('exterior'))) == {100 * MS}
    assert set(np.diff(bench.listener.stamps('wrist'))) == {500 * MS}
    assert max(np.diff(bench.listener.stamps('time'))) == 8 * MS
    newest = 0
    for name, stamp in bench.listener.events:
        newest = max(newest, stamp) if name == 'time' else newest
        assert stamp <= newest, f'{name} at {stamp} before its time'


def test_step_is_exact_and_only_for_a_paused_simulation(bench: Bench) -> None:
    with pytest.raises(SimulatorError, match='only while it is paused'):
        bench.thread.step(0.1).result(20)
    before = bench.pause()
    assert bench.thread.step(0.1).result(20) == before + 100 * MS
    assert bench.thread.step(0.004).result(20) == before + 104 * MS
    assert bench.listener.stamps('state')[-1] == before + 104 * MS
    assert bench.env.sim.time_ns == before + 104 * MS
    for bad in (0.0, -1.0, 60.1, float('nan'), float('inf')):
        with pytest.raises(SimulatorError, match='valid: in'):
            bench.thread.step(bad).result(20)
    assert bench.env.sim.time_ns == before + 104 * MS
    assert bench.thread.set_paused(False).result(20) == before + 104 * MS
    bench.listener.wait_for(lambda: bench.env.sim.time_ns > before + 200 * MS)


def test_paused_simulation_still_gives_status(bench: Bench) -> None:
    bench.pause()
    count = len(bench.listener.stamps('status'))
    bench.listener.wait_for(
        lambda: len([e for e in bench.listener.events if e[0] == 'status']) >= count + 3
    )
    assert bench.listener.statuses[-1].is_paused


def test_target_reaches_the_servo_and_a_partial_one_keeps_the_rest(bench: Bench) -> None:
    bench.pause()
    bench.send(0.55)
    bench.inbox.offer_gripper([0.75], now_ns=time.monotonic_ns())
    bench.thread.step(0.02).result(20)
    target = bench.env.sim.target
    assert (target.position_m[0], target.gripper_closedness) == (0.55, 0.75)
    bench.send(0.45)
    bench.thread.step(0.02).result(20)
    target = bench.env.sim.target
    assert (target.position_m[0], target.gripper_closedness) == (0.45, 0.75)


def test_silence_holds_and_says_so_but_only_after_a_first_command() -> None:
    bench = Bench(command_timeout_s=0.05)
    bench.thread.start(20)
    listener = bench.listener
    listener.wait_for(lambda: len(listener.statuses) > 20)
    assert bench.env.sim.holds == 0
    assert listener.statuses[-1].error is None
    assert listener.statuses[-1].is_holding
    bench.send(0.55)
    listener.wait_for(lambda: not listener.statuses[-1].is_holding)
    listener.wait_for(lambda: isinstance(listener.statuses[-1].error, StaleCommandError))
    assert listener.statuses[-1].is_holding
    assert bench.env.sim.holds == 1
    bench.send(0.56)
    listener.wait_for(lambda: listener.statuses[-1].error is None)
    assert not listener.statuses[-1].is_holding
    assert bench.thread.stop(20)


def test_reset_clears_targets_and_starts_the_episode(bench: Bench) -> None:
    before = bench.pause()
    bench.send(0.1)
    bench.inbox.offer_gripper([1.0], now_ns=time.monotonic_ns())
    result = bench.thread.reset_episode('reach', 7, 3).result(20)
    assert result.start is not None and len(result.start.goals) == 2
    assert (result.episode.suite, result.episode.seed, result.episode.number) == ('reach', 7, 3)
    assert result.episode.start_ns == before + 2000 * MS
    bench.send(0.2, stamp_ns=result.episode.start_ns)  # still on its way when the reset happened
    bench.thread.step(0.3).result(20)
    assert bench.env.sim.target.position_m[0] == 0.6
    assert bench.env.sim.target.gripper_closedness == 0.0
    status = bench.listener.statuses[-1]
    assert (status.episode.goal_count, status.step, status.is_holding) == (2, 1, True)
    assert status.score is not None and status.score.goal_index == 1
    assert status.inbox.ignored == 1
    home = bench.thread.reset_episode('', 7, 0).result(20)
    assert home.start is None
    bench.thread.step(0.1).result(20)
    assert bench.listener.statuses[-1].score is None


def test_unknown_suite_and_negative_seed_change_nothing(bench: Bench) -> None:
    before = bench.pause()
    with pytest.raises(UnknownNameError, match='Valid: reach'):
        bench.thread.reset_episode('raech', 0, 0).result(20)
    with pytest.raises(InvalidParameterError, match='seed is -1'):
        bench.thread.reset_episode('reach', -1, 0).result(20)
    assert bench.env.sim.time_ns == before
    assert bench.thread.is_alive()


@pytest.mark.parametrize(
    ('failure', 'kind', 'words'),
    [
        (SimulatorError('the goal file is broken'), SimulatorError, 'goal file'),
        (KeyError('obj_of_interest'), UnknownError, 'obj_of_interest'),
    ],
)
def test_reset_that_fails_half_way_goes_home_and_the_next_one_works(
    bench: Bench, failure: Exception, kind: type[WmPlannerError], words: str
) -> None:
    bench.pause()
    assert bench.thread.reset_episode('reach', 7, 3).result(20).start is not None
    bench.env.fail_reset = failure
    with pytest.raises(kind, match=words):
        bench.thread.reset_episode('reach', 7, 4).result(20)
    bench.thread.step(0.1).result(20)
    status = bench.listener.statuses[-1]
    assert (status.episode.suite, status.score) == ('', None)
    assert bench.env.sim.target.position_m[0] == 0.4
    bench.env.fail_reset = None
    assert bench.thread.reset_episode('reach', 7, 4).result(20).start is not None
    bench.thread.step(0.1).result(20)
    assert bench.listener.statuses[-1].score is not None
    assert bench.thread.is_alive()


def test_death_is_reported_and_later_requests_fail() -> None:
    bench = Bench()
    bench.thread.start(20)
    bench.env.sim.fail_next = ZeroDivisionError('inside physics')
    bench.listener.wait_for(lambda: bench.listener.failure is not None)
    assert isinstance(bench.listener.failure, UnknownError)
    assert 'inside physics' in bench.listener.failure.message
    with pytest.raises(SimulatorError, match='has ended'):
        bench.thread.step(0.1).result(20)
    assert bench.thread.stop(20)
    assert bench.env.is_closed


def test_request_that_kills_the_thread_fails_with_its_cause(bench: Bench) -> None:
    bench.pause()
    bench.env.sim.fail_next = ZeroDivisionError('inside physics')
    with pytest.raises(UnknownError, match='inside physics'):
        bench.thread.step(0.1).result(20)
    bench.listener.wait_for(lambda: bench.listener.failure is not None)


def test_simulator_that_cannot_be_made_is_raised_by_start() -> None:
    def make() -> Any:
        raise MissingAssetError('no model; run: pip install it')

    thread = SimThread(BridgeConfig(), make, CommandInbox(BASE), Recorder())
    with pytest.raises(MissingAssetError, match='pip install'):
        thread.start(20)
    assert thread.stop(20)


def test_real_time_is_kept() -> None:
    """Three tenths of a simulated second take at least that long."""
    bench = Bench(realtime_factor=1.0)
    bench.thread.start(20)
    begin, sim_begin = time.monotonic_ns(), bench.env.sim.time_ns
    bench.listener.wait_for(lambda: bench.env.sim.time_ns >= sim_begin + 300 * MS)
    assert time.monotonic_ns() - begin >= 280 * MS
    assert bench.thread.stop(20)
