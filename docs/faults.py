# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Writes the table of ``docs/faults.md`` from a run of the fault table; a test holds the rows.

./dev run python docs/faults.py         runs the table first, some four minutes
./dev run python docs/faults.py FILE    takes what a run left in FILE
"""

from __future__ import annotations

import json
import os
from pathlib import Path
import subprocess
import sys
import tempfile
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / 'docs' / 'faults.md'
BEGIN, END = '<!-- table -->\n', '<!-- end of table -->\n'


def run_table() -> dict[str, Any]:
    """Inject every fault and return what was measured."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / 'faults.json'
        environment = {**os.environ, 'WM_PLANNER_FAULTS_JSON': str(file)}
        command = [sys.executable, '-m', 'pytest', '-q', 'test/faults/test_fault_table.py']
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
        found: dict[str, Any] = json.loads(file.read_text())
        return found


def render(found: dict[str, Any]) -> str:
    """Return the table in Markdown."""
    sys.path.insert(0, str(ROOT / 'test'))
    from faults.table import FAULTS, KILLS

    lines = [
        '| fault | what is done | what comes of it | error | noticed after | held after | '
        'comes back by |',
        '|---|---|---|---|---|---|---|',
    ]
    for fault in FAULTS:
        row = found[fault.name]
        times = [f'{row[key]:.2f} s' if key in row else '-' for key in ('noticed_s', 'held_s')]
        cells = [
            fault.name,
            fault.what,
            fault.outcome.value,
            str(row.get('code', '-')),
            *times,
            fault.recovery,
        ]
        lines.append('| ' + ' | '.join(cells) + ' |')
    for name, what, outcome in KILLS:
        row = found[name]
        cells = [name, what, outcome, str(row.get('code', '-')), '-', '-', 'starting it again']
        lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines) + '\n'


def main() -> None:
    """Put the table into the page."""
    found = json.loads(Path(sys.argv[1]).read_text()) if len(sys.argv) > 1 else run_table()
    page = TARGET.read_text()
    before, rest = page.split(BEGIN)
    TARGET.write_text(before + BEGIN + render(found) + END + rest.split(END)[1])


if __name__ == '__main__':
    main()
