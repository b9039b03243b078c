# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Bridge processes that are broken on purpose, each alone in its graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('mujoco', reason='mujoco is not installed')

from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402
from rcl_interfaces.srv import GetParameters  # noqa: E402

from fakes.bridge_client import BridgeClient  # noqa: E402
from fakes.node_process import NodeProcess  # noqa: E402
from wm_planner_msgs.srv import ResetEpisode  # noqa: E402

MODULE = 'wm_planner_sim.bridge_node'


def test_executor_answers_while_an_episode_is_being_made(tmp_path: Path) -> None:
    may_go_on = tmp_path / 'go'
    prelude = (
        'import os, time\n'
        'from wm_planner_sim.suites import TabletopEnvironment\n'
        'good = TabletopEnvironment.reset\n'
        'def reset(self, suite, **which):\n'
        f'    while not os.path.exists({str(may_go_on)!r}): time.sleep(0.01)\n'
        '    return good(self, suite, **which)\n'
        'TabletopEnvironment.reset = reset'
    )
    with NodeProcess(MODULE, 'sim_bridge', prelude=prelude) as process:
        process.wait_for_output('tabletop runs')
        client = BridgeClient()
        answer = client.services['reset'].call_async(
            ResetEpisode.Request(suite='reach', seed=0, episode=0)
        )
        parameters = client.node.create_client(GetParameters, '/sim_bridge/get_parameters')
        assert parameters.wait_for_service(timeout_sec=120.0)
        other = parameters.call_async(GetParameters.Request(names=['realtime_factor']))
        client.spin_until(other.done, 'the parameter')
        assert other.result().values[0].double_value == 1.0
        assert not answer.done(), answer.result()
        may_go_on.touch()
        client.spin_until(answer.done, 'the episode')
        assert answer.result().success
        client.close()
        assert process.stop() == 0


def test_dead_simulation_is_stated_and_ends_the_process() -> None:
    prelude = (
        'from wm_planner_sim.tabletop import TabletopSim\n'
        'def set_target(self, command):\n'
        '    assert command.position_m[0] < 0.7, "physics broke"\n'
        'TabletopSim.set_target = set_target'
    )
    with NodeProcess(MODULE, 'sim_bridge', prelude=prelude) as process:
        process.wait_for_output('tabletop runs')
        client = BridgeClient()
        client.spin_until(
            lambda: client.send((0.75, 0.0, 0.3)) or client.newest('status').error_code == 901,
            'the failure',
        )
        assert 'physics broke' in client.newest('status').message
        assert process.wait() == 1
        assert 'the simulation died' in process.output
        assert client.newest('status').failed
        client.spin_until(
            lambda: any(
                s.level == DiagnosticStatus.ERROR
                for m in client.seen['diagnostics']
                for s in m.status
            ),
            'the error in the diagnostics',
        )
        client.close()


@pytest.mark.parametrize(
    ('parameters', 'words'),
    [
        ({'realtime_factor': -1.0}, 'realtime_factor is -1.0; valid'),
        ({'exterior_rate': 5.0}, "unknown parameter 'exterior_rate'"),
    ],
)
def test_bad_parameter_ends_the_process_with_the_valid_values(
    parameters: dict[str, Any], words: str
) -> None:
    with NodeProcess(MODULE, 'sim_bridge', **parameters) as process:
        assert process.wait() == 2
        assert words in process.output
