# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Bags read back: messages, frames with states, and what is said of those that lack something."""

from __future__ import annotations

from pathlib import Path
import sqlite3

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from rclpy.serialization import serialize_message
from sensor_msgs.msg import PointField
from std_msgs.msg import String
import yaml

from fakes.values import a_goal, a_plan, a_state
from wm_planner.core.errors import InvalidImageError, InvalidParameterError, RecordingError
from wm_planner.core.imagination import PlanStart
from wm_planner.core.paths import robot_profile_file
from wm_planner.core.profile import RobotProfile
from wm_planner.ros import qos
from wm_planner.ros.bag import BagWriter, offered_qos
from wm_planner.ros.bag_reader import BagReader
from wm_planner.ros.conversions import image_to_message, joints_to_message, state_to_message
from wm_planner.ros.frame_source import read_recording
from wm_planner.ros.goal_store import write_picture
from wm_planner.ros.plan_record import (
    goal_from_record,
    goal_to_message,
    start_from_message,
    start_to_message,
)
from wm_planner.ros.point_cloud import cloud_from_message, cloud_to_message

PROFILE = RobotProfile.from_yaml(robot_profile_file('panda_sim'))
STEP_NS = 100_000_000
JOINTS = PROFILE.arm_joint_names + PROFILE.gripper_joint_names
RNG = np.random.default_rng(0)


def a_picture(width: int = 64, height: int = 64) -> np.ndarray:
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def write_bag(folder: Path, *, frames: int = 8, camera: str = '', close: bool = True) -> BagWriter:
    """Write a bag at 10 Hz in which the tool goes along x and the gripper closes half-way."""
    topics = PROFILE.topics
    writer = BagWriter(folder)
    kinds = {
        camera or topics.image: 'sensor_msgs/msg/Image',
        topics.joint_states: 'sensor_msgs/msg/JointState',
        topics.tool_pose: 'geometry_msgs/msg/PoseStamped',
    }
    for name, kind in kinds.items():
        writer.add_topic(name, kind, [offered_qos(qos.IMAGE)])
    for number in range(frames):
        stamp_ns = number * STEP_NS
        opening = 0.04 if number < frames // 2 else 0.01
        positions = [0.0] * len(PROFILE.arm_joint_names) + [opening, opening]
        state = a_state((0.4 + 0.01 * number, 0.0, 0.3), stamp_ns=stamp_ns)
        messages = (
            (topics.joint_states, joints_to_message(JOINTS, positions, stamp_ns=stamp_ns)),
            (topics.tool_pose, state_to_message(state, PROFILE.base_frame)),
            (
                camera or topics.image,
                image_to_message(a_picture(), stamp_ns=stamp_ns, frame_id=PROFILE.camera_frame),
            ),
        )
        for name, message in messages:
            data = serialize_message(message)
            writer.write(name, data, log_time_ns=stamp_ns, publish_time_ns=stamp_ns)
    if close:
        writer.close()
    return writer


def test_frames_of_a_bag_come_with_the_state_at_them(tmp_path: Path) -> None:
    write_bag(tmp_path / 'bag')
    found = read_recording(tmp_path / 'bag', PROFILE, period_s=0.2)
    assert [frame.stamp_ns for frame in found.frames] == [0, 2 * STEP_NS, 4 * STEP_NS, 6 * STEP_NS]
    states = [frame.state for frame in found.frames]
    assert [round(s.position_m[0], 3) for s in states if s] == [0.4, 0.42, 0.44, 0.46]
    assert [round(s.gripper_closedness, 2) for s in states if s] == [0.0, 0.0, 0.75, 0.75]
    assert found.camera_frame == PROFILE.camera_frame


def test_bag_of_a_killed_recorder_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    writer = write_bag(tmp_path / 'bag', frames=100, close=False)
    size = writer.path.stat().st_size
    assert size > 500_000  # one chunk at least is on the disk
    found = read_recording(writer.path, PROFILE, period_s=0.1)
    assert 10 < len(found.frames) < 100
    writer.close()


def test_bag_of_sqlite_is_read_alike(tmp_path: Path) -> None:
    write_bag(tmp_path / 'mcap')
    source = BagReader(tmp_path / 'mcap')
    folder = tmp_path / 'sqlite'
    folder.mkdir()
    with sqlite3.connect(folder / 'sqlite_0.db3') as rows:
        rows.execute('CREATE TABLE topics (id INTEGER PRIMARY KEY, name TEXT, type TEXT)')
        rows.execute(
            'CREATE TABLE messages (id INTEGER PRIMARY KEY, topic_id INTEGER, timestamp INTEGER, '
            'data BLOB)'
        )
        ids = {}
        for number, (name, kind) in enumerate(source.topics.items()):
            ids[name] = number
            rows.execute('INSERT INTO topics VALUES (?, ?, ?)', (number, name, kind))
        for topic, time_ns, message in source.messages(source.topics):
            rows.execute(
                'INSERT INTO messages (topic_id, timestamp, data) VALUES (?, ?, ?)',
                (ids[topic], time_ns, serialize_message(message)),
            )
    one, other = (read_recording(p, PROFILE, period_s=0.1) for p in (tmp_path / 'mcap', folder))
    assert len(one.frames) == len(other.frames) == 8
    for a, b in zip(one.frames, other.frames, strict=True):
        assert np.array_equal(a.image, b.image) and a.stamp_ns == b.stamp_ns


@pytest.mark.parametrize('has_metadata', [True, False])
def test_files_of_a_split_bag_are_read_as_they_were_written(
    tmp_path: Path, has_metadata: bool
) -> None:
    """rosbag2 writes x_0, x_1, ... x_10: as text x_10 comes before x_2."""
    folder = tmp_path / 'split'
    folder.mkdir()
    names = [f'split_{number}.mcap' for number in range(12)]
    for number, name in enumerate(names):
        writer = BagWriter(tmp_path / f'one{number}')
        writer.add_topic('/word', 'std_msgs/msg/String', [offered_qos(qos.STATUS)])
        data = serialize_message(String(data=str(number)))
        writer.write('/word', data, log_time_ns=number, publish_time_ns=number)
        writer.close()
        writer.path.rename(folder / name)
    if has_metadata:
        content = {'rosbag2_bagfile_information': {'relative_file_paths': names}}
        (folder / 'metadata.yaml').write_text(yaml.safe_dump(content))
    words = [message.data for _, _, message in BagReader(folder).messages(['/word'])]
    assert words == [str(number) for number in range(12)]


def test_bag_without_the_camera_names_the_cameras_it_has(tmp_path: Path) -> None:
    write_bag(tmp_path / 'bag', camera='/camera/other/image_raw')
    with pytest.raises(RecordingError) as error:
        read_recording(tmp_path / 'bag', PROFILE, period_s=0.1)
    assert error.value.code == 110
    assert PROFILE.topics.image in str(error.value)
    assert 'It has /camera/other/image_raw' in str(error.value)
    other = read_recording(
        tmp_path / 'bag', PROFILE, period_s=0.1, camera='/camera/other/image_raw'
    )
    assert len(other.frames) == 8


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / 'text.txt').write_text('hello')
    (tmp_path / 'broken.mcap').write_bytes(b'not an MCAP file at all')
    (tmp_path / 'broken.db3').write_bytes(b'not a database')
    (tmp_path / 'broken.mp4').write_bytes(b'not a video')
    (tmp_path / 'empty').mkdir()
    for name, words in (
        ('none', 'does not exist'),
        ('text.txt', 'is none of them'),
        ('broken.mcap', 'is no MCAP file'),
        ('broken.db3', 'no rosbag2 database'),
        ('broken.mp4', 'not a video'),
        ('empty', 'holds no pictures'),
    ):
        with pytest.raises(RecordingError, match=words):
            read_recording(tmp_path / name, PROFILE, period_s=0.1)


def test_message_of_a_type_that_is_not_installed_is_named(tmp_path: Path) -> None:
    write_bag(tmp_path / 'bag')
    bag = BagReader(tmp_path / 'bag')
    bag.topics = {**bag.topics, '/joint_states': 'nowhere_msgs/msg/Nothing'}
    with pytest.raises(RecordingError, match='nowhere_msgs'):
        list(bag.messages(['/joint_states']))


def test_video_and_folder_have_frames_a_period_apart(tmp_path: Path) -> None:
    video = cv2.VideoWriter(
        str(tmp_path / 'demo.avi'), cv2.VideoWriter.fourcc(*'MJPG'), 20.0, (64, 48)
    )
    for value in range(40):
        video.write(np.full((48, 64, 3), 5 * value, np.uint8))
    video.release()
    found = read_recording(tmp_path / 'demo.avi', PROFILE, period_s=0.25)
    assert [round(frame.stamp_ns * 1e-9, 2) for frame in found.frames] == [
        0.0,
        0.25,
        0.5,
        0.75,
        1.0,
        1.25,
        1.5,
        1.75,
    ]
    folder = tmp_path / 'pictures'
    folder.mkdir()
    for number in range(3):
        write_picture(folder / f'{number}.png', a_picture())
    frames = read_recording(folder, PROFILE, period_s=0.5).frames
    assert [frame.stamp_ns for frame in frames] == [0, 500_000_000, 1_000_000_000]
    write_picture(folder / '9.png', a_picture(80, 64))
    with pytest.raises(InvalidImageError, match='80x64 px and the pictures before it 64x64'):
        read_recording(folder, PROFILE, period_s=0.5)


# -- messages --------------------------------------------------------------------------------------


def a_start(**fields: object) -> PlanStart:
    return PlanStart(
        **{
            'executed_steps': 2,
            'deadline_s': 0.5,
            'image_stamps_ns': (5, 9),
            'states': (a_state(stamp_ns=5, closedness=0.3), a_state((0.1, 1 / 3, 0.7), stamp_ns=9)),
            'generator_state': bytes(range(256)),
            'mean': RNG.normal(size=(3, 5)).astype(np.float32),
            'elites': RNG.normal(size=(4, 3, 5)).astype(np.float32),
            **fields,
        }  # type: ignore[arg-type]
    )


def test_start_of_a_plan_survives_the_way_to_the_bit() -> None:
    start = a_start()
    read = start_from_message(start_to_message(a_plan(), start, 'base'), 5)
    assert read.generator_state == start.generator_state
    assert np.array_equal(read.mean, start.mean) and np.array_equal(read.elites, start.elites)
    assert read.image_stamps_ns == (5, 9) and read.executed_steps == 2
    for a, b in zip(read.states, start.states, strict=True):
        assert np.array_equal(a.position_m, b.position_m)
        assert a.gripper_closedness == b.gripper_closedness and a.stamp_ns == b.stamp_ns
    cold = start_to_message(a_plan(), a_start(mean=None, elites=None), 'base')
    assert start_from_message(cold, 5).mean is None
    with pytest.raises(RecordingError, match='does not have 4 action dimensions'):
        start_from_message(start_to_message(a_plan(), start, 'base'), 4)


@pytest.mark.parametrize('closedness', [None, 0.0, 0.7])
def test_goal_survives_the_way(closedness: float | None) -> None:
    goal = a_goal('g', image=a_picture(), gripper_closedness=closedness)
    read = goal_from_record(goal_to_message(goal, stamp_ns=3, camera_frame='cam'))
    assert (read.goal_id, read.gripper_closedness) == ('g', closedness)
    assert np.array_equal(read.image, goal.image)


def test_cloud_has_four_float32_fields_and_comes_back() -> None:
    points = RNG.normal(size=(7, 4)).astype(np.float32)
    message = cloud_to_message(points, value_name='energy', stamp_ns=12, frame_id='base')
    assert [(f.name, f.offset, f.datatype) for f in message.fields] == [
        ('x', 0, PointField.FLOAT32),
        ('y', 4, PointField.FLOAT32),
        ('z', 8, PointField.FLOAT32),
        ('energy', 12, PointField.FLOAT32),
    ]
    assert (message.width, message.height, message.point_step) == (7, 1, 16)
    assert len(message.data) == message.row_step == 7 * 16
    assert message.is_dense
    assert np.array_equal(cloud_from_message(message), points)
    points[3, 3] = np.nan
    assert not cloud_to_message(points, value_name='e', stamp_ns=0, frame_id='').is_dense
    with pytest.raises(InvalidParameterError, match=r'valid: \[P, 4\]'):
        cloud_to_message(points[:, :3], value_name='e', stamp_ns=0, frame_id='')
    message.fields = message.fields[:3]
    with pytest.raises(InvalidParameterError, match='four float32'):
        cloud_from_message(message)


def test_cloud_reads_as_sensor_msgs_py_reads_it() -> None:
    point_cloud2 = pytest.importorskip(
        'sensor_msgs_py.point_cloud2', reason='sensor_msgs_py comes with a ROS 2 distribution only'
    )
    points = RNG.normal(size=(7, 4)).astype(np.float32)
    message = cloud_to_message(points, value_name='energy', stamp_ns=12, frame_id='base')
    read = point_cloud2.read_points(message)
    assert np.array_equal(np.stack([read[n] for n in ('x', 'y', 'z', 'energy')], axis=1), points)


def test_strings_have_a_type(tmp_path: Path) -> None:
    """The settings travel as JSON in a String; the reader hands it over as it was written."""
    writer = BagWriter(tmp_path / 'bag')
    writer.add_topic('/a', 'std_msgs/msg/String', [offered_qos(qos.LATCHED)])
    data = serialize_message(String(data='{"planner": "cem"}'))
    writer.write('/a', data, log_time_ns=1, publish_time_ns=1)
    writer.close()
    assert [m.message.data for m in BagReader(tmp_path / 'bag').messages(['/a'])] == [
        '{"planner": "cem"}'
    ]
