# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The tabletop simulator: servo, kinematics, cameras, resets."""

from __future__ import annotations

import numpy as np
import pytest

from wm_planner.core.errors import SimulatorError, UnknownNameError
from wm_planner.core.geometry import quaternion_to_matrix, rotation_angle
from wm_planner.core.types import ArmCommand
from wm_planner_sim.behaviours import WORKSPACE_HIGH_M, WORKSPACE_LOW_M, tool_yaw
from wm_planner_sim.scene import BLOCK_HALF_M, BLOCKS
from wm_planner_sim.tabletop import TabletopSim, down_quaternion


@pytest.fixture(scope='module')
def sim() -> TabletopSim:
    """One simulator for the module: a process should have one renderer."""
    simulator = TabletopSim()
    yield simulator
    simulator.close()


def _command(position: np.ndarray, yaw: float = 0.0, closedness: float = 0.0) -> ArmCommand:
    return ArmCommand(
        stamp_ns=0,
        position_m=position,
        quaternion_xyzw=down_quaternion(yaw),
        gripper_closedness=closedness,
    )


def test_servo_reaches_a_step_within_its_duration_when_anywhere_in_the_workspace(
    sim: TabletopSim,
) -> None:
    """A 6 cm step takes less than the 0.25 s that the planner gives it, to 5 mm, fingers down."""
    rng = np.random.default_rng(0)
    for _ in range(25):
        start = rng.uniform(WORKSPACE_LOW_M + [0, 0, 0.05], WORKSPACE_HIGH_M)
        sim.reset(seed=0, tool_position_m=start)
        direction = rng.normal(size=3)
        target = start + 0.06 * direction / np.linalg.norm(direction)
        target = np.clip(target, WORKSPACE_LOW_M + [0, 0, 0.05], WORKSPACE_HIGH_M)
        sim.set_target(_command(target, yaw=0.1))
        sim.advance(0.25)
        state = sim.robot_state()
        assert np.linalg.norm(state.position_m - target) < 5e-3
        assert rotation_angle(state.quaternion_xyzw, down_quaternion(0.1)) < 0.05


def test_hold_keeps_the_tool_when_time_passes(sim: TabletopSim) -> None:
    """Gravity is compensated: one second of holding moves the tool by less than a millimetre."""
    sim.reset(seed=0, tool_position_m=np.array([0.5, 0.1, 0.15]))
    before = sim.robot_state().position_m
    sim.hold()
    sim.advance(1.0)
    assert np.linalg.norm(sim.robot_state().position_m - before) < 1e-3


def test_gripper_follows_closedness(sim: TabletopSim) -> None:
    """0 is open, 1 is closed, half is half."""
    sim.reset(seed=0, tool_position_m=np.array([0.5, 0.0, 0.2]))
    for closedness in (1.0, 0.5, 0.0):
        sim.set_target(_command(np.array([0.5, 0.0, 0.2]), closedness=closedness))
        sim.advance(1.0)
        assert sim.robot_state().gripper_closedness == pytest.approx(closedness, abs=0.03)


def test_yaw_is_read_back_as_it_was_placed(sim: TabletopSim) -> None:
    """tool_yaw inverts down_quaternion over the range that behaviours use."""
    for yaw in (-0.7, -0.2, 0.0, 0.4, 0.75):
        sim.reset(seed=0, tool_position_m=np.array([0.5, 0.0, 0.2]), tool_yaw_rad=yaw)
        assert tool_yaw(sim.robot_state()) == pytest.approx(yaw, abs=5e-3)


def test_reset_repeats_exactly_when_the_seed_is_the_same(sim: TabletopSim) -> None:
    """Same seed, same blocks, same picture; another seed, another picture."""
    pictures = []
    for seed in (5, 5, 6):
        sim.reset(seed=seed)
        pictures.append(sim.render('exterior'))
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])


def test_time_goes_on_when_reset(sim: TabletopSim) -> None:
    """ROS time must never go back."""
    sim.advance(0.1)
    before = sim.time_ns
    sim.reset(seed=1)
    sim.advance(0.02)
    assert sim.time_ns == before + 20_000_000


def test_restore_gives_the_same_future_as_the_snapshot(sim: TabletopSim) -> None:
    """A restored state moves exactly as it did the first time."""
    sim.reset(seed=2, tool_position_m=np.array([0.5, 0.0, 0.2]))
    state, ends = sim.snapshot(), []
    for _ in range(2):
        sim.restore(state)
        sim.set_target(_command(np.array([0.45, 0.05, 0.15])))
        sim.advance(0.5)
        ends.append(np.concatenate([sim.joint_state()[1], sim.block_position(BLOCKS[0])]))
    assert np.array_equal(ends[0], ends[1])


def test_blocks_project_to_their_own_colours(sim: TabletopSim) -> None:
    """Intrinsics and camera pose are those of the picture: a block's centre lands on the block."""
    sim.reset(seed=3, tool_position_m=np.array([0.36, -0.2, 0.28]))
    image, camera = sim.render('exterior'), sim.intrinsics('exterior')
    position, quaternion = sim.camera_pose('exterior')
    for name, channel in zip(BLOCKS, (0, 2), strict=True):
        x, y, z = quaternion_to_matrix(quaternion).T @ (sim.block_position(name) - position)
        column, row = camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy
        pixel = image[round(row), round(column)].astype(int)
        assert pixel[channel] > 1.5 * np.delete(pixel, channel).max(), (name, pixel)


def test_whole_workspace_is_in_the_exterior_view(sim: TabletopSim) -> None:
    """Every corner of the workspace lies inside the picture with a margin for the hand."""
    camera = sim.intrinsics('exterior')
    position, quaternion = sim.camera_pose('exterior')
    for x in (WORKSPACE_LOW_M[0], WORKSPACE_HIGH_M[0]):
        for y in (WORKSPACE_LOW_M[1], WORKSPACE_HIGH_M[1]):
            for z in (0.0, WORKSPACE_HIGH_M[2]):
                u, v, depth = quaternion_to_matrix(quaternion).T @ (np.array([x, y, z]) - position)
                column = camera.fx * u / depth + camera.cx
                row = camera.fy * v / depth + camera.cy
                assert 8 < column < camera.width - 8
                assert 8 < row < camera.height - 8


def test_blocks_rest_on_the_table_when_left_alone(sim: TabletopSim) -> None:
    """Contacts are stable: a second later the blocks have not moved by a millimetre."""
    sim.reset(seed=4)
    before = [sim.block_position(b) for b in BLOCKS]
    sim.advance(1.0)
    for position, name in zip(before, BLOCKS, strict=True):
        assert np.linalg.norm(sim.block_position(name) - position) < 1e-3
        assert sim.block_position(name)[2] == pytest.approx(BLOCK_HALF_M, abs=1e-3)


def test_non_finite_target_is_refused_and_the_old_one_kept(sim: TabletopSim) -> None:
    """A NaN never reaches the servo."""
    sim.reset(seed=0)
    before = sim.target
    with pytest.raises(SimulatorError, match='finite'):
        sim.set_target(_command(np.array([np.nan, 0.0, 0.2])))
    assert sim.target is before


def test_out_of_reach_is_refused(sim: TabletopSim) -> None:
    """Placing the tool beyond the arm's reach says so instead of leaving it somewhere."""
    with pytest.raises(SimulatorError, match='out of reach'):
        sim.reset(seed=0, tool_position_m=np.array([1.4, 0.0, 0.2]))
    sim.reset(seed=0)


def test_unknown_camera_names_the_valid_ones(sim: TabletopSim) -> None:
    """The error lists exterior and wrist."""
    with pytest.raises(UnknownNameError, match='exterior, wrist'):
        sim.render('exteriour')
