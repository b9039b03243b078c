# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""A stand-in driver in real time, with a camera and a description, and a planner node for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image as ImageMessage
from std_msgs.msg import String
import yaml

from fakes.controllers import CONTROLLERS
from fakes.loopback_robot import Spinner
from fakes.panda_urdf import panda_urdf
from fakes.planner_harness import QUICK
from fakes.waiting import wait_for
from wm_planner.core.paths import robot_profile_file
from wm_planner.core.profile import RobotProfile
from wm_planner.core.types import Image
from wm_planner.models.point_mass import PointMassConfig, PointMassRenderer
from wm_planner.ros import qos
from wm_planner.ros.client import PlannerClient
from wm_planner.ros.clock import RosClock
from wm_planner.ros.conversions import image_to_message
from wm_planner.ros.planner_node import PlannerNode
from wm_planner_msgs.msg import PlannerStatus

PERIOD_S = 0.02


def joint_profile_file(folder: Path, **changes: Any) -> Path:
    """Write the Panda's profile for a driver of joints, its description on the topic."""
    values = yaml.safe_load(robot_profile_file('panda_sim').read_text())
    values['kinematics'].pop('description')
    values['topics']['target_joints'] = '/arm_controller/joint_trajectory'
    values |= {'sink': 'joint_trajectory', 'state_source': 'joints', **changes}
    path = folder / 'panda_joints.yaml'
    path.write_text(yaml.safe_dump(values))
    return path


class LiveArm:
    """Driver, camera and planner node, each spun by a thread; a context manager.

    ``describe`` latches the robot description, as robot_state_publisher does when it starts.
    """

    def __init__(self, profile_file: Path, **parameters: Any) -> None:
        self.profile = RobotProfile.from_yaml(profile_file)
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node('arm', context=self.context)
        self.driver = CONTROLLERS[self.profile.sink](self.node, self.profile, RosClock(self.node))
        self.renderer = PointMassRenderer(PointMassConfig())
        self._camera = self.node.create_publisher(
            ImageMessage, self.profile.topics.image, qos.IMAGE
        )
        self._description = self.node.create_publisher(
            String, self.profile.topics.robot_description, qos.LATCHED
        )
        self.node.create_timer(PERIOD_S, self._move)
        values = {**QUICK, 'control_rate_hz': 50.0, 'robot': str(profile_file), **parameters}
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        self.planner = PlannerNode(context=self.context, parameter_overrides=overrides)
        self.spinners = [Spinner(self.context, n) for n in (self.node, self.planner)]
        self.client = PlannerClient()
        self.statuses: list[PlannerStatus] = []
        self.client.node.create_subscription(
            PlannerStatus, '/wm_planner/status', self.statuses.append, qos.STATUS
        )

    def describe(self) -> None:
        """Latch the description."""
        self._description.publish(String(data=panda_urdf()))

    def picture(self, position_m: Any) -> Image:
        """Return what the camera shows with the tool there."""
        return self.renderer.draw(position_m, gripper_closedness=self.driver.arm.closedness)

    def wait(self, claim: Callable[[], object], what: str, timeout_s: float = 30.0) -> None:
        """Spin the client until ``claim()``."""
        wait_for(claim, timeout_s=timeout_s, what=what, poll=lambda: self.client.spin_once(0.02))

    def wait_for_status(self, claim: Callable[[PlannerStatus], object], what: str) -> None:
        """Wait until the newest status is as claimed."""
        self.wait(lambda: self.statuses and claim(self.statuses[-1]), what)

    def __enter__(self) -> LiveArm:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        for spinner in self.spinners:
            spinner.stop()
        errors = [error for spinner in self.spinners for error in spinner.errors]
        is_stopped = self.planner.close()
        self.planner.destroy_node()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)
        assert errors == [], 'an exception left spin()'
        assert is_stopped, 'the planning thread did not stop'

    def _move(self) -> None:
        self.driver.advance(PERIOD_S)
        self.driver.publish()
        self._camera.publish(
            image_to_message(
                self.picture(np.array(self.driver.arm.position_m)),
                stamp_ns=int(self.node.get_clock().now().nanoseconds),
                frame_id=self.profile.camera_frame,
            )
        )
