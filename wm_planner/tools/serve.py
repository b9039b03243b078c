# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""``wm_planner serve vla-eval``: a planner of this package as a server of another's harness."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wm_planner.evaluation.settings import PlannerChoice, parse_values
from wm_planner.factory import make_planner
from wm_planner.tools.interrupts import interrupt_on_sigterm
from wm_planner.tools.serve_goals import GoalFolder
from wm_planner.tools.serve_pilot import Pilot, PilotConfig
from wm_planner.tools.serve_vla_eval import VlaEvalServer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def serve() -> None:
    """Serve a planner to a harness that asks policies over a network."""


@app.command('vla-eval')
def vla_eval(
    goals: Annotated[
        Path, typer.Option(help='Folder of goal pictures: SUITE/TASK.png, TASK.yaml beside it.')
    ],
    planner: Annotated[str, typer.Option(help='Optimizer or policy: cem, icem, ...')] = 'cem',
    model: Annotated[str, typer.Option(help='World model to plan with.')] = 'vjepa2_ac',
    preset: Annotated[str, typer.Option(help='Named planning settings.')] = '',
    device: Annotated[str, typer.Option(help='Torch device of the planner.')] = 'cpu',
    host: Annotated[
        str, typer.Option(help='Address to listen on; 0.0.0.0 for simulators in containers.')
    ] = '127.0.0.1',
    port: Annotated[int, typer.Option(help='Port; 0 = any that is free.')] = 8000,
    camera: Annotated[str, typer.Option(help="The harness's name of the camera.")] = 'agentview',
    upright: Annotated[
        bool, typer.Option(help='Pictures come upright, not turned by 180 degrees as of LIBERO.')
    ] = False,
    control_rate: Annotated[float, typer.Option(help='Steps of the benchmark a second.')] = 20.0,
    values: Annotated[
        list[str] | None,
        typer.Option('--set', help='NAME=VALUE, e.g. world_model.weights=FILE; can be repeated.'),
    ] = None,
) -> None:
    """Serve a planner over the protocol of vla-eval until Ctrl-C.

    A goal picture is looked up for each task. Prints "listening on ws://HOST:PORT" when ready.
    """
    choice = PlannerChoice(
        planner=planner, model=model, preset=preset, values=parse_values(values or [])
    )
    config = PilotConfig(
        camera=camera, images_are_rotated=not upright, control_rate_hz=control_rate
    )
    folder = GoalFolder(goals)

    def make_pilot() -> Pilot:
        made = make_planner(planner, model, choice.settings(), device=device)
        return Pilot(made, folder, config)

    server = VlaEvalServer(make_pilot, config)
    bound = server.bind(host, port)
    typer.echo(f'listening on ws://{host}:{bound}')
    try:
        with interrupt_on_sigterm():
            server.serve()
    except KeyboardInterrupt:
        typer.echo('stopped')
