# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Checks of the incoming streams: there, on time, readable, alive, in the right units and frame."""

from __future__ import annotations

import numpy as np

from wm_planner.control.buffer_config import FrameBufferConfig
from wm_planner.control.plausibility import PlausibilityConfig
from wm_planner.core.geometry import UNIT_TOLERANCE
from wm_planner.core.profile import RobotProfile
from wm_planner.evaluation.doctor.findings import Check, Finding, error, fine, warning
from wm_planner.evaluation.doctor.samples import (
    CameraSample,
    JointSample,
    PoseSample,
    SetupSample,
    StreamSample,
)

MIN_IMAGE_RATE_HZ = 4.0
MIN_STATE_RATE_HZ = 10.0
MAX_AGE_S = FrameBufferConfig().max_image_age_s
MAX_STATE_AGE_S = FrameBufferConfig().max_state_age_s
MAX_FUTURE_S = FrameBufferConfig().max_future_s
MAX_JOINT_RAD = PlausibilityConfig().max_joint_rad

_DARK = 12.0  # mean of 255
_BRIGHT = 250
_LEAST_CONTRAST = 8.0  # standard deviation of 255
_FAR_M = 4.0  # no tool of a table-top arm is farther from its base


def check_topics(setup: SetupSample) -> list[Finding]:
    """1: whether each stream is there, of the right type, and as fast as the planner needs it."""
    found = []
    for stream in (setup.image, *setup.states):
        is_camera = stream is setup.image
        problem = _topic_problem(
            stream,
            MIN_IMAGE_RATE_HZ if is_camera else MIN_STATE_RATE_HZ,
            MAX_AGE_S if is_camera else MAX_STATE_AGE_S,
        )
        if problem is not None:
            found.append(problem)
    if found:
        return found
    rates = ', '.join(
        f'{stream.topic} {stream.rate_hz:.1f} Hz' for stream in (setup.image, *setup.states)
    )
    return [fine(Check.TOPICS, rates)]


def _topic_problem(stream: StreamSample, least_hz: float, limit_s: float) -> Finding | None:
    topic, wanted = stream.topic, stream.wanted_type
    if stream.publishers == 0:
        others = ', '.join(stream.alternatives[:4])
        return error(
            Check.TOPICS,
            f'nobody publishes {topic}.',
            f'start the driver, check ROS_DOMAIN_ID, or set topics in the robot profile'
            f'{f"; {wanted} is on {others}" if others else ""}.',
        )
    if stream.found_types and wanted not in stream.found_types:
        return error(
            Check.TOPICS,
            f'{topic} carries {", ".join(stream.found_types)}; needed: {wanted}.',
            'name the right topic in the robot profile, or convert the messages.',
        )
    if stream.count == 0:
        return error(
            Check.TOPICS,
            f'{topic} has {stream.publishers} publisher(s), and no message came in '
            f'{stream.listened_s:.1f} s.',
            'the driver may be paused; large pictures that never arrive need '
            'config/fastdds_loopback.xml on the publishing side.',
        )
    if stream.rate_hz < least_hz:
        return error(
            Check.TOPICS,
            f'{topic} comes at {stream.rate_hz:.1f} Hz ({stream.count} messages); needed: at least '
            f'{least_hz:g} Hz.',
            'raise the rate of the driver, or look for a lossy network.',
        )
    if stream.longest_gap_s > limit_s:
        return warning(
            Check.TOPICS,
            f'{topic} pauses for up to {stream.longest_gap_s:.2f} s; data count as stale after '
            f'{limit_s:g} s, and the arm would hold.',
            'look for a busy machine or a lossy network.',
        )
    return None


def check_stamps(setup: SetupSample) -> list[Finding]:
    """2: whether stamps are set, in order, and agree with the clock of this machine."""
    found = []
    streams = (setup.image, *setup.states)
    for stream in streams:
        oldest = MAX_AGE_S if stream is setup.image else MAX_STATE_AGE_S
        problem = _stamp_problem(stream, oldest) if stream.count else None
        if problem is not None:
            found.append(problem)
    if found or not any(s.count for s in streams):
        return found
    ages = ', '.join(f'{s.topic} {_age_s(s) * 1e3:.0f} ms' for s in streams if s.count)
    clock = '/clock' if setup.is_simulated else 'this machine'
    return [fine(Check.STAMPS, f'age at arrival by the clock of {clock}: {ages}')]


def _age_s(stream: StreamSample) -> float:
    ages = np.asarray(stream.clock_ns) - np.asarray(stream.stamps_ns)
    return float(np.median(ages)) * 1e-9


def _stamp_problem(stream: StreamSample, oldest_s: float) -> Finding | None:
    stamps, age_s = np.asarray(stream.stamps_ns), _age_s(stream)
    if np.all(stamps == 0):
        return error(
            Check.STAMPS,
            f'{stream.topic} is not stamped (header.stamp is zero).',
            'let the driver fill header.stamp with the time of acquisition.',
        )
    if age_s < -MAX_FUTURE_S:
        return error(
            Check.STAMPS,
            f'{stream.topic} is stamped {-age_s:.2f} s ahead of the clock here (clock skew).',
            'synchronise the clocks (chrony, PTP), or run the planner with use_sim_time as the '
            'driver does.',
        )
    if age_s > oldest_s:
        return error(
            Check.STAMPS,
            f'{stream.topic} is stamped {age_s:.2f} s before it arrives; stale after '
            f'{oldest_s:g} s.',
            'synchronise the clocks (chrony, PTP), or shorten the queue of the driver.',
        )
    if np.any(np.diff(stamps) < 0):
        return warning(
            Check.STAMPS,
            f'{stream.topic} has stamps that go back.',
            'look for two publishers, a looping bag or a driver that stamps wrongly.',
        )
    if stamps.size > 4 and np.unique(stamps).size == 1:
        return error(
            Check.STAMPS,
            f'{stream.topic} carries the same stamp in every message.',
            'let the driver stamp each message with its own time of acquisition.',
        )
    return None


def check_encoding(image: CameraSample) -> list[Finding]:
    """3: whether the pictures can be read, in colour and in one size."""
    if image.count == 0:
        return []
    if image.refusals:
        return [
            error(
                Check.ENCODING,
                f'{image.topic} cannot be read: {image.refusals[0]}',
                'set the camera driver to rgb8 or bgr8, or convert with image_proc.',
            )
        ]
    encodings = ', '.join(image.encodings)
    if len(image.sizes) > 1:
        sizes = ', '.join(f'{w}x{h}' for w, h in image.sizes)
        return [
            error(
                Check.ENCODING,
                f'{image.topic} changes its size: {sizes} px.',
                'only one camera may publish on this topic.',
            )
        ]
    is_grey = all(_is_grey(frame) for frame in image.frames)
    if image.frames and is_grey:
        return [
            warning(
                Check.ENCODING,
                f'{image.topic} ({encodings}) shows grey pictures; world models were trained on '
                'colour.',
                'use the colour stream of the camera.',
            )
        ]
    width, height = image.sizes[0] if image.sizes else (0, 0)
    return [fine(Check.ENCODING, f'{encodings}, {width}x{height} px')]


def _is_grey(frame: np.ndarray) -> bool:
    is_flat = float(frame.std()) < _LEAST_CONTRAST  # black is the camera check's business
    spread = frame.max(axis=2).astype(int) - frame.min(axis=2)
    return not is_flat and float(spread.mean()) < 1.0


def check_camera(setup: SetupSample) -> list[Finding]:
    """4: whether the camera is alive and sees something."""
    image = setup.image
    if not image.frames:
        return []
    last = image.frames[-1]
    advice = 'take the lens cap off, switch the light on, or set the exposure.'
    if float(last.mean()) < _DARK:
        return [
            error(Check.CAMERA, f'{image.topic} is black (mean {last.mean():.0f}/255).', advice)
        ]
    if float(np.mean(last >= _BRIGHT)) > 0.9:
        return [error(Check.CAMERA, f'{image.topic} is overexposed: nearly all white.', advice)]
    if float(last.std()) < _LEAST_CONTRAST:
        sentence = f'{image.topic} is a single colour (contrast {last.std():.1f}/255).'
        return [error(Check.CAMERA, sentence, advice)]
    if image.count >= 5 and image.distinct <= 1:
        return [_frozen(setup)]
    return [fine(Check.CAMERA, f'{image.distinct} distinct pictures of {image.count}')]


def _frozen(setup: SetupSample) -> Finding:
    image, positions = setup.image, setup.pose.positions
    moved_m = float(np.ptp(positions, axis=0).max()) if len(positions) else 0.0
    if setup.is_simulated and moved_m < 0.005:
        return fine(
            Check.CAMERA,
            f'{image.count} equal pictures of a simulated scene at rest, as they should be',
        )
    return error(
        Check.CAMERA,
        f'{image.topic} is frozen: {image.count} messages with the same picture to the last byte, '
        'which no sensor delivers.',
        'restart the camera driver; look for a node that repeats an old picture.',
    )


def check_units(setup: SetupSample) -> list[Finding]:
    """5: whether joints are in radians, positions in metres and quaternions of unit length."""
    found = _joint_units(setup.joints)
    if setup.gripper.names != setup.joints.names:
        found += _joint_units(setup.gripper)
    if not found:  # a pose made of wrong joints is wrong for their sake
        found += _pose_units(setup.pose)
    if not found and (setup.joints.count or setup.pose.count):
        return [fine(Check.UNITS, 'joints in radians, positions in metres')]
    return found


def _joint_units(joints: JointSample) -> list[Finding]:
    if joints.positions.size == 0:
        return []
    if not np.all(np.isfinite(joints.positions)):
        return [
            error(
                Check.UNITS,
                f'{joints.topic} holds NaN or infinity.',
                'look at the driver: it has no measurement of that joint.',
            )
        ]
    largest = np.abs(joints.positions).max(axis=0)
    worst = int(np.argmax(largest))
    if largest[worst] <= MAX_JOINT_RAD:
        return []
    return [
        error(
            Check.UNITS,
            f'{joints.topic}: {joints.names[worst]} is at {largest[worst]:.1f}, more than a full '
            'turn in radians: these are degrees (or millimetres for a finger).',
            'publish radians and metres (REP 103).',
        )
    ]


def _pose_units(pose: PoseSample) -> list[Finding]:
    if pose.positions.size == 0:
        return []
    if not (np.all(np.isfinite(pose.positions)) and np.all(np.isfinite(pose.quaternions))):
        return [error(Check.UNITS, f'{pose.topic} holds NaN or infinity.', 'look at the driver.')]
    found = []
    far = float(np.linalg.norm(pose.positions, axis=1).max())
    if far > _FAR_M:
        found.append(
            error(
                Check.UNITS,
                f'{pose.topic} is {far:.0f} from the base: these are millimetres, not metres.',
                'publish metres (REP 103).',
            )
        )
    norms = np.linalg.norm(pose.quaternions, axis=1)
    if np.any(np.abs(norms - 1.0) > UNIT_TOLERANCE):
        found.append(
            error(
                Check.UNITS,
                f'{pose.topic} has a quaternion of length {norms[np.argmax(abs(norms - 1))]:.3f}.',
                'publish a unit quaternion in the order x, y, z, w.',
            )
        )
    return found


def check_frames(setup: SetupSample, profile: RobotProfile) -> list[Finding]:
    """6: whether state and pictures are in the frames of the profile, and the tool in its box."""
    found = []
    if setup.pose.trouble:
        found.append(
            error(
                Check.FRAMES,
                f'the tool pose is not known: {setup.pose.trouble}',
                'see the error number, and state_source of the robot profile.',
            )
        )
    for stream, wanted, what in (
        (setup.pose, profile.base_frame, 'base_frame'),
        (setup.image, profile.camera_frame, 'camera_frame'),
    ):
        wrong = [frame for frame in stream.frame_ids if wanted and frame != wanted]
        if wrong:
            found.append(
                error(
                    Check.FRAMES,
                    f'{stream.topic} is in frame {wrong[0]!r}; the profile says {wanted!r}.',
                    f'publish in {wanted!r}, or set {what} in the robot profile.',
                )
            )
    if found or setup.pose.positions.size == 0:
        return found
    low, high = profile.workspace
    where = setup.pose.positions[-1]
    if np.any(where < low - 1e-3) or np.any(where > high + 1e-3):
        is_metric = float(np.linalg.norm(where)) <= _FAR_M  # else it is check 5's business
        if is_metric:
            return [
                warning(
                    Check.FRAMES,
                    f'the tool is at {np.round(where, 3).tolist()} m, outside the workspace box '
                    f'{low.tolist()} .. {high.tolist()} of the profile.',
                    'move the arm into the box by hand, or correct the box; another sign or order '
                    "of axes hints at another frame than the base's.",
                )
            ]
        return []
    return [fine(Check.FRAMES, f'{profile.base_frame}; tool at {np.round(where, 3).tolist()} m')]
