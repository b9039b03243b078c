# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""``wm_planner model``: convert, describe, check and compare the weights of V-JEPA 2-AC."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import Annotated

from rich.console import Console
from rich.table import Table
import typer

from wm_planner.evaluation.records import jsonable, write_json
from wm_planner.models.vjepa2_ac.checkpoint import Manifest, read_manifest
from wm_planner.models.vjepa2_ac.config import TransformerConfig
from wm_planner.models.vjepa2_ac.conversion import Hints, convert
from wm_planner.tools.model_check import check_model
from wm_planner.tools.model_parity import parity_report

app = typer.Typer(no_args_is_help=True, help='Weights of V-JEPA 2-AC.')

_MIB = 1 << 20


class Precision(str, enum.Enum):
    """Of the weights in a file."""

    BFLOAT16 = 'bfloat16'
    FLOAT32 = 'float32'


class RopeForm(str, enum.Enum):
    """Of the rotary positions."""

    TILED = 'tiled'
    INTERLEAVED = 'interleaved'


@app.command('convert')
def convert_command(
    checkpoint: Annotated[Path, typer.Argument(metavar='FILE', help='e.g. vjepa2-ac-vitg.pt')],
    out: Annotated[Path | None, typer.Option(help='File to write; by default beside FILE.')] = None,
    dtype: Annotated[Precision, typer.Option(help='Of the weights.')] = Precision.BFLOAT16,
    encoder_heads: Annotated[
        int | None, typer.Option(min=1, help='Attention heads, for a width never released.')
    ] = None,
    predictor_heads: Annotated[int | None, typer.Option(min=1, help='The same.')] = None,
    image_size: Annotated[int, typer.Option(min=16, help='Side of the network input [px].')] = 256,
    rope: Annotated[
        RopeForm, typer.Option(help='tiled: V-JEPA 2 as released; interleaved: V-JEPA 2.1.')
    ] = RopeForm.TILED,
    rope_grid: Annotated[
        int, typer.Option(min=0, help='Patches a side in training where positions are stretched.')
    ] = 0,
    extrinsics: Annotated[
        bool, typer.Option('--extrinsics', help='The predictor was trained with camera poses.')
    ] = False,
) -> None:
    """Write the encoder and predictor of a trainer's checkpoint as one safetensors file.

    Needs memory for one tensor at a time; the optimizer's state and the second encoder are left
    out. The file says where it comes from and what it holds: wm_planner model info.
    """
    console = Console(stderr=True)
    target = out or checkpoint.with_name(f'{checkpoint.stem}.{dtype.value}.safetensors')
    hints = Hints(
        encoder_heads=encoder_heads,
        predictor_heads=predictor_heads,
        image_size=image_size,
        rope=rope.value,
        rope_grid=rope_grid,
        use_extrinsics=extrinsics,
    )
    with console.status(f'Converting {checkpoint} ...'):
        manifest = convert(checkpoint, target, dtype=dtype.value, hints=hints)
    Console().print(manifest_table(target, manifest))


@app.command('info')
def info_command(
    weights: Annotated[Path, typer.Argument(metavar='FILE', help='A converted file.')],
    as_json: Annotated[bool, typer.Option('--json', help='Print the manifest as JSON.')] = False,
) -> None:
    """Print what a converted file says of itself; nothing is loaded."""
    manifest = read_manifest(weights)
    if as_json:
        typer.echo(manifest.to_json())
    else:
        Console().print(manifest_table(weights, manifest))


@app.command('check')
def check_command(
    weights: Annotated[Path, typer.Argument(metavar='FILE', help='A converted file.')],
    device: Annotated[str, typer.Option(help='cpu, cuda, or auto.')] = 'auto',
    json_file: Annotated[Path | None, typer.Option('--json', help='Also write it here.')] = None,
) -> None:
    """Load a converted file as the planner would, run it, and estimate how long plans take here.

    Exits with 1 and a numbered error for a file that cannot be planned with.
    """
    console = Console(stderr=True)
    with console.status(f'Checking {weights} ...'):
        report = check_model(weights, device)
    if json_file is not None:
        write_json(json_file, report)
    table = Table('check', 'found', title=str(weights))
    for name, value in report['checks'].items():
        table.add_row(name, str(value))
    for name, seconds in report['plan_s'].items():
        table.add_row(f'plan, estimated: {name}', f'{seconds:.3g} s')
    Console().print(table)


@app.command('parity')
def parity_command(
    golden: Annotated[
        Path, typer.Argument(metavar='FILE', help='Tensors computed by the reference.')
    ],
) -> None:
    """Compare with the reference on its own tensors; print the largest errors as JSON.

    Exits with 1 if one of them is past its bound.
    """
    report = parity_report(golden)
    typer.echo(json.dumps(jsonable(report), indent=2, allow_nan=False))
    if not report['ok']:
        raise typer.Exit(1)


def manifest_table(path: Path, manifest: Manifest) -> Table:
    """Return a manifest as a table for a terminal."""
    architecture = manifest.architecture
    table = Table(title=str(path), show_header=False)
    table.add_column()
    table.add_column(overflow='fold')  # a checksum cut short is none
    table.add_row('file', f'{path.stat().st_size / _MIB:,.1f} MiB, {manifest.dtype}')
    for part in ('encoder', 'predictor'):
        counts = manifest.counts[part]
        table.add_row(
            part,
            f'{_sizes(getattr(architecture, part))}; {counts["parameters"] / 1e6:,.1f} M '
            f'parameters in {counts["tensors"]} tensors',
        )
    table.add_row(
        'input',
        f'{architecture.image_size} px, {architecture.tokens_per_frame} tokens a frame, '
        f'{architecture.condition_tokens} condition tokens',
    )
    source = manifest.source
    if source:
        table.add_row('made from', f'{source["file"]}, {source["bytes"] / _MIB:,.1f} MiB')
        table.add_row('its SHA-256', source['sha256'])
    table.add_row('SHA-256 of the data', manifest.data_sha256)
    return table


def _sizes(config: TransformerConfig) -> str:
    return (
        f'width {config.width}, depth {config.depth}, {config.heads} heads, MLP '
        f'{config.mlp_hidden}, rope {config.rope}'
    )
