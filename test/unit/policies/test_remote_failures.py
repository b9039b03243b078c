# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever a policy server does wrong is a numbered error, soon, and the next episode goes on."""

from __future__ import annotations

from dataclasses import replace
import threading
import time

import numpy as np
import pytest

from fakes.policy_servers import Die, Drop, Fail, Raw, Stall, free_port
from fakes.policy_servers_rigs import KINDS, a_client, a_seen, policy_rig
from fakes.values import a_goal
from fakes.waiting import wait_for
from wm_planner.core.errors import (
    InvalidGoalError,
    MissingAssetError,
    NoDataError,
    PlannerFailedError,
    PlannerTimeoutError,
    WmPlannerError,
)
from wm_planner.policies import wire

ALL = tuple(KINDS)
WITH_CHUNKS = ('openpi', 'gr00t', 'dreamzero')
WITH_WRIST = ('openpi', 'gr00t', 'dreamzero')


class Script:
    """Answers as listed, then as the first entry for ever."""

    def __init__(self, kind: str, *entries) -> None:
        self.chunk = KINDS[kind].chunk()
        self.entries = list(entries)

    def __call__(self, request):
        entry = self.entries.pop(0) if self.entries else self.chunk
        if isinstance(entry, Exception):
            raise entry
        return self.chunk if entry is None else entry


def planned(client, **more):
    return client.plan(a_seen(), a_goal(), **more)


def failure(client, **more) -> WmPlannerError:
    with pytest.raises(WmPlannerError) as caught:
        planned(client, **more)
    return caught.value


@pytest.mark.parametrize('kind', ALL)
def test_absent_server_is_an_error_after_bounded_attempts(kind: str) -> None:
    port = free_port()
    client = a_client(kind, port, connect_timeout_s=0.1)
    begin = time.monotonic()
    error = failure(client)
    assert error.code == PlannerFailedError.code
    assert f'127.0.0.1:{port}' in error.message and '2 attempts' in error.message
    assert time.monotonic() - begin < 5.0


@pytest.mark.parametrize('kind', ALL)
def test_server_that_dies_mid_episode_is_an_error(kind: str) -> None:
    script = Script(kind, None, Die())
    with policy_rig(kind, script, timeout_s=0.3, first_timeout_s=0.3, connect_timeout_s=0.2) as (
        client,
        _,
    ):
        planned(client)
        error = failure(client, executed_steps=99)
        assert error.code in (PlannerFailedError.code, PlannerTimeoutError.code)
        assert failure(client).code == PlannerFailedError.code


@pytest.mark.parametrize('kind', ALL)
def test_server_that_comes_back_is_used_again(kind: str) -> None:
    port = free_port()
    kinds = KINDS[kind]
    client = a_client(kind, port, timeout_s=0.5)
    for _ in range(2):
        with kinds.serve(lambda request: kinds.put(kinds.chunk()), port=port):
            client.reset()
            assert planned(client).horizon >= 1
    client.close()


@pytest.mark.parametrize('kind', ['openpi'])
def test_lost_connection_is_made_again_within_a_plan(kind: str) -> None:
    with policy_rig(kind, Script(kind, None, Drop())) as (client, server):
        planned(client)
        planned(client, executed_steps=99)
        assert server.connections == 2


def test_dreamzero_is_not_asked_twice_in_an_episode_it_has_forgotten() -> None:
    with policy_rig('dreamzero', Script('dreamzero', None, Drop())) as (client, server):
        planned(client)
        assert 'dropped the connection' in failure(client, executed_steps=99).message
        planned(client)
        assert [request['endpoint'] for request in server.requests] == [
            'reset',
            'infer',
            'infer',
            'reset',
            'infer',
        ]


@pytest.mark.parametrize('kind', ALL)
def test_stalling_server_is_given_up_and_its_late_answer_never_used(kind: str) -> None:
    script = Script(kind, None, Stall())
    with policy_rig(kind, script, timeout_s=0.2) as (client, _):
        planned(client)
        error = failure(client, executed_steps=99)
        assert error.code == PlannerTimeoutError.code
        assert '0.2 s' in error.message
        assert not client._transport.is_open


@pytest.mark.parametrize('kind', ALL)
def test_answers_with_nan_are_refused(kind: str) -> None:
    chunk = KINDS[kind].chunk().copy()
    chunk[0, 3] = np.nan
    with policy_rig(kind, Script(kind, chunk)) as (client, _):
        error = failure(client)
        assert error.code == PlannerFailedError.code
        assert 'NaN' in error.message and 'valid' in error.message
        assert planned(client).horizon >= 1


@pytest.mark.parametrize('kind', ['openpi', 'openvla', 'dreamzero'])
@pytest.mark.parametrize('width', [5, 9])
def test_answers_of_another_width_are_refused(kind: str, width: int) -> None:
    """A joint-space policy answers with 8 numbers: read as deltas they would throw the arm."""
    with policy_rig(kind, Script(kind, np.zeros((4, width)))) as (client, _):
        error = failure(client)
        assert error.code == PlannerFailedError.code
        assert f'shape [{1 if kind == "openvla" else 4}, {width}]' in error.message


@pytest.mark.parametrize('kind', WITH_CHUNKS)
def test_empty_chunk_is_refused(kind: str) -> None:
    with policy_rig(kind, Script(kind, KINDS[kind].chunk()[:0])) as (client, _):
        assert failure(client).code == PlannerFailedError.code


@pytest.mark.parametrize('kind', ALL)
def test_failure_that_the_server_reports_is_passed_on(kind: str) -> None:
    text = 'error' if kind == 'openvla' else 'KeyError: observation/wrist'
    with policy_rig(kind, Script(kind, Fail(text))) as (client, _):
        error = failure(client)
        assert error.code == PlannerFailedError.code
        assert text in error.message
        assert planned(client).horizon >= 1


def test_http_status_of_openvla_is_passed_on() -> None:
    with policy_rig('openvla', Script('openvla', Fail('out of memory'))) as (client, _):
        assert '500 out of memory' in failure(client).message


@pytest.mark.parametrize('kind', ALL)
@pytest.mark.parametrize('content', [b'\xc1 no message', b''])
def test_babble_is_refused(kind: str, content: bytes) -> None:
    if kind == 'openvla':
        content = content.decode('latin-1').encode()
    with policy_rig(kind, Script(kind, Raw(content))) as (client, _):
        assert failure(client).code == PlannerFailedError.code
        assert planned(client).horizon >= 1


@pytest.mark.parametrize('kind', WITH_CHUNKS)
def test_arrays_of_objects_are_refused(kind: str) -> None:
    """Pickles travel in such arrays, and loading one runs code."""
    objects = np.array([['x' * 3] * 7])
    with policy_rig(kind, Script(kind, objects)) as (client, _):
        assert failure(client).code == PlannerFailedError.code


@pytest.mark.parametrize('kind', WITH_WRIST)
def test_missing_wrist_image_is_an_error_and_never_black(kind: str) -> None:
    with (
        policy_rig(kind) as (client, _),
        pytest.raises(NoDataError, match='use_wrist_image'),
    ):
        client.plan(a_seen(wrist_image=None), a_goal())
    with policy_rig(kind, use_wrist_image=False) as (client, server):
        client.plan(a_seen(wrist_image=None), a_goal())
        assert 'wrist' not in str(server.requests[-1])


@pytest.mark.parametrize('kind', ALL)
def test_missing_instruction_is_an_error(kind: str) -> None:
    with policy_rig(kind, instruction='') as (client, server):
        with pytest.raises(InvalidGoalError, match=r'planning\.instruction'):
            planned(client)
        client.set_instruction('open the drawer')
        planned(client)
        assert 'open the drawer' in str(server.requests[-1])


@pytest.mark.parametrize('kind', ALL)
def test_stop_ends_a_plan_in_progress(kind: str) -> None:
    script = Script(kind, Stall())
    with policy_rig(kind, script, first_timeout_s=60.0) as (client, server):
        errors: list[WmPlannerError] = []
        thread = threading.Thread(target=lambda: errors.append(failure(client)))
        thread.start()
        wait_for(lambda: any('pick up' in str(request) for request in server.requests))
        client.request_stop()
        thread.join(5.0)
        assert not thread.is_alive()
        assert errors[0].code == PlannerFailedError.code and 'stopped' in errors[0].message


def test_library_that_is_missing_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(f'No module named {name!r}')

    monkeypatch.setattr(wire.importlib, 'import_module', absent)
    for kind in ('openpi', 'gr00t', 'dreamzero'):
        with pytest.raises(MissingAssetError, match=r"pip install 'wm_planner\[policies\]'"):
            a_client(kind, 1)


def test_dreamzero_refuses_what_the_server_wants_and_cannot_have() -> None:
    two = {'n_external_cameras': 2, 'action_space': 'joint_position'}
    velocity = {'n_external_cameras': 1, 'action_space': 'joint_velocity'}
    from fakes.policy_servers import openpi_server

    for metadata, sentence in ((two, 'second_camera=repeat'), (velocity, 'joint_position')):
        with openpi_server(lambda request: 'reset successful', metadata=metadata) as server:
            client = a_client('dreamzero', server.port)
            assert sentence in failure(client).message
            assert not server.requests


def test_dreamzero_refuses_joints_that_do_not_fit_the_tool() -> None:
    with policy_rig('dreamzero') as (client, _):
        with pytest.raises(NoDataError, match='7 joint positions'):
            client.plan(a_seen(joints_rad=None), a_goal())
        with pytest.raises(PlannerFailedError, match='link 0'):
            client.plan(a_seen(joints_rad=np.zeros(7)), a_goal())


@pytest.mark.parametrize('kind', ['openpi', 'dreamzero'])
def test_server_of_another_kind_is_recognised(kind: str) -> None:
    from fakes.policy_servers import openpi_server

    with openpi_server(lambda request: None, metadata=['hello']) as server:
        assert 'first frame' in failure(a_client(kind, server.port)).message


def test_groot_token_is_checked_by_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    from fakes.policy_servers import groot_server

    kind = KINDS['gr00t']
    with groot_server(lambda data: kind.put(kind.chunk()), token='secret') as server:
        client = a_client('gr00t', server.port)
        assert 'Unauthorized' in failure(client).message
        client.close()
        client = a_client('gr00t', server.port, api_token='secret')
        assert planned(client).horizon == 8
        client.close()
        monkeypatch.setenv('WM_PLANNER_API_TOKEN', 'secret')
        client = a_client('gr00t', server.port)
        assert planned(client).horizon == 8
        client.close()


def test_observation_is_not_needed_to_be_square() -> None:
    wide = replace(a_seen(), images=np.zeros((1, 48, 64, 3), np.uint8))
    with policy_rig('openpi') as (client, server):
        client.plan(wide, a_goal())
        assert server.requests[-1]['observation/image'].shape == (224, 224, 3)
