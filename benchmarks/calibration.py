# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Calibration in the tabletop: cameras turned by known angles, recovered angles, reach with them.

python benchmarks/calibration.py [--weights tabletop_cameras] [--azimuths -60,...,60] [--moves 24]
    [--repeats 1] [--reach 40 --episodes 20] [--json FILE]

Prints a table: true azimuth, recovered azimuth, error, residual, standard error, verdict; then the
success of reach at ``--reach`` degrees without and with the calibration, with 95 % intervals.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
import json
import math
from pathlib import Path
import sys
from typing import Any

import torch

from wm_planner.control.safety import SafetyConfig, SafetyFilter
from wm_planner.core.calibration import CameraCalibration
from wm_planner.core.paths import robot_profile_file
from wm_planner.core.profile import RobotProfile
from wm_planner.evaluation.calibration import (
    CalibrationConfig,
    CalibrationResult,
    calibrate,
    calibration_planner,
    moves_in_environment,
)
from wm_planner.evaluation.direct import DirectRunner
from wm_planner.evaluation.environments import SuiteName
from wm_planner.evaluation.metrics import wilson_interval
from wm_planner.evaluation.runner import EpisodeSpec, EvaluationConfig
from wm_planner.evaluation.settings import PlannerChoice
from wm_planner.factory import make_planner
from wm_planner.policies.calibration_moves import CalibrationMovesConfig
from wm_planner_sim.suites import TabletopEnvironment

SCRIPT = CalibrationMovesConfig(step_duration_s=0.25)


def measure(
    environment: TabletopEnvironment,
    choice: PlannerChoice,
    azimuth_deg: float,
    config: CalibrationConfig,
    seed: int,
) -> CalibrationResult:
    """Turn the camera, make the moves, fit."""
    environment.sim.turn_exterior(math.radians(azimuth_deg))
    planner = calibration_planner(choice, config)
    moves = moves_in_environment(
        environment,
        'reach',
        panda(),
        config,
        context_frames=planner.context_frames,
        script=replace(SCRIPT, seed=seed),
        seed=1000 + seed,
    )
    return calibrate(planner, moves, config)


def reach(
    environment: TabletopEnvironment,
    choice: PlannerChoice,
    azimuth_deg: float,
    calibration: CameraCalibration,
    episodes: int,
    seed: int,
) -> dict[str, Any]:
    """Return success of reach with the camera turned and a calibration applied."""
    environment.sim.turn_exterior(math.radians(azimuth_deg))
    settings = replace(choice.settings(), calibration=calibration)
    runner = DirectRunner(
        environment=environment,
        planner=make_planner(choice.planner, choice.model, settings, device='cpu'),
        safety=SafetyFilter(panda(), SafetyConfig()),
        planner_name=choice.planner,
        model_name=choice.model,
        config=EvaluationConfig(episodes=episodes, seed=seed),
    )
    suite = SuiteName('tabletop', 'reach')
    records = [runner.run(EpisodeSpec(suite=suite, seed=seed, episode=n)) for n in range(episodes)]
    successes = sum(record.success for record in records)
    interval = wilson_interval(successes, episodes)
    assert interval is not None
    distances = sorted(r.final_distance_m or 0.0 for r in records)
    return {
        'successes': successes,
        'episodes': episodes,
        'interval': [interval.low, interval.high],
        'median_distance_m': distances[len(distances) // 2],
    }


def panda() -> RobotProfile:
    """Return the profile whose limits the moves are held to."""
    return RobotProfile.from_yaml(robot_profile_file('panda_sim'))


def main(arguments: Sequence[str]) -> int:
    """Print the tables; return 1 if a trusted angle is off by more than 8 degrees."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--weights', default='tabletop_cameras')
    parser.add_argument('--azimuths', default='-60,-40,-20,0,20,40,60')
    parser.add_argument('--moves', type=int, default=CalibrationConfig().moves)
    parser.add_argument('--repeats', type=int, default=1)
    parser.add_argument('--reach', default='40', help='azimuths to reach at; empty: none')
    parser.add_argument('--episodes', type=int, default=20)
    parser.add_argument('--seed', type=int, default=7)
    parser.add_argument('--json', type=Path, default=None)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    values = {'world_model.weights': given.weights} if given.weights else {}
    choice = PlannerChoice(planner='cem', model='tabletop', values=values)
    config = CalibrationConfig(moves=given.moves)
    environment = TabletopEnvironment()
    report: dict[str, Any] = {'weights': given.weights, 'moves': given.moves, 'angles': []}
    worst = 0.0
    print('true  found  error  residual  +-   scale  hand  verdict')
    for azimuth in (float(text) for text in given.azimuths.split(',')):
        for seed in range(given.repeats):
            result = measure(environment, choice, azimuth, config, seed)
            fit = result.fit
            error = (fit.yaw_deg - azimuth + 180.0) % 360.0 - 180.0
            worst = max(worst, abs(error) if fit.is_trusted else 0.0)
            print(
                f'{azimuth:4.0f}  {fit.yaw_deg:5.1f}  {error:5.1f}  {fit.residual:8.2f}  '
                f'{fit.error_deg:3.1f}  {fit.scale:5.2f}  {fit.handedness:4.2f}  '
                f'{"trusted" if fit.is_trusted else fit.verdict}',
                flush=True,
            )
            row = result.to_dict() | {'azimuth_deg': azimuth, 'error_deg_true': error}
            report['angles'].append(row)
    report['reach'] = []
    for azimuth in (float(text) for text in given.reach.split(',') if text):
        result = measure(environment, choice, azimuth, config, 0)
        found = CameraCalibration(quaternion_xyzw=result.fit.quaternion_xyzw)
        for name, calibration in (('without', CameraCalibration()), ('with', found)):
            row = reach(environment, choice, azimuth, calibration, given.episodes, given.seed)
            low, high = row['interval']
            print(
                f'reach at {azimuth:.0f} deg, {name} calibration ({result.fit.yaw_deg:.1f} deg): '
                f'{row["successes"]}/{row["episodes"]} [{low:.2f}, {high:.2f}], '
                f'median distance left {row["median_distance_m"] * 100:.1f} cm',
                flush=True,
            )
            report['reach'].append({'azimuth_deg': azimuth, 'calibration': name, **row})
    environment.close()
    if given.json:
        given.json.write_text(json.dumps(report, indent=1) + '\n')
    print(f'largest error of a trusted angle: {worst:.1f} degrees')
    return int(worst > 8.0)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
