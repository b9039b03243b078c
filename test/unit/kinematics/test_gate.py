# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The joint gate: each limit at, just under and just over, and ten thousand random targets."""

from __future__ import annotations

import numpy as np
import pytest

from wm_planner.core.errors import JointLimitError, NonFiniteCommandError
from wm_planner.kinematics.gate import JointGate

LOW, HIGH = np.array([-1.0, -2.0, 0.0]), np.array([1.0, 2.0, 3.0])
SPEED = np.array([1.0, 2.0, 0.5])
LEAD = 0.3
TICK_NS = 20_000_000


def gate() -> JointGate:
    return JointGate(LOW, HIGH, SPEED, max_lead_rad=LEAD)


def test_target_in_reach_passes_as_it_is() -> None:
    target = np.array([0.01, 0.02, 1.005])
    assert np.array_equal(gate().vet(target, np.array([0.0, 0.0, 1.0]), 0), target)


def test_fast_target_is_shortened_and_stays_on_its_way() -> None:
    """At 1 rad/s joint 1 may turn by 0.02 rad in 20 ms; the others keep in step with it."""
    found = gate()
    start = np.array([0.0, 0.0, 1.0])
    found.vet(start, start, 0)
    joints = found.vet(start + [0.2, 0.1, 0.0], start, TICK_NS)
    assert np.allclose(joints, start + [0.02, 0.01, 0.0])
    joints = found.vet(start + [0.2, 0.1, 0.0], start, 2 * TICK_NS)
    assert np.allclose(joints, start + [0.04, 0.02, 0.0])


def test_target_never_leads_the_measured_joints_by_more_than_allowed() -> None:
    """The arm is stuck: however long that lasts, the target waits 0.3 rad ahead."""
    found = gate()
    stuck = np.array([0.0, 0.0, 1.0])
    for tick in range(100):
        joints = found.vet(np.array([0.9, 0.0, 1.0]), stuck, tick * TICK_NS)
    assert np.allclose(joints, [0.3, 0.0, 1.0])


def test_after_a_pause_or_a_displacement_the_arm_sets_out_from_where_it_is() -> None:
    found = gate()
    found.vet(np.array([0.1, 0.0, 1.0]), np.array([0.1, 0.0, 1.0]), 0)
    away = np.array([-0.5, 0.0, 1.0])
    assert np.array_equal(found.reference(away, TICK_NS)[0], away)
    assert np.array_equal(found.reference(np.array([0.12, 0.0, 1.0]), 10**9)[0], [0.12, 0.0, 1.0])
    assert np.array_equal(found.reference(np.array([0.12, 0.0, 1.0]), TICK_NS)[0], [0.1, 0.0, 1.0])


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_is_refused(bad: float) -> None:
    here = np.array([0.0, 0.0, 1.0])
    with pytest.raises(NonFiniteCommandError, match='3 finite numbers'):
        gate().vet(np.array([0.0, bad, 1.0]), here, 0)
    with pytest.raises(NonFiniteCommandError, match='measured joints'):
        gate().vet(here, np.array([0.0, bad, 1.0]), 0)
    with pytest.raises(NonFiniteCommandError):
        gate().vet(np.zeros(2), here, 0)


def test_target_outside_the_limits_is_refused_and_at_them_it_passes() -> None:
    here = np.array([0.99, 0.0, 1.0])
    assert gate().vet(np.array([1.0, 0.0, 1.0]), here, 0)[0] == 1.0
    with pytest.raises(JointLimitError, match=r'the target of joint 1 of 3 is 1.001 rad'):
        gate().vet(np.array([1.001, 0.0, 1.0]), here, 0)


def test_joint_measured_outside_its_limits_is_led_back_or_refused() -> None:
    """A little outside is noise, or a limit with a margin; far outside is another arm."""
    joints = gate().vet(np.array([0.9, 0.0, 1.0]), np.array([1.015, 0.0, 1.0]), 0)
    assert 0.97 <= joints[0] <= 1.0
    assert gate().is_inside(np.array([1.015, 0.0, 1.0]))
    with pytest.raises(JointLimitError, match='the measured joint 1'):
        gate().vet(np.array([0.9, 0.0, 1.0]), np.array([1.025, 0.0, 1.0]), 0)
    assert not gate().is_inside(np.array([1.025, 0.0, 1.0]))


def test_first_target_is_no_jump() -> None:
    """It used to have the time of a long pause: 0.3 rad at once."""
    here = np.array([0.0, 0.0, 1.0])
    assert np.allclose(gate().vet(np.array([0.3, 0.0, 1.0]), here, 0), [0.02, 0.0, 1.0])
    found = gate()
    found.vet(here, here, 0)
    after_a_pause = found.vet(np.array([0.3, 0.0, 1.0]), here, 10**9)
    assert np.allclose(after_a_pause, [0.02, 0.0, 1.0])


def test_ten_thousand_random_targets_never_leave_limits_speed_or_lead() -> None:
    """Finite or not, near or far, at steady and at odd times, with an arm that follows or not."""
    found = gate()
    generator = np.random.default_rng(0)
    measured = np.array([0.0, 0.0, 1.0])
    last, last_ns, now_ns, passed = None, 0, 0, 0
    for _ in range(10_000):
        now_ns += int(generator.choice([TICK_NS, 3 * TICK_NS, 400_000_000, 0]))
        scale = generator.choice([0.01, 0.3, 3.0])
        target = measured + generator.normal(0.0, scale, 3)
        if generator.random() < 0.1:
            target[generator.integers(3)] = generator.choice([np.nan, np.inf, -np.inf, 1e300])
        if generator.random() < 0.02:
            measured = generator.uniform(LOW, HIGH)  # somebody moved it
        try:
            joints = found.vet(target, measured, now_ns)
        except (JointLimitError, NonFiniteCommandError):
            continue
        passed += 1
        assert np.all(np.isfinite(joints))
        assert np.all(joints >= LOW) and np.all(joints <= HIGH)
        assert np.all(np.abs(joints - measured) <= LEAD + 1e-9)
        if last is not None and np.all(np.abs(last - measured) <= LEAD):
            elapsed_s = min((now_ns - last_ns) * 1e-9, 0.3)
            from_last = np.abs(joints - last) <= SPEED * elapsed_s + 1e-9
            from_here = np.abs(joints - measured) <= SPEED * 0.02 + 1e-9
            assert np.all(from_last) or (now_ns - last_ns > 300_000_000 and np.all(from_here))
        last, last_ns = joints, now_ns
        measured = np.clip(measured + generator.uniform(0.0, 1.0) * (joints - measured), LOW, HIGH)
    assert passed > 3000
