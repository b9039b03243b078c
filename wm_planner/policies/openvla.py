# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""OpenVlaPolicy: OpenVLA behind its REST server (``vla-scripts/deploy.py``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from wm_planner.core.config import parameter
from wm_planner.core.geometry import Array
from wm_planner.core.types import Image, Observation
from wm_planner.policies.frames import centre_crop, resize, through_jpeg
from wm_planner.policies.links import HttpTransport
from wm_planner.policies.osc import GRIPPERS
from wm_planner.policies.remote import OscConfig, OscPolicy
from wm_planner.policies.transport import shortened
from wm_planner.policies.wire import dumps_json_numpy, loads_json_numpy


@dataclass(frozen=True, kw_only=True)
class OpenVlaConfig(OscConfig):
    """Settings of the OpenVLA client. The server answers with one action, so one is executed."""

    execute_steps: int = parameter(1, 'actions of an answer that are executed', low=1, high=256)
    use_wrist_image: bool = parameter(False, 'OpenVLA has no wrist camera', read_only=True)
    gripper: str = parameter(
        'one_open',
        'last number of an action: -1 open and 1 closed; 1 open and 0 closed; 0 open and 1 closed',
        choices=GRIPPERS,
    )
    unnorm_key: str = parameter(
        'vla_arena', 'whose statistics the server scales actions with; empty: the only ones it has'
    )
    crop_area: float = parameter(
        0.9, 'share of the image that is sent, for policies trained on crops', low=0.1, high=1.0
    )
    jpeg: bool = parameter(True, 'put the image through JPEG first, as the training images were')
    double_encode: bool = parameter(
        False, 'send {"encoded": "..."}, for servers that do not patch json themselves'
    )


class OpenVlaPolicy(OscPolicy):
    """Posts an image and the instruction to ``/act``; takes one action [7]."""

    def __init__(self, config: OpenVlaConfig) -> None:
        super().__init__(config, HttpTransport(config, what='OpenVLA server', path='/act'))
        self._settings = config

    def _ask(self, observation: Observation, *, is_first: bool) -> Array:
        message: dict[str, Any] = {
            'image': self._prepared(observation.images[-1]),
            'instruction': self._instruction,
        }
        if self._settings.unnorm_key:
            message['unnorm_key'] = self._settings.unnorm_key
        text = dumps_json_numpy(message)
        if self._settings.double_encode:
            text = dumps_json_numpy({'encoded': text})
        answer = self._decoded(self._transport.ask(text.encode()))
        if isinstance(answer, np.ndarray | list) and np.ndim(answer) == 1:
            answer = [answer]
        return self._checked_osc(answer)

    def _prepared(self, image: Image) -> Image:
        """Return the image as the evaluation of OpenVLA prepares it."""
        size = self._config.image_size
        turned = self._turned(image)
        if self._settings.jpeg:
            turned = through_jpeg(turned)
        small = resize(turned, size, size, 'lanczos3')
        return centre_crop(small, self._settings.crop_area)

    def _decoded(self, body: bytes | str) -> Any:
        """Return the answer; the server reports its failures as a text, ``"error"``."""
        try:
            answer = loads_json_numpy(body)
            if isinstance(answer, str) and answer[:1] in '[{':
                answer = loads_json_numpy(answer)
        except ValueError as error:
            raise self._wrong(shortened(str(error))) from error
        if isinstance(answer, str):
            raise self._raised(f'{answer!r} (its own log says why; unnorm_key is the usual cause)')
        return answer
