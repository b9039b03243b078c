# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Gr00tPolicy: NVIDIA GR00T behind its ZeroMQ server (``run_gr00t_server``)."""

from __future__ import annotations

from dataclasses import dataclass
import os
from typing import Any

import numpy as np

from wm_planner.core.config import parameter
from wm_planner.core.errors import PlannerFailedError
from wm_planner.core.geometry import Array
from wm_planner.core.types import Image, Observation
from wm_planner.policies.frames import resize_with_pad
from wm_planner.policies.links import ZmqTransport
from wm_planner.policies.osc import GRIPPERS
from wm_planner.policies.remote import OscConfig, OscPolicy
from wm_planner.policies.wire import GROOT_ARRAYS, pack_groot, require, unpack_groot

LAYOUTS = ('flat', 'nested', 'n1.5')
STATE_KEYS = ('x', 'y', 'z', 'roll', 'pitch', 'yaw')
ACTION_KEYS = (*STATE_KEYS, 'gripper')


@dataclass(frozen=True, kw_only=True)
class Gr00tConfig(OscConfig):
    """Settings of the GR00T client, for checkpoints with the modalities of LIBERO."""

    port: int = parameter(5555, 'port of the policy server', low=1, high=65535)
    execute_steps: int = parameter(
        8,
        'actions of an answer that are executed before the server is asked again',
        low=1,
        high=256,
    )
    image_size: int = parameter(256, 'side of the images sent [px]', low=32, high=1024)
    gripper: str = parameter(
        'one_open',
        'last number of an action: -1 open and 1 closed; 1 open and 0 closed; 0 open and 1 closed',
        choices=GRIPPERS,
    )
    api_token: str = parameter(
        '',
        'token that the server was started with; empty: that of WM_PLANNER_API_TOKEN, if any',
        is_secret=True,
    )
    layout: str = parameter(
        'flat',
        'flat: N1.6 and later with --use-sim-policy-wrapper; nested: without; n1.5: that release',
        choices=LAYOUTS,
    )
    arrays: str = parameter(
        'npy', 'how arrays are packed; msgpack_numpy for the newest servers', choices=GROOT_ARRAYS
    )
    language_key: str = parameter(
        'annotation.human.action.task_description', "the server's key of the instruction"
    )


class Gr00tPolicy(OscPolicy):
    """Asks ``get_action``; takes the action modalities x ... yaw and gripper, [n] each."""

    def __init__(self, config: Gr00tConfig) -> None:
        require('msgpack', what='GR00T server')
        self._settings = config
        transport = ZmqTransport(config, what='GR00T server', greeting=self._request('ping'))
        super().__init__(config, transport)

    def _ask(self, observation: Observation, *, is_first: bool) -> Array:
        is_old = self._settings.layout == 'n1.5'
        if is_first and not is_old:
            self._call('reset', {'options': None})
        seen = self._observed(observation)
        answer = self._call(
            'get_action', seen if is_old else {'observation': seen, 'options': None}
        )
        if isinstance(answer, list) and answer:
            answer = answer[0]  # [actions, info]
        if not isinstance(answer, dict):
            raise self._wrong(f'an action of {type(answer).__name__}; valid: a map')
        return self._checked_osc(self._joined(answer))

    def _joined(self, answer: dict[Any, Any]) -> Array:
        """Return the modalities side by side [n, 7]."""
        columns = []
        for key in ACTION_KEYS:
            value = answer.get(f'action.{key}', answer.get(key))
            if not isinstance(value, np.ndarray):
                names = ', '.join(sorted(map(str, answer))) or 'nothing'
                raise self._wrong(f'no array for action {key!r} but {names}')
            columns.append(value.astype(np.float64))
        shapes = {column.shape for column in columns}
        if len(shapes) != 1 or not _is_one_sequence(shapes.pop()):
            raise self._wrong(
                f'actions have shapes {[list(column.shape) for column in columns]}; '
                'valid: all [1, n, 1], [n, 1] or [n]'
            )
        return np.column_stack([column.reshape(-1) for column in columns])

    def _observed(self, observation: Observation) -> dict[str, Any]:
        """Return the observation as the server's layout wants it."""
        state = self._sensed(observation)
        images = {'image': self._prepared(observation.images[-1])}
        if self._config.use_wrist_image:
            images['wrist_image'] = self._prepared(self._wrist_image(observation))
        states = {key: state[i : i + 1] for i, key in enumerate(STATE_KEYS)}
        states['gripper'] = state[6:8]
        axes = (0,) if self._settings.layout == 'n1.5' else (0, 1)  # time; batch and time
        video = {key: np.expand_dims(value, axes) for key, value in images.items()}
        sensed = {key: np.expand_dims(value, axes) for key, value in states.items()}
        language, text = self._settings.language_key, self._instruction
        if self._settings.layout == 'nested':
            return {'video': video, 'state': sensed, 'language': {language: [[text]]}}
        return {
            **{f'video.{key}': value for key, value in video.items()},
            **{f'state.{key}': value for key, value in sensed.items()},
            language: [text],
        }

    def _prepared(self, image: Image) -> Image:
        size = self._config.image_size
        return resize_with_pad(self._turned(image), size, size)

    def _call(self, endpoint: str, data: Any) -> Any:
        may_repeat = endpoint != 'reset'
        frame = self._transport.ask(self._request(endpoint, data), may_repeat=may_repeat)
        try:
            answer = unpack_groot(frame if isinstance(frame, bytes) else frame.encode())
        except ValueError as error:
            self._transport.close()
            raise PlannerFailedError(f'{self._transport.name} sent {error}.') from error
        if isinstance(answer, dict) and 'error' in answer:
            raise self._raised(f'{answer["error"]} (endpoint {endpoint})')
        return answer

    def _request(self, endpoint: str, data: Any = None) -> bytes:
        request: dict[str, Any] = {'endpoint': endpoint}
        if data is not None:
            request['data'] = data
        token = self._settings.api_token or os.environ.get('WM_PLANNER_API_TOKEN', '')
        if token:
            request['api_token'] = token
        return pack_groot(request, self._settings.arrays)


def _is_one_sequence(shape: tuple[int, ...]) -> bool:
    """Return whether an array has one batch and one dimension, however they are written."""
    is_flat = len(shape) == 1
    is_column = len(shape) == 2 and shape[1] == 1
    return is_flat or is_column or (len(shape) == 3 and shape[0] == 1 and shape[2] == 1)
