# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""How nodes run and stop: signals, exit codes, the order of stopping, exceptions in callbacks."""

from __future__ import annotations

from collections.abc import Iterator
import os
import signal
import threading
from typing import Any

import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')

from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.task import Future  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from fakes.node_process import NodeProcess  # noqa: E402
from fakes.waiting import wait_for  # noqa: E402
from wm_planner.core.errors import InvalidParameterError, WmPlannerError  # noqa: E402
from wm_planner.core.protocols import Clock  # noqa: E402
from wm_planner.ros import spinning  # noqa: E402
from wm_planner.ros.clock import RosClock  # noqa: E402
from wm_planner.ros.spinning import CallbackGuard, awaitable, spin, stop_on_signals  # noqa: E402
from wm_planner_msgs.srv import SetGoalImage  # noqa: E402


@pytest.fixture
def node() -> Iterator[Any]:
    context = rclpy.Context()
    rclpy.init(context=context)
    found = rclpy.create_node('subject', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(found)
    yield found
    executor.shutdown()
    found.destroy_node()
    rclpy.try_shutdown(context=context)


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def error(self, line: str) -> None:
        self.lines.append(line)


# signals ------------------------------------------------------------------------------------------


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_sets_the_event_and_the_former_handler_comes_back(number: int) -> None:
    former = signal.getsignal(number)
    with stop_on_signals() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        wait_for(stop.is_set, what='the event')
    assert signal.getsignal(number) == former


# the loop -----------------------------------------------------------------------------------------


def test_loop_goes_on_when_a_callback_raises(node: Any) -> None:
    log, calls = Log(), []

    def callback() -> None:
        calls.append(1)
        raise RuntimeError('boom')

    node.create_timer(0.001, callback)
    assert spin(node.executor, lambda: len(calls) >= 5, log) == spinning.EXIT_OK
    assert len(calls) >= 5
    assert '[901] RuntimeError: boom' in log.lines[0]


def test_loop_ends_with_1_when_nothing_but_exceptions_come(node: Any) -> None:
    class Broken:
        def spin_once(self, timeout_sec: float) -> None:
            raise RuntimeError('wait set')

    assert spin(Broken(), lambda: False, Log()) == spinning.EXIT_FAILED  # type: ignore[arg-type]


def test_loop_ends_with_1_when_the_context_is_shut_down(node: Any) -> None:
    node.create_timer(0.001, lambda: rclpy.try_shutdown(context=node.context))
    assert spin(node.executor, lambda: False, Log()) == spinning.EXIT_FAILED


def test_awaiting_coroutine_goes_on_when_another_thread_sets_the_result(node: Any) -> None:
    """Nothing else wakes the executor here: without a push it would sleep for the whole second."""
    found: list[Any] = []

    async def wait(setter: list[Any], future: Future) -> None:
        found.append(await future)

    future, set_result = awaitable(node)
    task = node.executor.create_task(wait, [], future)
    node.executor.spin_once(timeout_sec=0)
    thread = threading.Timer(0.05, set_result, args=('answer',))
    thread.start()
    wait_for(task.done, what='it', poll=lambda: node.executor.spin_once(timeout_sec=1.0))
    thread.join()
    assert found == ['answer']


def test_result_is_dropped_when_the_executor_has_ended(node: Any) -> None:
    _, set_result = awaitable(node)
    node.executor.shutdown()
    set_result('late')


def test_clock_of_a_node_is_a_clock(node: Any) -> None:
    clock = RosClock(node)
    assert isinstance(clock, Clock)
    assert clock.now_ns() > 10**18, 'system time without use_sim_time'
    first = clock.monotonic_ns()
    assert clock.monotonic_ns() >= first


# callbacks ----------------------------------------------------------------------------------------


def test_guard_keeps_exceptions_in_counts_and_times_them() -> None:
    lines: list[str] = []
    done: list[tuple[str, float, WmPlannerError | None]] = []
    guard = CallbackGuard(lines.append, lambda *args: done.append(args))

    def callback(message: int) -> int:
        if message < 0:
            raise InvalidParameterError(f'message is {message}; valid: >= 0.')
        return message

    guarded = guard.wrap('input', callback)
    assert guarded(5) == 5
    assert guarded(-1) is None
    assert guard.error_count == 1
    assert lines == ['input: [104] message is -1; valid: >= 0.']
    assert [name for name, _, _ in done] == ['input', 'input']
    assert all(seconds >= 0.0 for _, seconds, _ in done)
    assert done[0][2] is None and isinstance(done[1][2], InvalidParameterError)


def test_guard_logs_a_lasting_error_once_and_another_kind_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = [100.0]
    monkeypatch.setattr(spinning.time, 'monotonic', lambda: now_s[0])
    lines: list[str] = []
    guard = CallbackGuard(lines.append)
    errors = iter([KeyError('a'), KeyError('b'), InvalidParameterError('c'), KeyError('d')])

    def callback() -> None:
        raise next(errors)

    guarded = guard.wrap('x', callback)
    for _ in range(3):
        guarded()
    assert lines == ["x: [901] KeyError: 'a'", 'x: [104] c']
    now_s[0] += 6.0
    guarded()
    assert lines[2:] == ["x: [901] KeyError: 'd'"]
    assert guard.error_count == 4


def test_guard_answers_a_service_with_the_error() -> None:
    guard = CallbackGuard(lambda line: None)

    def callback(request: Any, response: Any) -> Any:
        raise InvalidParameterError('no; valid: yes.')

    response = guard.wrap_service('s', callback)(None, SetGoalImage.Response(success=True))
    assert (response.success, response.error_code) == (False, 104)
    assert response.message == 'no; valid: yes.'
    response = guard.wrap_service('s', callback)(None, Trigger.Response(success=True))
    assert (response.success, response.message) == (False, '[104] no; valid: yes.')


def test_guard_answers_a_waiting_service_with_the_error() -> None:
    guard = CallbackGuard(lambda line: None)

    async def callback(request: Any, response: Any) -> Any:
        raise InvalidParameterError('no')

    coroutine = guard.wrap_service('s', callback)(None, SetGoalImage.Response(success=True))
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(None)
    assert stopped.value.value.error_code == 104


# whole processes ----------------------------------------------------------------------------------

PRELUDE = """
import sys, threading, types
import rclpy
from rclpy.node import Node
from std_msgs.msg import String
from wm_planner.core.errors import InvalidParameterError, ModelLoadError
from wm_planner.ros.spinning import run_node

class Subject(Node):
    def __init__(self):
        super().__init__('subject')
        self.publisher = self.create_publisher(String, '/last', 1)
        print('spinning', flush=True)
    def close(self):
        self.publisher.publish(String(data='hold'))
        print('closed with a valid context:', self.context.ok(), flush=True)
        return IS_CLOSED

IS_CLOSED = True
module = types.ModuleType('subject_module')
module.main = lambda: run_node(Subject)
sys.modules['subject_module'] = module
"""


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_node_closes_with_a_valid_context_and_exits_0_when_told_to_stop(number: int) -> None:
    """With rclpy's own handlers a last hold command could not be published any more."""
    with NodeProcess('subject_module', 'subject', prelude=PRELUDE) as process:
        process.wait_for_output('spinning')
        assert process.stop(number) == 0
        assert 'closed with a valid context: True' in process.output


def test_process_ends_when_a_thread_of_the_node_does_not() -> None:
    """A thread inside native code cannot be unwound; Python would wait for it at the end."""
    prelude = (
        PRELUDE
        + """
IS_CLOSED = False
threading.Thread(target=threading.Event().wait).start()
"""
    )
    with NodeProcess('subject_module', 'subject', prelude=prelude) as process:
        process.wait_for_output('spinning')
        assert process.stop() == 0


@pytest.mark.parametrize(
    ('error', 'code'), [("InvalidParameterError('bad')", 2), ("ModelLoadError('bad')", 1)]
)
def test_process_says_why_and_exits_when_the_node_cannot_be_made(error: str, code: int) -> None:
    prelude = (
        PRELUDE
        + f"""
def fail():
    raise {error}
module.main = lambda: run_node(fail)
"""
    )
    with NodeProcess('subject_module', 'subject', prelude=prelude) as process:
        assert process.wait() == code
        assert 'error: [' in process.output and 'bad' in process.output
        assert 'Traceback' not in process.output


def test_process_exits_2_when_the_parameter_file_is_malformed(tmp_path: Any) -> None:
    file = tmp_path / 'broken.yaml'
    file.write_text('subject:\n  ros__parameters: {x: [1, a}\n')
    prelude = (
        PRELUDE
        + f"""
sys.argv += ['--params-file', {str(file)!r}]
"""
    )
    with NodeProcess('subject_module', 'subject', prelude=prelude) as process:
        assert process.wait() == 2
        assert 'error: [100] arguments: ' in process.output
