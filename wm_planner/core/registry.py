# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Registry: names to implementations, built in or brought by another installed package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import metadata
import logging
from typing import Generic, TypeVar

from wm_planner.core.errors import UnknownNameError

EntryT = TypeVar('EntryT')

_logger = logging.getLogger(__name__)


class Registry(Generic[EntryT]):
    """What can be chosen by name, e.g. world models.

    Built-in entries are functions, called when the name is asked for, so that an implementation's
    imports are paid by those who use it. Other packages add names through the entry-point group
    ``group``; what their entry point loads must be an instance of ``entry_class``. A built-in name
    cannot be taken over. Immutable; any thread.
    """

    def __init__(
        self,
        what: str,
        *,
        group: str,
        entry_class: type[EntryT],
        builtins: Mapping[str, Callable[[], EntryT]],
    ) -> None:
        self._what = what
        self._group = group
        self._entry_class = entry_class
        self._builtins = dict(builtins)

    def names(self) -> tuple[str, ...]:
        """Return all names, sorted."""
        return tuple(sorted({*self._builtins, *self._entry_points()}))

    def get(self, name: str) -> EntryT:
        """Return the entry of ``name``.

        Raises UnknownNameError listing the names that are registered, or TypeError where another
        package registered something that is not an ``entry_class``.
        """
        if name in self._builtins:
            return self._builtins[name]()
        found = self._entry_points()
        if name not in found:
            raise UnknownNameError.among(self._what, name, self.names())
        entry = found[name].load()
        if not isinstance(entry, self._entry_class):
            raise TypeError(
                f'entry point {self._group}: {found[name].value} is a {type(entry).__name__}; '
                f'valid: an instance of {self._entry_class.__name__}.'
            )
        _logger.info('%s %r comes from %s', self._what, name, found[name].value)
        return entry

    def _entry_points(self) -> dict[str, metadata.EntryPoint]:
        return {point.name: point for point in metadata.entry_points(group=self._group)}
