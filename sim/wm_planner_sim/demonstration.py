# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Scripted demonstrations of the tabletop's suites as bags, to extract goals from.

``python -m wm_planner_sim.demonstration pick demo_bag`` writes one; the bag has what a recorder
beside the bridge would have: camera, joints and tool pose.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
import sys

from rclpy.serialization import serialize_message

from wm_planner.core.errors import SimulatorError
from wm_planner.core.profile import Topics
from wm_planner.core.types import EpisodeStart, Observation
from wm_planner.ros import qos
from wm_planner.ros.bag import BagWriter, offered_qos
from wm_planner.ros.conversions import image_to_message, joints_to_message, state_to_message
from wm_planner_sim.bridge_messages import optical_frame
from wm_planner_sim.suites import PLANNER_CAMERA, JointReading, TabletopEnvironment

BASE_FRAME = 'panda_link0'
TOPICS = {
    'image': (Topics().image, 'sensor_msgs/msg/Image'),
    'joints': (Topics().joint_states, 'sensor_msgs/msg/JointState'),
    'pose': (Topics().tool_pose, 'geometry_msgs/msg/PoseStamped'),
}


def record_demonstration(
    environment: TabletopEnvironment, suite: str, *, seed: int, episode: int, folder: Path
) -> EpisodeStart:
    """Write the expert's demonstration of an episode as a bag and return the episode's start.

    Raises SimulatorError for a suite without an expert, RecorderError for a folder that exists.
    """
    environment.keep_demonstration, environment.demonstration = True, []
    try:
        start = environment.reset(suite, seed=seed, episode=episode)
    finally:
        environment.keep_demonstration = False
    if not environment.demonstration:
        raise SimulatorError(f'suite {suite!r} has no expert; valid: push, push_subgoals, pick.')
    writer = BagWriter(folder)
    for name, kind in TOPICS.values():
        writer.add_topic(name, kind, [offered_qos(qos.IMAGE)])
    for observation, joints in environment.demonstration:
        _write(writer, observation, joints)
    writer.close()
    return start


def _write(writer: BagWriter, observation: Observation, joints: JointReading) -> None:
    stamp_ns = observation.stamp_ns
    names, positions, velocities = joints
    messages = {
        'joints': joints_to_message(names, positions, velocities, stamp_ns=stamp_ns),
        'pose': state_to_message(observation.state, BASE_FRAME),
        'image': image_to_message(
            observation.images[-1], stamp_ns=stamp_ns, frame_id=optical_frame(PLANNER_CAMERA)
        ),
    }
    for key, message in messages.items():
        data = serialize_message(message)
        writer.write(TOPICS[key][0], data, log_time_ns=stamp_ns, publish_time_ns=stamp_ns)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a demonstration; the exit status is 0."""
    parser = argparse.ArgumentParser(prog='python -m wm_planner_sim.demonstration')
    parser.add_argument('suite', choices=('push', 'push_subgoals', 'pick'))
    parser.add_argument('folder', type=Path, help='the bag, a folder that does not exist yet')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--episode', type=int, default=0)
    given = parser.parse_args(arguments)
    environment = TabletopEnvironment()
    try:
        record_demonstration(
            environment,
            given.suite,
            seed=given.seed,
            episode=given.episode,
            folder=given.folder,
        )
    finally:
        environment.close()
    return 0


if __name__ == '__main__':
    sys.exit(main())
