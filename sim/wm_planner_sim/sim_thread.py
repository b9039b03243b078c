# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The thread that owns the simulator: physics, rendering, episodes, and nothing of ROS.

Physics does not run in executor callbacks, where a burst of messages would stop time, nor does the
executor run here, where a slow picture would stop services. The bridge node hands requests and
targets in and gets calls of a SimListener out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from concurrent import futures
from concurrent.futures import Future
import logging
import threading
import time
from typing import Any, TypeVar

from wm_planner.core.errors import (
    InvalidParameterError,
    SimulatorError,
    StaleCommandError,
    WmPlannerError,
    as_wm_planner_error,
)
from wm_planner.core.protocols import ChargesTheEnd
from wm_planner.core.types import ArmCommand, EpisodeStart
from wm_planner_sim.bridge_types import (
    BridgeConfig,
    CountsSteps,
    Episode,
    JointState,
    ResetResult,
    SimInfo,
    SimListener,
    SimStatus,
    Simulation,
    SimulationEnvironment,
)
from wm_planner_sim.command_inbox import CommandInbox, ToolTarget
from wm_planner_sim.pacing import Pacer, Schedule

_LOG = logging.getLogger(__name__)
_IDLE_WAIT_S = 0.1
_MAX_STEP_S = 60.0
SAME_CAMERAS: Mapping[str, str] = {'exterior': 'exterior', 'wrist': 'wrist'}
"""Camera of the simulation for each stream, where they have the same names."""
T = TypeVar('T')


class SimThread:
    """Owns the environment from its making to its release.

    ``start``, ``stop`` and the requests may be called from any thread; requests return a Future
    that is completed on this thread, in order, between physics steps. Once the thread has died
    every Future fails with a SimulatorError.
    """

    def __init__(
        self,
        config: BridgeConfig,
        make_environment: Callable[[], SimulationEnvironment],
        inbox: CommandInbox,
        listener: SimListener,
        cameras: Mapping[str, str] = SAME_CAMERAS,
    ) -> None:
        self._cameras = dict(cameras)
        self._config = config
        self._make_environment = make_environment
        self._inbox = inbox
        self._listener = listener
        self._requests: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._changed = threading.Condition()
        self._is_stopping = False
        self._is_counting = True
        self._has_ended = False
        self._started: Future[SimInfo] = Future()
        self._thread = threading.Thread(target=self._run, name='simulation', daemon=True)
        # From here on the simulation thread's alone:
        self._env: SimulationEnvironment
        self._sim: Simulation
        self._schedule: Schedule
        self._last_state_ns = -1
        self._pacer = Pacer(config.realtime_factor)
        self._episode = Episode(suite='', seed=config.seed, number=0, start_ns=0, goal_count=0)
        self._is_paused = False
        self._stale: StaleCommandError | None = None
        self._last_edges: tuple[object, ...] = ()

    # -- any thread ------------------------------------------------------------------------------

    def start(self, timeout_s: float) -> SimInfo:
        """Make the simulator on its thread and let time run; raises what making it raised."""
        self._thread.start()
        try:
            return self._started.result(timeout_s)
        except futures.TimeoutError as error:
            raise SimulatorError(f'the simulator was not ready after {timeout_s:g} s.') from error

    def stop(self, timeout_s: float) -> bool:
        """End the thread and release the simulator; False if it takes longer than ``timeout_s``."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def is_alive(self) -> bool:
        """Return False before the start and after the end, whatever ended it."""
        return self._thread.is_alive()

    def reset_episode(self, suite: str, seed: int, number: int) -> Future[ResetResult]:
        """Start an episode; an empty suite is the home state.

        Fails with UnknownNameError for a suite that does not exist, and nothing has changed then.
        Any other failure leaves things as they were, too, or in the home state.
        """
        return self._submit(lambda: self._reset(suite, seed, number))

    def set_paused(self, is_paused: bool) -> Future[int]:
        """Stop or restart simulated time; the result is that time [ns]."""
        return self._submit(lambda: self._pause(is_paused))

    def end_episode(self) -> Future[int]:
        """End the episode where its environment charges for its end; the result is the time [ns].

        One that is over already stays as it is. Fails with SimulatorError without an episode.
        """
        return self._submit(self._end)

    def set_counting(self, is_counting: bool) -> None:
        """Say whether control steps from now on count, for environments that count them."""
        self._is_counting = is_counting

    def step(self, duration_s: float) -> Future[int]:
        """Advance paused time by ``duration_s``, to the nearest physics step; returns it [ns].

        Fails with SimulatorError if time is not paused or the duration is not in (0, 60].
        """
        return self._submit(lambda: self._step(duration_s))

    def _submit(self, action: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        with self._changed:
            if not self._has_ended and not self._is_stopping:
                self._requests.append((action, future))
                self._changed.notify()
                return future
        future.set_exception(SimulatorError('the simulation has ended; restart the bridge.'))
        return future

    # -- simulation thread -----------------------------------------------------------------------

    def _run(self) -> None:
        failure: WmPlannerError | None = None
        try:
            self._env = self._make_environment()
            try:
                self._loop()
            finally:
                self._env.close()
        except Exception as error:
            if self._started.done():  # before that, start() raises it to whoever waits
                _LOG.exception('the simulation thread died')
            failure = as_wm_planner_error(error)
        with self._changed:
            self._has_ended = True
            pending = list(self._requests)
            self._requests.clear()
        for _, future in pending:
            future.set_exception(failure or SimulatorError('the simulation was stopped.'))
        if not self._started.done():
            self._started.set_exception(failure or SimulatorError('the simulation was stopped.'))
        elif failure is not None:
            self._listener.on_failure(failure)

    def _loop(self) -> None:
        self._sim = self._env.sim
        self._started.set_result(self._prepare())
        while not self._is_stopping:
            self._serve_requests()
            if self._is_paused:
                self._publish_status()
                self._wait(_IDLE_WAIT_S)
            else:
                self._advance_to(self._schedule.next_due)
                self._wait(self._pacer.wait_s(self._sim.time_ns, time.monotonic_ns()))

    def _prepare(self) -> SimInfo:
        config, sim = self._config, self._sim
        sim.reset(seed=config.seed)
        rates = {
            'clock': config.clock_rate_hz,
            'state': config.state_rate_hz,
            'exterior': config.exterior_rate_hz,
            'wrist': config.wrist_rate_hz,
            'status': config.status_rate_hz,
        }
        self._schedule = Schedule(rates, sim.timestep_s)
        sim.render(
            self._cameras['exterior']
        )  # binds the OpenGL context here, or fails before time runs
        self._pacer.restart(sim.time_ns, time.monotonic_ns())
        return SimInfo(
            renderer=sim.renderer,
            timestep_s=sim.timestep_s,
            suites=self._env.suites(),
            intrinsics={stream: sim.intrinsics(name) for stream, name in self._cameras.items()},
        )

    @property
    def _steps(self) -> int:
        return round(self._sim.time_ns / (self._sim.timestep_s * 1e9))

    def _wait(self, duration_s: float) -> None:
        with self._changed:
            if duration_s > 0.0 and not self._requests and not self._is_stopping:
                self._changed.wait(duration_s)

    def _serve_requests(self) -> None:
        while True:
            with self._changed:
                if not self._requests:
                    return
                action, future = self._requests.popleft()
            try:
                future.set_result(action())
            except WmPlannerError as error:
                future.set_exception(error)
            except BaseException as error:
                future.set_exception(as_wm_planner_error(error))
                raise

    def _advance_to(self, step: int) -> None:
        self._apply_commands()
        if isinstance(self._env, CountsSteps):
            self._env.set_counting(self._is_counting)
        self._sim.advance((step - self._steps) * self._sim.timestep_s)
        due = self._schedule.pop_due(step)
        self._listener.on_time(self._sim.time_ns)
        if 'state' in due:
            self._publish_state()
        for stream in due:
            if stream in self._cameras:
                picture = self._sim.render(self._cameras[stream])
                self._listener.on_image(stream, self._sim.time_ns, picture)
        if 'status' in due or 'state' in due:
            self._publish_status(is_due='status' in due)

    def _apply_commands(self) -> None:
        sim = self._sim
        targets = self._inbox.take()
        if targets is not None:
            kept = sim.target
            tool: ToolTarget | ArmCommand = targets.tool or kept
            if targets.joints_rad is not None:
                tool = ToolTarget(*sim.tool_at(targets.joints_rad))
            closedness = (
                kept.gripper_closedness if targets.closedness is None else targets.closedness
            )
            sim.set_target(
                ArmCommand(
                    stamp_ns=sim.time_ns,
                    position_m=tool.position_m,
                    quaternion_xyzw=tool.quaternion_xyzw,
                    gripper_closedness=closedness,
                )
            )
            if self._stale is not None:
                _LOG.info('commands are back')
                self._stale = None
            return
        silence = self._inbox.silence_s(time.monotonic_ns())
        is_stale = silence is not None and silence > self._config.command_timeout_s
        if is_stale and self._stale is None and not self._is_paused:
            sim.hold()
            self._stale = StaleCommandError(
                f'no command for {self._config.command_timeout_s:g} s; the arm holds where it is. '
                'Valid: target_pose at least that often.'
            )
            _LOG.warning('%s', self._stale)

    def _publish_state(self) -> None:
        names, positions, velocities = self._sim.joint_state()
        joints = JointState(names=names, positions=positions, velocities=velocities)
        self._listener.on_state(self._sim.robot_state(), joints)
        self._last_state_ns = self._sim.time_ns

    def _publish_status(self, *, is_due: bool = True) -> None:
        status = self._status()
        edges = status.edges()
        if is_due or edges != self._last_edges:
            self._last_edges = edges
            self._listener.on_status(status)

    def _status(self) -> SimStatus:
        now_ns = time.monotonic_ns()
        inbox = self._inbox.status(now_ns)
        elapsed_ns = self._sim.time_ns - self._episode.start_ns
        has_commands = self._inbox.silence_s(now_ns) is not None
        return SimStatus(
            time_ns=self._sim.time_ns,
            episode=self._episode,
            step=(
                self._env.steps_counted
                if isinstance(self._env, CountsSteps)
                else int(elapsed_ns / 1e9 / self._config.control_step_s + 1e-6)
            ),
            score=self._env.score() if self._episode.suite else None,
            is_holding=self._stale is not None or not has_commands,
            is_paused=self._is_paused,
            error=inbox.refusal or self._stale,
            inbox=inbox,
            realtime_factor=self._pacer.realtime_factor,
            is_slow=self._pacer.is_slow and not self._is_paused,
            lost_s=self._pacer.lost_s,
        )

    # -- requests, on the simulation thread ------------------------------------------------------

    def _reset(self, suite: str, seed: int, number: int) -> ResetResult:
        sim, start = self._sim, None
        if seed < 0:
            raise InvalidParameterError(f'seed is {seed}; valid: >= 0.')
        if suite:
            start = self._start_episode(suite, seed, number)
        else:
            sim.reset(seed=seed)
        return self._begin(suite, seed, number, start)

    def _start_episode(self, suite: str, seed: int, number: int) -> EpisodeStart:
        """Start an episode; whatever that raises is a WmPlannerError that ends nothing.

        A scene that nobody could tell the score of is left for the home state first.
        """
        try:
            start = self._env.reset(suite, seed=seed, episode=number)
        except Exception as error:
            if self._env.is_scene_lost:
                _LOG.warning('%s was not started; the simulation goes home', suite)
                self._sim.reset(seed=self._config.seed)
                self._begin('', self._config.seed, 0, None)
            raise as_wm_planner_error(error) from error
        self._env.begin_goal(len(start.goals) - 1)  # distances are those to the end of the task
        return start

    def _begin(self, suite: str, seed: int, number: int, start: EpisodeStart | None) -> ResetResult:
        sim = self._sim
        sim.hold()
        sim.set_target(
            ArmCommand.hold_at(sim.robot_state())
        )  # hold() would keep the old gripper target
        self._inbox.clear(sim.time_ns)
        self._stale = None
        self._episode = Episode(
            suite=suite,
            seed=seed,
            number=number,
            start_ns=sim.time_ns,
            goal_count=len(start.goals) if start else 0,
        )
        self._schedule.restart(self._steps)
        self._pacer.restart(sim.time_ns, time.monotonic_ns())
        return ResetResult(episode=self._episode, start=start)

    def _end(self) -> int:
        if not self._episode.suite:
            raise SimulatorError('no episode runs; valid: reset_episode before.')
        if isinstance(self._env, ChargesTheEnd) and not self._env.score().is_over:
            self._env.give_up()
            self._publish_status()
        return self._sim.time_ns

    def _pause(self, is_paused: bool) -> int:
        if self._is_paused and not is_paused:
            self._pacer.restart(self._sim.time_ns, time.monotonic_ns())
            self._inbox.touch(time.monotonic_ns())  # senders on simulated time stood still as well
        self._is_paused = is_paused
        return int(self._sim.time_ns)

    def _step(self, duration_s: float) -> int:
        if not self._is_paused:
            raise SimulatorError('the simulation runs; valid: step only while it is paused.')
        if not 0.0 < duration_s <= _MAX_STEP_S:  # NaN fails too
            raise SimulatorError(f'duration_s is {duration_s}; valid: in (0, {_MAX_STEP_S:g}].')
        end = self._steps + max(1, round(duration_s / self._sim.timestep_s))
        while self._steps < end and not self._is_stopping:
            self._advance_to(min(end, self._schedule.next_due))
        if self._last_state_ns != self._sim.time_ns:
            self._publish_state()  # whoever steps wants to see where it got
        return int(self._sim.time_ns)
