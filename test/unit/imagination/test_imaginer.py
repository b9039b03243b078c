# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Imaginer: a thread behind planning that draws the latest plan and lets planning go first."""

from __future__ import annotations

from dataclasses import replace
import threading

import numpy as np
import pytest
import torch

from fakes.values import SPEC, a_goal, a_plan, a_state, an_image, an_observation
from fakes.waiting import wait_for
from wm_planner.core.errors import FrameBankError
from wm_planner.core.imagination import Imagination, PlanStart
from wm_planner.core.types import Plan
from wm_planner.factory import make_planner
from wm_planner.imagination.frame_bank import BankEncoder, BankFrames, FrameBank
from wm_planner.imagination.imaginer import Drawn, ImaginationConfig, Imaginer, draw, tool_path
from wm_planner.imagination.painters import TokenPainter, make_painter
from wm_planner.models.point_mass import PointMassConfig, PointMassRenderer

RENDERER = PointMassRenderer(PointMassConfig())


def squared(latent: torch.Tensor, goal: torch.Tensor) -> torch.Tensor:
    return (latent - goal).square().mean(dim=(-2, -1))


def an_imagination(now: float = 0.0, *later: float, tokens: int = 4) -> Imagination:
    """Return an imagination whose latents are constant; the goal's is 10."""
    shape = (tokens, 3)
    return Imagination(
        latents=torch.stack([torch.full(shape, value) for value in later or (1.0, 2.0)]),
        now=torch.full(shape, now),
        goal=torch.full(shape, 10.0),
        distance=squared,
        image=an_image(50),
        goal_image=an_image(200),
        state=a_state((0.5, 0.0, 0.3)),
    )


def a_shown_plan(imagined: Imagination, *actions: object, executed_steps: int = 0) -> Plan:
    start = PlanStart(
        executed_steps=executed_steps,
        deadline_s=0.0,
        image_stamps_ns=(0,),
        states=(imagined.state,),
        generator_state=b'',
    )
    plan = a_plan(*(actions or ([0.01, 0, 0, 0, 1.0], [0, 0.02, 0, 0, 1.0])))
    return replace(plan, imagination=imagined, start=start)


class Screen:
    """Collects drawings; gate holds the drawing thread in its callback."""

    def __init__(self) -> None:
        self.drawn: list[Drawn] = []
        self.threads: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, drawn: Drawn) -> None:
        self.drawn.append(drawn)
        self.threads.add(threading.current_thread().name)
        assert self.gate.wait(30.0)


def test_plans_are_drawn_on_a_thread_of_their_own_and_the_latest_wins() -> None:
    screen = Screen()
    screen.gate.clear()
    imaginer = Imaginer(ImaginationConfig(), TokenPainter, screen)
    plans = [a_shown_plan(an_imagination(float(i))) for i in range(4)]
    imaginer.submit(plans[0])
    wait_for(lambda: screen.drawn, what='the first drawing')
    for plan in plans[1:]:
        imaginer.submit(plan)  # none of these waits
    screen.gate.set()
    wait_for(lambda: len(screen.drawn) >= 2, what='the second drawing')
    assert [drawn.plan for drawn in screen.drawn] == [plans[0], plans[3]]
    assert screen.threads == {'imagination'}
    assert imaginer.stop(10.0)


def test_drawing_waits_while_the_planner_is_busy_but_not_for_ever() -> None:
    screen, is_busy = Screen(), threading.Event()
    is_busy.set()
    asked = threading.Event()

    def busy() -> bool:
        asked.set()
        return is_busy.is_set()

    patient = Imaginer(ImaginationConfig(wait_s=10.0), TokenPainter, screen, is_busy=busy)
    patient.submit(a_shown_plan(an_imagination()))
    assert asked.wait(30.0)
    assert not screen.drawn
    is_busy.clear()
    wait_for(lambda: screen.drawn, what='a drawing once the planner is idle')
    is_busy.set()
    hasty = Imaginer(ImaginationConfig(wait_s=0.0), TokenPainter, screen, is_busy=busy)
    hasty.submit(a_shown_plan(an_imagination()))
    wait_for(lambda: len(screen.drawn) == 2, what='a drawing beside a planner at work')
    is_busy.clear()
    assert patient.stop(10.0) and hasty.stop(10.0)


def test_plan_after_others_that_nobody_saw_is_held_against_nothing() -> None:
    screen = Screen()
    imaginer = Imaginer(ImaginationConfig(), TokenPainter, screen)
    nothing_drawn = a_plan()  # one that keeps no prediction
    unseen = (None, None, imaginer.forget, None, lambda: imaginer.submit(nothing_drawn))
    for number, between in enumerate(unseen):
        if between is not None:
            between()
        imaginer.submit(a_shown_plan(an_imagination(0.0, 1.0, 2.0), executed_steps=1))
        wait_for(lambda n=number: len(screen.drawn) == n + 1, what='a drawing')
    assert [drawn.outcome is None for drawn in screen.drawn] == [True, False, True, False, True]
    assert imaginer.stop(10.0)


def test_what_cannot_be_drawn_ends_nothing() -> None:
    screen = Screen()

    def broken() -> TokenPainter:
        raise FrameBankError('no painter')

    imaginer = Imaginer(ImaginationConfig(), broken, screen)
    imaginer.submit(a_plan())  # a policy's: nothing to draw
    imaginer.submit(a_shown_plan(an_imagination()))
    wait_for(lambda: screen.drawn, what='a drawing without pictures')
    assert screen.drawn[0].strip is None and len(screen.drawn[0].positions_m) == 3
    assert imaginer.stop(10.0)


def test_drawing_has_a_panel_a_step_the_path_and_its_energies() -> None:
    drawn = draw(a_shown_plan(an_imagination(0.0, 4.0, 10.0)), None, TokenPainter(), panel_px=32)
    assert drawn.strip is not None
    assert drawn.strip.shape == (3 + 32 + 18 + 3, 4 * 35 + 3, 3)  # now, two steps, goal
    assert drawn.energies == pytest.approx([100.0, 36.0, 0.0])
    assert drawn.positions_m == pytest.approx(
        np.array([[0.5, 0, 0.3], [0.51, 0, 0.3], [0.51, 0.02, 0.3]])
    )
    assert drawn.outcome is None and np.isnan(drawn.prediction_error)


def test_outcome_is_what_the_plan_before_imagined_of_this_moment() -> None:
    before = an_imagination(0.0, 1.0, 2.0)
    now = an_imagination(2.5)
    drawn = draw(a_shown_plan(now, executed_steps=2), before, TokenPainter(), panel_px=32)
    assert drawn.prediction_error == pytest.approx(0.25)  # 2 was imagined, 2.5 came
    assert drawn.unmoved == pytest.approx(6.25)  # imagining nothing would have said 0
    assert drawn.outcome is not None and drawn.outcome.shape[1] == 3 * 35 + 3
    for steps in (0, 3):  # nothing executed, or more than was imagined
        again = draw(a_shown_plan(now, executed_steps=steps), before, TokenPainter())
        assert again.outcome is None


def test_tool_path_turns_with_the_actions() -> None:
    plan = a_plan([0, 0, 0, 0.2, 0.0], [0, 0, 0.05, 0.1, 0.0], spec=SPEC)
    positions, quaternions = tool_path(plan, a_state((0.4, 0.1, 0.2)))
    assert positions[-1] == pytest.approx([0.4, 0.1, 0.25])
    assert 2 * np.arctan2(quaternions[-1][1], quaternions[-1][0]) == pytest.approx(0.3)


# -- frame bank ------------------------------------------------------------------------------------


def test_nearest_frame_of_a_bank_is_found_with_its_distance() -> None:
    images = [RENDERER.draw((x, 0.0, 0.3)) for x in (0.40, 0.50, 0.60)]
    planner = make_planner('cem', 'point_mass', device='cpu')
    encoder = BankEncoder(BankFrames(images=images, camera_frame='', source='test'))
    assert sum(1 for _ in encoder.work(planner)) == 3  # a frame a bit
    assert encoder.bank is not None and len(encoder.bank) == 3
    observation = an_observation(
        1, image=RENDERER.draw((0.44, 0.0, 0.3)), position_m=(0.44, 0, 0.3)
    )
    plan = planner.plan(observation, a_goal(image=images[2]))
    assert plan.imagination is not None
    found = encoder.bank.nearest(plan.imagination.latents[0], plan.imagination)
    assert found.index == 1  # 0.44 and a step of 0.06 toward 0.60
    assert found.distance == pytest.approx(0.0, abs=0.01)
    strip = draw(plan, None, TokenPainter(), encoder.bank, 32).strip
    assert strip is not None and strip.shape[0] == 2 * (32 + 18 + 3) + 3


def test_bank_of_another_camera_is_refused() -> None:
    bank = BankFrames(images=[an_image(side=32)], camera_frame='wrist', source='some_bag')
    with pytest.raises(FrameBankError, match="some_bag is of camera frame 'wrist'; valid: 'ext'"):
        bank.check_camera('ext', 32, 32)
    with pytest.raises(FrameBankError, match='32x32 px and the camera gives 640x480'):
        bank.check_camera('wrist', 640, 480)
    bank.check_camera('', 64, 64)
    with pytest.raises(FrameBankError, match='holds no frames'):
        BankFrames(images=[], camera_frame='', source='empty').check_camera('', 32, 32)


def test_planner_without_a_model_has_no_use_for_a_bank() -> None:
    encoder = BankEncoder(BankFrames(images=[an_image()], camera_frame='', source='test'))
    with pytest.raises(FrameBankError, match='encodes no pictures'):
        list(encoder.work(object()))


def test_bank_of_real_frames_is_compared_by_the_objective() -> None:
    bank = FrameBank([an_image(1), an_image(2)], torch.stack([torch.zeros(4, 3), torch.ones(4, 3)]))
    found = bank.nearest(torch.full((4, 3), 0.9), an_imagination())
    assert (found.index, round(found.distance, 4)) == (1, 0.01)


def test_painter_of_the_tabletop_draws_a_plan_of_it() -> None:
    pytest.importorskip('mujoco', reason='mujoco is not installed')
    from wm_planner_sim.suites import TabletopEnvironment

    environment = TabletopEnvironment()
    start = environment.reset('reach', seed=1, episode=0)
    environment.close()
    plan = make_planner('cem', 'tabletop', device='cpu').plan(start.observation, start.goals[0])
    drawn = draw(plan, None, make_painter('tabletop'))
    assert drawn.strip is not None and drawn.strip.shape[1] == 5 * 99 + 3
    assert drawn.energies[-1] < drawn.energies[0]
