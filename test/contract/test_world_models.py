# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Every registered world model against the WorldModel protocol."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fakes.values import a_goal, a_state, an_observation
from fakes.vjepa2 import write_tiny_weights
from wm_planner.core.errors import InvalidImageError
from wm_planner.core.protocols import WorldModel
from wm_planner.core.types import ActionSpec, Goal, Observation
from wm_planner.models.point_mass import PointMassConfig, PointMassRenderer
from wm_planner.models.registry import MODELS, load_model
from wm_planner.planning.registry import OPTIMIZERS, planning_config

GENERATOR = torch.Generator().manual_seed(0)


def pictures(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return two pictures that the model understands; any will do for a learned one."""
    if name == 'point_mass':
        renderer = PointMassRenderer(PointMassConfig())
        return renderer.draw([0.4, 0.1, 0.2], yaw_rad=0.3), renderer.draw([0.6, -0.2, 0.4])
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    first, second = coarse.repeat(8, axis=1).repeat(8, axis=2)
    return first, second


@pytest.fixture(scope='module', params=MODELS.names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope='module')
def model(name: str, tmp_path_factory: pytest.TempPathFactory) -> WorldModel:
    """Return the model; where no weights ship, with small seeded ones."""
    settings = {}
    if name == 'vjepa2_ac':
        path = tmp_path_factory.mktemp(name) / 'tiny.safetensors'
        settings['weights'] = str(write_tiny_weights(path))
    return load_model(name, settings, device='cpu')


@pytest.fixture
def observation(name: str, model: WorldModel) -> Observation:
    step_ns = round(model.action_spec.step_duration_s * 1e9)
    stamps = [step * step_ns for step in range(model.context_frames)]
    return an_observation(*stamps, image=pictures(name)[0])


@pytest.fixture
def goal(name: str) -> Goal:
    return a_goal(image=pictures(name)[1])


def some_actions(spec: ActionSpec, samples: int, horizon: int) -> torch.Tensor:
    low, high = torch.tensor(spec.low).float(), torch.tensor(spec.high).float()
    return low + (high - low) * torch.rand((samples, horizon, spec.size), generator=GENERATOR)


def test_follows_the_protocol(model: WorldModel) -> None:
    assert isinstance(model, WorldModel)
    assert isinstance(model.action_spec, ActionSpec)
    assert model.context_frames >= 1
    assert math.isnan(model.goal_tolerance) or model.goal_tolerance > 0.0


def test_latents_have_one_shape(model: WorldModel, observation: Observation, goal: Goal) -> None:
    state, goal_latent = model.encode(observation), model.encode_goal(goal)
    tokens, width = goal_latent.shape
    assert model.current(state).shape == (tokens, width)
    predicted = model.rollout(state, some_actions(model.action_spec, 5, 4))
    assert predicted.shape == (5, 4, tokens, width)
    assert predicted.dtype == goal_latent.dtype
    assert not predicted.requires_grad
    assert bool(torch.isfinite(predicted).all())


def test_sample_does_not_depend_on_the_others(model: WorldModel, observation: Observation) -> None:
    state, actions = model.encode(observation), some_actions(model.action_spec, 6, 2)
    batch = model.rollout(state, actions)
    for row in range(6):
        alone = model.rollout(state, actions[row : row + 1])[0]
        assert torch.allclose(batch[row], alone, atol=1e-5)


def test_action_changes_its_own_step_and_later_ones_only(
    model: WorldModel, observation: Observation
) -> None:
    state = model.encode(observation)
    actions = some_actions(model.action_spec, 1, 4)
    changed = actions.clone()
    changed[:, 2, 0] = -changed[:, 2, 0] + 0.01
    before, after = model.rollout(state, actions), model.rollout(state, changed)
    assert torch.allclose(before[:, :2], after[:, :2], atol=1e-6)
    assert not torch.allclose(before[:, 2], after[:, 2], atol=1e-6)
    assert not torch.allclose(before[:, 3], after[:, 3], atol=1e-6)


def test_same_picture_has_the_same_latent_now_and_as_a_goal(
    name: str, model: WorldModel, observation: Observation
) -> None:
    goal = a_goal(image=pictures(name)[0])
    current = model.current(model.encode(observation))
    assert torch.allclose(current, model.encode_goal(goal), atol=1e-5)


def test_pictures_differ_by_more_than_the_tolerance(
    model: WorldModel, observation: Observation, goal: Goal
) -> None:
    difference = model.current(model.encode(observation)) - model.encode_goal(goal)
    if not math.isnan(model.goal_tolerance):
        assert float(difference.square().mean()) > model.goal_tolerance


def test_encoding_is_repeatable(model: WorldModel, observation: Observation) -> None:
    actions = some_actions(model.action_spec, 2, 2)
    first = model.rollout(model.encode(observation), actions)
    assert torch.equal(first, model.rollout(model.encode(observation), actions))


def test_picture_of_nothing_is_no_goal(model: WorldModel) -> None:
    with pytest.raises(InvalidImageError, match='valid'):
        model.encode_goal(a_goal(image=np.full((128, 128, 3), 127, np.uint8)))


def test_robot_state_is_not_seen(model: WorldModel, observation: Observation) -> None:
    """A goal is a picture: what is compared with it must not change with what the state says.

    How the scene goes on under actions may.
    """
    moved = Observation(
        images=observation.images,
        image_stamps_ns=observation.image_stamps_ns,
        states=(a_state((0.9, 0.9, 0.9)),) * len(observation.states),
    )
    assert torch.equal(model.current(model.encode(observation)), model.current(model.encode(moved)))


@pytest.mark.parametrize('optimizer', OPTIMIZERS.names())
def test_planning_defaults_are_valid_settings(name: str, optimizer: str) -> None:
    config = planning_config(optimizer, defaults=MODELS.get(name).planning_defaults)
    assert config.objective.weights(config.optimizer.horizon)
