# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What every test shares: a tier per folder, isolation from other ROS graphs, ``wait_for``."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
import signal
import tempfile

from hypothesis import settings
import pytest

# A shell that starts a program in the background makes it ignore SIGINT, and its children inherit
# that; the tests of Ctrl-C need what a terminal gives.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Before anything imports rclpy or torch: no traffic off this machine, no graph shared with another
# program (each test process has its own domain; 0 is what people use, 101 the last safe one), the
# field checks on, and no fight for the cores.
os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
os.environ.setdefault('ROS_DOMAIN_ID', str(1 + os.getpid() % 101))
os.environ.setdefault('ROS_PYTHON_CHECK_FIELDS', '1')
os.environ.setdefault('ROS_LOG_DIR', os.path.join(tempfile.gettempdir(), 'wm_planner_test_log'))
os.environ.setdefault(
    'FASTDDS_DEFAULT_PROFILES_FILE',
    str(Path(__file__).resolve().parents[1] / 'config' / 'fastdds_loopback.xml'),
)
os.environ.setdefault('OMP_NUM_THREADS', '1')

# MuJoCo settles its renderer when it is imported, whichever test does that first.
if importlib.util.find_spec('wm_planner_sim') is not None:
    from wm_planner_sim.rendering import select_renderer

    select_renderer()

# Property tests try the same examples in every run, and a slow machine is no failure of theirs.
settings.register_profile('suite', deadline=None, derandomize=True, database=None, max_examples=50)
settings.load_profile('suite')

TEST_FOLDER = Path(__file__).resolve().parent
TIERS = {
    'lint': 'style, types, layers and packaging',
    'unit': 'one class or function; no ROS graph',
    'contract': 'every registered implementation against its protocol',
    'ros': 'real rclpy nodes',
    'launch': 'whole graphs of processes',
    'faults': 'faults injected into the live graph',
    'gpu': 'needs a CUDA device',
}
REQUIRED_TIERS = ('lint', 'unit', 'contract', 'ros', 'faults')


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the switch with which ``./dev test`` insists on a whole suite."""
    parser.addoption(
        '--require-tiers',
        action='store_true',
        help=f'fail if one of the tiers {", ".join(REQUIRED_TIERS)} collects nothing',
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare one marker a tier."""
    for tier, meaning in TIERS.items():
        config.addinivalue_line('markers', f'{tier}: {meaning}')


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark each test with the tier its folder names; run the quick tiers first."""
    order = list(TIERS)
    for item in items:
        item.add_marker(getattr(pytest.mark, _tier_of(item)))
    items.sort(key=lambda item: order.index(_tier_of(item)))
    if config.getoption('--require-tiers'):
        empty = set(REQUIRED_TIERS) - {_tier_of(item) for item in items}
        if empty:
            raise pytest.UsageError(f'no test was collected in tier {", ".join(sorted(empty))}')


def _tier_of(item: pytest.Item) -> str:
    tier = item.path.resolve().relative_to(TEST_FOLDER).parts[0]
    if tier not in TIERS:
        raise pytest.UsageError(f'{item.path} is in no tier; valid folders: {", ".join(TIERS)}.')
    return tier


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many tests each tier ran and, for every skip, the reason."""
    counts: dict[str, dict[str, int]] = {}
    for outcome in ('passed', 'failed', 'error', 'skipped'):
        for report in terminalreporter.getreports(outcome):
            tier = Path(report.nodeid.split('::')[0]).parts
            name = tier[1] if len(tier) > 2 else tier[0]
            counts.setdefault(name, {}).setdefault(outcome, 0)
            counts[name][outcome] += 1
    if counts:
        terminalreporter.write_sep('=', 'tiers')
    for name in sorted(counts, key=lambda tier: list(TIERS).index(tier) if tier in TIERS else 99):
        words = ', '.join(f'{number} {outcome}' for outcome, number in counts[name].items())
        terminalreporter.write_line(f'{name}: {words}')
