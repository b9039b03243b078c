# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The moments of a recorded run: what a bag of `wm_planner up ... record:=true` tells of moves."""

from __future__ import annotations

from pathlib import Path

from mcap.exceptions import McapError
from mcap.reader import make_reader
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage
from sensor_msgs.msg import Image as ImageMessage

from wm_planner.core.errors import CalibrationError
from wm_planner.core.profile import RobotProfile
from wm_planner.ros.move_recorder import PLAN_TOPIC, START_TOPIC, Moment, MoveRecorder
from wm_planner_msgs.msg import PlanDiagnostics, PlanStart


def moments_from_bag(
    path: Path, profile: RobotProfile, *, frames: int = 1, step_s: float = 0.25
) -> list[Moment]:
    """Return the moments of all plans in a bag (MCAP), in order.

    Raises CalibrationError where it cannot be read or lacks a topic, naming it.
    """
    files = sorted(path.glob('*.mcap')) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise CalibrationError(f'{path} holds no .mcap file; valid: a bag in MCAP.')
    recorder = MoveRecorder(profile, frames=frames, step_s=step_s)
    topics = profile.topics
    is_compressed = topics.image.endswith('/compressed')
    readers = {
        topics.image: (CompressedImage if is_compressed else ImageMessage, recorder.on_image),
        START_TOPIC: (PlanStart, recorder.on_start),
        PLAN_TOPIC: (PlanDiagnostics, recorder.on_plan),
    }
    seen: set[str] = set()
    try:
        for file in files:
            with file.open('rb') as stream:
                for _, channel, message in make_reader(stream).iter_messages(list(readers)):
                    kind, take = readers[channel.topic]
                    seen.add(channel.topic)
                    take(deserialize_message(message.data, kind))
    except (McapError, OSError) as error:
        raise CalibrationError(f'{path} cannot be read: {error}.') from error
    missing = [topic for topic in readers if topic not in seen]
    if missing:
        raise CalibrationError(
            f'{path} has nothing on {", ".join(missing)}; valid: a bag of a run with '
            'record:=true, which holds pictures, plans and what they were made from.'
        )
    return recorder.moments
