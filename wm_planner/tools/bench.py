# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""``wm_planner bench``: speed and quality of planning, node and simulation, on this machine."""

from __future__ import annotations

from collections.abc import Callable
import os
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from rich.table import Table
import typer

from wm_planner.evaluation.direct import use_asset_root
from wm_planner.evaluation.records import (
    describe_machine,
    installed_versions,
    usable_cores,
    write_json,
)
from wm_planner.evaluation.threads import planning_threads
from wm_planner.tools.bench_arena import measure_arena
from wm_planner.tools.bench_device import SIZES, DeviceBench
from wm_planner.tools.bench_endurance import run_endurance
from wm_planner.tools.bench_imagination import (
    measure_landscapes,
    measure_overhead,
    measure_pictures,
)
from wm_planner.tools.bench_live import measure_free_run, measure_loop
from wm_planner.tools.bench_parts import (
    SAMPLES,
    measure_deadline,
    measure_image_callback,
    measure_plan,
)
from wm_planner.tools.bench_quality import BUDGETS, measure_quality, plot_quality
from wm_planner.tools.bench_reference import measure_reference
from wm_planner.tools.interrupts import interrupt_on_sigterm
from wm_planner.tools.measurement import Measurement

OPTIMIZERS = ('cem', 'icem', 'mppi')

app = typer.Typer(no_args_is_help=True, help='Speed and quality on this machine.')


@app.command()
def tabletop(
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
    """Measure plans, node and simulation of the tabletop; print medians with their spread.

    Nothing is judged: machines differ.
    """
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
        'benchmark': 'tabletop',
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


@app.command()
def planning(
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar='FOLDER',
            help='A checkout of facebookresearch/vjepa2: time its predictor and search beside '
            'ours, on the CPU.',
        ),
    ] = None,
    quality: Annotated[
        bool,
        typer.Option('--quality/--no-quality', help='Measure success per rollouts on a suite.'),
    ] = True,
    suite: Annotated[str, typer.Option(help='ENVIRONMENT/SUITE of that.')] = 'tabletop/reach',
    model: Annotated[str, typer.Option(help='World model of that.')] = 'tabletop',
    episodes: Annotated[int, typer.Option(min=1, help='Episodes a budget.')] = 40,
    plans: Annotated[int, typer.Option(min=0, help='Plans to time against a deadline.')] = 300,
    seed: Annotated[int, typer.Option(min=0, help='Seed of starts, goals and draws.')] = 7,
    device: Annotated[
        str, typer.Option(help='cuda: also measure V-JEPA 2-AC at its released size there.')
    ] = 'cpu',
    json_file: Annotated[Path | None, typer.Option('--json', help='Also write it here.')] = None,
    plot: Annotated[Path | None, typer.Option(help='Draw success per rollouts here.')] = None,
) -> None:
    """Measure what planning costs: against the reference, on a GPU, and per success."""
    console, out = Console(stderr=True), Console()
    result: dict[str, Any] = {
        'benchmark': 'planning',
        'device': describe_machine(),
        'cores': usable_cores(),
        'load_average_before': os.getloadavg()[0],
        'versions': installed_versions(),
    }
    if reference is not None:
        console.print('Timing the reference and ours in turn ...')
        result['reference'] = measure_reference(reference)
        out.print(reference_table(result['reference']))
    if device != 'cpu':
        console.print(f'Measuring V-JEPA 2-AC on {device} ...')
        result['device_bench'] = DeviceBench(
            SIZES['released'], device=device, precision='bfloat16'
        ).run()
        out.print_json(data=result['device_bench'])
    if plans:
        console.print(f'{plans} plans of each optimizer against a deadline of 50 ms ...')
        with planning_threads() as threads:
            found = [
                measure_deadline(plans, planner=name, deadline_s=0.05, device='cpu')
                for name in OPTIMIZERS
            ]
        result['torch_threads'] = threads
        result['results'] = {measurement.name: measurement.as_json() for measurement in found}
        out.print(table_of(result))
    if quality:
        console.print(f'{len(BUDGETS)} budgets, {episodes} episodes of {suite} each ...')
        rows = measure_quality(
            suite,
            model=model,
            episodes=episodes,
            seed=seed,
            on_row=lambda row: console.print(f'{row["label"]}: {row["success_rate"]:.2f}'),
        )
        result['quality'] = {'suite': suite, 'model': model, 'seed': seed, 'rows': rows}
        out.print(quality_table(rows, suite))
        if plot is not None:
            plot_quality(rows, plot, title=f'{suite}, {model}, {episodes} episodes a point')
    if json_file is not None:
        write_json(json_file, result)


@app.command()
def arena(
    suite: Annotated[
        str, typer.Option(help='Task; of several, the first.')
    ] = 'arena/safety_static_obstacles/L1',
    asset_root: Annotated[
        Path | None, typer.Option(help='Folder with the tasks; else WM_PLANNER_ASSET_ROOT.')
    ] = None,
    episodes: Annotated[int, typer.Option(min=1, help='Episodes to time.')] = 5,
    resets: Annotated[int, typer.Option(min=1, help='Resets to time.')] = 30,
    side: Annotated[int, typer.Option(min=16, max=1920, help='Picture side [px].')] = 224,
    camera: Annotated[str, typer.Option(help="exterior, or one of the scene's.")] = 'agentview',
    json_file: Annotated[Path | None, typer.Option('--json', help='Also write it here.')] = None,
) -> None:
    """Measure episodes and resets of VLA-Arena without a model.

    Nothing is judged: machines differ.
    """
    if asset_root is not None:
        use_asset_root(str(asset_root))
    load = os.getloadavg()[0]
    Console(stderr=True).print(f'Resetting {resets} times, running {episodes} episodes ...')
    found = measure_arena(suite, episodes=episodes, resets=resets, side_px=side, camera=camera)
    result = {
        'benchmark': 'arena',
        'device': f'cpu ({describe_machine()})',
        'cores': usable_cores(),
        'torch_threads': 0,
        'load_average_before': load,
        'versions': installed_versions(),
        'results': {measurement.name: measurement.as_json() for measurement in found},
    }
    if json_file is not None:
        write_json(json_file, result)
    Console().print(table_of(result))


@app.command()
def kinematics(
    robot: Annotated[str, typer.Option(help='A name in config/robots, or a .yaml file.')] = (
        'panda_sim'
    ),
    description: Annotated[
        Path | None, typer.Option(help='URDF or MJCF, in place of the one on a topic.')
    ] = None,
    poses: Annotated[int, typer.Option(min=1, help='Reachable poses to solve for.')] = 1000,
    seed: Annotated[int, typer.Option(min=0, help='Seed of poses and starts.')] = 0,
    json_file: Annotated[Path | None, typer.Option('--json', help='Also write it here.')] = None,
) -> None:
    """Measure inverse kinematics: residuals and time for each of many reachable poses."""
    from wm_planner.core.paths import robot_profile_file
    from wm_planner.core.profile import RobotProfile
    from wm_planner.kinematics.description import read_description
    from wm_planner.tools.bench_kinematics import measure_kinematics

    load = os.getloadavg()[0]
    found, refused = measure_kinematics(
        RobotProfile.from_yaml(robot_profile_file(robot)),
        read_description(str(description)) if description else None,
        poses=poses,
        seed=seed,
    )
    result = {
        'benchmark': f'kinematics of {robot}, {refused} of {poses} poses refused',
        'device': f'cpu ({describe_machine()})',
        'cores': usable_cores(),
        'torch_threads': 0,
        'load_average_before': load,
        'versions': installed_versions(),
        'refused': refused,
        'results': {measurement.name: measurement.as_json() for measurement in found},
    }
    if json_file is not None:
        write_json(json_file, result)
    Console().print(table_of(result))


@app.command()
def endurance(
    minutes: Annotated[float, typer.Option(min=0.1, help='How long to drive [min].')] = 30.0,
    seed: Annotated[int, typer.Option(min=0, help='Seed of the episodes.')] = 0,
    json_file: Annotated[Path | None, typer.Option('--json', help='Also write it here.')] = None,
) -> None:
    """Drive goal after goal over the live graph: missed holds, memory, rates, minute by minute.

    Nothing is judged: machines differ, and others may use this one.
    """
    console = Console(stderr=True)
    load = os.getloadavg()[0]
    with interrupt_on_sigterm():
        found = run_endurance(minutes, seed=seed, on_minute=lambda row: console.print(str(row)))
    result = {
        'benchmark': 'endurance',
        'device': f'cpu ({describe_machine()})',
        'cores': usable_cores(),
        'load_average_before': load,
        'load_average_after': os.getloadavg()[0],
        'versions': installed_versions(),
        **found,
    }
    if json_file is not None:
        write_json(json_file, result)
    Console().print_json(data={k: v for k, v in result.items() if k != 'minutes'})


@app.command()
def imagination(
    pairs: Annotated[int, typer.Option(min=0, help='Pairs of plans to time.')] = 100,
    moments: Annotated[int, typer.Option(min=0, help='Moments to compare pictures at.')] = 200,
    moves: Annotated[int, typer.Option(min=0, help='Moves to draw landscapes of.')] = 50,
    out: Annotated[Path | None, typer.Option(help='Folder for two landscapes as PNG.')] = None,
    json_file: Annotated[Path | None, typer.Option('--json', help='Also write it here.')] = None,
) -> None:
    """Measure what showing a plan costs planning, and how true what is shown is."""
    console, printer = Console(stderr=True), Console()
    result: dict[str, Any] = {
        'benchmark': 'imagination',
        'device': f'cpu ({describe_machine()})',
        'cores': usable_cores(),
        'torch_threads': 0,
        'load_average_before': os.getloadavg()[0],
        'versions': installed_versions(),
        'overhead': [],
    }
    found: list[Measurement] = []
    for gap_s in (0.25, 0.0) if pairs else ():
        console.print(f'{pairs} pairs of plans, {gap_s:g} s apart ...')
        with planning_threads() as threads:
            times, facts = measure_overhead(pairs, gap_s=gap_s)
        found += times
        result['overhead'].append(facts)
        result['torch_threads'] = threads
    if found:
        result['results'] = {measurement.name: measurement.as_json() for measurement in found}
        printer.print(table_of(result))
        printer.print_json(data=result['overhead'])
    if moments:
        console.print(f'Decoding what is imagined of {moments} moments ...')
        result['pictures'] = measure_pictures(moments)
        printer.print_json(data=result['pictures'])
    if moves:
        console.print(f'{moves} moves and their landscapes ...')
        result['landscape'] = measure_landscapes(moves, out)
        printer.print_json(data=result['landscape'])
    if json_file is not None:
        write_json(json_file, result)


def reference_table(result: dict[str, Any]) -> Table:
    """Return the comparison with the reference as a table for a terminal."""
    sizes = result['predictor']
    table = Table(
        'horizon',
        'rollouts: reference',
        'ours',
        'times faster (p25 to p75)',
        'plan: times faster',
        'largest difference (energy, action)',
        title=f'predictor {sizes["width"]} wide, {sizes["depth"]} deep, {sizes["tokens"]} tokens, '
        f'{result["samples"]} samples, {result["torch_threads"]} thread(s), in turn',
    )
    for row in result['rows']:
        rollouts, plan = row['rollouts'], row.get('plan')
        table.add_row(
            str(row['horizon']),
            f'{rollouts["reference_s"]:.3g} s',
            f'{rollouts["ours_s"]:.3g} s',
            f'{rollouts["times_faster"]:.2f} ({rollouts["times_faster_p25"]:.2f} to '
            f'{rollouts["times_faster_p75"]:.2f})',
            '-' if plan is None else f'{plan["times_faster"]:.2f}',
            f'{rollouts["max_difference"]:.1g}'
            + ('' if plan is None else f', {plan["max_difference"]:.1g}'),
        )
    return table


def quality_table(rows: list[dict[str, Any]], suite: str) -> Table:
    """Return success per rollouts as a table for a terminal."""
    table = Table(
        'search',
        'rollouts a plan',
        'times fewer',
        'success',
        '95 % interval',
        'energy at the end',
        'plan p50',
        title=suite,
    )
    for row in rows:
        low, high = row['interval']
        energy = row['final_energy_median']
        table.add_row(
            row['label'],
            f'{row["rollouts_per_plan"]:.0f}',
            f'{row["times_fewer_rollouts"]:.1f}',
            f'{row["success_rate"]:.3f}',
            f'{low:.2f} to {high:.2f}',
            '-' if energy is None else f'{energy:.3g}',
            f'{row["plan_ms_p50"]:.1f} ms',
        )
    return table


def table_of(result: dict[str, Any]) -> Table:
    """Return the result as a table for a terminal."""
    versions = ', '.join(f'{k} {v}' for k, v in result['versions'].items() if v)
    table = Table(
        'what',
        'median',
        'p25 to p75',
        'p99',
        'max',
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
            f'{_short(values["max"])}',
            str(values['count']),
        )
    return table


def _short(value: float) -> str:
    return f'{value:.3g}' if abs(value) < 100.0 else f'{value:.0f}'
