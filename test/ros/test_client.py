# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""PlannerClient where things go wrong: missing nodes, refusals, lost connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import math
from typing import Any

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')

from geometry_msgs.msg import Pose  # noqa: E402
from std_srvs.srv import SetBool  # noqa: E402

from fakes.loopback_robot import Spinner  # noqa: E402
from fakes.planner_harness import QUICK, PlannerHarness  # noqa: E402
from wm_planner.core.errors import (  # noqa: E402
    EmergencyStopError,
    NoDataError,
    PlannerTimeoutError,
    SafetyError,
    SimulatorError,
    UnknownNameError,
)
from wm_planner.core.types import Goal  # noqa: E402
from wm_planner.ros import qos  # noqa: E402
from wm_planner.ros.client import PlannerClient  # noqa: E402
from wm_planner.ros.conversions import image_to_message  # noqa: E402
from wm_planner_msgs.msg import PlannerStatus  # noqa: E402
from wm_planner_msgs.srv import ResetEpisode, StepSimulation  # noqa: E402

PICTURE = np.full((32, 32, 3), 7, np.uint8)


@pytest.fixture
def client() -> Iterator[PlannerClient]:
    with PlannerClient(timeout_s=0.3) as found:
        yield found


PLANNER_CALLS: dict[str, Callable[[PlannerClient], Any]] = {
    'wait_until_active': lambda c: c.wait_until_active(0.2),
    'wait_for_data': lambda c: c.wait_for_data(0.2),
    'set_goal_image': lambda c: c.set_goal_image(PICTURE),
    'capture_goal': lambda c: c.capture_goal('x'),
    'enable': lambda c: c.enable(),
    'hold': lambda c: c.hold(),
    'emergency_stop': lambda c: c.emergency_stop(),
    'reset': lambda c: c.reset(),
    'reach_goal': lambda c: c.reach_goal([Goal(goal_id='g', image=PICTURE)]),
}
BRIDGE_CALLS: dict[str, Callable[[PlannerClient], Any]] = {
    'reset_episode': lambda c: c.reset_episode('reach', seed=1, episode=0),
    'pause': lambda c: c.pause(True),
    'step': lambda c: c.step(0.1),
}


@pytest.mark.parametrize('name', PLANNER_CALLS)
def test_call_says_which_node_is_missing_and_how_to_start_it(
    client: PlannerClient, name: str
) -> None:
    with pytest.raises(PlannerTimeoutError) as caught:
        PLANNER_CALLS[name](client)
    assert 'node /wm_planner was not found' in str(caught.value)
    assert 'ros2 run wm_planner planner_node' in str(caught.value)


@pytest.mark.parametrize('name', BRIDGE_CALLS)
def test_call_says_that_the_bridge_is_missing(client: PlannerClient, name: str) -> None:
    with pytest.raises(SimulatorError) as caught:
        BRIDGE_CALLS[name](client)
    assert 'node /sim_bridge was not found' in str(caught.value)
    assert '`wm_planner up sim`' in str(caught.value)


def test_client_may_be_closed_twice_and_made_again() -> None:
    for _ in range(2):
        client = PlannerClient()
        client.close()
        client.close()


class Stub:
    """A planner and a bridge that answer what a test puts into ``answers``."""

    def __init__(self, context: Any) -> None:
        self.node = rclpy.create_node('stub', context=context)
        self.status = self.node.create_publisher(PlannerStatus, '/wm_planner/status', qos.STATUS)
        self.requests: list[Any] = []
        self.answers: dict[str, Any] = {}
        for kind, name in (
            (ResetEpisode, '/sim_bridge/reset_episode'),
            (StepSimulation, '/sim_bridge/step'),
            (SetBool, '/wm_planner/enable'),
        ):
            self.node.create_service(kind, name, self._answer(name))

    def _answer(self, name: str) -> Callable[[Any, Any], Any]:
        def answer(request: Any, response: Any) -> Any:
            self.requests.append(request)
            return self.answers[name]

        return answer


@pytest.fixture
def stub() -> Iterator[Stub]:
    context = rclpy.Context()
    rclpy.init(context=context)
    found = Stub(context)
    spinner = Spinner(context, found.node)
    yield found
    spinner.stop()
    found.node.destroy_node()
    rclpy.try_shutdown(context=context)


@pytest.fixture
def patient() -> Iterator[PlannerClient]:
    with PlannerClient(timeout_s=20.0) as found:
        yield found


def test_episode_comes_back_as_goals(patient: PlannerClient, stub: Stub) -> None:
    poses = [Pose(), Pose()]
    poses[1].position.x = 0.5
    stub.answers['/sim_bridge/reset_episode'] = ResetEpisode.Response(
        success=True,
        goal_images=[image_to_message(PICTURE), image_to_message(PICTURE + 1)],
        gripper_closedness=[math.nan, 0.75],
        steps_per_goal=[4, 5],
        goal_poses=poses,
        instruction='lift it',
    )
    found = patient.reset_episode('pick', seed=3, episode=2)
    request = stub.requests[0]
    assert (request.suite, request.seed, request.episode) == ('pick', 3, 2)
    assert [goal.gripper_closedness for goal in found.goals] == [None, 0.75]
    np.testing.assert_array_equal(found.goals[1].image, PICTURE + 1)
    assert found.steps_per_goal == (4, 5)
    assert found.goal_positions_m == ((0.0, 0.0, 0.0), (0.5, 0.0, 0.0))
    assert found.instruction == 'lift it'


def test_refusal_is_raised_with_its_number(patient: PlannerClient, stub: Stub) -> None:
    stub.answers['/sim_bridge/reset_episode'] = ResetEpisode.Response(
        success=False, error_code=103, message='unknown suite.'
    )
    with pytest.raises(UnknownNameError, match='unknown suite'):
        patient.reset_episode('raech', seed=0, episode=0)
    for text, kind, sentence in (
        ('[406] it is latched.', EmergencyStopError, 'it is latched.'),
        ('no number', SafetyError, 'no number'),
        ('', SafetyError, 'refused without a reason.'),
    ):
        stub.answers['/wm_planner/enable'] = SetBool.Response(success=False, message=text)
        with pytest.raises(kind) as caught:
            patient.enable()
        assert caught.value.message == sentence


def test_waits_give_the_planners_own_reason(patient: PlannerClient, stub: Stub) -> None:
    message = PlannerStatus(
        state=PlannerStatus.IDLE,
        message='camera unplugged',
        image_age_s=math.nan,
        state_age_s=0.1,
    )
    timer = stub.node.create_timer(0.02, lambda: stub.status.publish(message))
    patient.wait_until_active(20.0)
    with pytest.raises(NoDataError, match='camera unplugged'):
        patient.wait_for_data(0.3)
    message.state = PlannerStatus.INACTIVE
    message.message = 'loading'
    patient.status = None
    with pytest.raises(PlannerTimeoutError, match='not active after 0.5 s: loading'):
        patient.wait_until_active(0.5)
    timer.cancel()


def test_wait_for_a_goal_ends_where_the_planner_has_fallen_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was without end: ``goal set`` of a set has no time limit of its own."""
    monkeypatch.setattr('wm_planner.ros.client._SILENCE_S', 0.5)
    monkeypatch.setattr('wm_planner.ros.client._CANCEL_TIMEOUT_S', 0.5)
    with PlannerHarness(QUICK) as harness:
        harness.client.enable()
        is_moving = False

        def stop_planner_once_moving(feedback: Any) -> None:
            nonlocal is_moving
            if not is_moving:
                is_moving = True
                harness.spinners[1].stop()

        with pytest.raises(PlannerTimeoutError, match='status has been silent for 0.5 s'):
            harness.client.reach_goal(
                [harness.goal([0.5, 0.2, 0.3])],
                tolerance=-1.0,
                timeout_s=math.inf,
                on_feedback=stop_planner_once_moving,
            )
        assert is_moving
