# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Controller inputs and proprioception: examples worked out by hand, and round trips."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from fakes.values import DOWN_XYZW, a_state
from wm_planner.core.actions import action_to_command
from wm_planner.core.geometry import quaternion_to_matrix, rotation_angle
from wm_planner.policies.osc import (
    OscScale,
    ToolSense,
    is_closed,
    osc_spec,
    osc_to_actions,
    pose_error_to_osc,
)

SCALE = OscScale()
UNIT = st.floats(-1.0, 1.0)


def one(osc, gripper='closed_positive'):
    return osc_to_actions([osc], SCALE, gripper)[0].tolist()


def test_displacement_is_five_centimetres_a_unit() -> None:
    # Half of full scale along x, a fifth back along y, full scale up.
    assert one([0.5, -0.2, 1.0, 0, 0, 0, -1]) == pytest.approx([0.025, -0.01, 0.05, 0, 0, 0, 0])


@pytest.mark.parametrize('axis', [0, 1, 2])
def test_rotation_about_one_axis_is_half_a_radian_a_unit(axis: int) -> None:
    osc = np.zeros(7)
    osc[3 + axis] = 0.4  # 0.2 rad about x, y or z: roll, pitch or yaw
    expected = np.zeros(7)
    expected[3 + axis] = 0.2
    assert one(osc) == pytest.approx(expected.tolist())


def test_rotation_about_two_axes_is_a_vector_and_not_euler_angles() -> None:
    # Full scale about x and y: 0.7071 rad about (1, 1, 0)/sqrt(2). With c = cos = 0.76024 and
    # s = sin/sqrt(2) = 0.45936 its matrix has the third row (-s, s, c), the first column
    # ((1+c)/2, (1-c)/2, -s) = (0.88012, 0.11988, -0.45936), so roll = atan2(s, c) = 0.54352,
    # pitch = asin(s) = 0.47728 and yaw = atan2(0.11988, 0.88012) = 0.13537.
    action = one([0, 0, 0, 1, 1, 0, 1])
    assert action[3:6] == pytest.approx([0.54352, 0.47728, 0.13537], abs=1e-5)
    assert action[6] == 1.0


def test_inputs_beyond_one_are_clipped_as_the_controller_does() -> None:
    assert one([3, -9, 0, 2, 0, 0, -1]) == one([1, -1, 0, 1, 0, 0, -1])


def test_rotation_is_left_multiplied_in_the_base_frame() -> None:
    """A turn about base z of a tool that points down must leave it pointing down."""
    action = osc_to_actions([[0, 0, 0, 0, 0, 0.6, -1]], SCALE, 'closed_positive')[0]
    state = a_state(quaternion_xyzw=DOWN_XYZW)
    command = action_to_command(action, osc_spec(SCALE, 0.05), state, 0)
    down = quaternion_to_matrix(command.quaternion_xyzw)[:, 2]
    assert down == pytest.approx([0.0, 0.0, -1.0], abs=1e-9)
    assert float(rotation_angle(state.quaternion_xyzw, command.quaternion_xyzw)) == pytest.approx(
        0.3
    )


@pytest.mark.parametrize(
    ('gripper', 'opened', 'closed'),
    [('closed_positive', -1.0, 1.0), ('one_open', 0.996, 0.0), ('one_closed', 0.0, 1.0)],
)
def test_each_gripper_convention(gripper: str, opened: float, closed: float) -> None:
    assert one([0] * 6 + [opened], gripper)[6] == 0.0
    assert one([0] * 6 + [closed], gripper)[6] == 1.0
    assert is_closed([opened, closed], gripper).tolist() == [False, True]


@given(st.lists(UNIT, min_size=7, max_size=7))
def test_every_input_lies_within_the_spec_and_comes_back(osc: list[float]) -> None:
    spec = osc_spec(SCALE, 0.05)
    action = osc_to_actions([osc], SCALE, 'closed_positive')[0]
    assert np.all(action >= spec.low - 1e-12) and np.all(action <= spec.high + 1e-12)
    state = a_state(quaternion_xyzw=(0.5, 0.5, -0.5, 0.5))
    command = action_to_command(action, spec, state, 0)
    back = pose_error_to_osc(state, command.position_m, command.quaternion_xyzw, SCALE)
    assert back == pytest.approx(osc[:6], abs=1e-7)


def test_pose_error_is_scaled_by_the_gain_and_clipped() -> None:
    state = a_state([0.5, 0.0, 0.3])
    target = [0.51, 0.0, 0.1]
    osc = pose_error_to_osc(state, target, DOWN_XYZW, SCALE, gain=2.0)
    assert osc.tolist() == pytest.approx([0.4, 0, -1, 0, 0, 0])


def test_proprioception_is_in_the_world_with_fingers_in_metres() -> None:
    state = a_state([0.5, 0.1, 0.2], closedness=0.25)
    sensed = ToolSense().proprioception(state)
    assert sensed.dtype == np.float32
    # The base stands at (-0.66, 0, 0.912); down is pi about x; 3/4 of 0.04 m of travel are left.
    expected = [-0.16, 0.1, 1.112, math.pi, 0.0, 0.0, 0.03, -0.03]
    assert sensed == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize('tilt', [-0.1, 0.1])
def test_axis_of_a_tool_that_points_down_does_not_jump(tilt: float) -> None:
    """Turned past pi, the shorter rotation vector would be about -x: far from all training data."""
    half = 0.5 * (math.pi + tilt)
    state = a_state(quaternion_xyzw=(math.sin(half), 0.0, 0.0, math.cos(half)))
    assert ToolSense().proprioception(state)[3:6] == pytest.approx([math.pi + tilt, 0, 0], abs=1e-6)


def test_tool_yaw_turns_the_sensed_rotation_about_the_tool_axis() -> None:
    # Down, then a quarter turn about the tool's own z: (1, 0, 0, 0) * (0, 0, s, s) = (s, -s, 0, 0).
    sensed = ToolSense(tool_yaw_rad=math.pi / 2).proprioception(a_state())
    half_pi_root2 = math.pi / math.sqrt(2.0)
    assert sensed[3:6] == pytest.approx([half_pi_root2, -half_pi_root2, 0.0], abs=1e-6)


@pytest.mark.parametrize('yaw', [0.0, 0.7])
def test_state_comes_back_from_proprioception(yaw: float) -> None:
    sense = ToolSense(tool_yaw_rad=yaw)
    state = a_state([0.4, -0.2, 0.1], quaternion_xyzw=(0.8, 0.6, 0.0, 0.0), closedness=0.6)
    back = sense.state(sense.proprioception(state), 7)
    assert back.position_m == pytest.approx(state.position_m, abs=1e-6)
    assert rotation_angle(back.quaternion_xyzw, state.quaternion_xyzw) == pytest.approx(0, abs=1e-5)
    assert back.gripper_closedness == pytest.approx(0.6, abs=1e-5)
    assert back.stamp_ns == 7
