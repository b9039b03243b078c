# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""wm_planner serve vla-eval: the wire format, the episodes, and a planner that gets there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
import json
from pathlib import Path
import re
import signal
import subprocess
import sys
import threading
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import cv2
import msgpack
import numpy as np
import pytest
from websockets.sync.client import connect

from fakes.planners import FakePlanner
from fakes.values import a_plan
from wm_planner.core.errors import InvalidGoalError, InvalidParameterError, UnknownNameError
from wm_planner.factory import make_planner
from wm_planner.models.point_mass import PointMassConfig, PointMassRenderer
from wm_planner.policies.osc import ToolSense
from wm_planner.tools.serve_goals import GoalFolder, slug
from wm_planner.tools.serve_pilot import Pilot, PilotConfig
from wm_planner.tools.serve_vla_eval import VlaEvalServer

RENDERER = PointMassRenderer(PointMassConfig())
START_M, GOAL_M = np.array([0.40, 0.10, 0.20]), np.array([0.52, -0.02, 0.30])
TASK = {'name': 'Pick up the black bowl.', 'suite': 'libero_spatial', 'task_id': 3}
DOWN_AXIS_ANGLE = [np.pi, 0.0, 0.0]


@pytest.fixture
def goals(tmp_path: Path) -> Path:
    folder = tmp_path / 'goals' / 'libero_spatial'
    folder.mkdir(parents=True)
    picture = cv2.cvtColor(RENDERER.draw(GOAL_M), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(folder / 'pick_up_the_black_bowl.png'), picture)
    (folder / 'pick_up_the_black_bowl.yaml').write_text('gripper_closedness: 0.0\n')
    return tmp_path / 'goals'


@contextmanager
def serving(planner_or_name: Any, goals: Path, **config: Any) -> Iterator[VlaEvalServer]:
    settings = PilotConfig(**config)

    def make_pilot() -> Pilot:
        planner = planner_or_name
        if isinstance(planner, str):
            planner = make_planner(planner, 'point_mass', device='cpu')
        return Pilot(planner, GoalFolder(goals), settings)

    server = VlaEvalServer(make_pilot, settings)
    server.port = server.bind('127.0.0.1', 0)  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(10.0)
        assert not thread.is_alive()


class Client:
    """Speaks the protocol by its definition, with none of the package's code."""

    def __init__(self, port: int) -> None:
        self._closing = ExitStack()
        connecting = connect(f'ws://127.0.0.1:{port}', max_size=None)
        self.socket = self._closing.enter_context(connecting)
        self.seq = 0

    def close(self) -> None:
        self._closing.close()

    def send(self, kind: str, payload: Any) -> int:
        self.seq += 1
        message = {'type': kind, 'payload': payload, 'seq': self.seq, 'timestamp': 0.0}
        self.socket.send(msgpack.packb(message, default=self._encode))
        return self.seq

    def receive(self) -> Any:
        frame = self.socket.recv(timeout=20.0)
        return msgpack.unpackb(frame, object_hook=self._decode)

    def ask(self, kind: str, payload: Any) -> Any:
        seq = self.send(kind, payload)
        answer = self.receive()
        assert answer['seq'] == seq
        return answer

    @staticmethod
    def _encode(value: np.ndarray) -> Any:
        if value.ndim == 3 and value.dtype == np.uint8:
            data = cv2.imencode('.png', cv2.cvtColor(value, cv2.COLOR_RGB2BGR))[1].tobytes()
            return {'__image__': True, 'format': 'png', 'data': data, 'shape': list(value.shape)}
        return {
            '__ndarray__': True,
            'data': value.tobytes(),
            'dtype': value.dtype.str,
            'shape': list(value.shape),
        }

    @staticmethod
    def _decode(value: Any) -> Any:
        if '__ndarray__' in value:
            return np.frombuffer(value['data'], value['dtype']).reshape(value['shape'])
        return value


def observation_at(position_m: np.ndarray, closedness: float = 0.0) -> dict[str, Any]:
    """Return what LIBERO's adapter sends of a tool that points down: the picture mirrored."""
    fingers = 0.04 * (1.0 - closedness)
    world = position_m + ToolSense().base_in_world_m
    return {
        'images': {'agentview': np.ascontiguousarray(RENDERER.draw(position_m)[:, ::-1])},
        'task_description': TASK['name'],
        'states': np.array([*world, *DOWN_AXIS_ANGLE, fingers, -fingers]),
    }


def test_hello_says_what_is_spoken_and_wanted(goals: Path) -> None:
    with serving(FakePlanner(), goals) as server:
        client = Client(server.port)
        answer = client.ask('hello', {'harness_version': '0.8.0', 'protocol_version': 1})
        client.close()
    payload = answer['payload']
    assert answer['type'] == 'hello'
    assert payload['protocol_version'] == 1
    assert payload['observation_params'] == {'send_state': True}
    assert payload['action_spec']['rotation']['format'] == 'axis_angle'
    assert payload['observation_spec']['agentview']['format'] == 'rgb_hwc_uint8'


def test_planner_reaches_the_goal_of_the_task(goals: Path) -> None:
    """A tool that goes a quarter of what each step asks, as the benchmark's controller does."""
    with serving('cem', goals) as server:
        client = Client(server.port)
        client.ask('hello', {'protocol_version': 1})
        client.send('episode_start', {'task': TASK})
        position = START_M.copy()
        for _ in range(60):
            answer = client.ask('observation', observation_at(position))
            assert answer['type'] == 'action', answer
            action = answer['payload']['actions']
            assert action.shape == (7,) and np.abs(action).max() <= 1.0
            position += 0.25 * 0.05 * action[:3]
        client.send('episode_end', {'success': True})
        client.close()
    assert np.linalg.norm(position - GOAL_M) < 0.02


def test_planner_is_asked_once_an_action_and_the_rest_is_servo(goals: Path) -> None:
    planner = FakePlanner(
        lambda observation, goal: a_plan([0.04, 0, 0, 0, 1.0], stamp_ns=observation.stamp_ns)
    )
    with serving(planner, goals) as server:
        client = Client(server.port)
        client.send('episode_start', {'task': TASK})
        actions = [
            client.ask('observation', observation_at(START_M))['payload']['actions']
            for _ in range(6)
        ]
        near = client.ask('observation', observation_at(START_M + [0.03, 0.0, 0.0]))
        client.close()
    # 4 cm at gain 2 asks for more than 1; with 1 cm left it is 2 * 0.01 / 0.05.
    assert [action[0] for action in actions] == pytest.approx([1.0] * 6)
    assert near['payload']['actions'][0] == pytest.approx(0.4, abs=1e-6)
    assert {action[6] for action in actions} == {1.0}
    assert planner.executed_steps == [0, 1]  # 5 steps of 0.05 s an action of 0.25 s
    assert planner.calls[0] == 'reset'


def test_pictures_reach_the_planner_upright(goals: Path) -> None:
    seen = []

    def answer(observation: Any, goal: Any) -> Any:
        seen.append(observation)
        return a_plan()

    with serving(FakePlanner(answer), goals) as server:
        client = Client(server.port)
        client.send('episode_start', {'task': TASK})
        client.ask('observation', observation_at(START_M, closedness=0.5))
        client.close()
    assert np.array_equal(seen[0].images[0], RENDERER.draw(START_M))
    assert seen[0].state.position_m == pytest.approx(START_M)
    assert seen[0].state.gripper_closedness == pytest.approx(0.5)


def test_mistakes_are_error_messages_and_the_connection_lives_on(goals: Path) -> None:
    with serving(FakePlanner(), goals) as server:
        client = Client(server.port)

        def error_of(kind: str, payload: Any) -> str:
            answer = client.ask(kind, payload)
            assert answer['type'] == 'error'
            return str(answer['payload']['error'])

        assert 'protocol_version 2' in error_of('hello', {'protocol_version': 2})
        assert 'episode_start' in error_of('observation', observation_at(START_M))
        assert 'no task' in error_of('episode_start', {})
        unknown = error_of('episode_start', {'task': {**TASK, 'name': 'x', 'task_id': 9}})
        assert '[103]' in unknown and 'libero_spatial/pick_up_the_black_bowl' in unknown
        client.send('episode_start', {'task': TASK})
        blind = {**observation_at(START_M), 'images': {'front': RENDERER.draw(START_M)}}
        assert "'agentview'" in error_of('observation', blind)
        numb = {k: v for k, v in observation_at(START_M).items() if k != 'states'}
        assert 'send_state' in error_of('observation', numb)
        assert 'valid from a client' in error_of('action', {})
        client.socket.send('text')
        assert 'text frame' in client.receive()['payload']['error']
        client.socket.send(b'\xc1')
        assert 'no message' in client.receive()['payload']['error']
        objects = {'__ndarray__': True, 'data': b'', 'dtype': 'O', 'shape': [0]}
        client.socket.send(msgpack.packb({'type': 'hello', 'payload': objects, 'seq': 1}))
        assert 'dtype object' in client.receive()['payload']['error']
        assert client.ask('observation', observation_at(START_M))['type'] == 'action'
        client.close()


def test_planner_that_fails_is_an_error_message(goals: Path) -> None:
    def answer(observation: Any, goal: Any) -> Any:
        raise ArithmeticError('lost it')

    with serving(FakePlanner(answer), goals) as server:
        client = Client(server.port)
        client.send('episode_start', {'task': TASK})
        answer_ = client.ask('observation', observation_at(START_M))
        client.close()
    assert answer_['type'] == 'error'
    assert answer_['payload']['error'] == 'observation_failed: [901] ArithmeticError: lost it'


def test_second_episode_at_a_time_is_refused(goals: Path) -> None:
    with serving(FakePlanner(), goals) as server:
        first, second = Client(server.port), Client(server.port)
        first.send('episode_start', {'task': TASK})
        assert first.ask('observation', observation_at(START_M))['type'] == 'action'
        refusal = second.ask('episode_start', {'task': TASK})
        assert 'busy' in refusal['payload']['error']
        first.send('episode_end', {})
        first.ask('hello', {'protocol_version': 1})  # so that the end has been handled
        second.send('episode_start', {'task': TASK})
        assert second.ask('observation', observation_at(START_M))['type'] == 'action'
        first.close()
        second.close()


def test_http_control_plane(goals: Path) -> None:
    with serving(FakePlanner(), goals) as server:
        base = f'http://127.0.0.1:{server.port}'
        with urlopen(f'{base}/health', timeout=10) as response:
            assert response.headers['Content-Type'] == 'application/json'
            assert json.load(response) == {'status': 'ok'}
        with urlopen(f'{base}/config', timeout=10) as response:
            assert json.load(response) == {'applied': {}, 'config': {}}
        with pytest.raises(HTTPError, match='422') as caught:
            urlopen(f'{base}/config?max_batch_size=8', timeout=10)
        assert json.load(caught.value) == {'errors': ['unknown key: max_batch_size']}


def test_harness_own_connection_is_served(goals: Path) -> None:
    connection_module = pytest.importorskip(
        'vla_eval.connection', reason='vla-eval is not installed (pip install vla-eval)'
    )

    async def episode(port: int) -> tuple[Any, Any]:
        connection = connection_module.Connection(f'ws://127.0.0.1:{port}', timeout=20.0)
        await connection.connect(benchmark='libero')
        await connection.start_episode({'task': TASK})
        action = await connection.act(observation_at(START_M))
        await connection.end_episode({'success': False})
        await connection.close()
        return connection.server_info, action

    with serving('cem', goals) as server:
        info, action = asyncio.run(episode(server.port))
    assert info['model_server'] == 'wm_planner'
    toward = GOAL_M - START_M
    assert action['actions'].shape == (7,)
    assert float(action['actions'][:3] @ toward) > 0.0


def test_harness_accepts_the_specs(goals: Path) -> None:
    specs = pytest.importorskip('vla_eval.specs', reason='vla-eval is not installed')
    with serving(FakePlanner(), goals) as server:
        hello = server.hello()
    ours = {key: specs.DimSpec.from_dict(dict(v)) for key, v in hello['action_spec'].items()}
    sees = {key: specs.DimSpec.from_dict(dict(v)) for key, v in hello['observation_spec'].items()}
    libero_takes = {
        'position': specs.POSITION_DELTA,
        'rotation': specs.ROTATION_AA,
        'gripper': specs.GRIPPER_CLOSE_POS,
    }
    libero_shows = {'agentview': specs.IMAGE_RGB, 'state': specs.STATE_EEF_POS_AA_GRIP}
    assert specs.check_specs(ours, libero_takes, sees, libero_shows) == []


def test_goals_are_found_by_name_number_or_without_suite(goals: Path) -> None:
    picture = (goals / 'libero_spatial' / 'pick_up_the_black_bowl.png').read_bytes()
    (goals / 'libero_spatial' / '7.png').write_bytes(picture)
    (goals / 'Open The Drawer.png').write_bytes(picture)
    folder = GoalFolder(goals)
    assert folder.find(TASK).gripper_closedness == 0.0
    assert folder.find({'name': 'x', 'suite': 'libero spatial', 'task_id': 7}).goal_id.endswith('7')
    assert folder.find({'name': 'open the drawer', 'suite': 'y'}).gripper_closedness is None
    assert slug('Put the bowl, on top!') == 'put_the_bowl_on_top'


def test_goal_folder_says_what_is_wrong(goals: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match='SUITE/TASK.png'):
        GoalFolder(tmp_path / 'nothing')
    folder = GoalFolder(goals)
    with pytest.raises(UnknownNameError, match='Did you mean'):
        folder.find({'suite': 'libero_spatial', 'name': 'pick up the black bowls'})
    details = goals / 'libero_spatial' / 'pick_up_the_black_bowl.yaml'
    for text in ('closedness: 1', 'gripper_closedness: open', '- 1', 'gripper_closedness: 3.0'):
        details.write_text(text)
        with pytest.raises(InvalidGoalError):
            folder.find(TASK)
    (goals / 'libero_spatial' / 'pick_up_the_black_bowl.png').write_bytes(b'no picture')
    with pytest.raises(InvalidGoalError, match='no picture'):
        folder.find(TASK)


def test_command_serves_until_it_is_told_to_stop(goals: Path) -> None:
    command = [sys.executable, '-m', 'wm_planner.tools.cli', 'serve', 'vla-eval']
    options = ['--goals', str(goals), '--model', 'point_mass', '--planner', 'noop', '--port', '0']
    process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r'ws://127\.0\.0\.1:(\d+)', process.stdout.readline())
        assert found
        with urlopen(f'http://127.0.0.1:{found[1]}/health', timeout=10) as response:
            assert response.status == 200
        client = Client(int(found[1]))
        client.send('episode_start', {'task': TASK})
        answer = client.ask('observation', observation_at(START_M))
        assert answer['payload']['actions'].tolist() == pytest.approx([0.0] * 6 + [-1.0], abs=1e-5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20.0) == 0
        assert process.stdout.read() == 'stopped\n'
    finally:
        process.kill()
        process.wait()
