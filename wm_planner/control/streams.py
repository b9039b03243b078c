# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Stream: stamped items in the order in which they were acquired, whatever that of arrival."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field
import math
from typing import Generic, TypeVar

from wm_planner.core.errors import WmPlannerError

ItemT = TypeVar('ItemT')


@dataclass
class Stream(Generic[ItemT]):
    """Stamped items, oldest first, no two with the same stamp."""

    what: str
    stamps_ns: list[int] = field(default_factory=list)
    items: list[ItemT] = field(default_factory=list)
    arrival_monotonic_ns: int | None = None
    doubt: WmPlannerError | None = None  # why the stream is not believed
    believed_from_ns: int = 0  # monotonic; when the next good item ends the doubt

    def insert(self, stamp_ns: int, item: ItemT, *, keep_ns: int) -> None:
        """Put an item in its place; drop duplicates and what is older than ``keep_ns``."""
        index = bisect.bisect_left(self.stamps_ns, stamp_ns)
        if index < len(self.stamps_ns) and self.stamps_ns[index] == stamp_ns:
            return
        self.stamps_ns.insert(index, stamp_ns)
        self.items.insert(index, item)
        first = bisect.bisect_left(self.stamps_ns, self.stamps_ns[-1] - keep_ns)
        del self.stamps_ns[:first], self.items[:first]

    def nearest(self, stamp_ns: int) -> int:
        """Return the index of the item nearest in time; the stream must not be empty."""
        index = bisect.bisect_left(self.stamps_ns, stamp_ns)
        around = range(max(index - 1, 0), min(index + 1, len(self.stamps_ns)))
        return min(around, key=lambda i: abs(self.stamps_ns[i] - stamp_ns))

    def age_s(self, now_ns: int) -> float:
        """Return the age of the newest item, NaN when there is none."""
        return (now_ns - self.stamps_ns[-1]) * 1e-9 if self.stamps_ns else math.nan

    def clear(self) -> None:
        """Forget all items, and that any arrived."""
        self.stamps_ns.clear()
        self.items.clear()
        self.arrival_monotonic_ns = self.doubt = None
