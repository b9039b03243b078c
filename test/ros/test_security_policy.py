# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The shipped SROS 2 policy lists what the live nodes talk on: no more, no less."""

from __future__ import annotations

import os
from pathlib import Path
import subprocess
import sys

import pytest
import rclpy

from fakes.waiting import wait_for
from wm_planner.bringup import profile
from wm_planner.core.errors import InvalidParameterError
from wm_planner.core.paths import share_file
from wm_planner.ros.security_policy import (
    ENCLAVE_ROOT,
    NodeInterface,
    interface_of,
    policy_interfaces,
    policy_text,
)
from wm_planner.tools.live_graph import GraphConfig, LiveGraph

NODES = ('wm_planner', 'sim_bridge', 'recorder')
REGENERATE = 'regenerate it: ./dev run python docs/generate_policy.py'


def shipped() -> dict[str, NodeInterface]:
    return policy_interfaces(share_file('config/sros2/policy.xml').read_text())


def test_policy_lists_exactly_what_the_nodes_talk_on(tmp_path: Path) -> None:
    allowed = shipped()
    assert set(allowed) == set(NODES)
    domain = os.environ.get('ROS_DOMAIN_ID')
    arguments = {'record': 'true', 'bag_dir': str(tmp_path)}
    try:
        with LiveGraph(GraphConfig(arguments=arguments)) as graph:
            graph.wait_until_ready()
            context = rclpy.Context()
            rclpy.init(context=context)
            observer = rclpy.create_node('policy_test', context=context)

            def now(name: str) -> NodeInterface:
                names = {found for found, _ in observer.get_node_names_and_namespaces()}
                return interface_of(observer, name) if name in names else NodeInterface()

            try:
                for name in NODES:
                    wait_for(
                        lambda name=name: now(name) == allowed[name],
                        timeout_s=30.0,
                        interval_s=0.2,
                        what=f'{name} of the policy ({REGENERATE})',
                    )
            finally:
                live = {name: now(name) for name in NODES}
                observer.destroy_node()
                rclpy.try_shutdown(context=context)
    finally:
        if domain is None:
            os.environ.pop('ROS_DOMAIN_ID', None)
        else:
            os.environ['ROS_DOMAIN_ID'] = domain
    assert live == allowed, REGENERATE


def test_only_the_planner_may_command_and_be_told() -> None:
    allowed = shipped()
    senders = [name for name, has in allowed.items() if '/target_pose' in has.publish]
    assert senders == ['wm_planner']
    assert '/wm_planner/enable' in allowed['wm_planner'].reply
    assert not any('/wm_planner/enable' in has.request for has in allowed.values())
    assert allowed['wm_planner'].execute == {'/wm_planner/reach_goal'}


def test_policy_round_trip() -> None:
    given = {
        'a': NodeInterface(
            publish=frozenset({'/x', '/y'}),
            subscribe=frozenset({'/z'}),
            reply=frozenset({'/a/s'}),
            request=frozenset({'/b/s'}),
            execute=frozenset({'/a/act'}),
            call=frozenset({'/b/act'}),
        ),
        'b': NodeInterface(),
    }
    assert policy_interfaces(policy_text(given)) == given
    for wrong in ('<policy', '<policy version="0.1.0"/>', '<other version="0.2.0"/>'):
        with pytest.raises(InvalidParameterError):
            policy_interfaces(wrong)


def test_nodes_go_into_their_enclaves_when_security_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = profile('sim').resolve({'record': 'true'})
    assert not any('--enclave' in node.ros_arguments() for node in nodes)
    monkeypatch.setenv('ROS_SECURITY_ENABLE', 'true')
    for node in nodes:
        arguments = node.ros_arguments()
        assert arguments[arguments.index('--enclave') + 1] == f'{ENCLAVE_ROOT}/{node.name}'
    monkeypatch.setenv('ROS_SECURITY_ENCLAVE_OVERRIDE', '/mine')
    assert not any('--enclave' in node.ros_arguments() for node in nodes)


def test_with_enforced_security_a_node_without_keys_does_not_start(tmp_path: Path) -> None:
    secure = {
        'ROS_SECURITY_ENABLE': 'true',
        'ROS_SECURITY_STRATEGY': 'Enforce',
        'ROS_SECURITY_KEYSTORE': str(tmp_path),
    }
    code = 'import sys; from wm_planner.ros.recorder_node import main; sys.exit(main(sys.argv[1:]))'
    done = subprocess.run(
        [sys.executable, '-c', code, '--ros-args', '--enclave', f'{ENCLAVE_ROOT}/recorder'],
        env={**os.environ, **secure},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert 'SECURITY ERROR' in done.stderr and 'enclaves/wm_planner/recorder' in done.stderr
