# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""A recorded motion: what an evaluation writes is what a policy reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fakes.values import a_command, a_state
from wm_planner.core.errors import InvalidParameterError
from wm_planner.core.motion import MOTION_COLUMNS, MOTION_FILE, RecordedMotion
from wm_planner.evaluation.motion import EpisodeMotion

S = 1_000_000_000


def a_table(tmp_path: Path) -> Path:
    """Write a second along x: 0.40, 0.50, 0.60 m, the gripper told to close in the second half."""
    motion = EpisodeMotion(['motion'])
    motion.begin(a_state(stamp_ns=5 * S, position_m=(0.4, 0.0, 0.3), closedness=0.0))
    for half, x_m, closedness in ((1, 0.5, 0.0), (2, 0.6, 1.0)):
        motion.add(
            a_command(position_m=(x_m + 0.05, 0.0, 0.3), closedness=closedness),
            a_state(stamp_ns=5 * S + half * S // 2, position_m=(x_m, 0.0, 0.3)),
        )
    path = tmp_path / MOTION_FILE
    path.write_bytes(motion.files()[MOTION_FILE])
    return path


def test_tool_is_where_it_was_and_gripper_as_commanded(tmp_path: Path) -> None:
    motion = RecordedMotion.from_csv(a_table(tmp_path))
    assert motion.duration_s == 1.0
    for time_s, x_m, closedness in ((0.0, 0.4, 0.0), (0.25, 0.45, 0.0), (0.75, 0.55, 1.0)):
        waypoint = motion.at(time_s)
        np.testing.assert_allclose(waypoint.position_m, [x_m, 0.0, 0.3], atol=1e-8)
        assert waypoint.gripper_closedness == closedness
    assert motion.at(9.0).position_m[0] == pytest.approx(0.6)
    assert motion.at(-1.0).position_m[0] == pytest.approx(0.4)


def test_nothing_is_kept_unless_asked_for() -> None:
    motion = EpisodeMotion([])
    motion.begin(a_state())
    assert motion.files() == {}


@pytest.mark.parametrize(
    ('content', 'complaint'),
    [
        (None, 'cannot be read'),
        ('', 'begins with nothing'),
        ('a,b\n1,2\n', 'valid: the columns'),
        (','.join(MOTION_COLUMNS) + '\n' + ','.join(['0'] * 17) + '\n', 'two rows or more'),
        (','.join(MOTION_COLUMNS) + '\n' + ','.join(['x'] * 17) + '\n', 'valid: numbers'),
        (
            ','.join(MOTION_COLUMNS)
            + '\n'
            + '\n'.join(','.join([t, *['nan'] * 16]) for t in ('0', '1')),
            'finite',
        ),
    ],
)
def test_what_is_no_motion_is_refused(tmp_path: Path, content: str | None, complaint: str) -> None:
    path = tmp_path / MOTION_FILE
    if content is not None:
        path.write_text(content)
    with pytest.raises(InvalidParameterError, match=complaint):
        RecordedMotion.from_csv(path)
