# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Imaginer: a thread of its own that turns plans into pictures, behind and below planning."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
import logging
import math
import os
import threading
import time

import numpy as np
import torch

from wm_planner.core.actions import action_to_command
from wm_planner.core.config import parameter, validate
from wm_planner.core.geometry import Array
from wm_planner.core.imagination import Imagination
from wm_planner.core.types import Image, Plan, RobotState
from wm_planner.imagination.frame_bank import FrameBank
from wm_planner.imagination.painters import Painter, TokenPainter
from wm_planner.imagination.strip import Panel, draw_panels
from wm_planner.planning.scoring import prediction_error

_logger = logging.getLogger(__name__)
_NICE = 10  # beside planning, which runs at 0
_POLL_S = 0.005


@dataclass(frozen=True, kw_only=True)
class ImaginationConfig:
    """What is drawn of each plan."""

    enabled: bool = parameter(True, 'draw what plans imagine, while somebody listens')
    panel_px: int = parameter(96, 'side of one picture in the strip [px]', low=16, high=512)
    decoder: str = parameter(
        '', "decoder's file of the tabletop model; empty: the one beside its weights"
    )
    frame_bank: str = parameter(
        '', 'bag or folder of pictures in which the nearest real frame is looked for; empty: none'
    )
    bank_frames: int = parameter(64, 'frames of the bank that are encoded', low=1, high=10_000)
    wait_s: float = parameter(
        0.5, 'how long drawing waits for the planner to be idle [s, wall]', low=0.0, high=10.0
    )

    def __post_init__(self) -> None:
        validate(self)


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What there is to see of a plan.

    ``strip`` is the newest frame, what is imagined after each step, and the goal; None without a
    painter. ``outcome`` is what the plan before imagined of this moment beside what came; None
    where no step of it was executed. ``positions_m`` [H + 1, 3], ``quaternions_xyzw`` [H + 1, 4]
    and ``energies`` [H + 1] are the tool path and the energy at each place, the present first.
    """

    plan: Plan
    strip: Image | None
    outcome: Image | None
    prediction_error: float  # distance of what was imagined from what came [model units]; NaN: none
    unmoved: float  # that of the frame before, i.e. of imagining nothing
    positions_m: Array
    quaternions_xyzw: Array
    energies: Array


class Imaginer:
    """Draws the latest plan on a thread of low priority, when the planner is not at work.

    Latest wins: a plan that comes while another is drawn replaces one that waits. ``submit`` only
    hands references over. The thread waits up to ``config.wait_s`` while ``is_busy()``, because a
    plan beside it on the same cores would be slower. ``on_drawn`` is called on that thread.
    """

    def __init__(
        self,
        config: ImaginationConfig,
        make_painter: Callable[[], Painter | None],
        on_drawn: Callable[[Drawn], None],
        *,
        is_busy: Callable[[], bool] = lambda: False,
    ) -> None:
        self._config = config
        self._make_painter = make_painter
        self._on_drawn = on_drawn
        self._is_busy = is_busy
        self._wake = threading.Condition()  # guards the next three
        self._job: tuple[Plan, Imagination | None] | None = None
        self._previous: Imagination | None = None
        self._stop_wanted = False
        self._bank: FrameBank | None = None
        self._thread = threading.Thread(target=self._run, name='imagination', daemon=True)
        self._thread.start()

    def use_bank(self, bank: FrameBank | None) -> None:
        """Show the nearest frames of ``bank`` from now on. Any thread."""
        self._bank = bank

    def submit(self, plan: Plan) -> None:
        """Draw ``plan``; one without an imagination is passed over. Any thread, does not wait."""
        if plan.imagination is None:
            self.forget()
            return
        with self._wake:
            self._job = (plan, self._previous)
            self._previous = plan.imagination
            self._wake.notify_all()

    def forget(self) -> None:
        """Hold the next plan against nothing: there were plans in between that were not submitted.

        Any thread, does not wait.
        """
        with self._wake:
            self._previous = None

    def stop(self, timeout_s: float) -> bool:
        """End the thread; False if it is still drawing after ``timeout_s``."""
        with self._wake:
            self._stop_wanted = True
            self._wake.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        with suppress(OSError, AttributeError):  # a thread's own priority is Linux's
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        painter: Painter | None = None
        try:
            painter = self._make_painter()
        except Exception as error:  # what cannot be drawn must not end planning
            _logger.warning('no pictures of what is imagined: %s', error)
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._stop_wanted or self._job)
            if not self._wait_for_idle():
                return
            with self._wake:
                job, self._job = self._job, None
            if job is None:
                continue
            try:
                self._on_drawn(draw(*job, painter, self._bank, self._config.panel_px))
            except Exception:
                _logger.exception('a plan could not be drawn')

    def _wait_for_idle(self) -> bool:
        """Wait until the planner is idle, but not for ever; False when told to stop."""
        deadline = time.monotonic() + self._config.wait_s
        while not self._stop_wanted and self._is_busy() and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        return not self._stop_wanted


@torch.inference_mode()
def draw(
    plan: Plan,
    previous: Imagination | None,
    painter: Painter | None,
    bank: FrameBank | None = None,
    panel_px: int = 96,
) -> Drawn:
    """Return what there is to see of ``plan``; ``previous`` is what the plan before it imagined."""
    imagined = plan.imagination
    assert imagined is not None, 'plans without one are not submitted'
    positions, quaternions = tool_path(plan, imagined.state)
    energies = torch.cat(
        [
            imagined.distance(imagined.now, imagined.goal).reshape(1),
            imagined.distance(imagined.latents, imagined.goal).reshape(-1),
        ]
    )
    found, unmoved, foreseen = math.nan, math.nan, None
    steps = 0 if plan.start is None else plan.start.executed_steps
    if previous is not None and 1 <= steps <= previous.latents.shape[0]:
        foreseen = previous.latents[steps - 1]
        found = prediction_error(foreseen, imagined.now, imagined.distance)
        unmoved = prediction_error(previous.now, imagined.now, imagined.distance)
    strip = outcome = None
    if painter is not None:
        strip = _strip(plan, imagined, painter, bank, panel_px)
        if foreseen is not None:
            outcome = _outcome(imagined, foreseen, found, painter, panel_px)
    return Drawn(
        plan=plan,
        strip=strip,
        outcome=outcome,
        prediction_error=found,
        unmoved=unmoved,
        positions_m=positions,
        quaternions_xyzw=quaternions,
        energies=energies.double().cpu().numpy(),
    )


def tool_path(plan: Plan, state: RobotState) -> tuple[Array, Array]:
    """Return where the plan wants the tool: positions [H + 1, 3], quaternions xyzw [H + 1, 4]."""
    places = [state]
    for action in plan.actions:
        target = action_to_command(action, plan.action_spec, places[-1], state.stamp_ns)
        places.append(
            RobotState(
                stamp_ns=state.stamp_ns,
                position_m=target.position_m,
                quaternion_xyzw=target.quaternion_xyzw,
                gripper_closedness=min(max(target.gripper_closedness, 0.0), 1.0),
            )
        )
    return (
        np.stack([place.position_m for place in places]),
        np.stack([place.quaternion_xyzw for place in places]),
    )


def _strip(
    plan: Plan,
    imagined: Imagination,
    painter: Painter,
    bank: FrameBank | None,
    panel_px: int,
) -> Image:
    painter.begin(torch.stack([imagined.now, imagined.goal]))
    is_coarse = isinstance(painter, TokenPainter)
    pictures = painter.paint(imagined.latents)
    step_s = plan.action_spec.step_duration_s
    labels = [f'+{(index + 1) * step_s:.2f} s' for index in range(len(pictures))]
    row = [
        Panel(image=imagined.image, label='now'),
        *(
            Panel(image=picture, label=label, is_imagined=True, is_coarse=is_coarse)
            for picture, label in zip(pictures, labels, strict=True)
        ),
        Panel(image=imagined.goal_image, label='goal'),
    ]
    rows = [row]
    if bank is not None:
        near = [bank.nearest(latent, imagined) for latent in imagined.latents]
        rows.append(
            [
                Panel(image=imagined.image, label='nearest:'),
                *(Panel(image=n.image, label=f'dist {n.distance:.3g}') for n in near),
            ]
        )
    return draw_panels(rows, panel_px)


def _outcome(
    imagined: Imagination, foreseen: torch.Tensor, found: float, painter: Painter, panel_px: int
) -> Image:
    is_coarse = isinstance(painter, TokenPainter)
    pictures = painter.paint(torch.stack([foreseen, imagined.now]))
    return draw_panels(
        [
            [
                Panel(image=pictures[0], label='imagined', is_imagined=True, is_coarse=is_coarse),
                Panel(image=imagined.image, label='came'),
                Panel(image=pictures[1], label=f'error {found:.3g}', is_coarse=is_coarse),
            ]
        ],
        panel_px,
    )
