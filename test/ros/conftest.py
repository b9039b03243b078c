# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What the tests with live nodes share."""

from __future__ import annotations

from collections.abc import Iterator
import gc

import pytest


@pytest.fixture(scope='module', autouse=True)
def _no_node_outlives_its_module() -> Iterator[None]:
    """Collect what is left: a node in a reference cycle is in the graph until that happens.

    ``pytest.raises`` around a node that cannot be made keeps its frames, for one.
    """
    yield
    gc.collect()
