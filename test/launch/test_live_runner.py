# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Episodes over the live graph when something goes wrong: that episode fails, the sweep goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('mujoco', reason='mujoco is not installed')

from std_srvs.srv import Trigger  # noqa: E402

from fakes.waiting import wait_for  # noqa: E402
from wm_planner.core.errors import FaultLatchedError, SecondPublisherError  # noqa: E402
from wm_planner.evaluation.environments import SuiteName  # noqa: E402
from wm_planner.evaluation.runner import EpisodeSpec, EvaluationConfig, RunRequest  # noqa: E402
from wm_planner.evaluation.settings import PlannerChoice  # noqa: E402
from wm_planner.tools.live_graph import GraphConfig, LiveGraph  # noqa: E402
from wm_planner.tools.live_runner import LiveRunner  # noqa: E402
from wm_planner_msgs.msg import PlannerStatus  # noqa: E402

SUITE = SuiteName('tabletop', 'reach')
REQUEST = RunRequest(
    suite=SUITE, choice=PlannerChoice(), config=EvaluationConfig(episodes=3, seed=7), through='ros'
)


@pytest.fixture(scope='module')
def graph() -> Iterator[LiveGraph]:
    with LiveGraph(GraphConfig(arguments={'seed': '7'})) as made:
        made.wait_until_ready()
        yield made


def test_emergency_stop_ends_one_episode_and_the_next_is_run(graph: LiveGraph) -> None:
    runner = LiveRunner(graph, REQUEST)
    node = graph.client.node
    stop = node.create_client(Trigger, '/wm_planner/estop')
    pressed = []

    def press() -> None:
        status = graph.client.status
        if not pressed and status is not None and status.state == PlannerStatus.EXECUTING:
            pressed.append(stop.call_async(Trigger.Request()))

    timer = node.create_timer(0.1, press)
    stopped = runner.run(EpisodeSpec(suite=SUITE, seed=7, episode=0))
    node.destroy_timer(timer)
    assert pressed
    assert (stopped.termination, stopped.success, stopped.error_code) == ('safety_stop', False, 406)
    assert graph.status.state == PlannerStatus.EMERGENCY_STOP, 'it is latched'

    after = runner.run(EpisodeSpec(suite=SUITE, seed=7, episode=1))
    assert (after.termination, after.steps, after.error_code) == ('timeout', 12, 0)


def test_episode_that_cannot_begin_is_a_failure_with_its_reason(graph: LiveGraph) -> None:
    """Another sender is on the target topic when motion is to be allowed."""
    from geometry_msgs.msg import PoseStamped

    runner = LiveRunner(graph, REQUEST)
    node = graph.client.node
    other = node.create_publisher(PoseStamped, '/target_pose', 1)
    wait_for(
        lambda: node.count_publishers('/target_pose') == 2,
        what='two senders of targets',
        poll=graph.client.spin_once,
    )
    record = runner.run(EpisodeSpec(suite=SUITE, seed=7, episode=2))
    node.destroy_publisher(other)

    def is_alone() -> bool:  # as the planner sees it
        try:
            graph.client.enable(True)
        except SecondPublisherError:
            return False
        except FaultLatchedError:
            graph.client.reset()
            return False
        return True

    wait_for(is_alone, what='the other sender is gone', poll=graph.client.spin_once)
    assert (record.termination, record.success, record.error_code) == ('safety_stop', False, 410)
    again = runner.run(EpisodeSpec(suite=SUITE, seed=7, episode=2))
    assert (again.termination, again.steps) == ('timeout', 12), again.message
