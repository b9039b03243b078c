# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""``wm_planner COMMAND``: registers the commands and imports only the one that is asked for.

A command NAME lives in ``wm_planner/tools/NAME.py``, which has either an ``app`` (typer.Typer) or
a function called NAME. Torch and rclpy take seconds to import, so ``--help`` and ``up`` must not
pay for ``train``: every command that is not on the command line is only named, with the summary
below.
"""

from __future__ import annotations

from collections.abc import Sequence
import importlib
import logging
import sys
from typing import Annotated

import typer

from wm_planner import __version__
from wm_planner.core.errors import WmPlannerError

COMMANDS = {
    'up': 'Start the nodes of a profile; Ctrl-C stops them all.',
    'demo': 'Drive the simulated arm to goal images and leave a record of it.',
    'goal': 'Set, capture or list goal images.',
    'robot': 'List robot profiles, or check one before the arm moves.',
    'evaluate': 'Measure success rate and cost of a planner on suites.',
    'replay': 'Plan at every recorded step of a bag, without a robot.',
    'landscape': 'Draw how good the planner thinks each displacement would be.',
    'view': 'Show a running graph or a bag in the browser.',
    'report': 'Write a page of results, beside each other and published ones.',
    'serve': 'Serve a planner to the harness vla-eval.',
    'train': 'Train a world model.',
    'model': 'Convert, describe, check and compare weights of V-JEPA 2-AC.',
    'doctor': 'Say what is wrong with a set-up before the arm moves.',
    'calibrate': "Measure how the world model's action axes lie in the base frame.",
    'bench': 'Measure planning, node and simulation speed.',
}


def make_app(arguments: Sequence[str]) -> typer.Typer:
    """Return the application with the command named in ``arguments`` loaded."""
    app = typer.Typer(
        name='wm_planner',
        help='Drive a robot arm to a goal image by planning in a latent world model.',
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={'help_option_names': ['-h', '--help']},
    )
    app.callback()(_common_options)
    wanted = next((argument for argument in arguments if argument in COMMANDS), None)
    for name, summary in COMMANDS.items():
        if name == wanted:
            _register(app, name, summary)
        else:
            app.command(name, help=summary)(_not_loaded)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status: 0 fine, 1 failed, 2 wrong input."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        status = make_app(arguments)(args=arguments, prog_name='wm_planner', standalone_mode=True)
    except SystemExit as leaving:
        status = leaving.code
    except WmPlannerError as error:
        typer.echo(f'wm_planner: error {error}', err=True)
        return 2 if error.code < 200 else 1
    return status if isinstance(status, int) else int(bool(status))


def _register(app: typer.Typer, name: str, summary: str) -> None:
    module = importlib.import_module(f'wm_planner.tools.{name}')
    sub_app = getattr(module, 'app', None)
    if sub_app is None:
        app.command(name, help=summary)(getattr(module, name))
        return
    commands = sub_app.registered_commands
    is_single = len(commands) == 1 and not sub_app.registered_groups
    if is_single and sub_app.registered_callback is None:
        app.command(name, help=summary)(commands[0].callback)
    else:
        app.add_typer(sub_app, name=name, help=summary)


def _not_loaded() -> None:
    """Stand for a command that is not on the command line; it is never run."""


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f'wm_planner {__version__}')
        raise typer.Exit


def _set_log_level(level: str) -> str:
    number = logging.getLevelName(level.upper())
    if not isinstance(number, int):
        raise typer.BadParameter('valid: debug, info, warning, error.')
    logging.basicConfig(level=number, format='%(levelname)s %(name)s: %(message)s')
    return level


def _common_options(
    version: Annotated[
        bool,
        typer.Option('--version', callback=_show_version, is_eager=True, help='Print the version.'),
    ] = False,
    log_level: Annotated[
        str,
        typer.Option(callback=_set_log_level, help='debug, info, warning or error.'),
    ] = 'info',
) -> None:
    """Take the options that come before the command; their callbacks do the work."""


if __name__ == '__main__':
    sys.exit(main())
