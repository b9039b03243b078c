# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""``wm_planner robot``: list robot profiles, or check one on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from rich.console import Console
from rich.table import Table
import typer

from wm_planner.core.paths import robot_profile_file, share_folder
from wm_planner.core.profile import RobotProfile
from wm_planner.kinematics.description import check_description, read_description
from wm_planner.tools.robot_check import Level, check_robot

_STYLES = {Level.NOTE: 'dim', Level.WARNING: 'yellow', Level.ERROR: 'bold red'}

app = typer.Typer(no_args_is_help=True, help='Robot profiles.')


@app.command(name='list')
def list_profiles() -> None:
    """List the profiles that ship, with the driver interface each is for."""
    table = _table('profile', 'sink', 'gripper', 'state from', 'base_frame', 'tool_frame')
    for file in sorted((share_folder() / 'config' / 'robots').glob('*.yaml')):
        profile = RobotProfile.from_yaml(file)
        table.add_row(
            profile.name,
            profile.sink,
            profile.gripper,
            profile.state_source,
            profile.base_frame,
            profile.tool_frame,
        )
    Console().print(table)


@app.command()
def check(
    profile: Annotated[str, typer.Argument(help='A name in config/robots, or a .yaml file.')],
    description: Annotated[
        Path | None,
        typer.Option(help='URDF or MJCF to check it against, in place of the one on a topic.'),
    ] = None,
    is_json: Annotated[bool, typer.Option('--json', help='Print the report as JSON.')] = False,
) -> None:
    """Load and validate a profile; say what it subscribes, publishes and needs installed.

    Nothing is started and nothing moves. Exit status: 0 fine or warnings, 1 cannot run here, 2
    invalid profile.
    """
    found = RobotProfile.from_yaml(robot_profile_file(profile))
    given = check_description(read_description(str(description))) if description else None
    report = check_robot(found, given)
    if is_json:
        typer.echo(json.dumps(report.as_json(), indent=2))
    else:
        console = Console()
        table = _table('kind', 'name', 'type')
        for stream in report.streams:
            table.add_row(stream.kind, stream.name, stream.type_name)
        console.print(table)
        for finding in report.findings:
            console.print(
                f'{finding.level.name.lower()}: {finding.text}',
                style=_STYLES[finding.level],
                markup=False,
            )
        console.print(report.verdict, style='bold', markup=False)
    if report.level is Level.ERROR:
        raise typer.Exit(1)


def _table(*headings: str) -> Table:
    """Return a table whose names are folded, never cut: people copy them."""
    table = Table()
    for heading in headings:
        table.add_column(heading, overflow='fold')
    return table
