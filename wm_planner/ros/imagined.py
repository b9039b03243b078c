# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""ImaginedTopics: what plans imagine, on topics, while somebody listens."""

from __future__ import annotations

from collections.abc import Sequence
import threading
from typing import TYPE_CHECKING

from geometry_msgs.msg import Point, Pose, PoseStamped
from nav_msgs.msg import Path as PathMessage
import numpy as np
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image as ImageMessage
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from wm_planner.core.errors import WmPlannerError, as_wm_planner_error
from wm_planner.core.types import Plan
from wm_planner.imagination.frame_bank import BankEncoder
from wm_planner.imagination.imaginer import Drawn, ImaginationConfig, Imaginer
from wm_planner.imagination.painters import make_painter
from wm_planner.ros import qos
from wm_planner.ros.frame_source import bank_frames
from wm_planner.ros.images import image_to_message
from wm_planner.ros.stamps import stamp_from_ns

if TYPE_CHECKING:
    from wm_planner.ros.planner_stack import PlannerStack

_SPHERE_M = 0.012
_LINE_M = 0.004


class ImaginedTopics:
    """~/imagined, ~/imagined_outcome, ~/imagined_path and ~/imagined_markers.

    Plans come in on the executor's thread and are handed on; drawing and publishing happen on the
    imagination thread. Nothing is drawn while nobody has subscribed.
    """

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._strip = node.create_publisher(ImageMessage, '~/imagined', qos.IMAGE)
        self._outcome = node.create_publisher(ImageMessage, '~/imagined_outcome', qos.IMAGE)
        self._path = node.create_publisher(PathMessage, '~/imagined_path', qos.IMAGE)
        self._markers = node.create_publisher(MarkerArray, '~/imagined_markers', qos.IMAGE)
        self._imaginer: Imaginer | None = None
        self._stack: PlannerStack | None = None
        self._config = ImaginationConfig()
        self._bank_wanted = False

    def open(
        self, stack: PlannerStack, config: ImaginationConfig, *, model: str, weights: str
    ) -> None:
        """Begin to draw plans of ``stack``."""
        self._stack, self._config = stack, config
        self._bank_wanted = bool(config.frame_bank)
        if config.enabled:
            self._imaginer = Imaginer(
                config,
                lambda: make_painter(model, weights, config.decoder),
                self._publish,
                is_busy=lambda: stack.worker.busy_since_ns() is not None,
            )

    def close(self, timeout_s: float) -> None:
        """End the thread; one that is still drawing publishes nothing more that matters."""
        imaginer, self._imaginer = self._imaginer, None
        if imaginer is not None:
            imaginer.stop(timeout_s)
        self._stack = None

    def on_plan(self, plan: Plan) -> None:
        """Hand a plan over, if anybody wants to see it."""
        if self._imaginer is None:
            return
        publishers = (self._strip, self._outcome, self._path, self._markers)
        if any(publisher.get_subscription_count() for publisher in publishers):
            if self._bank_wanted and self._stack is not None:
                self._bank_wanted = False
                # A bag takes seconds to read, and a control tick must not wait for it.
                threading.Thread(
                    target=self._load_bank, args=(self._stack,), name='frame_bank', daemon=True
                ).start()
            self._imaginer.submit(plan)
        else:
            self._imaginer.forget()

    def _load_bank(self, stack: PlannerStack) -> None:
        """Read the frame bank, now that the camera is known, and have it encoded between plans.

        On a thread of its own.
        """
        newest = stack.buffer.latest_image()
        try:
            frames = bank_frames(self._config.frame_bank, stack.profile, self._config.bank_frames)
            if newest is not None:
                height, width = newest[1].shape[:2]
                frames.check_camera(stack.profile.camera_frame, width, height)
        except Exception as error:  # whatever is wrong with it, planning goes on without
            known = as_wm_planner_error(error)
            self._node.get_logger().error(f'no nearest frames: {known}')
            return
        encoder = BankEncoder(frames)

        def done(error: WmPlannerError | None) -> None:
            imaginer = self._imaginer
            if error is not None:
                self._node.get_logger().error(f'no nearest frames: {error}')
            elif imaginer is not None:
                imaginer.use_bank(encoder.bank)

        stack.worker.when_idle(encoder.work, done)

    # -- on the imagination thread ---------------------------------------------------------------

    def _publish(self, drawn: Drawn) -> None:
        stack = self._stack
        if stack is None:
            return
        stamp_ns, camera = drawn.plan.observation_stamp_ns, stack.profile.camera_frame
        for image, publisher in ((drawn.strip, self._strip), (drawn.outcome, self._outcome)):
            if image is not None:
                publisher.publish(image_to_message(image, stamp_ns=stamp_ns, frame_id=camera))
        self._path.publish(path_message(drawn, stack.profile.base_frame))
        self._markers.publish(marker_message(drawn, stack.profile.base_frame))


def path_message(drawn: Drawn, frame_id: str) -> PathMessage:
    """Return the tool path that a plan imagines, the present pose first."""
    message = PathMessage()
    message.header.stamp = stamp_from_ns(drawn.plan.observation_stamp_ns)
    message.header.frame_id = frame_id
    step_ns = round(drawn.plan.action_spec.step_duration_s * 1e9)
    for index in range(len(drawn.positions_m)):
        pose = PoseStamped(pose=_pose(drawn, index))
        pose.header.stamp = stamp_from_ns(drawn.plan.observation_stamp_ns + index * step_ns)
        pose.header.frame_id = frame_id
        message.poses.append(pose)
    return message


def marker_message(drawn: Drawn, frame_id: str) -> MarkerArray:
    """Return the path as a line and a sphere a step, coloured by energy.

    Green is no energy, red is the energy of the present or more.
    """
    line = _marker(drawn, frame_id, 0, Marker.LINE_STRIP)
    line.scale.x = _LINE_M
    spheres = _marker(drawn, frame_id, 1, Marker.SPHERE_LIST)
    spheres.scale.x = spheres.scale.y = spheres.scale.z = _SPHERE_M
    colours = energy_colours(drawn.energies.tolist())
    for marker in (line, spheres):
        marker.points = [Point(x=x, y=y, z=z) for x, y, z in drawn.positions_m.tolist()]
        marker.colors = colours
    return MarkerArray(markers=[line, spheres])


def energy_colours(energies: Sequence[float]) -> list[ColorRGBA]:
    """Return a colour for each energy, against the first: green at 0, red at the first or more."""
    scale = max(energies[0], 1e-12)
    shares = np.clip(np.nan_to_num(np.asarray(energies), nan=scale, posinf=scale) / scale, 0.0, 1.0)
    return [ColorRGBA(r=float(share), g=float(1.0 - share), b=0.1, a=0.9) for share in shares]


def _marker(drawn: Drawn, frame_id: str, number: int, kind: int) -> Marker:
    marker = Marker(ns='imagined', id=number, type=kind, action=Marker.ADD)
    marker.header.stamp = stamp_from_ns(drawn.plan.observation_stamp_ns)
    marker.header.frame_id = frame_id
    marker.pose.orientation.w = 1.0
    return marker


def _pose(drawn: Drawn, index: int) -> Pose:
    pose = Pose()
    position, quaternion = pose.position, pose.orientation
    position.x, position.y, position.z = drawn.positions_m[index].tolist()
    quaternion.x, quaternion.y, quaternion.z, quaternion.w = drawn.quaternions_xyzw[index].tolist()
    return pose
