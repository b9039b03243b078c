# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of what is shown of planning: what it costs a plan, and how true it is."""

from __future__ import annotations

from pathlib import Path
import tempfile
import threading
import time
from typing import Any

import numpy as np

from wm_planner.control.worker import PlanningWorker, PlanRequest
from wm_planner.core.actions import action_to_command
from wm_planner.core.errors import PlannerTimeoutError
from wm_planner.core.geometry import Array
from wm_planner.core.types import ActionSpec, EpisodeStart, Goal, Plan
from wm_planner.evaluation.environments import SuiteName, open_environment
from wm_planner.factory import make_planner
from wm_planner.imagination.figures import draw_landscape
from wm_planner.imagination.imaginer import Drawn, ImaginationConfig, Imaginer
from wm_planner.imagination.painters import Painter, make_painter
from wm_planner.models.tabletop.checkpoint import SHIPPED_WEIGHTS, load_weights
from wm_planner.models.tabletop.decoder import load_decoder
from wm_planner.planning.landscape import run_landscape
from wm_planner.ros.images import image_to_message
from wm_planner.ros.imagined import marker_message, path_message
from wm_planner.tools.landscape import displacement_of
from wm_planner.tools.measurement import Measurement
from wm_planner.training.datasets import Dataset, collect
from wm_planner.training.decoder import measure_decoder

DATA_SEED = 4242  # not that of any training data
_STEPS = 32
_LONGEST_MOVE_M, _SHORTEST_MOVE_M = 0.05, 0.02
_TIMEOUT_S = 60.0


class _TimedPainter:
    """A painter that notes when a drawing begins."""

    def __init__(self, painter: Painter, begun: list[float]) -> None:
        self._painter = painter
        self._begun = begun

    def begin(self, tokens: Any) -> None:
        self._begun.append(time.monotonic())
        self._painter.begin(tokens)

    def paint(self, latents: Any) -> Any:
        return self._painter.paint(latents)


class _Loop:
    """The planning thread and, while it is on, the imagination thread, as the node has them."""

    def __init__(self, start: EpisodeStart) -> None:
        self._start = start
        self._number = 0
        self._done = threading.Event()
        self._begun: list[float] = []
        self.drawings: list[tuple[float, float]] = []  # begin and end [s, monotonic]
        self.plans: list[tuple[float, float]] = []
        self.worker = PlanningWorker(lambda: make_planner('cem', 'tabletop', device='cpu'))
        self.worker.start(_TIMEOUT_S)
        self.imaginer = Imaginer(
            ImaginationConfig(),
            self._painter,
            self._on_drawn,
            is_busy=lambda: self.worker.busy_since_ns() is not None,
        )

    def plan(self, *, is_shown: bool) -> float:
        """Make a plan and return its time [ms], as the node's diagnostics give it."""
        self._number += 1
        self.worker.submit(
            PlanRequest(
                observation=self._start.observation,
                goal=self._start.goals[-1],
                deadline_s=None,
                executed_steps=1 if self._number > 1 else 0,
                request_id=self._number,
            )
        )
        deadline = time.monotonic() + _TIMEOUT_S
        while time.monotonic() < deadline:
            outcome = self.worker.poll()
            if outcome is not None and outcome.plan is not None:
                milliseconds = float(outcome.plan.diagnostics.milliseconds['total'])
                end = time.monotonic()
                self.plans.append((end - 1e-3 * milliseconds, end))
                self._show(outcome.plan, is_shown)
                return milliseconds
            time.sleep(0.002)
        raise PlannerTimeoutError(f'no plan came within {_TIMEOUT_S:g} s.')

    def shared_ms(self) -> list[float]:
        """Return how long something was drawn during each plan [ms]."""
        return [
            1e3 * sum(max(0.0, min(e, end) - max(b, begin)) for b, e in self.drawings)
            for begin, end in self.plans
        ]

    def close(self) -> None:
        """End both threads."""
        self.imaginer.stop(10.0)
        self.worker.stop(10.0)

    def _painter(self) -> Painter:
        painter = make_painter('tabletop')
        assert painter is not None
        return _TimedPainter(painter, self._begun)

    def _show(self, plan: Plan, is_shown: bool) -> None:
        if is_shown:
            self.imaginer.submit(plan)

    def _on_drawn(self, drawn: Drawn) -> None:
        """Do what the node does of a drawing but for handing it to the middleware."""
        for image in (drawn.strip, drawn.outcome):
            if image is not None:
                image_to_message(image)
        path_message(drawn, 'base')
        marker_message(drawn, 'base')
        self.drawings.append((self._begun[-1], time.monotonic()))


def measure_overhead(pairs: int, *, gap_s: float) -> tuple[list[Measurement], dict[str, Any]]:
    """Time plans with and without drawing, in turn, ``gap_s`` apart; return times and ratios.

    The drawing of a plan goes on while the next one is made or, with a gap, before it, so a plan is
    charged with what was drawn of the one before.
    """
    environment = open_environment(SuiteName('tabletop', 'reach'))
    try:
        start = environment.reset('reach', seed=0, episode=0)
    finally:
        environment.close()
    loop = _Loop(start)
    times: dict[bool, list[float]] = {False: [], True: []}
    try:
        for _ in range(5):
            loop.plan(is_shown=True)
        for pair in range(pairs):
            for is_shown in (False, True) if pair % 2 else (True, False):
                loop.plan(is_shown=is_shown)  # what is drawn of this one ...
                time.sleep(gap_s)
                times[is_shown].append(loop.plan(is_shown=False))  # ... may delay this one
                time.sleep(gap_s)
    finally:
        loop.close()
    ratios = np.array(times[True]) / np.array(times[False])
    rng = np.random.default_rng(0)
    medians = np.median(rng.choice(ratios, (2000, len(ratios))), axis=1)
    facts = {
        'gap_s': gap_s,
        'pairs': pairs,
        'drawn': len(loop.drawings),
        'drawing_ms_median': 1e3 * float(np.median([e - b for b, e in loop.drawings])),
        'share_of_planning_time_with_drawing_beside_it': sum(loop.shared_ms())
        / (1e3 * sum(end - begin for begin, end in loop.plans)),
        'ratio_of_medians': float(np.median(times[True]) / np.median(times[False])),
        'median_of_paired_ratios': float(np.median(ratios)),
        'interval_95': [float(np.quantile(medians, q)) for q in (0.025, 0.975)],
    }
    return [
        Measurement(
            name=f'plan_{"shown" if is_shown else "plain"}_gap_{gap_s:g}',
            what=f'plan {"with" if is_shown else "without"} drawing, plans {gap_s:g} s apart',
            unit='ms',
            values=values,
        )
        for is_shown, values in times.items()
    ], facts


def measure_pictures(moments: int) -> dict[str, Any]:
    """Return PSNR of decoded imagination on fresh episodes of the collector."""
    network, card = load_weights(SHIPPED_WEIGHTS)
    network.eval().requires_grad_(False)
    episodes = max(2, -(-moments // (_STEPS - 5)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        collect(
            folder,
            collector='tabletop',
            seed=DATA_SEED,
            episodes=episodes,
            steps=_STEPS,
            image_size=network.config.image_size,
            workers=1,
            on_episode=lambda done: None,
        )
        held_out = Dataset.load(folder, range(episodes))
    decoder, _ = load_decoder()
    return measure_decoder(decoder, network, card.action_spec, held_out, moments=moments)


def measure_landscapes(moves: int, out: Path | None) -> dict[str, Any]:
    """Return how far the lowest place of a landscape is from the move that leads to the goal.

    Half of the moves are in the plane of slice xy, half in that of xz. ``out`` gets the landscape
    of the first move of each as a PNG.
    """
    planner = make_planner('cem', 'tabletop', device='cpu')
    environment = open_environment(SuiteName('tabletop', 'reach'))
    rng = np.random.default_rng(DATA_SEED)
    errors: dict[str, list[float]] = {'xy': [], 'xz': []}
    try:
        for number in range(moves):
            plane = 'xy' if number % 2 == 0 else 'xz'
            start = environment.reset('reach', seed=DATA_SEED, episode=number)
            observation, state = start.observation, start.observation.state
            wanted = _random_move(rng, plane)
            action = _action(wanted, planner.action_spec, state.gripper_closedness)
            command = action_to_command(action, planner.action_spec, state, state.stamp_ns)
            after = environment.step(command, planner.action_spec.step_duration_s).observation
            true = after.state.position_m - state.position_m
            goal = Goal(
                goal_id=f'move {number}',
                image=after.images[-1],
                gripper_closedness=after.state.gripper_closedness,
            )
            found = run_landscape(planner, observation, goal)
            kept = np.array([1.0, 1.0, 0.0] if plane == 'xy' else [1.0, 0.0, 1.0])
            errors[plane].append(float(np.linalg.norm(found.minimum(plane) - kept * true)))
            if out is not None and number < 2:
                planner.reset()
                plan = planner.plan(observation, goal)
                draw_landscape(
                    found,
                    out / f'landscape_{plane}.png',
                    now=observation.images[-1],
                    goal=goal.image,
                    chosen_m=displacement_of(plan.actions[0], plan.action_spec),
                    true_m=true,
                )
    finally:
        environment.close()
    together = [*errors['xy'], *errors['xz']]
    return {
        'moves': moves,
        'error_cm_median': 100.0 * float(np.median(together)),
        'error_cm_p90': 100.0 * float(np.quantile(together, 0.9)),
        **{f'error_cm_median_{k}': 100.0 * float(np.median(v)) for k, v in errors.items() if v},
    }


def _random_move(rng: np.random.Generator, plane: str) -> Array:
    while True:
        move = rng.uniform(-_LONGEST_MOVE_M, _LONGEST_MOVE_M, 3)
        move[2 if plane == 'xy' else 1] = 0.0
        if np.linalg.norm(move) >= _SHORTEST_MOVE_M:
            return move


def _action(move: Array, spec: ActionSpec, closedness: float) -> Array:
    values = {'dx': move[0], 'dy': move[1], 'dz': move[2], 'gripper': closedness}
    return np.array([float(values.get(name, 0.0)) for name in spec.names])
