# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""``wm_planner bench``: speed of planning, of the node and of the simulation, on this machine."""

from __future__ import annotations

from collections.abc import Callable
import os
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from rich.table import Table
import typer

from wm_planner.core.errors import UnknownNameError
from wm_planner.evaluation.records import (
    describe_machine,
    installed_versions,
    usable_cores,
    write_json,
)
from wm_planner.evaluation.threads import planning_threads
from wm_planner.tools.bench_live import measure_free_run, measure_loop
from wm_planner.tools.bench_parts import SAMPLES, measure_image_callback, measure_plan
from wm_planner.tools.interrupts import interrupt_on_sigterm
from wm_planner.tools.measurement import Measurement

BENCHMARKS = ('tabletop',)


def bench(
    name: Annotated[str, typer.Argument(metavar='NAME', help='What to measure: tabletop.')],
    json_file: Annotated[Path | None, typer.Option('--json', help='Also write it here.')] = None,
    plans: Annotated[int, typer.Option(min=1, help='Plans to time.')] = 100,
    samples: Annotated[int, typer.Option(min=1, help='Sequences scored an iteration.')] = SAMPLES,
    frames: Annotated[int, typer.Option(min=1, help='Camera frames to time.')] = 1000,
    seconds: Annotated[
        float, typer.Option(min=2.0, help='How long to watch the live graph, each time [s].')
    ] = 20.0,
    live: Annotated[
        bool, typer.Option('--live/--no-live', help='Also start the nodes and watch them.')
    ] = True,
    device: Annotated[str, typer.Option(help='Torch device of the plans.')] = 'cpu',
) -> None:
    """Measure and print medians with their spread. Nothing is judged: machines differ."""
    if name not in BENCHMARKS:
        raise UnknownNameError.among('benchmark', name, BENCHMARKS)
    console = Console(stderr=True)
    load = os.getloadavg()[0]
    with planning_threads() as threads:
        console.print(f'Planning {plans} times with {threads} thread(s) ...')
        found = [measure_plan(plans, device=device, samples=samples)]
    console.print(f'Taking {frames} camera frames in ...')
    found.append(measure_image_callback(frames))
    parts: list[tuple[str, Callable[[float], list[Measurement]]]] = [
        ('Simulating as fast as it can', measure_free_run),
        ('Planning and driving at real time', measure_loop),
    ]
    for text, measure in parts if live else []:
        console.print(f'{text} for about {seconds:g} s ...')
        with interrupt_on_sigterm():
            found += measure(seconds)
    result = {
        'benchmark': name,
        'device': f'{device} ({describe_machine()})',
        'cores': usable_cores(),
        'torch_threads': threads,
        'load_average_before': load,
        'versions': installed_versions(),
        'results': {measurement.name: measurement.as_json() for measurement in found},
    }
    if json_file is not None:
        write_json(json_file, result)
    Console().print(table_of(result))


def table_of(result: dict[str, Any]) -> Table:
    """Return the result as a table for a terminal."""
    versions = ', '.join(f'{k} {v}' for k, v in result['versions'].items() if v)
    table = Table(
        'what',
        'median',
        'p25 to p75',
        'p99',
        'n',
        title=f'wm_planner bench {result["benchmark"]}',
        caption=f'{result["device"]}; planning on {result["torch_threads"]} thread(s); load '
        f'average before {result["load_average_before"]:.1f}; {versions}',
    )
    for values in result['results'].values():
        unit = values['unit']
        table.add_row(
            values['what'],
            f'{_short(values["p50"])} {unit}',
            f'{_short(values["p25"])} to {_short(values["p75"])}',
            f'{_short(values["p99"])}',
            str(values['count']),
        )
    return table


def _short(value: float) -> str:
    return f'{value:.3g}' if abs(value) < 100.0 else f'{value:.0f}'
