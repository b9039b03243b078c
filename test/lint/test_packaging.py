# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The three packages agree with each other, and what they install exists."""

from __future__ import annotations

from pathlib import Path
import re
import stat
import xml.etree.ElementTree as ElementTree

import pytest

import wm_planner
from wm_planner.bringup import PROFILES

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {'wm_planner': '.', 'wm_planner_msgs': 'wm_planner_msgs', 'wm_planner_sim': 'sim'}
BUILD_TYPES = {
    'wm_planner': 'ament_python',
    'wm_planner_msgs': 'ament_cmake',
    'wm_planner_sim': 'ament_python',
}


def package_xml(name: str) -> ElementTree.Element:
    return ElementTree.parse(ROOT / PACKAGES[name] / 'package.xml').getroot()


def text_of(element: ElementTree.Element, path: str) -> str:
    found = element.find(path)
    assert found is not None and found.text, f'no <{path}>'
    return found.text


@pytest.mark.parametrize('name', PACKAGES)
def test_package_xml_is_complete(name: str) -> None:
    package = package_xml(name)
    assert package.get('format') == '3'
    assert text_of(package, 'name') == name
    assert text_of(package, 'license') == 'Apache-2.0'
    assert text_of(package, 'description')
    maintainer = package.find('maintainer')
    assert maintainer is not None and '@' in maintainer.get('email', '')
    assert text_of(package, 'export/build_type') == BUILD_TYPES[name]


@pytest.mark.parametrize('name', ['wm_planner', 'wm_planner_sim'])
def test_python_package_has_its_ament_marker(name: str) -> None:
    assert (ROOT / PACKAGES[name] / 'resource' / name).is_file()


def test_versions_are_equal_everywhere() -> None:
    versions = {f'{name}/package.xml': text_of(package_xml(name), 'version') for name in PACKAGES}
    for file in ('setup.py', 'sim/setup.py', 'wm_planner_msgs/pyproject.toml'):
        found = re.search(r"""^\s*version ?= ?['"]([^'"]+)""", (ROOT / file).read_text(), re.M)
        assert found, f'no version in {file}'
        versions[file] = found[1]
    versions['wm_planner/__init__.py'] = wm_planner.__version__
    assert len(set(versions.values())) == 1, versions


def test_changelog_has_the_version_and_a_place_for_the_next() -> None:
    changelog = (ROOT / 'CHANGELOG.rst').read_text()
    assert re.search(rf'^(Forthcoming|{re.escape(wm_planner.__version__)} \()', changelog, re.M)
    underlines = re.findall(r'^(.+)\n([-^=]+)$', changelog, re.M)
    assert underlines and all(len(title) == len(line) for title, line in underlines)


def test_nodes_of_the_profiles_are_installed_executables() -> None:
    nodes = [node for entry in PROFILES.values() for node in entry.nodes]
    for node in {(n.package, n.executable, n.module) for n in nodes}:
        package, executable, module = node
        script = ROOT / PACKAGES[package] / 'scripts' / executable
        assert script.is_file(), f'{script} is missing'
        assert script.stat().st_mode & stat.S_IXUSR, f'{script} cannot be executed'
        assert f'from {module} import main' in script.read_text()


def test_colcon_is_told_of_all_packages() -> None:
    text = (ROOT / 'colcon_defaults.yaml').read_text()
    assert f'base-paths: [{", ".join(PACKAGES.values())}]' in text
