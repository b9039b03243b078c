# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""``wm_planner up PROFILE [key:=value ...]``: start the nodes of a profile, keep them running."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer

from wm_planner.bringup import PROFILES, Profile, parse_arguments, profile
from wm_planner.tools.process_group import ProcessGroup

app = typer.Typer()

_PROFILE_HELP = '; '.join(f'{entry.name}: {entry.description}' for entry in PROFILES.values())


@app.command()
def up(
    profile_name: Annotated[str, typer.Argument(metavar='PROFILE', help=_PROFILE_HELP)],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar='[KEY:=VALUE]...', help='see --show-args')
    ] = None,
    show_args: Annotated[
        bool,
        typer.Option('--show-args', '-s', help='Print the arguments of the profile and leave.'),
    ] = False,
) -> None:
    """Start the nodes of PROFILE as child processes; Ctrl-C stops them all.

    The exit status is 0 after Ctrl-C or SIGTERM, 1 when a node ended by itself or badly.
    """
    chosen = profile(profile_name)
    if show_args:
        typer.echo(describe(chosen))
        return
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    group = ProcessGroup.of_profile(chosen, parse_arguments(arguments or []), on_line=_print_line)
    with group:
        typer.echo(f'[up] started {", ".join(group.names)}; Ctrl-C stops them', err=True)
        exited = group.wait(stop)
        if exited is not None:
            typer.echo(f'[up] {exited.reason}; stopping the others', err=True)
    ends = group.stop()
    if exited is not None:
        del ends[exited.name]  # reported already
    failed = [end for end in ends.values() if not end.is_clean]
    for end in failed:
        typer.echo(f'[up] {end.reason} while stopping', err=True)
    typer.echo('[up] all nodes have stopped', err=True)
    if exited is not None or failed:
        raise typer.Exit(1)


def describe(chosen: Profile) -> str:
    """Return the arguments of a profile as text, in the manner of ``ros2 launch --show-args``."""
    lines = [f'{chosen.name}: {chosen.description}', 'Arguments (pass as key:=value):', '']
    for argument in chosen.arguments:
        lines.append(f"    '{argument.name}':")
        choices = f' One of: {", ".join(argument.choices)}.' if argument.choices else ''
        lines.append(f'        {argument.description} ({argument.kind.__name__}).{choices}')
        default = repr(argument.default) if argument.default else 'as the parameter files say'
        if argument.is_required:
            default = 'none, it has to be given'
        lines.append(f'        (default: {default})')
    return '\n'.join(lines)


def _print_line(name: str, line: str) -> None:
    typer.echo(f'[{name}] {line}')
