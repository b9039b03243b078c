# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The simulator's values as messages: pure functions, no node, any thread."""

from __future__ import annotations

import math
from typing import Any

from geometry_msgs.msg import Pose
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo

from wm_planner.core.errors import WmPlannerError
from wm_planner.core.types import Goal
from wm_planner.ros.conversions import image_to_message, stamp_from_ns
from wm_planner_msgs.msg import EpisodeStatus
from wm_planner_sim.bridge_types import ResetResult, SimStatus
from wm_planner_sim.suites import PLANNER_CAMERA
from wm_planner_sim.tabletop import CameraIntrinsics


def optical_frame(camera: str) -> str:
    """Return the frame_id of a camera's images."""
    return f'{camera}_camera_optical'


def clock_message(time_ns: int) -> Clock:
    """Return simulated time for /clock."""
    return Clock(clock=stamp_from_ns(time_ns))


def camera_info_message(camera: str, intrinsics: CameraIntrinsics, *, stamp_ns: int) -> CameraInfo:
    """Return the calibration that belongs to the image with the same stamp: no distortion."""
    fx, fy, cx, cy = (
        float(v) for v in (intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy)
    )
    message = CameraInfo()
    message.header.stamp = stamp_from_ns(stamp_ns)
    message.header.frame_id = optical_frame(camera)
    message.width, message.height = int(intrinsics.width), int(intrinsics.height)
    message.distortion_model = 'plumb_bob'
    message.d = [0.0] * 5
    message.k = [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


def episode_status_message(
    status: SimStatus, base_frame: str, *, failure: WmPlannerError | None = None
) -> EpisodeStatus:
    """Return how the episode stands; ``failure`` is what ended the simulation, if something did."""
    error = failure or status.error
    episode, score = status.episode, status.score
    message = EpisodeStatus()
    message.header.stamp = stamp_from_ns(status.time_ns)
    message.header.frame_id = base_frame
    message.suite = str(episode.suite)
    message.episode = int(episode.number)
    message.seed = int(episode.seed)
    message.step = int(status.step)
    message.time_s = float(status.time_ns - episode.start_ns) / 1e9
    message.success = bool(score.success) if score else False
    message.failed = failure is not None or (score is not None and score.is_failed)
    message.is_over = score is not None and score.is_over
    message.cost = float(score.cost) if score else 0.0
    message.cost_upstream = float(score.cost_upstream) if score else 0.0
    message.distance_m = float(score.distance_m) if score else math.nan
    message.goal_index = int(score.goal_index) if score else 0
    message.goal_count = int(episode.goal_count)
    message.is_holding = bool(status.is_holding)
    message.message = error.message if error else ''
    message.error_code = int(error.code) if error else 0
    return message


def fill_reset_response(response: Any, result: ResetResult) -> Any:
    """Fill a ResetEpisode response with the episode's goals and return it."""
    response.success = True
    if result.start is None:
        return response
    goals = result.start.goals
    response.goal_images = [_goal_image(goal) for goal in goals]
    response.gripper_closedness = [_or_nan(goal.gripper_closedness) for goal in goals]
    response.steps_per_goal = [int(steps) for steps in result.start.steps_per_goal]
    response.goal_step_s = float(result.start.goal_step_s or 0.0)
    response.goal_poses = [_goal_pose(goal) for goal in goals]
    response.instruction = str(result.start.instruction)
    return response


def _goal_image(goal: Goal) -> Any:
    stamp_ns = goal.pose.stamp_ns if goal.pose else 0
    return image_to_message(goal.image, stamp_ns=stamp_ns, frame_id=optical_frame(PLANNER_CAMERA))


def _goal_pose(goal: Goal) -> Pose:
    pose = Pose()
    numbers = [math.nan] * 7
    if goal.pose is not None:
        numbers = [*goal.pose.position_m.tolist(), *goal.pose.quaternion_xyzw.tolist()]
    pose.position.x, pose.position.y, pose.position.z = numbers[:3]
    orientation = pose.orientation
    orientation.x, orientation.y, orientation.z, orientation.w = numbers[3:]
    return pose


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)
