# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""A Ray of our own listens on loopback alone: looked up in the kernel's table of sockets."""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys

import pytest

pytest.importorskip('ray', reason='Ray is an extra: pip install wm_planner[ray]')

_SCRIPT = """
import os, sys
from pathlib import Path
from wm_planner.evaluation.ray_workers import _import_ray, _join

def listening():
    found = {}
    for table in ('tcp', 'tcp6'):
        for line in Path('/proc/net/' + table).read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == '0A':
                found[columns[9]] = columns[1].partition(':')[0]
    return found

def below(pid):
    children = {}
    for path in Path('/proc').glob('[0-9]*'):
        try:
            parent = int((path / 'stat').read_text().rpartition(') ')[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(path.name))
    todo, found = [pid], []
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found

ray = _import_ray(is_local=True)
_join(ray, 1, '')
ray.get(ray.remote(lambda: 1).options(num_cpus=1).remote())
addresses, table = [], listening()
for pid in below(os.getpid()):
    for link in Path(f'/proc/{pid}/fd').glob('*'):
        try:
            target = os.readlink(link)
        except OSError:
            continue
        if target.startswith('socket:[') and target[8:-1] in table:
            addresses.append(table[target[8:-1]])
print(' '.join(addresses))
ray.shutdown()
"""
_LOOPBACK = {
    '0100007F',  # 127.0.0.1
    '0000000000000000FFFF00000100007F',  # ::ffff:127.0.0.1
    '00000000000000000000000001000000',  # ::1
}


def test_a_ray_of_our_own_listens_on_loopback_alone() -> None:
    if not Path('/proc/net/tcp').is_file():
        pytest.skip('no table of sockets: this is not Linux')
    done = subprocess.run(
        [sys.executable, '-c', _SCRIPT], capture_output=True, text=True, check=False, timeout=180
    )
    assert done.returncode == 0, done.stderr
    addresses = done.stdout.split()
    assert len(addresses) >= 4, 'gcs server, raylet and worker listen'
    assert set(addresses) <= _LOOPBACK, addresses
