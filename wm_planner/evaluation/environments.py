# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Finding the environment that a suite such as ``tabletop/reach`` runs in.

Environments live in other packages, so that their simulators stay off the robot, and say that they
exist through the entry-point group ``wm_planner.environments``. Nothing here imports a simulator by
name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
import os
from typing import Protocol, runtime_checkable

from wm_planner.core.errors import InvalidParameterError, MissingAssetError, UnknownNameError
from wm_planner.core.protocols import Environment

ENTRY_POINT_GROUP = 'wm_planner.environments'

INSTALL_COMMANDS: Mapping[str, str] = {
    'arena': './dev setup --arena',
    'tabletop': './dev setup (or: pip install ./wm_planner_msgs ./sim .)',
}
"""How to get the environments that this project ships in a package of its own."""


ROBOTS: Mapping[str, str] = {'arena': 'panda_arena'}
"""Robot profile of an environment where it is not that of the tabletop."""


def default_robot(environment: str) -> str:
    """Return the robot profile whose limits commands are held to where nobody says otherwise."""
    return ROBOTS.get(environment, 'panda_sim')


class Score(Protocol):
    """How an episode stands, by the simulator's truth."""

    @property
    def success(self) -> bool:
        """Return whether the suite's success predicate holds now."""


@runtime_checkable
class Scored(Protocol):
    """An environment that can say how the episode stands without stepping."""

    def score(self) -> Score:
        """Return how the episode stands."""


@runtime_checkable
class KnowsSubGoals(Protocol):
    """An environment that wants to know which sub-goal is being pursued."""

    def begin_goal(self, index: int) -> None:
        """Take note that goal ``index`` of the episode is being pursued from now on."""


@runtime_checkable
class OffersWristImage(Protocol):
    """An environment that renders a wrist picture with each observation, which takes time."""

    def offer_wrist_image(self, is_wanted: bool) -> None:
        """Render it from now on where the environment has such a camera, or leave it out."""


@runtime_checkable
class WantsEnvironment(Protocol):
    """A planner that acts by the simulator's truth, e.g. a scripted oracle; never a real method."""

    def attach(self, environment: Environment) -> None:
        """Take the environment that all episodes from now on run in."""


@dataclass(frozen=True)
class SuiteName:
    """A suite as users write it: ``environment/suite``; no suite stands for all of them.

    Where the environment's suites have several parts, such as ``safety_static_obstacles/L0/TASK``,
    the leading ones alone stand for all suites that begin with them.
    """

    environment: str
    suite: str

    @classmethod
    def parse(cls, text: str) -> SuiteName:
        """Return the two parts of e.g. ``tabletop/reach``; raises InvalidParameterError."""
        environment, separator, suite = text.partition('/')
        if not (environment and separator and suite):
            raise InvalidParameterError(
                f'suite {text!r}; valid: ENVIRONMENT/SUITE, for example tabletop/reach.'
            )
        return cls(environment, suite)

    @classmethod
    def parse_prefix(cls, text: str) -> SuiteName:
        """Return ``parse(text)``, or all suites of an environment for its name alone."""
        environment, _, suite = text.strip('/').partition('/')
        if not environment:
            raise InvalidParameterError(
                f'suite {text!r}; valid: ENVIRONMENT or ENVIRONMENT/SUITE, for example '
                'tabletop/reach.'
            )
        return cls(environment, suite)

    def expand(self, suites: Sequence[str]) -> tuple[SuiteName, ...]:
        """Return those of an environment's ``suites`` that this name stands for, in their order.

        Raises UnknownNameError, offering what there is at the first part that does not fit, and
        MissingAssetError where there is none at all.
        """
        if not suites:
            raise MissingAssetError(
                f'environment {self.environment!r} has no suite here; valid: --asset-root DIR (or '
                'WM_PLANNER_ASSET_ROOT) that names a folder with the tasks.'
            )
        found = [s for s in suites if not self.suite or f'{s}/'.startswith(f'{self.suite}/')]
        if not found:
            raise self._unknown(suites)
        return tuple(SuiteName(self.environment, suite) for suite in found)

    def _unknown(self, suites: Sequence[str]) -> UnknownNameError:
        wanted = self.suite.split('/')
        valid: set[str] = set()
        for depth in range(1, len(wanted) + 1):
            before = ''.join(f'{part}/' for part in wanted[: depth - 1])
            valid = {'/'.join(s.split('/')[:depth]) for s in suites if f'{s}/'.startswith(before)}
            if '/'.join(wanted[:depth]) not in valid:
                break
        what = f'suite of {self.environment}'
        return UnknownNameError.among(what, '/'.join(wanted[:depth]), valid)

    def __str__(self) -> str:
        return f'{self.environment}/{self.suite}' if self.suite else self.environment


def environment_settings(name: SuiteName) -> dict[str, str]:
    """Return the variables that set an environment up, ``WM_PLANNER_<ENVIRONMENT>_...``."""
    prefix = f'WM_PLANNER_{name.environment.upper()}_'
    return {key: value for key, value in sorted(os.environ.items()) if key.startswith(prefix)}


def environment_entry_points() -> dict[str, EntryPoint]:
    """Return the environments that installed packages register, by name."""
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}


def open_environment(name: SuiteName) -> Environment:
    """Make the environment of a suite and check that it has it or some below it; close it after.

    Raises MissingAssetError, naming the command that installs it, for an environment of this
    project whose package is absent or whose simulator cannot be imported; UnknownNameError for any
    other environment or suite.
    """
    found = environment_entry_points()
    if name.environment not in found:
        if name.environment in INSTALL_COMMANDS:
            raise _not_installed(name.environment)
        raise UnknownNameError.among('environment', name.environment, {**found, **INSTALL_COMMANDS})
    try:
        make = found[name.environment].load()
    except ImportError as error:
        raise _not_installed(name.environment, cause=error) from error
    environment: Environment = make()
    try:
        name.expand(environment.suites())
    except Exception:
        environment.close()
        raise
    return environment


def expand_suite(name: SuiteName) -> tuple[SuiteName, ...]:
    """Return the suites that a name stands for, asking its environment; raises as above."""
    environment = open_environment(name)
    try:
        return name.expand(environment.suites())
    finally:
        environment.close()


def _not_installed(name: str, cause: ImportError | None = None) -> MissingAssetError:
    why = 'its package is not installed' if cause is None else f'it cannot be imported ({cause})'
    command = INSTALL_COMMANDS.get(name, 'the package that brings it')
    return MissingAssetError(f'environment {name!r}: {why}; install: {command}.')
