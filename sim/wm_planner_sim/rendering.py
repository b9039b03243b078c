# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Which OpenGL MuJoCo renders with; has to be settled before ``mujoco`` is imported."""

from __future__ import annotations

from ctypes.util import find_library
import logging
import os

from wm_planner.core.errors import MissingAssetError

_VALID = ('osmesa', 'egl', 'glfw')


def select_renderer() -> str:
    """Set MUJOCO_GL for a machine without a screen and return it; a value already set is kept.

    EGL where an NVIDIA driver is present (hardware), else OSMesa, which is software but starts
    everywhere, else EGL on Mesa's surfaceless platform. Raises MissingAssetError naming what to
    install where there is neither.
    """
    # PyOpenGL announces an optional accelerator that nobody misses, at every start.
    logging.getLogger('OpenGL.acceleratesupport').setLevel(logging.WARNING)
    chosen = os.environ.get('MUJOCO_GL', '')
    if chosen in _VALID:
        return chosen
    has_egl = find_library('EGL') is not None
    if has_egl and os.path.exists('/dev/nvidiactl'):
        chosen = 'egl'
    elif find_library('OSMesa') is not None:
        chosen = 'osmesa'
    elif has_egl:
        chosen = 'egl'
        os.environ.setdefault('EGL_PLATFORM', 'surfaceless')
    else:
        raise MissingAssetError(
            'no headless OpenGL was found; run: apt-get install libosmesa6  (or libegl1)'
        )
    os.environ['MUJOCO_GL'] = chosen
    return chosen
