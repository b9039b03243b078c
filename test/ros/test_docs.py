# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The documentation against the code: parameters, topics, services, commands."""

from __future__ import annotations

import contextlib
import importlib.util
from pathlib import Path
import re

import pytest

from fakes.planner_harness import QUICK, PlannerHarness
from fakes.waiting import wait_for
from wm_planner.ros.grippers import GRIPPERS
from wm_planner.ros.sinks import NULL_SINK, SINKS
from wm_planner.tools.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / 'README.md').read_text()
NOT_OF_THE_NODE = {'/parameter_events', '/rosout', '/clock'}


def test_parameter_page_is_what_the_dataclasses_say() -> None:
    """docs/parameters.md and robots.md are generated; a changed default is generated again."""
    location = ROOT / 'docs' / 'generate.py'
    spec = importlib.util.spec_from_file_location('docs_generate', location)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for target, text in (
        (module.TARGET, module.render()),
        (module.ROBOTS_TARGET, module.render_robots()),
    ):
        assert target.read_text() == text, 'run: ./dev run python docs/generate.py'
    robots = module.render_robots()
    for name in {*SINKS.names(), *GRIPPERS.names()} - {NULL_SINK}:
        assert f'| `{name}` |' in robots, f'{name} is missing in the tables of docs/generate.py'


def test_readme_lists_exactly_what_the_planner_node_has() -> None:
    """Every topic, service and action of the live node, with its type, and nothing else.

    It used to look once; discovery may tell of the last of them a moment later.
    """
    documented = _table_after('Planner node `wm_planner`')
    wanted = {
        kind: {name: what for name, (found_kind, what) in documented.items() if found_kind == kind}
        for kind in ('publisher', 'subscription', 'service')
    }
    found: dict[str, dict[str, str]] = {}

    def is_as_documented() -> bool:
        node, where = harness.client.node, ('wm_planner', '/')
        found['publisher'] = _by_name(node.get_publisher_names_and_types_by_node(*where))
        found['subscription'] = _by_name(node.get_subscriber_names_and_types_by_node(*where))
        found['service'] = _by_name(node.get_service_names_and_types_by_node(*where))
        return found == wanted

    # A wait that ends without them raises; the comparison below says what differs.
    with PlannerHarness(QUICK) as harness, contextlib.suppress(AssertionError):
        wait_for(is_as_documented, poll=harness.client.spin_once, timeout_s=10)
    assert found == wanted
    assert documented['~/reach_goal'] == ('action', 'wm_planner_msgs/action/ReachGoal')


def test_readme_links_and_commands_exist() -> None:
    """Files it links to are there, and so are the commands it tells people to type."""
    for target in re.findall(r'\]\((?!http|#)([^)]+)\)', README):
        assert (ROOT / target).exists(), target
    typed = re.findall(r'run wm_planner (\w+)', _code(README))
    assert typed
    assert set(typed) <= set(COMMANDS)


@pytest.mark.parametrize('section', ['Two commands', 'Set your own goal', 'Limits', 'Measure it'])
def test_readme_has_what_a_newcomer_needs(section: str) -> None:
    """The sections that other pages and messages point at."""
    assert f'## {section}\n' in README


def _code(text: str) -> str:
    return '\n'.join(re.findall(r'```(?:sh|python)\n(.*?)```', text, flags=re.S))


def _by_name(pairs: list[tuple[str, list[str]]]) -> dict[str, str]:
    """Return what a user calls: no parameter or lifecycle plumbing, no halves of an action."""
    plumbing = re.compile(r'/_action/|parameter|/(change|get)_|transition_event|get_type_desc')
    kept = {}
    for name, (kind, *_) in pairs:
        if name not in NOT_OF_THE_NODE and not plumbing.search(name):
            kept[name.replace('/wm_planner/', '~/')] = kind
    return kept


def _table_after(heading: str) -> dict[str, tuple[str, str]]:
    text = README.split(heading, 1)[1].split('\n\n', 2)[1]
    rows = [re.findall(r'\|([^|]+)', line) for line in text.splitlines() if line.startswith('| `')]
    return {r[0].strip(' `'): (r[1].strip(), r[2].strip()) for r in rows}
