# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The planner drives the simulated Panda by joints, as a driver that takes no tool poses."""

from __future__ import annotations

import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('wm_planner_sim', reason='the simulator is not installed')
pytest.importorskip('pinocchio', reason="the extra 'arms' is not installed")

from fakes.node_process import NodeProcess  # noqa: E402
from fakes.waiting import wait_for  # noqa: E402
from wm_planner.ros import qos  # noqa: E402
from wm_planner.ros.client import PlannerClient  # noqa: E402
from wm_planner.ros.conversions import image_from_message  # noqa: E402
from wm_planner_msgs.msg import EpisodeStatus  # noqa: E402
from wm_planner_msgs.srv import ResetEpisode  # noqa: E402


def test_goal_picture_is_reached_by_joint_targets() -> None:
    """States by forward kinematics, commands by inverse kinematics, physics by MuJoCo."""
    planner = NodeProcess(
        'wm_planner.ros.planner_node',
        'wm_planner',
        use_sim_time=True,
        robot='panda_sim_joints',
        device='cpu',
        # Ages that a busy machine keeps.
        **{'buffer.max_image_age_s': 2.0, 'buffer.max_state_age_s': 1.0},
    )
    bridge = NodeProcess('wm_planner_sim.bridge_node', 'sim_bridge')
    with bridge, planner, PlannerClient() as client:
        client.wait_until_active(120.0)
        client.wait_for_data(60.0)
        node, statuses = client.node, []
        node.create_subscription(EpisodeStatus, '/episode_status', statuses.append, qos.STATUS)
        reset = node.create_client(ResetEpisode, '/sim_bridge/reset_episode')

        def spin() -> None:
            client.spin_once(0.05)

        wait_for(reset.service_is_ready, what='the bridge', poll=spin, timeout_s=60)
        answer = reset.call_async(ResetEpisode.Request(suite='reach', seed=7, episode=0))
        wait_for(answer.done, what='the episode', poll=spin, timeout_s=60)
        goal = answer.result().goal_images[0]
        wait_for(lambda: statuses and statuses[-1].suite == 'reach', what='status', poll=spin)
        assert not statuses[-1].success
        client.enable()
        client.set_goal_image(image_from_message(goal), goal_id='reach')
        wait_for(lambda: statuses[-1].success, what='success', poll=spin, timeout_s=60)
        assert node.count_publishers('/target_pose') == 0, 'joints alone move it'
        assert node.count_publishers('/joint_target') == 1
        assert planner.stop() == 0
        assert bridge.stop() == 0
