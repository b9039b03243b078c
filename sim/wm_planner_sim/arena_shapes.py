# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The shape of an object as points, from the geoms that collide."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from wm_planner.core.geometry import Array
from wm_planner_sim.arena_engine import ArenaEngine
from wm_planner_sim.scene import mujoco

_CORNERS = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))


def object_points(engine: ArenaEngine, name: str) -> Array:
    """Return points [N, 3] in the world frame on an object's collision geoms, where they are now.

    Vertices of meshes, corners of the bounding boxes of everything else.
    """
    model, data = engine.model, engine.data
    pieces = []
    for geom_name in engine.object_geoms(name):
        index = model.geom(geom_name).id
        rotation = data.geom_xmat[index].reshape(3, 3)
        pieces.append(_local_points(model, index) @ rotation.T + data.geom_xpos[index])
    if not pieces:  # a bare body, such as a drop of water
        return engine.object_pose(name)[0][np.newaxis]
    return np.concatenate(pieces)


def _local_points(model: Any, index: int) -> Array:
    if model.geom_type[index] == mujoco.mjtGeom.mjGEOM_MESH:
        mesh = model.geom_dataid[index]
        start = model.mesh_vertadr[mesh]
        return np.array(model.mesh_vert[start : start + model.mesh_vertnum[mesh]], np.float64)
    box = model.geom_aabb[index]
    corners: Array = box[:3] + _CORNERS * box[3:]
    return corners
