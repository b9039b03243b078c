# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The rooms import each other only downwards, and ROS stays in its room."""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS_WITHOUT_ROS = (
    'core',
    'planning',
    'models',
    'control',
    'kinematics',
    'policies',
    'evaluation',
    'training',
    'imagination',
    'factory',
    'bringup',
    'tools.cli',
    'tools.up',
)
_IMPORT_EVERYTHING = """
import importlib, pkgutil, sys
name, forbidden = sys.argv[1:]
room = importlib.import_module(name)
for found in pkgutil.walk_packages(getattr(room, '__path__', ()), name + '.'):
    importlib.import_module(found.name)
loaded = sorted(m for m in sys.modules if m.split('.')[0] in forbidden.split(','))
sys.exit('imports ' + ', '.join(loaded[:5]) if loaded else 0)
"""


def probe(module: str, *forbidden: str) -> None:
    """Import a room and all below it in a fresh interpreter; fail if it loads ``forbidden``."""
    done = subprocess.run(
        [sys.executable, '-c', _IMPORT_EVERYTHING, module, ','.join(forbidden)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f'{module}: {done.stderr}'


def test_import_contracts_of_pyproject_hold() -> None:
    done = subprocess.run(
        [sys.executable, '-c', 'from importlinter.cli import lint_imports_command as c; c()'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize('room', ROOMS_WITHOUT_ROS)
def test_room_loads_no_rclpy(room: str) -> None:
    probe(f'wm_planner.{room}', 'rclpy', 'sensor_msgs', 'wm_planner_msgs')


@pytest.mark.parametrize(
    'room', ['core', 'control', 'kinematics', 'bringup', 'tools.cli', 'tools.up']
)
def test_room_loads_no_torch(room: str) -> None:
    probe(f'wm_planner.{room}', 'torch')


def test_probe_finds_what_it_looks_for() -> None:
    with pytest.raises(AssertionError, match='imports yaml'):
        probe('wm_planner.core', 'yaml')
