# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""PlanningWorker: one thread, mailboxes of one, and a thread that outlives what planners raise."""

from __future__ import annotations

import threading

import pytest

from fakes.clock import ManualClock
from fakes.planners import FakePlanner
from fakes.values import SPEC, a_goal, a_plan, an_observation
from fakes.waiting import wait_for
from wm_planner.control.worker import PlanningWorker, PlanRequest
from wm_planner.core.errors import (
    DeviceMemoryError,
    InvalidGoalError,
    ModelLoadError,
    NoFiniteEnergyError,
    PlannerFailedError,
    PlannerTimeoutError,
)


@pytest.fixture
def make():
    """Return a function that makes started workers, and stop them in the end."""
    workers = []

    def started(planner=None, **arguments):
        worker = PlanningWorker(lambda: planner or FakePlanner(), **arguments)
        workers.append(worker)
        worker.start(30.0)
        return worker

    yield started
    for worker in workers:
        worker.stop(30.0)


def a_request(number=1, goal_id='goal', **fields):
    given = {'deadline_s': None, 'executed_steps': 0, **fields}
    return PlanRequest(
        observation=an_observation(number), goal=a_goal(goal_id), request_id=number, **given
    )


def outcome_of(worker):
    found = []
    wait_for(lambda: found or found.extend(filter(None, [worker.poll()])), what='an outcome')
    return found[0]


def test_factory_and_every_call_run_on_the_planning_thread() -> None:
    planner, made_on = FakePlanner(), []
    prepared = threading.Event()

    def factory():
        made_on.append(threading.current_thread().name)
        return planner

    worker = PlanningWorker(factory)
    info = worker.start(30.0)
    worker.prepare_goal(a_goal(), lambda error: prepared.set())
    assert prepared.wait(30.0)
    worker.reset_planner()
    worker.submit(a_request())
    outcome_of(worker)
    assert worker.stop(30.0)
    assert made_on == ['planning']
    assert planner.threads == {'planning'}
    assert planner.calls == ['prepare goal', 'reset', 'plan goal']
    assert (info.action_spec, info.context_frames, info.goal_tolerance) == (SPEC, 1, 0.5)


def test_start_raises_what_the_factory_raised() -> None:
    def factory():
        raise ModelLoadError('truncated')

    worker = PlanningWorker(factory)
    with pytest.raises(ModelLoadError, match='truncated'):
        worker.start(30.0)
    wait_for(lambda: not worker.is_alive(), what='the end of the thread')


def test_start_gives_up_on_a_factory_that_hangs() -> None:
    gate = threading.Event()
    worker = PlanningWorker(lambda: gate.wait(30.0) and FakePlanner())
    with pytest.raises(PlannerTimeoutError, match='not loaded within 0.05 s'):
        worker.start(0.05)
    gate.set()
    assert worker.stop(30.0)  # it ends instead of serving


def test_answer_belongs_to_its_request(make) -> None:
    worker = make()
    request = a_request(7)
    worker.submit(request)
    outcome = outcome_of(worker)
    assert outcome.request is request
    assert outcome.error is None
    assert outcome.plan.observation_stamp_ns == 7
    assert worker.poll() is None  # taken


def test_request_passes_deadline_and_executed_steps_on(make) -> None:
    planner = FakePlanner()
    worker = make(planner)
    worker.submit(a_request(executed_steps=2))
    outcome_of(worker)
    assert planner.executed_steps == [2]


def test_request_that_was_not_begun_is_replaced(make) -> None:
    planner = FakePlanner()
    planner.gate.clear()
    worker = make(planner)
    worker.submit(a_request(1, 'first'))
    wait_for(lambda: planner.calls == ['plan first'])
    worker.submit(a_request(2, 'second'))
    worker.submit(a_request(3, 'third'))
    planner.gate.set()
    wait_for(lambda: planner.calls == ['plan first', 'plan third'])
    wait_for(lambda: worker.busy_since_ns() is None)
    assert outcome_of(worker).request.request_id == 3  # and it replaced the outcome of the first


def test_goal_is_prepared_before_the_next_plan(make) -> None:
    planner = FakePlanner()
    planner.gate.clear()
    worker = make(planner)
    worker.submit(a_request(1, 'one'))
    wait_for(lambda: planner.calls)
    worker.submit(a_request(2, 'two'))
    worker.prepare_goal(a_goal('new'), lambda error: None)
    planner.gate.set()
    wait_for(lambda: planner.calls == ['plan one', 'prepare new', 'plan two'])


def test_goal_that_is_refused_is_reported(make) -> None:
    planner = FakePlanner()
    refusal = InvalidGoalError('no')

    def refuse(goal):
        raise refusal

    planner.prepare_goal = refuse
    errors = []
    make(planner).prepare_goal(a_goal(), errors.append)
    wait_for(lambda: errors == [refusal])


@pytest.mark.parametrize(
    ('raised', 'expected', 'text'),
    [
        (NoFiniteEnergyError('none'), NoFiniteEnergyError, 'none'),
        (ZeroDivisionError('oh'), PlannerFailedError, 'ZeroDivisionError: oh'),
    ],
)
def test_planner_that_raises_is_an_outcome_and_the_thread_lives_on(
    make, raised, expected, text
) -> None:
    def explode(observation, goal):
        raise raised

    planner = FakePlanner(explode)
    worker = make(planner)
    worker.submit(a_request(1))
    outcome = outcome_of(worker)
    assert type(outcome.error) is expected
    assert text in outcome.error.message
    assert outcome.plan is None
    planner.answer = lambda observation, goal: a_plan()
    worker.submit(a_request(2))
    assert outcome_of(worker).plan is not None


def test_planner_that_returns_no_plan_has_failed(make) -> None:
    worker = make(FakePlanner(lambda observation, goal: 'go left'))
    worker.submit(a_request())
    assert 'returned str; valid: Plan' in outcome_of(worker).error.message


def test_callback_that_raises_does_not_end_the_thread(make) -> None:
    worker = make()
    called = threading.Event()

    def explode(error):
        called.set()
        raise RuntimeError('callback')

    worker.prepare_goal(a_goal(), explode)
    assert called.wait(30.0)
    worker.submit(a_request())
    assert outcome_of(worker).plan is not None


def test_busy_since_is_the_begin_of_the_job_on_the_steady_clock(make) -> None:
    clock, planner = ManualClock(monotonic_ns=42), FakePlanner()
    planner.gate.clear()
    worker = make(planner, monotonic_ns=clock.monotonic_ns)
    assert worker.busy_since_ns() is None
    worker.submit(a_request())
    wait_for(lambda: planner.calls)
    clock.advance(3.0)
    assert worker.busy_since_ns() == 42
    worker.prepare_goal(a_goal(), lambda error: None)
    assert worker.busy_since_ns() == 42  # still that of the plan under way
    planner.gate.set()
    wait_for(lambda: worker.busy_since_ns() is None)
    assert planner.calls == ['plan goal', 'prepare goal']  # idle means nothing is waiting


def test_reset_drops_a_request_that_was_not_begun(make) -> None:
    planner = FakePlanner()
    planner.gate.clear()
    worker = make(planner)
    worker.submit(a_request(1, 'one'))
    wait_for(lambda: planner.calls)
    worker.submit(a_request(2, 'two'))
    worker.reset_planner()
    planner.gate.set()
    prepared = threading.Event()
    worker.prepare_goal(a_goal('sentinel'), lambda error: prepared.set())
    assert prepared.wait(30.0)
    assert planner.calls == ['plan one', 'reset', 'prepare sentinel']


def test_stop_interrupts_a_plan_and_ends_the_thread(make) -> None:
    planner = FakePlanner()
    planner.gate.clear()
    worker = make(planner)
    worker.submit(a_request())
    wait_for(lambda: planner.calls)
    assert worker.stop(30.0)
    assert planner.is_stop_requested
    assert not worker.is_alive()


def test_stop_does_not_wait_longer_than_told(make) -> None:
    class Deaf(FakePlanner):
        def request_stop(self):
            pass

    planner = Deaf()
    planner.gate.clear()
    worker = make(planner)
    worker.submit(a_request())
    wait_for(lambda: planner.calls)
    assert not worker.stop(0.05)
    assert worker.is_alive()
    planner.gate.set()
    assert worker.stop(30.0)


def test_goals_that_were_waiting_at_the_end_are_told(make) -> None:
    planner = FakePlanner()
    planner.gate.clear()
    worker = make(planner)
    worker.submit(a_request())
    wait_for(lambda: planner.calls)
    errors = []
    worker.prepare_goal(a_goal(), errors.append)
    worker.stop(30.0)
    worker.prepare_goal(a_goal(), errors.append)
    assert [type(error) for error in errors] == [PlannerFailedError] * 2
    assert 'stopped' in errors[0].message


def test_stop_before_start_is_harmless() -> None:
    assert PlanningWorker(FakePlanner).stop(1.0)


# a thread that is lost ----------------------------------------------------------------------------


class Casualties:
    """Makes planners; what ``doom`` says happens to the first one."""

    def __init__(self, doom) -> None:
        self.planners: list[FakePlanner] = []
        self._doom = doom

    def __call__(self) -> FakePlanner:
        self.planners.append(FakePlanner(self._doom if not self.planners else None))
        return self.planners[-1]


def _die(observation, goal):
    raise SystemExit(1)  # no Exception: nothing that a planner may raise


@pytest.mark.filterwarnings('ignore::pytest.PytestUnhandledThreadExceptionWarning')
def test_revived_worker_has_a_new_planner_when_the_thread_died() -> None:
    factory = Casualties(_die)
    worker = PlanningWorker(factory)
    worker.start(30.0)
    try:
        worker.submit(a_request(1))
        wait_for(lambda: not worker.is_alive(), what='the end of the thread')
        answers = []
        worker.prepare_goal(a_goal(), answers.append)
        assert isinstance(answers[0], PlannerFailedError)
        worker.revive()
        worker.submit(a_request(2))
        assert outcome_of(worker).plan is not None
        assert len(factory.planners) == 2
    finally:
        assert worker.stop(30.0)


def test_revived_worker_does_not_wait_for_a_thread_that_hangs() -> None:
    may_end = threading.Event()

    def hang(observation, goal):
        assert may_end.wait(30.0)
        return a_plan(goal_id='from the dead')

    factory = Casualties(hang)
    worker = PlanningWorker(factory)
    worker.start(30.0)
    try:
        worker.submit(a_request(1))
        wait_for(lambda: 'plan goal' in factory.planners[0].calls, what='the plan begun')
        answers = []
        worker.prepare_goal(a_goal('waits'), answers.append)
        worker.revive()
        assert isinstance(answers[0], PlannerFailedError), 'nobody would have encoded it'
        may_end.set()
        worker.submit(a_request(2))
        assert outcome_of(worker).request.request_id == 2
        assert worker.poll() is None, 'what the old thread returned is not looked at'
    finally:
        may_end.set()
        assert worker.stop(30.0)


@pytest.mark.filterwarnings('ignore::pytest.PytestUnhandledThreadExceptionWarning')
def test_worker_says_why_the_planner_could_not_be_made_again() -> None:
    planners = [FakePlanner(_die)]

    def factory():
        if not planners:
            raise ModelLoadError('gone.')
        return planners.pop()

    worker = PlanningWorker(factory)
    worker.start(30.0)
    worker.submit(a_request(1))
    wait_for(lambda: not worker.is_alive(), what='the end of the thread')
    worker.revive()
    wait_for(lambda: not worker.is_alive(), what='the end of the second thread')
    assert isinstance(worker.start_error, ModelLoadError)
    assert worker.busy_since_ns() is None


@pytest.mark.filterwarnings('ignore::pytest.PytestUnhandledThreadExceptionWarning')
def test_goals_that_wait_for_a_planner_that_cannot_be_made_again_are_told() -> None:
    """They were never answered."""
    planners, may_fail = [FakePlanner(_die)], threading.Event()

    def factory():
        if planners:
            return planners.pop()
        assert may_fail.wait(30.0)
        raise ModelLoadError('gone.')

    worker = PlanningWorker(factory)
    worker.start(30.0)
    worker.submit(a_request(1))
    wait_for(lambda: not worker.is_alive(), what='the end of the thread')
    worker.revive()
    answers = []
    worker.prepare_goal(a_goal(), answers.append)
    worker.when_idle(lambda planner: iter(()), answers.append)
    assert answers == []
    may_fail.set()
    wait_for(lambda: len(answers) == 2, what='both answers')
    assert all(isinstance(answer, PlannerFailedError) for answer in answers)


def test_factory_that_ends_the_thread_is_no_reason_to_wait() -> None:
    def factory():
        raise SystemExit('no device')

    worker = PlanningWorker(factory)
    with pytest.raises(PlannerFailedError, match='SystemExit: no device'):
        worker.start(600.0)  # PlannerTimeoutError after that


@pytest.mark.parametrize('name', ['MemoryError', 'OutOfMemoryError'])
def test_memory_that_runs_out_has_a_number_of_its_own(make, name) -> None:
    error = type(name, (RuntimeError,), {})

    def answer(observation, goal):
        raise error('3 GiB')

    worker = make(FakePlanner(answer))
    worker.submit(a_request())
    found = outcome_of(worker).error
    assert isinstance(found, DeviceMemoryError) and '3 GiB' in found.message


# -- work for when there is nothing else to do -----------------------------------------------------


def test_idle_work_runs_bit_by_bit_and_a_plan_waits_for_one_bit_at_most(make) -> None:
    planner = FakePlanner()
    worker = make(planner)
    is_in_bit, go_on = threading.Semaphore(0), threading.Semaphore(0)
    bits, done = [], threading.Event()

    def work(given):
        assert given is planner
        for number in range(4):
            is_in_bit.release()
            assert go_on.acquire(timeout=30.0)
            bits.append((number, list(planner.calls)))
            yield

    worker.when_idle(work, lambda error: done.set())
    assert is_in_bit.acquire(timeout=30.0)
    worker.submit(a_request())  # comes while the first bit is under way
    go_on.release()
    outcome_of(worker)
    assert [number for number, _ in bits] == [0]  # the plan did not wait for the other three
    for _ in range(3):
        go_on.release()
    assert done.wait(30.0)
    assert bits[1] == (1, ['plan goal'])
    assert worker.busy_since_ns() is None


def test_idle_work_that_raises_is_told_and_the_thread_lives_on(make) -> None:
    worker = make()
    errors = []
    told = threading.Event()

    def work(planner):
        raise NoFiniteEnergyError('nothing')
        yield

    worker.when_idle(work, lambda error: (errors.append(error), told.set()))
    assert told.wait(30.0)
    assert isinstance(errors[0], NoFiniteEnergyError)
    worker.submit(a_request())
    assert outcome_of(worker).plan is not None


def test_idle_work_left_over_is_told_that_the_thread_has_stopped(make) -> None:
    worker = make()
    errors, is_begun, go_on = [], threading.Event(), threading.Event()

    def work(planner):
        is_begun.set()
        assert go_on.wait(30.0)
        yield
        yield

    worker.when_idle(work, errors.append)
    worker.when_idle(work, errors.append)
    assert is_begun.wait(30.0)
    stopper = threading.Thread(target=worker.stop, args=(30.0,))
    stopper.start()
    go_on.set()
    stopper.join(30.0)
    assert len(errors) == 2 and all('has stopped' in str(error) for error in errors)
    worker.when_idle(work, errors.append)
    assert len(errors) == 3


class _Listener(FakePlanner):
    """A planner that takes instructions."""

    def set_instruction(self, text: str) -> None:
        self._note(f'set_instruction {text}')


def test_task_begins_anew_before_its_first_plan_and_only_for_planners_that_listen(make) -> None:
    planner = _Listener()
    worker = make(planner)
    worker.begin_task('pick the lemon')
    worker.submit(a_request(1))
    assert outcome_of(worker).error is None
    worker.submit(a_request(2))
    assert outcome_of(worker).error is None
    assert planner.calls == [
        'reset',
        'set_instruction pick the lemon',
        'plan goal',
        'plan goal',
    ]

    deaf = FakePlanner()
    worker = make(deaf)
    worker.begin_task('pick the lemon')
    worker.submit(a_request(1))
    assert outcome_of(worker).error is None
    assert deaf.calls == ['plan goal']
