# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Finding the environment that a suite such as ``tabletop/reach`` runs in.

Environments live in other packages, so that their simulators stay off the robot, and say that they
exist through the entry-point group ``wm_planner.environments``. Nothing here imports a simulator by
name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, runtime_checkable

from wm_planner.core.errors import InvalidParameterError, MissingAssetError, UnknownNameError
from wm_planner.core.protocols import Environment

ENTRY_POINT_GROUP = 'wm_planner.environments'

INSTALL_COMMANDS: Mapping[str, str] = {
    'tabletop': './dev setup (or: pip install ./wm_planner_msgs ./sim .)',
}
"""How to get the environments that this project ships in a package of its own."""


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


@dataclass(frozen=True)
class SuiteName:
    """A suite as users write it: ``environment/suite``."""

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

    def __str__(self) -> str:
        return f'{self.environment}/{self.suite}'


def environment_entry_points() -> dict[str, EntryPoint]:
    """Return the environments that installed packages register, by name."""
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINT_GROUP)}


def open_environment(name: SuiteName) -> Environment:
    """Make the environment of a suite and check that it has the suite; the caller closes it.

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
    if name.suite not in environment.suites():
        suites = environment.suites()
        environment.close()
        raise UnknownNameError.among(f'suite of {name.environment}', name.suite, suites)
    return environment


def _not_installed(name: str, cause: ImportError | None = None) -> MissingAssetError:
    why = 'its package is not installed' if cause is None else f'it cannot be imported ({cause})'
    command = INSTALL_COMMANDS.get(name, 'the package that brings it')
    return MissingAssetError(f'environment {name!r}: {why}; install: {command}.')
