# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""A sweep with a policy on a server: the bad episode fails with its reason, the rest goes on."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from fakes.loopback_env import LoopbackEnv
from fakes.policy_servers import Drop, Fail, Stall
from fakes.policy_servers_rigs import osc_chunk, policy_rig
from wm_planner.control.safety import SafetyConfig, SafetyFilter
from wm_planner.core.profile import RobotProfile
from wm_planner.core.types import ArmCommand, EpisodeStart, StepResult
from wm_planner.evaluation.direct import DirectRunner
from wm_planner.evaluation.environments import SuiteName
from wm_planner.evaluation.runner import EpisodeSpec, EvaluationConfig

SUITE = SuiteName('loopback', 'reach')
NAN = osc_chunk()
NAN[0, 0] = np.nan


class Log(LoopbackEnv):
    """Keeps the commands of each episode."""

    def __init__(self) -> None:
        self.commands: list[list[ArmCommand]] = []
        super().__init__()

    def reset(self, suite: str, *, seed: int, episode: int) -> EpisodeStart:
        self.commands.append([])
        return super().reset(suite, seed=seed, episode=episode)

    def step(self, command: ArmCommand, duration_s: float) -> StepResult:
        self.commands[-1].append(command)
        return super().step(command, duration_s)


@pytest.mark.parametrize(
    ('mischief', 'code', 'sentence'),
    [
        (NAN, 304, 'NaN'),
        (np.zeros((4, 8)), 304, r'shape \[4, 8\]'),
        (Fail('RuntimeError: out of memory'), 304, 'out of memory'),
        (Stall(), 305, r'nothing came within 0\.3 s'),
        (Drop(), None, ''),
    ],
    ids=['nan', 'shape', 'error', 'stall', 'drop'],
)
def test_second_of_three_episodes_fails_and_the_third_is_run(
    mischief: Any, code: int | None, sentence: str
) -> None:
    environment = Log()
    asked_in: list[int] = []

    def answer(request: Any) -> Any:
        episode = len(environment.commands) - 1
        asked_in.append(episode)
        if episode == 1 and asked_in.count(1) == 2:  # its second chunk
            if isinstance(mischief, Exception):
                raise mischief
            return mischief
        return osc_chunk()

    with policy_rig(
        'openpi', answer, execute_steps=2, use_wrist_image=False, timeout_s=0.3, instruction='go'
    ) as (policy, server):
        runner = DirectRunner(
            environment=environment,
            planner=policy,
            safety=SafetyFilter(
                RobotProfile(name='any', base_frame='base', tool_frame='tool'), SafetyConfig()
            ),
            planner_name='openpi',
            model_name='none',
            config=EvaluationConfig(episodes=3),
        )
        records = [
            runner.run(EpisodeSpec(suite=SUITE, seed=0, episode=episode)) for episode in range(3)
        ]
    whole = len(environment.commands[0])
    assert whole > 4 and len(environment.commands[2]) == whole
    assert [records[0].error_code, records[2].error_code] == [0, 0]
    if code is None:  # a lost connection is made again, and nothing is lost
        assert server.connections == 2
        assert records[1].error_code == 0
        return
    assert (records[1].termination, records[1].error_code) == ('planner_failed', code)
    assert not records[1].success
    assert re.search(sentence, records[1].message)
    assert len(environment.commands[1]) == 2  # nothing was sent after the first chunk
