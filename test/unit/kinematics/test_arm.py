# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Forward and inverse kinematics of the Panda of the tabletop simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('pinocchio', reason="the extra 'arms' is not installed")

from fakes.kinematic_arm import HOME_RAD, panda_kinematics, panda_profile  # noqa: E402
from fakes.panda_urdf import panda_urdf  # noqa: E402
from wm_planner.core.errors import (  # noqa: E402
    JointLimitError,
    RobotDescriptionError,
    UnreachablePoseError,
)
from wm_planner.core.geometry import apply_delta, rotation_angle  # noqa: E402
from wm_planner.core.profile import RobotProfile  # noqa: E402
from wm_planner.core.protocols import Kinematics  # noqa: E402
from wm_planner.kinematics.arm import make_kinematics  # noqa: E402
from wm_planner.kinematics.description import RobotDescription  # noqa: E402
from wm_planner.tools.bench_kinematics import reachable_poses  # noqa: E402

POSES = 1000


def residual(kinematics: Kinematics, joints: np.ndarray, pose: tuple) -> tuple[float, float]:
    """Return how far the tool is from a pose [mm, degrees]."""
    position, quaternion = kinematics.forward(joints)
    return (
        1e3 * float(np.linalg.norm(position - pose[0])),
        float(np.degrees(rotation_angle(quaternion, pose[1]))),
    )


def with_kinematics(**fields: object) -> RobotProfile:
    profile = panda_profile()
    return replace(profile, kinematics=replace(profile.kinematics, **fields))


def test_forward_is_the_simulators_tool() -> None:
    """The same joints, in the model that MuJoCo compiles with the hand on it."""
    pytest.importorskip('wm_planner_sim', reason='the simulator is not installed')
    from wm_planner_sim.scene import ARM_JOINTS, TOOL_SITE, build_model, mujoco

    model = build_model(0.002, offscreen_width=64, offscreen_height=64)
    data = mujoco.MjData(model)
    addresses = [model.joint(name).qposadr[0] for name in ARM_JOINTS]
    generator = np.random.default_rng(3)
    kinematics = panda_kinematics()
    for _ in range(20):
        joints = generator.uniform(kinematics.low_rad, kinematics.high_rad)
        data.qpos[addresses] = joints
        mujoco.mj_kinematics(model, data)
        wxyz = np.zeros(4)
        mujoco.mju_mat2Quat(wxyz, data.site(f'hand/{TOOL_SITE}').xmat)
        position, quaternion = kinematics.forward(joints)
        assert np.allclose(position, data.site(f'hand/{TOOL_SITE}').xpos, atol=1e-6)
        assert rotation_angle(quaternion, wxyz[[1, 2, 3, 0]]) < 1e-3


def test_a_thousand_reachable_poses_are_reached_from_nearby() -> None:
    """Residuals of at most 1 mm and half a degree, inside the limits, no jump."""
    kinematics = panda_kinematics()
    generator = np.random.default_rng(1)
    for pose in reachable_poses(kinematics, POSES, seed=0, margin=0.02):
        start = pose.joints_rad + generator.uniform(-0.05, 0.05, 7)
        joints = kinematics.inverse(pose.position_m, pose.quaternion_xyzw, start)
        away_mm, turned_deg = residual(kinematics, joints, (pose.position_m, pose.quaternion_xyzw))
        assert away_mm <= 1.0 and turned_deg <= 0.5
        assert np.all(joints >= kinematics.low_rad) and np.all(joints <= kinematics.high_rad)
        assert np.abs(joints - start).max() <= 0.9


def test_pose_in_reach_is_found_in_whatever_posture() -> None:
    kinematics = panda_kinematics()
    for pose in reachable_poses(kinematics, 50, seed=5, margin=0.02):
        joints = kinematics.find(pose.position_m, pose.quaternion_xyzw)
        assert joints is not None
        away_mm, turned_deg = residual(kinematics, joints, (pose.position_m, pose.quaternion_xyzw))
        assert away_mm <= 1.0 and turned_deg <= 0.5


@pytest.mark.parametrize(
    'position', [(1.2, 0.0, 0.3), (0.5, 0.0, 1.5), (-1.0, 0.4, 0.1), (0.0, 0.0, -0.9)]
)
def test_unreachable_pose_is_refused(position: tuple[float, ...]) -> None:
    kinematics = panda_kinematics()
    _, quaternion = kinematics.forward(HOME_RAD)
    with pytest.raises(UnreachablePoseError, match='no joint angles within the limits'):
        kinematics.inverse(np.array(position), quaternion, HOME_RAD)
    assert kinematics.find(np.array(position), quaternion) is None


def test_pose_only_another_posture_has_is_refused_as_a_jump() -> None:
    """Half a turn of the tool: joint 7 alone would have to go far."""
    kinematics = make_kinematics(with_kinematics(max_jump_rad=0.3))
    position, quaternion = kinematics.forward(HOME_RAD)
    _, turned = apply_delta(position, quaternion, np.zeros(3), np.array([0.0, 0.0, 0.8]))
    with pytest.raises(JointLimitError, match=r'panda_joint\d would turn by'):
        kinematics.inverse(position, turned, HOME_RAD)


def test_limits_are_the_narrower_of_profile_and_description_with_the_margin() -> None:
    profile = panda_profile()
    limits = replace(profile.joint_limits, low_rad=(-1.0,) * 3 + (-9.0,) * 4, margin_rad=0.05)
    kinematics = make_kinematics(replace(profile, joint_limits=limits))
    assert np.allclose(kinematics.low_rad[:3], -0.95)
    assert kinematics.low_rad[3] == pytest.approx(-3.0717 + 0.05)
    assert kinematics.high_rad[0] == pytest.approx(2.897 - 0.05)


def test_no_solution_lies_outside_narrow_limits() -> None:
    """Limits that cut the way: solutions stay inside, or there is none."""
    profile = panda_profile()
    narrow = replace(
        profile.joint_limits,
        low_rad=tuple(HOME_RAD - 0.15),
        high_rad=tuple(HOME_RAD + 0.15),
        margin_rad=0.0,
    )
    kinematics = make_kinematics(replace(profile, joint_limits=narrow))
    position, quaternion = kinematics.forward(HOME_RAD)
    generator = np.random.default_rng(2)
    solved = 0
    for _ in range(100):
        target = position + generator.uniform(-0.15, 0.15, 3)
        try:
            joints = kinematics.inverse(target, quaternion, HOME_RAD)
        except UnreachablePoseError:
            continue
        solved += 1
        assert np.all(np.abs(joints - HOME_RAD) <= 0.15 + 1e-9)
    assert 0 < solved < 100


def test_motion_into_a_singularity_is_refused_and_out_of_it_is_not() -> None:
    """With the elbow stretched the arm cannot go on outward."""
    kinematics = make_kinematics(with_kinematics(singularity_margin=0.1))
    stretched = np.array([0.0, 0.6, 0.0, -0.9, 0.0, 1.6, 0.785])
    assert kinematics.smallest_singular_value(stretched) < 0.1
    position, quaternion = kinematics.forward(stretched)
    outward = np.array([position[0], 0.0, position[2] - 0.333])  # from the shoulder
    outward /= np.linalg.norm(outward)
    with pytest.raises(UnreachablePoseError, match='singularity'):
        kinematics.inverse(position + 0.01 * outward, quaternion, stretched)
    joints = kinematics.inverse(position - 0.03 * outward, quaternion, stretched)
    assert kinematics.smallest_singular_value(joints) > kinematics.smallest_singular_value(
        stretched
    )


def test_redundant_elbow_returns_to_rest_slowly() -> None:
    """Standing still for a long time ends near the rest posture, and no tick turns a joint much."""
    kinematics = panda_kinematics()
    joints = HOME_RAD + np.array([0.4, 0.1, -0.4, 0.0, 0.2, 0.0, 0.1])
    position, quaternion = kinematics.forward(joints)
    before = float(np.abs(joints - HOME_RAD).max())
    largest = 0.0
    for _ in range(400):
        following = kinematics.inverse(position, quaternion, joints)
        largest = max(largest, float(np.abs(following - joints).max()))
        joints = following
    away_mm, turned_deg = residual(kinematics, joints, (position, quaternion))
    assert away_mm <= 1.0 and turned_deg <= 0.5
    assert largest < 0.01
    assert float(np.abs(joints - HOME_RAD).max()) <= before


def test_urdf_text_and_joint_order_make_no_difference() -> None:
    """The arm from a URDF, its joints named in another order and with a finger beside them."""
    profile = panda_profile()
    description = RobotDescription(text=panda_urdf(), origin='/robot_description')
    names = profile.arm_joint_names
    shuffled = replace(
        profile,
        arm_joint_names=names[::-1],
        joint_limits=replace(profile.joint_limits, max_speed_rad_s=()),
        kinematics=replace(profile.kinematics, rest_rad=tuple(HOME_RAD[::-1])),
    )
    kinematics = make_kinematics(shuffled, description)
    reference = panda_kinematics()
    position, quaternion = reference.forward(HOME_RAD)
    found, turned = kinematics.forward(HOME_RAD[::-1])
    assert np.allclose(found, position, atol=1e-6)
    assert rotation_angle(turned, quaternion) < 1e-3
    target = position + [0.02, -0.03, 0.01]
    joints = kinematics.inverse(target, quaternion, HOME_RAD[::-1])
    assert residual(reference, joints[::-1], (target, quaternion))[0] <= 1.0
    assert np.allclose(kinematics.max_speed_rad_s, 2.0)


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        ({'arm_joint_names': ('shoulder',)}, 'has no joint shoulder'),
        ({'arm_joint_names': ()}, 'names no arm_joint_names'),
        ({'base_frame': 'world2'}, "no link 'world2'"),
    ],
)
def test_description_that_contradicts_the_profile_is_refused(
    change: dict[str, object], sentence: str
) -> None:
    limits = replace(panda_profile().joint_limits, max_speed_rad_s=())
    profile = replace(panda_profile(), **{'joint_limits': limits, **change})
    with pytest.raises(RobotDescriptionError, match=sentence):
        make_kinematics(profile)


def test_profile_needs_speed_limits_where_the_description_has_none() -> None:
    limits = replace(panda_profile().joint_limits, max_speed_rad_s=())
    with pytest.raises(RobotDescriptionError, match='joint_limits.max_speed_rad_s'):
        make_kinematics(replace(panda_profile(), joint_limits=limits))


def test_missing_description_says_where_one_would_come_from() -> None:
    with pytest.raises(RobotDescriptionError, match='robot_state_publisher'):
        make_kinematics(with_kinematics(description=''))
