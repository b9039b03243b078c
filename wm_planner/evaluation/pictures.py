# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What an evaluation keeps of an episode's camera images: three pictures, or a video, as files.

They travel as bytes, because the process that runs an episode may be on another machine than the
one that writes the report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
import tempfile

import cv2
import numpy as np

from wm_planner.core.errors import InvalidParameterError, RecorderError, UnknownNameError
from wm_planner.core.types import Image

PICTURES, VIDEO, MOTION, BAG = 'pictures', 'video', 'motion', 'bag'
KINDS = (PICTURES, VIDEO, MOTION, BAG)
"""What an evaluation can keep: pictures, video and motion of direct runs, bags of live ones."""

VIDEO_NAME = 'video.mkv'
"""VP8 in Matroska: free, and OpenCV writes it fast."""


class EpisodeCamera:
    """Keeps the frames of one episode at a time, as far as ``kinds`` asks for them."""

    def __init__(self, kinds: Sequence[str] = ()) -> None:
        for kind in kinds:
            if kind not in KINDS:
                raise UnknownNameError.among('kind of file', kind, KINDS)
        self._kinds = tuple(kinds)
        self._frames: list[Image] = []
        self._goal: Image | None = None
        self._imagined: Image | None = None

    def begin(self, first: Image, goal: Image) -> None:
        """Forget the former episode and take the first frame and the final goal of the next."""
        self._frames, self._goal, self._imagined = [first], goal, None

    def add(self, frame: Image) -> None:
        """Take the next frame."""
        if VIDEO not in self._kinds:
            del self._frames[1:]  # the newest is all that will be asked for
        self._frames.append(frame)

    def imagine(self, picture: Image) -> None:
        """Take what a model expects the next frame to be; the last one is kept."""
        self._imagined = picture

    def files(self, frame_s: float) -> dict[str, bytes]:
        """Return the files of the episode by name; a frame of the video lasts ``frame_s``."""
        found: dict[str, bytes] = {}
        if not self._frames or self._goal is None:
            return found
        if PICTURES in self._kinds:
            found['first.png'] = encode_png(self._frames[0])
            found['last.png'] = encode_png(self._frames[-1])
            found['goal.png'] = encode_png(self._goal)
            if self._imagined is not None:
                found['imagined.png'] = encode_png(self._imagined)
        if VIDEO in self._kinds:
            found[VIDEO_NAME] = encode_video(self._frames, frame_s)
        return found


def encode_png(image: Image) -> bytes:
    """Return an RGB image as PNG."""
    done, data = cv2.imencode('.png', cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not done:
        raise RecorderError(f'an image of shape {image.shape} cannot be written as PNG.')
    return bytes(data)


def encode_video(frames: Sequence[Image], frame_s: float) -> bytes:
    """Return RGB frames of one size as a Matroska video; raises RecorderError where it cannot."""
    if not frames or not frame_s > 0.0:
        raise InvalidParameterError(f'{len(frames)} frames of {frame_s} s; valid: >= 1, > 0 s.')
    height, width = frames[0].shape[:2]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, VIDEO_NAME)
        codec = cv2.VideoWriter.fourcc(*'VP80')
        writer = cv2.VideoWriter(str(path), codec, 1.0 / frame_s, (width, height))
        if not writer.isOpened():
            raise RecorderError('this OpenCV writes no VP8 video; valid: --save-pictures instead.')
        for frame in frames:
            writer.write(np.ascontiguousarray(frame[..., ::-1]))
        writer.release()
        return path.read_bytes()


def write_files(folder: Path, files: Mapping[str, bytes]) -> dict[str, Path]:
    """Write ``files`` below ``folder``; return their paths by name without the ending.

    Files of a folder of their own (a bag) go by that folder's name and path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    tops = {Path(name).parts[0] for name in files}
    return {Path(top).stem: folder / top for top in sorted(tops)}
