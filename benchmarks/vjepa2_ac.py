# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""V-JEPA 2-AC on this machine's device, in one call of a few minutes.

Needs torch, numpy and a checkout of the repository; nothing has to be installed and no weights are
read. ``python benchmarks/vjepa2_ac.py --json result.json``; ``--size tiny`` runs anywhere.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import json
from pathlib import Path
import sys

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch  # noqa: E402

from wm_planner.tools.bench_device import SIZES, DeviceBench  # noqa: E402


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    has_gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--size', choices=sorted(SIZES), default='released')
    parser.add_argument('--device', default='cuda' if has_gpu else 'cpu')
    parser.add_argument(
        '--precision',
        choices=('bfloat16', 'float32'),
        default='bfloat16' if has_gpu else 'float32',
    )
    parser.add_argument('--compile', choices=('auto', 'on', 'off'), default='auto')
    parser.add_argument('--rounds', type=int, default=5, help='runs of which the median is taken')
    parser.add_argument('--json', type=Path, help='also write the result here')
    given = parser.parse_args(arguments)
    bench = DeviceBench(
        SIZES[given.size],
        device=given.device,
        precision=given.precision,
        compiled=given.compile,
        rounds=given.rounds,
    )
    result = bench.run()
    print(f'{result["device"]}, {result["precision"]}, compiled: {result["compiled"]}')
    print(f'{"what":64} {"ms":>10} {"TFLOP/s":>9} {"of ceiling":>10}')
    for row in result['rows']:
        rate, share = row['tflop_per_s'], row['share_of_ceiling']
        print(f'{row["what"]:64} {row["ms"]:10.2f} {rate:9.3g} {share:10.0%}')
    for name in ('ranking', 'peak_memory_gib', 'samples_at_once', 'versions'):
        print(f'{name}: {json.dumps(result[name])}')
    if given.json is not None:
        given.json.write_text(json.dumps(result, indent=2) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
