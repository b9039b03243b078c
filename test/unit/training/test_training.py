# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Losses, datasets and the trainer, on a toy world made here (no simulator, no shipped weights)."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
import torch

from wm_planner.core.errors import InvalidActionError, InvalidParameterError, UnknownNameError
from wm_planner.core.types import ActionSpec
from wm_planner.models.tabletop.config import TabletopModelConfig
from wm_planner.models.tabletop.network import TabletopNetwork
from wm_planner.training.check import calibrate_tolerance, object_probe_error
from wm_planner.training.datasets import Dataset, collect, episode_path, make_collector
from wm_planner.training.decoder import DecoderTrainer, DecoderTrainingConfig, measure_decoder
from wm_planner.training.episode import Episode
from wm_planner.training.losses import sigreg
from wm_planner.training.trainer import Trainer, TrainingConfig

SPEC = ActionSpec(
    low=np.array([-0.1, -0.1]), high=np.array([0.1, 0.1]), names=('dx', 'dy'), step_duration_s=0.25
)
SMALL = TabletopModelConfig(
    image_size=32,
    channels=8,
    hidden=32,
    latent_size=8,
    predictor_width=16,
    predictor_blocks=1,
    readouts=2,
    actions=2,
)


def _toy_dataset(episodes: int = 6, steps: int = 8) -> Dataset:
    """Return a white dot that actions move over a black picture."""
    rng = np.random.default_rng(0)
    images = np.zeros((episodes, steps + 1, 32, 32, 3), np.uint8)
    actions = rng.uniform(-0.1, 0.1, (episodes, steps, 2)).astype(np.float32)
    readouts = np.full((episodes, steps + 1, 2), 0.5, np.float32)
    for step in range(steps):
        readouts[:, step + 1] = np.clip(readouts[:, step] + actions[:, step], 0.1, 0.9)
    for episode in range(episodes):
        for step in range(steps + 1):
            column, row = (readouts[episode, step] * 31).astype(int)
            images[episode, step, row - 2 : row + 3, column - 2 : column + 3] = 255
    return Dataset(
        images=torch.from_numpy(images),
        actions=torch.from_numpy(actions),
        readouts=torch.from_numpy(readouts),
        objects=torch.from_numpy(readouts.copy()),
    )


def _trainer(iterations: int, save_every: int = 5) -> Trainer:
    config = TrainingConfig(iterations=iterations, batch=8, save_every=save_every, seed=3)
    return Trainer(_toy_dataset(), SPEC, config, SMALL)


def test_sigreg_is_small_for_a_standard_gaussian_and_large_when_collapsed() -> None:
    """A standard Gaussian scores far below a collapsed, a shifted and a stretched cloud."""
    generator = torch.Generator().manual_seed(0)
    cloud = torch.randn(512, 8, generator=generator)
    good = float(sigreg(cloud, generator))
    for bad in (torch.zeros(512, 8), cloud + 1.0, cloud * 3.0):
        assert float(sigreg(bad, generator)) > 10.0 * good


def test_training_lowers_the_losses() -> None:
    """A hundred steps on the toy world at least halve readout and inverse-dynamics losses."""
    trainer = _trainer(100, save_every=1000)
    trainer.run(None, lambda step, losses: None)
    first, last = trainer.history[0], trainer.history[-1]
    assert last['readout'] < 0.5 * first['readout']
    assert all(np.isfinite(v) for step in trainer.history for v in step.values())


def test_interrupted_training_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    """Killed after step 7 (state saved at 5) and started again: the very same weights."""
    whole = _trainer(12)
    whole.run(None, lambda step, losses: None)

    def stop_at_seven(step: int, losses: dict[str, float]) -> None:
        if step == 7:
            raise KeyboardInterrupt

    state = tmp_path / 'state.pt'
    with pytest.raises(KeyboardInterrupt):
        _trainer(12).run(state, stop_at_seven)
    resumed, steps = _trainer(12), []
    resumed.run(state, lambda step, losses: steps.append(step))
    assert steps[0] == 6
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, resumed.network.state_dict()[name]), name


def test_state_of_other_settings_is_refused(tmp_path: Path) -> None:
    """Resuming with another number of iterations would change the schedule half way."""
    state = tmp_path / 'state.pt'
    _trainer(10).run(state, lambda step, losses: None)
    with pytest.raises(InvalidParameterError, match='other settings'):
        _trainer(20).run(state, lambda step, losses: None)


def test_architecture_that_does_not_fit_the_data_is_refused() -> None:
    """Three actions against data with two."""
    wrong = TabletopModelConfig(actions=3, readouts=2)
    with pytest.raises(InvalidParameterError, match='3 actions'):
        Trainer(_toy_dataset(), SPEC, TrainingConfig(), wrong)


def test_windows_line_up_actions_with_the_moments_around_them() -> None:
    """Readouts move by exactly the action between them (where the toy world did not clip)."""
    dataset = _toy_dataset()
    windows = dataset.windows(64, 3, torch.Generator().manual_seed(0))
    images, actions, readouts, _ = next(windows)
    assert images.shape == (64, 4, 32, 32, 3)
    moved = readouts[:, 1:] - readouts[:, :-1]
    inside = ((readouts[:, 1:] > 0.11) & (readouts[:, 1:] < 0.89)).all(-1)
    assert inside.any()
    assert torch.allclose(moved[inside], actions[inside], atol=1e-5)


def test_calibrated_tolerance_separates_near_from_far() -> None:
    """With latents that are positions, the tolerance is the energy of the near limit."""
    generator = torch.Generator().manual_seed(0)
    positions = torch.rand(20, 24, 3, generator=generator) * 0.2
    tolerance, share = calibrate_tolerance(positions, positions)
    assert tolerance == pytest.approx(0.035**2 / 3, rel=0.1)
    assert share > 0.95


def test_calibration_is_nan_when_energy_says_nothing() -> None:
    """Constant latents cannot tell near from far: no tolerance is invented."""
    positions = torch.rand(4, 16, 3, generator=torch.Generator().manual_seed(0))
    tolerance, share = calibrate_tolerance(torch.zeros(4, 16, 5), positions)
    assert np.isnan(tolerance)
    assert share == 0.0


def test_object_probe_is_exact_when_objects_are_linear_in_the_latent() -> None:
    """And far off when the latent is noise."""
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(10, 12, 6, generator=generator)
    objects = latents @ torch.randn(6, 4, generator=generator) + 0.3
    assert object_probe_error(latents, objects) < 1e-4
    assert object_probe_error(torch.randn(10, 12, 6, generator=generator), objects) > 0.5


def test_episode_refuses_misaligned_or_non_finite_data() -> None:
    """L actions need L + 1 moments; NaN is refused."""
    images = np.zeros((3, 32, 32, 3), np.uint8)
    values = np.zeros((3, 2), np.float32)
    with pytest.raises(InvalidActionError, match='valid: 4'):
        Episode(
            images=images, actions=np.zeros((3, 2), np.float32), readouts=values, objects=values
        )
    with pytest.raises(InvalidActionError, match='NaN'):
        Episode(
            images=images,
            actions=np.full((2, 2), np.nan, np.float32),
            readouts=values,
            objects=values,
        )


def test_unknown_collector_names_the_valid_ones() -> None:
    """The simulator's collector is offered."""
    with pytest.raises(UnknownNameError, match='tabletop'):
        make_collector('table')


def test_collection_goes_on_where_it_stopped_and_loads(tmp_path: Path) -> None:
    """Real simulator, spawned process: a removed episode is collected again, bit for bit."""
    counts: list[int] = []
    settings = {
        'collector': 'tabletop',
        'seed': 5,
        'episodes': 2,
        'steps': 4,
        'image_size': 32,
        'workers': 1,
        'on_episode': counts.append,
    }
    info = collect(tmp_path, **settings)
    assert info.action_spec.names == ('dx', 'dy', 'dz', 'dyaw', 'gripper')
    before = Dataset.load(tmp_path, range(2))
    assert before.images.shape == (2, 5, 32, 32, 3)
    episode_path(tmp_path, 1).unlink()
    counts.clear()
    collect(tmp_path, **settings)
    assert counts == [1, 2]
    after = Dataset.load(tmp_path, range(2))
    assert torch.equal(before.images, after.images)
    assert torch.equal(before.actions, after.actions)
    with pytest.raises(InvalidParameterError, match='other settings'):
        collect(tmp_path, **{**settings, 'seed': 6})
    episode_path(tmp_path, 0).write_bytes(b'not an archive')
    with pytest.raises(InvalidParameterError, match='damaged'):
        Dataset.load(tmp_path, range(2))


# -- decoder ---------------------------------------------------------------------------------------


@functools.cache
def _encoder() -> TabletopNetwork:
    """Return a network that has learned where the dot is."""
    trainer = _trainer(60)
    trainer.run(None, lambda step, losses: None)
    return trainer.network.eval().requires_grad_(False)


def _decoder_trainer(iterations: int) -> DecoderTrainer:
    network = _encoder()
    config = DecoderTrainingConfig(iterations=iterations, batch=8, save_every=4, seed=2)
    return DecoderTrainer(_toy_dataset(), network, config)


def test_decoder_learns_to_draw_and_leaves_the_encoder_alone() -> None:
    trainer = _decoder_trainer(120)
    before = {name: tensor.clone() for name, tensor in _encoder().state_dict().items()}
    trainer.run(None, lambda step, loss: None)
    assert np.mean(trainer.history[-20:]) < 0.8 * np.mean(trainer.history[:5])
    assert all(torch.equal(before[name], t) for name, t in _encoder().state_dict().items())


def test_decoder_training_goes_on_where_it_stopped(tmp_path: Path) -> None:
    whole, state = _decoder_trainer(8), tmp_path / 'state.pt'
    whole.run(None, lambda step, loss: None)

    class Killed(Exception):
        pass

    def kill(step: int, loss: float) -> None:
        if step == 6:
            raise Killed

    with pytest.raises(Killed):
        _decoder_trainer(8).run(state, kill)
    resumed, seen = _decoder_trainer(8), []
    resumed.run(state, lambda step, loss: seen.append(step))
    assert seen == [5, 6, 7, 8]  # from the state of step 4 on
    for a, b in zip(whole.decoder.parameters(), resumed.decoder.parameters(), strict=True):
        assert torch.equal(a, b)
    with pytest.raises(InvalidParameterError, match='made with other settings'):
        _decoder_trainer(9).run(state, lambda step, loss: None)


def test_decoder_is_measured_against_showing_the_frame_again() -> None:
    trainer = _decoder_trainer(10)
    trainer.run(None, lambda step, loss: None)
    found = measure_decoder(trainer.decoder, _encoder(), SPEC, _toy_dataset(), moments=12)
    assert found['held_out_steps'] == 12
    assert len(found['psnr_db_imagined']) == len(found['psnr_db_frame_shown_again']) == 5
