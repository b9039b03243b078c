# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The ReachGoal action of the live node: every way in which it can end."""

from __future__ import annotations

from collections.abc import Iterator
import math
from typing import Any

from action_msgs.msg import GoalStatus
import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')

from rclpy.action import ActionClient  # noqa: E402

from fakes.planner_harness import QUICK, SLOW_ARM, PlannerHarness, held_still  # noqa: E402
from wm_planner.control.status import Termination  # noqa: E402
from wm_planner.core.errors import PlannerTimeoutError  # noqa: E402
from wm_planner.ros.conversions import image_to_message  # noqa: E402
from wm_planner_msgs.action import ReachGoal  # noqa: E402
from wm_planner_msgs.msg import PlannerStatus  # noqa: E402

HOLD_TOLERANCE_M = 0.009


class Sent:
    """A goal sent with a plain ROS action client, as any other program would."""

    def __init__(self, harness: PlannerHarness, client: Any, request: ReachGoal.Goal) -> None:
        self.harness = harness
        self.feedback: list[ReachGoal.Feedback] = []
        harness.wait(client.server_is_ready, 'the action server')
        future = client.send_goal_async(
            request, feedback_callback=lambda message: self.feedback.append(message.feedback)
        )
        harness.wait(future.done, 'the acceptance')
        self.handle = future.result()
        assert self.handle.accepted
        self.result_future = self.handle.get_result_async()

    def wait_for_steps(self, number: int = 1) -> None:
        self.harness.wait(
            lambda: self.feedback and self.feedback[-1].steps_executed >= number, 'steps'
        )

    def result(self, timeout_s: float = 30.0) -> tuple[int, ReachGoal.Result]:
        """Return the action's status and result."""
        self.harness.wait(self.result_future.done, 'the result', timeout_s)
        response = self.result_future.result()
        return response.status, response.result


class TestFarGoals:
    """An arm that is long under way."""

    @pytest.fixture(scope='class')
    @classmethod
    def live(cls) -> Iterator[PlannerHarness]:
        with PlannerHarness(SLOW_ARM) as harness:
            harness.actions = ActionClient(  # type: ignore[attr-defined]
                harness.client.node, ReachGoal, '/wm_planner/reach_goal'
            )
            yield harness

    def send(self, live: PlannerHarness, **fields: Any) -> Sent:
        y = -0.2 if live.robot.position_m[1] > 0.0 else 0.2
        images = [image_to_message(live.robot.picture([0.5, y, 0.3]))]
        request = ReachGoal.Goal(**{'goal_images': images, **fields})
        return Sent(live, live.actions, request)  # type: ignore[attr-defined]

    @pytest.fixture(autouse=True)
    def enabled(self, live: PlannerHarness) -> None:
        live.client.reset()
        live.client.enable()

    def test_feedback_tells_energy_travel_steps_and_state(self, live: PlannerHarness) -> None:
        sent = self.send(live)
        sent.wait_for_steps(3)
        last = sent.feedback[-1]
        assert last.energy > 0.0 and last.goal_index == 0
        assert 0.005 < last.distance_travelled_m < 0.5
        assert last.status in (PlannerStatus.EXECUTING, PlannerStatus.PLANNING, 3)
        assert math.isnan(sent.feedback[0].energy), 'before the first plan'
        travels = [feedback.distance_travelled_m for feedback in sent.feedback]
        assert travels == sorted(travels)

    def test_cancel_holds_and_answers_canceled(self, live: PlannerHarness) -> None:
        sent = self.send(live)
        sent.wait_for_steps()
        sent.handle.cancel_goal_async()
        status, result = sent.result()
        assert status == GoalStatus.STATUS_CANCELED
        assert (result.termination, result.error_code) == (Termination.CANCELED, 0)
        assert list(result.goal_steps) and result.goal_steps[0] >= 1
        assert held_still(live) < HOLD_TOLERANCE_M
        self.send(live).wait_for_steps()  # the sentinel

    def test_second_goal_replaces_the_first_which_answers_canceled(
        self, live: PlannerHarness
    ) -> None:
        first = self.send(live)
        first.wait_for_steps()
        second = self.send(live)
        status, result = first.result()
        assert status == GoalStatus.STATUS_ABORTED, 'its client did not cancel it'
        assert result.termination == Termination.CANCELED
        assert result.message == 'replaced by another goal'
        second.wait_for_steps()

    def test_goal_by_service_replaces_that_of_the_action(self, live: PlannerHarness) -> None:
        sent = self.send(live)
        sent.wait_for_steps()
        live.client.set_goal_image(live.robot.picture([0.5, 0.0, 0.3]), goal_id='by service')
        assert sent.result()[1].termination == Termination.CANCELED
        live.wait_for_status(lambda s: s.goal_id == 'by service', 'the other goal')

    def test_bad_second_goal_leaves_the_first_alone(self, live: PlannerHarness) -> None:
        first = self.send(live)
        first.wait_for_steps()
        bad = image_to_message(np.zeros((128, 128, 3), np.uint8))
        status, result = self.send(live, goal_images=[bad]).result()
        assert status == GoalStatus.STATUS_ABORTED and result.error_code == 101
        first.wait_for_steps(first.feedback[-1].steps_executed + 2)

    def test_time_runs_out_by_max_duration(self, live: PlannerHarness) -> None:
        status, result = self.send(live, max_duration_s=0.5).result()
        assert status == GoalStatus.STATUS_ABORTED
        assert (result.termination, result.error_code) == (Termination.TIMEOUT, 0)
        assert 'max_duration_s' in result.message

    def test_steps_run_out_goal_by_goal(self, live: PlannerHarness) -> None:
        images = [
            image_to_message(live.robot.picture(place))
            for place in ([0.5, 0.15, 0.25], [0.55, 0, 0.3])
        ]
        sent = self.send(live, goal_images=images, steps_per_goal=[2, 3], tolerance=-1.0)
        _, result = sent.result()
        assert (result.termination, result.error_code) == (Termination.TIMEOUT, 0)
        assert list(result.goal_steps) == [2, 3]
        assert len(result.goal_energies) == 2 and result.goal_energies[1] > 0.0
        assert [f.goal_index for f in sent.feedback][-1] == 1

    @pytest.mark.parametrize(('call', 'code'), [('hold', 400), ('emergency_stop', 406)])
    def test_hold_and_emergency_stop_end_it(
        self, live: PlannerHarness, call: str, code: int
    ) -> None:
        sent = self.send(live)
        sent.wait_for_steps()
        getattr(live.client, call)()
        status, result = sent.result()
        assert status == GoalStatus.STATUS_ABORTED
        assert (result.termination, result.error_code) == (Termination.SAFETY_STOP, code)

    def test_refused_at_once_when_motion_is_not_enabled(self, live: PlannerHarness) -> None:
        live.client.enable(False)
        _, result = self.send(live).result()
        assert (result.termination, result.error_code) == (Termination.SAFETY_STOP, 401)
        assert '~/enable' in result.message

    def test_refused_at_once_while_the_emergency_stop_is_latched(
        self, live: PlannerHarness
    ) -> None:
        live.client.emergency_stop()
        _, result = self.send(live).result()
        assert (result.termination, result.error_code) == (Termination.SAFETY_STOP, 406)

    @pytest.mark.parametrize(
        ('fields', 'code', 'words'),
        [
            ({'goal_images': []}, 102, 'at least one image'),
            ({'gripper_closedness': [0.1, 0.2]}, 102, '2 values for 1 goal_images'),
            ({'gripper_closedness': [1.5]}, 102, 'in [0, 1]'),
            ({'steps_per_goal': [1, 2, 3]}, 102, '3 values for 1 goal_images'),
            ({'max_duration_s': -1.0}, 102, 'max_duration_s is -1.0; valid: >= 0'),
            ({'max_duration_s': math.nan}, 102, 'max_duration_s is nan'),
            ({'tolerance': math.inf}, 102, 'tolerance is infinite'),
            ({'chain': 2}, 102, 'chain is 2; valid: 0 (SCHEDULE), 1 (PROGRESS)'),
            ({'chain': 1, 'tolerance': -1.0}, 102, 'fixed schedule'),
        ],
    )
    def test_malformed_request_gets_its_number(
        self, live: PlannerHarness, fields: dict[str, Any], code: int, words: str
    ) -> None:
        status, result = self.send(live, **fields).result()
        assert status == GoalStatus.STATUS_ABORTED
        assert result.error_code == code and words in result.message

    def test_client_cancels_when_its_own_time_is_over(self, live: PlannerHarness) -> None:
        goal = live.goal([0.5, -0.2 if live.robot.position_m[1] > 0.0 else 0.2, 0.3])
        with pytest.raises(PlannerTimeoutError, match='within 1 s'):
            live.client.reach_goal([goal], timeout_s=1.0)
        live.wait_for_status(lambda s: s.goal_count == 0, 'no goal')

    def test_ends_when_the_data_stay_away(self, live: PlannerHarness) -> None:
        sent = self.send(live)
        sent.wait_for_steps()
        live.robot.change['image'] = lambda _: None
        try:
            _, result = sent.result()
        finally:
            live.robot.change.clear()
        assert (result.termination, result.error_code) == (Termination.STALE_DATA, 202)


def test_arm_reaches_goals_in_order_with_their_grippers() -> None:
    with PlannerHarness(QUICK) as harness:
        harness.client.enable()
        places = ([0.5, 0.1, 0.25], [0.55, -0.05, 0.2])
        goals = [harness.goal(places[0], 0.0, 'a'), harness.goal(places[1], 1.0, 'b')]
        seen: list[int] = []
        result = harness.client.reach_goal(
            goals, timeout_s=60.0, on_feedback=lambda f: seen.append(f.goal_index)
        )
        assert result.is_reached and result.error_code == 0
        assert len(result.goal_energies) == 2 and max(result.goal_energies) < 0.01
        assert sorted(set(seen)) == [0, 1] and seen == sorted(seen)
        assert np.linalg.norm(harness.robot.position_m - places[1]) < 0.04
        assert harness.robot.closedness == pytest.approx(1.0)
        status = harness.wait_for_status(lambda _: True, 'a status')
        assert status.state == PlannerStatus.REACHED
        # What it was driven through were absolute targets with fresh, rising stamps.
        stamps = [stamp for stamp, _, _ in harness.robot.targets]
        assert stamps == sorted(stamps) and len(set(stamps)) == len(stamps)


def test_chain_by_progress_says_what_it_decides_and_takes_no_step_where_all_is_satisfied() -> None:
    with PlannerHarness(QUICK) as harness:
        harness.client.enable()
        places = ([0.5, 0.1, 0.25], [0.55, -0.05, 0.2])
        goals = [harness.goal(places[0], 0.0, 'a'), harness.goal(places[1], 1.0, 'b')]
        told: list[str] = []
        result = harness.client.reach_goal(
            goals,
            chain=ReachGoal.Goal.PROGRESS,
            timeout_s=60.0,
            on_feedback=lambda f: told.append(f.decision),
        )
        assert result.is_reached, result.message
        assert len(result.best_energies) == 2 and max(result.best_energies) < 0.01
        kinds = [text.split()[1] for text in dict.fromkeys(told) if text]
        assert kinds[-1] == 'reached:' and kinds[0] in ('advance:', 'flattened:')
        decided = {text for text in told if text}
        harness.wait(
            lambda: decided <= {message.decision for message in harness.statuses},
            'every decision in a status',
        )
        assert harness.robot.closedness == pytest.approx(1.0)
        again = harness.client.reach_goal(
            [goals[1], goals[1]], chain=ReachGoal.Goal.PROGRESS, timeout_s=60.0
        )
        assert again.is_reached and sum(again.goal_steps) == 0
        assert 'no step' in again.message
