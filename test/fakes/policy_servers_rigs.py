# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Each policy client beside a server of its own kind that answers as the real one would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fakes.policy_servers import (
    FakeServer,
    groot_server,
    openpi_server,
    openvla_server,
)
from fakes.values import SPEC, a_state
from wm_planner.core.types import Image, Observation
from wm_planner.policies.panda_arm import flange_pose
from wm_planner.policies.registry import make_policy

HOME_RAD = (0.0, -0.25 * np.pi, 0.0, -0.75 * np.pi, 0.0, 0.5 * np.pi, 0.25 * np.pi)
ONE_CAMERA = {
    'image_resolution': (180, 320),
    'n_external_cameras': 1,
    'needs_wrist_camera': True,
    'needs_session_id': True,
    'action_space': 'joint_position',
}
QUICK = {
    'timeout_s': 2.0,
    'first_timeout_s': 5.0,
    'connect_timeout_s': 2.0,
    'connect_attempts': 2,
    'retry_wait_s': 0.01,
    'instruction': 'pick up the lemon',
}


def osc_chunk(steps: int = 10) -> np.ndarray:
    """Return a chunk whose step k asks for k hundredths of the full displacement along x."""
    chunk = np.zeros((steps, 7), np.float32)
    chunk[:, 0] = 0.01 * np.arange(steps)
    return chunk


def joint_chunk(steps: int = 24) -> np.ndarray:
    chunk = np.tile(np.array([*HOME_RAD, 0.0]), (steps, 1))
    chunk[:, 0] = 0.01 * (1 + np.arange(steps))
    return chunk


def as_groot(chunk: np.ndarray, prefix: str = 'action.') -> list[Any]:
    keys = ('x', 'y', 'z', 'roll', 'pitch', 'yaw', 'gripper')
    arrays = {f'{prefix}{key}': chunk[None, :, i : i + 1] for i, key in enumerate(keys)}
    return [arrays, {}]


def reset_or(answer: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return DreamZero's answers: a text to a reset, else those of ``answer``."""
    return lambda ask: 'reset successful' if ask['endpoint'] == 'reset' else answer(ask)


@dataclass(frozen=True)
class Kind:
    """One kind of server: how it is started, and how it puts an array of actions."""

    serve: Callable[..., Any]
    chunk: Callable[[], np.ndarray]
    put: Callable[[np.ndarray], Any]
    settings: dict[str, Any]


KINDS = {
    'openpi': Kind(
        openpi_server, osc_chunk, lambda chunk: {'actions': chunk, 'server_timing': {}}, {}
    ),
    'openvla': Kind(openvla_server, lambda: osc_chunk(1), lambda chunk: chunk[0], {}),
    'gr00t': Kind(groot_server, lambda: osc_chunk(16), as_groot, {}),
    'dreamzero': Kind(
        lambda answer, **more: openpi_server(reset_or(answer), metadata=ONE_CAMERA, **more),
        joint_chunk,
        lambda chunk: chunk,
        {},
    ),
}


def a_client(name: str, port: int, **settings: Any) -> Any:
    return make_policy(
        name, {**QUICK, **KINDS[name].settings, 'port': port, **settings}, action_spec=lambda: SPEC
    )


@contextmanager
def policy_rig(
    name: str, answer: Callable[[Any], Any] | None = None, **settings: Any
) -> Iterator[tuple[Any, FakeServer]]:
    """Start a server of the kind ``name`` and yield its client and the server.

    ``answer`` gets a request and returns an array of actions, or raises a Misbehave; without it
    every request is answered with the same chunk.
    """
    kind = KINDS[name]

    def reply(request: Any) -> Any:
        return kind.put(kind.chunk() if answer is None else answer(request))

    with kind.serve(reply) as server:
        client = a_client(name, server.port, **settings)
        try:
            yield client, server
        finally:
            client.close()


def a_seen(*, image: Image | None = None, **changes: Any) -> Observation:
    """Return an observation with all that any policy asks for, of a Panda at home.

    The tool is 0.1 m in front of the flange and has its axes.
    """
    position, quaternion = flange_pose(HOME_RAD)
    picture = np.full((64, 64, 3), 100, np.uint8) if image is None else image
    state = a_state(position - [0.0, 0.0, 0.1], quaternion_xyzw=quaternion, closedness=0.25)
    seen = Observation(
        images=picture[None],
        image_stamps_ns=(0,),
        states=(state,),
        wrist_image=np.full((64, 64, 3), 50, np.uint8),
        joints_rad=np.array(HOME_RAD),
    )
    return replace(seen, **changes)
