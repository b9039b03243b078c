# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The three packages agree with each other, and what they install exists."""

from __future__ import annotations

import ast
from pathlib import Path
import re
import stat
import sys
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


@pytest.mark.parametrize(
    ('name', 'folders'),
    [('wm_planner', ['wm_planner', 'launch']), ('wm_planner_sim', ['sim/wm_planner_sim'])],
)
def test_package_xml_names_the_ros_packages_that_are_imported(
    name: str, folders: list[str]
) -> None:
    imported = set().union(*(imports_of(ROOT / folder) for folder in folders))
    is_ros = re.compile(r'rclpy|launch|launch_ros|std_srvs|\w+_(msgs|interfaces)')
    package = package_xml(name)
    declared = {tag.text for tag in package.iter() if tag.tag in ('depend', 'exec_depend')}
    needed = {module for module in imported if is_ros.fullmatch(module)}
    assert needed == {module for module in declared if module and is_ros.fullmatch(module)}


@pytest.mark.parametrize(
    ('setup_file', 'folder'), [('setup.py', 'wm_planner'), ('sim/setup.py', 'sim/wm_planner_sim')]
)
def test_setup_names_the_libraries_that_are_imported(setup_file: str, folder: str) -> None:
    distributions = {
        'cv2': 'opencv-python-headless',
        'pink': 'pin-pink',
        'pinocchio': 'pin',
        'rerun': 'rerun-sdk',
        'yaml': 'pyyaml',
    }
    # Our own, and what comes with a distribution only.
    elsewhere = {*PACKAGES, 'cv_bridge', 'launch', 'launch_ros'}
    # The simulator never runs without wm_planner, which brings ROS.
    ros_wheels = set(re.findall(r"'ros-([a-z-]+)", (ROOT / 'setup.py').read_text()))
    named = set(re.findall(r"'([a-z0-9-]+)[\[~>=]", (ROOT / setup_file).read_text())) | ros_wheels
    imported = imports_of(ROOT / folder) - elsewhere - set(sys.stdlib_module_names)
    needed = {distributions.get(module, module.replace('_', '-')) for module in imported}
    assert needed <= named


def imports_of(folder: Path) -> set[str]:
    """Return the top-level modules that the Python files of a folder import."""
    found = set()
    for path in folder.rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split('.')[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split('.')[0])
    return found
