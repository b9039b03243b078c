# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The contracts between the rooms.

Shapes: S samples, H horizon, T context frames, N tokens, D width, A action dimensions. Tensors are
torch tensors in practice; this file does not import torch, so that control and core stay light, and
calls them ``Tensor`` (an alias of Any).

Thread rule for everything here unless a method says otherwise: one thread at a time. The planner
and its model, objective and optimizer belong to the planning thread from construction to release.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from wm_planner.core.geometry import Array
from wm_planner.core.types import (
    ActionSpec,
    ArmCommand,
    EpisodeStart,
    Goal,
    Observation,
    Plan,
    StepResult,
    StopReason,
    UncertaintyLimits,
)

Tensor = Any
LatentState = Any
"""Whatever a WorldModel's ``encode`` returns; only the same model's ``rollout`` looks inside."""

EnergyFunction = Callable[[Tensor], Tensor]
"""``energy(actions[S, H, A]) -> [S]``; lower is better; may return non-finite values.

When time is over it may return the energies [S'] of the first S' < S candidates alone, but at least
one. Whoever cannot do without the others asks again for those.
"""


@runtime_checkable
class WorldModel(Protocol):
    """A model that predicts latents under actions. It never sees the goal while rolling out.

    No method keeps gradients or synchronises with the host beyond what its result needs.
    """

    @property
    def action_spec(self) -> ActionSpec:
        """Return the bounds and meaning of the actions that ``rollout`` understands."""

    @property
    def context_frames(self) -> int:
        """Return T, the number of frames ``encode`` needs, one step interval apart."""

    @property
    def goal_tolerance(self) -> float:
        """Return the energy below which a goal is reached, NaN where none is calibrated."""

    def encode(self, observation: Observation) -> LatentState:
        """Return the latent state of an observation."""

    def current(self, state: LatentState) -> Tensor:
        """Return the latent [N, D] of the newest frame in ``state``, comparable with a goal's."""

    def encode_goal(self, goal: Goal) -> Tensor:
        """Return the goal latent [N, D]. Raises InvalidImageError for an unusable picture."""

    def rollout(self, state: LatentState, actions: Tensor) -> Tensor:
        """Return predicted latents [S, H, N, D] under ``actions`` [S, H, A]."""


@runtime_checkable
class MemoryBound(Protocol):
    """A WorldModel that knows how much its device holds; optional."""

    def samples_that_fit(self, horizon: int) -> int:
        """Return how many sequences of ``horizon`` steps one ``rollout`` has memory for now."""


@runtime_checkable
class HorizonBound(Protocol):
    """A WorldModel that cannot look any number of steps ahead; optional."""

    def check_horizon(self, horizon: int) -> None:
        """Raise InvalidParameterError for a horizon that ``rollout`` would refuse."""


@runtime_checkable
class Calibrated(Protocol):
    """A WorldModel, or a Planner, whose uncertainty was measured on good runs; optional."""

    @property
    def uncertainty_limits(self) -> UncertaintyLimits:
        """Return the limits beyond which it does not know what it does."""


@runtime_checkable
class Objective(Protocol):
    """How far predicted latents are from the goal."""

    def __call__(self, predicted: Tensor, goal: Tensor, actions: Tensor) -> Tensor:
        """Return energies [S] of ``predicted`` [S, H, N, D] against ``goal`` [N, D]."""

    def distance(self, latent: Tensor, goal: Tensor) -> Tensor:
        """Return the energy [...] of latents [..., N, D] against ``goal``: the per-step term."""


@dataclass(frozen=True, kw_only=True)
class OptimizationResult:
    """What an optimizer found."""

    actions: Tensor  # [H, A] the plan to stand behind
    energy: float
    mean: Tensor  # [H, A] final sampling mean, for the next warm start
    std: Tensor  # [H, A]
    elites: Tensor  # [K, H, A] the last elites, best first, for the next warm start
    elite_energies: Tensor  # [K]
    iterations: int  # begun; the last may have been cut short by the deadline
    rollouts: int
    non_finite_count: int
    stop_reason: StopReason


@runtime_checkable
class Optimizer(Protocol):
    """A sampling optimizer over action sequences; it sees nothing but an energy function."""

    def minimize(
        self,
        energy_fn: EnergyFunction,
        spec: ActionSpec,
        *,
        init_mean: Tensor | None,
        init_elites: Tensor | None = None,
        generator: Any,
        should_stop: Callable[[], StopReason | None],
    ) -> OptimizationResult:
        """Return the best action sequence found.

        ``init_mean`` [H, A] and ``init_elites`` [K', H, A], best first, are a warm start or None; a
        method without a memory passes the elites over. ``generator`` is the torch.Generator all
        draws come from. ``should_stop`` is asked between iterations and after one that
        ``energy_fn`` cut short; the first iteration runs until there are enough elites. Bounds
        hold for every candidate before it is scored. A non-finite energy counts as +inf, is
        counted, and never becomes an elite. Raises NoFiniteEnergyError if fewer candidates than
        elites are finite.
        """


@runtime_checkable
class Widens(Protocol):
    """An Optimizer that can search wider than it is set to; optional."""

    def wider(self) -> Optimizer:
        """Return one like this that searches wider, for where a search leads nowhere."""


@runtime_checkable
class Planner(Protocol):
    """From observation and goal to a plan: world-model planners and baseline policies alike."""

    @property
    def action_spec(self) -> ActionSpec:
        """Return the spec of the actions in the plans."""

    @property
    def context_frames(self) -> int:
        """Return T, the number of frames an observation must hold."""

    @property
    def goal_tolerance(self) -> float:
        """Return the ``Plan.goal_energy`` below which a goal is reached, NaN where unknown."""

    def prepare_goal(self, goal: Goal) -> None:
        """Check and encode a goal, so that the first plan is not late; raises InputError."""

    def plan(
        self,
        observation: Observation,
        goal: Goal,
        *,
        deadline_s: float | None = None,
        executed_steps: int = 0,
    ) -> Plan:
        """Return the best plan found within ``deadline_s`` of wall time (anytime; None = no limit).

        ``executed_steps`` is how many steps of the previous plan were executed: the warm start is
        the last mean shifted by that many. Raises PlanningError.
        """

    def reset(self) -> None:
        """Forget warm starts; the next plan depends on its arguments and the generator alone."""


@runtime_checkable
class LooksAhead(Protocol):
    """A Planner that has something to work out while its plan is executed; optional."""

    def look_ahead(self) -> None:
        """Work out what the next plan will compare with; called once after each plan, or not."""


@runtime_checkable
class SearchesWider(Protocol):
    """A Planner that can search wider than it is set to, at a higher price; optional."""

    def widen(self, is_wide: bool) -> None:
        """Let the plans from now on search wide, or as set; ``reset`` ends it."""


@runtime_checkable
class TakesInstruction(Protocol):
    """A Planner that reads what to do as a sentence, as language-conditioned policies do."""

    def set_instruction(self, text: str) -> None:
        """Take the instruction of the episode that begins; after ``reset``, before any goal."""


@runtime_checkable
class LooksThroughWrist(Protocol):
    """A Planner that also looks through a wrist camera where ``wants_wrist_image`` says so."""

    @property
    def wants_wrist_image(self) -> bool:
        """Return whether an observation must hold a wrist image."""


@runtime_checkable
class ChargesTheEnd(Protocol):
    """An environment that charges for the scene in which an episode is given up."""

    def give_up(self) -> float:
        """End the episode before its time; return its further cost, in the cleaned reading."""


@runtime_checkable
class CommandSink(Protocol):
    """The one way out: a driver, a simulator or a recorder of what would have been sent."""

    def send(self, command: ArmCommand) -> ArmCommand:
        """Send an absolute target; return what really went out."""

    def hold(self) -> None:
        """Tell the driver to stay where it is measured to be. Must not raise."""

    def stay(self) -> None:
        """Tell the driver to stay at the last target: where it is is not known. Must not raise."""

    def forget(self) -> None:
        """Say nothing more, not even at ``hold`` or ``close``, until the next ``send``."""

    def close(self) -> None:
        """Release the driver, holding first unless told to forget. Safe to call twice."""


@runtime_checkable
class Kinematics(Protocol):
    """From joints to the tool and back, in ``base_frame``; joints [J] in the profile's order.

    One thread at a time.
    """

    @property
    def low_rad(self) -> Array:
        """Return the lower limits [J], margin included: no solution lies below."""

    @property
    def high_rad(self) -> Array:
        """Return the upper limits [J], margin included."""

    @property
    def max_speed_rad_s(self) -> Array:
        """Return the speed limits [J]."""

    def forward(self, joints_rad: Array) -> tuple[Array, Array]:
        """Return position [3] (m) and quaternion xyzw [4] of the tool."""

    def inverse(self, position_m: Array, quaternion_xyzw: Array, seed_rad: Array) -> Array:
        """Return joints [J] near ``seed_rad`` that bring the tool to a pose.

        Raises UnreachablePoseError where there are none or only some near a singularity, and
        JointLimitError where those found are another posture than the seed's.
        """


@runtime_checkable
class Clock(Protocol):
    """Time as an argument: ROS, simulated or manual."""

    def now_ns(self) -> int:
        """Return the time for stamps and data deadlines [ns]; simulated time under use_sim_time."""

    def monotonic_ns(self) -> int:
        """Return the steady wall clock [ns], for planning budgets and watchdogs."""


@runtime_checkable
class Environment(Protocol):
    """A simulator for episodes, registered under the entry-point group ``wm_planner.environments``.

    It hands out observations and scores; its internal truth never reaches a planner.
    """

    def suites(self) -> tuple[str, ...]:
        """Return the names of the suites, e.g. ``reach``."""

    def reset(self, suite: str, *, seed: int, episode: int) -> EpisodeStart:
        """Start episode number ``episode`` of a suite; (suite, seed, episode) fixes everything."""

    def step(self, command: ArmCommand, duration_s: float) -> StepResult:
        """Servo to ``command`` for ``duration_s`` of simulated time, then observe."""

    def close(self) -> None:
        """Release the simulator."""
