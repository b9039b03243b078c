# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Checks on plain measurements: what no live set-up here can show, and how findings add up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fakes.doctor_robot import START_M, scene_picture
from fakes.values import a_profile
from wm_planner.core.types import Image
from wm_planner.evaluation.doctor.findings import (
    Check,
    Finding,
    Severity,
    error,
    exit_code,
    fine,
    skipped,
    warning,
)
from wm_planner.evaluation.doctor.motion_checks import check_gripper
from wm_planner.evaluation.doctor.picture_checks import (
    ModelInput,
    check_crop,
    check_orientation,
    image_motion,
)
from wm_planner.evaluation.doctor.planning_checks import (
    CheckpointSample,
    PlanSample,
    check_checkpoint,
    check_plan_time,
)
from wm_planner.evaluation.doctor.samples import (
    CameraSample,
    CommandSample,
    JointSample,
    MoveSample,
    PoseSample,
    SetupSample,
    StreamSample,
)
from wm_planner.evaluation.doctor.stream_checks import (
    check_camera,
    check_encoding,
    check_frames,
    check_stamps,
    check_topics,
    check_units,
)

GIB = 1 << 30
OK_FINDING = fine(Check.TOPICS, 'well')


@pytest.mark.parametrize(
    ('findings', 'code'),
    [
        ([], 0),
        ([OK_FINDING, skipped(Check.GOAL, 'none')], 0),
        ([OK_FINDING, warning(Check.CAMERA, 'dim', 'light')], 1),
        ([warning(Check.CAMERA, 'dim', 'light'), error(Check.UNITS, 'mm', 'm'), OK_FINDING], 2),
    ],
)
def test_exit_code_is_that_of_the_worst(findings: list[Finding], code: int) -> None:
    assert exit_code(findings) == code


def test_numbers_and_names_are_unique() -> None:
    assert [check.number for check in Check] == list(range(1, 14))
    assert len({check.title for check in Check}) == 13
    finding = error(Check.UNITS, 'mm', 'publish metres').to_dict()
    assert finding['number'] == 5 and finding['severity'] == 'error'


# Checkpoint and plan time -------------------------------------------------------------------------


def test_weights_that_do_not_fit_the_gpu_are_named() -> None:
    sample = CheckpointSample(
        model='vjepa2_ac',
        file='ac.safetensors',
        device='cuda:0',
        need_bytes=5 * GIB,
        free_bytes=2 * GIB,
    )
    (finding,) = check_checkpoint(sample)
    assert finding.severity is Severity.ERROR
    assert '5.0 GiB' in finding.sentence and '2.0 GiB' in finding.sentence
    assert 'bfloat16' in finding.advice
    (finding,) = check_checkpoint(replace(sample, free_bytes=16 * GIB, samples_at_once=400))
    assert finding.severity is Severity.OK and '400 sequences' in finding.sentence
    (finding,) = check_checkpoint(replace(sample, free_bytes=None))  # nobody knows
    assert finding.severity is Severity.OK


@pytest.mark.parametrize(
    ('seconds', 'severity'),
    [(0.07, Severity.OK), (1.5, Severity.WARNING), (16.0, Severity.ERROR)],
)
def test_plan_time_against_what_the_executor_takes(seconds: float, severity: Severity) -> None:
    sample = PlanSample(seconds=seconds, is_estimate=True, rollouts=1024, limit_s=5.0, step_s=0.25)
    (finding,) = check_plan_time(sample)
    assert finding.severity is severity
    assert check_plan_time(None)[0].severity is Severity.SKIPPED


# Streams ------------------------------------------------------------------------------------------


def times(count: int, rate_hz: float) -> dict[str, tuple[float, ...] | tuple[int, ...]]:
    arrivals = tuple(i / rate_hz for i in range(count))
    stamps = tuple(1_000_000_000 + round(t * 1e9) for t in arrivals)
    return {'arrivals_s': arrivals, 'stamps_ns': stamps, 'clock_ns': stamps}


def a_setup(**parts: StreamSample) -> SetupSample:
    rng = np.random.default_rng(0)
    frames = tuple(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8) for _ in range(3))
    common = {'publishers': 1, 'listened_s': 1.0}
    image = CameraSample(
        topic='/image',
        wanted_type='sensor_msgs/msg/Image',
        frame_ids=('camera',),
        encodings=('rgb8',),
        sizes=((32, 32),),
        frames=frames,
        distinct=10,
        **times(10, 10.0),
        **common,
    )
    joints = JointSample(
        topic='/joints',
        wanted_type='sensor_msgs/msg/JointState',
        names=('j1', 'f1'),
        positions=np.tile([0.5, 0.04], (50, 1)),
        **times(50, 50.0),
        **common,
    )
    pose = PoseSample(
        topic='/pose',
        wanted_type='geometry_msgs/msg/PoseStamped',
        frame_ids=('base',),
        positions=np.tile([0.45, 0.0, 0.2], (50, 1)),
        quaternions=np.tile([1.0, 0.0, 0.0, 0.0], (50, 1)),
        **times(50, 50.0),
        **common,
    )
    streams = {'image': image, 'joints': joints, 'pose': pose, **parts}
    streams.setdefault('gripper', streams['joints'])
    return SetupSample(commands=CommandSample(topic='/target'), **streams)  # type: ignore[arg-type]


def test_a_slow_stream_and_a_pause_are_named() -> None:
    healthy = a_setup()
    slow = replace(healthy.image, **times(3, 2.0))
    (finding,) = check_topics(replace(healthy, image=slow))
    assert finding.severity is Severity.ERROR and '2.0 Hz' in finding.sentence
    arrivals = [i / 50.0 + (0.5 if i > 25 else 0.0) for i in range(50)]
    paused = replace(healthy.pose, arrivals_s=tuple(arrivals))
    (finding,) = check_topics(replace(healthy, pose=paused))
    assert finding.severity is Severity.WARNING and 'pauses' in finding.sentence
    assert check_topics(healthy)[0].severity is Severity.OK


def test_stamps_that_stand_still_or_go_back_are_named() -> None:
    healthy = a_setup()
    same = replace(healthy.pose, stamps_ns=(healthy.pose.stamps_ns[-1],) * 50)
    findings = check_stamps(replace(healthy, pose=same))
    assert [f.severity for f in findings] == [Severity.ERROR]
    back = list(healthy.pose.stamps_ns)
    back[10], back[11] = back[11], back[10]
    (finding,) = check_stamps(replace(healthy, pose=replace(healthy.pose, stamps_ns=tuple(back))))
    assert finding.severity is Severity.WARNING and 'go back' in finding.sentence


def test_grey_pictures_and_two_sizes_are_named() -> None:
    image = a_setup().image
    grey = tuple(np.repeat(frame[..., :1], 3, axis=2) for frame in image.frames)
    (finding,) = check_encoding(replace(image, frames=grey))
    assert finding.severity is Severity.WARNING and 'grey' in finding.sentence
    (finding,) = check_encoding(replace(image, sizes=((32, 32), (64, 48))))
    assert finding.severity is Severity.ERROR and '64x48' in finding.sentence


def test_frozen_is_told_from_a_simulation_at_rest() -> None:
    image = replace(a_setup().image, distinct=1)
    setup = replace(a_setup(), image=image)
    assert check_camera(setup)[0].severity is Severity.ERROR
    assert check_camera(replace(setup, is_simulated=True))[0].severity is Severity.OK
    moving = replace(setup.pose, positions=np.linspace([0.4, 0, 0.2], [0.5, 0, 0.2], 50))
    (finding,) = check_camera(replace(setup, is_simulated=True, pose=moving))
    assert finding.severity is Severity.ERROR  # the arm moved and the picture did not
    white = tuple(np.full_like(frame, 255) for frame in image.frames)
    (finding,) = check_camera(replace(setup, image=replace(image, frames=white)))
    assert 'overexposed' in finding.sentence


def test_a_quaternion_that_is_none_and_a_tool_outside_its_box() -> None:
    setup = a_setup()
    profile = a_profile(base_frame='base', camera_frame='camera')
    assert check_frames(setup, profile)[0].severity is Severity.OK
    zero = replace(setup.pose, quaternions=np.zeros((50, 4)))
    (finding,) = check_units(replace(setup, pose=zero))
    assert finding.severity is Severity.ERROR and 'quaternion' in finding.sentence
    outside = replace(setup.pose, positions=np.tile([-0.45, 0.0, 0.2], (50, 1)))
    (finding,) = check_frames(replace(setup, pose=outside), profile)
    assert finding.severity is Severity.WARNING and 'outside the workspace' in finding.sentence


def test_gripper_readings() -> None:
    joints = a_setup().joints
    profile = a_profile(gripper_joint_names=('f1',), gripper_max_width_m=0.08)
    assert check_gripper(joints, profile, [])[0].severity is Severity.SKIPPED
    wide = replace(joints, positions=np.tile([0.5, 40.0], (50, 1)))  # millimetres
    assert check_gripper(wide, profile, [])[0].severity is Severity.ERROR
    absent = a_profile(gripper_joint_names=('other',))
    assert 'lacks other' in check_gripper(joints, absent, [])[0].sentence


# Pictures -----------------------------------------------------------------------------------------


def test_a_picture_smaller_than_the_model_sees_is_named() -> None:
    small = np.zeros((48, 64, 3), np.uint8)
    (finding,) = check_crop(small, ModelInput(size_px=256, box=(0, 8, 48, 48)), '')
    assert finding.severity is Severity.ERROR and 'less detail' in finding.sentence


def test_preview_shows_the_part_and_what_becomes_of_it() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    preview = ModelInput(size_px=32, box=(0, 16, 96, 96)).preview(picture)
    assert preview.shape[0] == 96 and preview.shape[1] > 128 + 96
    np.testing.assert_array_equal(preview[40, 60], picture[40, 60])  # kept
    np.testing.assert_array_equal(preview[40, 5], picture[40, 5] // 3)  # cut off: dark


def moves_seen(turn: object) -> list[MoveSample]:
    """Return moves out and back along each axis before a camera that is flipped by ``turn``."""
    samples = []
    for axis in range(3):
        step = np.zeros(3)
        step[axis] = 0.03
        for begin, move in ((START_M, step), (START_M + step, -step)):
            before, after = (
                np.ascontiguousarray(turn(scene_picture(place, noise=axis)))  # type: ignore[operator]
                for place in (begin, begin + move)
            )
            samples.append(MoveSample(commanded_m=move, done_m=move, before=before, after=after))
    return samples


@pytest.mark.parametrize(
    ('turn', 'words'),
    [
        (lambda image: image, 'upright and not mirrored'),
        (lambda image: image[:, ::-1], 'is mirrored'),
        (lambda image: image[::-1, ::-1], 'is upside down:'),
        (lambda image: image[::-1], 'upside down and mirrored'),
    ],
)
def test_moves_tell_which_way_round_the_picture_is(turn: object, words: str) -> None:
    (finding,) = check_orientation(None, None, moves_seen(turn))
    assert words in finding.sentence
    assert (finding.severity is Severity.OK) == words.startswith('upright')


def test_motion_is_measured_in_picture_heights() -> None:
    step = np.array([0.0, 0.03, 0.0])  # 260 px a metre to the right, in 128 px of height
    motion = image_motion(scene_picture(START_M), scene_picture(START_M + step))
    assert motion is not None
    assert motion[0] == pytest.approx(0.03 * 260 / 128, rel=0.35)
    assert abs(motion[1]) < 0.4 * motion[0]
    assert image_motion(scene_picture(START_M), scene_picture(START_M)) is None


def test_a_still_picture_is_no_evidence() -> None:
    still: Image = scene_picture(START_M)
    moves = [MoveSample(commanded_m=np.ones(3), done_m=np.ones(3), before=still, after=still)] * 6
    (finding,) = check_orientation(None, None, moves)
    assert finding.severity is Severity.WARNING and 'only 0 of 6' in finding.sentence
