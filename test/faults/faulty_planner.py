# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The planner node with a planner that fails on command: the real one until a file says how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
import os
from pathlib import Path
import time
from typing import Any

import numpy as np
import torch

from wm_planner.core.types import Goal, Observation, Plan
from wm_planner.ros.planner_config import load_planner
from wm_planner.ros.planner_node import PlannerNode
from wm_planner.ros.spinning import run_node

FILE_VARIABLE = 'WM_PLANNER_TEST_FAULT_FILE'
_POLL_S = 0.02


class FaultyPlanner:
    """Passes everything on to the real planner but ``plan``, which looks into the file first."""

    def __init__(self, planner: Any, file: Path) -> None:
        self._planner = planner
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._planner, name)

    def plan(self, observation: Observation, goal: Goal, **arguments: Any) -> Any:
        plan = self._planner.plan(observation, goal, **arguments)
        fault = self._fault()
        return getattr(self, f'_{fault}')(plan) if fault else plan

    def _fault(self) -> str:
        try:
            return self._file.read_text().strip()
        except FileNotFoundError:
            return ''

    # What it may be told to do; the names stand in the file.

    def _die(self, plan: Plan) -> Plan:
        raise SystemExit(3)  # ends the thread: no Exception, so nothing catches it

    def _hang(self, plan: Plan) -> Plan:
        while self._fault() == 'hang':
            time.sleep(_POLL_S)
        return plan

    def _raise(self, plan: Plan) -> Plan:
        raise RuntimeError('a planner that is broken')

    def _nan(self, plan: Plan) -> Plan:
        return replace(plan, actions=np.full_like(plan.actions, np.nan))

    def _infinite(self, plan: Plan) -> Plan:
        return replace(plan, actions=np.full_like(plan.actions, np.inf))

    def _huge(self, plan: Plan) -> Plan:
        return replace(plan, actions=np.full_like(plan.actions, 1e6))

    def _shape(self, plan: Plan) -> Plan:
        return replace(plan, actions=np.zeros((2, 2)))

    def _nothing(self, plan: Plan) -> Any:
        return {'actions': plan.actions}

    def _memory(self, plan: Plan) -> Plan:
        raise MemoryError

    def _device_memory(self, plan: Plan) -> Plan:
        raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 3.00 GiB.')


def main(args: Sequence[str] | None = None) -> int:
    file = Path(os.environ[FILE_VARIABLE])

    def load(config: Any, settings: Any) -> Any:
        return FaultyPlanner(load_planner(config, settings), file)

    return run_node(lambda: PlannerNode(load=load), args)
