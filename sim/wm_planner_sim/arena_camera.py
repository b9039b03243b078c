# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of an arena scene: the benchmark's cameras by name, and an exterior one like DROID's.

A renderer of our own draws on request only, without shadows and multisampling: half the time of
the engine's. The exterior camera is a free one, so that the model, and with it every number of the
physics, stays the benchmark's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from wm_planner.core.errors import UnknownNameError
from wm_planner.core.geometry import Array, multiply_quaternions
from wm_planner.core.types import Image
from wm_planner_sim.scene import mujoco
from wm_planner_sim.tabletop import CameraIntrinsics

EXTERIOR_CAMERA = 'exterior'
EXTERIOR_FROM_BASE_M = (0.12, 0.72, 0.52)
"""Where the exterior camera stands in the base frame: to the arm's left, as DROID's first one."""
EXTERIOR_LOOKS_AT_M = (0.52, -0.02, 0.06)
EXTERIOR_FOVY_DEG = 58.0
_VISUAL_GEOMS = [0, 1, 0, 0, 0, 0]
_HALF_TURN_ABOUT_X = (1.0, 0.0, 0.0, 0.0)
_WXYZ_TO_XYZW = [1, 2, 3, 0]


class ArenaCameras:
    """Renders one model at one picture size.

    The first ``render`` binds the OpenGL context to its thread.
    """

    def __init__(self, model: Any, data: Any, base_world_m: Array, width: int, height: int) -> None:
        self._model, self._data = model, data
        self._base_world_m = base_world_m
        self._width, self._height = width, height
        self._renderer: mujoco.Renderer | None = None
        self._option = mujoco.MjvOption()
        self._option.geomgroup[:] = _VISUAL_GEOMS
        self._free = self._exterior()

    @property
    def names(self) -> tuple[str, ...]:
        """Return the cameras there are."""
        model = self._model
        return (EXTERIOR_CAMERA, *(model.camera(i).name for i in range(model.ncam)))

    def render(self, camera: str) -> Image:
        """Return an upright RGB picture uint8 [H, W, 3] of the present state."""
        view = self._free if camera == EXTERIOR_CAMERA else self._index(camera)
        if self._renderer is None:
            self._renderer = self._make_renderer()
        self._renderer.update_scene(self._data, view, self._option)
        return self._renderer.render().copy()

    def intrinsics(self, camera: str) -> CameraIntrinsics:
        """Return the pinhole intrinsics of a camera."""
        fovy_deg = EXTERIOR_FOVY_DEG
        if camera != EXTERIOR_CAMERA:
            fovy_deg = float(self._model.cam_fovy[self._index(camera)])
        focal = 0.5 * self._height / math.tan(0.5 * math.radians(fovy_deg))
        return CameraIntrinsics(
            width=self._width,
            height=self._height,
            fx=focal,
            fy=focal,
            cx=(self._width - 1) / 2,
            cy=(self._height - 1) / 2,
        )

    def pose(self, camera: str) -> tuple[Array, Array]:
        """Return position in the base frame and quaternion xyzw of the optical frame."""
        if camera == EXTERIOR_CAMERA:
            position = np.array(EXTERIOR_FROM_BASE_M)
            forward = np.array(EXTERIOR_LOOKS_AT_M) - position
            forward /= np.linalg.norm(forward)
            right = np.cross(forward, [0.0, 0.0, 1.0])
            right /= np.linalg.norm(right)
            columns = np.stack([right, -np.cross(right, forward), forward], axis=1)
            wxyz = np.zeros(4)
            mujoco.mju_mat2Quat(wxyz, columns.ravel())
            return position, wxyz[_WXYZ_TO_XYZW]
        index, wxyz = self._index(camera), np.zeros(4)
        mujoco.mju_mat2Quat(wxyz, self._data.cam_xmat[index])
        # MuJoCo looks along -z, y up; the optical frame of ROS (REP 103) is half a turn about x.
        quaternion = multiply_quaternions(wxyz[_WXYZ_TO_XYZW], _HALF_TURN_ABOUT_X)
        return self._data.cam_xpos[index] - self._base_world_m, quaternion

    def close(self) -> None:
        """Release the renderer; safe to call twice."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _make_renderer(self) -> mujoco.Renderer:
        visual = self._model.vis
        visual.global_.offwidth = max(visual.global_.offwidth, self._width)
        visual.global_.offheight = max(visual.global_.offheight, self._height)
        visual.global_.fovy = EXTERIOR_FOVY_DEG  # of free cameras
        visual.quality.shadowsize = visual.quality.offsamples = 0
        renderer = mujoco.Renderer(self._model, self._height, self._width)
        renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = False
        renderer.scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        return renderer

    def _exterior(self) -> mujoco.MjvCamera:
        position = np.array(EXTERIOR_FROM_BASE_M) + self._base_world_m
        looks_at = np.array(EXTERIOR_LOOKS_AT_M) + self._base_world_m
        forward = looks_at - position
        camera = mujoco.MjvCamera()
        camera.type = mujoco.mjtCamera.mjCAMERA_FREE
        camera.lookat[:] = looks_at
        camera.distance = float(np.linalg.norm(forward))
        camera.azimuth = math.degrees(math.atan2(forward[1], forward[0]))
        camera.elevation = math.degrees(math.asin(forward[2] / camera.distance))
        return camera

    def _index(self, camera: str) -> int:
        for index in range(self._model.ncam):
            if self._model.camera(index).name == camera:
                return index
        raise UnknownNameError.among('camera', camera, self.names)
