# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Frames of a bag, a video or a folder of pictures, with the robot's state where it is known."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from wm_planner.core.errors import InputError, InvalidImageError, RecordingError
from wm_planner.core.profile import RobotProfile
from wm_planner.core.types import Image, RobotState, check_image
from wm_planner.imagination.frame_bank import BankFrames
from wm_planner.ros.bag_reader import BagReader, is_bag
from wm_planner.ros.conversions import closedness_from_joints, state_from_message
from wm_planner.ros.goal_store import read_picture
from wm_planner.ros.images import image_from_compressed, image_from_message
from wm_planner.ros.stamps import stamp_to_ns

VIDEO_SUFFIXES = ('.mp4', '.avi', '.mkv', '.mov', '.webm')
PICTURE_SUFFIXES = ('.png', '.jpg', '.jpeg')
_MAX_SKEW_NS = 200_000_000  # between a frame and the robot state that goes with it


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A frame at an acquisition stamp; ``state`` None = not recorded."""

    stamp_ns: int
    image: Image
    state: RobotState | None = None


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Frames in order, one every ``period_s`` or so. ``camera_frame`` '' = not known."""

    source: str
    frames: tuple[Frame, ...]
    camera_frame: str = ''
    base_frame: str = ''


def read_recording(
    path: str | Path, profile: RobotProfile, *, period_s: float, camera: str = ''
) -> Recording:
    """Return the frames of a bag, a video or a folder of pictures, thinned to ``period_s``.

    ``camera`` is the image topic in a bag, '' = the profile's. Pictures of a folder count as
    ``period_s`` apart, in the order of their names. Raises RecordingError for what cannot be read
    and for a bag without the camera.
    """
    source = Path(path).expanduser()
    if is_bag(source):
        return _from_bag(BagReader(source), profile, round(period_s * 1e9), camera)
    if source.is_file() and source.suffix.lower() in VIDEO_SUFFIXES:
        return Recording(source=str(source), frames=tuple(_from_video(source, period_s)))
    if source.is_dir():
        return Recording(source=str(source), frames=tuple(_from_folder(source, period_s)))
    reason = 'is none of them' if source.exists() else 'does not exist'
    raise RecordingError(
        f'{source} {reason}; valid: a bag, a video ({", ".join(VIDEO_SUFFIXES)}), or a folder of '
        f'pictures ({", ".join(PICTURE_SUFFIXES)}).'
    )


def bank_frames(path: str | Path, profile: RobotProfile, limit: int) -> BankFrames:
    """Return at most ``limit`` frames spread evenly over a bag, a video or a folder."""
    found = read_recording(path, profile, period_s=0.25)
    count = len(found.frames)
    chosen = np.unique(np.linspace(0, count - 1, min(limit, count)).round().astype(int))
    return BankFrames(
        images=[found.frames[int(index)].image for index in chosen],
        camera_frame=found.camera_frame,
        source=found.source,
    )


class StateTrack:
    """Robot states in a bag, made as the planner node makes them: at each pose, newest joints."""

    def __init__(self, profile: RobotProfile) -> None:
        self._profile = profile
        self._closedness: float | None = None
        self._stamps_ns: list[int] = []
        self._states: list[RobotState] = []

    def add(self, topic: str, message: object) -> None:
        """Take a message of the profile's joint or pose topic; one that is wrong is passed over."""
        try:
            if topic == self._profile.topics.joint_states:
                self._closedness = closedness_from_joints(message, self._profile)  # type: ignore[arg-type]
            elif topic == self._profile.topics.tool_pose and self._closedness is not None:
                state = state_from_message(message, self._closedness, self._profile)  # type: ignore[arg-type]
                self._stamps_ns.append(state.stamp_ns)
                self._states.append(state)
        except InputError:
            return

    def at(self, stamp_ns: int) -> RobotState | None:
        """Return the state nearest to a stamp, None where there is none within 0.2 s."""
        index = bisect_left(self._stamps_ns, stamp_ns)
        near = range(max(index - 1, 0), min(index + 1, len(self._stamps_ns)))
        if not near:
            return None
        best = min(near, key=lambda i: abs(self._stamps_ns[i] - stamp_ns))
        is_near = abs(self._stamps_ns[best] - stamp_ns) <= _MAX_SKEW_NS
        return self._states[best] if is_near else None


def image_of(message: object) -> Image:
    """Return the picture of an Image or a CompressedImage."""
    is_compressed = hasattr(message, 'format')
    return (image_from_compressed if is_compressed else image_from_message)(message)  # type: ignore[operator]


def _from_bag(bag: BagReader, profile: RobotProfile, period_ns: int, camera: str) -> Recording:
    topic = camera or profile.topics.image
    bag.require(topic, 'the camera')
    track = StateTrack(profile)
    frames: list[tuple[int, Image]] = []
    camera_frame = ''
    for name, _, message in bag.messages(
        [topic, profile.topics.joint_states, profile.topics.tool_pose]
    ):
        if name != topic:
            track.add(name, message)
            continue
        stamp_ns = stamp_to_ns(message.header.stamp)
        if frames and stamp_ns - frames[-1][0] < period_ns - period_ns // 10:
            continue
        camera_frame = message.header.frame_id
        frames.append((stamp_ns, image_of(message)))
    if not frames:
        raise RecordingError(f'bag {bag.path} has no frame on {topic}; valid: at least one.')
    return Recording(
        source=str(bag.path),
        frames=tuple(Frame(stamp_ns=s, image=i, state=track.at(s)) for s, i in frames),
        camera_frame=camera_frame,
        base_frame=profile.base_frame,
    )


def _from_video(path: Path, period_s: float) -> Iterator[Frame]:
    capture = cv2.VideoCapture(str(path))
    try:
        rate = float(capture.get(cv2.CAP_PROP_FPS))
        if not capture.isOpened() or not rate > 0.0:
            raise RecordingError(f'{path} is not a video that OpenCV can read.')
        next_s, number = 0.0, 0
        while True:
            is_there, bgr = capture.read()
            if not is_there:
                break
            if number / rate >= next_s - 0.5 / rate:
                rgb = check_image(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), str(path))
                yield Frame(stamp_ns=round(number / rate * 1e9), image=rgb)
                next_s += period_s
            number += 1
        if number == 0:
            raise RecordingError(f'{path} holds no frames; valid: a video of some.')
    finally:
        capture.release()


def _from_folder(path: Path, period_s: float) -> Iterator[Frame]:
    files: Sequence[Path] = sorted(
        file for file in path.iterdir() if file.suffix.lower() in PICTURE_SUFFIXES
    )
    if not files:
        raise RecordingError(
            f'folder {path} holds no pictures; valid: {", ".join(PICTURE_SUFFIXES)}, or a bag.'
        )
    shape = None
    for number, file in enumerate(files):
        image = read_picture(file)
        if shape is not None and image.shape != shape:
            raise InvalidImageError(
                f'{file} is {image.shape[1]}x{image.shape[0]} px and the pictures before it '
                f'{shape[1]}x{shape[0]} px; valid: pictures of one camera.'
            )
        shape = image.shape
        yield Frame(stamp_ns=round(number * period_s * 1e9), image=image)
