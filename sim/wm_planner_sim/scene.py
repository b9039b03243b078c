# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The tabletop scene as a MuJoCo model: a Franka Panda, a table, two coloured blocks, two cameras.

The Panda's kinematics, inertias and meshes come from the ``dm-robotics-panda`` wheel (MJCF and OBJ
files only; nothing of its code runs). Links are drawn as convex hulls of at most HULL_VERTICES
vertices, because a software renderer spends nearly all its time on the full meshes (26 against
300 frames a second at 128x128 with OSMesa).
"""

from __future__ import annotations

from importlib import metadata
import math
from pathlib import Path

import numpy as np

from wm_planner.core.errors import MissingAssetError
from wm_planner_sim import rendering

rendering.select_renderer()
import mujoco  # noqa: E402  (reads MUJOCO_GL when imported)

BASE_FRAME = 'panda_link0'
TOOL_FRAME = 'panda_tool'
ARM_JOINTS = tuple(f'panda_joint{i}' for i in range(1, 8))
FINGER_JOINTS = ('panda_finger_joint1', 'panda_finger_joint2')
FINGER_TRAVEL_M = 0.04
TOOL_SITE = 'tool'
BLOCKS = ('red_block', 'blue_block')
BLOCK_HALF_M = 0.025
HOME_QPOS = (0.0, -0.12, 0.0, -2.28, 0.0, 2.16, 0.785)
HULL_VERTICES = 48
EXTERIOR_POSITION_M = (0.98, 0.52, 0.56)
EXTERIOR_TARGET_M = (0.478, -0.005, 0.145)

ASSET_DISTRIBUTION = 'dm-robotics-panda'
ASSET_COMMAND = (
    'pip install --no-deps --ignore-requires-python dm-robotics-panda==0.4.8  (or: ./dev setup)'
)

# Stiffness and damping of the joint position servos [Nm/rad, Nms/rad], and torque limits [Nm]:
# the order of a Panda under its joint impedance controller, with Franka's published torque limits.
_ARM_STIFFNESS = (4500.0, 4500.0, 3500.0, 3500.0, 2000.0, 2000.0, 2000.0)
_ARM_DAMPING = (180.0, 180.0, 120.0, 120.0, 50.0, 50.0, 50.0)
_ARM_TORQUE_NM = (87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0)

# Collision bits: blocks and table meet everything, hand and fingers meet blocks and table only.
_WORLD_BIT, _HAND_BIT = 1, 2


def panda_asset_folder() -> Path:
    """Return the folder with panda.xml and panda_hand.xml of the installed wheel.

    Raises MissingAssetError naming the command that installs it.
    """
    try:
        files = metadata.files(ASSET_DISTRIBUTION) or []
    except metadata.PackageNotFoundError as error:
        raise MissingAssetError(
            f'the Panda model is not installed; run: {ASSET_COMMAND}'
        ) from error
    for file in files:
        if file.name == 'panda.xml':
            return Path(str(file.locate())).resolve().parent
    raise MissingAssetError(
        f'{ASSET_DISTRIBUTION} is installed without panda.xml; run: {ASSET_COMMAND}'
    )


def build_model(
    timestep_s: float, *, offscreen_width: int, offscreen_height: int
) -> mujoco.MjModel:
    """Return the compiled scene; the robot's base frame is the world frame, the table is z = 0."""
    folder = panda_asset_folder()
    spec = mujoco.MjSpec.from_file(str(folder / 'panda.xml'))
    hand = mujoco.MjSpec.from_file(str(folder / 'panda_hand.xml'))
    _trim_hand(hand)
    mount = spec.body('panda_link8').add_frame()
    mount.quat = [math.cos(-math.pi / 8), 0.0, 0.0, math.sin(-math.pi / 8)]
    mount.attach_body(hand.body('panda_hand'), 'hand/', '')
    _style_arm(spec)
    _add_actuators(spec)
    _add_surroundings(spec)
    _add_blocks(spec)
    _add_cameras(spec)
    spec.option.timestep = timestep_s
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10.0  # grasped blocks creep out of the fingers with the default of 1
    spec.visual.global_.offwidth = offscreen_width
    spec.visual.global_.offheight = offscreen_height
    spec.visual.quality.shadowsize = 0
    return spec.compile()


def _trim_hand(hand: mujoco.MjSpec) -> None:
    # Its own actuator drives a [0, 1] tendon; ours are position servos in metres.
    for element in (*hand.actuators, *hand.tendons):
        hand.delete(element)
    hand.body('panda_hand').add_site(name=TOOL_SITE, pos=[0.0, 0.0, 0.1034])


def _style_arm(spec: mujoco.MjSpec) -> None:
    for mesh in spec.meshes:
        mesh.maxhullvert = HULL_VERTICES
    dark, light, steel = (
        [0.24, 0.25, 0.27, 1.0],
        [0.90, 0.91, 0.93, 1.0],
        [0.55, 0.57, 0.60, 1.0],
    )
    for geom in spec.geoms:
        body = geom.parent.name
        geom.material = ''
        is_pad = geom.type == mujoco.mjtGeom.mjGEOM_BOX
        is_hand = body.startswith('hand/')
        is_finger_mesh = is_hand and not is_pad and body != 'hand/panda_hand'
        geom.contype = 0 if is_finger_mesh else _HAND_BIT
        geom.conaffinity = 0
        geom.group = 4 if is_pad else 1  # pads touch, finger meshes are drawn
        geom.rgba = dark if body == 'hand/panda_hand' else steel if is_hand else light
        if body in ('panda_link2', 'panda_link4', 'panda_link6'):
            geom.rgba = steel
        if is_pad:
            geom.friction = [1.5, 0.05, 0.001]
            geom.condim = 4
    for joint in spec.joints:
        if joint.name in ARM_JOINTS:
            joint.armature = 0.1
            # One inertia file lists a slightly negative damping for joint 6; an identified value.
            joint.damping = np.maximum(joint.damping, 0.05)


def _add_actuators(spec: mujoco.MjSpec) -> None:
    for name, stiffness, damping, torque in zip(
        ARM_JOINTS, _ARM_STIFFNESS, _ARM_DAMPING, _ARM_TORQUE_NM, strict=True
    ):
        _add_position_servo(spec, name, stiffness, damping, torque)
    for name in FINGER_JOINTS:
        _add_position_servo(spec, f'hand/{name}', 1000.0, 40.0, 35.0)


def _add_position_servo(
    spec: mujoco.MjSpec, joint: str, stiffness: float, damping: float, limit: float
) -> None:
    actuator = spec.add_actuator(
        name=joint.rpartition('/')[2], target=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT
    )
    actuator.set_to_position(kp=stiffness, kv=damping)
    actuator.forcelimited = True
    actuator.forcerange = [-limit, limit]


def _add_surroundings(spec: mujoco.MjSpec) -> None:
    spec.add_texture(
        name='sky',
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.72, 0.77, 0.80],
        rgb2=[0.42, 0.47, 0.52],
        width=64,
        height=64,
    )
    world = spec.worldbody
    table = world.add_geom(
        name='table',
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=[0.45, 0.0, -0.02],
        size=[0.50, 0.60, 0.02],
        rgba=[0.66, 0.56, 0.43, 1.0],
    )
    table.contype, table.conaffinity = _WORLD_BIT, _WORLD_BIT | _HAND_BIT
    floor = world.add_geom(
        name='floor',
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        pos=[0.0, 0.0, -0.75],
        size=[3.0, 3.0, 0.1],
        rgba=[0.35, 0.37, 0.40, 1.0],
    )
    floor.contype, floor.conaffinity = _WORLD_BIT, _WORLD_BIT
    world.add_light(pos=[0.9, 0.6, 1.8], dir=[-0.3, -0.3, -1.0], diffuse=[0.5, 0.5, 0.5])
    world.add_light(pos=[0.2, -0.9, 1.8], dir=[0.1, 0.5, -1.0], diffuse=[0.3, 0.3, 0.3])
    spec.visual.headlight.ambient = [0.40, 0.40, 0.40]
    spec.visual.headlight.diffuse = [0.25, 0.25, 0.25]


def _add_blocks(spec: mujoco.MjSpec) -> None:
    colours = ([0.82, 0.12, 0.10, 1.0], [0.10, 0.25, 0.85, 1.0])
    for name, colour, y in zip(BLOCKS, colours, (-0.1, 0.1), strict=True):
        body = spec.worldbody.add_body(name=name, pos=[0.5, y, BLOCK_HALF_M])
        body.add_freejoint(name=f'{name}_joint')
        geom = body.add_geom(
            name=name,
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[BLOCK_HALF_M] * 3,
            rgba=colour,
            mass=0.08,
        )
        geom.contype, geom.conaffinity = _WORLD_BIT, _WORLD_BIT | _HAND_BIT
        geom.friction = [0.8, 0.02, 0.001]
        geom.condim = 4


def _add_cameras(spec: mujoco.MjSpec) -> None:
    # Exterior: like DROID's left camera, beside the workspace, looking across it toward the base.
    position, quaternion = exterior_camera_pose(0.0)
    spec.worldbody.add_camera(name='exterior', pos=position, quat=quaternion, fovy=47.0)
    # Wrist: on the hand, beside the fingers, looking along them. Its housing is drawn, as on the
    # robots of DROID: it tells the hand's two sides apart, which are alike when seen edge-on.
    hand = spec.body('hand/panda_hand')
    housing = hand.add_geom(
        name='wrist_camera_housing',
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=[0.062, 0.0, -0.022],
        size=[0.030, 0.045, 0.013],
        rgba=[0.95, 0.62, 0.10, 1.0],
        mass=0.0,
    )
    housing.contype = housing.conaffinity = 0
    housing.group = 1
    hand.add_camera(name='wrist', pos=[0.075, 0.0, 0.0], quat=_wrist_quaternion(), fovy=75.0)


def exterior_camera_pose(azimuth_rad: float) -> tuple[np.ndarray, list[float]]:
    """Return position [3] (m) and MuJoCo quaternion (wxyz) of the exterior camera.

    ``azimuth_rad`` turns it about the vertical axis through what it looks at, counter-clockwise
    seen from above; 0 is where the shipped model was trained.
    """
    target = np.array(EXTERIOR_TARGET_M)
    x, y, z = np.array(EXTERIOR_POSITION_M) - target
    cosine, sine = math.cos(azimuth_rad), math.sin(azimuth_rad)
    position = target + np.array([cosine * x - sine * y, sine * x + cosine * y, z])
    return position, _look_at(position, target)


def _look_at(position: np.ndarray, target: np.ndarray) -> list[float]:
    """Return the MuJoCo camera quaternion (wxyz; looks along -z, y up) from position to target."""
    backward = (position - target) / np.linalg.norm(position - target)
    right = np.cross([0.0, 0.0, 1.0], backward)
    right /= np.linalg.norm(right)
    matrix = np.column_stack([right, np.cross(backward, right), backward])
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, matrix.ravel())
    return [float(v) for v in quaternion]


def _wrist_quaternion() -> list[float]:
    """Return the quaternion (wxyz) that looks along the hand's +z, 12 degrees toward the tool."""
    tilt = math.radians(12.0)
    backward = np.array([math.sin(tilt), 0.0, -math.cos(tilt)])
    right = np.array([0.0, 1.0, 0.0])
    matrix = np.column_stack([right, np.cross(backward, right), backward])
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, matrix.ravel())
    return [float(v) for v in quaternion]
