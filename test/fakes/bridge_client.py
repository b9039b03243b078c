# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What a user of the bridge's topics and services sees, for tests; needs rclpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool, Trigger

from fakes.waiting import wait_for
from wm_planner_msgs.msg import EpisodeStatus
from wm_planner_msgs.srv import ResetEpisode, StepSimulation

BASE = 'panda_link0'
SECOND = 1_000_000_000
MS = 1_000_000
_STREAM = QoSProfile(depth=200, reliability=ReliabilityPolicy.BEST_EFFORT)


def stamp_ns(stamp: Any) -> int:
    return int(stamp.sec) * SECOND + int(stamp.nanosec)


class BridgeClient:
    """Everything a robot's user sees of the bridge; keeps the messages since ``forget``."""

    def __init__(self) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node('client', context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.seen: dict[str, list[Any]] = {}
        for name, kind, topic in (
            ('clock', Clock, '/clock'),
            ('joints', JointState, '/joint_states'),
            ('tool', PoseStamped, '/tool_pose'),
            ('image', Image, '/camera/exterior/image_raw'),
            ('info', CameraInfo, '/camera/exterior/camera_info'),
            ('wrist', Image, '/camera/wrist/image_raw'),
            ('status', EpisodeStatus, '/episode_status'),
            ('diagnostics', DiagnosticArray, '/diagnostics'),
        ):
            self.seen[name] = []
            self.node.create_subscription(kind, topic, self.seen[name].append, _STREAM)
        self.target = self.node.create_publisher(PoseStamped, '/target_pose', 1)
        self.joint_target = self.node.create_publisher(JointState, '/joint_target', 1)
        self.gripper = self.node.create_publisher(Float64MultiArray, '/gripper_target', 1)
        self.services = {
            'reset': self.node.create_client(ResetEpisode, '/sim_bridge/reset_episode'),
            'end': self.node.create_client(Trigger, '/sim_bridge/end_episode'),
            'pause': self.node.create_client(SetBool, '/sim_bridge/pause'),
            'step': self.node.create_client(StepSimulation, '/sim_bridge/step'),
        }
        for client in self.services.values():
            assert client.wait_for_service(timeout_sec=120.0)
        self.spin_until(self._is_connected, 'all topics of the bridge')

    def _is_connected(self) -> bool:
        outputs = (self.target, self.gripper, self.joint_target)
        return all(p.get_subscription_count() for p in outputs) and all(
            self.seen[name] for name in ('clock', 'joints', 'tool', 'image', 'status')
        )

    def spin_until(self, claim: Callable[[], object], what: str, timeout_s: float = 120.0) -> None:
        wait_for(
            claim,
            what=what,
            timeout_s=timeout_s,
            poll=lambda: self.executor.spin_once(timeout_sec=0.02),
        )

    def forget(self) -> None:
        """Let go of what has come so far, also of what waits in the queues to be read."""
        count = -1
        while count != (count := sum(map(len, self.seen.values()))):
            for _ in self.seen:  # a spin may do something else than take a message
                self.executor.spin_once(timeout_sec=0.0)
        for messages in self.seen.values():
            messages.clear()

    def newest(self, name: str) -> Any:
        return self.seen[name][-1] if self.seen[name] else None

    def call(self, name: str, request: Any) -> Any:
        future = self.services[name].call_async(request)
        self.spin_until(future.done, f'the answer of {name}')
        return future.result()

    def end_episode(self) -> Any:
        return self.call('end', Trigger.Request())

    def pause(self, is_paused: bool) -> None:
        assert self.call('pause', SetBool.Request(data=is_paused)).success

    def step(self, duration_s: float) -> Any:
        return self.call('step', StepSimulation.Request(duration_s=duration_s))

    def reset(self, suite: str = '', seed: int = 0, episode: int = 0) -> Any:
        return self.call('reset', ResetEpisode.Request(suite=suite, seed=seed, episode=episode))

    def step_and_look(self, duration_s: float = 0.1) -> np.ndarray:
        """Step a simulation that was just reset to its next picture; return that."""
        end = stamp_ns(self.step(duration_s).time)
        self.spin_until(
            lambda: all(
                self.seen[name] and stamp_ns(self.newest(name).header.stamp) == end
                for name in ('tool', 'joints', 'info', 'image')
            ),
            'the picture at the end of the step',
        )
        image = self.newest('image')
        return np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, 3)

    def send(self, xyz: tuple[float, float, float], stamp: int = 0, frame: str = BASE) -> None:
        message = PoseStamped()
        message.header.frame_id = frame
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, SECOND)
        position = message.pose.position
        position.x, position.y, position.z = (float(v) for v in xyz)
        message.pose.orientation.x, message.pose.orientation.w = 1.0, 0.0
        self.target.publish(message)

    def send_joints(self, joints: dict[str, float]) -> None:
        message = JointState(name=list(joints), position=[float(v) for v in joints.values()])
        self.joint_target.publish(message)

    def joints(self) -> dict[str, float]:
        message = self.newest('joints')
        return dict(zip(message.name, message.position, strict=True))

    def go_to_joints(self, changes: dict[str, float], steps: int) -> None:
        """Send the arm's joints, some of them changed, while the paused simulation is stepped."""
        wanted = {name: value + changes.get(name, 0.0) for name, value in self.joints().items()}
        for _ in range(steps):
            self.send_joints(wanted)
            before = stamp_ns(self.newest('tool').header.stamp)
            self.step(0.05)
            self.spin_until(
                lambda before=before: stamp_ns(self.newest('tool').header.stamp) > before, 'a step'
            )

    def tool(self) -> np.ndarray:
        position = self.newest('tool').pose.position
        return np.array([position.x, position.y, position.z])

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)
