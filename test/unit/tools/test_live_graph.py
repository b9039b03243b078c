# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""LiveGraph: no two graphs of a machine in one ROS domain."""

from __future__ import annotations

from pathlib import Path
import tempfile

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from wm_planner.tools import live_graph  # noqa: E402


def test_domain_that_is_taken_is_not_given_again_until_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two graphs drew the same number by chance, and one disabled the other's planner."""
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    monkeypatch.setattr(live_graph, '_DOMAINS', 3)
    claims = [live_graph.claim_domain_id() for _ in range(3)]
    assert sorted(number for number, _ in claims) == [1, 2, 3]
    assert live_graph.claim_domain_id()[1] is None, 'all are taken'
    number, lock = claims[1]
    assert lock is not None
    lock.close()
    again, lock = live_graph.claim_domain_id()
    assert (again, lock is not None) == (number, True)
