# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The bridge process with the real simulator: what it publishes, refuses, and how it stops."""

from __future__ import annotations

from collections.abc import Iterator
import math
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('mujoco', reason='mujoco is not installed')

from std_msgs.msg import Float64MultiArray  # noqa: E402

from fakes.bridge_client import BASE, MS, BridgeClient, stamp_ns  # noqa: E402
from fakes.node_process import ROOT, NodeProcess  # noqa: E402

MODULE = 'wm_planner_sim.bridge_node'


@pytest.fixture(scope='module')
def bridge() -> Iterator[tuple[NodeProcess, BridgeClient]]:
    """One bridge for the tests that leave it as it was: making it takes seconds."""
    with NodeProcess(MODULE, 'sim_bridge') as process:
        process.wait_for_output('tabletop runs')
        client = BridgeClient()
        yield process, client
        client.close()
        assert process.stop() == 0, process.output


@pytest.fixture
def client(bridge: tuple[NodeProcess, BridgeClient]) -> BridgeClient:
    """Return the shared bridge, running, in its home state, with nothing seen yet."""
    made = bridge[1]
    made.pause(False)
    assert made.reset().success
    made.forget()
    return made


# What comes out ----------------------------------------------------------------------------------


def test_rates_stamps_and_frames(client: BridgeClient) -> None:
    client.spin_until(lambda: len(client.seen['image']) >= 15, '15 pictures')
    stamps = {
        'clock': [stamp_ns(m.clock) for m in client.seen['clock']],
        **{
            n: [stamp_ns(m.header.stamp) for m in client.seen[n]]
            for n in ('joints', 'tool', 'image', 'info', 'wrist')
        },
    }
    for name, values in stamps.items():
        steps = np.diff(values)
        assert (steps > 0).all(), f'stamps of {name} do not rise'
    assert np.median(np.diff(stamps['clock'])) <= 10 * MS
    assert np.median(np.diff(stamps['tool'])) == 20 * MS
    assert np.median(np.diff(stamps['image'])) == 100 * MS
    assert np.median(np.diff(stamps['wrist'])) == 500 * MS
    assert (
        len(set(stamps['joints']) ^ set(stamps['tool'])) <= 2
    )  # the same moments, but for the ends
    assert set(stamps['image'][1:-1]) <= set(stamps['info'])
    assert client.newest('image').header.frame_id == 'exterior_camera_optical'
    assert client.newest('wrist').header.frame_id == 'wrist_camera_optical'
    assert client.newest('tool').header.frame_id == BASE
    assert client.newest('joints').name[0] == 'panda_joint1'
    assert len(client.newest('joints').position) == len(client.newest('joints').velocity) == 9


def test_nothing_is_stamped_later_than_the_clock(client: BridgeClient) -> None:
    client.spin_until(lambda: len(client.seen['image']) >= 5, '5 pictures')
    client.pause(True)
    client.spin_until(lambda: client.newest('status').message == '', 'a status')
    others = [client.seen[name] for name in ('joints', 'tool', 'image', 'wrist', 'status')]
    client.spin_until(
        lambda: (
            max(stamp_ns(m.header.stamp) for seen in others for m in seen)
            <= stamp_ns(client.newest('clock').clock)
        ),
        'a clock that is not behind',
    )


_REFERENCE = """
import sys
import numpy as np
from wm_planner_sim.tabletop import TabletopSim
sim = TabletopSim()
sim.reset(seed=5)
sim.advance(0.1)
state, (names, positions, velocities) = sim.robot_state(), sim.joint_state()
camera = sim.intrinsics('exterior')
np.savez(sys.argv[1], image=sim.render('exterior'), tool=state.position_m, joints=positions,
         k=[camera.fx, 0, camera.cx, 0, camera.fy, camera.cy, 0, 0, 1])
sim.close()
"""


def test_picture_joints_and_pose_are_those_of_the_simulator(
    client: BridgeClient, tmp_path: Path
) -> None:
    """The reference runs in a process of its own: two OpenGL contexts in one are unreliable."""
    path = tmp_path / 'reference.npz'
    env = {**os.environ, 'PYTHONPATH': f'{ROOT}{os.pathsep}{ROOT / "sim"}'}
    subprocess.run([sys.executable, '-c', _REFERENCE, str(path)], env=env, check=True, timeout=120)
    reference = np.load(path)
    client.pause(True)
    assert client.reset(seed=5).success
    picture = client.step_and_look(0.1)
    np.testing.assert_array_equal(picture, reference['image'])
    np.testing.assert_allclose(client.tool(), reference['tool'], atol=1e-12)
    np.testing.assert_allclose(client.newest('joints').position, reference['joints'], atol=1e-12)
    np.testing.assert_allclose(client.newest('info').k, reference['k'])
    assert (client.newest('info').width, client.newest('info').height) == picture.shape[1::-1]


# Pause, step, reset ------------------------------------------------------------------------------


def test_step_is_exact_and_only_in_a_pause(client: BridgeClient) -> None:
    answer = client.step(0.1)
    assert (answer.success, answer.error_code) == (False, 501)
    assert 'only while it is paused' in answer.message
    client.pause(True)
    first = stamp_ns(client.step(0.004).time)
    client.forget()
    assert stamp_ns(client.step(0.24).time) == first + 240 * MS
    assert stamp_ns(client.step(1.0).time) == first + 1240 * MS
    client.spin_until(
        lambda: (
            client.seen['tool']
            and stamp_ns(client.newest('tool').header.stamp) == first + 1240 * MS
        ),
        'the state at the end of the step',
    )
    for bad in (0.0, -0.1, 60.5, math.nan, math.inf):
        answer = client.step(bad)
        assert (answer.success, answer.error_code) == (False, 501), bad
        assert 'valid: in (0, 60]' in answer.message
    assert stamp_ns(client.step(0.005).time) == first + 1244 * MS  # to the nearest physics step


def test_episode_is_fixed_by_suite_seed_and_number(client: BridgeClient) -> None:
    client.pause(True)
    runs = []
    for suite, seed, episode in (('push', 3, 1), ('reach', 3, 2), ('push', 3, 1)):
        answer = client.reset(suite, seed, episode)
        assert answer.success, answer.message
        picture = client.step_and_look()
        goals = [np.frombuffer(image.data, np.uint8) for image in answer.goal_images]
        runs.append((goals, picture, answer))
    first, other, again = runs
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert first[2].goal_poses == again[2].goal_poses
    assert not np.array_equal(first[1], other[1])
    answer = first[2]
    assert (
        len(answer.goal_images) == len(answer.gripper_closedness) == len(answer.steps_per_goal) == 1
    )
    assert answer.gripper_closedness[0] > 0.9
    assert answer.goal_images[0].header.frame_id == 'exterior_camera_optical'
    assert 'push the' in answer.instruction
    status = client.newest('status')
    assert (status.suite, status.seed, status.episode) == ('push', 3, 1)
    assert (status.goal_count, status.success) == (1, False)
    assert status.time_s == pytest.approx(0.1)
    assert status.distance_m > 0.05


def test_sub_goals_and_unknown_gripper_states_are_answered(client: BridgeClient) -> None:
    answer = client.reset('pick_pictures', 1, 0)
    assert answer.success, answer.message
    assert len(answer.goal_images) == len(answer.goal_poses) == 3
    assert all(math.isnan(value) for value in answer.gripper_closedness)
    assert all(steps > 0 for steps in answer.steps_per_goal)
    client.spin_until(
        lambda: client.seen['status'] and client.newest('status').suite == 'pick_pictures',
        'the status',
    )
    assert client.newest('status').goal_index == 2


def test_unknown_suite_lists_the_valid_ones_and_changes_nothing(client: BridgeClient) -> None:
    assert client.reset('reach', 1, 0).success
    answer = client.reset('raech', 1, 0)
    assert (answer.success, answer.error_code) == (False, 103)
    for suite in ('reach', 'push', 'pick', 'pick_pictures', 'push_subgoals', 'push_far'):
        assert suite in answer.message
    assert client.reset('reach', -1, 0).error_code == 104
    client.forget()
    client.spin_until(lambda: client.seen['status'], 'a status')
    assert client.newest('status').suite == 'reach'


# What goes in ------------------------------------------------------------------------------------


def test_arm_and_gripper_go_to_their_targets(client: BridgeClient) -> None:
    client.spin_until(lambda: client.seen['tool'] and client.seen['joints'], 'the tool pose')
    goal = client.tool() + [0.04, -0.05, -0.03]

    def has_arrived() -> bool:
        client.send(tuple(goal))
        client.gripper.publish(Float64MultiArray(data=[1.0]))
        fingers = client.newest('joints').position[-2:]
        return bool(np.linalg.norm(client.tool() - goal) < 0.004 and max(fingers) < 0.002)

    client.spin_until(has_arrived, 'the tool at its target and the fingers closed')
    assert client.newest('status').message == ''


def test_joint_target_is_gone_to(client: BridgeClient) -> None:
    """The first joint turns the tool about the base's z axis: 0.2 rad, whatever the posture."""
    client.pause(True)
    client.forget()
    client.step(0.05)
    client.spin_until(lambda: client.newest('tool') and client.newest('joints'), 'the arm')
    x, y, z = client.tool()
    client.go_to_joints({'panda_joint1': 0.2}, steps=20)
    turned = [x * np.cos(0.2) - y * np.sin(0.2), x * np.sin(0.2) + y * np.cos(0.2), z]
    assert np.linalg.norm(client.tool() - turned) < 0.005
    client.pause(False)


@pytest.mark.parametrize(
    ('kind', 'code', 'words'),
    [('frame', 105, "valid: 'panda_link0'"), ('nan', 402, 'finite'), ('gripper', 107, '[0, 1]')],
)
def test_bad_command_is_refused_and_reported(
    client: BridgeClient, kind: str, code: int, words: str
) -> None:
    client.spin_until(lambda: client.seen['tool'] and client.seen['joints'], 'the tool pose')
    before = client.tool()

    def is_reported() -> bool:
        if kind == 'frame':
            client.send((0.6, 0.2, 0.2), frame='camera')
        elif kind == 'nan':
            client.send((math.nan, 0.2, 0.2))
        else:
            client.gripper.publish(Float64MultiArray(data=[1.5]))
        return bool(client.seen['status']) and client.newest('status').error_code == code

    client.spin_until(is_reported, f'code {code} in the episode status')
    assert words in client.newest('status').message
    # A good command as a sentinel: had the bad one moved the arm, it would not be where it was.
    client.forget()
    client.spin_until(lambda: len(client.seen['tool']) > 10, 'half a second')
    np.testing.assert_allclose(client.tool(), before, atol=1e-3)
    client.spin_until(
        lambda: (
            client.send(tuple(before))
            or (client.seen['status'] and client.newest('status').error_code == 0)
        ),
        'the report to end after a good command',
    )


def test_silence_is_said_within_a_second(client: BridgeClient) -> None:
    client.spin_until(lambda: client.seen['tool'] and client.seen['status'], 'the tool pose')
    assert client.newest('status').message == ''  # no command ever came: nothing to complain of
    goal = tuple(client.tool() + [0.0, 0.35, 0.0])

    def is_moving() -> bool:
        client.send(goal)
        return not client.newest('status').is_holding

    client.spin_until(is_moving, 'the end of holding')
    silent_since = time.monotonic()
    client.spin_until(lambda: client.newest('status').error_code == 405, 'the stale command')
    assert time.monotonic() - silent_since < 1.0
    assert client.newest('status').is_holding
    assert 'no command for 0.5 s' in client.newest('status').message
    client.forget()
    client.spin_until(lambda: len(client.seen['tool']) > 5, 'the tool at rest')
    resting = client.tool()
    assert np.linalg.norm(resting - goal) > 0.01  # it stopped on the way
    client.forget()
    client.spin_until(lambda: len(client.seen['tool']) > 10, 'more tool poses')
    np.testing.assert_allclose(client.tool(), resting, atol=2e-3)


_SENDER = """
import rclpy
from geometry_msgs.msg import PoseStamped
rclpy.init()
node = rclpy.create_node('sender')
publisher = node.create_publisher(PoseStamped, '/target_pose', 1)
message = PoseStamped()
message.header.frame_id = 'panda_link0'
message.pose.position.x, message.pose.position.z = 0.5, 0.3
message.pose.orientation.x, message.pose.orientation.w = 1.0, 0.0
node.create_timer(0.02, lambda: publisher.publish(message))
rclpy.spin(node)
"""


def test_killed_sender_is_missed_within_a_second(client: BridgeClient) -> None:
    sender = subprocess.Popen([sys.executable, '-c', _SENDER])
    try:
        client.spin_until(
            lambda: client.seen['status'] and not client.newest('status').is_holding, 'its commands'
        )
        os.kill(sender.pid, signal.SIGKILL)
        killed = time.monotonic()
        client.spin_until(lambda: client.newest('status').error_code == 405, 'the stale command')
        assert time.monotonic() - killed < 1.0
    finally:
        sender.kill()
        sender.wait(30)


def test_no_motion_of_the_last_episode_leaks_into_the_next(client: BridgeClient) -> None:
    client.pause(True)
    assert client.reset('reach', 1, 0).success
    start_of_first = client.step(0.004).time
    client.send((0.7, -0.3, 0.15), stamp=stamp_ns(start_of_first))
    client.gripper.publish(Float64MultiArray(data=[1.0]))
    client.spin_until(
        lambda: (
            client.step(0.1) and client.newest('status') and not client.newest('status').is_holding
        ),
        'the old target taken',
    )
    old = stamp_ns(client.step(0.1).time)
    answer = client.reset('reach', 1, 1)
    assert answer.success
    client.step_and_look()
    start = client.tool()
    client.send((0.7, -0.3, 0.15), stamp=old)  # sent before the reset, arrives after it
    client.gripper.publish(Float64MultiArray(data=[1.0]))
    client.forget()
    client.spin_until(
        lambda: client.step(0.1) and _ignored(client) >= 2,
        'both late commands ignored',
        timeout_s=60.0,
    )
    np.testing.assert_allclose(client.tool(), start, atol=1e-3)
    assert min(client.newest('joints').position[-2:]) > 0.035
    assert client.newest('status').is_holding
    # A new one is obeyed.
    now = stamp_ns(client.step(0.004).time)
    client.send(tuple(start + [0.0, 0.0, 0.02]), stamp=now)
    client.spin_until(
        lambda: client.step(0.1) and client.tool()[2] > start[2] + 0.01, 'the new target'
    )


def _ignored(client: BridgeClient) -> int:
    if not client.seen['diagnostics']:
        return 0
    values = {v.key: v.value for v in client.newest('diagnostics').status[0].values}
    return int(values['commands_ignored_after_reset'])


# Health ------------------------------------------------------------------------------------------


def test_diagnostics_state_renderer_and_speed(client: BridgeClient) -> None:
    client.spin_until(lambda: client.seen['diagnostics'], 'diagnostics')
    status = client.newest('diagnostics').status[0]
    values = {v.key: v.value for v in status.values}
    assert status.name == 'sim_bridge: simulation'
    assert values['renderer'] in ('osmesa', 'egl')
    assert float(values['realtime_factor']) > 0.0
    assert float(values['realtime_factor_asked']) == 1.0
