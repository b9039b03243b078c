# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The number of threads is changed for a measurement and put back after it."""

from __future__ import annotations

import pytest
import torch

from wm_planner.evaluation import threads
from wm_planner.evaluation.threads import planning_threads


def test_threads_are_those_asked_for_and_put_back_after_an_error() -> None:
    former = torch.get_num_threads()
    with pytest.raises(KeyError), planning_threads(former + 1) as count:
        assert torch.get_num_threads() == count == former + 1
        raise KeyError
    assert torch.get_num_threads() == former


@pytest.mark.parametrize(('cores', 'expected'), [(1, 1), (2, 1), (8, 7)])
def test_a_core_is_left_to_the_rest_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, cores: int, expected: int
) -> None:
    monkeypatch.setattr(threads, 'usable_cores', lambda: cores)
    with planning_threads() as count:
        assert count == expected
