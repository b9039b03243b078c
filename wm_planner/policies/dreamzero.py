# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""DreamZeroPolicy: DreamZero (and others of RoboArena) behind its dialect of openpi's protocol."""

from __future__ import annotations

from dataclasses import dataclass
import logging
from typing import Any
import uuid

import numpy as np

from wm_planner.core.config import parameter
from wm_planner.core.errors import NoDataError, PlannerFailedError
from wm_planner.core.geometry import Array, pose_delta
from wm_planner.core.types import Image, Observation
from wm_planner.policies.frames import resize_with_pad
from wm_planner.policies.links import WebSocketTransport
from wm_planner.policies.osc import tool_spec
from wm_planner.policies.panda_arm import ARM_JOINTS, Pose, compose, flange_pose, inverse
from wm_planner.policies.remote import RemoteConfig, RemotePolicy
from wm_planner.policies.transport import shortened
from wm_planner.policies.wire import pack_openpi, require, unpack_openpi

_logger = logging.getLogger(__name__)

SECOND_CAMERA = ('refuse', 'repeat')
_MAX_TOOL_M = 0.35  # of a tool on the flange; more says that joints and pose are of different arms


@dataclass(frozen=True, kw_only=True)
class DreamZeroConfig(RemoteConfig):
    """Settings of the DreamZero client."""

    timeout_s: float = parameter(
        60.0, 'how long an answer may take [s]; a chunk takes seconds', low=0.01, high=3600.0
    )
    execute_steps: int = parameter(
        8,
        'actions of an answer that are executed before the server is asked again',
        low=1,
        high=256,
    )
    rotate_images: bool = parameter(
        False, 'send images turned by 180 degrees against the raw frame; DROID images are upright'
    )
    second_camera: str = parameter(
        'refuse',
        'where the server wants two exterior cameras and there is one: refuse, or send it twice '
        '(not what it was trained on)',
        choices=SECOND_CAMERA,
    )
    max_step_m: float = parameter(
        0.1, 'largest displacement of one action along an axis [m]', low=1e-3, high=0.5
    )
    max_step_rad: float = parameter(
        0.5, 'largest rotation of one action about an axis [rad]', low=1e-3, high=1.5
    )


@dataclass(frozen=True, kw_only=True)
class _ServerWishes:
    """What the server's first frame asks of its clients."""

    image_resolution: tuple[int, int] | None = (180, 320)  # height, width [px]
    exterior_cameras: int = 2
    needs_wrist_camera: bool = True
    needs_session_id: bool = True


class DreamZeroPolicy(RemotePolicy):
    """Takes joint positions [n, 8] (7 joints [rad], closedness) and turns them into tool motion.

    The tool's target is where the forward kinematics of the Panda put it: the pose of the tool on
    the flange is measured anew from each observation's joints and tool pose, so no frame has to be
    calibrated. So the observation must have joints, and the base frame must be the Panda's link 0.
    The redundant elbow is left to whoever follows the tool target.
    """

    def __init__(self, config: DreamZeroConfig) -> None:
        require('msgpack', what='DreamZero server')
        transport = WebSocketTransport(config, what='DreamZero server', on_greeting=self._greet)
        spec = tool_spec(config.max_step_m, config.max_step_rad, 1.0 / config.control_rate_hz)
        super().__init__(config, transport, spec)
        self._settings = config
        self._wishes = _ServerWishes()
        self._session_id = ''

    def _greet(self, frame: bytes | str) -> None:
        values = self._decoded(frame)
        if not isinstance(values, dict):
            raise self._wrong('its first frame is no map of settings')
        _logger.info('%s says %s', self._transport.name, shortened(str(values)))
        self._wishes = self._understood(values)

    def _understood(self, values: dict[str, Any]) -> _ServerWishes:
        """Return the server's wishes, or refuse those that cannot be met."""
        action_space = values.get('action_space', 'joint_position')
        if action_space != 'joint_position':
            raise self._wrong(f'its action space is {action_space!r}; valid: joint_position')
        resolution = values.get('image_resolution', (180, 320))
        try:
            wishes = _ServerWishes(
                image_resolution=None
                if resolution is None
                else (int(resolution[0]), int(resolution[1])),
                exterior_cameras=int(values.get('n_external_cameras', 2)),
                needs_wrist_camera=bool(values.get('needs_wrist_camera', True)),
                needs_session_id=bool(values.get('needs_session_id', True)),
            )
        except (TypeError, ValueError, IndexError) as error:
            raise self._wrong(f'its settings are {shortened(str(values))} ({error})') from error
        if wishes.exterior_cameras > 1 and self._settings.second_camera == 'refuse':
            raise PlannerFailedError(
                f'{self._transport.name} wants {wishes.exterior_cameras} exterior cameras and '
                'there is one; valid: planning.second_camera=repeat, which sends it twice.'
            )
        return wishes

    def _ask(self, observation: Observation, *, is_first: bool) -> Array:
        self._joints(observation)  # refused before anything is sent
        is_first = is_first or not self._transport.is_open
        self._transport.open()  # the greeting says what to send
        if is_first:
            self._session_id = str(uuid.uuid4())
            done = self._transport.ask(pack_openpi({'endpoint': 'reset'}))
            if isinstance(done, str) and 'Traceback' in done:  # a text means success here
                raise self._raised(done)
        message = {'endpoint': 'infer', **self._observed(observation)}
        # It remembers an episode's frames: the middle of one means nothing to another connection.
        answer = self._decoded(self._transport.ask(pack_openpi(message), may_repeat=False))
        if isinstance(answer, dict):
            answer = answer.get('actions', answer)
        return self._checked(answer, width=ARM_JOINTS + 1, what='joint positions')

    def _observed(self, observation: Observation) -> dict[str, Any]:
        state, wishes = observation.state, self._wishes
        exterior = self._prepared(observation.images[-1])
        message: dict[str, Any] = {
            f'observation/exterior_image_{index}_left': exterior
            for index in range(wishes.exterior_cameras)
        }
        if wishes.needs_wrist_camera and self._config.use_wrist_image:
            wrist = self._prepared(self._wrist_image(observation))
            message['observation/wrist_image_left'] = wrist
        if wishes.needs_session_id:
            message['session_id'] = self._session_id
        return {
            **message,
            'observation/joint_position': self._joints(observation),
            'observation/cartesian_position': state.as_vector()[:6],
            'observation/gripper_position': np.array([state.gripper_closedness]),
            'prompt': self._instruction,
        }

    def _prepared(self, image: Image) -> Image:
        turned = self._turned(image)
        if self._wishes.image_resolution is None:
            return turned
        return resize_with_pad(turned, *self._wishes.image_resolution)

    def _joints(self, observation: Observation) -> Array:
        joints = observation.joints_rad
        if joints is None or joints.shape != (ARM_JOINTS,):
            found = 'none' if joints is None else f'{joints.size}'
            raise NoDataError(
                f'{self._transport.name} wants {ARM_JOINTS} joint positions and the observation '
                f'has {found}; valid: an environment that reports the joints of a Panda.'
            )
        return joints

    def _to_actions(self, chunk: Array, observation: Observation) -> Array:
        """Return the tool's way along the joint targets, step by step."""
        here: Pose = (observation.state.position_m, observation.state.quaternion_xyzw)
        tool = compose(inverse(flange_pose(self._joints(observation))), here)
        reach_m = float(np.linalg.norm(tool[0]))
        if reach_m > _MAX_TOOL_M:
            raise PlannerFailedError(
                f'the tool is {reach_m:.2f} m from where the joints put the flange; valid: joints '
                f'of a Panda whose base frame is its link 0, and a tool within {_MAX_TOOL_M} m.'
            )
        actions = []
        for target in chunk:
            there = compose(flange_pose(target[:ARM_JOINTS]), tool)
            shift, turn = pose_delta(*here, *there)
            actions.append([*shift, *turn, target[ARM_JOINTS]])
            here = there
        return np.asarray(actions)

    def _decoded(self, frame: bytes | str) -> Any:
        """Return a frame's content; a text frame is the server's traceback."""
        if isinstance(frame, str):
            raise self._raised(frame)
        try:
            return unpack_openpi(frame)
        except ValueError as error:
            self._transport.close()
            raise PlannerFailedError(f'{self._transport.name} sent {error}.') from error
