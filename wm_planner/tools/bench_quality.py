# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Quality per compute: what success and energy an optimizer reaches for the rollouts it uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
import math
from pathlib import Path
import statistics
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from wm_planner.evaluation.direct import open_direct_runner
from wm_planner.evaluation.environments import SuiteName
from wm_planner.evaluation.records import RunReport
from wm_planner.evaluation.runner import EvaluationConfig, RunRequest, sweep
from wm_planner.evaluation.settings import PlannerChoice, Value


@dataclass(frozen=True, kw_only=True)
class Budget:
    """One way to search: an optimizer, its samples and iterations, warm or cold."""

    planner: str
    samples: int
    iterations: int
    is_warm: bool = True
    values: Mapping[str, Value] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Return a name for tables, e.g. ``icem 32 x 2, warm``."""
        warmth = 'warm' if self.is_warm else 'cold'
        return f'{self.planner} {self.samples} x {self.iterations}, {warmth}'

    def choice(self, model: str) -> PlannerChoice:
        """Return the planner and its settings; a tenth of the samples are elites, at least 4."""
        elites = min(self.samples, max(4, self.samples // 10))
        if self.planner == 'mppi':
            elites = min(self.samples, max(8, self.samples // 4))
        own = {
            'num_samples': self.samples,
            'num_iterations': self.iterations,
            'num_elites': elites,
        }
        return PlannerChoice(
            planner=self.planner,
            model=model,
            values={
                **{f'{self.planner}.{name}': value for name, value in own.items()},
                'planning.warm_start': self.is_warm,
                **self.values,
            },
        )


BASELINE = Budget(planner='cem', samples=800, iterations=10, is_warm=False)
"""The paper's budget, each plan from nothing: what the others are measured against."""

BUDGETS = (
    BASELINE,
    Budget(planner='cem', samples=256, iterations=4, is_warm=False),
    Budget(planner='cem', samples=64, iterations=4, is_warm=False),
    Budget(planner='cem', samples=32, iterations=2, is_warm=False),
    Budget(planner='cem', samples=16, iterations=1, is_warm=False),
    *(
        Budget(planner=planner, samples=samples, iterations=iterations)
        for planner in ('cem', 'icem', 'mppi')
        for samples, iterations in ((256, 3), (64, 4), (64, 2), (32, 2), (16, 2), (16, 1))
    ),
)


def measure_quality(
    suite: str,
    *,
    model: str,
    episodes: int,
    seed: int,
    budgets: Sequence[Budget] = BUDGETS,
    on_row: Callable[[dict[str, Any]], None] = lambda row: None,
) -> list[dict[str, Any]]:
    """Run the same episodes with every budget; return one row each, the baseline first.

    ``on_row`` is called as each is done.
    """
    rows = []
    for budget in budgets:
        request = RunRequest(
            suite=SuiteName.parse(suite),
            choice=budget.choice(model),
            config=EvaluationConfig(episodes=episodes, seed=seed),
        )
        with open_direct_runner(request) as runner:
            records = list(sweep(runner, request.specs()))
        rows.append(_row(budget, request.report(records, wall_s=0.0)))
        on_row(rows[-1])
    for row in rows:
        row['times_fewer_rollouts'] = rows[0]['rollouts_per_plan'] / row['rollouts_per_plan']
    return rows


def _row(budget: Budget, report: RunReport) -> dict[str, Any]:
    records, interval, times = report.episodes, report.interval, report.plan_times
    assert interval is not None and times is not None, 'at least one episode was run'
    energies = [r.goal_energies[-1] for r in records if r.goal_energies]
    distances = [r.final_distance_m for r in records if r.final_distance_m is not None]
    finite = [energy for energy in energies if math.isfinite(energy)]
    return {
        'label': budget.label,
        'planner': budget.planner,
        'samples': budget.samples,
        'iterations': budget.iterations,
        'warm_start': budget.is_warm,
        'rollouts_per_plan': statistics.mean(n for r in records for n in r.plan_rollouts),
        'success_rate': report.success_rate,
        'successes': report.successes,
        'episodes': len(records),
        'interval': [interval.low, interval.high],
        'final_energy_median': statistics.median(finite) if finite else None,
        'final_distance_m_median': statistics.median(distances) if distances else None,
        'plan_ms_p50': times.p50,
        'plan_ms_p99': times.p99,
    }


def plot_quality(rows: Sequence[Mapping[str, Any]], path: Path, *, title: str) -> None:
    """Write a picture of success and final energy over the rollouts a plan uses."""
    figure = Figure(figsize=(10.0, 4.2), layout='constrained')
    FigureCanvasAgg(figure)
    success, energy = figure.subplots(1, 2)
    for planner, is_warm in sorted({(row['planner'], row['warm_start']) for row in rows}):
        line = [r for r in rows if (r['planner'], r['warm_start']) == (planner, is_warm)]
        line.sort(key=lambda row: row['rollouts_per_plan'])
        x = [row['rollouts_per_plan'] for row in line]
        rates = [row['success_rate'] for row in line]
        below = [row['success_rate'] - row['interval'][0] for row in line]
        above = [row['interval'][1] - row['success_rate'] for row in line]
        name = f'{planner}, {"warm" if is_warm else "cold"}'
        success.errorbar(x, rates, [below, above], marker='o', capsize=2, label=name)
        energy.plot(x, [row['final_energy_median'] for row in line], marker='o', label=name)
    success.set(ylabel='success rate (95 % Wilson)', ylim=(-0.03, 1.03))
    energy.set(ylabel='energy at the end, median', yscale='log')
    for axes in (success, energy):
        axes.set(xlabel='action sequences scored a plan', xscale='log')
        axes.grid(visible=True, alpha=0.3)
    energy.legend()
    figure.suptitle(title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
