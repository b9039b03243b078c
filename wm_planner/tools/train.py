# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""``wm_planner train tabletop | decoder``: collect, train, check; seeded, resumable."""

from __future__ import annotations

from dataclasses import asdict, replace
import json
import os
from pathlib import Path
import platform
from typing import Annotated, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
import torch
import typer

from wm_planner import __version__
from wm_planner.core.errors import InvalidParameterError, UnknownNameError
from wm_planner.evaluation.direct import evaluate_direct
from wm_planner.models.tabletop.checkpoint import (
    SHIPPED_WEIGHTS,
    ModelCard,
    card_path,
    load_weights,
    save_weights,
)
from wm_planner.models.tabletop.config import TabletopModelConfig
from wm_planner.models.tabletop.decoder import save_decoder
from wm_planner.training.check import check
from wm_planner.training.datasets import Dataset, DatasetInfo, collect
from wm_planner.training.decoder import DecoderTrainer, DecoderTrainingConfig, measure_decoder
from wm_planner.training.model_card import decoder_card_text, model_card_text
from wm_planner.training.plots import plot_losses
from wm_planner.training.trainer import Trainer, TrainingConfig

TRAINABLE = ('tabletop', 'tabletop_cameras', 'decoder')
STEPS_PER_EPISODE = 32
HELD_OUT_SHARE = 20  # every 20th part of the episodes, the last ones
DECODER_MOMENTS = 200  # held-out moments that the decoder is measured on
CHECK_SEED = 4242  # not a seed of any reported evaluation

_console = Console(stderr=True)


def train(
    model: Annotated[
        str,
        typer.Argument(
            help='What to train: tabletop, tabletop_cameras (many camera azimuths), or decoder, '
            'which draws the latents of tabletop.'
        ),
    ],
    out: Annotated[Path, typer.Option(help='Folder for data, states and weights.')] = Path(
        'runs/train-tabletop'
    ),
    episodes: Annotated[int, typer.Option(min=40, help='Episodes of 32 steps to collect.')] = 1000,
    iterations: Annotated[
        int, typer.Option(min=0, help='Gradient steps; 0 = as many as what ships was made with.')
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help='Seed of data, weights and batches.')] = 0,
    workers: Annotated[int, typer.Option(min=0, help='Collecting processes; 0 = one a core.')] = 0,
    device: Annotated[str, typer.Option(help='Where to train: cpu or cuda.')] = 'cpu',
    check_episodes: Annotated[
        int,
        typer.Option(min=0, help='Closed-loop episodes a suite at the end; 0 = none.'),
    ] = 20,
    weights: Annotated[
        Path | None, typer.Option(help='decoder: the world model it is for; none: what ships.')
    ] = None,
) -> None:
    """Collect data in simulation, train the world model, check it in closed loop.

    ``decoder`` trains the network that draws a world model's latents as pictures; the world model
    itself stays as it is.

    Killed at any time, the same command goes on where it stopped. About ten minutes on two cores;
    tabletop_cameras wants twice the episodes and iterations.
    """
    if model not in TRAINABLE:
        raise UnknownNameError.among('trainable model', model, TRAINABLE)
    if device.startswith('cuda') and not torch.cuda.is_available():
        raise InvalidParameterError(f'device is {device!r} and there is no CUDA GPU; valid: cpu.')
    workers = workers or os.cpu_count() or 1
    collector = 'tabletop' if model == 'decoder' else model
    info = _collect(out / 'data', collector, seed, episodes, workers)
    held = max(2, episodes // HELD_OUT_SHARE)
    if model == 'decoder':
        _decoder(weights, out, iterations, seed, episodes, held)
        return
    config = TrainingConfig(iterations=iterations or TrainingConfig().iterations, seed=seed)
    training_set = Dataset.load(out / 'data', range(episodes - held))
    architecture = TabletopModelConfig(
        actions=info.action_spec.size, readouts=len(info.readout_names)
    )
    trainer = Trainer(training_set, info.action_spec, config, architecture, device)
    _train(trainer, out / 'state.pt')
    plot_losses(trainer.history, out / 'losses.png')
    measured = check(trainer, Dataset.load(out / 'data', range(episodes - held, episodes)))
    tolerance = float(measured.pop('goal_tolerance'))
    facts = _training_facts(trainer, info, episodes, held)
    trained = out / f'{model}.safetensors'
    card = save_weights(
        trainer.network,
        trained,
        action_spec=info.action_spec,
        goal_tolerance=tolerance,
        training=facts,
        measured=measured,
    )
    if check_episodes:
        card = _closed_loop(card, trained, check_episodes)
    (out / 'MODEL_CARD.md').write_text(model_card_text(card))
    _console.print(f'[green]Done.[/] Weights, card and plots are in {out}.')
    typer.echo(json.dumps({'weights': str(trained), 'sha256': card.sha256, **card.measured}))


def _decoder(
    weights: Path | None, out: Path, iterations: int, seed: int, episodes: int, held: int
) -> None:
    """Train the decoder of a world model on the collected episodes, and measure it on the rest."""
    network, world_model = load_weights(weights or SHIPPED_WEIGHTS)
    network.eval().requires_grad_(False)
    config = DecoderTrainingConfig(
        iterations=iterations or DecoderTrainingConfig().iterations, seed=seed
    )
    trainer = DecoderTrainer(Dataset.load(out / 'data', range(episodes - held)), network, config)
    with _progress() as progress:
        bar = progress.add_task('2/3 train', total=config.iterations)

        def on_step(step: int, loss: float) -> None:
            progress.update(bar, completed=step, description=f'2/3 train  loss {loss:.5f}')

        trainer.run(out / 'decoder_state.pt', on_step)
    held_out = Dataset.load(out / 'data', range(episodes - held, episodes))
    measured = measure_decoder(
        trainer.decoder, network, world_model.action_spec, held_out, moments=DECODER_MOMENTS
    )
    tail = trainer.history[-50:]
    facts = {
        'package': __version__,
        'torch': torch.__version__,
        'machine': f'{platform.machine()}, {os.cpu_count()} cores',
        'minutes': round(trainer.seconds / 60.0, 1),
        'data_seed': seed,
        'episodes': episodes,
        'held_out_episodes': held,
        'config': asdict(config),
        'loss_mean_of_last_50_steps': round(sum(tail) / len(tail), 6),
    }
    path = out / 'decoder.safetensors'
    card = save_decoder(
        trainer.decoder,
        path,
        encoder_sha256=world_model.sha256,
        training=facts,
        measured=measured,
    )
    (out / 'DECODER_CARD.md').write_text(decoder_card_text(card))
    typer.echo(json.dumps({'decoder': str(path), 'sha256': card.sha256, **card.measured}))


def _collect(folder: Path, collector: str, seed: int, episodes: int, workers: int) -> DatasetInfo:
    with _progress() as progress:
        bar = progress.add_task('1/3 collect', total=episodes)
        return collect(
            folder,
            collector=collector,
            seed=seed,
            episodes=episodes,
            steps=STEPS_PER_EPISODE,
            image_size=TabletopModelConfig().image_size,
            workers=workers,
            on_episode=lambda done: progress.update(bar, completed=done),
        )


def _train(trainer: Trainer, state_file: Path) -> None:
    with _progress() as progress:
        bar = progress.add_task('2/3 train', total=trainer.config.iterations)

        def on_step(step: int, losses: dict[str, float]) -> None:
            text = f'2/3 train  loss {losses["total"]:.3f}  readout {losses["readout"]:.3f}'
            progress.update(bar, completed=step, description=text)

        trainer.run(state_file, on_step)


def _closed_loop(card: ModelCard, weights: Path, episodes: int) -> ModelCard:
    success: dict[str, Any] = {}
    with _progress() as progress:
        suites = ('reach', 'push', 'pick')
        bar = progress.add_task('3/3 check', total=episodes * len(suites))
        for suite in suites:
            report = evaluate_direct(
                suite=f'tabletop/{suite}',
                planner='cem',
                model='tabletop',
                weights=str(weights),
                episodes=episodes,
                seed=CHECK_SEED,
                on_episode=lambda _: progress.advance(bar),
            )
            success[suite] = {
                'success_rate': report.success_rate,
                'interval': list(report.interval),
                'episodes': episodes,
                'seed': CHECK_SEED,
            }
    card = replace(card, measured={**card.measured, 'closed_loop': success})
    card_path(weights).write_text(card.to_json())
    return card


def _training_facts(
    trainer: Trainer, info: DatasetInfo, episodes: int, held: int
) -> dict[str, Any]:
    tail = trainer.history[-50:]
    losses = {name: sum(step[name] for step in tail) / len(tail) for name in tail[0]}
    config = trainer.config
    return {
        'package': __version__,
        'torch': torch.__version__,
        'device': str(trainer.device),
        'machine': f'{platform.machine()}, {os.cpu_count()} cores',
        'minutes': round(trainer.seconds / 60.0, 1),
        'data': {
            'collector': info.collector,
            'seed': info.seed,
            'episodes': episodes,
            'held_out_episodes': held,
            'steps_per_episode': info.steps,
        },
        'config': {name: getattr(config, name) for name in config.__dataclass_fields__},
        'losses_mean_of_last_50_steps': {k: round(v, 4) for k, v in losses.items()},
        'supervision': f'linear readout of the robot state {list(info.readout_names)} (training '
        'only); objects are not supervised',
    }


def _progress() -> Progress:
    return Progress(
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=_console,
    )
