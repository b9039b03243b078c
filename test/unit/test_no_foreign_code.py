# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Nothing that comes from outside can make code run: no pickle, no eval; servers on loopback."""

from __future__ import annotations

import ast
from collections.abc import Iterator
import inspect
from pathlib import Path
import socket
import threading

import pytest
import torch

from wm_planner.core.errors import WmPlannerError
from wm_planner.models.vjepa2_ac.conversion import convert
from wm_planner.policies.registry import POLICIES
from wm_planner.tools.serve import vla_eval

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ('wm_planner', 'sim/wm_planner_sim', 'benchmarks', 'docs', 'launch', 'scripts')

_MODULES = {'pickle', 'cPickle', '_pickle', 'dill', 'cloudpickle', 'marshal', 'shelve', 'joblib'}
_CALLS = {'eval', 'exec', 'compile', '__import__'}
_METHODS = {('yaml', 'load'), ('yaml', 'unsafe_load'), ('yaml', 'full_load')}

ALLOWED = {
    # For the class of the exception alone, which torch.load(weights_only=True) raises.
    ('wm_planner/models/vjepa2_ac/conversion.py', 'import pickle'),
    # An Unpickler of its own that knows numpy's arrays and nothing else (find_class).
    ('sim/wm_planner_sim/arena_tasks.py', 'import pickle'),
}
"""What is there nevertheless, and why it is harmless."""


def files() -> Iterator[Path]:
    for folder in SOURCES:
        yield from sorted((ROOT / folder).rglob('*.py'))


def risks(tree: ast.AST) -> Iterator[str]:
    """Yield what in a file could run code of somebody else's."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f'import {a.name}' for a in node.names if a.name.split('.')[0] in _MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or '').split('.')[0] in _MODULES:
            yield f'from {node.module}'
        elif isinstance(node, ast.Call):
            yield from _call_risks(node)


def _call_risks(node: ast.Call) -> Iterator[str]:
    options = {k.arg: k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)}
    if isinstance(node.func, ast.Name) and node.func.id in _CALLS:
        yield f'{node.func.id}()'
    if not isinstance(node.func, ast.Attribute) or not isinstance(node.func.value, ast.Name):
        return
    owner, name = node.func.value.id, node.func.attr
    if (owner, name) in _METHODS:
        yield f'{owner}.{name}'
    if (owner, name) == ('torch', 'load') and options.get('weights_only') is not True:
        yield 'torch.load without weights_only=True'
    if owner == 'np' and name in ('load', 'save') and options.get('allow_pickle') is not False:
        yield f'np.{name} without allow_pickle=False'


def test_no_source_can_run_code_from_outside() -> None:
    found = {
        (str(file.relative_to(ROOT)), risk)
        for file in files()
        for risk in risks(ast.parse(file.read_text()))
    }
    assert found - ALLOWED == set()
    assert ALLOWED - found == set(), 'take it off the list'


@pytest.mark.parametrize(
    ('code', 'risk'),
    [
        ('import pickle', 'import pickle'),
        ('from cloudpickle import loads', 'from cloudpickle'),
        ('torch.load(f)', 'torch.load without weights_only=True'),
        ('torch.load(f, weights_only=False)', 'torch.load without weights_only=True'),
        ('np.load(f)', 'np.load without allow_pickle=False'),
        ('np.load(f, allow_pickle=True)', 'np.load without allow_pickle=False'),
        ('yaml.load(f, Loader=x)', 'yaml.load'),
        ('eval(text)', 'eval()'),
    ],
)
def test_the_search_finds_what_it_looks_for(code: str, risk: str) -> None:
    assert list(risks(ast.parse(code))) == [risk]


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    trace = tmp_path / 'ran'

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (trace,))  # type: ignore[return-value]

    file = tmp_path / 'trap.pt'
    torch.save({'encoder': Trap(), 'predictor': {}}, file)
    with pytest.raises(WmPlannerError):
        convert(file, tmp_path / 'out.safetensors')
    assert not trace.exists()


# Endpoints ----------------------------------------------------------------------------------------


@pytest.mark.parametrize('name', ['openpi', 'openvla', 'gr00t', 'dreamzero'])
def test_policy_servers_are_looked_for_on_loopback(name: str) -> None:
    assert POLICIES.get(name).config_class().host == '127.0.0.1'


def test_the_server_binds_to_loopback_unless_told_otherwise() -> None:
    assert inspect.signature(vla_eval).parameters['host'].default == '127.0.0.1'


def test_what_is_bound_to_loopback_is_not_to_be_reached_from_elsewhere() -> None:
    from wm_planner.tools.serve_vla_eval import VlaEvalServer

    host = inspect.signature(vla_eval).parameters['host'].default
    server = VlaEvalServer(lambda: None, None)  # type: ignore[arg-type, return-value]
    port = server.bind(host, 0)
    serving = threading.Thread(target=server.serve)
    serving.start()
    try:
        with socket.create_connection(('127.0.0.1', port), timeout=5.0):
            pass
        with pytest.raises(OSError), socket.create_connection(('127.0.0.2', port), timeout=5.0):
            pass
    finally:
        server.stop()
        serving.join(10.0)
