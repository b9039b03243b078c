# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What goes to policy servers and how their chunks become plans."""

from __future__ import annotations

import asyncio
from dataclasses import replace
import math
import threading

import numpy as np
import pytest

from fakes.policy_servers import free_port, groot_server, openpi_server, openvla_server
from fakes.policy_servers_rigs import (
    HOME_RAD,
    KINDS,
    a_client,
    a_seen,
    as_groot,
    joint_chunk,
    osc_chunk,
    policy_rig,
)
from fakes.values import a_goal
from wm_planner.core.errors import InvalidParameterError
from wm_planner.core.protocols import TakesInstruction
from wm_planner.core.types import StopReason
from wm_planner.policies.panda_arm import flange_pose

GRADIENT = np.broadcast_to(np.arange(64, dtype=np.uint8)[None, :, None] * 4, (64, 64, 3)).copy()


def planned(client, executed_steps=0, **changes):
    return client.plan(a_seen(**changes), a_goal('g'), executed_steps=executed_steps)


@pytest.mark.parametrize('kind', KINDS)
def test_policies_take_instructions_and_claim_no_energy(kind: str) -> None:
    with policy_rig(kind) as (client, _):
        assert isinstance(client, TakesInstruction)
        plan = planned(client)
        assert math.isnan(plan.energy) and math.isnan(client.goal_tolerance)
        assert plan.diagnostics.stop_reason is StopReason.NOT_OPTIMIZED
        assert (
            0.0
            < plan.diagnostics.milliseconds['server']
            <= (plan.diagnostics.milliseconds['total'])
        )
        assert client.action_spec.step_duration_s == pytest.approx(0.05)


def test_server_is_asked_once_in_execute_steps() -> None:
    with policy_rig('openpi', execute_steps=5) as (client, server):
        shifts = [planned(client).actions[:, 0].tolist()]
        for _ in range(5):
            shifts.append(planned(client, executed_steps=1).actions[:, 0].tolist())
    # 0, 1, 2, ... hundredths of 5 cm; the sixth plan begins a new chunk.
    assert shifts[0] == pytest.approx([0.0, 0.0005, 0.001, 0.0015, 0.002])
    assert [len(shift) for shift in shifts] == [5, 4, 3, 2, 1, 5]
    assert [shift[0] for shift in shifts] == pytest.approx([0, 0.0005, 0.001, 0.0015, 0.002, 0])
    assert len(server.requests) == 2


def test_refused_action_is_handed_out_again_and_reset_forgets_the_chunk() -> None:
    with policy_rig('openpi') as (client, server):
        planned(client)
        planned(client, executed_steps=2)
        again = planned(client, executed_steps=0)
        assert again.actions[0, 0] == pytest.approx(0.001)
        assert len(server.requests) == 1
        client.reset()
        assert planned(client, executed_steps=3).actions[0, 0] == 0.0
        assert len(server.requests) == 2


def test_openpi_key_may_be_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('WM_PLANNER_API_KEY', 'of the environment')
    headers: list = []
    answer = KINDS['openpi'].put(osc_chunk())
    with openpi_server(lambda _: answer, headers=headers) as server:
        client = a_client('openpi', server.port)
        planned(client)
        client.close()
    assert headers[0]['Authorization'] == 'Api-Key of the environment'


def test_openpi_sends_the_keys_of_libero() -> None:
    headers: list = []
    answer = KINDS['openpi'].put(osc_chunk())
    with openpi_server(lambda _: answer, headers=headers, metadata={'model': 'pi0'}) as server:
        client = a_client('openpi', server.port, api_key='k3y')
        client.set_instruction(' pick up the apple ')
        planned(client, images=GRADIENT[None])
        client.close()
    (request,) = server.requests
    assert set(request) == {
        'observation/image',
        'observation/wrist_image',
        'observation/state',
        'prompt',
    }
    assert request['prompt'] == 'pick up the apple'
    assert request['observation/image'].shape == (224, 224, 3)
    assert request['observation/image'].dtype == np.uint8
    assert request['observation/image'][0, 0, 0] > 240  # the right of the upright image
    assert request['observation/wrist_image'].max() == 50
    assert request['observation/state'].shape == (8,)
    assert request['observation/state'][6:] == pytest.approx([0.03, -0.03])
    assert headers[0]['Authorization'] == 'Api-Key k3y'


def test_position_is_sensed_from_where_the_environment_has_the_base() -> None:
    """Of LIBERO's floor tasks the base stands elsewhere than of its table tasks."""
    with policy_rig('openpi', execute_steps=1) as (client, server):
        planned(client)
        planned(client, executed_steps=1, base_in_world_m=np.array([1.0, 2.0, 3.0]))
    here = a_seen().state.position_m
    first, second = (request['observation/state'][:3] for request in server.requests)
    assert first == pytest.approx(here + [-0.66, 0.0, 0.912], abs=1e-6)
    assert second == pytest.approx(here + [1.0, 2.0, 3.0], abs=1e-6)


def test_openpi_gripper_is_in_the_sign_of_the_controller() -> None:
    chunk = osc_chunk(2)
    chunk[:, 6] = (-1.0, 1.0)
    with policy_rig('openpi', lambda _: chunk) as (client, _):
        assert planned(client).actions[:, 6].tolist() == [0.0, 1.0]


class _Policy:
    """What openpi's own server wraps."""

    def __init__(self) -> None:
        self.seen: list = []

    def infer(self, observation):
        self.seen.append(observation)
        if observation['prompt'] == 'fail':
            raise KeyError('no such prompt')
        return {'actions': osc_chunk()}


def test_openpi_client_speaks_to_openpis_own_server() -> None:
    server_module = pytest.importorskip(
        'openpi_server', reason='openpi-server is not installed (pip --no-deps: it wants numpy 1)'
    )
    policy, port = _Policy(), free_port()
    server = server_module.WebsocketPolicyServer(policy, '127.0.0.1', port, {'name': 'pi0'})
    loop = asyncio.new_event_loop()
    task = loop.create_task(server.run())

    def run() -> None:
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=run)
    thread.start()
    client = a_client('openpi', port, connect_attempts=100, retry_wait_s=0.05)
    try:
        assert planned(client).horizon == 5
        planned(client, executed_steps=5)
        assert policy.seen[0]['observation/image'].shape == (224, 224, 3)
        assert policy.seen[1]['prompt'] == 'pick up the lemon'
        client.set_instruction('fail')
        with pytest.raises(Exception, match=r"failed: .*KeyError: 'no such prompt'"):
            planned(client)
        client.set_instruction('go on')
        assert planned(client).horizon == 5
    finally:
        client.close()
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10.0)
        loop.close()
    assert not thread.is_alive()


@pytest.mark.parametrize('double_encode', [False, True])
def test_openvla_posts_image_instruction_and_key(double_encode: bool) -> None:
    action = np.array([0.5, 0, 0, 0, 0, 0.4, 0.996])
    with openvla_server(lambda _: action) as server:
        client = a_client('openvla', server.port, double_encode=double_encode, jpeg=False)
        plan = planned(client, images=GRADIENT[None])
        path, request = server.requests[0]
        assert path == '/act'
        assert request['instruction'] == 'pick up the lemon'
        assert request['unnorm_key'] == 'vla_arena'
        assert request['image'].shape == (224, 224, 3)
        # Turned, and without the outermost 2.6 % of 252 on each side.
        assert 240 <= request['image'][0, 0, 0] <= 248
        assert plan.actions.tolist() == [pytest.approx([0.025, 0, 0, 0, 0, 0.2, 0.0])]
        planned(client, executed_steps=1)
        assert len(server.requests) == 2
        client.close()


def test_openvla_closes_the_gripper_on_zero() -> None:
    with policy_rig('openvla', lambda _: np.zeros((1, 7))) as (client, _):
        assert planned(client).actions[0, 6] == 1.0


def test_openvla_reads_what_json_numpy_writes() -> None:
    library = pytest.importorskip('json_numpy', reason='json-numpy is not installed')
    from wm_planner.policies.wire import dumps_json_numpy, loads_json_numpy

    array = np.arange(7, dtype=np.float32)
    assert np.array_equal(loads_json_numpy(library.dumps(array)), array)
    assert np.array_equal(library.loads(dumps_json_numpy({'a': array}))['a'], array)


@pytest.mark.parametrize('arrays', ['npy', 'msgpack_numpy'])
@pytest.mark.parametrize('layout', ['flat', 'nested', 'n1.5'])
def test_groot_sends_each_layout(layout: str, arrays: str) -> None:
    chunk = osc_chunk(16)
    chunk[:, 6] = 1.0
    prefix = '' if layout == 'nested' else 'action.'
    with groot_server(lambda _: as_groot(chunk, prefix), arrays=arrays) as server:
        client = a_client('gr00t', server.port, layout=layout, arrays=arrays)
        plan = planned(client)
        client.close()
    endpoints = [request['endpoint'] for request in server.requests]
    assert endpoints == (['ping'] if layout == 'n1.5' else ['ping', 'reset']) + ['get_action']
    data = server.requests[-1]['data']
    seen = data if layout == 'n1.5' else data['observation']
    language = 'annotation.human.action.task_description'
    time_axes = (1,) if layout == 'n1.5' else (1, 1)
    if layout == 'nested':
        video, state = seen['video'], seen['state']
        assert seen['language'] == {language: [['pick up the lemon']]}
    else:
        video = {key[6:]: value for key, value in seen.items() if key.startswith('video.')}
        state = {key[6:]: value for key, value in seen.items() if key.startswith('state.')}
        assert seen[language] == ['pick up the lemon']
    assert {key: value.shape for key, value in video.items()} == {
        'image': (*time_axes, 256, 256, 3),
        'wrist_image': (*time_axes, 256, 256, 3),
    }
    assert set(state) == {'x', 'y', 'z', 'roll', 'pitch', 'yaw', 'gripper'}
    assert state['roll'].shape == (*time_axes, 1) and state['gripper'].shape == (*time_axes, 2)
    assert state['roll'].dtype == np.float32
    assert plan.horizon == 8
    assert plan.actions[3, 0] == pytest.approx(0.0015)
    assert plan.actions[0, 6] == 0.0  # 1 = open


def test_dreamzero_sends_joints_and_takes_them() -> None:
    with policy_rig('dreamzero', execute_steps=4) as (client, server):
        plan = planned(client)
        client.reset()
        planned(client)
    resets = [request for request in server.requests if request['endpoint'] == 'reset']
    asked = [request for request in server.requests if request['endpoint'] == 'infer']
    assert (len(resets), len(asked)) == (2, 2)
    assert set(asked[0]) == {
        'endpoint',
        'observation/exterior_image_0_left',
        'observation/wrist_image_left',
        'observation/joint_position',
        'observation/cartesian_position',
        'observation/gripper_position',
        'prompt',
        'session_id',
    }
    assert asked[0]['observation/exterior_image_0_left'].shape == (180, 320, 3)
    assert asked[0]['observation/joint_position'] == pytest.approx(HOME_RAD)
    assert asked[0]['observation/gripper_position'] == pytest.approx([0.25])
    assert asked[0]['session_id'] != asked[1]['session_id']
    # Joint 1 turns the arm about base z by 0.01 rad a step: that is the yaw, and the tool, 0.307 m
    # out, goes 0.307 * 0.01 m along y. The tool is far from where the chunk begins by one step.
    assert plan.actions[:, 5] == pytest.approx([0.01] * 4, abs=1e-9)
    assert plan.actions[0, :3] == pytest.approx(
        [0.30689 * (math.cos(0.01) - 1), 0.30689 * math.sin(0.01), 0.0], abs=1e-6
    )
    assert np.linalg.norm(plan.actions[3, :2]) == pytest.approx(0.30689 * 0.01, abs=1e-6)
    assert plan.actions[:, 6].tolist() == [0.0] * 4


def test_dreamzero_follows_joint_targets_from_where_the_arm_has_got_to() -> None:
    """The targets are absolute: an arm that lags must not carry the lag along."""
    chunk = joint_chunk()
    with policy_rig('dreamzero') as (client, _):
        planned(client)
        position, quaternion = flange_pose(HOME_RAD)
        late = planned(client, executed_steps=3)  # the arm has not moved at all
        assert late.actions[0, 5] == pytest.approx(chunk[3, 0], abs=1e-9)
        moved = np.array(HOME_RAD)
        moved[0] = 0.035
        position, quaternion = flange_pose(moved)
        state = replace(
            a_seen().state, position_m=position - [0, 0, 0.1], quaternion_xyzw=quaternion
        )
        now = planned(client, states=(state,), joints_rad=moved)
        assert now.actions[0, 5] == pytest.approx(0.04 - 0.035, abs=1e-9)


def test_dreamzero_may_show_one_camera_twice() -> None:
    with openpi_server(
        lambda ask: 'reset successful' if ask['endpoint'] == 'reset' else joint_chunk(),
        metadata={'n_external_cameras': 2, 'image_resolution': None, 'needs_session_id': False},
    ) as server:
        client = a_client('dreamzero', server.port, second_camera='repeat')
        planned(client)
        client.close()
    request = server.requests[-1]
    assert request['observation/exterior_image_1_left'].shape == (64, 64, 3)
    assert 'session_id' not in request


def test_flange_pose_of_two_known_postures() -> None:
    # Straight up: 0.333 + 0.316 + 0.384 m of arm, 0.107 m of flange pointing back down, 0.088 out.
    assert flange_pose(np.zeros(7))[0] == pytest.approx([0.088, 0.0, 0.926], abs=1e-9)
    # Franka's ready posture; with its hand (0.1034 m) the tool is at (0.30689, 0, 0.48688).
    position, quaternion = flange_pose(HOME_RAD)
    assert position == pytest.approx([0.30689, 0.0, 0.59028], abs=1e-5)
    assert quaternion[2:] == pytest.approx([0.0, 0.0], abs=1e-9)  # pointing straight down


def test_settings_are_checked() -> None:
    with pytest.raises(InvalidParameterError, match='valid: one of closed_positive'):
        a_client('openpi', 1, gripper='open')
    with pytest.raises(InvalidParameterError, match='base_in_world_m'):
        a_client('openpi', 1, base_in_world_m=[1.0, 2.0])
    with pytest.raises(InvalidParameterError, match='port'):
        a_client('openvla', 70000)
