# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The Panda's kinematics as a URDF, as robot_state_publisher would latch it."""

from __future__ import annotations

import pinocchio as pin

from wm_planner.kinematics.description import read_description

SPEED_RAD_S = 2.0


def panda_urdf() -> str:
    """Return links, joints with limits, and a finger, made from the MJCF of the simulator."""
    path = read_description('wheel://dm-robotics-panda/panda.xml').path
    model = pin.buildModelFromMJCF(str(path))
    parts = ['<robot name="panda">', '<link name="panda_link0"/>']
    for i in range(1, model.njoints):
        name, placement = model.names[i], model.jointPlacements[i]
        low, high = model.lowerPositionLimit[i - 1], model.upperPositionLimit[i - 1]
        parts += [
            f'<link name="panda_link{i}"/>',
            f'<joint name="{name}" type="revolute">',
            f'<parent link="panda_link{i - 1}"/><child link="panda_link{i}"/>',
            _origin(placement),
            '<axis xyz="0 0 1"/>',
            f'<limit lower="{low}" upper="{high}" velocity="{SPEED_RAD_S}" effort="87"/>',
            '</joint>',
        ]
    flange = model.frames[model.getFrameId('panda_link8')]
    parts += [
        '<link name="panda_link8"/>',
        '<joint name="panda_joint8" type="fixed">',
        '<parent link="panda_link7"/><child link="panda_link8"/>',
        _origin(flange.placement),
        '</joint>',
        '<link name="finger"/>',
        '<joint name="panda_finger_joint1" type="prismatic">',
        '<parent link="panda_link8"/><child link="finger"/><axis xyz="0 1 0"/>',
        '<limit lower="0" upper="0.04" velocity="0.2" effort="20"/></joint>',
        '</robot>',
    ]
    return '\n'.join(parts)


def _origin(placement: object) -> str:
    roll, pitch, yaw = pin.rpy.matrixToRpy(placement.rotation)
    x, y, z = placement.translation
    return f'<origin xyz="{x} {y} {z}" rpy="{roll} {pitch} {yaw}"/>'
