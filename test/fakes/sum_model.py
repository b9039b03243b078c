# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""A world model of one line, and a planner on it whose clock is in the test's hand."""

from __future__ import annotations

import math

import torch

from fakes.clock import ManualClock
from fakes.values import SPEC
from wm_planner.core.errors import InvalidImageError
from wm_planner.planning.cem import CemConfig, CemOptimizer
from wm_planner.planning.objectives import ObjectiveConfig, make_objective
from wm_planner.planning.planner import PlannerConfig, WorldModelPlanner


class SumModel:
    """Latent = brightness of the picture plus the sum of all deltas so far, N = 1, D = 3."""

    action_spec = SPEC
    context_frames = 1
    goal_tolerance = 0.25

    def __init__(self, clock=None, rollout_s=0.0, sample_s=0.0):
        self.encoded_goals = []
        self.rollout_sizes = []
        self.broken = math.nan
        self.break_observation = self.break_goal = self.break_rollout = False
        self._clock, self._rollout_s, self._sample_s = clock, rollout_s, sample_s

    def encode(self, observation):
        value = self.broken if self.break_observation else float(observation.images[-1].mean())
        return torch.full((3,), value / 1000.0)

    def current(self, state):
        return state.unsqueeze(0)

    def encode_goal(self, goal):
        self.encoded_goals.append(goal.goal_id)
        if goal.image.max() == 0:
            raise InvalidImageError('black')
        value = self.broken if self.break_goal else float(goal.image.mean())
        return torch.full((1, 3), value / 1000.0)

    def rollout(self, state, actions):
        self.rollout_sizes.append(actions.shape[0])
        if self._clock is not None:
            self._clock.advance(self._rollout_s + self._sample_s * actions.shape[0])
        predicted = state + actions[:, :, :3].cumsum(dim=1)
        return (predicted * (self.broken if self.break_rollout else 1.0)).unsqueeze(2)


def planner_on(model, *, clock=None, cem=None, **config):
    settings = {'num_samples': 64, 'num_elites': 8, 'num_iterations': 6, 'horizon': 3}
    optimizer = CemOptimizer(CemConfig(**{**settings, **(cem or {})}), device='cpu')
    return WorldModelPlanner(
        model,
        make_objective(ObjectiveConfig(step_weight=0.5), horizon=optimizer.horizon),
        optimizer,
        PlannerConfig(**config),
        device='cpu',
        monotonic_ns=(clock or ManualClock()).monotonic_ns,
    )
