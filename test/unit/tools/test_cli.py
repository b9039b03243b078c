# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Sequence
import importlib.util
import subprocess
import sys

import pytest

from wm_planner import __version__
from wm_planner.tools import cli


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = 'import sys; from wm_planner.tools.cli import main; sys.exit(main())'
    return subprocess.run(
        [sys.executable, '-c', code, *arguments], capture_output=True, text=True, check=False
    )


def loaded_by(arguments: Sequence[str]) -> set[str]:
    """Return the modules in memory after a command line ran in a fresh interpreter."""
    code = (
        'import sys; from wm_planner.tools.cli import main; main(); '
        'print("MODULES", *sys.modules, file=sys.stderr)'
    )
    done = subprocess.run(
        [sys.executable, '-c', code, *arguments], capture_output=True, text=True, check=True
    )
    return set(done.stderr.rsplit('MODULES', 1)[1].split())


def test_version() -> None:
    done = run('--version')
    assert (done.returncode, done.stdout.strip()) == (0, f'wm_planner {__version__}')


def test_help_names_every_command() -> None:
    done = run('--help')
    assert done.returncode == 0
    assert all(name in done.stdout for name in cli.COMMANDS)


@pytest.mark.parametrize('name', cli.COMMANDS)
def test_every_command_has_help(name: str) -> None:
    done = run(name, '--help')
    assert done.returncode == 0, done.stderr
    assert f'wm_planner {name}' in done.stdout


@pytest.mark.parametrize('arguments', [['--help'], ['up', 'sim', '--show-args']])
def test_light_commands_load_neither_torch_nor_rclpy(arguments: list[str]) -> None:
    assert not {'torch', 'rclpy', 'mujoco'} & loaded_by(arguments)


def test_wrong_input_is_a_sentence_and_status_2() -> None:
    done = run('up', 'sims')
    assert done.returncode == 2
    assert done.stderr.startswith('wm_planner: error [103]') and 'Valid: ' in done.stderr
    assert 'Traceback' not in done.stderr


def test_unknown_command_is_refused() -> None:
    done = run('ups')
    assert done.returncode == 2
    assert 'Traceback' not in done.stderr


def test_show_args_lists_the_arguments() -> None:
    done = run('up', 'sim', '--show-args')
    assert done.returncode == 0
    assert "'record':" in done.stdout and "default: 'false'" in done.stdout


def test_summaries_are_sentences() -> None:
    for name, summary in cli.COMMANDS.items():
        assert summary[0].isupper() and summary.endswith('.'), name
        assert importlib.util.find_spec(f'wm_planner.tools.{name}'), name
