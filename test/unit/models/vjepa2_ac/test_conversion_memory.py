# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""How much memory a conversion takes, measured in a process of its own."""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys

import pytest

from fakes.vjepa2 import tiny_states, write_checkpoint
from wm_planner.models.vjepa2_ac import Architecture
from wm_planner.models.vjepa2_ac.config import transformer

_MEASURE = """
import re, sys
from pathlib import Path
from wm_planner.models.vjepa2_ac.conversion import Hints, convert

def status(name):
    return 1024 * int(re.search(name + r':\\s+(\\d+)', Path('/proc/self/status').read_text())[1])

small, large, target = map(Path, sys.argv[1:])
convert(small, target, dtype='float32', hints=Hints(encoder_heads=2, predictor_heads=2))
for dtype in ('float32', 'bfloat16'):
    Path('/proc/self/clear_refs').write_text('5')  # the peak begins anew at what is held now
    before = status('VmRSS')
    convert(large, target, dtype=dtype, hints=Hints(encoder_heads=4, predictor_heads=4))
    print(dtype, status('VmHWM') - before)
"""


def sized(width: int, depth: int, heads: int) -> Architecture:
    return Architecture(
        encoder=transformer(width, depth, heads), predictor=transformer(width, depth, heads)
    )


@pytest.mark.skipif(not Path('/proc/self/clear_refs').exists(), reason='needs Linux to measure')
def test_memory_holds_a_few_tensors_at_most_when_a_checkpoint_is_converted(tmp_path: Path) -> None:
    """11.7 GB have to pass through machines that do not hold 3.

    The promise is 1.3 times the kept tensors. One tensor at a time takes far less, and holding all
    of them, mapped or copied, takes 1 to 2 times as much and fails here.
    """
    states = tiny_states(sized(256, 6, 4))
    kept = sum(4 * t.numel() for state in states.values() for t in state.values())
    large = write_checkpoint(tmp_path / 'large.pt', states)
    assert 60e6 < large.stat().st_size < 120e6 and kept > 35e6
    small = write_checkpoint(tmp_path / 'small.pt', tiny_states(sized(32, 1, 2)))
    done = subprocess.run(
        [sys.executable, '-c', _MEASURE, small, large, tmp_path / 'weights.safetensors'],
        capture_output=True,
        text=True,
        check=True,
    )
    peaks = {dtype: int(peak) for dtype, peak in map(str.split, done.stdout.splitlines())}
    assert peaks.keys() == {'float32', 'bfloat16'}
    assert all(peak < 0.5 * kept for peak in peaks.values()), (peaks, kept)
