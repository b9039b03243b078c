# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""OpenPiPolicy: pi0 and pi0.5 behind an openpi policy server."""

from __future__ import annotations

from dataclasses import dataclass
import logging
import os
from typing import Any

from wm_planner.core.config import parameter
from wm_planner.core.errors import PlannerFailedError
from wm_planner.core.geometry import Array
from wm_planner.core.types import Observation
from wm_planner.policies.frames import resize_with_pad
from wm_planner.policies.links import WebSocketTransport
from wm_planner.policies.remote import OscConfig, OscPolicy
from wm_planner.policies.transport import shortened
from wm_planner.policies.wire import pack_openpi, require, unpack_openpi

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class OpenPiConfig(OscConfig):
    """Settings of the openpi client."""

    api_key: str = parameter(
        '',
        'sent as "Authorization: Api-Key ..."; empty: that of WM_PLANNER_API_KEY, if there is one',
        is_secret=True,
    )


class OpenPiPolicy(OscPolicy):
    """Asks an openpi server: msgpack over a WebSocket, the server's metadata first.

    Sends the keys of openpi's LIBERO (and VLA-Arena) configurations; takes ``actions`` [n, 7].
    """

    def __init__(self, config: OpenPiConfig) -> None:
        require('msgpack', what='openpi server')
        key = config.api_key or os.environ.get('WM_PLANNER_API_KEY', '')
        headers = {'Authorization': f'Api-Key {key}'} if key else {}
        transport = WebSocketTransport(
            config, what='openpi server', on_greeting=self._greet, headers=headers
        )
        super().__init__(config, transport)

    def _greet(self, frame: bytes | str) -> None:
        metadata = self._decoded(frame)
        if not isinstance(metadata, dict):
            raise self._wrong('its first frame is no map of metadata; is it an openpi server?')
        _logger.info('%s says %s', self._transport.name, shortened(str(metadata)))

    def _ask(self, observation: Observation, *, is_first: bool) -> Array:
        size = self._config.image_size
        image = self._turned(observation.images[-1])
        message: dict[str, Any] = {
            'observation/image': resize_with_pad(image, size, size),
            'observation/state': self._sensed(observation),
            'prompt': self._instruction,
        }
        if self._config.use_wrist_image:
            wrist = self._turned(self._wrist_image(observation))
            message['observation/wrist_image'] = resize_with_pad(wrist, size, size)
        answer = self._decoded(self._transport.ask(pack_openpi(message)))
        if not isinstance(answer, dict) or 'actions' not in answer:
            raise self._wrong("there are no 'actions'; valid: a map that has them")
        return self._checked_osc(answer['actions'])

    def _decoded(self, frame: bytes | str) -> Any:
        """Return a frame's content; a text frame is the server's traceback."""
        if isinstance(frame, str):
            raise self._raised(frame)
        try:
            return unpack_openpi(frame)
        except ValueError as error:
            self._transport.close()
            raise PlannerFailedError(f'{self._transport.name} sent {error}.') from error
