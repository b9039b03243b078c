# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of an evaluation with a model that can be drawn: beside what came, what it expected."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from wm_planner.tools.cli import main

pytest.importorskip('mujoco', reason='mujoco is not installed')


def test_last_frame_comes_with_what_the_model_expected_it_to_be(tmp_path: Path) -> None:
    report = tmp_path / 'report.json'
    run = ['--suite', 'tabletop/reach', '--episodes', '1', '--seed', '7', '--save-pictures']
    assert main(['evaluate', *run, '--json', str(report)]) == 0
    (episode,) = json.loads(report.read_text())['episodes']
    assert set(episode['pictures']) == {'first', 'imagined', 'last', 'goal'}
    imagined = cv2.imread(str(tmp_path / episode['pictures']['imagined']))
    came = cv2.imread(str(tmp_path / episode['pictures']['last']))
    assert imagined is not None and came is not None
    near = cv2.resize(came, imagined.shape[:2], interpolation=cv2.INTER_AREA)
    apart = np.mean((imagined.astype(float) - near) ** 2)
    assert 10.0 * np.log10(255.0**2 / apart) > 18.0, 'the last step, as imagined [dB]'

    page = tmp_path / 'report.html'
    assert main(['report', str(report), '--out', str(page)]) == 0
    assert page.read_text().count('<figcaption>imagined</figcaption>') == 1
